//! From the ring layer's packets to the flow layer's.

use flow::{LinkType, Timestamp};
use ring_core::ChecksumStatus;

/// The same packet, borrowed from the same memory.
#[inline]
pub(crate) fn packet<'a>(packet: &ring_core::Packet<'a>) -> flow::Packet<'a> {
    let meta = packet.meta();
    flow::Packet {
        data: packet.data(),
        wire_len: meta.wire_len,
        timestamp: Timestamp::from_nanos(meta.timestamp.as_nanos()),
        link_type: LinkType(meta.link_type.0),
        vlan_tci: meta.vlan.map(|tag| tag.tci),
        number: meta.number,
        checksum_partial: meta.checksum == ChecksumStatus::Partial,
    }
}
