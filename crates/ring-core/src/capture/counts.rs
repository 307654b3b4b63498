//! What is counted while blocks are walked.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// In place of a block's index: a copy of a block, in which nothing is counted any more.
pub(crate) const COPY: usize = usize::MAX;

/// Counts of a ring. Apart from the ring, so that a copy of a block does not keep the ring's memory.
#[derive(Debug)]
pub(crate) struct Counts {
    blocks: Box<[BlockCounts]>,
    truncated: AtomicU64,
    malformed: AtomicU64,
}

/// What was counted in a block since it was taken, by all who walk it.
#[derive(Debug, Default)]
struct BlockCounts {
    /// A [`Cut`], in one word: several threads may walk the block at the same time.
    cut: AtomicU64,
    malformed: AtomicBool,
}

/// Packets that were not captured whole.
#[derive(Clone, Copy)]
struct Cut {
    /// Packets up to here have been counted.
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

    /// The block is taken, with other packets than before.
    #[inline]
    pub(crate) fn begin(&self, index: usize) {
        let counts = &self.blocks[index];
        counts.cut.store(0, Ordering::Relaxed);
        counts.malformed.store(false, Ordering::Relaxed);
    }

    /// The block is given back: its counts go into the totals.
    #[inline]
    pub(crate) fn end(&self, index: usize) {
        let counts = &self.blocks[index];
        let Cut { count, .. } = Cut::of(counts.cut.load(Ordering::Relaxed));
        if count != 0 {
            counts.cut.store(0, Ordering::Relaxed);
            // Release: who sees them in the total does not see them in the block any more.
            self.truncated.fetch_add(u64::from(count), Ordering::Release);
        }
    }

    /// Counts a packet that was not captured whole: the `position`-th of its block, once however often it is walked.
    // Out of the walk's way.
    #[cold]
    pub(crate) fn count_truncated(&self, index: usize, position: u32) {
        let Some(counts) = self.blocks.get(index) else { return };
        let counted = |word| {
            let Cut { seen, count } = Cut::of(word);
            (seen <= position).then(|| Cut { seen: position + 1, count: count + 1 }.word())
        };
        // An error is a packet that somebody counted before.
        let _ = counts.cut.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
    }

    /// Counts a block that broke off, once however often it is walked.
    #[cold]
    pub(crate) fn count_malformed(&self, index: usize) {
        let Some(counts) = self.blocks.get(index) else { return };
        if !counts.malformed.swap(true, Ordering::Relaxed) {
            self.malformed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Less than it was for a moment, while another thread gives a block back; never more than it is.
    pub(crate) fn truncated(&self) -> u64 {
        // The total first: see `end`.
        let total = self.truncated.load(Ordering::Acquire);
        let cut = |block: &BlockCounts| Cut::of(block.cut.load(Ordering::Relaxed)).count;
        total + self.blocks.iter().map(|block| u64::from(cut(block))).sum::<u64>()
    }

    pub(crate) fn malformed(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }
}
