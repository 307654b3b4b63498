//! Batches of received packets.

use std::cell::RefCell;
use std::fmt;

use bytes::Bytes;

use super::frame::Frame;
use super::memory::{Lease, Memory};
use super::receiver::Receiver;
use crate::{Packet, PacketBatch, PacketMeta, Timestamp, TimestampSource};

/// Packets lent by a [`Receiver`]. Dropping the batch returns their frames to the kernel.
///
/// ```compile_fail
/// # fn packet_outlives_its_batch(batch: ring_core::xdp::Batch<'_>) {
/// use ring_core::PacketBatch as _;
/// let packet = batch.packets().next();
/// drop(batch);
/// println!("{packet:?}");
/// # }
/// ```
pub struct Batch<'a> {
    receiver: &'a mut Receiver,
    /// The number of the first packet.
    number: u64,
    timestamp: Timestamp,
    /// The retained packets and their bytes. They must live as long as packets borrow from the
    /// batch.
    kept: RefCell<Vec<(u32, Bytes)>>,
}

/// The part of a packet in one frame.
#[derive(Debug)]
pub(crate) struct Piece {
    /// `None` once it was taken out of the batch.
    pub(crate) lease: Option<Lease>,
    pub(crate) start: u32,
    pub(crate) len: u32,
    pub(crate) continues: bool,
}

/// A packet: its pieces, and their joined bytes if there are several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) joined: u32,
    pub(crate) len: u32,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(receiver: &'a mut Receiver, number: u64, timestamp: Timestamp) -> Self {
        Self { receiver, number, timestamp, kept: RefCell::new(Vec::new()) }
    }

    /// The number of packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.receiver.packets()
    }

    /// `true` if there are no packets, which no receiver delivers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of the first packet.
    #[must_use]
    pub fn first_number(&self) -> u64 {
        self.number
    }

    /// Takes the frames with their packets' metadata, to keep, change or send them. A packet longer
    /// than a frame has several frames, and all but the last [continue](Frame::continues).
    /// Packets that were retained before are left out. Frames that the iterator does not return go
    /// back to the kernel.
    pub fn into_frames(self) -> impl Iterator<Item = (Frame, PacketMeta)> {
        let (mut position, mut place) = (0, 0);
        std::iter::from_fn(move || {
            loop {
                let record = self.record(position)?;
                if place == record.first + record.count {
                    position += 1;
                    continue;
                }
                let over = self.receiver.over;
                let piece = self.receiver.pieces.get_mut(over + place as usize)?;
                place += 1;
                if self.kept.borrow().iter().any(|(kept, _)| *kept == position) {
                    continue;
                }
                let (start, len, continues) = (piece.start, piece.len, piece.continues);
                let Some(lease) = piece.lease.take() else { continue };
                let umem = self.receiver.endpoint.umem.clone();
                let frame = Frame::new(umem, lease, start, len, continues);
                return Some((frame, self.meta(position, record.len)));
            }
        })
    }

    fn record(&self, position: u32) -> Option<Record> {
        if self.receiver.records.is_empty() {
            let piece = self.receiver.lent().get(position as usize)?;
            return Some(Record::single(position, piece.len));
        }
        self.receiver.records.get(position as usize).copied()
    }

    #[inline]
    fn meta(&self, position: u32, len: u32) -> PacketMeta {
        let endpoint = &self.receiver.endpoint;
        let number = self.number + u64::from(position);
        let mut meta = PacketMeta::new(number, self.timestamp, endpoint.link_type);
        meta.timestamp_source = TimestampSource::Software;
        meta.interface = endpoint.index;
        meta.wire_len = len;
        meta
    }
}

impl PacketBatch for Batch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        XdpPackets {
            receiver: self.receiver,
            memory: &self.receiver.endpoint.umem.memory,
            meta: self.meta(0, 0),
            position: 0,
        }
    }

    /// Always `None`, because the packets of a batch are in frames of their own. See
    /// [`retain_packet`](Self::retain_packet).
    fn retain(&self) -> Option<Bytes> {
        None
    }

    /// Keeps a packet's frame from the kernel. `None` if no frame is free and the kernel has less
    /// than half of its target; the bytes should be copied then. A packet longer than a frame is
    /// copied here.
    fn retain_packet(&self, packet: &Packet<'_>) -> Option<Bytes> {
        let position = u32::try_from(packet.number().checked_sub(self.number)?).ok()?;
        let record = self.record(position)?;
        let data = self.receiver.data(&record);
        // Numbers are unique only within a source, so the address decides.
        if !std::ptr::eq(data, packet.data()) {
            // A packet of another source.
            return None;
        }
        if record.count != 1 {
            return Some(Bytes::copy_from_slice(data));
        }
        let mut kept = self.kept.borrow_mut();
        if let Some((_, bytes)) = kept.iter().find(|(kept, _)| *kept == position) {
            return Some(bytes.clone());
        }
        if self.receiver.runs_short() {
            return None;
        }
        let piece = &self.receiver.lent()[record.first as usize];
        let umem = self.receiver.endpoint.umem.clone();
        // The batch forgets its own lease when it ends, and keeps the bytes until then.
        let twin = piece.lease.as_ref()?.twin();
        let bytes = Frame::new(umem, twin, piece.start, piece.len, false).into_bytes();
        kept.push((position, bytes.clone()));
        Some(bytes)
    }
}

/// The packets of a batch. Written by hand instead of with adapters, since every packet passes
/// through this loop.
struct XdpPackets<'a> {
    receiver: &'a Receiver,
    memory: &'a Memory,
    /// The next packet's metadata, except for its length.
    meta: PacketMeta,
    position: usize,
}

impl<'a> Iterator for XdpPackets<'a> {
    type Item = Packet<'a>;

    #[inline]
    fn next(&mut self) -> Option<Packet<'a>> {
        let data = if self.receiver.records.is_empty() {
            self.receiver.lent().get(self.position)?.data(self.memory)
        } else {
            let record = self.receiver.records.get(self.position)?;
            self.receiver.data(record)
        };
        let meta = self.meta;
        self.position += 1;
        self.meta.number += 1;
        // `Packet::new` raises the length to that of the data.
        Some(Packet::with_meta(data, meta))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.receiver.packets() - self.position.min(self.receiver.packets());
        (left, Some(left))
    }
}

impl Receiver {
    /// The bytes of a packet that was received to be lent.
    fn data(&self, record: &Record) -> &[u8] {
        if record.count == 1 {
            self.lent()[record.first as usize].data(&self.endpoint.umem.memory)
        } else {
            let start = record.joined as usize;
            &self.joined[start..start + record.len as usize]
        }
    }
}

impl Record {
    /// A packet in one piece.
    pub(crate) fn single(first: u32, len: u32) -> Self {
        Self { first, count: 1, joined: 0, len }
    }
}

impl Piece {
    /// The packet's bytes. Empty once it was taken out of the batch.
    #[inline]
    pub(crate) fn data<'m>(&'m self, memory: &'m Memory) -> &'m [u8] {
        self.lease.as_ref().map_or(&[], |lease| memory.bytes(lease, self.start, self.len))
    }
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        let receiver = &mut *self.receiver;
        for (position, _) in self.kept.get_mut() {
            // The retained bytes own the lease now and return it. Retained packets have one piece.
            let record = receiver.records.get(*position as usize);
            let place = record.map_or(*position, |record| record.first);
            receiver.pieces[receiver.over + place as usize].lease = None;
        }
        receiver.end_batch();
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("packets", &self.len()).finish_non_exhaustive()
    }
}
