//! What was measured, and whether it holds.

use std::time::Duration;

use crate::memory;

/// Memory that a program may keep for good where a phase has passed: thread locals, buffers of standard output.
const KEPT_AT_MOST: u64 = 256 << 10;
/// How much more may be in use at the end of the churn than after its first tenth, of which nothing is a leak: hash tables
/// and queues that grew to the size that the busiest moment asked for.
const GROWTH_AT_MOST: u64 = 1 << 20;

/// Samples and verdicts.
#[derive(Debug, Default)]
pub(crate) struct Report {
    failed: Vec<String>,
}

/// Bytes in use at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) connections: u64,
    pub(crate) in_use: u64,
}

impl Sample {
    /// Looks, and prints what it sees.
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
    /// All that the phase held was dropped: as much must be in use as before.
    pub(crate) fn returned(&mut self, phase: &str, before: Sample, after: Sample) {
        let kept = after.in_use.saturating_sub(before.in_use);
        self.judge(
            kept <= KEPT_AT_MOST,
            format!("{phase}: {kept} bytes in use that were not before"),
        );
    }

    /// While connections come and go, no more is in use in the end than in the beginning.
    pub(crate) fn flat(&mut self, phase: &str, samples: &[Sample]) {
        let ([.., last], Some(first)) = (samples, samples.get(samples.len() / 10)) else { return };
        let growth = last.in_use.saturating_sub(first.in_use);
        self.judge(
            growth <= GROWTH_AT_MOST,
            format!(
                "{phase}: {growth} bytes more in use after {} connections than after {}",
                last.connections, first.connections
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
