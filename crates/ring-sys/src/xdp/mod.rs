//! AF_XDP sockets (`Documentation/networking/af_xdp.rst`), one method per socket option.

pub mod abi;
pub mod attachment;

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use self::abi::{SockaddrXdp, XdpMmapOffsets, XdpOptions, XdpStatistics, XdpUmemReg};
use crate::mmap::Mapping;
use crate::socket_option::{self, check};

/// An AF_XDP socket, closed on drop.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
}

/// One of the four rings of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ring {
    /// Received packets: the kernel produces.
    Rx,
    /// Packets to be sent: the user produces.
    Tx,
    /// Free frames for the kernel: the user produces.
    Fill,
    /// Frames that were sent: the kernel produces.
    Completion,
}

impl Ring {
    const fn option(self) -> i32 {
        match self {
            Self::Rx => abi::XDP_RX_RING,
            Self::Tx => abi::XDP_TX_RING,
            Self::Fill => abi::XDP_UMEM_FILL_RING,
            Self::Completion => abi::XDP_UMEM_COMPLETION_RING,
        }
    }

    const fn page_offset(self) -> u64 {
        match self {
            Self::Rx => abi::XDP_PGOFF_RX_RING,
            Self::Tx => abi::XDP_PGOFF_TX_RING,
            Self::Fill => abi::XDP_UMEM_PGOFF_FILL_RING,
            Self::Completion => abi::XDP_UMEM_PGOFF_COMPLETION_RING,
        }
    }
}

impl Socket {
    /// `socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)`.
    ///
    /// # Errors
    /// As socket(2): `EPERM` without `CAP_NET_RAW`, `EAFNOSUPPORT` if the kernel is built without
    /// AF_XDP.
    pub fn new() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::socket(abi::AF_XDP, kind, 0) })?;
        // SAFETY: the descriptor was made by the call above and belongs to nobody else.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Registers the first `len` bytes of a mapping as packet memory. The kernel pins the pages, so
    /// they stay in use even if the mapping is dropped. Kernels before 6.8 have no
    /// `tx_metadata_len`; the field is passed to the kernel only if it is not 0.
    ///
    /// # Errors
    /// `EINVAL` for an invalid geometry, `ENOBUFS` above `RLIMIT_MEMLOCK`, `EBUSY` if the socket
    /// already has packet memory.
    pub fn register_umem(
        &self,
        memory: &Mapping,
        len: usize,
        request: UmemRequest,
    ) -> io::Result<()> {
        let start =
            memory.pointer(0, len, 1).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        let metadata = request.tx_metadata_len != 0;
        let structure = XdpUmemReg {
            addr: start.as_ptr() as u64,
            len: len as u64,
            chunk_size: request.chunk_size,
            headroom: request.headroom,
            flags: request.flags | if metadata { abi::XDP_UMEM_TX_METADATA_LEN } else { 0 },
            tx_metadata_len: request.tx_metadata_len,
        };
        // SAFETY: the option takes this structure; the memory that it names is mapped, and what the
        // kernel writes there is only ever read through raw pointers or by the protocol of the
        // rings.
        unsafe { self.set(abi::XDP_UMEM_REG, &structure) }
    }

    /// Creates a ring with `entries` entries, a power of two.
    ///
    /// # Errors
    /// `EINVAL` if `entries` is not a power of two, `EBUSY` once the socket is bound.
    pub fn set_ring(&self, ring: Ring, entries: u32) -> io::Result<()> {
        // SAFETY: the option takes an int.
        unsafe { self.set(ring.option(), &entries) }
    }

    /// The offsets of the rings' fields in their mappings.
    ///
    /// # Errors
    /// As getsockopt(2). `UnexpectedEof` on kernels before 5.4, whose shorter layout is not
    /// supported.
    pub fn offsets(&self) -> io::Result<XdpMmapOffsets> {
        // SAFETY: the option fills in this structure, which any bytes are.
        unsafe { socket_option::get(self.as_fd(), abi::SOL_XDP, abi::XDP_MMAP_OFFSETS, None) }
    }

    /// Maps a ring of `len` bytes.
    ///
    /// # Errors
    /// As mmap(2): `EINVAL` if the ring does not exist or is shorter.
    pub fn map_ring(&self, ring: Ring, len: usize) -> io::Result<Mapping> {
        Mapping::of_descriptor_at(self.fd.as_fd(), ring.page_offset(), len)
    }

    /// Binds to a queue of an interface.
    ///
    /// # Errors
    /// `EBUSY` if another socket has the queue, or had it until a moment ago. `EOPNOTSUPP` for a
    /// mode that the driver does not support. `EINVAL` for a queue that does not exist and for
    /// flags that the kernel does not know.
    pub fn bind(&self, interface: u32, queue: u32, flags: u16) -> io::Result<()> {
        self.bind_address(&SockaddrXdp {
            sxdp_family: abi::AF_XDP as u16,
            sxdp_flags: flags,
            sxdp_ifindex: interface,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: 0,
        })
    }

    /// Binds to a queue of an interface and shares the packet memory of `owner`. The flags that
    /// `owner` was bound with apply to this socket, too.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_shared(&self, interface: u32, queue: u32, owner: BorrowedFd<'_>) -> io::Result<()> {
        self.bind_address(&SockaddrXdp {
            sxdp_family: abi::AF_XDP as u16,
            sxdp_flags: abi::XDP_SHARED_UMEM,
            sxdp_ifindex: interface,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: owner.as_raw_fd() as u32,
        })
    }

    fn bind_address(&self, address: &SockaddrXdp) -> io::Result<()> {
        let size = size_of::<SockaddrXdp>() as libc::socklen_t;
        let pointer = std::ptr::from_ref(address).cast();
        // SAFETY: the pointer is valid for `size` bytes, and the structure is that of the address
        // family.
        check(unsafe { libc::bind(self.fd.as_raw_fd(), pointer, size) })?;
        Ok(())
    }

    /// Counters since the socket was created.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn statistics(&self) -> io::Result<XdpStatistics> {
        // SAFETY: the option fills in this structure, which any bytes are.
        unsafe { socket_option::get(self.as_fd(), abi::SOL_XDP, abi::XDP_STATISTICS, None) }
    }

    /// The mode that the socket was bound in.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn options(&self) -> io::Result<XdpOptions> {
        // SAFETY: the option fills in this structure, which any bytes are.
        unsafe { socket_option::get(self.as_fd(), abi::SOL_XDP, abi::XDP_OPTIONS, None) }
    }

    /// Wakes the kernel to send what is in the send ring. In copy mode one call sends one batch.
    ///
    /// # Errors
    /// As send(2): `EAGAIN` if more is left to send or there is no room, `ENOBUFS`, `EBUSY`,
    /// `ENETDOWN`, `ENXIO` if the interface is gone.
    pub fn wake_send(&self) -> io::Result<()> {
        let (fd, flags) = (self.fd.as_raw_fd(), libc::MSG_DONTWAIT);
        // SAFETY: no buffer and no address are passed.
        let sent = unsafe { libc::sendto(fd, std::ptr::null(), 0, flags, std::ptr::null(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Wakes the kernel to take frames from the fill ring. With busy polling, also polls the
    /// device.
    ///
    /// # Errors
    /// As recv(2): `ENETDOWN`, `ENXIO` if the interface is gone.
    pub fn wake_receive(&self) -> io::Result<()> {
        let (fd, flags) = (self.fd.as_raw_fd(), libc::MSG_DONTWAIT);
        // SAFETY: no buffer is passed.
        let received = unsafe { libc::recv(fd, std::ptr::null_mut(), 0, flags) };
        if received < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Takes the pending error from the socket and returns it as `Err` (`SO_ERROR`).
    ///
    /// # Errors
    /// The pending error if there is one, or that of getsockopt(2).
    pub fn take_error(&self) -> io::Result<()> {
        // SAFETY: the option fills in an int.
        let error: i32 =
            unsafe { socket_option::get(self.as_fd(), libc::SOL_SOCKET, libc::SO_ERROR, None) }?;
        if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
    }

    /// Enables busy polling: polls the device for `microseconds` (`SO_BUSY_POLL`), in preference to
    /// interrupts (`SO_PREFER_BUSY_POLL`), and takes at most `budget` packets at a time
    /// (`SO_BUSY_POLL_BUDGET`).
    ///
    /// # Errors
    /// As socket(7): `EPERM` without `CAP_NET_ADMIN`; `ENOPROTOOPT` before Linux 5.11.
    pub fn set_busy_poll(&self, microseconds: i32, budget: i32) -> io::Result<()> {
        let options = [
            (libc::SO_PREFER_BUSY_POLL, 1),
            (libc::SO_BUSY_POLL, microseconds),
            (libc::SO_BUSY_POLL_BUDGET, budget),
        ];
        for (name, value) in options {
            // SAFETY: these options take an int.
            unsafe { socket_option::set(self.as_fd(), libc::SOL_SOCKET, name, &value) }?;
        }
        Ok(())
    }

    /// # Safety
    /// As [`socket_option::set`].
    unsafe fn set<T: Copy>(&self, name: i32, value: &T) -> io::Result<()> {
        // SAFETY: the caller's promise.
        unsafe { socket_option::set(self.as_fd(), abi::SOL_XDP, name, value) }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The layout of packet memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UmemRequest {
    /// Bytes per frame. A power of two from 2048 to the page size, unless frames are unaligned.
    pub chunk_size: u32,
    /// Bytes to leave free at the start of each frame, in addition to the kernel's own headroom.
    pub headroom: u32,
    /// `XDP_UMEM_*`. The flag for metadata is added if `tx_metadata_len` is not 0.
    pub flags: u32,
    /// Bytes for metadata before each packet to be sent: a multiple of 8 below 256, or 0 for none.
    pub tx_metadata_len: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_there_is_refused() {
        // Opening the socket needs a privilege; without it there is nothing to test.
        let Ok(socket) = Socket::new() else { return };
        let memory = Mapping::anonymous(4096).expect("a page");
        let request = UmemRequest { chunk_size: 4096, ..UmemRequest::default() };
        let error = socket.register_umem(&memory, 8192, request).expect_err("longer than it is");
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        let odd = UmemRequest { chunk_size: 1000, ..UmemRequest::default() };
        assert!(socket.register_umem(&memory, 4096, odd).is_err(), "the kernel's own check");
        assert!(socket.set_ring(Ring::Rx, 3).is_err(), "no power of two");
        assert!(socket.map_ring(Ring::Rx, 4096).is_err(), "not made");
    }
}
