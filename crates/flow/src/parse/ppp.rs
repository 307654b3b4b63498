//! PPP (RFC 1661), its HDLC-like framing (RFC 1662), PPPoE (RFC 2516), Cisco HDLC.

use super::scope::Kind;
use super::walk::{Layer, Walk, be16};
use super::{Encapsulation, Unparsed};

/// Parses a PPPoE session packet.
pub(super) fn over_ethernet(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 6] = walk.header()?;
    if header[0] != 0x11 || header[1] != 0 {
        return Err(Unparsed::Encapsulation(Encapsulation::UnknownVersion));
    }
    walk.enter()?;
    let session = be16(header[2], header[3]);
    walk.scope = walk.parser.scopes.segment(walk.scope, Kind::Pppoe, u64::from(session));
    walk.skip(6)?;
    walk.limit(usize::from(be16(header[4], header[5])));
    Ok(Layer::Ppp)
}

/// Parses a PPP frame. The address and control fields may be missing, and the protocol field may
/// have one byte.
pub(super) fn frame(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    if walk.captured().starts_with(&[0xff, 0x03]) {
        walk.skip(2)?;
    }
    let first = walk.header::<1>()?[0];
    let protocol = if first & 1 != 0 {
        walk.skip(1)?;
        u16::from(first)
    } else {
        let field: &[u8; 2] = walk.header()?;
        walk.skip(2)?;
        be16(field[0], field[1])
    };
    match protocol {
        0x0021 => Ok(Layer::Ipv4),
        0x0057 => Ok(Layer::Ipv6),
        0x0281 | 0x0283 => Ok(Layer::Mpls),
        // Bridged (RFC 3518): flags and a MAC type, 1 for Ethernet.
        0x0031 if walk.header::<2>()?[1] == 1 => {
            walk.skip(2)?;
            Ok(Layer::Ethernet)
        }
        // Multilink (RFC 1990) with the whole packet in one fragment.
        0x003d if walk.header::<4>()?[0] & 0xc0 == 0xc0 => {
            walk.enter()?;
            walk.skip(4)?;
            Ok(Layer::Ppp)
        }
        0x003d => Err(Unparsed::Encapsulation(Encapsulation::MultilinkFragment)),
        _ => Err(Unparsed::Ppp(protocol)),
    }
}

/// Parses a frame of a serial line: PPP or Cisco HDLC, distinguished by the address.
pub(super) fn serial(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    match walk.header::<1>()?[0] {
        0x0f | 0x8f => cisco_hdlc(walk),
        _ => Ok(Layer::Ppp),
    }
}

/// Parses Cisco HDLC: address, a zero byte, an EtherType.
pub(super) fn cisco_hdlc(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 4] = walk.header()?;
    walk.skip(4)?;
    Ok(Layer::EtherType(be16(header[2], header[3])))
}
