//! A captured packet, borrowed from where it was captured.

use crate::{LinkType, Timestamp, TimestampSource};

/// A packet, borrowed from a ring block, a file buffer or memory.
///
/// It cannot outlive the batch it came from. To keep its bytes without a copy, see
/// [`PacketBatch::retain`](crate::PacketBatch::retain).
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    data: &'a [u8],
    meta: PacketMeta,
}

/// What a source knows of a packet besides its bytes.
///
/// Made by [`PacketMeta::new`] and changed field by field, since sources know different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketMeta {
    /// Position in its source, counted from 1 as tshark and Wireshark count frames.
    pub number: u64,
    /// When the packet was seen.
    pub timestamp: Timestamp,
    /// Which clock `timestamp` is from.
    pub timestamp_source: TimestampSource,
    /// Bytes on the wire, at least as many as were captured.
    pub wire_len: u32,
    /// What the first byte of the data belongs to.
    pub link_type: LinkType,
    /// Where the layer-3 header starts in the data, if the source says so and so much was captured.
    pub network_offset: Option<u16>,
    /// The interface's index: the kernel's for live captures, the file's own for pcapng, 0 where there is none.
    pub interface: u32,
    /// Which way the packet went.
    pub direction: Direction,
    /// The VLAN tag that the adapter or the kernel took off the frame.
    pub vlan: Option<VlanTag>,
    /// The kernel's receive hash, when it was asked for.
    pub hash: Option<u32>,
    /// What the kernel knows of the transport checksum.
    pub checksum: ChecksumStatus,
    /// Packets were lost between the previous one and this.
    pub losing: bool,
    /// Length in bytes of the frame check sequence that `wire_len` counts, and with which the data ends unless it was
    /// cut: part of the link layer, no payload. 0 in nearly all captures, since adapters keep it to themselves.
    pub fcs_len: u8,
}

impl<'a> Packet<'a> {
    /// A packet of these bytes; `meta.wire_len` is raised to `data.len()` if it is less.
    #[inline]
    #[must_use]
    pub fn new(data: &'a [u8], mut meta: PacketMeta) -> Self {
        meta.wire_len = meta.wire_len.max(u32::try_from(data.len()).unwrap_or(u32::MAX));
        Self { data, meta }
    }

    /// The captured bytes, from the link-layer header on.
    #[inline]
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// All that the source knows besides the bytes.
    #[inline]
    #[must_use]
    pub fn meta(&self) -> &PacketMeta {
        &self.meta
    }

    /// Bytes on the wire, at least as many as were captured.
    #[inline]
    #[must_use]
    pub fn wire_len(&self) -> u32 {
        self.meta.wire_len
    }

    /// The captured bytes without a frame check sequence, and their number on the wire.
    #[inline]
    #[must_use]
    pub fn without_fcs(&self) -> (&'a [u8], u32) {
        let wire_len = self.meta.wire_len.saturating_sub(u32::from(self.meta.fcs_len));
        (self.data.get(..wire_len as usize).unwrap_or(self.data), wire_len)
    }

    /// Position in its source, counted from 1.
    #[inline]
    #[must_use]
    pub fn number(&self) -> u64 {
        self.meta.number
    }

    /// When the packet was seen.
    #[inline]
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.meta.timestamp
    }

    /// What the first byte belongs to.
    #[inline]
    #[must_use]
    pub fn link_type(&self) -> LinkType {
        self.meta.link_type
    }

    /// The VLAN tag that the adapter or the kernel took off the frame.
    #[inline]
    #[must_use]
    pub fn vlan(&self) -> Option<VlanTag> {
        self.meta.vlan
    }

    /// Whether fewer bytes were captured than were on the wire.
    #[inline]
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        (self.data.len() as u64) < u64::from(self.meta.wire_len)
    }
}

impl PacketMeta {
    /// The least that a source knows; everything else is unknown.
    #[inline]
    #[must_use]
    pub fn new(number: u64, timestamp: Timestamp, link_type: LinkType) -> Self {
        Self {
            number,
            timestamp,
            timestamp_source: TimestampSource::Recorded,
            wire_len: 0,
            link_type,
            network_offset: None,
            interface: 0,
            direction: Direction::Unknown,
            vlan: None,
            hash: None,
            checksum: ChecksumStatus::Unknown,
            losing: false,
            fcs_len: 0,
        }
    }
}

/// Which way a packet went, seen from the host that captured (`sll_pkttype` of packet(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Direction {
    /// The source does not say.
    #[default]
    Unknown,
    /// To this host.
    Host,
    /// A link-layer broadcast.
    Broadcast,
    /// A link-layer multicast.
    Multicast,
    /// To another host, seen because of promiscuous mode.
    OtherHost,
    /// Sent by this host.
    Outgoing,
}

/// A VLAN tag that is no longer in the frame (IEEE 802.1Q).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VlanTag {
    /// Tag protocol identifier: 0x8100 or 0x88a8.
    pub tpid: u16,
    /// Tag control information: priority (3 bits), drop eligible (1 bit), VLAN id (12 bits).
    pub tci: u16,
}

impl VlanTag {
    /// The VLAN's number, 0 to 4095.
    #[inline]
    #[must_use]
    pub const fn id(self) -> u16 {
        self.tci & 0x0fff
    }

    /// The priority code point, 0 to 7.
    #[inline]
    #[must_use]
    pub const fn priority(self) -> u8 {
        (self.tci >> 13) as u8
    }
}

/// What the kernel knows of a packet's transport checksum (`TP_STATUS_CSUM*` of `linux/if_packet.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChecksumStatus {
    /// Nothing: check it if it matters.
    #[default]
    Unknown,
    /// The adapter or the kernel found it right.
    Valid,
    /// Not filled in yet: the sender left it to the adapter.
    Partial,
}
