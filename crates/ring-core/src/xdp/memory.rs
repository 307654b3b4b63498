//! Packet memory and the ownership of its frames.
//!
//! **Invariant.** Each frame is in exactly one place: in the pool, with a user (who has its
//! [`Lease`]), with the kernel to be filled, or with the kernel to be sent. One word per frame
//! records the place and the queue. Only the owner moves a frame on. That is the holder of the
//! lease or, for frames that the kernel has, the thread that reads the ring through which the
//! kernel returns them. If several threads receive from one queue, the first one wins. A frame
//! returned by the kernel is checked against its word, so a frame that the kernel returns twice, or
//! never got, never has a second lease.
//!
//! **Rules.** Leases are created only here and never copied. While a lease exists, neither the
//! kernel nor anybody else reads or writes its frame, so slices of the frame are sound while the
//! lease is borrowed.

use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;
use ring_sys::mmap::Mapping;
use ring_sys::xdp::abi::{XDP_PACKET_HEADROOM, XskTxMetadata};

use crate::wait::FrameReturns;

/// The right to use the bytes of a frame.
#[derive(Debug)]
#[must_use = "a lease that is forgotten is a frame lost"]
pub(crate) struct Lease {
    index: u32,
    /// The number of the frame's memory.
    memory: NonZeroU32,
}

/// The kernel's ring that has a frame, and its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// To be filled, for the sockets of a queue.
    Fill(u16),
    /// To be sent, for a socket of a queue.
    Send(u16),
}

/// Maximum number of queues that may ever use a memory.
pub(crate) const MOST_QUEUES: u16 = 1 << 14;

/// `XSK_UNALIGNED_BUF_OFFSET_SHIFT` and `XSK_UNALIGNED_BUF_ADDR_MASK` of `linux/if_xdp.h`.
const OFFSET_SHIFT: u32 = 48;
const OFFSET_MASK: u64 = (1 << OFFSET_SHIFT) - 1;

const IN_POOL: u16 = 0;
const WITH_USER: u16 = 1;
const TO_FILL: u16 = 1 << 14;
const TO_SEND: u16 = 1 << 15;

/// The division of memory into frames. All sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// A power of two, unless frames are unaligned.
    pub(crate) frame_size: u32,
    /// Frames are adjacent, of any size (`XDP_UMEM_UNALIGNED_CHUNK_FLAG`). The kernel's addresses
    /// then contain the start of the frame and, in the upper 16 bits, the packet's offset in the
    /// frame.
    pub(crate) unaligned: bool,
    pub(crate) frames: u32,
    /// Bytes to leave free before each received packet, in addition to the kernel's own headroom.
    pub(crate) headroom: u32,
    /// Bytes for metadata before each packet to be sent, or 0.
    pub(crate) metadata: u32,
}

/// Takes frames of one holder from the kernel. Caches what it needs of the memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims<'m> {
    states: &'m [AtomicU16],
    memory: NonZeroU32,
    frame_size: u32,
    shift: u32,
    unaligned: bool,
    /// The state word of a frame with this holder.
    state: u16,
    /// Several threads take frames of the holder, each from a ring of its own: the kernel may name
    /// a frame in two of them.
    among_many: bool,
}

/// The error of an invalid descriptor from the kernel: an address out of range, a length that is
/// too large, or a frame that the kernel does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

#[derive(Debug)]
pub(crate) struct Memory {
    id: NonZeroU32,
    /// Start of the mapping.
    base: NonNull<u8>,
    mapping: Mapping,
    layout: Layout,
    shift: u32,
    states: Box<[AtomicU16]>,
    /// Per frame, the packet's number if a send timestamp was requested, otherwise 0.
    stamped: Box<[AtomicU64]>,
    pool: ArrayQueue<u32>,
    pub(crate) returns: FrameReturns,
    /// Number of frames that users hold beyond a batch.
    pub(crate) held: AtomicUsize,
}

// SAFETY: the pointer leads into the mapping, which any thread may use. This module tracks who may
// access which bytes.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// The mapping must have room for all frames.
    pub(crate) fn new(mapping: Mapping, layout: Layout) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        assert!(layout.frame_size.is_power_of_two() || layout.unaligned);
        let len = layout.frame_size as usize * layout.frames as usize;
        let base = mapping.pointer(0, len, 8).expect("the mapping has room for the frames");
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let pool = ArrayQueue::new(layout.frames as usize);
        for index in 0..layout.frames {
            let _ = pool.push(index);
        }
        // Without room for metadata no time can be requested, so the table costs nothing then.
        let stamped = if layout.metadata == 0 { 0 } else { layout.frames };
        Self {
            id: NonZeroU32::new(id).expect("fewer memories than there are numbers"),
            base,
            mapping,
            layout,
            shift: layout.frame_size.trailing_zeros(),
            states: (0..layout.frames).map(|_| AtomicU16::new(IN_POOL)).collect(),
            stamped: (0..stamped).map(|_| AtomicU64::new(0)).collect(),
            pool,
            returns: FrameReturns::new(),
            held: AtomicUsize::new(0),
        }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The number of bytes to register with the kernel.
    pub(crate) fn len(&self) -> usize {
        self.layout.frame_size as usize * self.layout.frames as usize
    }

    /// The number of bytes of a received packet that fit into one frame.
    pub(crate) fn receive_room(&self) -> u32 {
        self.layout.frame_size.saturating_sub(XDP_PACKET_HEADROOM + self.layout.headroom)
    }

    /// The offset in a frame of packets to be sent.
    pub(crate) fn send_start(&self) -> u32 {
        self.layout.headroom.max(self.layout.metadata)
    }

    /// The number of frames in the pool.
    #[inline]
    pub(crate) fn pooled(&self) -> usize {
        self.pool.len()
    }

    /// Takes a frame from the pool.
    #[inline]
    pub(crate) fn take(&self) -> Option<Lease> {
        let index = self.pool.pop()?;
        // Relaxed suffices for all words of this table. Each says who has a frame, and only the
        // owner changes it. What the frame contains is ordered by the pool's queue or by a ring's
        // index, through which the frame itself passes.
        self.states[index as usize].store(WITH_USER, Ordering::Relaxed);
        Some(Lease { index, memory: self.id })
    }

    /// Returns a frame to the pool, from any thread, and wakes waiters.
    #[inline]
    pub(crate) fn give_back(&self, lease: Lease) {
        self.check(&lease);
        self.pool_up(lease.index);
        self.returns.returned();
    }

    /// Returns frames to the pool and wakes waiters once.
    pub(crate) fn give_all_back(&self, leases: impl Iterator<Item = Lease>) {
        for lease in leases {
            self.check(&lease);
            self.pool_up(lease.index);
        }
        self.returns.returned();
    }

    /// Passes a frame to the kernel. Returns its address, to which an offset may be added.
    #[inline]
    pub(crate) fn lend(&self, lease: Lease, holder: Holder) -> u64 {
        self.check(&lease);
        // Written before the caller publishes the entry. The kernel can return the frame at once,
        // and a word that still says "with a user" would make that look invalid.
        self.states[lease.index as usize].store(holder.state(), Ordering::Relaxed);
        self.start(lease.index)
    }

    /// Takes a frame from the kernel after checking its descriptor. Returns the lease and the
    /// offset of the bytes in the frame.
    ///
    /// Only one thread at a time may take frames of this holder. If several do, see
    /// [`claims`](Self::claims).
    #[inline]
    pub(crate) fn claim(
        &self,
        address: u64,
        len: u32,
        holder: Holder,
    ) -> Result<(Lease, u32), Refused> {
        self.claims(holder, false).claim(address, len)
    }

    /// Creates a [`Claims`] to take frames of one holder. `among_many` is `true` if several threads
    /// do so, each from a ring of its own.
    #[inline]
    pub(crate) fn claims(&self, holder: Holder, among_many: bool) -> Claims<'_> {
        let Layout { frame_size, unaligned, .. } = self.layout;
        let (states, memory, shift) = (&*self.states, self.id, self.shift);
        let state = holder.state();
        Claims { states, memory, frame_size, shift, unaligned, state, among_many }
    }

    /// Prefetches the first bytes of a frame that will be read soon. Another processor or a device
    /// has written them. This is only a hint and does not affect what is read later.
    #[inline]
    pub(crate) fn prefetch(&self, lease: &Lease, start: u32) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let at = self.start(lease.index) as usize + start as usize;
            let place = self.base.as_ptr().wrapping_add(at);
            // SAFETY: a hint, which neither reads nor writes.
            unsafe { _mm_prefetch(place.cast(), _MM_HINT_T0) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (lease, start);
    }

    /// Takes back all frames that the kernel has for a holder and no longer touches. Returns their
    /// number.
    pub(crate) fn reclaim(&self, holder: Holder) -> usize {
        let mut count = 0;
        for (index, state) in self.states.iter().enumerate() {
            if state.load(Ordering::Relaxed) == holder.state() {
                self.pool_up(index as u32);
                count += 1;
            }
        }
        self.returns.returned();
        count
    }

    /// The bytes of a frame.
    #[inline]
    pub(crate) fn bytes<'a>(&'a self, lease: &'a Lease, start: u32, len: u32) -> &'a [u8] {
        let pointer = self.place(lease, start, len);
        // SAFETY: the bytes are within the mapping, which lives as long as `self`, and were
        // initialised with zeroes. The holder of the lease owns the frame, so nobody else writes
        // the bytes, and the lease is borrowed while the slice lives.
        unsafe { std::slice::from_raw_parts(pointer, len as usize) }
    }

    /// The bytes of a frame, mutable.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "the right to write comes from the lease")]
    pub(crate) fn bytes_mut<'a>(
        &'a self,
        lease: &'a mut Lease,
        start: u32,
        len: u32,
    ) -> &'a mut [u8] {
        let pointer = self.place(lease, start, len);
        // SAFETY: as in `bytes`. The lease is borrowed mutably, so there is no other slice.
        unsafe { std::slice::from_raw_parts_mut(pointer, len as usize) }
    }

    /// Writes metadata before a packet that starts at `start`. The send time is reported under
    /// `number`, or not at all if that is 0. `false` if there is no room for metadata.
    pub(crate) fn request(
        &self,
        lease: &mut Lease,
        start: u32,
        metadata: XskTxMetadata,
        number: u64,
    ) -> bool {
        const SIZE: u32 = size_of::<XskTxMetadata>() as u32;
        if self.layout.metadata < SIZE || start < self.layout.metadata {
            return false;
        }
        let place = self.bytes_mut(lease, start - self.layout.metadata, SIZE);
        // The kernel reads the metadata from the bytes directly before the packet
        // (`tx_metadata_len` of `struct xdp_umem_reg`) and later writes the send time over the
        // request.
        place[..8].copy_from_slice(&metadata.flags.to_ne_bytes());
        place[8..16].copy_from_slice(&metadata.request_or_timestamp);
        place[16..].copy_from_slice(&metadata.launch_time.to_ne_bytes());
        self.stamped[lease.index as usize].store(number, Ordering::Relaxed);
        true
    }

    /// The number and send time of the packet in a sent frame, if a timestamp was requested.
    pub(crate) fn stamp(&self, lease: &Lease, start: u32) -> Option<(u64, u64)> {
        let stamped = self.stamped.get(lease.index as usize)?;
        // Cleared in any case, so that the next packet in this frame does not report the time of
        // this one.
        let number = stamped.swap(0, Ordering::Relaxed);
        let at = start.checked_sub(self.layout.metadata)?;
        if number == 0 {
            return None;
        }
        let answer = self.bytes(lease, at + 8, 8).first_chunk()?;
        Some((number, u64::from_ne_bytes(*answer)))
    }

    /// Offset of a frame in the memory.
    #[inline]
    fn start(&self, index: u32) -> u64 {
        if self.layout.unaligned {
            u64::from(index) * u64::from(self.layout.frame_size)
        } else {
            u64::from(index) << self.shift
        }
    }

    fn pool_up(&self, index: u32) {
        self.states[index as usize].store(IN_POOL, Ordering::Relaxed);
        // The pool has room for all frames, and contains each at most once.
        let _ = self.pool.push(index);
    }

    #[inline]
    fn place(&self, lease: &Lease, start: u32, len: u32) -> *mut u8 {
        self.check(lease);
        assert!(
            start <= self.layout.frame_size && len <= self.layout.frame_size - start,
            "outside of the frame"
        );
        let at = self.start(lease.index) as usize + start as usize;
        // SAFETY: a lease's index is less than the number of frames, and the offset was checked to
        // be within the frame. So the pointer is within the mapping, whose length was checked
        // against the frames.
        unsafe { self.base.as_ptr().add(at) }
    }

    #[inline]
    fn check(&self, lease: &Lease) {
        assert!(lease.memory == self.id, "a frame of another memory");
    }
}

impl Claims<'_> {
    /// As [`Memory::claim`].
    #[inline]
    pub(crate) fn claim(&self, address: u64, len: u32) -> Result<(Lease, u32), Refused> {
        let (index, start) = self.find(address);
        let index = usize::try_from(index).map_err(|_| Refused)?;
        let state = self.states.get(index).ok_or(Refused)?;
        // The frame's place is not changed here: the kernel may still write to a frame that it
        // described wrongly, so the frame stays with the kernel and is lost until its queue closes.
        if len > self.frame_size - start {
            return Err(Refused);
        }
        // An atomic exchange is only paid for where two threads can race for the word. Otherwise
        // one thread reads all rings through which frames of this holder come back.
        if self.among_many {
            state
                .compare_exchange(self.state, WITH_USER, Ordering::Relaxed, Ordering::Relaxed)
                .map_err(|_| Refused)?;
        } else if state.load(Ordering::Relaxed) == self.state {
            state.store(WITH_USER, Ordering::Relaxed);
        } else {
            return Err(Refused);
        }
        Ok((Lease { index: index as u32, memory: self.memory }, start))
    }

    /// The index of the frame that contains an address, and the offset within the frame.
    #[inline]
    fn find(&self, address: u64) -> (u64, u32) {
        let size = u64::from(self.frame_size);
        if self.unaligned {
            // Both parts are from the kernel and their sum cannot overflow: 48 bits and 16 bits.
            let address = (address & OFFSET_MASK) + (address >> OFFSET_SHIFT);
            (address / size, (address % size) as u32)
        } else {
            (address >> self.shift, (address & (size - 1)) as u32)
        }
    }
}

impl Lease {
    /// Creates a second lease of the same frame, for a reader that outlives this one. Until the
    /// first lease is forgotten (not returned), both may be used only for reading, and the second
    /// must be kept.
    pub(super) fn twin(&self) -> Self {
        Self { index: self.index, memory: self.memory }
    }
}

impl Holder {
    #[inline]
    fn state(self) -> u16 {
        match self {
            Self::Fill(queue) => TO_FILL | queue,
            Self::Send(queue) => TO_SEND | queue,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn memory(frames: u32) -> Memory {
        let mapping = Mapping::anonymous(2048 * frames as usize).expect("memory");
        Memory::new(mapping, layout(2048, frames, false))
    }

    fn layout(frame_size: u32, frames: u32, unaligned: bool) -> Layout {
        Layout { frame_size, unaligned, frames, headroom: 0, metadata: 0 }
    }

    #[test]
    fn unaligned_frames_are_found_by_start_and_offset() {
        let mapping = Mapping::anonymous(3008 * 5).expect("memory");
        let memory = Memory::new(mapping, layout(3008, 5, true));
        let us = Holder::Fill(3);
        let addresses: Vec<u64> =
            std::iter::from_fn(|| memory.take()).map(|lease| memory.lend(lease, us)).collect();
        assert_eq!(addresses, [0, 3008, 6016, 9024, 12032]);
        for (address, len) in [
            (5 * 3008, 60),
            ((4 * 3008) | (256 << 48), 2753),
            ((4 * 3008) | (0xffff << 48), 60),
            (u64::MAX, 1),
            (OFFSET_MASK, 0),
        ] {
            assert!(memory.claim(address, len, us).is_err(), "{address:x} {len}");
        }
        let (mut lease, start) = memory.claim(3008 | (256 << 48), 2752, us).expect("received");
        assert_eq!((lease.index, start), (1, 256));
        memory.bytes_mut(&mut lease, 256, 2752).fill(7);
        let address = memory.lend(lease, Holder::Send(3)) + 300;
        let (lease, start) = memory.claim(address, 0, Holder::Send(3)).expect("sent");
        assert_eq!((lease.index, start), (1, 300));
        memory.give_back(lease);
        let (last, start) = memory.claim(4 * 3008 + 3007, 1, us).expect("its last byte");
        assert_eq!((last.index, start), (4, 3007));
        memory.give_back(last);
    }

    #[test]
    fn what_the_kernel_says_is_checked() {
        let memory = memory(4);
        let lease = memory.take().expect("a frame");
        let (us, other) = (Holder::Fill(3), Holder::Fill(4));
        let address = memory.lend(lease, us);
        for (address, len, holder) in [
            (address, 2049, us),
            (address + 2047, 2, us),
            (address, 60, other),
            (address, 60, Holder::Send(3)),
            (address + 2048, 60, us),
            (4 * 2048, 60, us),
            (u64::MAX, 60, us),
            (u64::MAX, u32::MAX, us),
        ] {
            assert!(memory.claim(address, len, holder).is_err(), "{address} {len} {holder:?}");
        }
        let (lease, start) = memory.claim(address + 256, 1792, us).expect("as it should be");
        assert_eq!(start, 256);
        assert!(memory.claim(address + 256, 60, us).is_err(), "a second time");
        memory.give_back(lease);
        assert!(memory.claim(address, 60, us).is_err(), "it is in the pool");
        assert_eq!(memory.pooled(), 4);
    }

    #[test]
    #[should_panic(expected = "a frame of another memory")]
    fn a_frame_goes_back_to_its_own_memory() {
        let (one, other) = (memory(1), memory(1));
        other.give_back(one.take().expect("a frame"));
    }

    #[test]
    fn frames_do_not_overlap() {
        let memory = memory(3);
        let mut leases: Vec<Lease> = std::iter::from_fn(|| memory.take()).collect();
        assert_eq!(leases.len(), 3);
        for (value, lease) in leases.iter_mut().enumerate() {
            memory.bytes_mut(lease, 0, 2048).fill(value as u8);
        }
        for (value, lease) in leases.iter().enumerate() {
            assert!(memory.bytes(lease, 0, 2048).iter().all(|&byte| byte == value as u8));
        }
        memory.give_all_back(leases.into_iter());
        assert_eq!(memory.pooled(), 3);
    }

    #[test]
    fn what_a_closed_socket_had_comes_back() {
        let memory = memory(3);
        for holder in [Holder::Fill(1), Holder::Fill(1), Holder::Fill(2)] {
            memory.lend(memory.take().expect("a frame"), holder);
        }
        assert_eq!(memory.reclaim(Holder::Fill(1)), 2);
        assert_eq!(memory.pooled(), 2);
    }
}
