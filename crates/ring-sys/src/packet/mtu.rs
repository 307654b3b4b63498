//! The MTU of an interface in a socket's network namespace.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use super::PacketSocket;
use crate::interface;
use crate::socket_option::check;

impl PacketSocket {
    /// The MTU of an interface in bytes, without the link-layer header. Looks the name up in the
    /// socket's network namespace, which may differ from the thread's.
    ///
    /// # Errors
    /// `ENODEV` if there is no interface of that name.
    pub fn mtu(&self, name: &str) -> io::Result<u32> {
        let mut request = interface::request(name)?;
        let fd = self.as_fd().as_raw_fd();
        // SAFETY: the request takes and fills in this structure, in which there are no pointers.
        check(unsafe { libc::ioctl(fd, libc::SIOCGIFMTU as _, &mut request) })?;
        // SAFETY: this request fills in the MTU.
        Ok(unsafe { request.ifr_ifru.ifru_mtu } as u32)
    }
}
