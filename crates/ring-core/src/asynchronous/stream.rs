//! Packets that own their bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;

use super::capture::AsyncCapture;
use crate::{Error, Packet, PacketMeta, SharedBlock, Statistics};

/// A packet with its own hold on its bytes: on those of its whole block, or of a copy of it.
#[derive(Clone, Debug)]
pub struct OwnedPacket {
    data: Bytes,
    meta: PacketMeta,
}

/// The packets of an [`AsyncCapture`], one by one. It ends when the capture is interrupted, and after an error.
///
/// Each block is copied once, in one piece, so that packets can be kept for as long as one likes; or not at all: see
/// [`in_place`](Self::in_place).
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct PacketStream {
    capture: AsyncCapture,
    block: Option<SharedBlock>,
    in_place: bool,
    ended: bool,
}

impl OwnedPacket {
    pub(crate) fn new(data: Bytes, meta: PacketMeta) -> Self {
        Self { data, meta }
    }

    /// The captured bytes, from the link-layer header on.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// All that the source knows besides the bytes.
    #[must_use]
    pub fn meta(&self) -> &PacketMeta {
        &self.meta
    }

    /// The packet, borrowed.
    #[must_use]
    pub fn as_packet(&self) -> Packet<'_> {
        Packet::new(&self.data, self.meta)
    }

    /// The bytes.
    #[must_use]
    pub fn into_data(self) -> Bytes {
        self.data
    }
}

impl PacketStream {
    pub(crate) fn new(capture: AsyncCapture) -> Self {
        Self { capture, block: None, in_place: false, ended: false }
    }

    /// Whether packets lie in the ring while it has room: nothing is copied then, but a packet that is kept for long
    /// keeps its block from the kernel, which stops there and drops packets. For packets that are soon done with.
    pub fn in_place(mut self, in_place: bool) -> Self {
        self.in_place = in_place;
        self
    }

    /// Totals since the capture was opened.
    ///
    /// # Errors
    /// As [`Capture::statistics`](crate::Capture::statistics).
    pub fn statistics(&mut self) -> Result<Statistics, Error> {
        self.capture.statistics()
    }

    /// The capture; packets of a block that was begun are lost.
    #[must_use]
    pub fn into_inner(self) -> AsyncCapture {
        self.capture
    }
}

impl Stream for PacketStream {
    type Item = Result<OwnedPacket, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while !this.ended {
            if let Some(packet) = this.block.as_mut().and_then(SharedBlock::take_next) {
                return Poll::Ready(Some(Ok(packet)));
            }
            this.block = None;
            match ready!(this.capture.poll_found(cx)) {
                Ok(Some(taken)) => {
                    let block = this.capture.lend(taken);
                    this.block = Some(if this.in_place { block.detach() } else { block.copy() });
                }
                Ok(None) => this.ended = true,
                Err(error) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }
}
