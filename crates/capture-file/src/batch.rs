//! Batches of a capture file.

use bytes::Bytes;
use packet::StoredBatch;

use crate::{LinkType, Packet, PacketBatch};

/// A batch of packets of a capture file.
#[derive(Clone, Copy, Debug)]
pub struct FileBatch<'a> {
    packets: StoredBatch<'a>,
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

impl<'a> FileBatch<'a> {
    pub(crate) fn new(packets: StoredBatch<'a>, interfaces: &'a [FileInterface]) -> Self {
        Self { packets, interfaces }
    }

    /// The interfaces that the file has described so far, including those of all these packets,
    /// indexed by [`PacketMeta::interface`](crate::PacketMeta::interface).
    #[must_use]
    pub fn interfaces(&self) -> &'a [FileInterface] {
        self.interfaces
    }

    /// The number of packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// `true` if there are no packets, which no file delivers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }
}

impl PacketBatch for FileBatch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.packets.packets()
    }

    fn retain(&self) -> Option<Bytes> {
        self.packets.retain()
    }
}
