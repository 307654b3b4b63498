//! Where the headers of a packet are.

use crate::ir::ValueId;
use crate::link_type::LinkType;

/// Bytes from the start of the packet: a constant and possibly a number computed from the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    pub(super) index: Option<ValueId>,
    pub(super) constant: u32,
}

impl Offset {
    pub(super) fn at(constant: u32) -> Self {
        Self { index: None, constant }
    }

    pub(super) fn plus(self, more: u32) -> Self {
        Self { constant: self.constant.wrapping_add(more), ..self }
    }
}

/// How the innermost link layer says what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// An EtherType or an 802.3 length.
    Ethernet,
    /// An EtherType, or 4 for 802.2.
    Cooked,
    /// The version of IP.
    RawIp,
    /// It is IPv4.
    Ipv4,
    /// It is IPv6.
    Ipv6,
    /// A protocol family of either byte order.
    Null,
    /// A protocol family.
    Loop,
    /// A PPP protocol number (RFC 1661).
    Ppp,
    /// The protocol of a Geneve header, which is an EtherType; an Ethernet frame may or may not be inside.
    Geneve {
        /// Whether one is inside: 1 or 0.
        ethernet: ValueId,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) framing: Framing,
    /// The innermost link-layer header.
    pub(super) header: Offset,
    /// The field of it that says what it carries.
    pub(super) type_field: Offset,
    /// What it carries.
    pub(super) payload: Offset,
    /// Bytes from there to the network layer: MPLS labels.
    pub(super) labels: u32,
    /// VLAN tags that have been named so far.
    pub(super) vlan_tags: u32,
    /// Whether the link layer is the outermost.
    pub(super) outermost: bool,
}

impl Layout {
    pub(super) fn new(link_type: LinkType) -> Self {
        let (framing, type_field, payload) = match link_type {
            LinkType::Ethernet => (Framing::Ethernet, 12, 14),
            LinkType::LinuxSll => (Framing::Cooked, 14, 16),
            LinkType::LinuxSll2 => (Framing::Cooked, 0, 20),
            LinkType::RawIp => (Framing::RawIp, 0, 0),
            LinkType::Ipv4 => (Framing::Ipv4, 0, 0),
            LinkType::Ipv6 => (Framing::Ipv6, 0, 0),
            LinkType::Null => (Framing::Null, 0, 4),
            LinkType::Loop => (Framing::Loop, 0, 4),
        };
        Self {
            framing,
            header: Offset::at(0),
            type_field: Offset::at(type_field),
            payload: Offset::at(payload),
            labels: 0,
            vlan_tags: 0,
            outermost: true,
        }
    }

    /// The network-layer header.
    pub(super) fn network(&self) -> Offset {
        self.payload.plus(self.labels)
    }
}
