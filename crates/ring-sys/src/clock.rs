//! Clocks, clock_gettime(2).

/// Nanoseconds since 1970 by the system clock (`CLOCK_REALTIME`). Returns the same time as
/// [`SystemTime`](std::time::SystemTime) in a quarter of the instructions.
#[inline]
#[must_use]
pub fn wall() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid and writable for the time of the call. It cannot fail: the clock
    // is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    // Overflows in the year 2554.
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

/// Nanoseconds of a monotonic clock, as of the last tick of the kernel's timer
/// (`CLOCK_MONOTONIC_COARSE`). The value is up to 10 ms old, and reading it costs a quarter of a
/// precise time. Its epoch is unspecified.
#[inline]
#[must_use]
pub fn coarse() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid and writable for the time of the call. It cannot fail: the clock
    // is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn it_is_the_systems() {
        let system =
            || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
        let (before, now, after) = (system(), u128::from(wall()), system());
        assert!(before <= now && now <= after, "{before} {now} {after}");
    }

    #[test]
    fn the_coarse_clock_runs() {
        let before = coarse();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let passed = coarse() - before;
        assert!((30_000_000..30_000_000_000).contains(&passed), "{passed} ns");
    }
}
