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

/// The most common packet: TCP over IPv4 over Ethernet, with an IP header of 20 bytes and a time to
/// live that is not low. Every field is at a fixed offset. Each is read where it is needed, so that
/// few values are in registers at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain<'a> {
    data: &'a [u8],
    head: &'a [u8; HEAD],
    tcp_header_len: u32,
    payload_len: u32,
}

/// The length of the headers up to the TCP options.
const HEAD: usize = 54;

impl<'a> Plain<'a> {
    #[inline(always)]
    pub(super) fn of(data: &'a [u8]) -> Option<Self> {
        let head: &[u8; HEAD] = data.first_chunk()?;
        let total_len = u32::from(be16(head[16], head[17]));
        let tcp_header_len = u32::from(head[46] >> 4) * 4;
        let fragment = (head[20] & 0x3f) | head[21];
        if be16(head[12], head[13]) != 0x0800
            || head[14] != 0x45
            || fragment != 0
            || head[22] < LOW_TIME_TO_LIVE
            || head[23] != protocol::TCP
            || tcp_header_len < 20
            || total_len < 20 + tcp_header_len
            || data.len() < 14 + total_len as usize
        {
            return None;
        }
        let payload_len = total_len - 20 - tcp_header_len;
        Some(Self { data, head, tcp_header_len, payload_len })
    }

    /// The frame up to the TCP options.
    #[inline(always)]
    pub(crate) const fn head(&self) -> &'a [u8; HEAD] {
        self.head
    }

    #[inline(always)]
    const fn source_port(&self) -> u16 {
        be16(self.head[34], self.head[35])
    }

    #[inline(always)]
    const fn destination_port(&self) -> u16 {
        be16(self.head[36], self.head[37])
    }

    #[inline(always)]
    pub(crate) const fn sequence(&self) -> u32 {
        self.word(38)
    }

    #[inline(always)]
    pub(crate) const fn acknowledgement(&self) -> u32 {
        self.word(42)
    }

    #[inline(always)]
    pub(crate) const fn flags(&self) -> TcpFlags {
        TcpFlags(self.head[47])
    }

    #[inline(always)]
    pub(crate) const fn window(&self) -> u16 {
        be16(self.head[48], self.head[49])
    }

    #[inline(always)]
    pub(crate) const fn transport_offset(&self) -> u32 {
        34
    }

    #[inline(always)]
    pub(crate) const fn payload_offset(&self) -> u32 {
        self.transport_offset() + self.tcp_header_len
    }

    /// The length of the headers from the IP header on.
    #[inline(always)]
    pub(crate) const fn headers_len(&self) -> u32 {
        20 + self.tcp_header_len
    }

    /// The length of the payload, all of which was captured.
    #[inline(always)]
    pub(crate) const fn payload_len(&self) -> u32 {
        self.payload_len
    }

    /// The options, and the value of a time stamp. Options other than a time stamp are left to
    /// [`read_options`].
    #[inline(always)]
    pub(crate) fn options(&self) -> (TcpOptions, u32) {
        if self.tcp_header_len == 20 {
            (TcpOptions::default(), 0)
        } else if self.tcp_header_len == 32
            && let Some(options) = self.data.get(HEAD..HEAD + 12)
            && let Some(timestamp) = tcp_options::aligned_timestamp(options)
        {
            (TcpOptions::TIMESTAMP, timestamp)
        } else if self.payload_len > 0 || self.flags().contains(TcpFlags::SYN) {
            (TcpOptions::UNREAD, 0)
        } else {
            (TcpOptions::default(), 0)
        }
    }

    #[inline(always)]
    pub(crate) fn headers(&self) -> Headers {
        let (options, timestamp) = self.options();
        Headers {
            source: IpAddr::V4(Ipv4Addr::from_bits(self.word(26))),
            destination: IpAddr::V4(Ipv4Addr::from_bits(self.word(30))),
            protocol: protocol::TCP,
            source_port: self.source_port(),
            destination_port: self.destination_port(),
            scope: Scope::NONE,
            network_offset: 14,
            transport_offset: self.transport_offset(),
            payload_offset: self.payload_offset(),
            payload_len: self.payload_len,
            payload_wire_len: self.payload_len,
            tcp: TcpHeader {
                sequence: self.sequence(),
                acknowledgement: self.acknowledgement(),
                flags: self.flags(),
                window: self.window(),
                window_scale: None,
                options,
                timestamp,
            },
            defect: None,
        }
    }

    #[inline(always)]
    const fn word(&self, at: usize) -> u32 {
        let head = self.head;
        u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
    }
}

/// Reads the options that [`Plain`] left unread.
pub(super) fn read_options(data: &[u8], end: usize, carries: bool, tcp: &mut TcpHeader) {
    let options = data.get(HEAD..end).unwrap_or_default();
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
