//! One trait for everything that packets come from.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use bytes::Bytes;

use crate::{Error, Interrupter, LinkType, Packet, Statistics};

/// Where packets come from: a ring, a file, memory.
///
/// A source lends batches; a batch lends packets. What is borrowed from a batch cannot outlive it, and the next batch
/// cannot be asked for while one is still in use.
pub trait PacketSource {
    /// A lent batch.
    type Batch<'a>: PacketBatch
    where
        Self: 'a;

    /// Waits for the next batch, at most as long as `timeout` says.
    ///
    /// # Errors
    /// What the source cannot go on after. A damaged file gives first all batches before the damage, then the error.
    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Error>;

    /// Totals since the source was opened.
    ///
    /// # Errors
    /// When the kernel refuses to tell.
    fn statistics(&mut self) -> Result<Statistics, Error>;

    /// The link type of the source's packets, `None` where each packet has its own.
    fn link_type(&self) -> Option<LinkType>;

    /// Whether packets are lost when nobody takes them: true for a wire, false for a file. Consumers of a live source
    /// must never make it wait.
    fn is_live(&self) -> bool;

    /// Whether [`next_batch`](Self::next_batch) never waits for anybody, whatever the timeout, as where it reads a file
    /// on a disk, or memory. Who uses such a source may take several batches before handing on what is in them: nobody
    /// waits for it longer than that takes.
    fn never_waits(&self) -> bool {
        false
    }

    /// How long a packet that was captured may lie in the source before a batch holds it, while the wire is silent: a
    /// kernel hands over a block that is not full after a while only. Who ends a capture and wants all that came before
    /// waits for so long.
    fn held_back(&self) -> Duration {
        Duration::ZERO
    }

    /// A handle with which another thread ends a wait in [`next_batch`](Self::next_batch), `None` for sources that
    /// never wait.
    fn interrupter(&self) -> Option<Interrupter>;

    /// A descriptor that becomes readable when a batch may be ready, for those who wait with `epoll`.
    fn readiness(&self) -> Option<BorrowedFd<'_>>;
}

/// Packets that were captured together.
pub trait PacketBatch {
    /// The packets in the order in which they were captured.
    fn packets(&self) -> impl Iterator<Item = Packet<'_>>;

    /// Keeps the memory that the packets' data lie in: a reference-counted handle from which
    /// [`Bytes::slice_ref`] cuts any packet's bytes without a copy. For a ring this keeps the block from the
    /// kernel until the last clone is dropped. `None` where the source has no such memory, or where it runs short and
    /// the bytes are better copied.
    fn retain(&self) -> Option<Bytes>;

    /// Keeps the bytes of one packet of this batch without a copy. For AF_XDP, whose packets lie in frames of their own,
    /// this is the only way to keep them; elsewhere it is cut from what [`retain`](Self::retain) keeps. `None` where
    /// the bytes are better copied.
    ///
    /// # Panics
    /// May panic for a packet that is not of this batch.
    fn retain_packet(&self, packet: &Packet<'_>) -> Option<Bytes> {
        Some(self.retain()?.slice_ref(packet.data()))
    }
}

/// What came of waiting for a batch.
#[derive(Debug)]
#[non_exhaustive]
pub enum Next<B> {
    /// Packets.
    Batch(B),
    /// The time ran out first.
    TimedOut,
    /// Another thread asked for an end of the wait through an [`Interrupter`].
    Interrupted,
    /// There will be no more: the end of a file.
    End,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Not at all.
    Now,
    /// At most so long.
    After(Duration),
    /// Until something comes.
    Never,
}

/// Anything that can be turned into a source which an engine takes over, to another thread if need be: every source
/// itself, and the asynchronous forms, which leave the reactor first.
pub trait IntoPacketSource {
    /// The source.
    type Source: PacketSource + Send + 'static;

    /// Hands the source over.
    ///
    /// # Errors
    /// When it cannot be taken out of the reactor.
    fn into_packet_source(self) -> Result<Self::Source, Error>;
}

impl<S: PacketSource + Send + 'static> IntoPacketSource for S {
    type Source = S;

    fn into_packet_source(self) -> Result<S, Error> {
        Ok(self)
    }
}
