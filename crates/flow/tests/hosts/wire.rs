//! A connection between two hosts whose segments can be damaged in any way.

use std::net::Ipv6Addr;

use flow::{
    Conflict, Data, Defect, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowSide, FlowTable,
    FlowTableBuilder, Gap, GapCause, LinkType, Packet, Timestamp, Unplaced, UnplacedCause,
};

/// The initial sequence numbers of client and server.
pub(crate) const C: u32 = 1_000;
pub(crate) const S: u32 = 5_000;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;
pub(crate) const URG: u8 = 32;

/// A segment of the client in a connection, valid until changed.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) from_server: bool,
    /// Offsets in the streams of sender and receiver.
    pub(crate) at: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) destination_mac: [u8; 6],
    pub(crate) ttl: u8,
    /// IPv4 options, or IPv6 extension headers preceded by the number of the first.
    pub(crate) extra: Vec<u8>,
    pub(crate) first_header: u8,
    /// Added to the IP header's length, and the length itself if set.
    pub(crate) length_error: i32,
    pub(crate) length: Option<u16>,
    pub(crate) ip_checksum_error: u16,
    pub(crate) checksum_error: u16,
    /// Added to the data offset.
    pub(crate) data_offset_error: i8,
}

pub(crate) fn client(at: u32, payload: &str) -> Segment {
    Segment {
        from_server: false,
        at,
        ack: 0,
        flags: PSH | ACK,
        window: 60_000,
        urgent: 0,
        options: Vec::new(),
        payload: payload.as_bytes().to_vec(),
        destination_mac: [2, 0, 0, 0, 0, 1],
        ttl: 64,
        extra: Vec::new(),
        first_header: 6,
        length_error: 0,
        length: None,
        ip_checksum_error: 0,
        checksum_error: 0,
        data_offset_error: 0,
    }
}

pub(crate) fn server(at: u32, ack: u32, payload: &str) -> Segment {
    Segment {
        from_server: true,
        ack,
        destination_mac: [2, 0, 0, 0, 0, 2],
        flags: ACK,
        ..client(at, payload)
    }
}

impl Segment {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// An Ethernet frame.
    pub(crate) fn frame(&self, six: bool) -> Vec<u8> {
        let ports: [u16; 2] = if self.from_server { [80, 40_000] } else { [40_000, 80] };
        let [mine, theirs] = if self.from_server { [S, C] } else { [C, S] };
        let mut tcp = ports.map(u16::to_be_bytes).concat();
        let sequence = mine.wrapping_add(self.at).wrapping_sub(u32::from(self.flags & SYN != 0));
        tcp.extend(sequence.to_be_bytes());
        let ack = if self.flags & ACK == 0 { 0 } else { theirs.wrapping_add(self.ack) };
        tcp.extend(ack.to_be_bytes());
        let offset = (5 + self.options.len().div_ceil(4) as i8 + self.data_offset_error) as u8;
        tcp.extend([offset << 4, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0, 0]);
        tcp.extend(self.urgent.to_be_bytes());
        tcp.extend(&self.options);
        tcp.resize(tcp.len().next_multiple_of(4), 0);
        tcp.extend(&self.payload);
        let addresses = if six { self.addresses_v6() } else { self.addresses_v4() };
        let pseudo = [&addresses[..], &[0, 6], &(tcp.len() as u16).to_be_bytes(), &tcp].concat();
        let sum = checksum(&pseudo) ^ self.checksum_error;
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        let ether_type = if six { [0x86, 0xdd] } else { [0x08, 0x00] };
        let packet = if six { self.v6(&addresses, &tcp) } else { self.v4(&addresses, &tcp) };
        [&self.destination_mac[..], &[2, 0, 0, 0, 0, 9], &ether_type, &packet].concat()
    }

    fn v4(&self, addresses: &[u8], tcp: &[u8]) -> Vec<u8> {
        let header_len = 20 + self.extra.len();
        let len = (header_len + tcp.len()) as i32 + self.length_error;
        let len = self.length.unwrap_or(len as u16).to_be_bytes();
        let mut header = vec![0x40 | (header_len / 4) as u8, 0, len[0], len[1]];
        header.extend([0, 1, 0x40, 0, self.ttl, 6, 0, 0]);
        header.extend(addresses);
        header.extend(&self.extra);
        let sum = checksum(&header) ^ self.ip_checksum_error;
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        [&header, tcp].concat()
    }

    fn v6(&self, addresses: &[u8], tcp: &[u8]) -> Vec<u8> {
        let len = (self.extra.len() + tcp.len()) as i32 + self.length_error;
        let len = self.length.unwrap_or(len as u16).to_be_bytes();
        let head = [0x60, 0, 0, 0, len[0], len[1], self.first_header, self.ttl];
        [&head, addresses, &self.extra, tcp].concat()
    }

    fn addresses_v4(&self) -> Vec<u8> {
        let ends = [[192, 0, 2, 1], [192, 0, 2, 2]];
        if self.from_server { [ends[1], ends[0]].concat() } else { ends.concat() }
    }

    fn addresses_v6(&self) -> Vec<u8> {
        let end = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).octets();
        if self.from_server { [end(2), end(1)].concat() } else { [end(1), end(2)].concat() }
    }
}

/// The checksum of the segment's IPv4 header.
pub(crate) fn checksum_of_v4(segment: &Segment) -> u16 {
    let frame = Segment { ip_checksum_error: 0, ..segment.clone() }.frame(false);
    u16::from_be_bytes([frame[24], frame[25]])
}

fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2);
    let sum = words.fold(0_u32, |sum, word| {
        sum + u32::from(word[0]) * 256 + u32::from(word.get(1).copied().unwrap_or(0))
    });
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// A table and its events.
pub(crate) struct Wire {
    pub(crate) table: FlowTable<FiveTuple>,
    pub(crate) seen: Seen,
    six: bool,
    clock: u64,
    number: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) flows: u64,
    /// The client's stream, with `_` for each byte of a gap.
    pub(crate) text: String,
    pub(crate) gaps: Vec<(u64, u64, GapCause)>,
    /// Unplaced bytes.
    pub(crate) unplaced: Vec<(String, UnplacedCause)>,
    /// Offset, kept bytes, discarded bytes.
    pub(crate) conflicts: Vec<(u64, String, String)>,
    /// The packets of the two versions.
    pub(crate) conflict_packets: Vec<(u64, u64)>,
    pub(crate) repeats: Vec<(u64, String)>,
    pub(crate) late: Vec<(u64, String)>,
}

impl Wire {
    /// Opens a connection over IPv4 or IPv6 and completes the handshake.
    pub(crate) fn open(
        six: bool,
        set_up: impl FnOnce(FlowTableBuilder<FiveTuple>) -> FlowTableBuilder<FiveTuple>,
    ) -> Self {
        Self::open_with(six, &[], set_up)
    }

    /// Opens a connection with TCP options in both SYNs.
    pub(crate) fn open_with(
        six: bool,
        options: &[u8],
        set_up: impl FnOnce(FlowTableBuilder<FiveTuple>) -> FlowTableBuilder<FiveTuple>,
    ) -> Self {
        let mut wire = Self::new(six, set_up);
        wire.send(&client(0, "").with(|syn| {
            syn.flags = SYN;
            syn.options = options.to_vec();
        }));
        wire.send(&server(0, 0, "").with(|syn| {
            syn.flags = SYN | ACK;
            syn.options = options.to_vec();
        }));
        wire.send(&client(0, "").with(|ack| ack.flags = ACK));
        wire
    }

    pub(crate) fn new(
        six: bool,
        set_up: impl FnOnce(FlowTableBuilder<FiveTuple>) -> FlowTableBuilder<FiveTuple>,
    ) -> Self {
        let table = set_up(FlowTable::builder(FiveTuple::bidirectional())).build();
        Self { table, seen: Seen::default(), six, clock: 1_700_000_000_000, number: 0 }
    }

    pub(crate) fn send(&mut self, segment: &Segment) {
        self.frame(&segment.frame(self.six));
    }

    /// Sends a frame, a millisecond after the previous one.
    pub(crate) fn frame(&mut self, frame: &[u8]) {
        self.clock += 1;
        self.number += 1;
        let mut packet = Packet::new(frame, self.now(), LinkType::ETHERNET);
        packet.meta_mut().number = self.number;
        self.table.process([packet], &mut self.seen);
    }

    /// Advances the time.
    pub(crate) fn wait(&mut self, millis: u64) {
        self.clock += millis;
        self.table.advance(self.now(), &mut self.seen);
    }

    pub(crate) fn finish(&mut self) {
        self.table.finish(&mut self.seen);
    }

    /// The number of packets with a defect.
    pub(crate) fn discarded(&self, defect: Defect) -> u64 {
        self.table.statistics().discarded.packets(defect)
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.clock * 1_000_000)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl FlowHandler<FiveTupleKey> for Seen {
    fn on_start(&mut self, _: &Flow<'_, FiveTupleKey>) {
        self.flows += 1;
    }

    fn on_data(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        if side == FlowSide::Initiator {
            self.text.push_str(&text(data.bytes));
        }
    }

    fn on_gap(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, gap: Gap) {
        if side == FlowSide::Initiator {
            self.text.extend((0..gap.len).map(|_| '_'));
            self.gaps.push((gap.offset, gap.len, gap.cause));
        }
    }

    fn on_late(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        self.late.push((data.offset, text(data.bytes)));
    }

    fn on_repeat(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        self.repeats.push((data.offset, text(data.bytes)));
    }

    fn on_conflict(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowSide, conflict: Conflict<'_>) {
        let Conflict { offset, kept, discarded, .. } = conflict;
        self.conflicts.push((offset, text(kept), text(discarded)));
        let Conflict { kept_packet_number, discarded_packet_number, .. } = conflict;
        self.conflict_packets.push((kept_packet_number, discarded_packet_number));
    }

    fn on_unplaced(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowSide, unplaced: Unplaced<'_>) {
        self.unplaced.push((text(unplaced.bytes), unplaced.cause));
    }
}
