//! When frames were sent.

use std::collections::VecDeque;

use crate::{Timestamp, TimestampSource};

/// Changes of the numbering that are remembered.
const REMEMBERED: usize = 256;

/// When a frame was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentTimestamp {
    /// Which frame, counted from 1 as the kernel took them: the [packets](crate::SinkStatistics::packets) that had
    /// gone out by then.
    pub number: u64,
    /// When.
    pub timestamp: Timestamp,
    /// By which clock.
    pub source: TimestampSource,
}

/// From the kernel's numbers of time stamps to those of frames. The kernel counts attempts as well, in 32 bits.
#[derive(Debug, Default)]
pub(crate) struct Timestamps {
    /// From which attempt on a frame's number is the attempt's number less so many.
    shifts: VecDeque<(u64, u64)>,
    attempts: u64,
    failed: u64,
}

impl Timestamps {
    /// The kernel took so many frames.
    pub(crate) fn taken(&mut self, frames: u64) {
        self.attempts += frames;
    }

    /// The kernel numbered a frame but then did not take it.
    pub(crate) fn refused(&mut self) {
        self.attempts += 1;
        self.failed += 1;
        if self.shifts.len() == REMEMBERED {
            self.shifts.pop_front();
        }
        self.shifts.push_back((self.attempts, self.failed));
    }

    /// The number of the frame that was this attempt, of which the lower 32 bits are known.
    pub(crate) fn number(&self, key: u32) -> u64 {
        // The latest attempt with these bits: no time stamp is four billion frames old.
        let newest = self.attempts.saturating_sub(1);
        let back = (newest as u32).wrapping_sub(key);
        let attempt = newest.saturating_sub(u64::from(back));
        let shift = self.shifts.iter().rev().find(|&&(from, _)| from <= attempt);
        let failed = match (shift, self.shifts.front()) {
            (Some(&(_, failed)), _) => failed,
            // Before the oldest change that is remembered.
            (None, Some(&(_, failed))) => failed - 1,
            (None, None) => 0,
        };
        attempt + 1 - failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_attempts_are_not_counted() {
        let mut timestamps = Timestamps::default();
        timestamps.taken(3);
        timestamps.refused();
        timestamps.taken(2);
        let numbers = [0, 1, 2, 4, 5].map(|key| timestamps.number(key));
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn the_key_wraps() {
        let mut timestamps = Timestamps::default();
        timestamps.taken((1 << 32) + 5);
        assert_eq!(timestamps.number(4), (1 << 32) + 5);
        assert_eq!(timestamps.number(u32::MAX), 1 << 32);
    }
}
