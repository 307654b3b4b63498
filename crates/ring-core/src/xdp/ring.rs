//! A ring in memory shared with the kernel.
//!
//! **Rules.** Index words and the flags word are atomics behind raw pointers. Entries are read and
//! written through raw pointers, each once, and only while the cursor assigns them to this side.
//! The reader of an entry checks its content: see [`Memory`](super::memory::Memory).

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use ring_sys::mmap::Mapping;
use ring_sys::xdp::abi::{XDP_RING_NEED_WAKEUP, XdpRingOffset};

use super::cursor::{Cursor, Jumped, RingSide, Words};

/// One of the four rings of a socket, with entries of type `T`.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    cursor: Cursor<SharedWords>,
    entries: NonNull<T>,
    flags: NonNull<u32>,
    /// Keeps all pointers valid.
    _mapping: Mapping,
}

/// Pointers to a mapping's index words.
#[derive(Debug)]
struct SharedWords {
    own: NonNull<u32>,
    other: NonNull<u32>,
}

// SAFETY: the pointers lead into the mapping that the ring owns, which may be used from any thread.
unsafe impl<T: Send> Send for Ring<T> {}

impl<T: Copy> Ring<T> {
    /// The length in bytes of a ring with `size` entries.
    pub(crate) fn len(offsets: &XdpRingOffset, size: u32) -> usize {
        offsets.desc as usize + size as usize * size_of::<T>()
    }

    /// A ring of `size` entries, a power of two, in a mapping with this layout. `None` if it does
    /// not fit.
    pub(crate) fn new(
        mapping: Mapping,
        offsets: &XdpRingOffset,
        side: RingSide,
        size: u32,
    ) -> Option<Self> {
        let word = |at: u64| Some(mapping.pointer(usize::try_from(at).ok()?, 4, 4)?.cast::<u32>());
        let (producer, consumer) = (word(offsets.producer)?, word(offsets.consumer)?);
        let flags = word(offsets.flags)?;
        let start = usize::try_from(offsets.desc).ok()?;
        let bytes = (size as usize).checked_mul(size_of::<T>())?;
        let entries = mapping.pointer(start, bytes, align_of::<T>())?.cast::<T>();
        let (own, other) = match side {
            RingSide::Producer => (producer, consumer),
            RingSide::Consumer => (consumer, producer),
        };
        let words = SharedWords { own, other };
        let cursor = {
            // SAFETY: the pointer is valid and aligned, and the word is only ever accessed as an
            // atomic.
            let at = unsafe { AtomicU32::from_ptr(own.as_ptr()) }.load(Ordering::Relaxed);
            // A consumer starts at the producer's index, so that older entries are not read as new
            // ones. A producer continues where it stopped.
            Cursor::new(words, side, size, at, at)
        };
        Some(Self { cursor, entries, flags, _mapping: mapping })
    }

    /// As [`Cursor::ready`].
    #[inline]
    pub(crate) fn ready(&mut self, wanted: u32) -> Result<u32, Jumped> {
        self.cursor.ready(wanted)
    }

    /// As [`Cursor::outstanding`].
    pub(crate) fn outstanding(&mut self) -> Result<u32, Jumped> {
        self.cursor.outstanding()
    }

    /// Reads the entry `ahead` entries after the next one, which must be ready.
    #[inline]
    pub(crate) fn read(&self, ahead: u32) -> T {
        // SAFETY: a slot is less than the ring's size, and all entries are within the mapping. The
        // volatile read happens exactly once, so the value that is checked is the value that is
        // used, whatever the other side writes meanwhile.
        unsafe { self.entry(ahead).read_volatile() }
    }

    /// Writes the entry `ahead` entries after the next one, which must be ready.
    #[inline]
    pub(crate) fn write(&mut self, ahead: u32, entry: T) {
        // SAFETY: as in `read`; the entry belongs to this side until it is published.
        unsafe { self.entry(ahead).write(entry) };
    }

    /// As [`Cursor::advance`].
    #[inline]
    pub(crate) fn advance(&mut self, count: u32) {
        self.cursor.advance(count);
    }

    /// As [`Cursor::publish`].
    #[inline]
    pub(crate) fn publish(&self) {
        self.cursor.publish();
    }

    /// `true` if the kernel needs to be woken.
    #[inline]
    pub(crate) fn needs_wakeup(&self) -> bool {
        // SAFETY: the pointer is valid and aligned, and the word is only ever accessed as an
        // atomic.
        let flags = unsafe { AtomicU32::from_ptr(self.flags.as_ptr()) };
        // Relaxed, because no other memory depends on the flag. A stale value costs one needless
        // system call, or a wait until the next call. The kernel sets the flag of a send ring when
        // the ring is made (`xsk_setsockopt`), and only drivers that support it ever clear it. So
        // in copy mode it is always set.
        flags.load(Ordering::Relaxed) & XDP_RING_NEED_WAKEUP != 0
    }

    /// The number of entries.
    pub(crate) fn size(&self) -> u32 {
        self.cursor.size()
    }

    #[inline]
    fn entry(&self, ahead: u32) -> *mut T {
        // SAFETY: a slot is less than the ring's size, and all entries are within the mapping.
        unsafe { self.entries.as_ptr().add(self.cursor.slot(ahead) as usize) }
    }
}

impl Words for SharedWords {
    #[inline]
    fn other(&self) -> u32 {
        // SAFETY: the pointer is valid and aligned, and the word is only ever accessed as an
        // atomic.
        unsafe { AtomicU32::from_ptr(self.other.as_ptr()) }.load(Ordering::Acquire)
    }

    #[inline]
    fn publish(&self, own: u32) {
        // SAFETY: the pointer is valid and aligned, and the word is only ever accessed as an
        // atomic.
        unsafe { AtomicU32::from_ptr(self.own.as_ptr()) }.store(own, Ordering::Release);
    }
}

/// The kernel's side of a ring in plain memory, for tests. It can write arbitrary, hostile content.
#[cfg(test)]
pub(crate) mod fake {
    use super::*;

    pub(crate) const OFFSETS: XdpRingOffset =
        XdpRingOffset { producer: 0, consumer: 64, desc: 192, flags: 128 };

    /// The kernel's view of a ring. The test must drop it before the ring.
    pub(crate) struct KernelRing<T> {
        producer: NonNull<u32>,
        consumer: NonNull<u32>,
        flags: NonNull<u32>,
        entries: NonNull<T>,
        size: u32,
    }

    /// A ring whose indexes start at `start`, and the kernel's side of it.
    pub(crate) fn ring<T: Copy>(side: RingSide, size: u32, start: u32) -> (Ring<T>, KernelRing<T>) {
        let mapping = Mapping::anonymous(Ring::<T>::len(&OFFSETS, size)).expect("memory");
        let word = |at: u64| mapping.pointer(at as usize, 4, 4).expect("within").cast::<u32>();
        let kernel = KernelRing {
            producer: word(OFFSETS.producer),
            consumer: word(OFFSETS.consumer),
            flags: word(OFFSETS.flags),
            entries: mapping.pointer(OFFSETS.desc as usize, 0, 8).expect("within").cast(),
            size,
        };
        kernel.set_producer(start);
        kernel.set_consumer(start);
        (Ring::new(mapping, &OFFSETS, side, size).expect("it fits"), kernel)
    }

    impl<T: Copy> KernelRing<T> {
        pub(crate) fn producer(&self) -> u32 {
            Self::load(self.producer)
        }

        pub(crate) fn consumer(&self) -> u32 {
            Self::load(self.consumer)
        }

        pub(crate) fn set_producer(&self, index: u32) {
            Self::store(self.producer, index);
        }

        pub(crate) fn set_consumer(&self, index: u32) {
            Self::store(self.consumer, index);
        }

        pub(crate) fn set_needs_wakeup(&self, needed: bool) {
            Self::store(self.flags, u32::from(needed) * XDP_RING_NEED_WAKEUP);
        }

        /// Produces an entry, even if there is no room.
        pub(crate) fn push(&self, entry: T) {
            let at = self.producer();
            // SAFETY: the slot is within the ring's mapping, which the test keeps.
            let slot = unsafe { self.entries.as_ptr().add((at & (self.size - 1)) as usize) };
            // SAFETY: the place is valid; the other side does not touch it before the index says
            // so.
            unsafe { slot.write(entry) };
            self.set_producer(at.wrapping_add(1));
        }

        /// Consumes an entry, if there is one.
        pub(crate) fn pop(&self) -> Option<T> {
            let at = self.consumer();
            if at == self.producer() {
                return None;
            }
            // SAFETY: the slot is within the ring's mapping, which the test keeps.
            let slot = unsafe { self.entries.as_ptr().add((at & (self.size - 1)) as usize) };
            // SAFETY: the place is valid; the other side wrote it before it moved its index.
            let entry = unsafe { slot.read() };
            self.set_consumer(at.wrapping_add(1));
            Some(entry)
        }

        /// The entry after the last published one.
        pub(crate) fn peek_beyond(&self) -> T {
            let at = (self.producer() & (self.size - 1)) as usize;
            // SAFETY: the slot is within the ring's mapping, which the test keeps.
            let slot = unsafe { self.entries.as_ptr().add(at) };
            // SAFETY: the place is valid; the test runs on one thread.
            unsafe { slot.read() }
        }

        fn load(word: NonNull<u32>) -> u32 {
            // SAFETY: the pointer is valid while the ring is, and the word is only ever accessed as
            // an atomic.
            unsafe { AtomicU32::from_ptr(word.as_ptr()) }.load(Ordering::Acquire)
        }

        fn store(word: NonNull<u32>, value: u32) {
            // SAFETY: as in `load`.
            unsafe { AtomicU32::from_ptr(word.as_ptr()) }.store(value, Ordering::Release);
        }
    }
}
