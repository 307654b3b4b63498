//! The fast path for common packets: IP without options, extension headers or fragments, with TCP
//! or UDP, captured whole.
//!
//! It duplicates the step-by-step parsers in [`ip`](super::ip), [`ipv6`](super::ipv6),
//! [`udp`](super::udp) and [`transport`](super::transport). Tests check that the results are equal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::walk::be16;
use super::{tcp_options, udp};
use crate::headers::{LOW_TIME_TO_LIVE, protocol};
use crate::{Headers, Scope, TcpFlags, TcpHeader, TcpOptions};

/// Parses the most common packet: TCP over IPv4 over Ethernet, with an IP header of 20 bytes and a
/// time to live that is not low. After one check of the length, every field is at a fixed offset.
/// Options other than a time stamp are left to [`read_options`].
#[inline(always)]
pub(super) fn ethernet_tcp(data: &[u8]) -> Option<Headers> {
    let head: &[u8; 54] = data.first_chunk()?;
    let total_len = u32::from(be16(head[16], head[17]));
    let header_len = u32::from(head[46] >> 4) * 4;
    // EtherType, version and header length.
    let kind = u32::from_be_bytes([head[12], head[13], head[14], 0]);
    let fragment = be16(head[20], head[21]) & 0x3fff;
    if kind != 0x0800_4500
        || fragment != 0
        || head[22] < LOW_TIME_TO_LIVE
        || head[23] != protocol::TCP
        || header_len < 20
        || total_len < 20 + header_len
        || data.len() < 14 + total_len as usize
    {
        return None;
    }
    let flags = TcpFlags(head[47]);
    let payload_len = total_len - 20 - header_len;
    let (mut options, mut timestamp) = (TcpOptions::default(), 0);
    if header_len != 20 {
        if header_len == 32
            && let Some(value) = tcp_options::aligned_timestamp(data.get(54..66)?)
        {
            (options, timestamp) = (TcpOptions::TIMESTAMP, value);
        } else if payload_len > 0 || flags.contains(TcpFlags::SYN) {
            options = TcpOptions::UNREAD;
        }
    }
    Some(Headers {
        source: IpAddr::V4(Ipv4Addr::new(head[26], head[27], head[28], head[29])),
        destination: IpAddr::V4(Ipv4Addr::new(head[30], head[31], head[32], head[33])),
        protocol: protocol::TCP,
        source_port: be16(head[34], head[35]),
        destination_port: be16(head[36], head[37]),
        scope: Scope::NONE,
        network_offset: 14,
        transport_offset: 34,
        payload_offset: 34 + header_len,
        payload_len,
        payload_wire_len: payload_len,
        tcp: TcpHeader {
            sequence: u32::from_be_bytes([head[38], head[39], head[40], head[41]]),
            acknowledgement: u32::from_be_bytes([head[42], head[43], head[44], head[45]]),
            flags,
            window: be16(head[48], head[49]),
            window_scale: None,
            options,
            timestamp,
        },
        defect: None,
    })
}

/// Reads the options that [`ethernet_tcp`] left unread.
pub(super) fn read_options(data: &[u8], end: usize, carries: bool, tcp: &mut TcpHeader) {
    let options = data.get(54..end).unwrap_or_default();
    let read = tcp_options::read(options, true, tcp.flags, carries);
    (tcp.window_scale, tcp.options, tcp.timestamp) =
        (read.window_scale, read.options, read.timestamp);
}

/// The flow of the IPv4 packet that starts at `at` and ends within `data`. `None` for packets that
/// need the slow path.
#[inline(always)]
pub(super) fn v4(data: &[u8], at: usize, scope: Scope, decapsulate: bool) -> Option<Headers> {
    let packet = data.get(at..)?;
    let head: &[u8; 20] = packet.first_chunk()?;
    let total_len = usize::from(be16(head[2], head[3]));
    if head[0] != 0x45 || (head[6] & 0x3f) | head[7] != 0 {
        return None;
    }
    let segment = packet.get(20..total_len)?;
    let source = IpAddr::V4(Ipv4Addr::new(head[12], head[13], head[14], head[15]));
    let destination = IpAddr::V4(Ipv4Addr::new(head[16], head[17], head[18], head[19]));
    above(segment, head[9], (source, destination), at, at + 20, scope, decapsulate)
}

/// The flow of an IPv6 packet, in the same way.
#[inline(always)]
pub(super) fn v6(data: &[u8], at: usize, scope: Scope, decapsulate: bool) -> Option<Headers> {
    let packet = data.get(at..)?;
    let head: &[u8; 40] = packet.first_chunk()?;
    let payload_len = usize::from(be16(head[4], head[5]));
    if head[0] >> 4 != 6 {
        return None;
    }
    let segment = packet.get(40..40 + payload_len)?;
    let source = IpAddr::V6(Ipv6Addr::from(*head[8..].first_chunk::<16>()?));
    let destination = IpAddr::V6(Ipv6Addr::from(*head[24..].first_chunk::<16>()?));
    above(segment, head[6], (source, destination), at, at + 40, scope, decapsulate)
}

#[inline(always)]
fn above(
    segment: &[u8],
    number: u8,
    (source, destination): (IpAddr, IpAddr),
    network_offset: usize,
    transport_offset: usize,
    scope: Scope,
    decapsulate: bool,
) -> Option<Headers> {
    let ports: &[u8; 8] = segment.first_chunk()?;
    let (source_port, destination_port) = (be16(ports[0], ports[1]), be16(ports[2], ports[3]));
    let (header_len, len, tcp) = match number {
        protocol::TCP => {
            let header: &[u8; 20] = segment.first_chunk()?;
            let header_len = usize::from(header[12] >> 4) * 4;
            if header_len < 20 || header_len > segment.len() {
                return None;
            }
            let flags = TcpFlags(header[13]);
            let options = &segment[20..header_len];
            let read = tcp_options::read(options, true, flags, header_len < segment.len());
            let tcp = TcpHeader {
                sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
                acknowledgement: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
                flags,
                window: be16(header[14], header[15]),
                window_scale: read.window_scale,
                options: read.options,
                timestamp: read.timestamp,
            };
            (header_len, segment.len(), tcp)
        }
        protocol::UDP => {
            let len = usize::from(be16(ports[4], ports[5]));
            let may_be_tunnel = udp::is_tunnel(destination_port) || udp::is_tunnel(source_port);
            if len < 8 || len > segment.len() || (decapsulate && may_be_tunnel) {
                return None;
            }
            (8, len, TcpHeader::default())
        }
        _ => return None,
    };
    let payload_len = (len - header_len) as u32;
    Some(Headers {
        source,
        destination,
        protocol: number,
        source_port,
        destination_port,
        scope,
        network_offset: network_offset as u32,
        transport_offset: transport_offset as u32,
        payload_offset: (transport_offset + header_len) as u32,
        payload_len,
        payload_wire_len: payload_len,
        tcp,
        defect: None,
    })
}
