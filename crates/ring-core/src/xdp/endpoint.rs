//! The state that the receiving and the sending half of a socket share.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use ring_sys::capability::Capability;
use ring_sys::errno;
use ring_sys::packet::PacketSocket;
use ring_sys::packet::abi::{PACKET_MR_PROMISC, PacketMreq};
use ring_sys::xdp;

use super::cursor::Jumped;
use super::error::{Error, explain};
use super::memory::Claims;
use super::mtu::Mtu;
use super::program::{Entry, Place};
use super::queue::QueueRings;
use super::umem::Shared;
use crate::LinkType;

/// Dropped with the last half, after that has unmapped its rings, since the kernel keeps a socket
/// alive while one of its rings is mapped. The fields are dropped in declaration order.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The socket's entry in the program's map. Removed first, so that nothing is redirected to a
    /// socket that is being closed.
    pub(crate) entry: Option<Entry>,
    /// `None` only in tests that simulate the kernel.
    pub(crate) socket: Option<Arc<xdp::Socket>>,
    pub(crate) umem: Arc<Shared>,
    /// After the socket: dropping the last clone closes the queue.
    pub(crate) rings: Arc<QueueRings>,
    /// The socket's number among those on the queue.
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

/// Keeps an interface in promiscuous mode. AF_XDP cannot do that, so a packet socket without a
/// protocol, which receives nothing, holds the membership until it is closed.
#[derive(Debug)]
pub(crate) struct Promiscuous {
    _socket: PacketSocket,
}

impl Promiscuous {
    pub(crate) fn join(interface: u32) -> Result<Self, Error> {
        let failed =
            |source| explain("switch promiscuous mode on", &[Capability::NetRaw], None, source);
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
    /// The socket's descriptor, for waiting.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(|socket| socket.as_fd())
    }

    /// Used to take received frames from the kernel.
    #[inline]
    pub(crate) fn claims(&self) -> Claims<'_> {
        self.umem.memory.claims(self.rings.fill_holder(), self.rings.many_receive)
    }

    /// `true` if this thread is in the interface's network namespace and so can reopen sockets on
    /// it.
    pub(crate) fn is_here(&self) -> bool {
        Place::here(self.index).is_ok_and(|place| place == self.rings.place.interface)
    }

    /// Maximum length of a packet that the interface sends, including the link-layer header. Only a
    /// packet whose `start` has a VLAN tag may use the room for the tag.
    pub(crate) fn longest_like(&self, start: &[u8]) -> usize {
        let longest = self.mtu.longest() as usize;
        match start.get(12..14) {
            // Drivers allow four bytes more than the MTU for a tag. Without a tag, a packet that
            // long exceeds the MTU and the next hop drops it.
            Some([0x81, 0x00] | [0x88, 0xa8]) => longest,
            _ if self.link_type == LinkType::ETHERNET => longest.saturating_sub(4),
            _ => longest,
        }
    }

    /// Checks if the interface still exists and reads its MTU, because the kernel reports neither
    /// change.
    pub(crate) fn look(&self) -> Result<(), Error> {
        self.take_error()?;
        self.mtu.look(&self.interface);
        Ok(())
    }

    /// Maximum length of a packet that the interface sends, including link-layer header and VLAN
    /// tag. Asks the kernel again if `len` exceeds it.
    #[inline]
    pub(crate) fn longest_for(&self, len: usize) -> usize {
        self.mtu.look_for(&self.interface, len);
        self.mtu.longest() as usize
    }

    /// Wakes the kernel to take frames from the fill ring, or to poll the device.
    pub(crate) fn wake_receive(&self) -> Result<(), Error> {
        let Some(socket) = &self.socket else { return Ok(()) };
        match socket.wake_receive() {
            Err(source) => match source.raw_os_error() {
                // The wake-up was not needed or not possible now. The flag stays set then, and the
                // next wait tries again.
                Some(errno::EAGAIN | errno::EBUSY | errno::ENOBUFS) => Ok(()),
                _ => Err(self.failure("receive packets", source)),
            },
            Ok(()) => Ok(()),
        }
    }

    /// Converts the error of a system call on the socket. If the interface is removed, the kernel
    /// sets an error in the socket and unbinds it; if it only goes down, the kernel does neither.
    pub(crate) fn failure(&self, operation: &'static str, source: std::io::Error) -> Error {
        let gone = || Error::InterfaceGone { interface: self.interface.to_string() };
        match source.raw_os_error() {
            Some(errno::ENETDOWN | errno::ENXIO | errno::ENODEV) if self.take_error().is_err() => {
                gone()
            }
            // An earlier call may have taken the error.
            Some(errno::ENXIO | errno::ENODEV)
                if ring_sys::interface::name(self.index).is_err() =>
            {
                gone()
            }
            _ => Error::System { operation, source },
        }
    }

    /// Takes the socket's pending error, which means that the interface is gone.
    pub(crate) fn take_error(&self) -> Result<(), Error> {
        let Some(socket) = &self.socket else { return Ok(()) };
        socket
            .take_error()
            .map_err(|_| Error::InterfaceGone { interface: self.interface.to_string() })
    }
}

pub(crate) fn jumped(ring: &'static str, size: u32, jumped: Jumped) -> Error {
    Error::RingIndex { ring, ours: jumped.own, theirs: jumped.other, size }
}
