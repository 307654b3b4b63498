//! UDP (RFC 768) and the tunnels on its well-known ports.

use super::scope::Kind;
use super::walk::{Layer, Walk, be16};
use super::{Unparsed, capwap, esp, gre, gtp, gue, ipv6_over_udp, l2tp, mobile_ip, tzsp, vxlan};
use crate::headers::protocol;
use crate::{Headers, TcpHeader};

/// Parses a UDP header.
pub(super) fn header(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 8] = walk.header()?;
    let len = usize::from(be16(header[4], header[5]));
    // 0 means a jumbogram (RFC 2675, section 4) or segmentation offload.
    if len != 0 {
        if len < 8 {
            return Err(Unparsed::Malformed);
        }
        walk.limit(len);
    }
    let ports = (be16(header[0], header[1]), be16(header[2], header[3]));
    let headers = walk.headers(protocol::UDP, ports, 8, TcpHeader::default())?;
    if walk.parser.options.decapsulate
        && let Some(tunnel) = tunnel_at(ports.1).or_else(|| tunnel_at(ports.0))
    {
        return inside(walk, headers, tunnel);
    }
    Ok(walk.flow(headers))
}

type Tunnel = fn(&mut Walk<'_>, Headers) -> Result<Layer, Unparsed>;

#[inline]
fn tunnel_at(port: u16) -> Option<Tunnel> {
    Some(match port {
        434 => mobile_ip::over_udp,
        1701 => l2tp::any,
        2152 => gtp::header,
        3386 => gtp::version_0,
        3544 => ipv6_over_udp::teredo,
        4341 => lisp,
        4500 => esp::over_udp,
        4754 => gre::header,
        // 8472 is the port that Linux used before one was assigned.
        4789 | 8472 => vxlan::header,
        4790 => vxlan::generic,
        5072 => ipv6_over_udp::ayiya,
        5247 => capwap::data,
        6080 => gue::header,
        6081 => vxlan::geneve,
        6635 => mpls,
        37008 => tzsp::over_udp,
        _ => return None,
    })
}

/// Returns `true` if datagrams from or to this port may be a tunnel.
#[inline]
pub(super) fn is_tunnel(port: u16) -> bool {
    tunnel_at(port).is_some()
}

/// Enters a tunnel. If the payload turns out not to be one, the packet belongs to the flow `outer`.
#[cold]
fn inside(walk: &mut Walk<'_>, outer: Headers, tunnel: Tunnel) -> Result<Layer, Unparsed> {
    walk.skip(8)?;
    match tunnel(walk, outer) {
        Ok(layer) => Ok(layer),
        Err(Unparsed::TooDeep) => Err(Unparsed::TooDeep),
        Err(_) => Ok(walk.flow(outer)),
    }
}

/// Parses a LISP data packet (RFC 9300, section 5): eight bytes, then IP.
fn lisp(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    const INSTANCE: u8 = 0x08;
    let header: &[u8; 8] = walk.header()?;
    walk.skip(8)?;
    let instance = if header[0] & INSTANCE != 0 {
        u64::from(u32::from_be_bytes([0, header[4], header[5], header[6]]))
    } else {
        0
    };
    walk.tunnel_in(outer, Kind::Lisp, instance)?;
    Ok(Layer::Ip)
}

/// Parses MPLS in UDP (RFC 7510).
fn mpls(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    walk.tunnel_in(outer, Kind::Mpls, 0)?;
    Ok(Layer::Mpls)
}
