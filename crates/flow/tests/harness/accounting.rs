//! The promise that nothing is lost in silence, as a property: whatever segments come, each captured payload byte of a flow
//! is passed to the handler exactly once, and the bytes of a direction follow each other without a hole.
//!
//! A script of bytes is read as a list of segments of two hosts in several sequence spaces: a connection that goes on, jumps
//! of any length, copies from another side of a middlebox, forged SYNs, FINs and resets, reused ports, cut packets, and time.
//! Nothing says what the right stream is; the models of [`reassembly`](super::reassembly) do that for one connection.

use std::collections::HashMap;
use std::time::Duration;

use flow::{
    Conflict, Data, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowId, FlowRecord, FlowSide,
    FlowTable, Gap, LinkType, Packet, Timestamp, Unplaced,
};

use super::segments::{Client, Server, segment};

/// Runs a script.
///
/// # Panics
/// If a byte is unaccounted for, or the handler's contract is broken.
pub(crate) fn check(script: &[u8]) {
    let mut script = script.iter().copied();
    let Some(options) = script.next() else { return };
    let mut ledger = Ledger::new(options);
    let mut wire = Wire::default();
    while let Some(code) = script.next() {
        wire.step(code, &mut script, &mut ledger);
    }
    ledger.finish();
}

/// A table, and what it made of the packets.
pub(crate) struct Ledger {
    table: FlowTable<FiveTuple>,
    told: Told,
    captured: u64,
    number: u64,
    clock: u64,
}

#[derive(Default)]
struct Told {
    bytes: u64,
    /// By flow and side: the next offset, and whether the FIN was told.
    streams: HashMap<(FlowId, FlowSide), (u64, bool)>,
    open: HashMap<FlowId, ()>,
    /// Payload of the present packet, by flow: only what came in the packet, or before, may be told.
    records: [u64; 4],
}

impl Ledger {
    /// Options of the table are bits.
    pub(crate) fn new(options: u8) -> Self {
        let mut builder = FlowTable::builder(FiveTuple::bidirectional())
            .hole_timeout(Duration::from_secs(20))
            .idle_expiry(options & 1 != 0);
        if options & 2 != 0 {
            builder = builder.grace(0, Duration::ZERO).pickup_grace(0, Duration::ZERO);
        }
        if options & 4 != 0 {
            builder = builder.quarantine_limit(2_000, 3_000).direction_limit(3_000, 8);
        }
        if options & 8 != 0 {
            builder = builder.overlap_policy(flow::OverlapPolicy::Last);
        }
        Self {
            table: builder.build(),
            told: Told::default(),
            captured: 0,
            number: 0,
            clock: 1_000_000_000_000,
        }
    }

    /// Puts an IP packet with `payload` captured bytes of TCP payload on the wire.
    pub(crate) fn put(&mut self, data: &[u8], wire_len: usize, link_type: LinkType, payload: u64) {
        self.number += 1;
        self.clock += 1_000_000;
        let mut packet = Packet::new(data, Timestamp::from_nanos(self.clock), link_type);
        packet.wire_len = wire_len as u32;
        packet.number = self.number;
        let before = self.table.statistics();
        self.table.process([packet], &mut self.told);
        let after = self.table.statistics();
        // A reset, or a packet that every host discards, opens no flow.
        let discarded = after.invalid_flags > before.invalid_flags
            && after.unplaced_bytes + after.after_end_bytes
                == before.unplaced_bytes + before.after_end_bytes;
        if after.orphan_resets == before.orphan_resets && !discarded {
            self.captured += payload;
        }
    }

    /// Lets milliseconds pass.
    pub(crate) fn wait(&mut self, time: u64) {
        self.clock += time * 1_000_000;
        self.table.advance(Timestamp::from_nanos(self.clock), &mut self.told);
    }

    /// Ends the capture and adds up.
    ///
    /// # Panics
    /// If a byte is unaccounted for.
    pub(crate) fn finish(mut self) {
        self.table.finish(&mut self.told);
        let statistics = self.table.statistics();
        assert_eq!(
            self.told.bytes + statistics.after_end_bytes,
            self.captured,
            "bytes that came and bytes that were told: {statistics:?}"
        );
        assert_eq!(statistics.pending_bytes, 0);
        assert!(self.told.open.is_empty(), "a flow did not end");
        let [delivered, late, repeated, unplaced] = self.told.records;
        assert_eq!(statistics.delivered_bytes, delivered);
        assert_eq!(statistics.late_bytes, late);
        assert_eq!(statistics.repeated_bytes, repeated);
        assert_eq!(statistics.unplaced_bytes, unplaced);
    }
}

impl FlowHandler<FiveTupleKey> for Told {
    fn on_start(&mut self, flow: &Flow<'_, FiveTupleKey>) {
        assert!(self.open.insert(flow.id, ()).is_none(), "started twice");
    }

    fn on_data(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        self.advance(flow, side, data.offset, data.bytes.len() as u64);
        self.count(flow, 0, data.bytes);
    }

    fn on_gap(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, gap: Gap) {
        assert!(gap.len > 0);
        self.advance(flow, side, gap.offset, gap.len);
    }

    fn on_late(&mut self, flow: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        self.count(flow, 1, data.bytes);
    }

    fn on_repeat(&mut self, flow: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        self.count(flow, 2, data.bytes);
    }

    fn on_conflict(&mut self, flow: &Flow<'_, FiveTupleKey>, _: FlowSide, conflict: Conflict<'_>) {
        assert_ne!(conflict.kept, conflict.discarded);
        assert!(self.open.contains_key(&flow.id));
        self.bytes += conflict.discarded.len() as u64;
    }

    fn on_unplaced(&mut self, flow: &Flow<'_, FiveTupleKey>, _: FlowSide, unplaced: Unplaced<'_>) {
        self.count(flow, 3, unplaced.bytes);
    }

    fn on_fin(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, offset: u64) {
        let stream = self.streams.entry((flow.id, side)).or_default();
        assert!(!stream.1, "two FINs");
        assert_eq!(stream.0, offset);
        stream.1 = true;
    }

    fn on_end(&mut self, flow: &Flow<'_, FiveTupleKey>, _: &FlowRecord<FiveTupleKey>) {
        assert!(self.open.remove(&flow.id).is_some(), "ended twice");
    }
}

impl Told {
    fn count(&mut self, flow: &Flow<'_, FiveTupleKey>, kind: usize, bytes: &[u8]) {
        assert!(self.open.contains_key(&flow.id), "an event after the end");
        assert!(!bytes.is_empty());
        self.bytes += bytes.len() as u64;
        self.records[kind] += bytes.len() as u64;
    }

    fn advance(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, offset: u64, len: u64) {
        let stream = self.streams.entry((flow.id, side)).or_default();
        assert!(!stream.1, "bytes after the FIN");
        assert_eq!(stream.0, offset, "a hole or an overlap");
        stream.0 += len;
    }
}

/// Two hosts, and where they are in their sequence spaces.
#[derive(Default)]
struct Wire {
    next: [u32; 2],
    /// The second sequence space is this far from the first.
    shift: [u32; 2],
    now: usize,
}

/// How far a host may jump.
const JUMPS: [u32; 8] =
    [1, 700, 100_000, 3_000_000, 50_000_000, 1 << 30, 2_500_000_000, u32::MAX - 5_000];

impl Wire {
    fn step(&mut self, code: u8, script: &mut impl Iterator<Item = u8>, ledger: &mut Ledger) {
        let mut byte = || script.next().unwrap_or(0);
        let side = usize::from(code >> 7);
        let host = [Client, Server][side];
        let other = 1 - side;
        let shifted = code & 0x40 != 0;
        let shift = |this: usize, wire: &Self| if shifted { wire.shift[this] } else { 0 };
        let sequence = self.next[side].wrapping_add(shift(side, self));
        let acknowledgement = self.next[other].wrapping_add(shift(other, self));
        let mut len = usize::from(byte() % 100);
        let (mut sequence, mut flags) = (sequence, "A");
        match code & 0x1f {
            0..=7 => self.next[side] = self.next[side].wrapping_add(len as u32),
            8 => sequence = sequence.wrapping_sub(u32::from(byte())),
            9 => sequence = sequence.wrapping_add(u32::from(byte()) * 8),
            10 => sequence = sequence.wrapping_add(JUMPS[usize::from(byte() & 7)]),
            11 => {
                let jump = JUMPS[usize::from(byte() & 7)];
                self.next[side] = self.next[side].wrapping_add(jump);
                len = 0;
            }
            12 => self.shift[side] = JUMPS[usize::from(byte() & 7)].wrapping_mul(3),
            13 | 14 => {
                flags = "FA";
                self.next[side] = self.next[side].wrapping_add(len as u32 + 1);
            }
            15 => flags = "FA",
            16 => flags = if byte() & 1 == 0 { "R" } else { "RA" },
            17 | 18 => {
                flags = if code & 0x20 == 0 { "S" } else { "SA" };
                if byte() & 1 == 0 {
                    self.next[side] = u32::from(byte()) << 24 | u32::from(byte());
                }
                sequence = self.next[side].wrapping_sub(1);
                len = len.saturating_sub(80);
            }
            19 => {
                let scale = [1, 100, 3_000, 30_000, 200_000][usize::from(byte() % 5)];
                ledger.wait(u64::from(byte()) * scale);
                return;
            }
            20 => {
                sequence = sequence.wrapping_sub(1);
                len = 1;
            }
            21 => flags = "PA",
            22 => flags = "SF",
            _ => len = 0,
        }
        let acknowledgement = if code & 0x20 == 0 || flags == "SA" {
            acknowledgement
        } else {
            acknowledgement.wrapping_add(JUMPS[usize::from(byte() & 7)])
        };
        self.now += 1;
        let payload: Vec<u8> =
            (0..len).map(|at| (at + self.now * usize::from(code & 1)) as u8).collect();
        let frame = segment(host, sequence, acknowledgement, flags, 60_000, &payload);
        let captured = if code % 11 == 3 { 40 + len / 2 } else { frame.len() };
        ledger.put(&frame[..captured], frame.len(), LinkType::IPV4, (captured - 40) as u64);
    }
}
