//! What an engine counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Counters of one engine, written by its thread alone.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) packets: Counter,
    pub(crate) conversations: Counter,
    pub(crate) rejected: Counter,
    pub(crate) refused: Counter,
    pub(crate) evicted: Counter,
    pub(crate) overruns: Counter,
    pub(crate) bytes: Counter,
    pub(crate) gap_bytes: Counter,
    pub(crate) dropped_bytes: Counter,
    pub(crate) flows: Counter,
    source: Mutex<ring_core::Statistics>,
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

    pub(crate) fn snapshot(&self, queued_bytes: usize) -> Statistics {
        Statistics {
            source: *self.source.lock().unwrap_or_else(PoisonError::into_inner),
            packets: self.packets.total(),
            flows: self.flows.total(),
            conversations: self.conversations.total(),
            rejected: self.rejected.total(),
            refused: self.refused.total(),
            evicted: self.evicted.total(),
            overruns: self.overruns.total(),
            bytes: self.bytes.total(),
            gap_bytes: self.gap_bytes.total(),
            dropped_bytes: self.dropped_bytes.total(),
            queued_bytes: queued_bytes as u64,
        }
    }
}

impl Statistics {
    /// Adds what another engine of the same stream did.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.source += other.source;
        self.packets += other.packets;
        self.flows += other.flows;
        self.conversations += other.conversations;
        self.rejected += other.rejected;
        self.refused += other.refused;
        self.evicted += other.evicted;
        self.overruns += other.overruns;
        self.bytes += other.bytes;
        self.gap_bytes += other.gap_bytes;
        self.dropped_bytes += other.dropped_bytes;
        self.queued_bytes += other.queued_bytes;
    }
}

/// What an engine did so far. Totals never decrease; `flows` and `queued_bytes` are of this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// What the source counted, kernel drops among it; read at least every half second.
    pub source: ring_core::Statistics,
    /// Packets that went through the flow table.
    pub packets: u64,
    /// Flows in the table now.
    pub flows: u64,
    /// Conversations announced.
    pub conversations: u64,
    /// Conversations that the program's own predicate did not admit.
    pub rejected: u64,
    /// Conversations that were not announced because too many waited to be taken, or went on.
    pub refused: u64,
    /// Conversations that were ended to make room for others.
    pub evicted: u64,
    /// Conversations that were given up because their reader was too slow.
    pub overruns: u64,
    /// Bytes of streams that were reassembled.
    pub bytes: u64,
    /// Bytes of streams that were not captured.
    pub gap_bytes: u64,
    /// Bytes that were dropped because their reader was too slow.
    pub dropped_bytes: u64,
    /// Bytes that wait for readers now, with what their entries cost.
    pub queued_bytes: u64,
}
