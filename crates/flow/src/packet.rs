//! The input of the flow table.

use crate::{LinkType, Timestamp};

/// A packet, borrowed from the buffer that it was captured to.
///
/// All fields are public and plain, so that capture files, tun devices, DPDK and tests can build it
/// directly.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The captured bytes, from the link-layer header on.
    pub data: &'a [u8],
    /// Bytes on the wire. Greater than `data.len()` if the capture truncated the packet.
    pub wire_len: u32,
    /// The time of capture.
    pub timestamp: Timestamp,
    /// The type of the header at the start of `data`.
    pub link_type: LinkType,
    /// Tag control information of a VLAN tag that the adapter removed from the frame.
    pub vlan_tci: Option<u16>,
    /// Position in its source, counted from 1.
    pub number: u64,
    /// `true` if the transport checksum was left to the adapter, so that it cannot be verified.
    pub checksum_partial: bool,
}

impl<'a> Packet<'a> {
    /// Creates a packet that was captured whole, with number 0 and no removed tag.
    #[must_use]
    pub fn new(data: &'a [u8], timestamp: Timestamp, link_type: LinkType) -> Self {
        Self {
            data,
            wire_len: u32::try_from(data.len()).unwrap_or(u32::MAX),
            timestamp,
            link_type,
            vlan_tci: None,
            number: 0,
            checksum_partial: false,
        }
    }
}
