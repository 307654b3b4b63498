//! Processors and priority of a thread (sched_setaffinity(2), setpriority(2)).

use std::io;

use crate::socket_option::check;

/// Pins the calling thread to one processor.
///
/// # Errors
/// `EINVAL` for a processor that does not exist or that the process may not use.
pub fn pin(processor: usize) -> io::Result<()> {
    if processor >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: all zeroes are an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number was checked to lie within the set.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the pointer is valid for the size given.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) })?;
    Ok(())
}

/// The processors that the calling thread may run on, in ascending order.
///
/// # Errors
/// As sched_getaffinity(2).
pub fn allowed() -> io::Result<Vec<usize>> {
    // SAFETY: all zeroes are an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is valid and writable for the size given.
    check(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) })?;
    let every = 0..libc::CPU_SETSIZE as usize;
    // SAFETY: each of these numbers lies within the set.
    Ok(every.filter(|&processor| unsafe { libc::CPU_ISSET(processor, &set) }).collect())
}

/// Gives the calling thread the lowest priority (a nice value of 19). Processes that it starts
/// inherit it.
///
/// # Errors
/// As setpriority(2). Lowering a priority needs no privilege.
pub fn lower_priority() -> io::Result<()> {
    const LOWEST: libc::c_int = 19;
    // SAFETY: setpriority takes numbers only. On Linux, 0 is the calling thread.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, LOWEST) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_pinned() {
        let last = *allowed().expect("some").last().expect("one");
        std::thread::spawn(move || {
            pin(last).expect("it is allowed");
            assert_eq!(allowed().expect("some"), [last]);
            assert!(pin(100_000).is_err());
        })
        .join()
        .expect("the thread");
    }

    #[test]
    fn one_thread_alone_has_the_lowest_priority() {
        let nice = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("its own");
            stat.rsplit(") ").next()?.split(' ').nth(16)?.parse::<i32>().ok()
        };
        let before = nice();
        std::thread::spawn(move || {
            lower_priority().expect("it is allowed");
            assert_eq!(nice(), Some(19));
        })
        .join()
        .expect("the thread");
        assert_eq!(nice(), before);
    }
}
