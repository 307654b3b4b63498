//! Sending through a ring shared with the kernel: `PACKET_TX_RING` with `TPACKET_V2`
//! (`Documentation/networking/packet_mmap.rst`).
//!
//! A slot belongs to this process while its status is `TP_STATUS_AVAILABLE`. It belongs to the
//! kernel from `TP_STATUS_SEND_REQUEST` on until the kernel sets `TP_STATUS_AVAILABLE` again. The
//! kernel takes slots in order, only within send(2), and stops at the first that it cannot take. It
//! never writes a frame's bytes.

use std::io;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use ring_sys::mmap::Mapping;
use ring_sys::packet::PacketSocket;
use ring_sys::packet::abi::{
    TP_STATUS_AVAILABLE, TP_STATUS_SEND_REQUEST, TP_STATUS_SENDING, TP_STATUS_WRONG_FORMAT,
    TPACKET_V2, TPACKET2_HDRLEN, Tpacket2Hdr, TpacketReq,
};

use super::handed::Handed;
use super::offload::{Offload, VIRTIO_HEADER, virtio_header};

/// Offset of a slot's data. `TPACKET2_HDRLEN` includes an address after the header, which is absent
/// when sending.
const DATA: usize = TPACKET2_HDRLEN - size_of::<ring_sys::packet::abi::SockaddrLl>();
const _: () = assert!(DATA == 32 && DATA.is_multiple_of(16));

const PAGE: usize = 4096;
/// Approximate size of a block in bytes.
const BLOCK: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Ring {
    mapping: Mapping,
    geometry: Geometry,
    /// The frames' lengths. Kept here because the kernel could change them in the mapping.
    lens: Box<[u32]>,
    /// The oldest slot that the kernel has not taken, and the next one to fill. Not reduced to the
    /// ring's size.
    first: u64,
    next: u64,
    headers: Headers,
    /// `true` if the kernel skips frames that it refuses (`PACKET_LOSS`).
    skips: bool,
}

/// The part of a frame that the kernel copies, set by a virtio-net header before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Headers {
    /// No header. The link-layer header is copied; the rest stays in the ring while it is in
    /// flight.
    None,
    /// The same, with a header.
    Present,
    /// A header that makes the kernel copy the whole frame.
    CopyAll,
}

#[derive(Clone, Copy, Debug)]
struct Geometry {
    place: usize,
    per_block: usize,
    block: usize,
    count: usize,
}

impl Ring {
    /// Creates and maps a ring for `count` frames of up to `longest` bytes.
    pub(crate) fn new(
        socket: &PacketSocket,
        count: usize,
        longest: usize,
        headers: Headers,
        skips: bool,
    ) -> io::Result<Self> {
        let geometry = Geometry::new(count, longest)
            .ok_or_else(|| io::Error::from_raw_os_error(ring_sys::errno::EINVAL))?;
        socket.set_version(TPACKET_V2)?;
        if skips {
            socket.set_loss(true)?;
        }
        if headers != Headers::None {
            socket.set_vnet_header(true)?;
        }
        let blocks = geometry.count / geometry.per_block;
        socket.set_tx_ring(&TpacketReq {
            tp_block_size: geometry.block as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: geometry.place as u32,
            tp_frame_nr: geometry.count as u32,
        })?;
        Ok(Self {
            mapping: socket.map_ring(geometry.block * blocks)?,
            geometry,
            lens: vec![0; geometry.count].into(),
            first: 0,
            next: 0,
            headers,
            skips,
        })
    }

    pub(crate) fn pending(&self) -> usize {
        (self.next - self.first) as usize
    }

    pub(crate) fn has_room(&self) -> bool {
        self.pending() < self.geometry.count && state(self.status(self.next)) == TP_STATUS_AVAILABLE
    }

    /// The bytes of the next slot, mutable. The slot must be [free](Self::has_room).
    pub(crate) fn frame(&mut self, len: usize) -> &mut [u8] {
        debug_assert!(self.has_room());
        let start = DATA + self.before();
        self.place_mut(self.next, start, len)
    }

    /// The bytes of the next slot.
    pub(crate) fn frame_ref(&self, len: usize) -> &[u8] {
        let pointer = self.bytes(self.next, DATA + self.before(), len);
        // SAFETY: as in `place_mut`.
        unsafe { slice::from_raw_parts(pointer.as_ptr(), len) }
    }

    pub(crate) fn commit(&mut self, len: usize, offload: Option<&Offload>) {
        let before = self.before();
        if self.headers != Headers::None {
            let copied = match self.headers {
                Headers::CopyAll => u16::try_from(len).unwrap_or(u16::MAX),
                _ => 0,
            };
            let header = virtio_header(offload, copied);
            self.place_mut(self.next, DATA, before).copy_from_slice(&header);
        }
        self.request(self.next, len as u32);
        self.next += 1;
    }

    pub(crate) fn hand_over(&mut self, socket: &PacketSocket) -> Handed {
        let mut handed = Handed::default();
        let result = socket.kick();
        let before = self.first;
        while self.first < self.next {
            // The kernel has taken all slots whose status changed. It may have sent some of them
            // already.
            match state(self.status(self.first)) {
                TP_STATUS_SEND_REQUEST | TP_STATUS_WRONG_FORMAT => break,
                _ => {
                    handed.count(&[self.lens[self.index(self.first)]]);
                    self.first += 1;
                }
            }
        }
        match result {
            Ok(bytes) if self.skips => self.count_skipped(&mut handed, before, bytes as u64),
            Ok(_) => {}
            Err(error) => handed.error = Some(error),
        }
        handed
    }

    pub(crate) fn first_len(&self) -> u32 {
        self.lens[self.index(self.first)]
    }

    /// Gives up the oldest frame, which the kernel refuses and at which it would stop forever.
    /// Returns its length. Later frames move up, since the kernel takes no slot before this one.
    pub(crate) fn reject(&mut self) -> u32 {
        let rejected = self.first_len();
        let before = self.before();
        for place in self.first..self.next - 1 {
            let len = self.lens[self.index(place + 1)];
            // None of these slots belongs to the kernel before the next system call.
            let (from, to) = (place + 1, place);
            let size = before + len as usize;
            let source = self.place_mut(from, DATA, size).as_ptr();
            let target = self.place_mut(to, DATA, size).as_mut_ptr();
            // SAFETY: both are slots of the mapping, do not overlap, and were checked for `size`
            // bytes.
            unsafe { source.copy_to_nonoverlapping(target, size) };
            self.request(place, len);
        }
        self.next -= 1;
        self.status(self.next).store(TP_STATUS_AVAILABLE, Ordering::Release);
        rejected
    }

    /// Takes back all slots that the kernel has not taken.
    pub(crate) fn discard(&mut self) {
        while self.next > self.first {
            self.next -= 1;
            self.status(self.next).store(TP_STATUS_AVAILABLE, Ordering::Release);
        }
    }

    /// Counts skipped frames. The kernel reports how many bytes it took, but not which frames it
    /// skipped. It skips those that are too long, so assume the longest.
    fn count_skipped(&self, handed: &mut Handed, before: u64, bytes: u64) {
        let mut missing = handed.bytes.saturating_sub(bytes);
        if missing == 0 {
            return;
        }
        let mut lens: Vec<u32> =
            (before..self.first).map(|place| self.lens[self.index(place)]).collect();
        lens.sort_unstable_by(|a, b| b.cmp(a));
        for len in lens {
            if missing == 0 {
                break;
            }
            missing = missing.saturating_sub(u64::from(len));
            handed.packets -= 1;
            handed.bytes -= u64::from(len);
            handed.skipped += 1;
        }
    }

    fn request(&mut self, place: u64, len: u32) {
        let index = self.index(place);
        self.lens[index] = len;
        let total = len + self.before() as u32;
        let at = std::mem::offset_of!(Tpacket2Hdr, tp_len);
        self.place_mut(place, at, 4).copy_from_slice(&total.to_ne_bytes());
        // Release: everything above is written before the kernel sees the request.
        self.status(place).store(TP_STATUS_SEND_REQUEST, Ordering::Release);
    }

    fn status(&self, place: u64) -> &AtomicU32 {
        let at = self.geometry.offset(self.index(place));
        let pointer = self.mapping.pointer(at, size_of::<AtomicU32>(), align_of::<AtomicU32>());
        let pointer = pointer.expect("places lie within the mapping").cast::<AtomicU32>();
        // SAFETY: the pointer is aligned and within the mapping, which lives as long as `self`.
        // Both sides access the word atomically.
        unsafe { pointer.as_ref() }
    }

    /// The bytes of a slot that belongs to this process.
    fn place_mut(&mut self, place: u64, start: usize, len: usize) -> &mut [u8] {
        let pointer = self.bytes(place, start, len);
        // SAFETY: the bytes are within the mapping, and the kernel does not write the slot: it
        // belongs to this process, or was requested while no system call is in progress, since
        // those borrow the ring mutably. The status word is not among the bytes.
        unsafe { slice::from_raw_parts_mut(pointer.as_ptr(), len) }
    }

    /// A pointer to bytes of a slot, excluding its status word.
    fn bytes(&self, place: u64, start: usize, len: usize) -> NonNull<u8> {
        assert!(start >= size_of::<AtomicU32>() && start + len <= self.geometry.place);
        let at = self.geometry.offset(self.index(place)) + start;
        self.mapping.pointer(at, len, 1).expect("places lie within the mapping")
    }

    fn index(&self, place: u64) -> usize {
        (place % self.geometry.count as u64) as usize
    }

    fn before(&self) -> usize {
        if self.headers == Headers::None { 0 } else { VIRTIO_HEADER }
    }
}

/// The owner of a slot. Acquire: everything that the kernel did before is visible. Other bits
/// report timestamps.
fn state(status: &AtomicU32) -> u32 {
    const STATE: u32 = TP_STATUS_SEND_REQUEST | TP_STATUS_SENDING | TP_STATUS_WRONG_FORMAT;
    status.load(Ordering::Acquire) & STATE
}

impl Geometry {
    /// A geometry with at least `count` slots. `None` for more than the kernel can count.
    fn new(count: usize, longest: usize) -> Option<Self> {
        let place = (DATA + VIRTIO_HEADER + longest).next_multiple_of(16);
        let per_block = (BLOCK / place).max(1);
        let block = (place * per_block).next_multiple_of(PAGE);
        // The kernel requires as many slots per block as fit.
        let per_block = block / place;
        let blocks = count.div_ceil(per_block).max(1);
        let count = blocks.checked_mul(per_block).filter(|&count| u32::try_from(count).is_ok())?;
        blocks.checked_mul(block)?;
        Some(Self { place, per_block, block, count })
    }

    fn offset(&self, index: usize) -> usize {
        index / self.per_block * self.block + index % self.per_block * self.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_do_not_overlap_and_stay_in_their_blocks() {
        for (count, longest) in [(1, 1), (256, 1518), (64, 65_535), (1000, 9018), (7, 60_000)] {
            let geometry = Geometry::new(count, longest).expect("few places");
            assert!(geometry.count >= count && geometry.block.is_multiple_of(PAGE));
            assert_eq!(geometry.count % geometry.per_block, 0);
            assert!(geometry.place >= DATA + VIRTIO_HEADER + longest);
            let mut end = 0;
            for index in 0..geometry.count {
                let start = geometry.offset(index);
                assert!(start >= end && start.is_multiple_of(16));
                end = start + geometry.place;
                assert_eq!(start / geometry.block, (end - 1) / geometry.block);
            }
            assert!(end <= geometry.count / geometry.per_block * geometry.block);
        }
    }

    #[test]
    fn more_places_than_can_be_counted_are_none() {
        // Block counts whose lowest 32 bits are just 1, and sizes for which the same is true of 64
        // bits.
        for count in [1 << 32, (1 << 32) + 1, usize::MAX / 2, usize::MAX - 1, usize::MAX] {
            assert!(Geometry::new(count, 1518).is_none(), "{count}");
        }
        let Geometry { per_block, .. } = Geometry::new(1, 1518).expect("one place");
        for blocks in [(1 << 32) + 1, (1 << 48) + 1] {
            assert!(Geometry::new(blocks * per_block, 1518).is_none(), "{blocks} blocks");
        }
    }
}
