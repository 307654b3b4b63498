//! Packets in one piece of heap memory, as files and memory sources lend them.

use bytes::Bytes;

use crate::{LinkType, Packet, PacketBatch, PacketMeta};

/// A batch of packets in one reference-counted piece of memory.
#[derive(Clone, Copy, Debug)]
pub struct StoredBatch<'a> {
    memory: &'a Bytes,
    records: &'a [Record],
    interfaces: &'a [FileInterface],
}

/// An interface as a capture file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileInterface {
    /// The link type of its packets.
    pub link_type: LinkType,
    /// Maximum number of bytes captured of a packet, 0 for no limit.
    pub snaplen: u32,
    /// The interface's name, if the file has it.
    pub name: Option<String>,
    /// Packets dropped on this interface, from the file's statistics.
    pub drops: u64,
    /// Length in bytes of the frame check sequence at the end of its packets, or 0.
    pub fcs_len: u8,
}

/// The position of a packet and its metadata.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) start: usize,
    pub(crate) len: usize,
    pub(crate) meta: PacketMeta,
}

impl<'a> StoredBatch<'a> {
    /// Every record must lie within `memory`.
    pub(crate) fn new(
        memory: &'a Bytes,
        records: &'a [Record],
        interfaces: &'a [FileInterface],
    ) -> Self {
        Self { memory, records, interfaces }
    }

    /// The interfaces that the file has described so far, including those of all these packets,
    /// indexed by [`PacketMeta::interface`]. Empty for memory sources.
    #[must_use]
    pub fn interfaces(&self) -> &'a [FileInterface] {
        self.interfaces
    }

    /// The number of packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// `true` if there are no packets, which no source delivers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl PacketBatch for StoredBatch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let memory: &[u8] = self.memory;
        self.records.iter().map(move |record| {
            Packet::with_meta(&memory[record.start..record.start + record.len], record.meta)
        })
    }

    fn retain(&self) -> Option<Bytes> {
        Some(self.memory.clone())
    }
}
