//! Memory prefetching, which is the only unsafe code in this crate.

/// Starts loading the cache line of `target`. Has no effect except on time. A no-op on
/// architectures without a known instruction.
#[inline(always)]
pub(crate) fn prefetch<T>(target: &T) {
    prefetch_bytes(target, 1);
}

/// Starts loading the cache lines of this number of bytes from `target` on. The pointer need not be
/// valid.
#[inline(always)]
pub fn prefetch_bytes<T>(target: *const T, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for at in (0..bytes).step_by(64) {
            let line = target.cast::<i8>().wrapping_add(at);
            // SAFETY: a prefetch reads nothing into the program and cannot fault, whatever the
            // address. SSE is part of x86_64.
            #[allow(unsafe_code)]
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(line);
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (target, bytes);
}
