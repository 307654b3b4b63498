//! Typed wrappers of setsockopt(2) and getsockopt(2).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Sets an option to the bytes of `value`.
///
/// # Safety
/// `T` must be the structure or integer that the kernel expects for this option. Pointers within it
/// must be valid for what the kernel does with them during the call.
pub(crate) unsafe fn set<T: Copy>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let size = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer is valid for `size` bytes for the time of the call; the rest is the
    // caller's promise.
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), size)
    })?;
    Ok(())
}

/// Reads an option. Fails if the kernel fills in fewer bytes than `T` has.
///
/// # Safety
/// Every bit pattern must be a valid `T`. `value` is passed to the kernel as the initial content.
pub(crate) unsafe fn get<T: Copy>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: Option<T>,
) -> io::Result<T> {
    let mut place = value.map_or_else(MaybeUninit::zeroed, MaybeUninit::new);
    let mut size = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointers are valid and writable, and the kernel writes at most `size` bytes.
    check(unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, place.as_mut_ptr().cast(), &mut size)
    })?;
    if (size as usize) < size_of::<T>() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the kernel's answer is too short",
        ));
    }
    // SAFETY: all bytes are initialised, zeroed at first or filled in, and the caller promises that
    // any bytes are a valid `T`.
    Ok(unsafe { place.assume_init() })
}

/// Turns the result of a system call that returns -1 on error into a `Result`.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
