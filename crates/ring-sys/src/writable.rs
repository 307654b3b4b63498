//! Waiting until a descriptor is writable, ppoll(2).

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

use crate::socket_option::check;

/// Waits until a descriptor is writable and returns `true` if it is. Waits at most `timeout`, or
/// without limit if `None`. Returns `false` early if a signal arrives or the descriptor reports
/// only an error.
///
/// # Errors
/// As ppoll(2), without `EINTR`.
pub fn wait(descriptor: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the pointers are valid for one descriptor and for the timeout, or null where null is
    // allowed.
    match check(unsafe { libc::ppoll(&mut poll, 1, timeout, std::ptr::null()) }) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
        Ok(_) => Ok(poll.revents & libc::POLLOUT != 0),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_full_pipe_has_no_room() {
        let (_reader, writer) = io::pipe().expect("a pipe");
        assert!(wait(writer.as_fd(), None).expect("waits"));
        fill(&writer);
        assert!(!wait(writer.as_fd(), Some(Duration::from_millis(1))).expect("waits"));
    }

    /// Fills the pipe, by default 64 KiB, except for less than a page.
    fn fill(mut writer: &io::PipeWriter) {
        use std::io::Write as _;
        // SAFETY: no pointers are passed.
        let size = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_GETPIPE_SZ) };
        writer.write_all(&vec![0; size as usize]).expect("as much as the pipe holds");
    }
}
