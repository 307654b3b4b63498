//! Checks that no byte is lost silently. For any packets, each captured payload byte of a TCP flow
//! must be passed to the handler exactly once, and the bytes of a direction must follow each other
//! without a hole.
//!
//! There is no expected stream here.

use std::collections::HashMap;
use std::time::Duration;

use flow::{
    Conflict, Data, Defect, FiveTuple, FiveTupleKey, Flow, FlowExtractor as _, FlowHandler, FlowId,
    FlowRecord, FlowSide, FlowTable, Gap, OverlapPolicy, Packet, Parsed, Scope, TableStatistics,
    Timestamp, Unplaced, protocol,
};

/// A table, and its events.
pub struct Ledger {
    table: FlowTable<FiveTuple>,
    told: Told,
    /// Bytes that no packet brought to a flow that had ended: a segment in quarantine, placed when
    /// time passed or the capture ended, ended its flow, and others waited behind it.
    late_after_end: u64,
}

#[derive(Default)]
struct Told {
    packets: Vec<Account>,
    /// For each flow and side, the next offset, and `true` once the FIN was reported.
    streams: HashMap<(FlowId, FlowSide), (u64, bool)>,
    open: HashMap<FlowId, FiveTupleKey>,
    /// Bytes delivered, late, repeated and unplaced.
    kinds: [u64; 4],
}

/// The payload bytes of a packet: the expected number, and the number reported so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Account {
    due: u64,
    told: u64,
}

impl Ledger {
    /// Each bit of `options` is an option of the table.
    pub fn new(options: u8) -> Self {
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
            builder = builder.overlap_policy(OverlapPolicy::Last);
        }
        if options & 16 != 0 {
            builder = builder.overlap_policy(OverlapPolicy::Linux);
        }
        Self { table: builder.build(), told: Told::default(), late_after_end: 0 }
    }

    /// Passes a packet with the next number to the table. The expected payload is that of the
    /// parser, without the table.
    ///
    /// # Panics
    /// If the handler's contract is broken.
    pub fn pass(&mut self, mut packet: Packet<'_>) {
        self.told.packets.push(Account::default());
        packet.meta_mut().number = self.told.packets.len() as u64;
        let before = self.table.statistics();
        self.table.process([packet], &mut self.told);
        let after = self.table.statistics();
        let Ok(Parsed::Transport(headers)) = flow::parse(&packet) else { return };
        if headers.protocol != protocol::TCP {
            return;
        }
        let key = FiveTuple::bidirectional().extract(&packet, &headers).map(|(key, _)| key);
        // Scopes of different parsers cannot be compared.
        let is_open = headers.scope == Scope::NONE
            && self.told.open.values().any(|open| key.is_some_and(|key| key == *open));
        let account = self.told.packets.last_mut().expect("pushed above");
        account.due = u64::from(headers.payload_len);
        let after_end = after.after_end_bytes - before.after_end_bytes;
        account.told += after_end;
        // A reset, or a packet that every host discards, opens no flow.
        let opens_none = after.orphan_resets > before.orphan_resets
            || (discarded(&after) > discarded(&before) && account.told == 0);
        if opens_none && !is_open {
            account.due = 0;
        }
    }

    /// Advances the time.
    #[allow(dead_code)] // Captures bring times of their own.
    pub fn advance(&mut self, now: Timestamp) {
        let before = self.table.statistics().after_end_bytes;
        self.table.advance(now, &mut self.told);
        self.late_after_end += self.table.statistics().after_end_bytes - before;
    }

    /// Ends the capture and checks the totals. Returns the number of payload bytes.
    ///
    /// # Panics
    /// If a byte is unaccounted for.
    pub fn finish(mut self) -> u64 {
        let before = self.table.statistics().after_end_bytes;
        self.table.finish(&mut self.told);
        let statistics = self.table.statistics();
        let late_after_end = self.late_after_end + statistics.after_end_bytes - before;
        let wrong = (1..).zip(&self.told.packets);
        let wrong: Vec<_> = wrong.filter(|(_, account)| account.due != account.told).collect();
        let missing: u64 =
            wrong.iter().map(|(_, account)| account.due.saturating_sub(account.told)).sum();
        let right = missing == late_after_end
            && wrong.iter().all(|(_, account)| account.due > account.told);
        assert!(right, "bytes due and told, by packet: {wrong:?}, {statistics:?}");
        assert_eq!(statistics.pending_bytes, 0);
        assert!(self.told.open.is_empty(), "a flow did not end");
        let [delivered, late, repeated, unplaced] = self.told.kinds;
        assert_eq!(statistics.delivered_bytes, delivered);
        assert_eq!(statistics.late_bytes, late);
        assert_eq!(statistics.repeated_bytes, repeated);
        assert_eq!(statistics.unplaced_bytes, unplaced);
        self.told.packets.iter().map(|account| account.due).sum()
    }
}

/// The number of packets discarded immediately. Those with other defects are held back in their
/// flow.
fn discarded(statistics: &TableStatistics) -> u64 {
    let held =
        [Defect::TooLong, Defect::Timestamp, Defect::Acknowledgement, Defect::Path, Defect::Window];
    let held: u64 = held.into_iter().map(|defect| statistics.discarded.packets(defect)).sum();
    statistics.discarded.total() - held
}

impl FlowHandler<FiveTupleKey> for Told {
    fn on_start(&mut self, flow: &Flow<'_, FiveTupleKey>) {
        assert!(self.open.insert(flow.id, *flow.key).is_none(), "started twice");
    }

    fn on_data(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        self.advance(flow, side, data.offset, data.bytes.len() as u64);
        self.count(flow, 0, data.bytes, data.packet_number);
    }

    fn on_gap(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, gap: Gap) {
        assert!(gap.len > 0);
        self.advance(flow, side, gap.offset, gap.len);
    }

    fn on_late(&mut self, flow: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        self.count(flow, 1, data.bytes, data.packet_number);
    }

    fn on_repeat(&mut self, flow: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        self.count(flow, 2, data.bytes, data.packet_number);
    }

    fn on_conflict(&mut self, flow: &Flow<'_, FiveTupleKey>, _: FlowSide, conflict: Conflict<'_>) {
        assert_ne!(conflict.kept, conflict.discarded);
        assert!(self.open.contains_key(&flow.id), "an event after the end");
        self.account(conflict.discarded_packet_number).told += conflict.discarded.len() as u64;
    }

    fn on_unplaced(&mut self, flow: &Flow<'_, FiveTupleKey>, _: FlowSide, unplaced: Unplaced<'_>) {
        self.count(flow, 3, unplaced.bytes, unplaced.packet_number);
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
    fn count(&mut self, flow: &Flow<'_, FiveTupleKey>, kind: usize, bytes: &[u8], number: u64) {
        assert!(self.open.contains_key(&flow.id), "an event after the end");
        assert!(!bytes.is_empty());
        self.account(number).told += bytes.len() as u64;
        self.kinds[kind] += bytes.len() as u64;
    }

    fn account(&mut self, number: u64) -> &mut Account {
        &mut self.packets[number as usize - 1]
    }

    fn advance(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, offset: u64, len: u64) {
        let stream = self.streams.entry((flow.id, side)).or_default();
        assert!(!stream.1, "bytes after the FIN");
        assert_eq!(stream.0, offset, "a hole or an overlap");
        stream.0 += len;
    }
}
