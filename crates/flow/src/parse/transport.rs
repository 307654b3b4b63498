//! What is above IP: TCP (RFC 9293) and the way into tunnels.

use std::net::{IpAddr, Ipv4Addr};

use super::scope::Kind;
use super::walk::{Layer, Walk, be16};
use super::{Unparsed, gre, ip, udp};
use crate::headers::protocol;
use crate::{Headers, Scope, TcpFlags, TcpHeader};

/// The common case without detours: Ethernet, IPv4 without options, TCP; `None` for everything else.
#[inline(always)]
pub(super) fn plain_tcp(data: &[u8]) -> Option<Headers> {
    let header: &[u8; 54] = data.first_chunk()?;
    let total_len = usize::from(be16(header[16], header[17]));
    let tcp_len = usize::from(header[46] >> 4) * 4;
    // A captured length that covers the packet makes the length on the wire irrelevant.
    let plain = header[12] == 0x08
        && header[13] == 0x00
        && header[14] == 0x45
        && (header[20] & 0x3f) | header[21] == 0
        && header[23] == protocol::TCP
        && tcp_len >= 20
        && total_len >= 20 + tcp_len
        && 14 + total_len <= data.len();
    if !plain {
        return None;
    }
    let flags = TcpFlags(header[47]);
    let payload_offset = 34 + tcp_len;
    let payload_len = (total_len - 20 - tcp_len) as u32;
    let window_scale = if flags.contains(TcpFlags::SYN) {
        data.get(54..payload_offset).and_then(window_scale)
    } else {
        None
    };
    Some(Headers {
        source: IpAddr::V4(Ipv4Addr::new(header[26], header[27], header[28], header[29])),
        destination: IpAddr::V4(Ipv4Addr::new(header[30], header[31], header[32], header[33])),
        protocol: protocol::TCP,
        source_port: be16(header[34], header[35]),
        destination_port: be16(header[36], header[37]),
        scope: Scope::NONE,
        network_offset: 14,
        transport_offset: 34,
        payload_offset: payload_offset as u32,
        payload_len,
        payload_wire_len: payload_len,
        tcp: TcpHeader {
            sequence: u32::from_be_bytes([header[38], header[39], header[40], header[41]]),
            acknowledgement: u32::from_be_bytes([header[42], header[43], header[44], header[45]]),
            flags,
            window: be16(header[48], header[49]),
            window_scale,
        },
    })
}

/// What an IP header with this protocol number carries.
pub(super) fn above_ip(walk: &mut Walk<'_>, number: u8) -> Result<Layer, Unparsed> {
    match number {
        protocol::TCP => tcp(walk),
        protocol::UDP => udp::header(walk),
        AUTHENTICATION => {
            // RFC 4302: authenticated, not encrypted. Its length is in words of four, less two.
            let head: &[u8; 12] = walk.header()?;
            walk.enter()?;
            walk.skip((usize::from(head[1]) + 2) * 4)?;
            Ok(Layer::Protocol(head[0]))
        }
        IPV4 | IPV6 | GRE | ETHER_IP | MPLS | ETHERNET if walk.parser.options.decapsulate => {
            tunnel(walk, number)
        }
        _ => other(walk, number),
    }
}

const IPV4: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;
const AUTHENTICATION: u8 = 51;
const ETHER_IP: u8 = 97;
const MPLS: u8 = 137;
const ETHERNET: u8 = 143;

#[cold]
fn tunnel(walk: &mut Walk<'_>, number: u8) -> Result<Layer, Unparsed> {
    let outer = other_headers(walk, number)?;
    let entered = match number {
        IPV4 => walk.tunnel_in(outer, Kind::Ip, 0).map(|()| Layer::Ipv4),
        IPV6 => walk.tunnel_in(outer, Kind::Ip, 0).map(|()| Layer::Ipv6),
        GRE => gre::header(walk, outer),
        ETHER_IP => gre::ether_ip(walk, outer),
        MPLS => walk.tunnel_in(outer, Kind::Mpls, 0).map(|()| Layer::Mpls),
        _ => walk.tunnel_in(outer, Kind::EtherIp, 0).map(|()| Layer::Ethernet),
    };
    match entered {
        Ok(layer) => Ok(layer),
        Err(Unparsed::TooDeep) => Err(Unparsed::TooDeep),
        Err(_) => Ok(Layer::Flow(outer)),
    }
}

fn tcp(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 20] = walk.header()?;
    let header_len = usize::from(header[12] >> 4) * 4;
    if header_len < 20 || header_len > walk.wire_remaining() {
        return Err(Unparsed::Malformed);
    }
    let flags = TcpFlags(header[13]);
    let window_scale = if flags.contains(TcpFlags::SYN) {
        // Options that the capture cut off are not needed to place the segment.
        let captured = walk.captured();
        window_scale(&captured[20..header_len.min(captured.len())])
    } else {
        None
    };
    let tcp = TcpHeader {
        sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        acknowledgement: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        flags,
        window: be16(header[14], header[15]),
        window_scale,
    };
    let ports = (be16(header[0], header[1]), be16(header[2], header[3]));
    walk.headers(protocol::TCP, ports, header_len, tcp).map(Layer::Flow)
}

/// Any other protocol: ports where it has them, all that follows the IP header as payload.
fn other(walk: &Walk<'_>, number: u8) -> Result<Layer, Unparsed> {
    other_headers(walk, number).map(Layer::Flow)
}

fn other_headers(walk: &Walk<'_>, number: u8) -> Result<Headers, Unparsed> {
    let ports = match walk.captured().first_chunk::<4>() {
        Some(head) if ip::has_ports(number) => (be16(head[0], head[1]), be16(head[2], head[3])),
        _ => (0, 0),
    };
    walk.headers(number, ports, 0, TcpHeader::default())
}

/// The shift count of a window scale option (RFC 7323, section 2.2; values over 14 count as 14).
fn window_scale(mut options: &[u8]) -> Option<u8> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const WINDOW_SCALE: u8 = 3;
    loop {
        match *options {
            [] | [END, ..] => return None,
            [NO_OPERATION, ref rest @ ..] => options = rest,
            [WINDOW_SCALE, 3, shift, ..] => return Some(shift.min(14)),
            [_, len, ..] if len >= 2 => options = options.get(usize::from(len)..)?,
            _ => return None,
        }
    }
}
