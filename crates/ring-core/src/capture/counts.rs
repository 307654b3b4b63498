//! What is counted while blocks are walked.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// In place of a block's index: a copy of a block, in which nothing is counted any more.
pub(crate) const COPY: usize = usize::MAX;

/// Counts of a ring. Apart from the ring, so that a copy of a block does not keep the ring's memory.
#[derive(Debug)]
pub(crate) struct Counts {
    blocks: Box<[BlockCounts]>,
    truncated: AtomicU64,
    malformed: AtomicU64,
}

/// What was counted in a block since it was taken. Written by whoever walks the block, which is usually one.
#[derive(Debug, Default)]
struct BlockCounts {
    /// Packets up to here have been counted.
    seen: AtomicU32,
    truncated: AtomicU32,
    malformed: AtomicBool,
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
        counts.seen.store(0, Ordering::Relaxed);
        counts.malformed.store(false, Ordering::Relaxed);
    }

    /// The block is given back: its counts go into the totals.
    #[inline]
    pub(crate) fn end(&self, index: usize) {
        let counts = &self.blocks[index];
        let truncated = counts.truncated.load(Ordering::Relaxed);
        if truncated != 0 {
            counts.truncated.store(0, Ordering::Relaxed);
            self.truncated.fetch_add(u64::from(truncated), Ordering::Relaxed);
        }
    }

    /// Counts a packet that was not captured whole: the `position`-th of its block, once however often it is walked.
    // Out of the walk's way.
    #[cold]
    pub(crate) fn count_truncated(&self, index: usize, position: u32) {
        let Some(counts) = self.blocks.get(index) else { return };
        if counts.seen.load(Ordering::Relaxed) <= position {
            counts.seen.store(position + 1, Ordering::Relaxed);
            counts.truncated.store(counts.truncated.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    /// Counts a block that broke off, once however often it is walked.
    #[cold]
    pub(crate) fn count_malformed(&self, index: usize) {
        let Some(counts) = self.blocks.get(index) else { return };
        if !counts.malformed.swap(true, Ordering::Relaxed) {
            self.malformed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn truncated(&self) -> u64 {
        let open: u64 = self
            .blocks
            .iter()
            .map(|block| u64::from(block.truncated.load(Ordering::Relaxed)))
            .sum();
        self.truncated.load(Ordering::Relaxed) + open
    }

    pub(crate) fn malformed(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }
}
