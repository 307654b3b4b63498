//! What a reader of both sides takes at once.

use super::{Entries, Entry, index};

/// What has been handed out of it counts as queued up to so much: the counters are shared with the engine.
const AT_ONCE: usize = 16 << 10;

/// Entries that a reader has to itself, without a lock. They count as queued, and some of those that it has handed out do,
/// too.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(super) entries: Entries,
    /// What has been handed out cost, by side.
    pub(super) handed_out: [usize; 2],
}

impl Taken {
    /// The next entry, which is about to be handed out.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.handed_out[index(entry.side)] += entry.item.cost();
        Some(entry)
    }

    /// Whether it is time to count what has been handed out.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.entries.is_empty() || self.handed_out.iter().sum::<usize>() >= AT_ONCE
    }
}
