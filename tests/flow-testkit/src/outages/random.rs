//! Random numbers that a seed repeats.

/// A generator of the kind `SplitMix64`, which needs no crate and gives the same numbers anywhere.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95) ^ 0x5851_f42d_4c95_7f2d)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A number from `first` to `last`, each magnitude equally likely.
    pub(super) fn magnitude(&mut self, first: u64, last: u64) -> u64 {
        let bits = |number: u64| u64::from(64 - number.leading_zeros());
        let size = bits(first) + self.below(bits(last) - bits(first) + 1);
        let top = 1_u64.checked_shl(size as u32).unwrap_or(0).wrapping_sub(1);
        (top / 2 + self.below(top - top / 2 + 1)).clamp(first, last)
    }

    /// `true` once in `times`.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
