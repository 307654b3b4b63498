//! A packet before its flow is updated.

use crate::parse::Plain;
use crate::slot::{DirectionFlags, Lengths, NONE};
use crate::{
    Defect, Headers, Orientation, Packet, Parser, TcpFlags, TcpHeader, TcpOptions, protocol,
};

/// A packet whose flow is being looked for: a cache line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup {
    /// The key's number, 0 if it has none.
    pub(super) compact: u128,
    pub(super) hash: u32,
    /// The slot that the flow probably has, or [`NONE`].
    pub(super) candidate: u32,
    pub(super) tcp: TcpHeader,
    pub(super) payload_offset: u16,
    /// The flags that the packet's direction has if the packet took the same path as those before
    /// it.
    pub(super) path: DirectionFlags,
    pub(super) payload_len: u32,
    pub(super) payload_wire_len: u32,
    pub(super) transport_offset: u16,
    /// Length of the headers from the IP header on.
    pub(super) headers_len: u16,
    pub(super) orientation: Orientation,
    pub(super) protocol: u8,
    pub(super) sort: Sort,
    /// The position of the packet in its batch.
    pub(super) packet: u8,
}

const _: () = assert!(size_of::<Lookup>() == 64);

/// The inspection that a packet needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// TCP, all of its payload captured, and nothing in its header that takes a closer look.
    Plain,
    /// Any other packet that every host takes, as far as its headers tell.
    Sound,
    /// Flags, options or urgent data that take a closer look.
    Odd,
    /// Not plain; which of the others, and what its options say, is found out when it is worked on.
    Unsorted,
    /// The receiver may discard it.
    Defective(Defect),
}

const _: () = assert!(size_of::<Sort>() == 1);

impl Lookup {
    pub(super) const NONE: Self = Self {
        compact: 0,
        hash: 0,
        candidate: NONE,
        tcp: TcpHeader {
            sequence: 0,
            acknowledgement: 0,
            flags: TcpFlags(0),
            window: 0,
            window_scale: None,
            options: TcpOptions(0),
            timestamp: 0,
        },
        payload_offset: 0,
        path: DirectionFlags::anchored_on(0),
        payload_len: 0,
        payload_wire_len: 0,
        transport_offset: 0,
        headers_len: 0,
        orientation: Orientation::Forward,
        protocol: 0,
        sort: Sort::Odd,
        packet: 0,
    };

    /// Takes in all of a plain packet but the flow.
    #[inline(always)]
    pub(super) fn take_plain(&mut self, at: usize, plain: &Plain<'_>, path: u8) {
        self.candidate = NONE;
        self.payload_offset = plain.payload_offset() as u16;
        self.path = DirectionFlags::anchored_on(path);
        self.payload_len = plain.payload_len();
        self.payload_wire_len = plain.payload_len();
        self.transport_offset = plain.transport_offset() as u16;
        self.headers_len = plain.headers_len() as u16;
        self.protocol = protocol::TCP;
        self.packet = at as u8;
        self.tcp.sequence = plain.sequence();
        self.tcp.acknowledgement = plain.acknowledgement();
        self.tcp.window_scale = None;
        let (options, timestamp) = plain.options();
        self.tcp.timestamp = timestamp;
        self.tcp.options = options;
        self.tcp.flags = plain.flags();
        self.tcp.window = plain.window();
        self.sort = if is_plain(&self.tcp) { Sort::Plain } else { Sort::Unsorted };
    }

    /// Takes in all but the flow; field by field, so that few values are in registers at a time.
    /// False if the payload lies behind more headers than any packet has that was not made for it.
    pub(super) fn take(&mut self, at: usize, headers: &Headers, path: u8, sort: Sort) -> bool {
        let Ok(payload_offset) = u16::try_from(headers.payload_offset) else { return false };
        let Ok(transport_offset) = u16::try_from(headers.transport_offset) else { return false };
        self.candidate = NONE;
        self.tcp = headers.tcp;
        self.payload_offset = payload_offset;
        self.path = DirectionFlags::anchored_on(path);
        self.payload_len = headers.payload_len;
        self.payload_wire_len = headers.payload_wire_len;
        self.transport_offset = transport_offset;
        // The IP header is before the payload, or the parser took the packet for none.
        self.headers_len = headers.payload_offset.saturating_sub(headers.network_offset) as u16;
        self.protocol = headers.protocol;
        self.sort = sort;
        self.packet = at as u8;
        true
    }

    /// Reads the options that were left unread, and sorts the packet.
    #[inline(always)]
    pub(super) fn look_closer(&mut self, packet: &Packet<'_>) {
        if self.tcp.options.contains(TcpOptions::UNREAD) {
            let (end, carries) = (usize::from(self.payload_offset), self.payload_len > 0);
            Parser::read_plain_options(packet, end, carries, &mut self.tcp);
        }
        self.sort = sort_tcp(&self.tcp);
    }

    /// The ports of source and destination.
    pub(super) fn ports(&self, packet: &Packet<'_>) -> (u16, u16) {
        let start = usize::from(self.transport_offset);
        let header = packet.data().get(start..).and_then(|header| header.first_chunk());
        let [a, b, c, d] = *header.unwrap_or(&[0; 4]);
        (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
    }

    /// The bytes of the IP packet on the wire.
    #[inline(always)]
    pub(super) const fn ip_len(&self) -> u32 {
        // Only a capture file may claim a length near 4 GiB.
        self.payload_wire_len.saturating_add(self.headers_len as u32)
    }

    #[inline(always)]
    pub(super) fn lengths(&self, packet: &Packet<'_>) -> Lengths {
        Lengths { payload: self.payload_wire_len, wire: packet.wire_len(), ip: self.ip_len() }
    }

    /// The captured payload.
    #[inline(always)]
    pub(super) fn payload<'p>(&self, packet: &Packet<'p>) -> &'p [u8] {
        let start = usize::from(self.payload_offset);
        packet.data().get(start..start + self.payload_len as usize).unwrap_or_default()
    }
}

/// Determines the inspection that a packet needs.
pub(super) fn sort(headers: &Headers) -> Sort {
    if let Some(defect) = headers.defect {
        return Sort::Defective(defect);
    }
    if headers.protocol != protocol::TCP {
        return Sort::Sound;
    }
    match sort_tcp(&headers.tcp) {
        Sort::Plain if headers.payload_len != headers.payload_wire_len => Sort::Sound,
        sort => sort,
    }
}

/// The same for TCP without a defect, all of it captured.
fn sort_tcp(tcp: &TcpHeader) -> Sort {
    let odd_options = TcpOptions::MALFORMED | TcpOptions::SIGNATURE;
    if tcp.options.0 & odd_options.0 != 0 {
        Sort::Odd
    } else if is_plain(tcp) {
        Sort::Plain
    } else if SOUND >> (tcp.flags.0 & LOOKED_AT.0) & 1 == 1 {
        Sort::Sound
    } else {
        Sort::Odd
    }
}

const LOOKED_AT: TcpFlags = TcpFlags(
    TcpFlags::SYN.0 | TcpFlags::RST.0 | TcpFlags::FIN.0 | TcpFlags::ACK.0 | TcpFlags::URG.0,
);

/// One bit for each combination of the flags that are looked at: those that every host takes.
const SOUND: u64 = {
    const FIN: u8 = TcpFlags::FIN.0;
    const SYN: u8 = TcpFlags::SYN.0;
    const RST: u8 = TcpFlags::RST.0;
    const ACK: u8 = TcpFlags::ACK.0;
    1 << ACK | 1 << SYN | 1 << (SYN | ACK) | 1 << (FIN | ACK) | 1 << RST | 1 << (RST | ACK)
};

/// Plain segments are those that most connections see nothing but: an acknowledgement, with or
/// without data, and no option other than a time stamp beside data.
#[inline(always)]
fn is_plain(tcp: &TcpHeader) -> bool {
    let flags = tcp.flags.0 & LOOKED_AT.0 ^ TcpFlags::ACK.0;
    let options = tcp.options.0 & !TcpOptions::TIMESTAMP.0;
    (flags | options == 0) & (tcp.window != 0)
}
