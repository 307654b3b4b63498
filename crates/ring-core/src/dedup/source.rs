//! A packet source without duplicates.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use bytes::Bytes;

use super::{Dedup, DedupStatistics};
use crate::{
    Error, Interrupter, LinkType, Next, Packet, PacketBatch, PacketSource, Statistics, Timeout,
};

/// A packet source without duplicates. It copies nothing except into the [`Dedup`].
///
/// A batch that consists of duplicates is delivered empty. Packets keep their numbers in the
/// underlying source, whose statistics include duplicates.
#[derive(Debug)]
pub struct Deduplicated<S> {
    source: S,
    dedup: Dedup,
    /// For each packet of the batch, `true` if it is a duplicate.
    duplicates: Vec<bool>,
}

/// A batch without its duplicates.
#[derive(Debug)]
pub struct DeduplicatedBatch<'a, B> {
    batch: B,
    duplicates: &'a [bool],
}

impl<S> Deduplicated<S> {
    /// Creates a source that omits the packets that `dedup` recognises as duplicates.
    #[must_use]
    pub fn new(source: S, dedup: Dedup) -> Self {
        Self { source, dedup, duplicates: Vec::new() }
    }

    /// Returns the totals of the detector.
    #[must_use]
    pub fn dedup_statistics(&self) -> DedupStatistics {
        self.dedup.statistics()
    }

    /// Returns the underlying source.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.source
    }
}

impl<S: PacketSource> PacketSource for Deduplicated<S> {
    type Batch<'a>
        = DeduplicatedBatch<'a, S::Batch<'a>>
    where
        S: 'a;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Error> {
        Ok(match self.source.next_batch(timeout)? {
            Next::Batch(batch) => {
                self.duplicates.clear();
                let dedup = &mut self.dedup;
                self.duplicates.extend(batch.packets().map(|packet| dedup.is_duplicate(&packet)));
                Next::Batch(DeduplicatedBatch { batch, duplicates: &self.duplicates })
            }
            Next::TimedOut => Next::TimedOut,
            Next::Interrupted => Next::Interrupted,
            Next::End => Next::End,
        })
    }

    fn statistics(&mut self) -> Result<Statistics, Error> {
        self.source.statistics()
    }

    fn link_type(&self) -> Option<LinkType> {
        self.source.link_type()
    }

    fn is_live(&self) -> bool {
        self.source.is_live()
    }

    fn never_waits(&self) -> bool {
        self.source.never_waits()
    }

    fn held_back(&self) -> Duration {
        self.source.held_back()
    }

    fn interrupter(&self) -> Option<Interrupter> {
        self.source.interrupter()
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        self.source.readiness()
    }
}

impl<B: PacketBatch> PacketBatch for DeduplicatedBatch<'_, B> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let packets = self.batch.packets().zip(self.duplicates);
        packets.filter(|&(_, duplicate)| !duplicate).map(|(packet, _)| packet)
    }

    fn retain(&self) -> Option<Bytes> {
        self.batch.retain()
    }
}
