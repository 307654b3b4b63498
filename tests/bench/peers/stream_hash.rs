//! A hash of bytes that arrive in pieces, independent of their boundaries. All programs of a
//! comparison use it, so that they do the same work and must get the same result.

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The state for one direction of one connection.
#[derive(Debug)]
pub(crate) struct StreamHash {
    lanes: [u64; 4],
    /// Bytes that do not fill a stripe yet.
    rest: [u8; 32],
    filled: usize,
    len: u64,
}

impl StreamHash {
    pub(crate) const fn new() -> Self {
        Self { lanes: [1, 2, 3, 4], rest: [0; 32], filled: 0, len: 0 }
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        if self.filled > 0 {
            let (taken, left) = bytes.split_at(bytes.len().min(32 - self.filled));
            self.rest[self.filled..][..taken.len()].copy_from_slice(taken);
            self.filled += taken.len();
            bytes = left;
            if self.filled < 32 {
                return;
            }
            let stripe = self.rest;
            self.stripe(&stripe);
            self.filled = 0;
        }
        let (stripes, rest) = bytes.as_chunks::<32>();
        for stripe in stripes {
            self.stripe(stripe);
        }
        self.rest[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    /// Returns the hash, which is zero for no bytes. The hashes of many directions are added up,
    /// wrapping, in any order.
    pub(crate) fn finish(mut self) -> u64 {
        if self.len == 0 {
            return 0;
        }
        self.rest[self.filled..].fill(0);
        let stripe = self.rest;
        self.stripe(&stripe);
        self.lanes
            .iter()
            .fold(self.len, |hash, lane| (hash ^ lane).wrapping_mul(FACTOR).rotate_left(29))
    }

    #[inline(always)]
    fn stripe(&mut self, stripe: &[u8; 32]) {
        for (lane, word) in self.lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
            *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR).rotate_left(29);
        }
    }
}
