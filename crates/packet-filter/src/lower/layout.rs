//! The offsets of a packet's headers.

mod wireless;

use crate::expression::{BinaryOperator, Width};
use crate::ir::{ValueId, Values};
use crate::link::Link;

/// An offset from the start of the packet: a constant, plus a number computed from the packet if
/// needed.
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

/// The field with which the innermost link layer identifies its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// An EtherType or an 802.3 length.
    Ethernet,
    /// An EtherType and nothing else.
    EtherType,
    /// An 802.2 header, possibly with SNAP.
    Llc,
    /// An 802.2 header in an 802.11 data frame.
    Wireless {
        /// The first byte of the frame.
        control: ValueId,
    },
    /// An 802.2 header, if the first byte of the packet indicates one.
    SunAtm,
    /// ARCNET's own protocol number.
    Arcnet,
    /// A control byte and a network layer protocol identifier (RFC 2427).
    FrameRelay,
    /// A protocol family in one byte.
    Pflog,
    /// A protocol family of Solaris in one byte.
    Ipnet,
    /// An EtherType, or 4 for 802.2.
    Cooked,
    /// The version of IP.
    RawIp,
    /// Always IPv4.
    Ipv4,
    /// Always IPv6.
    Ipv6,
    /// A protocol family in either byte order.
    Null,
    /// A protocol family.
    Loop,
    /// A PPP protocol number (RFC 1661).
    Ppp,
    /// The protocol of a Geneve header, which is an EtherType. There may be an inner Ethernet
    /// frame.
    Geneve {
        /// 1 if there is an inner Ethernet frame, 0 if not.
        ethernet: ValueId,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) framing: Framing,
    /// The innermost link-layer header.
    pub(super) header: Offset,
    /// The header's field that identifies the payload, which may be an 802.2 header.
    pub(super) type_field: Offset,
    /// The payload.
    pub(super) payload: Offset,
    /// The number of bytes of MPLS labels between payload and network layer.
    pub(super) labels: u32,
    /// The number of VLAN tags in the expression so far.
    pub(super) vlan_tags: u32,
    /// `true` if this is the outermost link layer.
    pub(super) outermost: bool,
}

impl Layout {
    pub(super) fn new(link_type: Link, values: &mut Values) -> Self {
        // The length of an 802.2 header with SNAP.
        const SNAP: u32 = 8;
        let (framing, type_field, payload) = match link_type {
            Link::Ethernet => (Framing::Ethernet, 12, 14),
            Link::LinuxSll => (Framing::Cooked, 14, 16),
            Link::LinuxSll2 => (Framing::Cooked, 0, 20),
            Link::RawIp => (Framing::RawIp, 0, 0),
            Link::Ipv4 => (Framing::Ipv4, 0, 0),
            Link::Ipv6 => (Framing::Ipv6, 0, 0),
            Link::Null => (Framing::Null, 0, 4),
            Link::Loop => (Framing::Loop, 0, 4),
            Link::Enc => (Framing::Null, 0, 12),
            Link::Slip => (Framing::RawIp, 0, 16),
            Link::Ipnet => (Framing::Ipnet, 1, 24),
            Link::IpOverFibreChannel => (Framing::Llc, 16, 16 + SNAP),
            Link::NetAnalyzer | Link::DsaBroadcomPrepended => (Framing::Ethernet, 16, 18),
            Link::NetAnalyzerTransparent => (Framing::Ethernet, 24, 26),
            Link::EthernetMpacket => (Framing::Ethernet, 20, 22),
            Link::DsaBroadcom | Link::Dsa => (Framing::Ethernet, 16, 18),
            Link::EtherTypeDsa => (Framing::Ethernet, 20, 22),
            Link::Ppp | Link::PppHdlc | Link::PppPppd => (Framing::Ppp, 2, 4),
            Link::PppEther => (Framing::Ppp, 6, 8),
            Link::PppWithDirection => (Framing::Ppp, 3, 5),
            Link::CiscoHdlc => (Framing::EtherType, 2, 4),
            Link::IpOver1394 => (Framing::EtherType, 16, 18),
            Link::IpOverInfiniband => (Framing::EtherType, 40, 44),
            Link::Fddi => (Framing::Llc, 13, 13 + SNAP),
            Link::TokenRing => (Framing::Llc, 14, 14 + SNAP),
            Link::AtmRfc1483 | Link::AtmClip => (Framing::Llc, 0, SNAP),
            Link::SunAtm => (Framing::SunAtm, 4, 4 + SNAP),
            Link::Arcnet => (Framing::Arcnet, 2, 6),
            Link::ArcnetLinux => (Framing::Arcnet, 4, 8),
            Link::FrameRelay => (Framing::FrameRelay, 2, 4),
            Link::Pflog => return Self::pflog(values),
            Link::Ieee80211 | Link::Prism | Link::Radiotap | Link::Avs => {
                return Self::wireless(link_type, values);
            }
        };
        let header = match link_type {
            Link::NetAnalyzer | Link::DsaBroadcomPrepended => 4,
            Link::NetAnalyzerTransparent => 12,
            Link::EthernetMpacket => 8,
            _ => 0,
        };
        let [header, type_field, payload] = [header, type_field, payload].map(Offset::at);
        Self::behind(framing, header, type_field, payload)
    }

    /// The length of the header is in its first byte, padded to four.
    fn pflog(values: &mut Values) -> Self {
        let len = values.load(None, 0, Width::One);
        let [three, mask] = [3, 0xfc].map(|number| values.constant(number));
        let len = values.binary(BinaryOperator::Add, len, three);
        let len = values.binary(BinaryOperator::And, len, mask);
        let payload = Offset { index: Some(len), constant: 0 };
        Self::behind(Framing::Pflog, Offset::at(0), Offset::at(1), payload)
    }

    /// The layout of the outermost link layer.
    fn behind(framing: Framing, header: Offset, type_field: Offset, payload: Offset) -> Self {
        Self { framing, header, type_field, payload, labels: 0, vlan_tags: 0, outermost: true }
    }

    /// The 802.2 header: the type field for framings that have it there, otherwise the payload.
    pub(super) fn llc(&self) -> Offset {
        match self.framing {
            Framing::Llc | Framing::Wireless { .. } | Framing::SunAtm => self.type_field,
            _ => self.payload,
        }
    }

    /// The network-layer header.
    pub(super) fn network(&self) -> Offset {
        self.payload.plus(self.labels)
    }
}
