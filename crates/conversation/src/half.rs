//! One direction of a conversation.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flow::{FiveTupleKey, FlowSide};
use futures_core::Stream;
use tokio::io::{AsyncRead, ReadBuf};

use crate::chunk::{Chunk, ChunkData};
use crate::conversation::Wait;
use crate::error::{Error, GapError};
use crate::queue::Queue;

/// What one side of a conversation says: a [`Stream`] of chunks, and an [`AsyncRead`] of its bytes.
///
/// As `AsyncRead` it ends at the side's FIN or at the end of the flow. A gap is an error, once, which holds a
/// [`GapError`]; the next read goes on behind it. Bytes are never joined across a gap in silence.
#[derive(Debug)]
pub struct Half<K: Clone = FiveTupleKey> {
    queue: Arc<Queue<K>>,
    side: FlowSide,
    /// What a read left over.
    rest: Option<ChunkData>,
    ended: bool,
}

impl<K: Clone> Half<K> {
    pub(crate) fn new(queue: Arc<Queue<K>>, side: FlowSide) -> Self {
        Self { queue, side, rest: None, ended: false }
    }

    /// Whose words these are.
    #[must_use]
    pub fn side(&self) -> FlowSide {
        self.side
    }

    /// The next chunk of this side; `None` after [`Chunk::Closed`]. Cancel-safe.
    pub async fn next_chunk(&mut self) -> Option<Chunk<K>> {
        if let Some(rest) = self.take_rest() {
            return Some(rest);
        }
        Wait::new(&self.queue, Some(self.side)).await
    }

    fn take_rest(&mut self) -> Option<Chunk<K>> {
        let rest = self.rest.take()?;
        Some(match self.side {
            FlowSide::Initiator => Chunk::Initiator(rest),
            FlowSide::Responder => Chunk::Responder(rest),
        })
    }
}

impl<K: Clone + Unpin> Stream for Half<K> {
    type Item = Result<Chunk<K>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.take_rest() {
            Some(rest) => Poll::Ready(Some(Ok(rest))),
            None => self.queue.poll_side(self.side, cx),
        }
    }
}

impl<K: Clone + Unpin> AsyncRead for Half<K> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if buf.remaining() == 0 || this.ended {
                return Poll::Ready(Ok(()));
            }
            if let Some(rest) = &mut this.rest {
                let count = rest.len().min(buf.remaining());
                buf.put_slice(&rest[..count]);
                rest.advance(count);
                if rest.is_empty() {
                    this.rest = None;
                }
                return Poll::Ready(Ok(()));
            }
            match this.queue.poll_side(this.side, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Err(error))) => {
                    this.ended = true;
                    return Poll::Ready(Err(io::Error::other(error)));
                }
                Poll::Ready(Some(Ok(Chunk::Initiator(data) | Chunk::Responder(data)))) => {
                    this.rest = (!data.is_empty()).then_some(data);
                }
                Poll::Ready(Some(Ok(Chunk::Gap { offset, len, cause, .. }))) => {
                    let gap = GapError { offset, len, cause };
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, gap)));
                }
                // No part of the ordered bytes.
                Poll::Ready(Some(Ok(Chunk::Late { .. }))) => {}
                Poll::Ready(Some(Ok(Chunk::Finished { .. } | Chunk::Closed { .. })) | None) => {
                    this.ended = true;
                }
            }
        }
    }
}

impl<K: Clone> Drop for Half<K> {
    fn drop(&mut self) {
        self.queue.abandon(self.side);
    }
}
