//! The traits of packet sources.

use std::error::Error;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{Interrupter, LinkType, Packet, Statistics};

/// A source of packets, such as a ring, a file or memory.
///
/// A source lends batches, and a batch lends packets. Nothing borrowed from a batch can outlive it,
/// and the next batch can be requested only once the previous one is dropped.
pub trait PacketSource {
    /// A borrowed batch.
    type Batch<'a>: PacketBatch
    where
        Self: 'a;

    /// The error of the source. [`Infallible`](std::convert::Infallible) if nothing can fail.
    type Error: Error + Send + Sync + 'static;

    /// Waits for the next batch, at most as long as `timeout` allows.
    ///
    /// # Errors
    /// If the source cannot continue. A damaged file first returns all batches before the damage,
    /// then the error.
    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Self::Error>;

    /// Totals since the source was opened.
    ///
    /// # Errors
    /// If the kernel refuses to report them.
    fn statistics(&mut self) -> Result<Statistics, Self::Error>;

    /// The link type of the source's packets. `None` if each packet has its own.
    fn link_type(&self) -> Option<LinkType>;

    /// `true` if packets are lost while nobody takes them, as from an interface, but not from a
    /// file. Consumers must not make a live source wait.
    fn is_live(&self) -> bool;

    /// `true` if [`next_batch`](Self::next_batch) never blocks, whatever the timeout, as for a
    /// regular file or memory. A consumer of such a source may take several batches before it
    /// passes them on.
    fn never_waits(&self) -> bool {
        false
    }

    /// The maximum time that a captured packet stays in the source before a batch contains it,
    /// while no further packets arrive. The kernel delays a block that is not full. To get all
    /// packets captured before the end of a capture, wait this long.
    fn held_back(&self) -> Duration {
        Duration::ZERO
    }

    /// A handle with which another thread ends a wait in [`next_batch`](Self::next_batch). `None`,
    /// the default, for sources that never wait.
    fn interrupter(&self) -> Option<Interrupter> {
        None
    }

    /// A descriptor that becomes readable when a batch may be ready, for use with `epoll`. `None`,
    /// the default, for sources without one.
    #[cfg(unix)]
    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A batch of packets that were captured together.
pub trait PacketBatch {
    /// The packets in the order in which they were captured.
    fn packets(&self) -> impl Iterator<Item = Packet<'_>>;

    /// Keeps the memory that holds the packets' data. [`Bytes::slice_ref`] cuts any packet's bytes
    /// from the returned handle without a copy. For a ring, the kernel does not get the block back
    /// until the last clone is dropped. `None` if the source has no such memory, or if memory is
    /// short and the bytes should be copied.
    fn retain(&self) -> Option<Bytes>;

    /// Keeps the bytes of one packet of this batch without a copy. For AF_XDP, whose packets are in
    /// frames of their own, this is the only way to keep them. For other sources the bytes are cut
    /// from those that [`retain`](Self::retain) keeps. `None` if the bytes should be copied.
    ///
    /// # Panics
    /// May panic for a packet of another batch.
    fn retain_packet(&self, packet: &Packet<'_>) -> Option<Bytes> {
        Some(self.retain()?.slice_ref(packet.data()))
    }
}

/// The result of waiting for a batch.
#[derive(Debug)]
#[non_exhaustive]
pub enum Next<B> {
    /// Packets.
    Batch(B),
    /// The timeout expired.
    TimedOut,
    /// Another thread ended the wait with an [`Interrupter`].
    Interrupted,
    /// There are no more packets: the end of a file.
    End,
}

impl<B> Next<B> {
    /// Converts the batch, if there is one. For sources that wrap another one.
    pub fn map<C>(self, convert: impl FnOnce(B) -> C) -> Next<C> {
        match self {
            Self::Batch(batch) => Next::Batch(convert(batch)),
            Self::TimedOut => Next::TimedOut,
            Self::Interrupted => Next::Interrupted,
            Self::End => Next::End,
        }
    }
}

/// A limit for a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Do not wait.
    Now,
    /// Wait at most this long.
    After(Duration),
    /// Wait until something arrives.
    Never,
}

impl Timeout {
    /// The end of a wait that begins at `now`. `None` if the wait is unlimited.
    #[must_use]
    pub fn deadline(self, now: Instant) -> Option<Instant> {
        match self {
            Self::Now => Some(now),
            Self::After(duration) => now.checked_add(duration),
            Self::Never => None,
        }
    }
}

/// Conversion into a source that an engine can own and move to another thread. Implemented by all
/// sources, and by the asynchronous forms, which leave the reactor first.
pub trait IntoPacketSource {
    /// The source.
    type Source: PacketSource + Send + 'static;

    /// Converts into the source.
    ///
    /// # Errors
    /// If it cannot be removed from the reactor.
    fn into_packet_source(self) -> Result<Self::Source, <Self::Source as PacketSource>::Error>;
}

impl<S: PacketSource + Send + 'static> IntoPacketSource for S {
    type Source = S;

    fn into_packet_source(self) -> Result<S, S::Error> {
        Ok(self)
    }
}
