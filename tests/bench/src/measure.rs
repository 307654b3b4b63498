//! Times of cases that take turns.

use std::fmt;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// The median of several runs, and the fastest and slowest of them.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// A case to measure: it prepares its inputs, then returns the duration of the rest.
pub(crate) type Case<'a> = &'a mut dyn FnMut() -> Duration;

/// Measures each case `runs` times, in turns, after one turn that does not count.
pub(crate) fn in_turns(runs: usize, cases: &mut [Case<'_>]) -> Vec<Vec<Duration>> {
    let mut times = vec![Vec::with_capacity(runs); cases.len()];
    for run in 0..=runs {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            let time = case();
            if run > 0 {
                times.push(time);
            }
        }
    }
    times
}

/// The processor time that a closure takes on this thread. Other load on the machine does not
/// count, although it still affects the caches.
pub(crate) fn time(run: impl FnOnce()) -> Duration {
    let start = thread_time();
    run();
    thread_time().saturating_sub(start)
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

impl Spread {
    /// Creates a spread from one figure for each run.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let nan = f64::NAN;
        Self {
            median: figures.get(figures.len() / 2).copied().unwrap_or(nan),
            least: figures.first().copied().unwrap_or(nan),
            most: figures.last().copied().unwrap_or(nan),
        }
    }

    /// Nanoseconds per item.
    pub(crate) fn nanos_each(times: &[Duration], items: usize) -> Self {
        Self::of(times.iter().map(|time| time.as_secs_f64() * 1e9 / items as f64))
    }

    /// Millions of items per second.
    pub(crate) fn millions(times: &[Duration], items: usize) -> Self {
        Self::of(times.iter().map(|time| items as f64 / time.as_secs_f64() / 1e6))
    }

    /// The spread for a figure that could not be measured.
    pub(crate) fn unknown() -> Self {
        Self::of([])
    }

    /// A figure that was not measured repeatedly.
    pub(crate) fn single(figure: f64) -> Self {
        Self::of([figure])
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.median.is_nan() {
            return f.write_str("not measured");
        }
        let digits = if self.median < 100.0 { 2 } else { 0 };
        write!(f, "{:.digits$}", self.median)?;
        if self.least < self.most {
            write!(f, " ({:.digits$}–{:.digits$})", self.least, self.most)?;
        }
        Ok(())
    }
}
