//! GRE (RFC 2784, 2890; routing as in RFC 1701), PPTP (RFC 2637), ERSPAN, EoIP, and Ethernet over
//! IP (RFC 3378).

use super::Unparsed;
use super::scope::Kind;
use super::walk::{Layer, Walk, be16};
use crate::Headers;

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGEMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;

const BRIDGING: u16 = 0x6558;
const PPP: u16 = 0x880b;
const ERSPAN: u16 = 0x88be;
const ERSPAN_3: u16 = 0x22eb;
const EOIP: u16 = 0x6400;
const WCCP: u16 = 0x883e;

/// Parses a GRE packet of the flow `outer`.
pub(super) fn header(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    let header: &[u8; 4] = walk.header()?;
    let flags = be16(header[0], header[1]);
    let protocol = be16(header[2], header[3]);
    walk.skip(4)?;
    match flags & VERSION {
        0 => {}
        1 if protocol == EOIP => return ethernet_over_ip(walk, outer),
        1 => return point_to_point(walk, outer, flags, protocol),
        _ => return Err(Unparsed::NotIp),
    }
    if flags & (CHECKSUM | ROUTING) != 0 {
        walk.skip(4)?;
    }
    let key = if flags & KEY != 0 {
        let key = u32::from_be_bytes(*walk.header()?);
        walk.skip(4)?;
        // NVGRE (RFC 7637): the last byte identifies the flow, not the network.
        u64::from(if protocol == BRIDGING { key >> 8 } else { key })
    } else {
        0
    };
    if flags & SEQUENCE != 0 {
        walk.skip(4)?;
    }
    if flags & ROUTING != 0 {
        source_routes(walk)?;
    }
    match protocol {
        ERSPAN | ERSPAN_3 => erspan(walk, outer, flags, protocol),
        _ => {
            walk.tunnel_in(outer, Kind::Gre, key)?;
            payload(walk, protocol)
        }
    }
}

fn payload(walk: &mut Walk<'_>, protocol: u16) -> Result<Layer, Unparsed> {
    match protocol {
        BRIDGING => Ok(Layer::Ethernet),
        PPP => Ok(Layer::Ppp),
        WCCP => {
            // The second version has a redirect header before the IP packet.
            if walk.header::<1>()?[0] >> 4 != 4 {
                walk.skip(4)?;
            }
            Ok(Layer::Ipv4)
        }
        // Aruba access points send 802.11 frames to their controller.
        0x8200..=0x83ff | 0x9000 => Ok(Layer::Wlan),
        _ => Ok(Layer::EtherType(protocol)),
    }
}

/// Skips source route entries up to the empty one.
fn source_routes(walk: &mut Walk<'_>) -> Result<(), Unparsed> {
    loop {
        let entry: &[u8; 4] = walk.header()?;
        walk.enter()?;
        walk.skip(4 + usize::from(entry[3]))?;
        if entry[0] | entry[1] | entry[3] == 0 {
            return Ok(());
        }
    }
}

/// Parses PPTP: the key is a length and a call identifier, which differs by direction.
fn point_to_point(
    walk: &mut Walk<'_>,
    outer: Headers,
    flags: u16,
    protocol: u16,
) -> Result<Layer, Unparsed> {
    if protocol != PPP || flags & (CHECKSUM | ROUTING) != 0 || flags & KEY == 0 {
        return Err(Unparsed::NotIp);
    }
    let key: &[u8; 4] = walk.header()?;
    walk.skip(4)?;
    if flags & SEQUENCE == 0 {
        return Err(Unparsed::NotIp); // an acknowledgement without payload
    }
    walk.skip(if flags & ACKNOWLEDGEMENT != 0 { 8 } else { 4 })?;
    walk.limit(usize::from(be16(key[0], key[1])));
    walk.tunnel_in(outer, Kind::Pptp, 0)?;
    Ok(Layer::Ppp)
}

/// Parses MikroTik's Ethernet over IP. A length and a little-endian tunnel number replace the key.
fn ethernet_over_ip(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    let key: &[u8; 4] = walk.header()?;
    walk.skip(4)?;
    walk.limit(usize::from(be16(key[0], key[1])));
    walk.tunnel_in(outer, Kind::Eoip, u64::from(be16(key[3], key[2])))?;
    Ok(Layer::Ethernet)
}

/// Parses mirrored frames. Type I has no header of its own, types II and III do. The session number
/// separates mirrors.
fn erspan(
    walk: &mut Walk<'_>,
    outer: Headers,
    flags: u16,
    protocol: u16,
) -> Result<Layer, Unparsed> {
    if protocol == ERSPAN && flags & SEQUENCE == 0 {
        walk.tunnel_in(outer, Kind::Erspan, 0)?;
        return Ok(Layer::Ethernet);
    }
    let header: &[u8; 8] = walk.header()?;
    let session = u64::from(be16(header[2], header[3]) & 0x03ff);
    match header[0] >> 4 {
        1 => walk.skip(8)?,
        2 => {
            let header: &[u8; 12] = walk.header()?;
            let frame_type = header[10] >> 2 & 0x1f;
            walk.skip(12)?;
            if header[11] & 1 != 0 {
                walk.skip(8)?; // platform-specific
            }
            if frame_type == 2 {
                walk.tunnel_in(outer, Kind::Erspan, session)?;
                return Ok(Layer::Ip);
            }
        }
        _ => return Err(Unparsed::NotIp),
    }
    walk.tunnel_in(outer, Kind::Erspan, session)?;
    Ok(Layer::Ethernet)
}

/// Parses Ethernet in IP: version 3 and twelve reserved bits.
pub(super) fn ether_ip(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    if *walk.header::<2>()? != [0x30, 0] {
        return Err(Unparsed::NotIp);
    }
    walk.skip(2)?;
    walk.tunnel_in(outer, Kind::EtherIp, 0)?;
    Ok(Layer::Ethernet)
}
