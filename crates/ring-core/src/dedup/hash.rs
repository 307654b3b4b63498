//! A keyed hash of a packet's bytes, resistant to chosen collisions.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

/// Multiplies and folds 16 bytes at a time under random keys of this process. Without the keys, an
/// attacker cannot construct packets that collide. Even with them, the number of comparisons per
/// packet [is limited](super::memory).
#[derive(Clone, Copy)]
pub(crate) struct ContentHash {
    keys: [u64; 3],
}

impl ContentHash {
    pub(crate) fn new() -> Self {
        let state = RandomState::new();
        // Odd keys are invertible modulo a power of two, so the multiplication loses no bits.
        Self { keys: [1_u8, 2, 3].map(|number| state.hash_one(number) | 1) }
    }

    pub(crate) fn of(self, data: &[u8]) -> u64 {
        let [first, second, last] = self.keys;
        let mut hash = fold(data.len() as u64 ^ first, last);
        let mut chunks = data.chunks_exact(16);
        for chunk in &mut chunks {
            hash = fold(word(&chunk[..8]) ^ first ^ hash, word(&chunk[8..]) ^ second);
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut chunk = [0; 16];
            chunk[..rest.len()].copy_from_slice(rest);
            hash = fold(word(&chunk[..8]) ^ first ^ hash, word(&chunk[8..]) ^ second);
        }
        fold(hash, last)
    }
}

/// Omits the keys, which must stay secret.
impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentHash").finish_non_exhaustive()
    }
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("callers cut eight bytes"))
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn one_bit_makes_a_difference() {
        let hash = ContentHash::new();
        let mut data = [0_u8; 100];
        let mut seen = HashSet::from([hash.of(&data)]);
        for bit in 0..800 {
            data[bit / 8] ^= 1 << (bit % 8);
            assert!(seen.insert(hash.of(&data)), "bit {bit}");
            data[bit / 8] ^= 1 << (bit % 8);
        }
        for len in 0..100 {
            assert!(seen.insert(hash.of(&data[..len])), "{len} zeroes");
        }
    }
}
