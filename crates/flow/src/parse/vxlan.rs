//! VXLAN (RFC 7348), its generic protocol extension, and Geneve (RFC 8926).

use super::Unparsed;
use super::scope::Kind;
use super::walk::{Layer, Walk, be16};
use crate::Headers;

/// Parses a VXLAN header in a datagram of `outer`.
pub(super) fn header(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    let header: &[u8; 8] = walk.header()?;
    // Senders set flags and reserved bits arbitrarily, so only the frame inside can be validated.
    walk.skip(8)?;
    walk.tunnel_in(outer, Kind::Vxlan, network(header))?;
    Ok(Layer::Ethernet)
}

/// Parses a header of the generic protocol extension, which names the next protocol
/// (draft-ietf-nvo3-vxlan-gpe, section 3).
pub(super) fn generic(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    const NEXT_PROTOCOL: u8 = 0x04;
    const VERSION: u8 = 0x30;
    let header: &[u8; 8] = walk.header()?;
    if header[0] & VERSION != 0 {
        return Err(Unparsed::NotIp);
    }
    walk.skip(8)?;
    walk.tunnel_in(outer, Kind::Vxlan, network(header))?;
    if header[0] & NEXT_PROTOCOL == 0 {
        return Ok(Layer::Ethernet);
    }
    next_protocol(header[3])
}

/// The layer for a protocol number of VXLAN-GPE or of the network service header (RFC 8300, section
/// 11.2.5), which share their numbers.
pub(super) const fn next_protocol(number: u8) -> Result<Layer, Unparsed> {
    match number {
        1 => Ok(Layer::Ipv4),
        2 => Ok(Layer::Ipv6),
        3 => Ok(Layer::Ethernet),
        4 => Ok(Layer::ServiceHeader),
        5 => Ok(Layer::Mpls),
        _ => Err(Unparsed::NotIp),
    }
}

/// Parses a Geneve header in a datagram of `outer`.
pub(super) fn geneve(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    let header: &[u8; 8] = walk.header()?;
    walk.skip(8 + usize::from(header[0] & 0x3f) * 4)?;
    walk.tunnel_in(outer, Kind::Geneve, network(header))?;
    Ok(Layer::EtherType(be16(header[2], header[3])))
}

fn network(header: &[u8; 8]) -> u64 {
    u64::from(u32::from_be_bytes([0, header[4], header[5], header[6]]))
}
