//! A half as a stream of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::Half;
use crate::chunk::Chunk;
use crate::error::{GapError, OverrunError};

impl<K: Clone> AsyncRead for Half<K> {
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
            // Not once, but until the reader moves on. `FramedRead`, for one, gives an error and
            // then `None`, and if it is polled again reads on with what it had in its buffer: the
            // bytes around the gap would become one message.
            if let Some(gap) = this.gap {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, gap)));
            }
            if let Some(rest) = &mut this.rest {
                let count = rest.len().min(buf.remaining());
                this.read = Some((rest.offset(), rest.timestamp(), rest.packet_number()));
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
                Poll::Ready(Some(Ok(Chunk::Gap { offset, len, cause, estimated, .. }))) => {
                    this.gap = Some(GapError { offset, len, cause, estimated });
                }
                Poll::Ready(Some(Ok(Chunk::Overrun { side, offset }))) => {
                    this.ended = true;
                    let overrun = OverrunError { side, offset };
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::ConnectionAborted,
                        overrun,
                    )));
                }
                // No part of the ordered bytes.
                Poll::Ready(Some(Ok(
                    Chunk::Late { .. } | Chunk::Unplaced { .. } | Chunk::Conflict { .. },
                ))) => {}
                Poll::Ready(Some(Ok(Chunk::Finished { .. } | Chunk::Closed { .. })) | None) => {
                    this.ended = true;
                }
            }
        }
    }
}
