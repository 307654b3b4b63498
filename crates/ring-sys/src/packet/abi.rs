//! `linux/if_packet.h`: structures and constants, with the names of the header.
#![allow(missing_docs, reason = "the names are the kernel's, and so is their documentation")]

/// `struct sockaddr_ll` as it follows the header of each packet in a ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SockaddrLl {
    pub sll_family: u16,
    /// Network byte order.
    pub sll_protocol: u16,
    pub sll_ifindex: i32,
    pub sll_hatype: u16,
    pub sll_pkttype: u8,
    pub sll_halen: u8,
    pub sll_addr: [u8; 8],
}

/// `struct tpacket_req`: a ring of version 1 or 2.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TpacketReq {
    pub tp_block_size: u32,
    pub tp_block_nr: u32,
    pub tp_frame_size: u32,
    pub tp_frame_nr: u32,
}

/// `struct tpacket_req3`: a ring of version 3.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TpacketReq3 {
    pub tp_block_size: u32,
    pub tp_block_nr: u32,
    pub tp_frame_size: u32,
    pub tp_frame_nr: u32,
    /// Milliseconds after which a block that is not full is closed; 0 lets the kernel choose.
    pub tp_retire_blk_tov: u32,
    pub tp_sizeof_priv: u32,
    pub tp_feature_req_word: u32,
}

/// `struct tpacket2_hdr`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Tpacket2Hdr {
    pub tp_status: u32,
    pub tp_len: u32,
    pub tp_snaplen: u32,
    pub tp_mac: u16,
    pub tp_net: u16,
    pub tp_sec: u32,
    pub tp_nsec: u32,
    pub tp_vlan_tci: u16,
    pub tp_vlan_tpid: u16,
    pub tp_padding: [u8; 4],
}

/// `struct tpacket3_hdr` with `struct tpacket_hdr_variant1`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Tpacket3Hdr {
    pub tp_next_offset: u32,
    pub tp_sec: u32,
    pub tp_nsec: u32,
    pub tp_snaplen: u32,
    pub tp_len: u32,
    pub tp_status: u32,
    pub tp_mac: u16,
    pub tp_net: u16,
    pub tp_rxhash: u32,
    pub tp_vlan_tci: u32,
    pub tp_vlan_tpid: u16,
    pub tp_padding1: u16,
    pub tp_padding: [u8; 8],
}

/// `struct tpacket_block_desc` with `struct tpacket_hdr_v1`: the start of a block.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct TpacketBlockDesc {
    pub version: u32,
    pub offset_to_priv: u32,
    pub block_status: u32,
    pub num_pkts: u32,
    pub offset_to_first_pkt: u32,
    pub blk_len: u32,
    pub seq_num: u64,
    pub ts_first_sec: u32,
    pub ts_first_nsec: u32,
    pub ts_last_sec: u32,
    pub ts_last_nsec: u32,
}

/// `struct tpacket_auxdata`: metadata of a packet that was received without a ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TpacketAuxdata {
    pub tp_status: u32,
    pub tp_len: u32,
    pub tp_snaplen: u32,
    pub tp_mac: u16,
    pub tp_net: u16,
    pub tp_vlan_tci: u16,
    pub tp_vlan_tpid: u16,
}

/// `struct tpacket_stats_v3`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TpacketStatsV3 {
    pub tp_packets: u32,
    pub tp_drops: u32,
    pub tp_freeze_q_cnt: u32,
}

/// `struct tpacket_rollover_stats`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TpacketRolloverStats {
    pub tp_all: u64,
    pub tp_huge: u64,
    pub tp_failed: u64,
}

/// `struct packet_mreq`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketMreq {
    pub mr_ifindex: i32,
    pub mr_type: u16,
    pub mr_alen: u16,
    pub mr_address: [u8; 8],
}

/// `struct fanout_args`. The id comes first on little-endian machines; on big-endian ones the two
/// fields are swapped.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FanoutArgs {
    #[cfg(target_endian = "little")]
    pub id: u16,
    pub type_flags: u16,
    #[cfg(target_endian = "big")]
    pub id: u16,
    pub max_num_members: u32,
}

/// `struct virtio_net_hdr` of `linux/virtio_net.h`, native byte order on packet sockets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtioNetHdr {
    pub flags: u8,
    pub gso_type: u8,
    pub hdr_len: u16,
    pub gso_size: u16,
    pub csum_start: u16,
    pub csum_offset: u16,
}

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<SockaddrLl>() == 20 && offset_of!(SockaddrLl, sll_pkttype) == 10);
    assert!(size_of::<SockaddrLl>() == size_of::<libc::sockaddr_ll>());
    assert!(size_of::<TpacketReq>() == 16);
    assert!(size_of::<TpacketReq3>() == 28);
    assert!(size_of::<Tpacket2Hdr>() == 32 && offset_of!(Tpacket2Hdr, tp_mac) == 12);
    assert!(size_of::<Tpacket3Hdr>() == 48 && offset_of!(Tpacket3Hdr, tp_mac) == 24);
    assert!(
        offset_of!(Tpacket3Hdr, tp_rxhash) == 28 && offset_of!(Tpacket3Hdr, tp_vlan_tpid) == 36
    );
    assert!(size_of::<TpacketBlockDesc>() == 48 && offset_of!(TpacketBlockDesc, block_status) == 8);
    assert!(offset_of!(TpacketBlockDesc, seq_num) == 24);
    assert!(size_of::<TpacketAuxdata>() == 20 && offset_of!(TpacketAuxdata, tp_vlan_tci) == 16);
    assert!(size_of::<TpacketStatsV3>() == 12);
    assert!(size_of::<TpacketRolloverStats>() == 24);
    assert!(size_of::<PacketMreq>() == 16);
    assert!(size_of::<FanoutArgs>() == 8);
    assert!(size_of::<VirtioNetHdr>() == 10);
};

pub const ETH_P_ALL: u16 = 3;

pub const TPACKET_V2: i32 = 1;
pub const TPACKET_V3: i32 = 2;
pub const TPACKET_ALIGNMENT: usize = 16;
/// `TPACKET_ALIGN(sizeof(struct tpacket3_hdr))`: the offset of `struct sockaddr_ll` from a packet's
/// header.
pub const TPACKET3_SOCKADDR: usize = 48;
/// `TPACKET3_HDRLEN`.
pub const TPACKET3_HDRLEN: usize = TPACKET3_SOCKADDR + size_of::<SockaddrLl>();
/// `TPACKET2_HDRLEN`.
pub const TPACKET2_HDRLEN: usize = 32 + size_of::<SockaddrLl>();

pub const PACKET_HOST: u8 = 0;
pub const PACKET_BROADCAST: u8 = 1;
pub const PACKET_MULTICAST: u8 = 2;
pub const PACKET_OTHERHOST: u8 = 3;
pub const PACKET_OUTGOING: u8 = 4;

pub const TP_STATUS_KERNEL: u32 = 0;
pub const TP_STATUS_USER: u32 = 1 << 0;
pub const TP_STATUS_COPY: u32 = 1 << 1;
pub const TP_STATUS_LOSING: u32 = 1 << 2;
pub const TP_STATUS_CSUMNOTREADY: u32 = 1 << 3;
pub const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
pub const TP_STATUS_BLK_TMO: u32 = 1 << 5;
pub const TP_STATUS_VLAN_TPID_VALID: u32 = 1 << 6;
pub const TP_STATUS_CSUM_VALID: u32 = 1 << 7;
pub const TP_STATUS_TS_SOFTWARE: u32 = 1 << 29;
pub const TP_STATUS_TS_SYS_HARDWARE: u32 = 1 << 30;
pub const TP_STATUS_TS_RAW_HARDWARE: u32 = 1 << 31;

pub const TP_STATUS_AVAILABLE: u32 = 0;
pub const TP_STATUS_SEND_REQUEST: u32 = 1 << 0;
pub const TP_STATUS_SENDING: u32 = 1 << 1;
pub const TP_STATUS_WRONG_FORMAT: u32 = 1 << 2;

pub const TP_FT_REQ_FILL_RXHASH: u32 = 1;

pub const PACKET_ADD_MEMBERSHIP: i32 = 1;
pub const PACKET_DROP_MEMBERSHIP: i32 = 2;
pub const PACKET_RX_RING: i32 = 5;
pub const PACKET_STATISTICS: i32 = 6;
pub const PACKET_AUXDATA: i32 = 8;
pub const PACKET_VERSION: i32 = 10;
pub const PACKET_RESERVE: i32 = 12;
pub const PACKET_TX_RING: i32 = 13;
pub const PACKET_LOSS: i32 = 14;
pub const PACKET_VNET_HDR: i32 = 15;
pub const PACKET_TX_TIMESTAMP: i32 = 16;
pub const PACKET_TIMESTAMP: i32 = 17;
pub const PACKET_FANOUT: i32 = 18;
pub const PACKET_TX_HAS_OFF: i32 = 19;
pub const PACKET_QDISC_BYPASS: i32 = 20;
pub const PACKET_ROLLOVER_STATS: i32 = 21;
pub const PACKET_FANOUT_DATA: i32 = 22;
pub const PACKET_IGNORE_OUTGOING: i32 = 23;

pub const PACKET_FANOUT_HASH: u16 = 0;
pub const PACKET_FANOUT_LB: u16 = 1;
pub const PACKET_FANOUT_CPU: u16 = 2;
pub const PACKET_FANOUT_ROLLOVER: u16 = 3;
pub const PACKET_FANOUT_RND: u16 = 4;
pub const PACKET_FANOUT_QM: u16 = 5;
pub const PACKET_FANOUT_CBPF: u16 = 6;
pub const PACKET_FANOUT_EBPF: u16 = 7;
pub const PACKET_FANOUT_FLAG_ROLLOVER: u16 = 0x1000;
pub const PACKET_FANOUT_FLAG_UNIQUEID: u16 = 0x2000;
pub const PACKET_FANOUT_FLAG_IGNORE_OUTGOING: u16 = 0x4000;
pub const PACKET_FANOUT_FLAG_DEFRAG: u16 = 0x8000;

pub const PACKET_MR_MULTICAST: u16 = 0;
pub const PACKET_MR_PROMISC: u16 = 1;
pub const PACKET_MR_ALLMULTI: u16 = 2;
