//! Packet sockets, packet(7), one method per socket option.

pub mod abi;
mod auxiliary;
mod mtu;
mod slots;
mod timestamp;

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use self::abi::{
    FanoutArgs, PacketMreq, SockaddrLl, TpacketReq, TpacketReq3, TpacketRolloverStats,
    TpacketStatsV3,
};
pub use self::auxiliary::Received;
pub use self::slots::SendSlots;
pub use self::timestamp::SendTimestamp;
use crate::filter::Instruction;
use crate::mmap::Mapping;
use crate::socket_option::{self, check};

/// A packet socket, closed on drop.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Opens a socket, `socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)`. With
    /// protocol 0 it receives nothing until [`bind`](Self::bind) names a protocol.
    ///
    /// # Errors
    /// As packet(7): `EPERM` without `CAP_NET_RAW`.
    pub fn new() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
        // SAFETY: the descriptor was made by the call above and belongs to nobody else.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Binds to an interface and an Ethernet protocol in host byte order. Interface 0 means all of
    /// them. The protocol is [`abi::ETH_P_ALL`] to receive everything, 0 to send only.
    ///
    /// # Errors
    /// As packet(7): `ENODEV`, `ENETDOWN`.
    pub fn bind(&self, interface: u32, protocol: u16) -> io::Result<()> {
        let address = SockaddrLl {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: protocol.to_be(),
            sll_ifindex: interface as i32,
            ..SockaddrLl::default()
        };
        let size = size_of::<SockaddrLl>() as libc::socklen_t;
        let pointer = std::ptr::from_ref(&address).cast();
        // SAFETY: the pointer is valid for `size` bytes, and the structure is that of the address
        // family.
        check(unsafe { libc::bind(self.fd.as_raw_fd(), pointer, size) })?;
        Ok(())
    }

    /// The index of the interface that the socket is bound to: 0 for all, -1 once it is deleted.
    ///
    /// # Errors
    /// As getsockname(2).
    pub fn bound_interface(&self) -> io::Result<i32> {
        let mut address = SockaddrLl::default();
        let mut size = size_of::<SockaddrLl>() as libc::socklen_t;
        let pointer = std::ptr::from_mut(&mut address).cast();
        // SAFETY: both pointers are valid and writable, the first for `size` bytes.
        check(unsafe { libc::getsockname(self.fd.as_raw_fd(), pointer, &mut size) })?;
        Ok(address.sll_ifindex)
    }

    /// Sets the version of the ring, [`abi::TPACKET_V2`] or [`abi::TPACKET_V3`]. Must precede the
    /// creation of a ring.
    ///
    /// # Errors
    /// As setsockopt(2): `EBUSY` if the socket has a ring.
    pub fn set_version(&self, version: i32) -> io::Result<()> {
        self.set_int(abi::PACKET_VERSION, version)
    }

    /// Sets the number of bytes to reserve before each packet of the ring.
    ///
    /// # Errors
    /// As setsockopt(2): `EBUSY` if the socket has a ring.
    pub fn set_reserve(&self, bytes: u32) -> io::Result<()> {
        // SAFETY: the option takes an unsigned int.
        unsafe { self.set(abi::PACKET_RESERVE, &bytes) }
    }

    /// Creates a receive ring of version 3.
    ///
    /// # Errors
    /// As setsockopt(2): `EINVAL` for an invalid geometry, `ENOMEM`.
    pub fn set_rx_ring(&self, request: &TpacketReq3) -> io::Result<()> {
        // SAFETY: the option takes this structure, for the version set.
        unsafe { self.set(abi::PACKET_RX_RING, request) }
    }

    /// Creates a send ring of version 2.
    ///
    /// # Errors
    /// As [`set_rx_ring`](Self::set_rx_ring).
    pub fn set_tx_ring(&self, request: &TpacketReq) -> io::Result<()> {
        // SAFETY: the option takes this structure. The kernel refuses it for a version with a
        // longer one.
        unsafe { self.set(abi::PACKET_TX_RING, request) }
    }

    /// Maps the socket's ring of `len` bytes.
    ///
    /// # Errors
    /// As mmap(2): `EINVAL` if the ring has another length.
    pub fn map_ring(&self, len: usize) -> io::Result<Mapping> {
        Mapping::of_descriptor(self.fd.as_fd(), len)
    }

    /// Attaches a classic BPF filter and replaces an attached one.
    ///
    /// # Errors
    /// As socket(7): `EINVAL` for a program that fails the kernel's check, `EPERM` if the filter is
    /// locked.
    pub fn attach_filter(&self, program: &[Instruction]) -> io::Result<()> {
        let len =
            u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
        // SAFETY: the option takes this structure; its pointer is valid for `len` instructions,
        // which the kernel reads.
        unsafe {
            socket_option::set(self.as_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
        }
    }

    /// Attaches an eBPF program of the type `SOCKET_FILTER`.
    ///
    /// # Errors
    /// As socket(7): `EINVAL` for a descriptor of anything else.
    pub fn attach_program(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        let program = program.as_raw_fd();
        // SAFETY: the option takes an int.
        unsafe { socket_option::set(self.as_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_BPF, &program) }
    }

    /// Detaches the filter.
    ///
    /// # Errors
    /// As socket(7): `ENOENT` without a filter, `EPERM` if it is locked.
    pub fn detach_filter(&self) -> io::Result<()> {
        self.set_socket_int(libc::SO_DETACH_FILTER, 0)
    }

    /// Locks the filter, which can no longer be replaced or detached.
    ///
    /// # Errors
    /// As socket(7).
    pub fn lock_filter(&self) -> io::Result<()> {
        self.set_socket_int(libc::SO_LOCK_FILTER, 1)
    }

    /// Returns the counters since the last call. Reading resets them.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn take_statistics(&self) -> io::Result<TpacketStatsV3> {
        // SAFETY: the option fills in this structure for version 3, and any bytes are a valid one.
        // For other versions the kernel returns too few bytes.
        unsafe { socket_option::get(self.as_fd(), libc::SOL_PACKET, abi::PACKET_STATISTICS, None) }
    }

    /// Counters of fanout rollover since the socket joined the group.
    ///
    /// # Errors
    /// As getsockopt(2): `EINVAL` if the socket is in no group with rollover.
    pub fn rollover_statistics(&self) -> io::Result<TpacketRolloverStats> {
        // SAFETY: the option fills in this structure, which any bytes are.
        unsafe {
            socket_option::get(self.as_fd(), libc::SOL_PACKET, abi::PACKET_ROLLOVER_STATS, None)
        }
    }

    /// Adds a multicast or promiscuous membership; the kernel counts them.
    ///
    /// # Errors
    /// As packet(7).
    pub fn add_membership(&self, request: &PacketMreq) -> io::Result<()> {
        // SAFETY: the option takes this structure.
        unsafe { self.set(abi::PACKET_ADD_MEMBERSHIP, request) }
    }

    /// Drops a membership.
    ///
    /// # Errors
    /// As packet(7).
    pub fn drop_membership(&self, request: &PacketMreq) -> io::Result<()> {
        // SAFETY: the option takes this structure.
        unsafe { self.set(abi::PACKET_DROP_MEMBERSHIP, request) }
    }

    /// Joins a fanout group and creates it if necessary. Must follow [`bind`](Self::bind).
    ///
    /// # Errors
    /// As packet(7): `EINVAL` before bind, or if the group has other settings.
    pub fn join_fanout(&self, arguments: &FanoutArgs) -> io::Result<()> {
        // SAFETY: the option takes this structure.
        unsafe { self.set(abi::PACKET_FANOUT, arguments) }
    }

    /// The id of the fanout group in the lower 16 bits, its type and flags in the upper ones.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn fanout(&self) -> io::Result<u32> {
        // SAFETY: the option fills in an int.
        unsafe { socket_option::get(self.as_fd(), libc::SOL_PACKET, abi::PACKET_FANOUT, None) }
    }

    /// Sets the classic BPF program by which the fanout group chooses the member.
    ///
    /// # Errors
    /// As packet(7).
    pub fn set_fanout_filter(&self, program: &[Instruction]) -> io::Result<()> {
        let len =
            u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
        // SAFETY: in this mode the option takes this structure; its pointer is valid for `len`
        // instructions. In the eBPF mode the kernel refuses the length.
        unsafe { self.set(abi::PACKET_FANOUT_DATA, &program) }
    }

    /// Sets the eBPF program by which the fanout group chooses the member.
    ///
    /// # Errors
    /// As packet(7).
    pub fn set_fanout_program(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        self.set_int(abi::PACKET_FANOUT_DATA, program.as_raw_fd())
    }

    /// Selects the source of packet timestamps, `SOF_TIMESTAMPING_*` of `linux/net_tstamp.h`.
    ///
    /// # Errors
    /// As setsockopt(2).
    pub fn set_timestamping(&self, flags: u32) -> io::Result<()> {
        // SAFETY: the option takes an int of flags.
        unsafe { self.set(abi::PACKET_TIMESTAMP, &flags) }
    }

    /// Excludes packets sent by this host.
    ///
    /// # Errors
    /// As setsockopt(2): `ENOPROTOOPT` before Linux 4.20.
    pub fn set_ignore_outgoing(&self, ignore: bool) -> io::Result<()> {
        self.set_int(abi::PACKET_IGNORE_OUTGOING, i32::from(ignore))
    }

    /// Sends packets without passing them through the queueing discipline.
    ///
    /// # Errors
    /// As setsockopt(2).
    pub fn set_qdisc_bypass(&self, bypass: bool) -> io::Result<()> {
        self.set_int(abi::PACKET_QDISC_BYPASS, i32::from(bypass))
    }

    /// Skips a malformed packet in the send ring instead of stopping there. Must precede the
    /// creation of the ring.
    ///
    /// # Errors
    /// As setsockopt(2): `EBUSY` if the socket has a ring.
    pub fn set_loss(&self, loss: bool) -> io::Result<()> {
        self.set_int(abi::PACKET_LOSS, i32::from(loss))
    }

    /// Puts [`abi::VirtioNetHdr`] before each packet, sent or received. Must precede the creation
    /// of a ring.
    ///
    /// # Errors
    /// As setsockopt(2).
    pub fn set_vnet_header(&self, present: bool) -> io::Result<()> {
        self.set_int(abi::PACKET_VNET_HDR, i32::from(present))
    }

    /// Sets the size in bytes of the buffer for packets received without a ring (`SO_RCVBUF`).
    ///
    /// # Errors
    /// As socket(7).
    pub fn set_receive_buffer(&self, bytes: i32) -> io::Result<()> {
        self.set_socket_int(libc::SO_RCVBUF, bytes)
    }

    /// Sets the size of the send buffer in bytes (`SO_SNDBUF`), which limits the data in flight.
    ///
    /// # Errors
    /// As socket(7).
    pub fn set_send_buffer(&self, bytes: i32) -> io::Result<()> {
        self.set_socket_int(libc::SO_SNDBUF, bytes)
    }

    /// Sets how many microseconds to poll the device for if no packet is there (`SO_BUSY_POLL`).
    ///
    /// # Errors
    /// As socket(7): raising the value needs `CAP_NET_ADMIN`, otherwise `EPERM`.
    pub fn set_busy_poll(&self, microseconds: i32) -> io::Result<()> {
        self.set_socket_int(libc::SO_BUSY_POLL, microseconds)
    }

    /// Prefers busy polling to interrupts (`SO_PREFER_BUSY_POLL`).
    ///
    /// # Errors
    /// As socket(7).
    pub fn set_prefer_busy_poll(&self, prefer: bool) -> io::Result<()> {
        self.set_socket_int(libc::SO_PREFER_BUSY_POLL, i32::from(prefer))
    }

    /// Sets the maximum number of packets to take per busy poll (`SO_BUSY_POLL_BUDGET`).
    ///
    /// # Errors
    /// As socket(7).
    pub fn set_busy_poll_budget(&self, packets: i32) -> io::Result<()> {
        const SO_BUSY_POLL_BUDGET: i32 = 70;
        self.set_socket_int(SO_BUSY_POLL_BUDGET, packets)
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

    /// Sends what is ready in the send ring, without waiting. Returns the number of bytes sent.
    ///
    /// # Errors
    /// As send(2).
    pub fn kick(&self) -> io::Result<usize> {
        // SAFETY: no buffer is passed; the kernel takes the packets from the send ring.
        let sent =
            unsafe { libc::send(self.fd.as_raw_fd(), std::ptr::null(), 0, libc::MSG_DONTWAIT) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Sends packets with sendmmsg(2) and `MSG_DONTWAIT`. Returns how many were sent; these are the
    /// first ones.
    ///
    /// # Errors
    /// As send(2), if not even the first packet was sent: `ENOBUFS` and `EAGAIN` while queues are
    /// full, `EMSGSIZE` for a packet that is too long, `ENETDOWN`.
    pub fn send_packets(&self, packets: &mut SendBatch) -> io::Result<usize> {
        packets.point();
        let count = packets.messages.len() as u32;
        let messages = packets.messages.as_mut_ptr();
        // SAFETY: `point` has just made the messages point to the vectors and those to the bytes
        // that the batch owns. None of them changes during the call.
        let sent =
            unsafe { libc::sendmmsg(self.fd.as_raw_fd(), messages, count, libc::MSG_DONTWAIT) };
        Ok(check(sent)? as usize)
    }

    fn set_int(&self, name: i32, value: i32) -> io::Result<()> {
        // SAFETY: all callers name options that take an int.
        unsafe { self.set(name, &value) }
    }

    fn set_socket_int(&self, name: i32, value: i32) -> io::Result<()> {
        // SAFETY: all callers name options that take an int.
        unsafe { socket_option::set(self.as_fd(), libc::SOL_SOCKET, name, &value) }
    }

    /// # Safety
    /// As [`socket_option::set`].
    unsafe fn set<T: Copy>(&self, name: i32, value: &T) -> io::Result<()> {
        // SAFETY: the caller's promise.
        unsafe { socket_option::set(self.as_fd(), libc::SOL_PACKET, name, value) }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Packets to be sent with one system call, copied into one reusable buffer.
#[derive(Default)]
pub struct SendBatch {
    bytes: Vec<u8>,
    /// Start and length of each packet in `bytes`.
    ranges: Vec<(usize, usize)>,
    vectors: Vec<libc::iovec>,
    messages: Vec<libc::mmsghdr>,
}

// SAFETY: the pointers lead into the batch's own heap memory and are set again before each use.
// Only `send_packets` uses them, and it has exclusive access to the batch.
unsafe impl Send for SendBatch {}
// SAFETY: as above; a shared reference gives access to lengths only.
unsafe impl Sync for SendBatch {}

impl SendBatch {
    /// Creates an empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a packet of `len` zeroed bytes and returns them to be filled in.
    pub fn push(&mut self, len: usize) -> &mut [u8] {
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0);
        self.ranges.push((start, len));
        &mut self.bytes[start..]
    }

    /// The number of packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// `true` if there are no packets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The length of the first packet in bytes.
    #[must_use]
    pub fn first_len(&self) -> Option<usize> {
        self.ranges.first().map(|&(_, len)| len)
    }

    /// Removes the first `count` packets, after they were sent or given up.
    pub fn remove_first(&mut self, count: usize) {
        self.ranges.drain(..count.min(self.ranges.len()));
        if self.ranges.is_empty() {
            self.bytes.clear();
        }
    }

    fn point(&mut self) {
        self.vectors.clear();
        self.messages.clear();
        // All pointers derive from this one, since making another slice would invalidate them.
        // `push` made the ranges, which lie within the bytes.
        let first = self.bytes.as_mut_ptr();
        for &(start, len) in &self.ranges {
            let iov_base = first.wrapping_add(start).cast();
            self.vectors.push(libc::iovec { iov_base, iov_len: len });
        }
        for vector in &mut self.vectors {
            // SAFETY: null pointers and zero lengths are a message without address, data or control
            // data.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
            self.messages.push(message);
        }
    }
}

impl std::fmt::Debug for SendBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendBatch")
            .field("packets", &self.len())
            .field("bytes", &self.bytes.len())
            .finish()
    }
}
