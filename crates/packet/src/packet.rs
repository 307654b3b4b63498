//! A borrowed packet and its metadata.

use crate::{LinkType, Timestamp, TimestampSource};

/// A packet, borrowed from a ring block, a file buffer or memory.
///
/// It cannot outlive the batch that it came from. `PacketBatch::retain` (feature `source`) keeps
/// its bytes without a copy.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    data: &'a [u8],
    meta: PacketMeta,
}

/// Metadata of a packet.
///
/// Made by [`PacketMeta::new`], then changed field by field, since sources know different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PacketMeta {
    /// Position in the source, counted from 1 as in tshark and Wireshark.
    pub number: u64,
    /// The time at which the packet was captured.
    pub timestamp: Timestamp,
    /// The clock of `timestamp`.
    pub timestamp_source: TimestampSource,
    /// Length on the wire in bytes, at least the captured length.
    pub wire_len: u32,
    /// The type of the header that the data starts with.
    pub link_type: LinkType,
    /// Offset of the layer-3 header in the data, if the source reports it and it was captured.
    pub network_offset: Option<u16>,
    /// The interface's index: the kernel's for live captures, the file's own for pcapng, or 0.
    pub interface: u32,
    /// The direction of the packet.
    pub direction: Direction,
    /// The VLAN tag that the adapter or the kernel removed from the frame.
    pub vlan: Option<VlanTag>,
    /// The kernel's receive hash, if requested.
    pub hash: Option<u32>,
    /// The state of the transport checksum, as the kernel reports it.
    pub checksum: ChecksumStatus,
    /// `true` if packets were lost just before this one.
    pub losing: bool,
    /// Length in bytes of the frame check sequence. `wire_len` includes it, and the data ends with
    /// it unless truncated. It belongs to the link layer, not to the payload. 0 in nearly all
    /// captures, since adapters remove it.
    pub fcs_len: u8,
}

impl<'a> Packet<'a> {
    /// Creates a packet that was captured whole, with number 0 and no further metadata.
    #[inline]
    #[must_use]
    pub fn new(data: &'a [u8], timestamp: Timestamp, link_type: LinkType) -> Self {
        Self::with_meta(data, PacketMeta::new(0, timestamp, link_type))
    }

    /// Creates a packet of these bytes. `meta.wire_len` is raised to `data.len()` if it is less.
    #[inline]
    #[must_use]
    pub fn with_meta(data: &'a [u8], mut meta: PacketMeta) -> Self {
        meta.wire_len = meta.wire_len.max(u32::try_from(data.len()).unwrap_or(u32::MAX));
        Self { data, meta }
    }

    /// The captured bytes, starting with the link-layer header.
    #[inline]
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The packet's metadata.
    #[inline]
    #[must_use]
    pub fn meta(&self) -> &PacketMeta {
        &self.meta
    }

    /// The packet's metadata, to change it. A `wire_len` below the captured length is not raised.
    #[inline]
    pub fn meta_mut(&mut self) -> &mut PacketMeta {
        &mut self.meta
    }

    /// The same metadata with other bytes, such as those of a datagram that was joined from
    /// fragments. The length on the wire stays that of this packet, even if there are more bytes.
    #[inline]
    #[must_use]
    pub fn with_data(self, data: &[u8]) -> Packet<'_> {
        Packet { data, meta: self.meta }
    }

    /// Length on the wire in bytes.
    #[inline]
    #[must_use]
    pub fn wire_len(&self) -> u32 {
        self.meta.wire_len
    }

    /// The packet without its frame check sequence, which is not payload, not even of a packet
    /// whose own length field is 0.
    #[inline]
    #[must_use]
    pub fn without_fcs(mut self) -> Self {
        self.strip_fcs();
        self
    }

    /// Cuts off the frame check sequence.
    #[inline]
    pub fn strip_fcs(&mut self) {
        // Nearly all packets come without one.
        if self.meta.fcs_len != 0 {
            self.cut_fcs();
        }
    }

    #[cold]
    fn cut_fcs(&mut self) {
        self.meta.wire_len = self.meta.wire_len.saturating_sub(self.meta.fcs_len.into());
        self.meta.fcs_len = 0;
        self.data = self.data.get(..self.meta.wire_len as usize).unwrap_or(self.data);
    }

    /// Position in the source, counted from 1.
    #[inline]
    #[must_use]
    pub fn number(&self) -> u64 {
        self.meta.number
    }

    /// The time at which the packet was captured.
    #[inline]
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.meta.timestamp
    }

    /// The type of the header that the data starts with.
    #[inline]
    #[must_use]
    pub fn link_type(&self) -> LinkType {
        self.meta.link_type
    }

    /// The VLAN tag that the adapter or the kernel removed from the frame.
    #[inline]
    #[must_use]
    pub fn vlan(&self) -> Option<VlanTag> {
        self.meta.vlan
    }

    /// `true` if fewer bytes were captured than were on the wire.
    #[inline]
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        (self.data.len() as u64) < u64::from(self.meta.wire_len)
    }
}

impl PacketMeta {
    /// Creates metadata with only what every source knows; all other fields are unknown.
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

/// The direction of a packet, relative to the capturing host (`sll_pkttype` of packet(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Direction {
    /// Not reported by the source.
    #[default]
    Unknown,
    /// To this host.
    Host,
    /// A link-layer broadcast.
    Broadcast,
    /// A link-layer multicast.
    Multicast,
    /// To another host, captured in promiscuous mode.
    OtherHost,
    /// Sent by this host.
    Outgoing,
}

/// A VLAN tag that is no longer in the frame (IEEE 802.1Q).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VlanTag {
    /// Tag protocol identifier: 0x8100 or 0x88a8.
    pub tpid: u16,
    /// Tag control information: priority (3 bits), drop eligible (1 bit), VLAN id (12 bits).
    pub tci: u16,
}

impl VlanTag {
    /// The VLAN ID, 0 to 4095.
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

/// The state of a packet's transport checksum (`TP_STATUS_CSUM*` of `linux/if_packet.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ChecksumStatus {
    /// Not checked.
    #[default]
    Unknown,
    /// Verified by the adapter or the kernel.
    Valid,
    /// Not filled in yet, because the sender leaves it to the adapter.
    Partial,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_sequence_is_cut_off_as_far_as_it_was_captured() {
        let lengths = |captured: usize, wire_len, fcs_len| {
            let mut meta = PacketMeta::new(1, Timestamp::default(), LinkType::ETHERNET);
            (meta.wire_len, meta.fcs_len) = (wire_len, fcs_len);
            let packet = Packet::with_meta(&[0; 64][..captured], meta).without_fcs();
            assert_eq!(packet.meta().fcs_len, 0);
            (packet.data().len(), packet.wire_len())
        };
        assert_eq!(lengths(64, 64, 0), (64, 64));
        assert_eq!(lengths(64, 64, 4), (60, 60));
        assert_eq!(lengths(62, 64, 4), (60, 60));
        assert_eq!(lengths(20, 64, 4), (20, 60));
        assert_eq!(lengths(2, 2, 4), (0, 0));
    }

    #[test]
    fn no_packet_is_longer_than_it_was_on_the_wire() {
        let mut meta = PacketMeta::new(1, Timestamp::default(), LinkType::ETHERNET);
        meta.wire_len = 3;
        assert_eq!(Packet::with_meta(b"four", meta).wire_len(), 4);
        assert!(!Packet::new(b"four", Timestamp::default(), LinkType::RAW).is_truncated());
    }
}
