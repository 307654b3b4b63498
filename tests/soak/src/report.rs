//! Results, and checks of them.

use std::thread;
use std::time::Duration;

use crate::memory;

/// Memory that a program may keep after a phase: thread locals, buffers of standard output.
const KEPT_AT_MOST: u64 = 256 << 10;
/// The maximum growth during the churn. It is not a leak: hash tables and queues keep the size of
/// their peak load.
const GROWTH_AT_MOST: u64 = 1 << 20;

/// Samples and results of checks.
#[derive(Debug, Default)]
pub(crate) struct Report {
    failed: Vec<String>,
}

/// The number of bytes in use at a point in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) connections: u64,
    pub(crate) in_use: u64,
}

impl Sample {
    /// Waits until all tasks are idle, then takes a sample and prints it.
    pub(crate) fn settled(phase: &str, connections: u64, elapsed: Duration) -> Self {
        // Ended tasks are still to be reaped, and an engine that has reported its end is still to
        // release its table.
        let mut before = memory::in_use();
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(50));
            let now = memory::in_use();
            if now == before {
                break;
            }
            before = now;
        }
        Self::take(phase, connections, elapsed)
    }

    /// Takes a sample and prints it.
    pub(crate) fn take(phase: &str, connections: u64, elapsed: Duration) -> Self {
        let in_use = memory::in_use();
        println!(
            "{phase:<10} {connections:>9} connections {:>7.1} s  {:>9.1} KiB in use  {:>7.1} MiB resident",
            elapsed.as_secs_f64(),
            in_use as f64 / 1024.0,
            memory::resident() as f64 / 1_048_576.0
        );
        Self { connections, in_use }
    }
}

impl Report {
    /// Checks that memory in use is back at its level before the phase, now that everything from
    /// the phase was dropped.
    pub(crate) fn returned(&mut self, phase: &str, before: Sample, after: Sample) {
        let kept = after.in_use.saturating_sub(before.in_use);
        self.judge(
            kept <= KEPT_AT_MOST,
            format!("{phase}: {kept} bytes in use that were not before"),
        );
    }

    /// Checks that memory in use does not grow while connections open and close.
    ///
    /// Compares the minimum of each fifth of the samples: a leak raises the minimum, a busy moment
    /// does not. The first fifth is left out because of one-time growth.
    pub(crate) fn flat(&mut self, phase: &str, samples: &[Sample]) {
        let fifth = samples.len().div_ceil(5);
        let least = |samples: &[Sample]| samples.iter().map(|sample| sample.in_use).min();
        let (Some(first), Some(last)) = (
            least(samples.get(fifth..2 * fifth).unwrap_or_default()),
            least(samples.get(samples.len() - fifth..).unwrap_or_default()),
        ) else {
            return;
        };
        let growth = last.saturating_sub(first);
        let connections = samples.last().map_or(0, |sample| sample.connections);
        self.judge(
            growth <= GROWTH_AT_MOST,
            format!(
                "{phase}: {growth} bytes more in use in the last fifth of {connections} connections than in the second"
            ),
        );
    }

    pub(crate) fn judge(&mut self, holds: bool, claim: String) {
        println!("{} {claim}", if holds { "ok    " } else { "FAILED" });
        if !holds {
            self.failed.push(claim);
        }
    }

    pub(crate) fn holds(&self) -> bool {
        self.failed.is_empty()
    }
}
