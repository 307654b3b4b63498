//! What the flow table is fed with.

use crate::{LinkType, Timestamp};

/// A packet, borrowed from wherever it was captured.
///
/// Plain data, so that capture files, tun devices, DPDK and tests can make it without ceremony.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The captured bytes, from the link-layer header on.
    pub data: &'a [u8],
    /// Bytes on the wire; more than `data.len()` where the capture cut the packet short.
    pub wire_len: u32,
    /// When it was captured.
    pub timestamp: Timestamp,
    /// What the first byte of `data` belongs to.
    pub link_type: LinkType,
    /// Tag control information of a VLAN tag that the adapter took off the frame.
    pub vlan_tci: Option<u16>,
    /// Position in its source, counted from 1.
    pub number: u64,
    /// The transport checksum was left to the adapter, so it cannot be verified.
    pub checksum_partial: bool,
}

impl<'a> Packet<'a> {
    /// A whole packet, number 0, without a stripped tag.
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
