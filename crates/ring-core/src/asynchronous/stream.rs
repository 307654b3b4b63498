//! Packets that own their bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;

use super::capture::AsyncCapture;
use crate::{Error, Packet, PacketMeta, SharedBlock, Statistics};

/// A packet that owns its bytes. They share the memory of their block, or of a copy of it.
#[derive(Clone, Debug)]
pub struct OwnedPacket {
    data: Bytes,
    meta: PacketMeta,
}

/// A stream of the packets of an [`AsyncCapture`]. Ends when the capture is interrupted, and after
/// an error.
///
/// By default each block is copied once, as a whole, so packets can be kept without a limit. To
/// avoid the copy, see [`in_place`](Self::in_place).
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

    /// The captured bytes, starting with the link-layer header.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The packet's metadata.
    #[must_use]
    pub fn meta(&self) -> &PacketMeta {
        &self.meta
    }

    /// Borrows the packet.
    #[must_use]
    pub fn as_packet(&self) -> Packet<'_> {
        Packet::with_meta(&self.data, self.meta)
    }

    /// Returns the bytes.
    #[must_use]
    pub fn into_data(self) -> Bytes {
        self.data
    }
}

impl AsyncCapture {
    /// Converts into a stream of packets that own their bytes.
    pub fn into_packets(self) -> PacketStream {
        PacketStream { capture: self, block: None, in_place: false, ended: false }
    }
}

impl PacketStream {
    /// Avoids the copy while the ring has room: packets then stay in the ring. A packet that is
    /// kept too long keeps its block from the kernel, which stops there and drops packets. Use this
    /// for packets that are dropped soon.
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

    /// Returns the capture. The remaining packets of the current block are lost.
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
