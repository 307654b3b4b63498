//! Packets that lie in one piece of heap memory: what files and memory lend.

use bytes::Bytes;

use crate::{Packet, PacketBatch, PacketMeta};

/// A batch of packets that lie in one reference-counted piece of memory.
#[derive(Clone, Copy, Debug)]
pub struct StoredBatch<'a> {
    memory: &'a Bytes,
    records: &'a [Record],
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
    pub(crate) fn new(memory: &'a Bytes, records: &'a [Record]) -> Self {
        Self { memory, records }
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
