//! A half as a stream of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::Half;
use crate::api::chunk::Chunk;
use crate::api::error::{GapError, OverrunError};
use crate::coop;

impl<K: Clone> AsyncRead for Half<K> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        coop::poll(cx, |cx| this.poll_bytes(cx, buf))
    }
}

impl<K: Clone> Half<K> {
    fn poll_bytes(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if buf.remaining() == 0 || self.ended {
                return Poll::Ready(Ok(()));
            }
            // Not once, but until the reader moves on. `FramedRead`, for one, gives an error and
            // then `None`, and if it is polled again reads on with what it had in its buffer: the
            // bytes around the gap would become one message.
            if let Some(gap) = self.gap {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, gap)));
            }
            if let Some(rest) = &mut self.rest {
                let count = rest.len().min(buf.remaining());
                self.read = Some((rest.offset(), rest.timestamp(), rest.packet_number()));
                buf.put_slice(&rest[..count]);
                rest.advance(count);
                if rest.is_empty() {
                    self.rest = None;
                }
                return Poll::Ready(Ok(()));
            }
            match self.queue.poll_side(self.side, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Err(error))) => {
                    self.ended = true;
                    return Poll::Ready(Err(io::Error::other(error)));
                }
                Poll::Ready(Some(Ok(Chunk::Initiator(data) | Chunk::Responder(data)))) => {
                    self.rest = (!data.is_empty()).then_some(data);
                }
                Poll::Ready(Some(Ok(Chunk::Gap {
                    offset,
                    len,
                    cause,
                    estimated,
                    dropped,
                    ..
                }))) => {
                    self.gap = Some(GapError { offset, len, cause, estimated, dropped });
                }
                Poll::Ready(Some(Ok(Chunk::Overrun { side, offset }))) => {
                    self.ended = true;
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
                    self.ended = true;
                }
            }
        }
    }
}
