//! A socket on a queue: what its receiving and its sending half have in common.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use ring_sys::xdp::Socket;

use super::completions::Completions;
use super::cursor::Jumped;
use super::error::{XdpError, libc_errno};
use super::memory::Holder;
use super::program::Entry;
use super::umem::Shared;
use crate::LinkType;

/// Dropped by the last half, after that has unmapped its rings: a socket lives on while one of its rings is mapped.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The socket's place in the map of the program. Taken away first, so that nothing is redirected to a socket that
    /// is being closed.
    pub(crate) entry: Option<Entry>,
    /// `None` only where a test plays the kernel.
    pub(crate) socket: Option<Arc<Socket>>,
    pub(crate) umem: Arc<Shared>,
    pub(crate) completions: Arc<Completions>,
    /// The socket's number within its packet memory.
    pub(crate) number: u16,
    pub(crate) interface: Arc<str>,
    pub(crate) index: u32,
    pub(crate) queue: u32,
    pub(crate) link_type: LinkType,
    /// The longest packet that the interface sends, link-layer header included.
    pub(crate) longest: u32,
    pub(crate) zero_copy: bool,
    pub(crate) multi_buffer: bool,
    pub(crate) busy_poll: bool,
}

impl Endpoint {
    /// The descriptor, for waiting.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(|socket| socket.as_fd())
    }

    pub(crate) fn fill_holder(&self) -> Holder {
        Holder::Fill(self.number)
    }

    pub(crate) fn send_holder(&self) -> Holder {
        Holder::Send(self.number)
    }

    /// Lets the kernel take frames, or poll the device.
    pub(crate) fn wake_receive(&self) -> Result<(), XdpError> {
        let Some(socket) = &self.socket else { return Ok(()) };
        match socket.wake_receive() {
            Err(source) => match source.raw_os_error() {
                Some(libc_errno::EAGAIN | libc_errno::EBUSY | libc_errno::ENOBUFS) => Ok(()),
                _ => Err(self.failure("receiving", source)),
            },
            Ok(()) => Ok(()),
        }
    }

    /// The error of a system call on the socket.
    pub(crate) fn failure(&self, operation: &'static str, source: std::io::Error) -> XdpError {
        match source.raw_os_error() {
            Some(libc_errno::ENXIO | libc_errno::ENODEV | libc_errno::ENETDOWN)
                if ring_sys::interface::name(self.index).is_err() =>
            {
                XdpError::InterfaceGone { interface: self.interface.to_string() }
            }
            _ => XdpError::System { operation, source },
        }
    }

    /// The error that the socket holds, if it holds one: the interface has gone.
    pub(crate) fn take_error(&self) -> Result<(), XdpError> {
        let Some(socket) = &self.socket else { return Ok(()) };
        socket
            .take_error()
            .map_err(|_| XdpError::InterfaceGone { interface: self.interface.to_string() })
    }
}

pub(crate) fn jumped(ring: &'static str, size: u32, jumped: Jumped) -> XdpError {
    XdpError::RingIndex { ring, ours: jumped.own, theirs: jumped.other, size }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.entry = None;
        self.completions.close();
        let closed = match self.socket.take() {
            // Somebody who opens a socket at this moment may hold it; what the kernel has is then lost to the memory.
            Some(socket) => Arc::into_inner(socket).is_some(),
            None => true,
        };
        // Closing waits until the kernel's copying is over. A device that writes to the frames itself may go on for a
        // while: what it has is lost to the memory, until that is dropped.
        if closed && !self.zero_copy {
            self.umem.memory.reclaim(self.fill_holder());
            self.umem.memory.reclaim(self.send_holder());
        }
    }
}
