//! A socket on a queue: what its receiving and its sending half have in common.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use ring_sys::packet::PacketSocket;
use ring_sys::packet::abi::{PACKET_MR_PROMISC, PacketMreq};
use ring_sys::xdp::Socket;

use super::cursor::Jumped;
use super::error::{XdpError, explain, libc_errno};
use super::memory::Claims;
use super::mtu::Mtu;
use super::program::{Entry, Place};
use super::queue::QueueRings;
use super::umem::Shared;
use crate::LinkType;

/// Dropped by the last half, after that has unmapped its rings: a socket lives on while one of its rings is mapped. The
/// order of the fields is that in which they go.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The socket's place in the map of the program. Taken away first, so that nothing is redirected to a socket that
    /// is being closed.
    pub(crate) entry: Option<Entry>,
    /// `None` only where a test plays the kernel.
    pub(crate) socket: Option<Arc<Socket>>,
    pub(crate) umem: Arc<Shared>,
    /// After the socket: whoever drops the last clone closes the queue.
    pub(crate) rings: Arc<QueueRings>,
    /// The socket's number among those of the queue.
    pub(crate) ordinal: u16,
    pub(crate) interface: Arc<str>,
    pub(crate) index: u32,
    pub(crate) queue: u32,
    pub(crate) link_type: LinkType,
    pub(crate) mtu: Mtu,
    pub(crate) zero_copy: bool,
    pub(crate) multi_buffer: bool,
    pub(crate) busy_poll: bool,
    pub(crate) _promiscuous: Option<Promiscuous>,
}

/// An interface in promiscuous mode. AF_XDP knows nothing of that: a packet socket without a protocol, which receives
/// nothing, holds it, and the kernel undoes it when that is closed.
#[derive(Debug)]
pub(crate) struct Promiscuous {
    _socket: PacketSocket,
}

impl Promiscuous {
    pub(crate) fn join(interface: u32) -> Result<Self, XdpError> {
        let failed = |source| explain("switching promiscuous mode on", "cap_net_raw", None, source);
        let socket = PacketSocket::new().map_err(failed)?;
        let request = PacketMreq {
            mr_ifindex: interface as i32,
            mr_type: PACKET_MR_PROMISC,
            ..PacketMreq::default()
        };
        socket.add_membership(&request).map_err(failed)?;
        Ok(Self { _socket: socket })
    }
}

impl Endpoint {
    /// The descriptor, for waiting.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(|socket| socket.as_fd())
    }

    /// For taking received frames from the kernel.
    #[inline]
    pub(crate) fn claims(&self) -> Claims<'_> {
        self.umem.memory.claims(self.rings.fill_holder(), self.rings.many_receive)
    }

    /// `true` in a thread that is in the interface's network namespace, and so can open sockets on it again.
    pub(crate) fn is_here(&self) -> bool {
        Place::here(self.index).is_ok_and(|place| place == self.rings.place.interface)
    }

    /// The longest packet that the interface sends of those that start like this one, link-layer header included: the room
    /// for a VLAN tag is for packets that have one.
    pub(crate) fn longest_like(&self, start: &[u8]) -> usize {
        let longest = self.mtu.longest() as usize;
        match start.get(12..14) {
            Some([0x81, 0x00] | [0x88, 0xa8]) => longest,
            _ if self.link_type == LinkType::ETHERNET => longest.saturating_sub(4),
            _ => longest,
        }
    }

    /// Looks whether the interface is still there, and what its MTU is: the kernel tells neither.
    pub(crate) fn look(&self) -> Result<(), XdpError> {
        self.take_error()?;
        self.mtu.look(&self.interface);
        Ok(())
    }

    /// The longest packet that the interface sends, link-layer header and a VLAN tag included. For a longer one of `len`
    /// bytes the kernel is asked again.
    #[inline]
    pub(crate) fn longest_for(&self, len: usize) -> usize {
        self.mtu.look_for(&self.interface, len);
        self.mtu.longest() as usize
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

    /// The error of a system call on the socket. An interface that goes away leaves an error in the socket and takes it off
    /// its queue; one that is down does neither.
    pub(crate) fn failure(&self, operation: &'static str, source: std::io::Error) -> XdpError {
        let gone = || XdpError::InterfaceGone { interface: self.interface.to_string() };
        match source.raw_os_error() {
            Some(libc_errno::ENETDOWN | libc_errno::ENXIO | libc_errno::ENODEV)
                if self.take_error().is_err() =>
            {
                gone()
            }
            // The error was taken before.
            Some(libc_errno::ENXIO | libc_errno::ENODEV)
                if ring_sys::interface::name(self.index).is_err() =>
            {
                gone()
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
