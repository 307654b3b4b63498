//! Memory for copied bytes.

use std::collections::VecDeque;
use std::mem;

use bytes::{Bytes, BytesMut};

/// Copies are laid one behind another in pieces of memory of this size.
const SLAB: usize = 128 << 10;
/// The largest copy that is worth a place in one.
const LARGEST: usize = 64 << 10;
/// Slabs that are looked at to find one whose bytes nobody holds any more.
const CANDIDATES: usize = 8;
/// Slabs that are kept although nobody needs them.
const SPARE: usize = 4;

/// Gives memory for copies without asking the allocator each time.
///
/// **Invariant**: it has at most `most` slabs, whatever readers hold on to: one who keeps a few
/// bytes keeps the slab that they lie in. Where all are held, copies get memory of their own.
#[derive(Debug)]
pub(crate) struct Pool {
    /// The rest of the slab in use.
    current: BytesMut,
    /// Slabs that were used up, the oldest first.
    used: VecDeque<BytesMut>,
    most: usize,
}

impl Pool {
    /// A pool of at most `most` bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { current: BytesMut::new(), used: VecDeque::new(), most: (most / SLAB).max(1) }
    }

    /// Empty memory for `capacity` bytes.
    pub(crate) fn take(&mut self, capacity: usize) -> BytesMut {
        // A large copy would use up half a slab, and its allocation costs little beside it.
        if capacity > LARGEST {
            return BytesMut::with_capacity(capacity);
        }
        // One byte stays, since a slab that was cut to nothing could not be found again.
        if self.current.capacity() <= capacity && !self.turn() {
            return BytesMut::with_capacity(capacity);
        }
        let rest = self.current.split_off(capacity);
        mem::replace(&mut self.current, rest)
    }

    /// A copy of these.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Bytes {
        let mut memory = self.take(bytes.len());
        memory.extend_from_slice(bytes);
        memory.freeze()
    }

    /// Takes another slab into use.
    fn turn(&mut self) -> bool {
        let before = mem::take(&mut self.current);
        if before.capacity() > 0 {
            self.used.push_back(before);
        }
        // The newest is the most likely to be in a cache yet.
        let newest =
            self.used.iter_mut().rev().take(CANDIDATES).position(|slab| slab.try_reclaim(SLAB));
        if let Some(behind) = newest
            && let Some(slab) = self.used.remove(self.used.len() - 1 - behind)
        {
            self.current = slab;
            self.shrink();
            return true;
        }
        // Then the oldest, of those that were not looked at.
        for _ in 0..self.used.len().saturating_sub(CANDIDATES).min(CANDIDATES) {
            let Some(mut slab) = self.used.pop_front() else { break };
            if slab.try_reclaim(SLAB) {
                self.current = slab;
                self.shrink();
                return true;
            }
            self.used.push_back(slab);
        }
        // Only now memory grows: a slab that can be used again costs no page faults.
        if self.used.len() < self.most {
            self.current = BytesMut::with_capacity(SLAB);
            return true;
        }
        false
    }

    /// Gives one back if there are more than needed.
    fn shrink(&mut self) {
        if self.used.len() > SPARE
            && let Some(mut slab) = self.used.pop_front()
            && !slab.try_reclaim(SLAB)
        {
            self.used.push_front(slab);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(pool: &mut Pool, len: usize, byte: u8) -> Bytes {
        let mut memory = pool.take(len);
        assert!(memory.is_empty() && memory.capacity() >= len);
        memory.resize(len, byte);
        memory.freeze()
    }

    #[test]
    fn what_is_held_stays_as_it_is_while_the_rest_is_used_again() {
        let mut pool = Pool::new(16 * SLAB);
        let mut held = Vec::new();
        let mut recent = VecDeque::new();
        for i in 0..20_000_usize {
            let len = i * 7919 % 6000 + 1;
            let bytes = copy(&mut pool, len, i as u8);
            if i % 1000 == 0 {
                held.push((i, bytes.clone()));
            }
            recent.push_back((i, bytes));
            if recent.len() > 50 {
                let (i, bytes) = recent.pop_front().unwrap();
                assert!(bytes.iter().all(|byte| *byte == i as u8));
            }
        }
        for (i, bytes) in &held {
            assert!(bytes.iter().all(|byte| *byte == *i as u8));
        }
        assert!(pool.used.len() <= 16, "{} slabs", pool.used.len());
    }

    #[test]
    fn a_reader_that_keeps_everything_gets_memory_of_its_own_in_the_end() {
        let mut pool = Pool::new(4 * SLAB);
        let kept: Vec<_> = (0..5000).map(|i| copy(&mut pool, 1000, i as u8)).collect();
        assert_eq!(pool.used.len(), 4);
        assert!(kept.iter().enumerate().all(|(i, bytes)| bytes.iter().all(|b| *b == i as u8)));
        drop(kept);
        copy(&mut pool, 1000, 0);
        assert!(pool.current.capacity() > 0, "slabs are used again");
    }

    #[test]
    fn the_memory_that_came_back_last_is_used_first() {
        let mut pool = Pool::new(64 * SLAB);
        // Each in a slab of its own.
        let kept: Vec<_> = (0..4).map(|i| copy(&mut pool, LARGEST, i)).collect();
        let places: Vec<_> = kept.iter().map(|bytes| bytes.as_ptr()).collect();
        assert_ne!(copy(&mut pool, LARGEST, 9).as_ptr(), places[3]);
        drop(kept);
        pool.current = BytesMut::new();
        assert_eq!(copy(&mut pool, LARGEST, 9).as_ptr(), places[3]);
    }

    #[test]
    fn what_is_not_needed_goes_back() {
        let mut pool = Pool::new(64 * SLAB);
        let kept: Vec<_> = (0..60).map(|_| copy(&mut pool, LARGEST, 1)).collect();
        assert!(pool.used.len() > 10);
        drop(kept);
        for _ in 0..1000 {
            copy(&mut pool, LARGEST, 1);
        }
        assert!(pool.used.len() <= SPARE, "{} slabs", pool.used.len());
    }
}
