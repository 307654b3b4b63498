//! Packets that lie in one piece of heap memory: what files and memory lend.

use bytes::Bytes;

use crate::{LinkType, Packet, PacketBatch, PacketMeta};

/// A batch of packets that lie in one reference-counted piece of memory.
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
    /// Bytes of a packet that were captured at most, 0 for no limit.
    pub snaplen: u32,
    /// Its name, if the file tells.
    pub name: Option<String>,
    /// Packets that were dropped there, as the file's statistics tell.
    pub drops: u64,
    /// Length in bytes of the frame check sequence at the end of its packets, 0 if there is none.
    pub fcs_len: u8,
}

/// Where a packet lies, and what is known of it.
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

    /// The interfaces that the file has described so far, at the index that [`PacketMeta::interface`] has: all that the
    /// packets belong to. Memory has none.
    #[must_use]
    pub fn interfaces(&self) -> &'a [FileInterface] {
        self.interfaces
    }

    /// How many packets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none, which a source never delivers.
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
            Packet::new(&memory[record.start..record.start + record.len], record.meta)
        })
    }

    fn retain(&self) -> Option<Bytes> {
        Some(self.memory.clone())
    }
}
