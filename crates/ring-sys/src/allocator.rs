//! The allocator of the process.

/// Returns freed memory to the kernel, as far as whole pages are free. Returns `true` if there were
/// any. Takes some ten milliseconds if there are millions of small allocations.
///
/// The allocator of glibc keeps freed memory below the end of its heap for later allocations, of
/// which a process that needed much for a short time has none: malloc_trim(3). With other C
/// libraries this does nothing.
pub fn trim() -> bool {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointers, and may be called at any time from any thread.
    let trimmed = unsafe { libc::malloc_trim(0) } == 1;
    #[cfg(not(target_env = "gnu"))]
    let trimmed = false;
    trimmed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_env = "gnu")]
    #[test]
    fn memory_that_was_freed_in_the_middle_of_the_heap_is_returned() {
        let resident = || -> usize {
            let text = std::fs::read_to_string("/proc/self/statm").expect("procfs");
            text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number")
        };
        let mut pieces: Vec<_> = (0..40_000).map(|_| vec![1_u8; 1000]).collect();
        let last = pieces.pop();
        drop(pieces);
        let before = resident();
        assert!(trim());
        assert!(resident() + 5000 < before, "{} of {before} pages", resident());
        drop(last);
    }
}
