//! Packets that the source lost, as evidence about how much of a stream an outage took.

use crate::{FlowExtractor, FlowTable, Timestamp};

/// Readings that are kept. Beyond, every other one is left out, so that they reach as far back as
/// before.
const READINGS: usize = 256;
/// The longest packet that a source with segmentation offload hands over in one: how long the lost
/// ones were is not known, and under load they are longer than others.
const LONGEST: u64 = 65_550;

/// The packets that a source has lost, over time.
#[derive(Debug, Default)]
pub(crate) struct Drops {
    readings: Vec<Reading>,
}

/// Totals at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    /// Nanoseconds.
    at: u64,
    /// Packets that the source has lost.
    lost: u64,
    /// Packets that the table was given.
    taken: u64,
}

impl<E: FlowExtractor> FlowTable<E> {
    /// Notes the number of packets, which may be 0, that the source has lost since the call before,
    /// or since the capture began: the kernel dropped them, for example. `until` is the time at
    /// which its counter was read, by the clock that stamps the packets; to be called about twice a
    /// second, and for a source that counts what it loses only.
    ///
    /// Nothing is lost or found by that, but it is evidence where the length of an outage is open,
    /// see [`Gap::estimated`](crate::Gap::estimated).
    ///
    /// # Examples
    ///
    /// ```
    /// use flow::{FiveTuple, FlowTable, Timestamp};
    ///
    /// let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
    /// table.note_drops(120, Timestamp::from_nanos(1_700_000_000_500_000_000));
    /// table.note_drops(0, Timestamp::from_nanos(1_700_000_001_000_000_000));
    /// ```
    pub fn note_drops(&mut self, packets: u64, until: Timestamp) {
        self.drops.note(until.as_nanos(), packets, self.statistics.packets);
    }
}

impl Drops {
    fn note(&mut self, at: u64, lost: u64, taken: u64) {
        let last = self.readings.last().copied().unwrap_or_default();
        let lost = last.lost.saturating_add(lost);
        let reading = Reading { at: at.max(last.at), lost, taken: taken.max(last.taken) };
        if self.readings.len() == READINGS {
            let mut keeps = false;
            self.readings.retain(|_| {
                keeps = !keeps;
                !keeps
            });
        }
        self.readings.push(reading);
    }

    /// `true` if nothing is known of what the source loses: it is a file, for example.
    pub(crate) const fn is_unknown(&self) -> bool {
        self.readings.is_empty()
    }

    /// The most packets that may have been lost between two moments. Those of the last half second
    /// may not be known yet.
    pub(crate) fn between(&self, from: u64, to: u64) -> u64 {
        let before = self.readings.partition_point(|reading| reading.at <= from);
        let before = before.checked_sub(1).map_or(0, |at| self.readings[at].lost);
        let after = self.readings.partition_point(|reading| reading.at < to);
        let after = self.readings.get(after).or(self.readings.last());
        after.map_or(0, |reading| reading.lost.saturating_sub(before))
    }

    /// The most bytes that these packets may have had.
    pub(crate) fn bytes_between(&self, from: u64, to: u64, longest: u32) -> u64 {
        self.between(from, to).saturating_mul(LONGEST.max(longest.into()))
    }

    /// Packets that the table had been given at a moment, about.
    pub(crate) fn taken_at(&self, at: u64) -> u64 {
        let next = self.readings.partition_point(|reading| reading.at < at);
        let Some(after) = self.readings.get(next) else {
            return self.readings.last().map_or(0, |reading| reading.taken);
        };
        let Some(before) = next.checked_sub(1).map(|at| self.readings[at]) else { return 0 };
        let (part, whole) = (at - before.at, (after.at - before.at).max(1));
        let taken = u128::from(after.taken - before.taken) * u128::from(part) / u128::from(whole);
        before.taken + u64::try_from(taken).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_between_two_moments_is_never_understated() {
        let mut drops = Drops::default();
        assert!(drops.is_unknown());
        assert_eq!(drops.between(0, 100), 0);
        for (at, lost) in [(10, 5), (20, 0), (30, 7), (40, 0)] {
            drops.note(at, lost, at);
        }
        assert!(!drops.is_unknown());
        assert_eq!(drops.between(0, 100), 12);
        assert_eq!((drops.between(0, 5), drops.between(10, 20)), (5, 0));
        assert_eq!((drops.between(21, 22), drops.between(15, 25)), (7, 7));
        assert_eq!((drops.between(30, 40), drops.between(40, 100)), (0, 0));
        assert_eq!((drops.taken_at(5), drops.taken_at(15), drops.taken_at(99)), (0, 15, 40));
    }

    #[test]
    fn readings_take_bounded_room_and_reach_back_to_the_beginning() {
        let mut drops = Drops::default();
        for at in 1..10_000 {
            drops.note(at, 1, at);
        }
        assert!(drops.readings.len() <= READINGS);
        assert_eq!(drops.between(0, 10_000), 9_999);
        for from in (0..10_000).step_by(97) {
            let most = drops.between(from, from + 100);
            assert!(most >= 100.min(9_999 - from), "{from} {most}");
        }
        // A clock that steps back, and counters without an end.
        drops.note(3, u64::MAX, 3);
        assert!(drops.between(0, u64::MAX) > 1 << 60);
        assert!(drops.bytes_between(0, u64::MAX, u32::MAX) > 1 << 60);
    }
}
