//! How a receiver waits: at first by looking again and again, then asleep.

use std::time::{Duration, Instant};

/// How a receiver waits for packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum XdpWait {
    /// Asleep. Each wake-up costs both sides some microseconds.
    Sleep,
    /// Looking again and again, a whole core: the lowest latency.
    Spin,
    /// Looking again and again for as long as that pays, at most so long, then asleep. For how long it is worth
    /// while is learned: from waits that ended while looking, and from those that slept for less than the limit.
    Adaptive(Duration),
}

impl Default for XdpWait {
    /// Adaptive, up to 20 µs: about what a wake-up costs the two sides together on a virtual machine.
    fn default() -> Self {
        Self::Adaptive(Duration::from_micros(20))
    }
}

/// What has been learned of the time between packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spin {
    limit: Duration,
    budget: Duration,
    fixed: bool,
}

/// The least to look for before sleeping, so that there is something to learn from.
const PROBE: Duration = Duration::from_micros(1);

impl Spin {
    pub(crate) fn new(wait: XdpWait) -> Self {
        match wait {
            XdpWait::Sleep => Self { limit: Duration::ZERO, budget: Duration::ZERO, fixed: true },
            XdpWait::Spin => Self { limit: Duration::MAX, budget: Duration::MAX, fixed: true },
            XdpWait::Adaptive(limit) => Self { limit, budget: PROBE.min(limit), fixed: false },
        }
    }

    /// Until when to look, from now on.
    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        if self.budget == Duration::MAX { None } else { Some(now + self.budget) }
    }

    /// Whether to look at all.
    pub(crate) fn is_off(&self) -> bool {
        self.budget.is_zero()
    }

    /// Whether it makes a difference after how long packets came.
    pub(crate) fn learns(&self) -> bool {
        !self.fixed
    }

    /// Packets came after so long a time, looking or asleep.
    pub(crate) fn came_after(&mut self, waited: Duration) {
        if self.fixed {
            return;
        }
        self.budget = if waited <= self.limit {
            (waited * 2).max(self.budget).max(PROBE).min(self.limit)
        } else {
            (self.budget / 2).max(PROBE.min(self.limit))
        };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn looking_is_learned_and_unlearned() {
        let limit = Duration::from_micros(20);
        let mut spin = Spin::new(XdpWait::Adaptive(limit));
        assert_eq!(spin.budget, PROBE);
        spin.came_after(Duration::from_micros(8));
        assert_eq!(spin.budget, Duration::from_micros(16));
        spin.came_after(Duration::from_micros(2));
        assert_eq!(
            spin.budget,
            Duration::from_micros(16),
            "a short wait is no reason to look less"
        );
        spin.came_after(Duration::from_micros(15));
        assert_eq!(spin.budget, limit);
        for _ in 0..10 {
            spin.came_after(Duration::from_millis(1));
        }
        assert_eq!(spin.budget, PROBE, "an idle link costs next to nothing");
    }

    #[test]
    fn the_others_learn_nothing() {
        for (wait, off) in [(XdpWait::Sleep, true), (XdpWait::Spin, false)] {
            let mut spin = Spin::new(wait);
            let before = spin.budget;
            spin.came_after(Duration::from_micros(5));
            assert_eq!((spin.budget, spin.is_off()), (before, off));
        }
        assert!(Spin::new(XdpWait::Spin).until(Instant::now()).is_none());
    }
}
