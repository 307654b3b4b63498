//! Memory that the kernel may write.
//!
//! **Rules.** There are no Rust references to bytes that the kernel may write at the same time.
//! This module returns only raw pointers, checked against bounds and alignment. Words that transfer
//! ownership are read and written as atomics.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::NonNull;

use memmap2::{Advice, MmapOptions, MmapRaw};

/// A mapping, unmapped on drop. It keeps the memory but not the descriptor: the kernel keeps a
/// socket alive until both the descriptor and the mapping of its ring are gone.
///
/// A forked process does not inherit it (`MADV_DONTFORK` of madvise(2)). Two processes cannot use
/// one ring, and a fork must not make a second copy of memory that the kernel has pinned.
pub struct Mapping {
    raw: MmapRaw,
}

impl Mapping {
    /// Maps `len` bytes of a descriptor from offset 0, shared, readable and writable, and populates
    /// the pages (`MAP_SHARED | MAP_POPULATE`).
    ///
    /// # Errors
    /// As mmap(2).
    pub fn of_descriptor(descriptor: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        Self::of_descriptor_at(descriptor, 0, len)
    }

    /// Like [`of_descriptor`](Self::of_descriptor), from another offset, a multiple of the page
    /// size.
    ///
    /// # Errors
    /// As mmap(2).
    pub fn of_descriptor_at(
        descriptor: BorrowedFd<'_>,
        offset: u64,
        len: usize,
    ) -> io::Result<Self> {
        let mut options = MmapOptions::new();
        let raw = options.offset(offset).len(len).populate().map_raw(descriptor.as_raw_fd())?;
        Self::unshared(raw)
    }

    /// Maps `len` bytes of anonymous zeroed memory.
    ///
    /// # Errors
    /// As mmap(2).
    pub fn anonymous(len: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(len).populate().map_anon()?;
        Self::unshared(map.into())
    }

    /// Maps anonymous memory from huge pages of 2 MiB; `len` is rounded up to them.
    ///
    /// # Errors
    /// As mmap(2): `ENOMEM` if no huge pages are reserved (`/proc/sys/vm/nr_hugepages`).
    pub fn anonymous_huge(len: usize) -> io::Result<Self> {
        const PAGE: u8 = 21;
        let map =
            MmapOptions::new().len(len.next_multiple_of(1 << PAGE)).huge(Some(PAGE)).map_anon()?;
        Self::unshared(map.into())
    }

    /// Locks the pages into memory.
    ///
    /// # Errors
    /// As mlock(2): `ENOMEM` or `EPERM` above `RLIMIT_MEMLOCK`.
    pub fn lock(&self) -> io::Result<()> {
        self.raw.lock()
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// `true` if the length is 0, which is never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A pointer to `len` bytes at `offset`. `None` if they are not within the mapping or `offset`
    /// is not a multiple of `align`.
    #[must_use]
    pub fn pointer(&self, offset: usize, len: usize, align: usize) -> Option<NonNull<u8>> {
        let end = offset.checked_add(len)?;
        if end > self.len() || !offset.is_multiple_of(align) {
            return None;
        }
        // SAFETY: `offset` is at most the mapping's length.
        let pointer = unsafe { self.raw.as_mut_ptr().add(offset) };
        NonNull::new(pointer)
    }
}

impl Mapping {
    fn unshared(raw: MmapRaw) -> io::Result<Self> {
        raw.advise(Advice::DontFork)?;
        Ok(Self { raw })
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flag `dc` of proc_pid_smaps(5) means that the mapping is not copied on fork.
    #[test]
    fn a_child_does_not_get_it() {
        let mapping = Mapping::anonymous(1 << 16).expect("memory");
        let start = mapping.pointer(0, 1, 1).expect("the first byte").addr();
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("this process has maps");
        let mut within = false;
        let flags = smaps.lines().find(|line| {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let bounds = range.and_then(|(from, to)| {
                Some((usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?))
            });
            if let Some((from, to)) = bounds {
                within = (from..to).contains(&start.get());
            }
            within && line.starts_with("VmFlags:")
        });
        let flags = flags.expect("the mapping is listed");
        assert!(flags.split(' ').any(|flag| flag == "dc"), "{flags}");
    }

    #[test]
    fn pointers_stay_within() {
        let mapping = Mapping::anonymous(4096).expect("a page");
        assert!(mapping.pointer(0, 4096, 8).is_some());
        assert!(mapping.pointer(4096, 0, 1).is_some());
        assert!(mapping.pointer(4096, 1, 1).is_none());
        assert!(mapping.pointer(4, 8, 8).is_none(), "not aligned");
        assert!(mapping.pointer(usize::MAX, 2, 1).is_none(), "overflow");
    }
}
