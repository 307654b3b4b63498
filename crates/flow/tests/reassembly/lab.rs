//! A table, a wire on which tests send segments, and a record of the table's events.

use std::fmt::Write as _;
use std::time::Duration;

use flow::{
    Conflict, Data, Datagram, EndReason, FirstPacket, FiveTuple, FiveTupleKey, Flow, FlowHandler,
    FlowId, FlowRecord, FlowSide, FlowTable, FlowTableBuilder, Gap, GapCause, LinkType, Packet,
    Timestamp, Unplaced, UnplacedCause,
};

pub(crate) use crate::segments::{Client, Host, Server, segment};
pub(crate) use flow::FlowSide::{Initiator, Responder};

/// The initial sequence numbers.
pub(crate) const C: u32 = 1_000;
pub(crate) const S: u32 = 5_000;

pub(crate) struct Lab {
    pub(crate) table: FlowTable<FiveTuple>,
    pub(crate) seen: Seen,
    /// Milliseconds.
    pub(crate) clock: u64,
    pub(crate) number: u64,
    /// The window that every segment announces.
    pub(crate) window: u16,
    /// The snap length of the capture, in bytes.
    pub(crate) snaplen: usize,
}

/// The events that the handler received.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) flows: Vec<FlowSeen>,
    /// `true` to refuse flows.
    pub(crate) refuses: bool,
    /// The number of calls of `admits`.
    pub(crate) asked: u32,
    /// Offsets that were acknowledged before they were captured.
    pub(crate) awaited: Vec<(FlowSide, u64)>,
    /// Offsets of bytes that depend on others, and the offset they depend on.
    pub(crate) awaiting: Vec<(FlowSide, u64, u64)>,
    pub(crate) datagrams: u64,
}

pub(crate) struct FlowSeen {
    pub(crate) id: FlowId,
    sides: [SideSeen; 2],
    pub(crate) end: Option<FlowRecord<FiveTupleKey>>,
    pub(crate) interim: Vec<FlowRecord<FiveTupleKey>>,
}

#[derive(Default)]
pub(crate) struct SideSeen {
    /// The stream: bytes as they are, `[3 acknowledged]` for a gap, `$` for the FIN.
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) gaps: Vec<Gap>,
    /// Packet numbers of the pieces of data.
    pub(crate) numbers: Vec<u64>,
    /// Their time stamps, in milliseconds.
    pub(crate) times: Vec<u64>,
    next: u64,
    fin: Option<u64>,
    /// Bytes that were delivered before.
    pub(crate) repeats: Vec<(u64, Vec<u8>)>,
    /// The numbers of their packets.
    pub(crate) repeat_numbers: Vec<u64>,
    pub(crate) late: Vec<(i64, Vec<u8>)>,
    /// Sequence numbers, bytes and causes of unplaced segments.
    pub(crate) unplaced: Vec<(u32, Vec<u8>, UnplacedCause)>,
    /// Offset, kept bytes, discarded bytes.
    pub(crate) conflicts: Vec<(u64, Vec<u8>, Vec<u8>)>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(
        set_up: impl FnOnce(FlowTableBuilder<FiveTuple>) -> FlowTableBuilder<FiveTuple>,
    ) -> Self {
        Self {
            table: set_up(FlowTable::builder(FiveTuple::bidirectional())).build(),
            seen: Seen::default(),
            clock: 1_700_000_000_000,
            number: 0,
            window: 60_000,
            snaplen: usize::MAX,
        }
    }

    /// Opens a connection and completes the handshake.
    pub(crate) fn open() -> Self {
        let mut lab = Self::new();
        lab.handshake(C, S);
        lab
    }

    pub(crate) fn handshake(&mut self, client: u32, server: u32) {
        self.send(Client, client, 0, "S", "");
        self.send(Server, server, client.wrapping_add(1), "SA", "");
        self.send(Client, client.wrapping_add(1), server.wrapping_add(1), "A", "");
    }

    /// Sends a segment, a millisecond after the previous one. Control bits are letters of `SAFRP`.
    pub(crate) fn send(
        &mut self,
        from: Host,
        sequence: u32,
        acknowledgement: u32,
        flags: &str,
        payload: &str,
    ) {
        let frame =
            segment(from, sequence, acknowledgement, flags, self.window, payload.as_bytes());
        self.frame(&frame);
    }

    pub(crate) fn frame(&mut self, frame: &[u8]) {
        self.clock += 1;
        self.number += 1;
        let mut packet = Packet::new(frame, self.now(), LinkType::IPV4);
        packet.meta_mut().number = self.number;
        packet = packet.with_data(&frame[..frame.len().min(self.snaplen)]);
        self.table.process([packet], &mut self.seen);
    }

    /// Sends payload of the client at a stream offset, in an open connection.
    pub(crate) fn client(&mut self, offset: u32, payload: &str) {
        self.send(Client, C.wrapping_add(1).wrapping_add(offset), S + 1, "A", payload);
    }

    /// Sends an acknowledgement by the server up to this offset of the client's stream.
    pub(crate) fn acknowledge(&mut self, offset: u32) {
        self.send(Server, S + 1, C.wrapping_add(1).wrapping_add(offset), "A", "");
    }

    /// Advances the time.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.clock += time.as_millis() as u64;
        self.table.advance(self.now(), &mut self.seen);
    }

    /// Advances the clock by the time in which a fast link brings this number of bytes.
    pub(crate) fn miss(&mut self, bytes: u32) {
        self.clock += u64::from(bytes) / 50_000_000;
    }

    pub(crate) fn finish(&mut self) {
        self.table.finish(&mut self.seen);
        assert!(self.table.is_empty());
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.clock * 1_000_000)
    }

    pub(crate) fn side(&self, flow: usize, side: FlowSide) -> &SideSeen {
        &self.seen.flows[flow].sides[side as usize]
    }

    /// The stream of the first flow's initiator.
    pub(crate) fn text(&self) -> &str {
        &self.side(0, Initiator).text
    }

    pub(crate) fn reason(&self, flow: usize) -> Option<EndReason> {
        self.seen.flows[flow].end.as_ref().map(|record| record.reason)
    }
}

impl Seen {
    fn side(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide) -> &mut SideSeen {
        let seen = self.flows.iter_mut().rev().find(|seen| seen.id == flow.id);
        let seen = seen.expect("an event of a flow that never started");
        assert!(seen.end.is_none(), "an event after the end");
        let seen = &mut seen.sides[side as usize];
        assert!(seen.fin.is_none(), "an event after the FIN");
        seen
    }
}

impl FlowHandler<FiveTupleKey> for Seen {
    fn admits(&mut self, _: &Flow<'_, FiveTupleKey>, _: &FirstPacket<'_>) -> bool {
        self.asked += 1;
        !self.refuses
    }

    fn on_ack_ahead(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, offset: u64) {
        self.awaited.push((side, offset));
    }

    fn on_start(&mut self, flow: &Flow<'_, FiveTupleKey>) {
        assert!(!self.flows.iter().any(|seen| seen.id == flow.id), "started twice");
        self.flows.push(FlowSeen {
            id: flow.id,
            sides: Default::default(),
            end: None,
            interim: Vec::new(),
        });
    }

    fn on_data(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        let seen = self.side(flow, side);
        assert_eq!(data.offset, seen.next, "data does not follow what came before");
        assert!(!data.bytes.is_empty());
        let awaiting = (side, data.offset, data.depends_on);
        seen.next += data.bytes.len() as u64;
        seen.text.push_str(&String::from_utf8_lossy(data.bytes));
        seen.bytes.extend(data.bytes);
        seen.numbers.push(data.packet_number);
        seen.times.push(data.timestamp.as_nanos() / 1_000_000);
        if data.depends_on > 0 {
            self.awaiting.push(awaiting);
        }
    }

    fn on_gap(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, gap: Gap) {
        let seen = self.side(flow, side);
        assert_eq!(gap.offset, seen.next, "a gap does not follow what came before");
        assert!(gap.len > 0);
        seen.next += gap.len;
        let cause = match gap.cause {
            GapCause::Acknowledged => "acknowledged",
            GapCause::Limit => "limit",
            GapCause::Timeout => "timeout",
            GapCause::End => "end",
            GapCause::Truncated => "truncated",
            GapCause::Outage => "outage",
            _ => "?",
        };
        let _ = write!(seen.text, "[{} {cause}]", gap.len);
        seen.gaps.push(gap);
    }

    fn on_late(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        let flow = self.flows.iter_mut().rev().find(|seen| seen.id == flow.id);
        let flow = flow.expect("an event of a flow that never started");
        flow.sides[side as usize].late.push((data.offset.cast_signed(), data.bytes.to_vec()));
    }

    fn on_repeat(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        let flow = self.flows.iter_mut().rev().find(|seen| seen.id == flow.id);
        let flow = flow.expect("an event of a flow that never started");
        assert!(!data.bytes.is_empty());
        let seen = &mut flow.sides[side as usize];
        seen.repeats.push((data.offset, data.bytes.to_vec()));
        seen.repeat_numbers.push(data.packet_number);
    }

    fn on_conflict(
        &mut self,
        flow: &Flow<'_, FiveTupleKey>,
        side: FlowSide,
        conflict: Conflict<'_>,
    ) {
        assert_eq!(conflict.kept.len(), conflict.discarded.len());
        assert_ne!(conflict.kept, conflict.discarded);
        self.side(flow, side).conflicts.push((
            conflict.offset,
            conflict.kept.to_vec(),
            conflict.discarded.to_vec(),
        ));
    }

    fn on_unplaced(
        &mut self,
        flow: &Flow<'_, FiveTupleKey>,
        side: FlowSide,
        unplaced: Unplaced<'_>,
    ) {
        let flow = self.flows.iter_mut().rev().find(|seen| seen.id == flow.id);
        let flow = flow.expect("an event of a flow that never started");
        assert!(flow.end.is_none(), "an event after the end");
        assert!(!unplaced.bytes.is_empty());
        flow.sides[side as usize].unplaced.push((
            unplaced.sequence,
            unplaced.bytes.to_vec(),
            unplaced.cause,
        ));
    }

    fn on_fin(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, offset: u64) {
        let seen = self.side(flow, side);
        assert_eq!(offset, seen.next);
        seen.fin = Some(offset);
        seen.text.push('$');
    }

    fn on_datagram(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowSide, _: Datagram<'_>) {
        self.datagrams += 1;
    }

    fn on_record(&mut self, flow: &Flow<'_, FiveTupleKey>, record: &FlowRecord<FiveTupleKey>) {
        let seen = self.flows.iter_mut().rev().find(|seen| seen.id == flow.id);
        seen.expect("a record of a flow that never started").interim.push(record.clone());
    }

    fn on_end(&mut self, flow: &Flow<'_, FiveTupleKey>, record: &FlowRecord<FiveTupleKey>) {
        let seen = self.flows.iter_mut().rev().find(|seen| seen.id == flow.id);
        let seen = seen.expect("the end of a flow that never started");
        assert!(seen.end.replace(record.clone()).is_none(), "ended twice");
        if flow.protocol != flow::protocol::TCP {
            return;
        }
        for (seen, side) in seen.sides.iter().zip([Initiator, Responder]) {
            let counters = record.side(side);
            assert_eq!(counters.delivered_bytes, seen.bytes.len() as u64);
            assert_eq!(counters.gap_bytes, seen.gaps.iter().map(|gap| gap.len).sum::<u64>());
        }
    }
}
