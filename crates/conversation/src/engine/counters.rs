//! Counters of an engine.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use flow::{Flow, FlowSide, Gap, GapCause, TableStatistics};

use crate::api::statistics::{GapTotals, Gaps, Statistics};
use crate::engine::observe;

/// Counters of one engine, written by its thread alone.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) packets: Counter,
    pub(crate) conversations: Counter,
    pub(crate) datagram_flows: Counter,
    pub(crate) rejected: Counter,
    pub(crate) unselected: Counter,
    pub(crate) undecided_accepted: Counter,
    pub(crate) undecided_dropped: Counter,
    pub(crate) held_bytes: Counter,
    pub(crate) refused: Counter,
    pub(crate) evicted: Counter,
    pub(crate) overruns: Counter,
    pub(crate) bytes: Counter,
    pub(crate) gap_bytes: Counter,
    pub(crate) late_bytes: Counter,
    pub(crate) unplaced_bytes: Counter,
    pub(crate) conflicts: Counter,
    pub(crate) dropped_bytes: Counter,
    pub(crate) missed_events: Counter,
    pub(crate) messages: Counter,
    pub(crate) poisoned_parsers: Counter,
    pub(crate) flows: Counter,
    /// By cause, as [`gap_place`] numbers them: how many, and their bytes.
    gaps: [(Counter, Counter); 8],
    source: Mutex<ring_core::Statistics>,
    table: Mutex<TableStatistics>,
}

/// A total with one writer.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Called by the engine's thread only, so no read-modify-write is needed.
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    fn total(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counters {
    pub(crate) fn set_source(&self, statistics: ring_core::Statistics) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = statistics;
    }

    pub(crate) fn set_table(&self, statistics: TableStatistics) {
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = statistics;
    }

    /// A flow began; it is announced if there is room for it.
    pub(crate) fn began<K: fmt::Debug>(&self, flow: &Flow<'_, K>, announced: bool) {
        observe::flow_started(flow);
        if announced { self.conversations.add(1) } else { self.refused.add(1) }
    }

    /// Bytes of a flow were not captured.
    pub(crate) fn gap<K: fmt::Debug>(&self, flow: &Flow<'_, K>, side: FlowSide, gap: &Gap) {
        observe::gap(flow, side, gap);
        let (count, bytes) = &self.gaps[gap_place(gap.cause)];
        count.add(1);
        bytes.add(gap.len);
        self.gap_bytes.add(gap.len);
    }

    /// Everything but the depths of the queues.
    pub(crate) fn snapshot(&self) -> Statistics {
        let place = |place: usize| {
            let (count, bytes) = &self.gaps[place];
            GapTotals { count: count.total(), bytes: bytes.total() }
        };
        let gap = |cause| place(gap_place(cause));
        Statistics {
            source: *self.source.lock().unwrap_or_else(PoisonError::into_inner),
            table: *self.table.lock().unwrap_or_else(PoisonError::into_inner),
            packets: self.packets.total(),
            flows: self.flows.total(),
            conversations: self.conversations.total(),
            datagram_flows: self.datagram_flows.total(),
            rejected: self.rejected.total(),
            unselected: self.unselected.total(),
            undecided_accepted: self.undecided_accepted.total(),
            undecided_dropped: self.undecided_dropped.total(),
            held_bytes: self.held_bytes.total(),
            refused: self.refused.total(),
            evicted: self.evicted.total(),
            overruns: self.overruns.total(),
            bytes: self.bytes.total(),
            gap_bytes: self.gap_bytes.total(),
            gaps: Gaps {
                acknowledged: gap(GapCause::Acknowledged),
                limit: gap(GapCause::Limit),
                timeout: gap(GapCause::Timeout),
                end: gap(GapCause::End),
                truncated: gap(GapCause::Truncated),
                outage: gap(GapCause::Outage),
                out_of_band: gap(GapCause::OutOfBand),
                other: place(OTHER),
            },
            late_bytes: self.late_bytes.total(),
            unplaced_bytes: self.unplaced_bytes.total(),
            conflicts: self.conflicts.total(),
            dropped_bytes: self.dropped_bytes.total(),
            missed_events: self.missed_events.total(),
            messages: self.messages.total(),
            poisoned_parsers: self.poisoned_parsers.total(),
            queued_bytes: 0,
            waiting: 0,
        }
    }
}

/// The place of the counters of all other causes.
const OTHER: usize = 5;

/// The place of a cause's counters.
const fn gap_place(cause: GapCause) -> usize {
    match cause {
        GapCause::Acknowledged => 0,
        GapCause::Limit => 1,
        GapCause::Timeout => 2,
        GapCause::End => 3,
        GapCause::Truncated => 4,
        GapCause::OutOfBand => 6,
        GapCause::Outage => 7,
        // A slow reader's gaps are counted as bytes dropped.
        _ => OTHER,
    }
}
