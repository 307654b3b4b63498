//! One trait for everything that packets go to.

use crate::{Error, Packet, PacketBatch};

/// Where packets go: a wire, a file.
pub trait PacketSink {
    /// Takes a packet, waiting for room if there is none.
    ///
    /// It may lie in a buffer until [`flush`](Self::flush).
    ///
    /// # Errors
    /// When this packet was not taken. Those before it were, and the next may be.
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Error>;

    /// Hands on what lies in buffers: a file has it then, or the kernel.
    ///
    /// # Errors
    /// When something could not be handed on; it stays where it is, and the next call tries again.
    fn flush(&mut self) -> Result<(), Error>;

    /// Totals since the sink was opened.
    fn statistics(&self) -> SinkStatistics;

    /// Takes all packets of a batch, in their order.
    ///
    /// # Errors
    /// At the first packet that was not taken.
    fn send_batch<B: PacketBatch>(&mut self, batch: &B) -> Result<(), Error> {
        batch.packets().try_for_each(|packet| self.send(&packet))
    }
}

/// Totals since a sink was opened; none of them ever decreases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkStatistics {
    /// Packets that went out.
    pub packets: u64,
    /// Bytes of these packets, without the headers that the sink puts before them.
    pub bytes: u64,
    /// Packets that were taken but that the kernel then refused.
    pub rejected: u64,
    /// Packets of which less than was given went out: a file's limit for a packet is shorter.
    pub truncated: u64,
    /// Packets that went out without the VLAN tag that they were captured with, since their link-layer header has no
    /// place for it or was cut off.
    pub tags_lost: u64,
}
