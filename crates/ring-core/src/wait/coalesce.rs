//! Wake-up coalescing.
//!
//! A wake-up costs a thread some microseconds, and on a virtual machine fifty, as much as hundreds
//! of packets. If blocks are closed because they are full, the time in which the last one filled up
//! predicts when several more will be full. A wait may sleep until then, much like the interrupt
//! moderation of adapters.

use std::time::Duration;

/// Maximum number of blocks per wake-up, limited by the size of the processors' caches.
const BLOCKS: u32 = 4;

/// At most 1/8 of the ring may fill up during the sleep.
const PART: usize = 8;

/// Decides how long a capture sleeps while blocks fill up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockCoalescing {
    /// Maximum time that a full block may wait.
    longest: Duration,
    blocks: u32,
    /// The time in which the last block filled up. `None` if it was not full, and after it was used
    /// once.
    filling: Option<Duration>,
}

impl BlockCoalescing {
    pub(crate) fn new(longest: Duration, ring: usize) -> Self {
        let blocks = u32::try_from(ring / PART).unwrap_or(BLOCKS).min(BLOCKS);
        Self { longest, blocks, filling: None }
    }

    /// `true` if coalescing is possible.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.blocks > 1 && !self.longest.is_zero()
    }

    /// Records the time in which a block filled up. `None` if its timeout expired first.
    #[inline]
    pub(crate) fn filled_in(&mut self, filling: Option<Duration>) {
        self.filling = filling;
    }

    /// The time to sleep, regardless of the ring, before the next wait. Returned once per full
    /// block.
    pub(crate) fn pause(&mut self) -> Option<Duration> {
        // Used once. If the next block is closed by its timeout, traffic has slowed down, and
        // another sleep would only delay it.
        let filling = self.filling.take().filter(|filling| !filling.is_zero())?;
        let within = self.longest.as_nanos() / filling.as_nanos();
        let blocks = u32::try_from(within).unwrap_or(u32::MAX).min(self.blocks);
        (blocks > 1).then(|| filling * blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn sleeps_until_several_are_full_but_no_longer_than_allowed() {
        let mut coalescing = BlockCoalescing::new(ms(60), 64);
        assert_eq!(coalescing.pause(), None, "nothing is known yet");
        for (filling, pause) in [(9, Some(36)), (20, Some(60)), (25, Some(50)), (31, None)] {
            coalescing.filled_in(Some(ms(filling)));
            assert_eq!(coalescing.pause(), pause.map(ms), "{filling} ms a block");
            assert_eq!(coalescing.pause(), None, "once for each block");
        }
    }

    #[test]
    fn what_was_not_full_or_cannot_be_is_waited_for() {
        let mut coalescing = BlockCoalescing::new(ms(60), 64);
        for filling in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
            coalescing.filled_in(Some(ms(1)));
            coalescing.filled_in(filling);
            assert_eq!(coalescing.pause(), None);
        }
    }

    #[test]
    fn a_small_ring_keeps_most_of_its_room() {
        for (ring, blocks) in [(2, 0), (15, 1), (16, 2), (31, 3), (1 << 20, BLOCKS)] {
            let mut coalescing = BlockCoalescing::new(ms(60), ring);
            assert_eq!(coalescing.is_on(), blocks > 1);
            coalescing.filled_in(Some(ms(1)));
            assert_eq!(
                coalescing.pause(),
                (blocks > 1).then(|| ms(blocks.into())),
                "{ring} blocks"
            );
        }
        assert!(!BlockCoalescing::new(Duration::ZERO, 64).is_on());
    }
}
