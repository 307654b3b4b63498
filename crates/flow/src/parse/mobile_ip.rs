//! Mobile IP: minimal encapsulation (RFC 2004) and tunnels through network address translation (RFC
//! 3519).

use std::net::{IpAddr, Ipv4Addr};

use super::scope::Kind;
use super::walk::{Layer, Network, Walk, be16};
use super::{Unparsed, gre};
use crate::{Headers, checksum};

/// Parses a packet of the flow `outer` with a minimal header. It contains only the fields in which
/// the inner IP header differs from the outer one: the addresses and the protocol.
pub(super) fn minimal(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    const HAS_SOURCE: u8 = 0x80;
    let network = walk.network.ok_or(Unparsed::NotIp)?;
    let header: &[u8; 8] = walk.header()?;
    let len = if header[1] & HAS_SOURCE != 0 { 12 } else { 8 };
    let header = walk.bytes(len)?;
    if checksum::sum(header) != 0xffff {
        return Err(Unparsed::Malformed);
    }
    let address = |at: usize| {
        IpAddr::V4(Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]))
    };
    let source = if len == 12 { address(8) } else { network.source };
    let number = header[0];
    walk.tunnel_in(outer, Kind::MobileIp, 0)?;
    walk.arrive(Network { source, destination: address(4), ..network });
    walk.skip(len)?;
    Ok(Layer::Protocol(number))
}

/// Parses a data message in a datagram of `outer` (RFC 3519, section 3.3).
pub(super) fn over_udp(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    const TUNNEL_DATA: u8 = 4;
    let header: &[u8; 4] = walk.header()?;
    if header[0] != TUNNEL_DATA || be16(header[2], header[3]) != 0 {
        return Err(Unparsed::NotIp);
    }
    walk.skip(4)?;
    walk.tunnel_in(outer, Kind::MobileIp, 0)?;
    match header[1] {
        4 => Ok(Layer::Ipv4),
        47 => gre::header(walk, outer),
        55 => minimal(walk, outer),
        _ => Err(Unparsed::NotIp),
    }
}
