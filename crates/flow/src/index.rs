//! A hash index from keys to slots.

use crate::prefetch::prefetch;

/// A hash table with open addressing and linear probing.
///
/// A bucket has 8 bytes: the slot and 32 bits of the hash. So neither growing nor removing touches
/// the flows themselves. Eight buckets share a cache line, so a lookup usually touches only one.
#[derive(Debug)]
pub(crate) struct Index {
    /// `0` for an empty bucket. Otherwise the slot plus one in the upper half and the hash in the
    /// lower.
    buckets: Vec<u64>,
    mask: usize,
    len: usize,
}

const SMALLEST: usize = 64;

impl Index {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![0; SMALLEST], mask: SMALLEST - 1, len: 0 }
    }

    /// The memory in use.
    pub(crate) const fn bytes(&self) -> usize {
        self.buckets.len() * size_of::<u64>()
    }

    /// Prefetches the first bucket of a lookup for this hash.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u32) {
        if let Some(bucket) = self.buckets.get(hash as usize & self.mask) {
            prefetch(bucket);
        }
    }

    /// Loads the first bucket of a lookup for this hash.
    #[inline(always)]
    pub(crate) fn load(&self, hash: u32) -> u64 {
        self.buckets[hash as usize & self.mask]
    }

    /// The first slot whose hash matches. It nearly always is the right one; the caller verifies
    /// the key.
    #[inline]
    pub(crate) fn candidate(&self, hash: u32) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Finds the slot with this hash that `is_it` confirms.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = hash as usize & self.mask;
        loop {
            let bucket = self.buckets[at];
            if bucket == 0 {
                return None;
            }
            if hash_of(bucket) == hash {
                let slot = slot_of(bucket);
                if is_it(slot) {
                    return Some(slot);
                }
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Inserts a slot that is not in the index.
    pub(crate) fn insert(&mut self, hash: u32, slot: u32) {
        if (self.len + 1) * 4 > self.buckets.len() * 3 {
            self.grow();
        }
        self.len += 1;
        place(&mut self.buckets, self.mask, bucket(hash, slot));
    }

    /// Removes a slot. Moves the buckets that it had displaced back towards their home.
    pub(crate) fn remove(&mut self, hash: u32, slot: u32) {
        let wanted = bucket(hash, slot);
        let mut hole = hash as usize & self.mask;
        while self.buckets[hole] != wanted {
            if self.buckets[hole] == 0 {
                debug_assert!(false, "slot {slot} is not in the index");
                return;
            }
            hole = (hole + 1) & self.mask;
        }
        self.len -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask;
            let bucket = self.buckets[at];
            if bucket == 0 {
                break;
            }
            let home = hash_of(bucket) as usize & self.mask;
            // A bucket may move into the hole only if the hole is not before the bucket's home,
            // modulo the size of the table.
            if (at.wrapping_sub(home) & self.mask) >= (at.wrapping_sub(hole) & self.mask) {
                self.buckets[hole] = bucket;
                hole = at;
            }
        }
        self.buckets[hole] = 0;
    }

    fn grow(&mut self) {
        let size = self.buckets.len() * 2;
        let mut buckets = vec![0; size];
        for &bucket in self.buckets.iter().filter(|&&bucket| bucket != 0) {
            place(&mut buckets, size - 1, bucket);
        }
        self.buckets = buckets;
        self.mask = size - 1;
    }
}

const fn bucket(hash: u32, slot: u32) -> u64 {
    (slot as u64 + 1) << 32 | hash as u64
}

const fn hash_of(bucket: u64) -> u32 {
    bucket as u32
}

const fn slot_of(bucket: u64) -> u32 {
    ((bucket >> 32) - 1) as u32
}

fn place(buckets: &mut [u64], mask: usize, bucket: u64) {
    let mut at = hash_of(bucket) as usize & mask;
    while buckets[at] != 0 {
        at = (at + 1) & mask;
    }
    buckets[at] = bucket;
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few distinct hashes, so that displaced buckets are common.
        #[test]
        fn agrees_with_a_map(operations in prop::collection::vec((any::<bool>(), 0u32..80), 1..400), spread in 1u32..9) {
            let mut index = Index::new();
            let mut model = HashMap::new();
            for (insert, slot) in operations {
                // Homes near the end of the smallest table, so that runs wrap around.
                let hash = (slot % spread).wrapping_mul(7).wrapping_sub(5);
                if insert {
                    if model.insert(slot, hash).is_none() {
                        index.insert(hash, slot);
                    }
                } else if model.remove(&slot).is_some() {
                    index.remove(hash, slot);
                }
                for slot in 0..80 {
                    let hash = (slot % spread).wrapping_mul(7).wrapping_sub(5);
                    let found = index.find(hash, |found| found == slot);
                    prop_assert_eq!(found, model.contains_key(&slot).then_some(slot));
                }
            }
            prop_assert_eq!(index.len, model.len());
        }
    }
}
