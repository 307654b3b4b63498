//! `linux/if_xdp.h` as of Linux 6.18. Older kernels support a subset.

/// `AF_XDP`.
pub const AF_XDP: i32 = 44;
/// `SOL_XDP`.
pub const SOL_XDP: i32 = 283;

/// Offsets of the rings' fields.
pub const XDP_MMAP_OFFSETS: i32 = 1;
/// Entries of the receive ring.
pub const XDP_RX_RING: i32 = 2;
/// Entries of the send ring.
pub const XDP_TX_RING: i32 = 3;
/// Registers the packet memory.
pub const XDP_UMEM_REG: i32 = 4;
/// Entries of the fill ring.
pub const XDP_UMEM_FILL_RING: i32 = 5;
/// Entries of the completion ring.
pub const XDP_UMEM_COMPLETION_RING: i32 = 6;
/// Packet counters.
pub const XDP_STATISTICS: i32 = 7;
/// Result of the binding.
pub const XDP_OPTIONS: i32 = 8;

/// Share the packet memory of another socket.
pub const XDP_SHARED_UMEM: u16 = 1 << 0;
/// Always copy packets.
pub const XDP_COPY: u16 = 1 << 1;
/// Never copy packets.
pub const XDP_ZEROCOPY: u16 = 1 << 2;
/// The kernel sets [`XDP_RING_NEED_WAKEUP`] when it must be woken.
pub const XDP_USE_NEED_WAKEUP: u16 = 1 << 3;
/// Packets may span frames.
pub const XDP_USE_SG: u16 = 1 << 4;

/// Frames may start at any offset.
pub const XDP_UMEM_UNALIGNED_CHUNK_FLAG: u32 = 1 << 0;
/// In copy mode, the kernel computes the checksums that metadata requests.
pub const XDP_UMEM_TX_SW_CSUM: u32 = 1 << 1;
/// `tx_metadata_len` is set.
pub const XDP_UMEM_TX_METADATA_LEN: u32 = 1 << 2;

/// In a ring's flags word: the kernel must be woken with a system call.
pub const XDP_RING_NEED_WAKEUP: u32 = 1 << 0;
/// In [`XdpOptions::flags`]: packets are not copied.
pub const XDP_OPTIONS_ZEROCOPY: u32 = 1 << 0;

/// In a descriptor's options: the packet continues in the next descriptor.
pub const XDP_PKT_CONTD: u32 = 1 << 0;
/// In a descriptor's options: [`XskTxMetadata`] precedes the packet.
pub const XDP_TX_METADATA: u32 = 1 << 1;

/// In [`XskTxMetadata::flags`]: request a send timestamp.
pub const XDP_TXMD_FLAGS_TIMESTAMP: u64 = 1 << 0;
/// In [`XskTxMetadata::flags`]: request a checksum.
pub const XDP_TXMD_FLAGS_CHECKSUM: u64 = 1 << 1;

/// mmap(2) offset of the receive ring.
pub const XDP_PGOFF_RX_RING: u64 = 0;
/// mmap(2) offset of the send ring.
pub const XDP_PGOFF_TX_RING: u64 = 0x8000_0000;
/// mmap(2) offset of the fill ring.
pub const XDP_UMEM_PGOFF_FILL_RING: u64 = 0x1_0000_0000;
/// mmap(2) offset of the completion ring.
pub const XDP_UMEM_PGOFF_COMPLETION_RING: u64 = 0x1_8000_0000;

/// Bytes that the kernel reserves before each received packet, `XDP_PACKET_HEADROOM` of
/// `linux/bpf.h`.
pub const XDP_PACKET_HEADROOM: u32 = 256;

/// `struct sockaddr_xdp`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SockaddrXdp {
    pub sxdp_family: u16,
    pub sxdp_flags: u16,
    pub sxdp_ifindex: u32,
    pub sxdp_queue_id: u32,
    pub sxdp_shared_umem_fd: u32,
}

/// `struct xdp_ring_offset`: bytes from the start of a ring's mapping.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct XdpRingOffset {
    pub producer: u64,
    pub consumer: u64,
    pub desc: u64,
    pub flags: u64,
}

/// `struct xdp_mmap_offsets`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct XdpMmapOffsets {
    pub rx: XdpRingOffset,
    pub tx: XdpRingOffset,
    pub fr: XdpRingOffset,
    pub cr: XdpRingOffset,
}

/// `struct xdp_umem_reg`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct XdpUmemReg {
    pub addr: u64,
    pub len: u64,
    pub chunk_size: u32,
    pub headroom: u32,
    pub flags: u32,
    pub tx_metadata_len: u32,
}

/// `struct xdp_statistics`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct XdpStatistics {
    pub rx_dropped: u64,
    pub rx_invalid_descs: u64,
    pub tx_invalid_descs: u64,
    pub rx_ring_full: u64,
    pub rx_fill_ring_empty_descs: u64,
    pub tx_ring_empty_descs: u64,
}

/// `struct xdp_options`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct XdpOptions {
    pub flags: u32,
}

/// `struct xdp_desc`: an entry of the receive and send rings. Entries of the fill and completion
/// rings are bare addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct XdpDesc {
    pub addr: u64,
    pub len: u32,
    pub options: u32,
}

/// `struct xsk_tx_metadata`: precedes a packet to be sent that requests a checksum, a timestamp or
/// a launch time. The kernel writes its answer over the request.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XskTxMetadata {
    /// `XDP_TXMD_FLAGS_*`.
    pub flags: u64,
    /// In a request: the start of the checksummed bytes (first 16 bits in memory order) and the
    /// offset from there at which the checksum is stored (next 16 bits). In an answer: the send
    /// time in nanoseconds.
    pub request_or_timestamp: [u8; 8],
    /// In a request: the time at which to send.
    pub launch_time: u64,
}

const _: () = {
    assert!(size_of::<SockaddrXdp>() == 16);
    assert!(size_of::<XdpRingOffset>() == 32);
    assert!(size_of::<XdpMmapOffsets>() == 128);
    assert!(size_of::<XdpUmemReg>() == 32);
    assert!(std::mem::offset_of!(XdpUmemReg, chunk_size) == 16);
    assert!(std::mem::offset_of!(XdpUmemReg, tx_metadata_len) == 28);
    assert!(size_of::<XdpStatistics>() == 48);
    assert!(size_of::<XdpOptions>() == 4);
    assert!(size_of::<XdpDesc>() == 16 && align_of::<XdpDesc>() == 8);
    assert!(std::mem::offset_of!(XdpDesc, len) == 8);
    assert!(std::mem::offset_of!(XdpDesc, options) == 12);
    assert!(size_of::<XskTxMetadata>() == 24);
};

// libc's definitions of the same header must agree.
const _: () = {
    assert!(AF_XDP == libc::AF_XDP && SOL_XDP == libc::SOL_XDP);
    assert!(size_of::<SockaddrXdp>() == size_of::<libc::sockaddr_xdp>());
    assert!(size_of::<XdpMmapOffsets>() == size_of::<libc::xdp_mmap_offsets>());
    assert!(size_of::<XdpStatistics>() == size_of::<libc::xdp_statistics>());
    assert!(size_of::<XdpDesc>() == size_of::<libc::xdp_desc>());
    assert!(XDP_USE_NEED_WAKEUP == libc::XDP_USE_NEED_WAKEUP);
    assert!(XDP_UMEM_PGOFF_COMPLETION_RING == libc::XDP_UMEM_PGOFF_COMPLETION_RING);
};
