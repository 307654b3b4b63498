//! The bytes of the model's streams.

/// The versions of a byte.
#[derive(Clone, Copy, Default)]
pub(super) struct Versions {
    pub count: u16,
    pub first: u8,
    pub last: u8,
    /// One bit for each difference from the sent byte, of which there are 33.
    pub all: u64,
}

/// The sender's byte at a position.
pub(super) fn byte(position: usize) -> u8 {
    (position.wrapping_mul(2_654_435_761) >> 7) as u8
}

impl Versions {
    /// The bit for a version of the byte at a position.
    pub(super) fn bit(at: usize, version: u8) -> u64 {
        let difference = byte(at) ^ version;
        if difference == 0 { 1 } else { 2 << (difference >> 3) }
    }

    pub(super) fn push(&mut self, at: usize, version: u8) {
        if self.count == 0 {
            self.first = version;
        }
        self.last = version;
        self.count = self.count.saturating_add(1);
        self.all |= Self::bit(at, version);
    }
}
