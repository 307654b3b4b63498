//! Asking the processor for memory before it is needed: the one place in this crate that is not safe code.

/// Starts loading the cache line of `target`; no effect but on time. A no-op where no instruction for it is known.
#[inline(always)]
pub(crate) fn prefetch<T>(target: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing into the program and cannot fault, whatever the address; this one is that
        // of a live reference besides. SSE is part of x86_64.
        #[allow(unsafe_code)]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(target).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = target;
}
