//! One direction of a conversation.

#[cfg(not(loom))]
mod read;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flow::{FiveTupleKey, FlowSide, Timestamp};
use futures_core::Stream;

use crate::chunk::{Chunk, ChunkData};
use crate::conversation::Wait;
use crate::error::Error;
use crate::queue::Queue;

/// What one side of a conversation says: a [`Stream`] of chunks, and an `AsyncRead` of its bytes.
///
/// As `AsyncRead` it ends at the side's FIN or at the end of the flow. A gap is an error, once, which holds a
/// [`GapError`](crate::GapError); the next read goes on behind it. Bytes are never joined across a gap in silence.
#[derive(Debug)]
pub struct Half<K: Clone = FiveTupleKey> {
    queue: Arc<Queue<K>>,
    side: FlowSide,
    /// What a read left over.
    rest: Option<ChunkData>,
    /// Of the first byte that the last read gave: position, time stamp, and number of the packet.
    read: Option<(u64, Timestamp, u64)>,
    ended: bool,
}

impl<K: Clone> Half<K> {
    pub(crate) fn new(queue: Arc<Queue<K>>, side: FlowSide) -> Self {
        Self { queue, side, rest: None, read: None, ended: false }
    }

    /// Whose words these are.
    #[must_use]
    pub fn side(&self) -> FlowSide {
        self.side
    }

    /// Position in the side's stream of the first byte that the last read as `AsyncRead` gave, gaps counted; `None` before
    /// one gave any.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.read.map(|(offset, ..)| offset)
    }

    /// Time stamp of the packet that brought the bytes that the last read as `AsyncRead` gave, or the first of them;
    /// `None` before one gave any. A reader with a buffer of its own may have read ahead of what it hands out.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.read.map(|(_, timestamp, _)| timestamp)
    }

    /// Number of that packet, counted from 1 in its source.
    #[must_use]
    pub fn packet_number(&self) -> Option<u64> {
        self.read.map(|(.., number)| number)
    }

    /// The next chunk of this side; `None` after [`Chunk::Closed`]. Cancel-safe.
    pub async fn next_chunk(&mut self) -> Option<Chunk<K>> {
        if let Some(rest) = self.take_rest() {
            return Some(rest);
        }
        Wait::new(&self.queue, self.side).await
    }

    fn take_rest(&mut self) -> Option<Chunk<K>> {
        let rest = self.rest.take()?;
        Some(match self.side {
            FlowSide::Initiator => Chunk::Initiator(rest),
            FlowSide::Responder => Chunk::Responder(rest),
        })
    }
}

// Nothing in it is ever pinned.
impl<K: Clone> Unpin for Half<K> {}

impl<K: Clone> Stream for Half<K> {
    type Item = Result<Chunk<K>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.take_rest() {
            Some(rest) => Poll::Ready(Some(Ok(rest))),
            None => self.queue.poll_side(self.side, cx),
        }
    }
}

impl<K: Clone> Drop for Half<K> {
    fn drop(&mut self) {
        self.queue.abandon(self.side);
    }
}
