//! A packet source without duplicates.

use super::{Dedup, DedupStatistics};
use crate::{PacketBatch, Select, Selected};

/// A packet source without duplicates. It copies nothing except into the [`Dedup`].
///
/// The statistics are those of the underlying source, including duplicates.
pub type Deduplicated<S> = Selected<S, Dedup>;

impl<S> Deduplicated<S> {
    /// Creates a source that omits the packets that `dedup` recognises as duplicates.
    #[must_use]
    pub fn new(source: S, dedup: Dedup) -> Self {
        Self::by(source, dedup)
    }

    /// Returns the totals of the detector.
    #[must_use]
    pub fn dedup_statistics(&self) -> DedupStatistics {
        self.decision.statistics()
    }
}

impl Select for Dedup {
    fn select(&mut self, batch: &impl PacketBatch, verdicts: &mut Vec<bool>) {
        verdicts.extend(batch.packets().map(|packet| !self.is_duplicate(&packet)));
    }
}
