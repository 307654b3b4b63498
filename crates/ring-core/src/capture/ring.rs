//! A receive ring of version 3 in memory that the kernel writes.
//!
//! **Rules.** The status word of a block is an atomic behind a raw pointer. It is read with Acquire
//! before anything else in the block, because the kernel writes it last, after a write barrier
//! (`prb_flush_block` in `net/packet/af_packet.c`). It is written with Release after everything
//! else, because the kernel may fill the block from then on. While it says "user" and this process
//! has not returned the block, the kernel does not write to the block, so a slice of the bytes
//! after the block's descriptor is sound. The descriptor, which contains the status word, is never
//! in a slice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ring_sys::event::Event;
use ring_sys::mmap::Mapping;
use ring_sys::packet::abi::{
    TP_STATUS_BLK_TMO, TP_STATUS_KERNEL, TP_STATUS_LOSING, TP_STATUS_USER, TpacketBlockDesc,
};

use super::counts::Counts;
use super::loans::Loans;

/// Offset of a block's data, after its descriptor.
pub(crate) const DATA: usize = size_of::<TpacketBlockDesc>();

#[derive(Debug)]
pub(crate) struct Ring {
    mapping: Mapping,
    block_size: usize,
    pub(crate) counts: Arc<Counts>,
    pub(crate) loans: Loans,
    /// Raised when a block that the walk waits for is returned.
    pub(crate) returned: Event,
}

/// Prefetches memory that will be read soon. `at` may be outside of the data, since this is only a
/// hint.
#[inline(always)]
pub(crate) fn prefetch(data: &[u8], at: usize) {
    let place = data.as_ptr().wrapping_add(at);
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which reads nothing and cannot fault, whatever the address.
        unsafe { _mm_prefetch(place.cast(), _MM_HINT_T0) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// A block's descriptor, checked against the ring's geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) index: usize,
    /// Number of packets, as stated by the block.
    pub(crate) packets: u32,
    /// Offset of the first packet's header, counted from [`DATA`].
    pub(crate) first: usize,
    /// Length of the block's data, counted from [`DATA`].
    pub(crate) len: usize,
    /// `true` if packets were lost before those of this block.
    pub(crate) losing: bool,
}

impl Ring {
    /// The mapping must have exactly `block_count` blocks of `block_size` bytes, each larger than a
    /// descriptor.
    pub(crate) fn new(
        mapping: Mapping,
        block_size: usize,
        block_count: usize,
        returned: Event,
    ) -> Self {
        assert!(
            block_size > DATA && block_size.is_multiple_of(8),
            "blocks hold a descriptor and are aligned"
        );
        assert_eq!(
            block_size.checked_mul(block_count),
            Some(mapping.len()),
            "the mapping is the ring"
        );
        Self {
            mapping,
            block_size,
            counts: Arc::new(Counts::new(block_count)),
            loans: Loans::new(block_count),
            returned,
        }
    }

    pub(crate) fn block_count(&self) -> usize {
        self.counts.block_count()
    }

    /// The block's status. If it says "user", everything that the kernel wrote into the block is
    /// visible afterwards.
    #[inline]
    pub(crate) fn status(&self, index: usize) -> u32 {
        let word = self.word(index, std::mem::offset_of!(TpacketBlockDesc, block_status));
        // SAFETY: the pointer is valid and aligned while the mapping lives, and both sides treat
        // the word as an atomic.
        unsafe { AtomicU32::from_ptr(word) }.load(Ordering::Acquire)
    }

    /// Takes the block, whose status must say "user", for the walk. `None` if the descriptor is
    /// invalid; the block is then returned to the kernel.
    #[inline]
    pub(crate) fn take(&self, index: usize, status: u32) -> Option<Extent> {
        debug_assert!(status & TP_STATUS_USER != 0);
        self.loans.lend(index);
        self.counts.begin(index);
        let packets = self.read(index, std::mem::offset_of!(TpacketBlockDesc, num_pkts));
        let first =
            self.read(index, std::mem::offset_of!(TpacketBlockDesc, offset_to_first_pkt)) as usize;
        let len = self.read(index, std::mem::offset_of!(TpacketBlockDesc, blk_len)) as usize;
        // The kernel's values are read once, after the status, and only the checked copies are
        // used. A block that fails is returned and counted, since none of its packets can be found.
        if len > self.block_size || first < DATA || first > len || !first.is_multiple_of(8) {
            self.counts.count_malformed(index);
            self.give_back(index);
            return None;
        }
        let losing = status & TP_STATUS_LOSING != 0;
        Some(Extent { index, packets, first: first - DATA, len: len - DATA, losing })
    }

    /// The time in which a taken block filled up. `None` if it was handed over before it was full,
    /// or if its clock went back. Only a hint, so the kernel's value is not checked.
    #[inline]
    pub(crate) fn filling(&self, index: usize, status: u32) -> Option<Duration> {
        if status & TP_STATUS_BLK_TMO != 0 {
            return None;
        }
        let time = |seconds, nanoseconds| {
            let seconds = Duration::from_secs(self.read(index, seconds).into());
            seconds + Duration::from_nanos(self.read(index, nanoseconds).into())
        };
        let last = time(
            std::mem::offset_of!(TpacketBlockDesc, ts_last_sec),
            std::mem::offset_of!(TpacketBlockDesc, ts_last_nsec),
        );
        let first = time(
            std::mem::offset_of!(TpacketBlockDesc, ts_first_sec),
            std::mem::offset_of!(TpacketBlockDesc, ts_first_nsec),
        );
        last.checked_sub(first)
    }

    /// The block's data after its descriptor.
    ///
    /// # Safety
    /// The block must have been taken by [`take`](Self::take), which returned this extent. The
    /// caller chooses the lifetime, during which the block must not be returned, nor the ring
    /// dropped.
    #[inline]
    pub(crate) unsafe fn data<'d>(&self, extent: &Extent) -> &'d [u8] {
        let start = extent.index * self.block_size + DATA;
        let pointer =
            self.mapping.pointer(start, extent.len, 8).expect("blocks lie within the mapping");
        // SAFETY: the bytes lie within the mapping, which lives as long as the ring. While the
        // block is taken, neither the kernel nor anybody else writes to them.
        unsafe { std::slice::from_raw_parts(pointer.as_ptr(), extent.len) }
    }

    /// Returns the block to the kernel. The caller must own the block and have no slices of it
    /// left.
    #[inline]
    pub(crate) fn give_back(&self, index: usize) {
        self.counts.end(index);
        let word = self.word(index, std::mem::offset_of!(TpacketBlockDesc, block_status));
        let woken = self.loans.give_back(index, || {
            // SAFETY: as in `status`.
            unsafe { AtomicU32::from_ptr(word) }.store(TP_STATUS_KERNEL, Ordering::Release);
        });
        if woken {
            // After the status word was written: the walk that this wakes must find the block with
            // the kernel.
            self.returned.raise();
        }
    }

    #[inline]
    fn read(&self, index: usize, offset: usize) -> u32 {
        // SAFETY: the pointer is valid and aligned. The caller owns the block, so nobody writes the
        // word.
        unsafe { self.word(index, offset).read() }
    }

    /// A pointer to a word of a block's descriptor.
    #[inline]
    fn word(&self, index: usize, offset: usize) -> *mut u32 {
        let at = index * self.block_size + offset;
        self.mapping.pointer(at, 4, 4).expect("descriptors lie within the mapping").as_ptr().cast()
    }
}

/// The kernel's side of a ring in plain memory, for tests. It can write arbitrary, hostile content.
#[cfg(test)]
pub(crate) mod fake {
    use super::*;
    use ring_sys::packet::abi::{SockaddrLl, TPACKET3_HDRLEN, Tpacket3Hdr};

    /// A packet in the kernel's layout.
    pub(crate) struct Frame {
        pub(crate) header: Tpacket3Hdr,
        pub(crate) address: SockaddrLl,
        pub(crate) data: Vec<u8>,
    }

    impl Frame {
        pub(crate) fn new(data: &[u8]) -> Self {
            let mac = TPACKET3_HDRLEN.next_multiple_of(16) + 2;
            let len = data.len() as u32;
            let header = Tpacket3Hdr {
                tp_next_offset: (mac as u32 + len).next_multiple_of(8),
                tp_sec: 1,
                tp_nsec: 2,
                tp_snaplen: len,
                tp_len: len,
                tp_mac: mac as u16,
                tp_net: mac as u16 + 14,
                ..Tpacket3Hdr::default()
            };
            let address = SockaddrLl { sll_hatype: 1, sll_ifindex: 3, ..SockaddrLl::default() };
            Self { header, address, data: data.to_vec() }
        }
    }

    pub(crate) fn ring(block_size: usize, blocks: usize) -> Ring {
        let mapping = Mapping::anonymous(block_size * blocks).expect("memory");
        Ring::new(mapping, block_size, blocks, Event::new().expect("an event"))
    }

    impl Ring {
        /// Fills a block as the kernel does and hands it over.
        pub(crate) fn fill(&self, index: usize, frames: &[Frame]) {
            let mut at = DATA;
            for (position, frame) in frames.iter().enumerate() {
                let mut header = frame.header;
                if position + 1 == frames.len() {
                    header.tp_next_offset = 0;
                }
                self.put(index, at, &header);
                self.put(index, at + 48, &frame.address);
                for (offset, &byte) in frame.data.iter().enumerate() {
                    self.put(index, at + usize::from(frame.header.tp_mac) + offset, &byte);
                }
                at += frame.header.tp_next_offset as usize;
            }
            let descriptor = TpacketBlockDesc {
                num_pkts: frames.len() as u32,
                offset_to_first_pkt: DATA as u32,
                blk_len: at as u32,
                ..TpacketBlockDesc::default()
            };
            self.close(index, descriptor, TP_STATUS_USER);
        }

        /// Writes a block's descriptor and hands the block over.
        pub(crate) fn close(&self, index: usize, descriptor: TpacketBlockDesc, status: u32) {
            self.put(index, 0, &descriptor);
            let word = self.word(index, std::mem::offset_of!(TpacketBlockDesc, block_status));
            // SAFETY: as in `status`.
            unsafe { AtomicU32::from_ptr(word) }.store(status, Ordering::Release);
        }

        /// Writes anywhere in a block that belongs to the kernel. Writes outside of the block are
        /// ignored.
        pub(crate) fn put<T: Copy>(&self, index: usize, offset: usize, value: &T) {
            if offset + size_of::<T>() > self.block_size {
                return;
            }
            let at = index * self.block_size + offset;
            let place = self.mapping.pointer(at, size_of::<T>(), 1).expect("within the ring");
            // SAFETY: the place is valid for the size of a `T`. The block belongs to the kernel,
            // which is this test.
            unsafe { place.as_ptr().cast::<T>().write_unaligned(*value) };
        }
    }
}
