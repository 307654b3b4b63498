//! Counters updated while blocks are walked.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Index of a block's copy, in which nothing is counted.
pub(crate) const COPY: usize = usize::MAX;

/// Counters of a ring. They are separate from the ring so that a copy of a block does not keep the
/// ring's memory.
#[derive(Debug)]
pub(crate) struct Counts {
    blocks: Box<[BlockCounts]>,
    truncated: AtomicU64,
    malformed: AtomicU64,
}

/// Counters of a block since it was taken, shared by all walks of it.
#[derive(Debug, Default)]
struct BlockCounts {
    /// A [`Cut`] packed into one word, since several threads may walk the block at the same time.
    cut: AtomicU64,
    malformed: AtomicBool,
}

/// The number of truncated packets.
#[derive(Clone, Copy)]
struct Cut {
    /// Packets up to this position have been counted.
    seen: u32,
    count: u32,
}

impl Cut {
    fn of(word: u64) -> Self {
        Self { seen: (word >> 32) as u32, count: word as u32 }
    }

    fn word(self) -> u64 {
        u64::from(self.seen) << 32 | u64::from(self.count)
    }
}

impl Counts {
    pub(crate) fn new(blocks: usize) -> Self {
        Self {
            blocks: (0..blocks).map(|_| BlockCounts::default()).collect(),
            truncated: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
        }
    }

    pub(crate) fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// Resets the block's counters after it was taken with new packets.
    #[inline]
    pub(crate) fn begin(&self, index: usize) {
        let counts = &self.blocks[index];
        counts.cut.store(0, Ordering::Relaxed);
        counts.malformed.store(false, Ordering::Relaxed);
    }

    /// Adds the block's counters to the totals when it is returned.
    #[inline]
    pub(crate) fn end(&self, index: usize) {
        let counts = &self.blocks[index];
        let Cut { count, .. } = Cut::of(counts.cut.load(Ordering::Relaxed));
        if count != 0 {
            counts.cut.store(0, Ordering::Relaxed);
            // Release: a thread that sees the new total does not see the block's old counter.
            self.truncated.fetch_add(u64::from(count), Ordering::Release);
        }
    }

    /// Counts a truncated packet, the `position`-th of its block, once however often it is walked.
    // Kept out of the hot loop.
    #[cold]
    pub(crate) fn count_truncated(&self, index: usize, position: u32) {
        let Some(counts) = self.blocks.get(index) else { return };
        let counted = |word| {
            let Cut { seen, count } = Cut::of(word);
            (seen <= position).then(|| Cut { seen: position + 1, count: count + 1 }.word())
        };
        // An error means that the packet was counted before.
        let _ = counts.cut.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
    }

    /// Counts a block that ended early, once however often it is walked.
    #[cold]
    pub(crate) fn count_malformed(&self, index: usize) {
        let Some(counts) = self.blocks.get(index) else { return };
        if !counts.malformed.swap(true, Ordering::Relaxed) {
            self.malformed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The number of truncated packets. May be too low for a moment while another thread returns a
    /// block, but never too high.
    pub(crate) fn truncated(&self) -> u64 {
        // The total is read first; see `end`.
        let total = self.truncated.load(Ordering::Acquire);
        let cut = |block: &BlockCounts| Cut::of(block.cut.load(Ordering::Relaxed)).count;
        total + self.blocks.iter().map(|block| u64::from(cut(block))).sum::<u64>()
    }

    pub(crate) fn malformed(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }
}
