//! Packets in one piece of heap memory.

use bytes::Bytes;

use crate::{Packet, PacketBatch, PacketMeta};

/// A batch of packets in one reference-counted piece of memory, as sources lend it that read into
/// heap memory.
#[derive(Clone, Copy, Debug)]
pub struct StoredBatch<'a> {
    memory: &'a Bytes,
    packets: &'a [StoredPacket],
}

/// The position of a packet in a batch's memory, and its metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredPacket {
    /// Offset of its first byte.
    pub start: usize,
    /// The number of bytes that were captured.
    pub len: usize,
    /// Its metadata.
    pub meta: PacketMeta,
}

impl<'a> StoredBatch<'a> {
    /// A batch of the packets at these positions in `memory`.
    ///
    /// # Panics
    /// Iterating over the packets panics at one that does not lie within `memory`.
    #[inline]
    #[must_use]
    pub fn new(memory: &'a Bytes, packets: &'a [StoredPacket]) -> Self {
        Self { memory, packets }
    }

    /// The number of packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// `true` if there are no packets, which no source delivers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }
}

impl PacketBatch for StoredBatch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let memory: &[u8] = self.memory;
        self.packets.iter().map(move |packet| {
            Packet::with_meta(&memory[packet.start..packet.start + packet.len], packet.meta)
        })
    }

    fn retain(&self) -> Option<Bytes> {
        Some(self.memory.clone())
    }
}
