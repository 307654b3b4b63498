//! Memory of a source that chunks of conversations lie in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

/// Counts the pieces of a source's memory that somebody keeps.
///
/// A reader that keeps 600 bytes of a file keeps the 256 KiB that were read with them. The cost of
/// a queue does not show that, so a conversation that nobody reads, with a segment here and there,
/// would keep the whole file in memory. Beyond a limit bytes are therefore copied, which costs what
/// the queues count.
#[derive(Debug)]
pub(crate) struct Pinned {
    bytes: Arc<AtomicUsize>,
    limit: usize,
}

/// A piece of memory that is counted until the last slice of it is dropped.
struct Counted {
    memory: Bytes,
    pinned: Arc<AtomicUsize>,
}

impl Pinned {
    /// Up to `limit` bytes may be kept, and the piece that goes beyond it.
    pub(crate) fn new(limit: usize) -> Self {
        Self { bytes: Arc::default(), limit }
    }

    /// The same memory, counted, or `None` if too much is kept already.
    pub(crate) fn count(&self, memory: Bytes) -> Option<Bytes> {
        if self.bytes.load(Relaxed) >= self.limit {
            return None;
        }
        self.bytes.fetch_add(memory.len(), Relaxed);
        Some(Bytes::from_owner(Counted { memory, pinned: Arc::clone(&self.bytes) }))
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.pinned.fetch_sub(self.memory.len(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_counted_until_its_last_slice_is_dropped() {
        let pinned = Pinned::new(1000);
        let memory = Bytes::from(vec![7; 600]);
        let first = pinned.count(memory.clone()).unwrap();
        assert_eq!(first.as_ptr(), memory.as_ptr(), "nothing is copied");
        let (slice, second) = (first.slice(10..11), pinned.count(memory.clone()).unwrap());
        assert!(pinned.count(memory.clone()).is_none());
        drop((first, second));
        let kept: Vec<_> = (0..2).map_while(|_| pinned.count(memory.clone())).collect();
        assert_eq!((kept.len(), slice[0]), (1, 7));
        drop((kept, slice));
        assert!(pinned.count(memory).is_some());
        assert_eq!(pinned.bytes.load(Relaxed), 0);
    }
}
