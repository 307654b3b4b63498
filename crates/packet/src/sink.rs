//! The trait of packet sinks.

use std::error::Error;

use crate::{Packet, PacketBatch};

/// A destination for packets, such as an interface or a file.
pub trait PacketSink {
    /// The error of sending. [`Infallible`](std::convert::Infallible) if nothing can fail.
    type Error: Error + Send + Sync + 'static;

    /// Sends a packet. Waits if there is no room for it.
    ///
    /// The packet may stay in a buffer until [`flush`](Self::flush).
    ///
    /// # Errors
    /// If this packet was not accepted. Earlier packets were, and later ones may be.
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Self::Error>;

    /// Hands buffered packets over to the file or the kernel.
    ///
    /// # Errors
    /// If something could not be handed over. It stays in the buffer, and the next call tries
    /// again.
    fn flush(&mut self) -> Result<(), Self::Error>;

    /// Totals since the sink was opened.
    fn statistics(&self) -> SinkStatistics;

    /// Sends all packets of a batch, in order.
    ///
    /// # Errors
    /// At the first packet that was not accepted.
    fn send_batch<B: PacketBatch>(&mut self, batch: &B) -> Result<(), Self::Error> {
        batch.packets().try_for_each(|packet| self.send(&packet))
    }
}

/// Totals since a sink was opened. They never decrease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SinkStatistics {
    /// Packets that were sent or written.
    pub packets: u64,
    /// Bytes of these packets, without the headers that the sink puts before them.
    pub bytes: u64,
    /// Packets that were accepted but that the kernel then refused.
    pub rejected: u64,
    /// Packets that were shortened to the file's limit.
    pub truncated: u64,
    /// Packets sent without the VLAN tag that they were captured with. Their link-layer header was
    /// cut off or has no place for it.
    pub tags_lost: u64,
}
