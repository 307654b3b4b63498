//! Sources that deliver only some packets of another source.

use std::convert::Infallible;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use bytes::Bytes;

use crate::{
    Error, Interrupter, LinkType, Next, Packet, PacketBatch, PacketSource, Statistics, Timeout,
};

/// A decision on each packet of a source, for [`Selected`].
///
/// ```
/// use ring_core::{MemorySource, Next, Select, Selected, Timeout};
/// use ring_core::{PacketBatch, PacketSource as _};
///
/// /// Every second packet.
/// struct Sample(u64);
///
/// impl Select for Sample {
///     fn select(&mut self, batch: &impl PacketBatch, verdicts: &mut Vec<bool>) {
///         for _ in batch.packets() {
///             self.0 += 1;
///             verdicts.push(self.0 % 2 == 0);
///         }
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let memory: MemorySource = [&b"one"[..], b"two", b"three", b"four"].into_iter().collect();
/// let mut source = Selected::by(memory, Sample(0));
/// let Next::Batch(batch) = source.next_batch(Timeout::Now)? else { panic!("no batch") };
/// assert_eq!(batch.packets().map(|packet| packet.number()).collect::<Vec<_>>(), [2, 4]);
/// # Ok(())
/// # }
/// ```
pub trait Select {
    /// Decides on the packets of a batch: pushes `true` for each packet that passes, `false` for
    /// each other one. `verdicts` is empty at first.
    fn select(&mut self, batch: &impl PacketBatch, verdicts: &mut Vec<bool>);

    /// Copies of packets of earlier batches that pass because of the current batch. They are
    /// delivered ahead of it.
    fn released(&self) -> impl Iterator<Item = Packet<'_>> {
        std::iter::empty()
    }

    /// Called at the end of the source.
    ///
    /// # Errors
    /// An error to return instead of the end.
    fn end(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Adjusts the totals of the source.
    fn adjust(&self, statistics: Statistics) -> Statistics {
        statistics
    }
}

/// Some packets of another source. [`Filtered`](crate::Filtered) and
/// [`Deduplicated`](crate::Deduplicated) are such sources.
///
/// It copies nothing. Packets keep their numbers. A batch in which no packet passes is delivered
/// empty.
#[derive(Debug)]
pub struct Selected<S, D> {
    source: S,
    pub(crate) decision: D,
    /// The verdicts on the packets of the current batch.
    verdicts: Vec<bool>,
}

/// The error of a [`Selected`] source.
#[derive(Debug, thiserror::Error)]
pub enum SelectedError<E> {
    /// The underlying source cannot continue.
    #[error(transparent)]
    Source(E),
    /// The source has ended, and the decision could not be made for any of its packets.
    #[error(transparent)]
    Decision(Error),
}

impl From<SelectedError<Infallible>> for Error {
    fn from(error: SelectedError<Infallible>) -> Self {
        match error {
            SelectedError::Source(never) => match never {},
            SelectedError::Decision(error) => error,
        }
    }
}

impl From<SelectedError<Self>> for Error {
    fn from(error: SelectedError<Self>) -> Self {
        match error {
            SelectedError::Source(error) | SelectedError::Decision(error) => error,
        }
    }
}

/// The packets of a batch that pass.
#[derive(Debug)]
pub struct SelectedBatch<'a, B, D> {
    batch: B,
    verdicts: &'a [bool],
    decision: &'a D,
}

impl<S, D> Selected<S, D> {
    /// Delivers the packets of a source on which `decision` decides so.
    #[must_use]
    pub fn by(source: S, decision: D) -> Self {
        Self { source, decision, verdicts: Vec::new() }
    }

    /// The underlying source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }

    /// Returns the underlying source.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.source
    }
}

impl<S: PacketSource, D: Select> PacketSource for Selected<S, D> {
    type Batch<'a>
        = SelectedBatch<'a, S::Batch<'a>, D>
    where
        S: 'a,
        D: 'a;
    type Error = SelectedError<S::Error>;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Self::Error> {
        let Self { source, decision, verdicts } = self;
        let next = source.next_batch(timeout).map_err(SelectedError::Source)?;
        if matches!(next, Next::End) {
            decision.end().map_err(SelectedError::Decision)?;
        }
        Ok(next.map(|batch| {
            verdicts.clear();
            decision.select(&batch, verdicts);
            SelectedBatch { batch, verdicts, decision }
        }))
    }

    fn statistics(&mut self) -> Result<Statistics, Self::Error> {
        let statistics = self.source.statistics().map_err(SelectedError::Source)?;
        Ok(self.decision.adjust(statistics))
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

impl<B, D> SelectedBatch<'_, B, D> {
    /// The underlying batch, including packets that do not pass.
    #[must_use]
    pub fn get_ref(&self) -> &B {
        &self.batch
    }
}

impl<B: PacketBatch, D: Select> PacketBatch for SelectedBatch<'_, B, D> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        // A packet is large enough for each move to count, so none is paired with its verdict.
        let mut verdicts = self.verdicts.iter();
        let passing = self.batch.packets().filter(move |_| verdicts.next() == Some(&true));
        self.decision.released().chain(passing)
    }

    fn retain(&self) -> Option<Bytes> {
        // Released packets are not in the batch's memory.
        if self.decision.released().next().is_some() {
            return None;
        }
        self.batch.retain()
    }
}
