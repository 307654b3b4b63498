//! Send timestamps.

use std::collections::VecDeque;

use crate::{Timestamp, TimestampSource};

/// Maximum number of renumberings to remember.
const REMEMBERED: usize = 256;

/// The time at which a frame was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentTimestamp {
    /// The frame's number, counted from 1 in the order in which the kernel accepted frames, as
    /// [packets](crate::SinkStatistics::packets) counts them.
    pub number: u64,
    /// The time.
    pub timestamp: Timestamp,
    /// The clock of the timestamp.
    pub source: TimestampSource,
}

/// Maps the kernel's timestamp keys to frame numbers. The kernel's keys have 32 bits and also count
/// failed attempts.
#[derive(Debug, Default)]
pub(crate) struct Timestamps {
    /// Pairs of an attempt and the number of failed attempts before it, in ascending order.
    shifts: VecDeque<(u64, u64)>,
    attempts: u64,
    failed: u64,
}

impl Timestamps {
    /// The kernel accepted `frames` frames.
    pub(crate) fn taken(&mut self, frames: u64) {
        self.attempts += frames;
    }

    /// The kernel counted a frame but then refused it.
    pub(crate) fn refused(&mut self) {
        self.attempts += 1;
        self.failed += 1;
        if self.shifts.len() == REMEMBERED {
            self.shifts.pop_front();
        }
        self.shifts.push_back((self.attempts, self.failed));
    }

    /// The number of the frame whose attempt has these lower 32 bits.
    pub(crate) fn number(&self, key: u32) -> u64 {
        // The latest attempt with these bits, since no timestamp is four billion frames old.
        let newest = self.attempts.saturating_sub(1);
        let back = (newest as u32).wrapping_sub(key);
        let attempt = newest.saturating_sub(u64::from(back));
        let shift = self.shifts.iter().rev().find(|&&(from, _)| from <= attempt);
        let failed = match (shift, self.shifts.front()) {
            (Some(&(_, failed)), _) => failed,
            // Earlier than the oldest remembered renumbering.
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
