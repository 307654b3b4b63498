//! Protocols above IP: TCP (RFC 9293), and the dispatch to tunnels.

use super::scope::Kind;
use super::walk::{Layer, Walk, be16};
use super::{Unparsed, esp, gre, ip, ipcomp, l2tpv3, mobile_ip, pim, tcp_options, udp};
use crate::headers::protocol;
use crate::{Headers, TcpFlags, TcpHeader};

/// Parses the payload of an IP header with this protocol number.
pub(super) fn above_ip(walk: &mut Walk<'_>, number: u8) -> Result<Layer, Unparsed> {
    match number {
        protocol::TCP => tcp(walk),
        protocol::UDP => udp::header(walk),
        AUTHENTICATION => {
            // RFC 4302: authenticated, not encrypted. The length is in words of four bytes, less
            // two.
            let head: &[u8; 12] = walk.header()?;
            walk.enter()?;
            walk.skip((usize::from(head[1]) + 2) * 4)?;
            Ok(Layer::Protocol(head[0]))
        }
        IPV4 | IPV6 | GRE | ESP | MINIMAL | IPIP | ETHER_IP | PIM | IP_COMPRESSION | L2TP
        | MPLS | ETHERNET
            if walk.parser.options.decapsulate =>
        {
            tunnel(walk, number)
        }
        _ => other(walk, number),
    }
}

const IPV4: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;
const ESP: u8 = 50;
const AUTHENTICATION: u8 = 51;
const MINIMAL: u8 = 55;
const IPIP: u8 = 94;
const ETHER_IP: u8 = 97;
const PIM: u8 = 103;
const IP_COMPRESSION: u8 = 108;
const L2TP: u8 = 115;
const MPLS: u8 = 137;
const ETHERNET: u8 = 143;

#[cold]
fn tunnel(walk: &mut Walk<'_>, number: u8) -> Result<Layer, Unparsed> {
    let outer = other_headers(walk, number)?;
    let entered = match number {
        IPV4 => walk.tunnel_in(outer, Kind::Ip, 0).map(|()| Layer::Ipv4),
        IPV6 => walk.tunnel_in(outer, Kind::Ip, 0).map(|()| Layer::Ipv6),
        IPIP => walk.tunnel_in(outer, Kind::Ip, 0).map(|()| Layer::Ip),
        GRE => gre::header(walk, outer),
        ESP => esp::header(walk, outer),
        MINIMAL => mobile_ip::minimal(walk, outer),
        PIM => pim::register(walk, outer),
        L2TP => l2tpv3::over_ip(walk, outer),
        ETHER_IP => gre::ether_ip(walk, outer),
        IP_COMPRESSION => ipcomp::header(walk, outer),
        MPLS => walk.tunnel_in(outer, Kind::Mpls, 0).map(|()| Layer::Mpls),
        _ => walk.tunnel_in(outer, Kind::EtherIp, 0).map(|()| Layer::Ethernet),
    };
    match entered {
        Ok(layer) => Ok(layer),
        Err(Unparsed::TooDeep) => Err(Unparsed::TooDeep),
        Err(_) => Ok(walk.flow(outer)),
    }
}

fn tcp(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 20] = walk.header()?;
    let header_len = usize::from(header[12] >> 4) * 4;
    if header_len < 20 || header_len > walk.wire_remaining() {
        return Err(Unparsed::Malformed);
    }
    let flags = TcpFlags(header[13]);
    // Options that the capture truncated are not needed to place the segment.
    let captured = walk.captured();
    let options = &captured[20..header_len.min(captured.len())];
    let carries = header_len < walk.wire_remaining();
    let read = tcp_options::read(options, header_len <= captured.len(), flags, carries);
    let tcp = TcpHeader {
        sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        acknowledgement: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        flags,
        window: be16(header[14], header[15]),
        window_scale: read.window_scale,
        options: read.options,
        timestamp: read.timestamp,
    };
    let ports = (be16(header[0], header[1]), be16(header[2], header[3]));
    let headers = walk.headers(protocol::TCP, ports, header_len, tcp)?;
    Ok(walk.flow(headers))
}

/// Parses any other protocol: ports if it has them, and everything after the IP header as payload.
fn other(walk: &mut Walk<'_>, number: u8) -> Result<Layer, Unparsed> {
    let headers = other_headers(walk, number)?;
    Ok(walk.flow(headers))
}

fn other_headers(walk: &Walk<'_>, number: u8) -> Result<Headers, Unparsed> {
    let ports = match walk.captured().first_chunk::<4>() {
        Some(head) if ip::has_ports(number) => (be16(head[0], head[1]), be16(head[2], head[3])),
        _ => (0, 0),
    };
    walk.headers(number, ports, 0, TcpHeader::default())
}
