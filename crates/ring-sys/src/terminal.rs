//! Terminals.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// The width of a terminal in columns. `None` if the descriptor is not a terminal or reports no
/// width.
#[must_use]
pub fn columns(terminal: BorrowedFd<'_>) -> Option<u16> {
    let mut size = MaybeUninit::<libc::winsize>::uninit();
    // SAFETY: TIOCGWINSZ writes one `winsize`, for which there is room.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    // SAFETY: the call above succeeded, so it filled in the structure.
    let size = unsafe { size.assume_init() };
    (size.ws_col > 0).then_some(size.ws_col)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_file_has_no_columns() {
        let file = std::fs::File::open("/dev/null").expect("it is there");
        assert_eq!(columns(file.as_fd()), None);
    }
}
