//! Blocks of the ring, lent or on loan.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use packet_filter::Program;

use super::counts::{COPY, Counts};
use super::ring::{Extent, Ring};
use super::walk::{Packets, Walk};
use crate::{Packet, PacketBatch};

/// A block of packets, lent by a [`Capture`](crate::Capture). Dropping it returns it to the kernel.
///
/// ```compile_fail
/// # fn packet_outlives_its_block(block: ring_core::Block<'_>) {
/// let packet = block.packets().next();
/// drop(block);
/// println!("{packet:?}");
/// # }
/// ```
pub struct Block<'a> {
    ring: &'a Arc<Ring>,
    extent: Extent,
    walk: Walk,
    filter: Option<Arc<Program>>,
    /// The block's bytes, once it is on loan. The block is returned when the last clone is dropped.
    kept: OnceCell<Bytes>,
}

/// A block of packets that can be kept and moved to other threads. The kernel gets it back when its
/// last clone and the last [`Bytes`] cut from it are dropped.
///
/// The kernel fills blocks in turn and stops at one that is still kept. A single block kept too
/// long makes it drop packets, however many other blocks are free. Keep blocks only while working
/// on them, and copy packets that must stay.
#[derive(Clone)]
pub struct SharedBlock {
    counts: Arc<Counts>,
    extent: Extent,
    walk: Walk,
    filter: Option<Arc<Program>>,
    bytes: Bytes,
}

/// A block that was taken from the ring and must be returned explicitly.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) extent: Extent,
    pub(crate) walk: Walk,
    /// A filter to apply to the packets, if the block was captured under another filter.
    pub(crate) filter: Option<Arc<Program>>,
}

/// Returns a block on loan when dropped.
struct Loan {
    ring: Arc<Ring>,
    extent: Extent,
}

impl<'a> Block<'a> {
    /// The block must have been taken from this ring, which returned the extent.
    #[inline]
    pub(crate) fn new(ring: &'a Arc<Ring>, taken: Taken) -> Self {
        let Taken { extent, walk, filter } = taken;
        Self { ring, extent, walk, filter, kept: OnceCell::new() }
    }

    /// The packets in the order of capture.
    #[inline]
    #[must_use]
    pub fn packets(&self) -> Packets<'_> {
        // SAFETY: the block was taken for this value, and is returned when this value is dropped,
        // or later.
        let data = unsafe { self.ring.data(&self.extent) };
        Packets::new(&self.ring.counts, self.extent.index, data, self.walk, self.filter.as_deref())
    }

    /// The number of packets in the block. After a change of the filter, iteration may return
    /// fewer.
    #[must_use]
    pub fn len(&self) -> usize {
        self.walk.left() as usize
    }

    /// `true` if the block has no packets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps the block beyond the next one; see [`SharedBlock`].
    #[must_use]
    pub fn share(self) -> SharedBlock {
        let bytes = self.keep().clone();
        SharedBlock {
            counts: self.ring.counts.clone(),
            extent: self.extent,
            walk: self.walk,
            filter: self.filter.clone(),
            bytes,
        }
    }

    /// Keeps the packets beyond the next block: the block itself while the ring has room, as for
    /// [`retain`](PacketBatch::retain), otherwise a copy.
    #[must_use]
    pub fn detach(self) -> SharedBlock {
        if self.retain().is_some() { self.share() } else { self.copy() }
    }

    /// Copies the packets in one piece. The copy can be kept without a limit, and the block is
    /// returned.
    #[must_use]
    pub fn copy(self) -> SharedBlock {
        // Walking the copy counts nothing, so walk the block once to count its packets.
        self.packets().for_each(drop);
        // SAFETY: as in `packets`.
        let bytes = Bytes::copy_from_slice(unsafe { self.ring.data(&self.extent) });
        let extent = Extent { index: COPY, ..self.extent };
        SharedBlock {
            counts: self.ring.counts.clone(),
            extent,
            walk: self.walk,
            filter: self.filter.clone(),
            bytes,
        }
    }

    fn keep(&self) -> &Bytes {
        self.kept.get_or_init(|| {
            self.ring.loans.extend(self.extent.index);
            Bytes::from_owner(Loan { ring: self.ring.clone(), extent: self.extent })
        })
    }
}

impl PacketBatch for Block<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        Block::packets(self)
    }

    /// `None` if the next block that is still kept is less than half the ring ahead. Copy then, and
    /// release what is kept.
    fn retain(&self) -> Option<Bytes> {
        if let Some(bytes) = self.kept.get() {
            return Some(bytes.clone());
        }
        let blocks = self.ring.block_count();
        let free = self.ring.loans.free_from((self.extent.index + 1) % blocks);
        // All blocks but this one must be free, or half of the ring.
        if free + 1 < blocks.div_ceil(2).max(2) { None } else { Some(self.keep().clone()) }
    }
}

impl<'b> IntoIterator for &'b Block<'_> {
    type Item = Packet<'b>;
    type IntoIter = Packets<'b>;

    fn into_iter(self) -> Packets<'b> {
        self.packets()
    }
}

impl Drop for Block<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.kept.get().is_none() {
            self.ring.give_back(self.extent.index);
        }
    }
}

impl fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("packets", &self.len())
            .field("bytes", &self.extent.len)
            .finish_non_exhaustive()
    }
}

impl SharedBlock {
    /// The packets in the order of capture.
    #[must_use]
    pub fn packets(&self) -> Packets<'_> {
        Packets::new(
            &self.counts,
            self.extent.index,
            &self.bytes,
            self.walk,
            self.filter.as_deref(),
        )
    }

    /// The memory of all packets. [`Bytes::slice_ref`] cuts a packet's bytes from it without a
    /// copy.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The number of packets in the block. After a change of the filter, iteration may return
    /// fewer.
    #[must_use]
    pub fn len(&self) -> usize {
        self.walk.left() as usize
    }

    /// `true` if the block has no packets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the first of the remaining packets.
    #[cfg(feature = "tokio")]
    pub(crate) fn take_next(&mut self) -> Option<crate::OwnedPacket> {
        let packet =
            self.walk.next(&self.counts, self.extent.index, &self.bytes, self.filter.as_deref())?;
        Some(crate::OwnedPacket::new(self.bytes.slice_ref(packet.data()), *packet.meta()))
    }
}

impl PacketBatch for SharedBlock {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        Self::packets(self)
    }

    fn retain(&self) -> Option<Bytes> {
        Some(self.bytes.clone())
    }
}

impl<'b> IntoIterator for &'b SharedBlock {
    type Item = Packet<'b>;
    type IntoIter = Packets<'b>;

    fn into_iter(self) -> Packets<'b> {
        self.packets()
    }
}

impl fmt::Debug for SharedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBlock")
            .field("packets", &self.len())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the block was taken, and is returned when this value is dropped, after all slices
        // of it.
        unsafe { self.ring.data(&self.extent) }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.ring.give_back(self.extent.index);
    }
}
