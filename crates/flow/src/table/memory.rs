//! The limit of the table's memory.

use crate::slot::{Cold, Observed, Slot, State};
use crate::timer::Wheel;
use crate::{EndReason, FlowExtractor, FlowHandler, FlowTable};

/// The part of the limit that always remains for pending bytes: one in this many.
const PENDING_SHARE: usize = 16;
/// The part of the limit that is worth the end of flows: one in this many. What flows take beyond
/// their slots may be little, and slots are not returned.
const WORTHWHILE: usize = 32;
/// Attempts to end a flow after a batch of packets, so that the next one does not wait long.
const AT_ONCE: u64 = 1024;
/// Further attempts for each packet of the batch. A packet may begin a flow in a slot that is free,
/// or make the caller keep more of a flow: with a limit that did not depend on the number of
/// packets, a large batch would add more than is taken away after it.
const PER_PACKET: u64 = 2;
/// Slots that are examined to find such a flow.
const CANDIDATES: u32 = 16;

/// The memory of the caller.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Bytes for each flow that goes on, on average.
    each_flow: usize,
    /// Bytes besides.
    besides: usize,
}

/// The part of the limit that flows share with bytes that are pending or remembered. The rest is
/// for flows alone.
const fn shared(limit: usize) -> usize {
    limit / 5 * 4
}

impl<E: FlowExtractor> FlowTable<E> {
    /// The memory of a slot, without its share of the index.
    const fn slot_bytes(&self) -> usize {
        let observed = if self.config.header_fields { size_of::<[Observed; 2]>() } else { 0 };
        size_of::<Slot>() + size_of::<Cold<E::Key>>() + Wheel::SLOT_BYTES + observed
    }

    /// Reports the memory that the caller keeps: for each flow that goes on, on average, and
    /// besides. It counts towards the [memory limit](crate::FlowTableBuilder::memory_limit).
    pub const fn note_memory(&mut self, each_flow: usize, besides: usize) {
        self.memory.each_flow = each_flow;
        self.memory.besides = besides;
    }

    /// The memory in use for flows, with what the caller keeps for [each](Self::note_memory), and
    /// for pending and remembered bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        let delivered = self.delivered.as_ref().map_or(0, |delivered| delivered.bytes());
        self.flow_bytes() + self.reassemblies.free_bytes() + self.reassemblies.bytes() + delivered
    }

    /// The memory of flows. Slots that are free are not returned, so they count.
    fn flow_bytes(&self) -> usize {
        self.slots.len() * self.slot_bytes()
            + self.free.capacity() * size_of::<u32>()
            + self.index.bytes()
            + self.scope_joins.bytes()
            + self.reclaimable_bytes()
    }

    /// The part of it that the end of flows returns.
    fn reclaimable_bytes(&self) -> usize {
        self.reassemblies.own_bytes() + self.live * self.memory.each_flow
    }

    /// The memory that flows may take: all but the share of pending bytes, which give way before
    /// flows do, and what the caller keeps besides, which the table cannot shorten.
    fn flow_limit(&self) -> usize {
        let limit = self.config.memory_bytes;
        let pending = self.reassemblies.bytes().min(limit / PENDING_SHARE);
        limit.saturating_sub((pending + self.memory.besides).max(limit / PENDING_SHARE))
    }

    /// Returns `true` if another slot may be added.
    pub(super) fn has_room(&self) -> bool {
        self.slots.len() < self.config.max_flows && !self.is_at_memory_limit()
    }

    /// Returns `true` if another flow is one too many for the memory.
    pub(super) fn is_at_memory_limit(&self) -> bool {
        let another = self.slot_bytes() + self.memory.each_flow;
        self.config.memory_bytes < usize::MAX
            && self.flow_bytes() + self.reassemblies.free_bytes() + another > self.flow_limit()
            // Eviction needs a slot.
            && self.slots.len() > 0
    }

    /// The limit of pending bytes at this moment.
    pub(super) fn pending_limit(&self) -> usize {
        let limit = self.config.memory_bytes;
        if limit == usize::MAX {
            return self.config.table_bytes;
        }
        let rest = shared(limit).saturating_sub(self.flow_bytes() + self.memory.besides);
        rest.max(limit / PENDING_SHARE).min(self.config.table_bytes)
    }

    /// Returns memory if there is too much in use. Called after this number of packets.
    pub(super) fn enforce_memory_limit(
        &mut self,
        packets: u64,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        if self.config.memory_bytes == usize::MAX {
            return;
        }
        if self.reassemblies.bytes() > self.pending_limit() {
            self.enforce_table_limit(handler);
        }
        // Reassemblies and the caller's memory grow with flows that go on as well.
        for _ in 0..AT_ONCE + PER_PACKET * packets {
            if self.flow_bytes() <= self.flow_limit()
                || self.reclaimable_bytes() < self.config.memory_bytes / WORTHWHILE
            {
                break;
            }
            // Where most slots are free, many groups of candidates have no flow that goes on. To
            // stop at the first of them would end fewer flows than begin.
            self.evict_live(handler);
        }
    }

    /// The memory that remains for delivered bytes.
    pub(crate) fn remembered_limit(&self) -> Option<usize> {
        let limit = self.config.memory_bytes;
        let taken = self.flow_bytes() + self.reassemblies.bytes() + self.memory.besides;
        (limit < usize::MAX).then(|| shared(limit).saturating_sub(taken).max(limit / 256))
    }

    /// Ends the flow that has been idle longest, of the few slots that are next. Does nothing if
    /// all of these have ended.
    fn evict_live(&mut self, handler: &mut impl FlowHandler<E::Key>) {
        let slots = self.slots.len() as u32;
        let mut victim: Option<(u64, u32)> = None;
        for _ in 0..CANDIDATES.min(slots) {
            self.hand = (self.hand + 1) % slots;
            let entry = &self.slots[self.hand];
            if !matches!(entry.state, State::Free | State::Ended) {
                let candidate = (entry.last_seen, self.hand);
                victim = Some(victim.map_or(candidate, |victim| victim.min(candidate)));
            }
        }
        let Some((_, slot)) = victim else { return };
        self.settle(slot, handler);
        if !matches!(self.slots[slot].state, State::Free | State::Ended) {
            self.statistics.evicted_for_memory += 1;
            self.end_all(slot, EndReason::Evicted, handler);
            self.release(slot);
        }
    }
}
