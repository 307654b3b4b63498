//! Generic UDP encapsulation (draft-ietf-intarea-gue-09, sections 3 and 4).

use super::scope::Kind;
use super::walk::{Layer, Walk};
use super::{Unparsed, gre};
use crate::Headers;

/// Parses a packet in a datagram of `outer`: an IP header right away (variant 1), or a header with
/// a protocol number (variant 0).
///
/// The payload may be any protocol. Only those are followed that can be validated by an inner IP
/// header.
pub(super) fn header(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    const CONTROL: u8 = 0x20;
    let first = walk.header::<1>()?[0];
    if first >> 6 == 1 {
        walk.tunnel_in(outer, Kind::Gue, 0)?;
        return Ok(Layer::Ip);
    }
    let header: &[u8; 4] = walk.header()?;
    if first >> 6 != 0 || first & CONTROL != 0 {
        return Err(Unparsed::NotIp);
    }
    walk.skip(4 + usize::from(first & 0x1f) * 4)?;
    walk.tunnel_in(outer, Kind::Gue, 0)?;
    match header[1] {
        4 => Ok(Layer::Ipv4),
        41 => Ok(Layer::Ipv6),
        // GRE inside gets `outer` too: only an inner IP header can prove that there is another
        // flow.
        47 => gre::header(walk, outer),
        97 => gre::ether_ip(walk, outer),
        137 => Ok(Layer::Mpls),
        143 => Ok(Layer::Ethernet),
        _ => Err(Unparsed::NotIp),
    }
}
