//! The kernel's values of a socket's options.

use std::os::fd::RawFd;
use std::{fs, io};

use live_harness::Result;

/// From `asm-generic/socket.h`; the libc crate does not have it.
pub(crate) const SO_PREFER_BUSY_POLL: i32 = 69;

/// Reads an option of this process's only socket in this domain.
pub(crate) fn option(domain: i32, name: i32) -> Result<i32> {
    let get = |fd: RawFd, name: i32| -> io::Result<i32> {
        let (mut value, mut len) = (0_i32, size_of::<i32>() as libc::socklen_t);
        let place = std::ptr::from_mut(&mut value).cast();
        // SAFETY: both pointers are valid and writable, the first for the length given.
        match unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, place, &mut len) } {
            0 => Ok(value),
            _ => Err(io::Error::last_os_error()),
        }
    };
    for entry in fs::read_dir("/proc/self/fd")? {
        let fd: RawFd = entry?.file_name().to_string_lossy().parse()?;
        if get(fd, libc::SO_DOMAIN).is_ok_and(|found| found == domain) {
            return Ok(get(fd, name)?);
        }
    }
    Err("no such socket is open".into())
}
