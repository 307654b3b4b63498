//! Receiving without a ring, with the kernel's metadata for each packet.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _};

use super::PacketSocket;
use super::abi::{PACKET_AUXDATA, TpacketAuxdata};

/// A packet that was received without a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the packet that passed the filter. Larger than the buffer if the packet was
    /// truncated.
    pub len: usize,
    /// The kernel's metadata, if enabled by [`PacketSocket::set_auxiliary_data`].
    pub auxiliary: Option<TpacketAuxdata>,
}

impl PacketSocket {
    /// Enables or disables metadata in [`receive`](Self::receive), such as the VLAN tag that the
    /// kernel removed from the packet (`PACKET_AUXDATA`).
    ///
    /// # Errors
    /// As setsockopt(2).
    pub fn set_auxiliary_data(&self, on: bool) -> io::Result<()> {
        self.set_int(PACKET_AUXDATA, i32::from(on))
    }

    /// Receives one packet without waiting, on a socket without a receive ring (recvmsg(2) with
    /// `MSG_DONTWAIT` and `MSG_TRUNC`). `None` if no packet is there.
    ///
    /// # Errors
    /// As recvmsg(2): `ENETDOWN`.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut control = MaybeUninit::<[u64; 16]>::zeroed();
        let mut vector =
            libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: null pointers and zero lengths are a message without address, data or control
        // data.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        let received = loop {
            // SAFETY: the message points to a vector of a writable buffer and to a buffer for
            // control data, both valid for the lengths given.
            let received = unsafe { libc::recvmsg(self.as_fd().as_raw_fd(), &mut message, flags) };
            if let Ok(len) = usize::try_from(received) {
                break len;
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(None),
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            }
        };
        Ok(Some(Received { len: received, auxiliary: auxiliary(&message) }))
    }
}

/// Finds the control message with the metadata, if the kernel added one.
fn auxiliary(message: &libc::msghdr) -> Option<TpacketAuxdata> {
    // SAFETY: the message is as the kernel filled it in.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !control.is_null() {
        // SAFETY: the pointer leads to a header of the message's control data.
        let header = unsafe { control.read_unaligned() };
        let size = size_of::<libc::cmsghdr>() + size_of::<TpacketAuxdata>();
        if (header.cmsg_level, header.cmsg_type) == (libc::SOL_PACKET, PACKET_AUXDATA)
            && header.cmsg_len as usize >= size
        {
            // SAFETY: as above.
            let data = unsafe { libc::CMSG_DATA(control) };
            // SAFETY: the data are at least as long as the structure, and any bytes are a valid
            // one.
            return Some(unsafe { data.cast::<TpacketAuxdata>().read_unaligned() });
        }
        // SAFETY: as for the first.
        control = unsafe { libc::CMSG_NXTHDR(message, control) };
    }
    None
}
