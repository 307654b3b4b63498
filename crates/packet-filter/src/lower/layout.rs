//! The offsets of a packet's headers.

mod wireless;

use crate::expression::{BinaryOperator, Width};
use crate::ir::{ValueId, Values};
use crate::link_type::LinkType;

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
    pub(super) fn new(link_type: LinkType, values: &mut Values) -> Self {
        // The length of an 802.2 header with SNAP.
        const SNAP: u32 = 8;
        let (framing, type_field, payload) = match link_type {
            LinkType::Ethernet => (Framing::Ethernet, 12, 14),
            LinkType::LinuxSll => (Framing::Cooked, 14, 16),
            LinkType::LinuxSll2 => (Framing::Cooked, 0, 20),
            LinkType::RawIp => (Framing::RawIp, 0, 0),
            LinkType::Ipv4 => (Framing::Ipv4, 0, 0),
            LinkType::Ipv6 => (Framing::Ipv6, 0, 0),
            LinkType::Null => (Framing::Null, 0, 4),
            LinkType::Loop => (Framing::Loop, 0, 4),
            LinkType::Enc => (Framing::Null, 0, 12),
            LinkType::Slip => (Framing::RawIp, 0, 16),
            LinkType::Ipnet => (Framing::Ipnet, 1, 24),
            LinkType::IpOverFibreChannel => (Framing::Llc, 16, 16 + SNAP),
            LinkType::NetAnalyzer | LinkType::DsaBroadcomPrepended => (Framing::Ethernet, 16, 18),
            LinkType::NetAnalyzerTransparent => (Framing::Ethernet, 24, 26),
            LinkType::EthernetMpacket => (Framing::Ethernet, 20, 22),
            LinkType::DsaBroadcom | LinkType::Dsa => (Framing::Ethernet, 16, 18),
            LinkType::EtherTypeDsa => (Framing::Ethernet, 20, 22),
            LinkType::Ppp | LinkType::PppHdlc | LinkType::PppPppd => (Framing::Ppp, 2, 4),
            LinkType::PppEther => (Framing::Ppp, 6, 8),
            LinkType::PppWithDirection => (Framing::Ppp, 3, 5),
            LinkType::CiscoHdlc => (Framing::EtherType, 2, 4),
            LinkType::IpOver1394 => (Framing::EtherType, 16, 18),
            LinkType::IpOverInfiniband => (Framing::EtherType, 40, 44),
            LinkType::Fddi => (Framing::Llc, 13, 13 + SNAP),
            LinkType::TokenRing => (Framing::Llc, 14, 14 + SNAP),
            LinkType::AtmRfc1483 | LinkType::AtmClip => (Framing::Llc, 0, SNAP),
            LinkType::SunAtm => (Framing::SunAtm, 4, 4 + SNAP),
            LinkType::Arcnet => (Framing::Arcnet, 2, 6),
            LinkType::ArcnetLinux => (Framing::Arcnet, 4, 8),
            LinkType::FrameRelay => (Framing::FrameRelay, 2, 4),
            LinkType::Pflog => return Self::pflog(values),
            LinkType::Ieee80211 | LinkType::Prism | LinkType::Radiotap | LinkType::Avs => {
                return Self::wireless(link_type, values);
            }
        };
        let header = match link_type {
            LinkType::NetAnalyzer | LinkType::DsaBroadcomPrepended => 4,
            LinkType::NetAnalyzerTransparent => 12,
            LinkType::EthernetMpacket => 8,
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
