//! Wait strategies of a receiver: spinning, sleeping, or sleeping for a fixed time.

use std::time::{Duration, Instant};

/// The wait strategy of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// Sleeps until a packet arrives. Each wake-up costs both sides some microseconds, and a busy
    /// link causes one for every few packets.
    Sleep,
    /// Spins, which occupies a whole core, for the lowest latency.
    Spin,
    /// Spins while that is worthwhile, at most for this time, then sleeps. The spin time is learned
    /// from waits that ended while spinning, and from sleeps that were shorter than the limit.
    Adaptive(Duration),
    /// Sleeps; on a busy link for this fixed time, so that one wake-up takes many packets, like
    /// the interrupt moderation of adapters (`ethtool -C`, `rx-usecs`). The first packet after a
    /// pause is not delayed. Later ones are delayed by at most this time plus the kernel's timer
    /// slack (`PR_SET_TIMERSLACK`, default: 50 µs). The time is reduced if the kernel would use up
    /// half of its frames meanwhile.
    Coalesce(Duration),
}

impl Default for Wait {
    /// Coalesces packets for 200 µs, because the cost of wake-ups on both sides otherwise dominates
    /// receiving.
    fn default() -> Self {
        Self::Coalesce(Duration::from_micros(200))
    }
}

/// Minimum time to spin or to sleep, so that there is always something to learn from.
const PROBE: Duration = Duration::from_micros(1);

/// Learns the spin time from the time between packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpinTime {
    limit: Duration,
    budget: Duration,
    fixed: bool,
}

impl SpinTime {
    pub(crate) fn new(wait: Wait) -> Self {
        match wait {
            Wait::Sleep | Wait::Coalesce(_) => {
                Self { limit: Duration::ZERO, budget: Duration::ZERO, fixed: true }
            }
            Wait::Spin => Self { limit: Duration::MAX, budget: Duration::MAX, fixed: true },
            Wait::Adaptive(limit) => Self { limit, budget: PROBE.min(limit), fixed: false },
        }
    }

    /// The end of a spin that starts now. `None` if it is unlimited.
    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        if self.budget == Duration::MAX { None } else { Some(now + self.budget) }
    }

    /// `true` if spinning is off.
    pub(crate) fn is_off(&self) -> bool {
        self.budget.is_zero()
    }

    /// `true` if waiting times must be reported.
    pub(crate) fn learns(&self) -> bool {
        !self.fixed
    }

    /// Records that packets arrived after `waited`, while spinning or asleep.
    pub(crate) fn came_after(&mut self, waited: Duration) {
        if self.fixed {
            return;
        }
        self.budget = if waited <= self.limit {
            // Twice the wait, as the time between packets varies. A packet that is missed by a
            // little costs both the spin and the sleep.
            (waited * 2).max(self.budget).max(PROBE).min(self.limit)
        } else {
            // Half, so that a single long wait does not undo what many short ones have shown.
            (self.budget / 2).max(PROBE.min(self.limit))
        };
    }
}

/// Learns how long to sleep regardless of packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketCoalescing {
    /// The configured maximum; zero turns this off.
    longest: Duration,
    /// The current time, limited by the number of frames.
    pause: Duration,
    /// `true` if the link is busy: the last wait was shorter than the maximum, or the last fixed
    /// sleep brought several packets.
    busy: bool,
    /// The number of packets taken before the last fixed sleep, unless an ordinary sleep followed.
    begun: Option<u64>,
}

impl PacketCoalescing {
    pub(crate) fn new(wait: Wait) -> Self {
        let longest = if let Wait::Coalesce(longest) = wait { longest } else { Duration::ZERO };
        Self { longest, pause: longest, busy: false, begun: None }
    }

    /// `true` if waiting times must be reported.
    pub(crate) fn learns(&self) -> bool {
        !self.longest.is_zero()
    }

    /// The time to sleep now regardless of packets, if any. `taken` packets have arrived so far,
    /// and the kernel should have `frames` frames.
    pub(crate) fn next(&mut self, taken: u64, frames: u32) -> Option<Duration> {
        if !self.busy {
            return None;
        }
        if let Some(begun) = self.begun {
            let came = taken.saturating_sub(begun);
            if came < 2 {
                // With so few packets, waking up for each one is as good.
                (self.busy, self.begun) = (false, None);
                return None;
            }
            if came >= u64::from(frames / 2) {
                // Not to zero, which could never grow again.
                self.pause = (self.pause / 2).max(PROBE.min(self.longest));
            } else if came < u64::from(frames / 8) {
                self.pause = (self.pause * 2).min(self.longest);
            }
        }
        self.begun = Some(taken);
        Some(self.pause)
    }

    /// Records that a packet ended an ordinary sleep after `waited`.
    pub(crate) fn came_after(&mut self, waited: Duration) {
        self.begun = None;
        // A packet that arrived within the time shows that a sleep of that length would have taken
        // at least two.
        self.busy = waited <= self.longest;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn looking_is_learned_and_unlearned() {
        let limit = us(20);
        let mut spin = SpinTime::new(Wait::Adaptive(limit));
        assert_eq!(spin.budget, PROBE);
        spin.came_after(us(8));
        assert_eq!(spin.budget, us(16));
        spin.came_after(us(2));
        assert_eq!(spin.budget, us(16), "a short wait is no reason to look less");
        spin.came_after(us(15));
        assert_eq!(spin.budget, limit);
        for _ in 0..10 {
            spin.came_after(us(1000));
        }
        assert_eq!(spin.budget, PROBE, "an idle link costs next to nothing");
    }

    #[test]
    fn the_others_learn_nothing() {
        for (wait, off) in [(Wait::Sleep, true), (Wait::Spin, false), (Wait::default(), true)] {
            let mut spin = SpinTime::new(wait);
            let before = spin.budget;
            spin.came_after(us(5));
            assert_eq!((spin.budget, spin.is_off()), (before, off));
        }
        assert!(SpinTime::new(Wait::Spin).until(Instant::now()).is_none());
    }

    #[test]
    fn pauses_are_taken_while_they_bring_several_packets() {
        let mut coalescing = PacketCoalescing::new(Wait::Coalesce(us(50)));
        assert_eq!(coalescing.next(0, 2048), None, "nothing is known yet");
        coalescing.came_after(us(51));
        assert_eq!(coalescing.next(1, 2048), None, "a quiet link: woken at once");
        coalescing.came_after(us(10));
        assert_eq!(coalescing.next(2, 2048), Some(us(50)));
        assert_eq!(coalescing.next(4, 2048), Some(us(50)), "two packets came");
        assert_eq!(coalescing.next(5, 2048), None, "one only");
        assert_eq!(coalescing.next(9, 2048), None, "until packets come quickly again");
    }

    #[test]
    fn pauses_leave_the_kernel_half_of_its_frames() {
        let mut coalescing = PacketCoalescing::new(Wait::Coalesce(us(80)));
        coalescing.came_after(us(1));
        let mut taken = 0;
        let mut next = |came| {
            taken += came;
            coalescing.next(taken, 64)
        };
        for (came, pause) in [(0, 80), (32, 40), (64, 20), (8, 20), (7, 40), (7, 80), (7, 80)] {
            assert_eq!(next(came), Some(us(pause)), "{came} packets came");
        }
    }

    #[test]
    fn pauses_get_longer_again_after_any_load() {
        let mut coalescing = PacketCoalescing::new(Wait::Coalesce(us(200)));
        coalescing.came_after(us(1));
        for round in 0..64 {
            assert!(
                coalescing.next(64 * round, 64).is_some_and(|pause| !pause.is_zero()),
                "{round}"
            );
        }
        let quieter = (1..=10).map(|packets| coalescing.next(64 * 63 + 7 * packets, 64));
        assert_eq!(quieter.last(), Some(Some(us(200))));
    }

    #[test]
    fn no_pauses_unless_asked_for() {
        for wait in [Wait::Sleep, Wait::Spin, Wait::Adaptive(us(20))] {
            let mut coalescing = PacketCoalescing::new(wait);
            coalescing.came_after(us(1));
            assert_eq!(coalescing.next(100, 64), None);
            assert!(!coalescing.learns());
        }
    }
}
