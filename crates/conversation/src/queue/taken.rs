//! Entries that a reader of both sides takes at once.

use super::{Entries, Entry, index};

/// Entries that a reader has to itself, without a lock. They count as queued, and some of those
/// that it has handed out do, too: the counters are shared with the engine.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(super) entries: Entries,
    /// The cost of what has been handed out, by side.
    pub(super) handed_out: [usize; 2],
    /// The part of that which counts as queued at most.
    at_once: usize,
}

impl Taken {
    /// Nothing yet; what will have been handed out counts as queued up to `at_once`.
    pub(crate) fn new(at_once: usize) -> Self {
        Self { at_once, ..Self::default() }
    }

    /// The next entry, which is about to be handed out.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.handed_out[index(entry.side)] += entry.item.cost();
        Some(entry)
    }

    /// Returns `true` if it is time to count what has been handed out.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        // The engine must not think a slow reader's bytes are gone for long, nor an idle queue
        // full.
        self.entries.is_empty() || self.handed_out.iter().sum::<usize>() >= self.at_once
    }
}
