//! What the parser found in a packet.

use std::net::IpAddr;

use crate::Defect;

/// The innermost network and transport headers of a packet, with every offset relative to the captured frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Address of the sender.
    pub source: IpAddr,
    /// Address of the receiver.
    pub destination: IpAddr,
    /// The protocol above IP, as IANA numbers it (after IPv6 extension headers).
    pub protocol: u8,
    /// Port of the sender, 0 for protocols without ports.
    pub source_port: u16,
    /// Port of the receiver, 0 for protocols without ports.
    pub destination_port: u16,
    /// The VLANs and tunnels around the innermost packet.
    pub scope: Scope,
    /// Where the innermost IP header starts.
    pub network_offset: u32,
    /// Where the transport header starts.
    pub transport_offset: u32,
    /// Where the transport payload starts; link-layer padding is never part of it.
    pub payload_offset: u32,
    /// Payload bytes that were captured.
    pub payload_len: u32,
    /// Payload bytes that were on the wire, by the IP header's length (by the frame's where the length is 0 because
    /// of segmentation offload).
    pub payload_wire_len: u32,
    /// The TCP header's fields; all zero for other protocols.
    pub tcp: TcpHeader,
    /// The reason why the receiving host discards the packet, if the headers below TCP show one.
    pub defect: Option<Defect>,
}

/// The fields of a TCP header that reassembly needs (RFC 9293, section 3.1), in host byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpHeader {
    /// Sequence number of the first byte (of the SYN, if set).
    pub sequence: u32,
    /// Acknowledgement number, meaningful with [`TcpFlags::ACK`].
    pub acknowledgement: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window as in the header, unscaled.
    pub window: u16,
    /// The window scale option of a SYN (RFC 7323), if there was one.
    pub window_scale: Option<u8>,
    /// The options of a SYN, or of a segment with payload, that reassembly looks at.
    pub options: TcpOptions,
    /// The value of the time stamp option (RFC 7323) with [`TcpOptions::TIMESTAMP`].
    pub timestamp: u32,
}

/// Options of a TCP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpOptions(pub u8);

impl TcpOptions {
    /// A time stamp (RFC 7323).
    pub const TIMESTAMP: Self = Self(1);
    /// A signature: MD5 (RFC 2385) or the TCP Authentication Option (RFC 5925).
    pub const SIGNATURE: Self = Self(2);
    /// Options that contradict themselves, in a place where a signature may follow.
    pub const MALFORMED: Self = Self(4);
    /// There are options, but none was read: never in what a parser returns.
    pub(crate) const UNREAD: Self = Self(128);

    /// Returns `true` if all bits of `other` are set here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for TcpOptions {
    type Output = Self;

    fn bitor(self, rhs: Self) -> Self {
        Self(self.0 | rhs.0)
    }
}

/// TCP control bits (RFC 9293, section 3.1; RFC 3168 for ECE and CWR).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement number is meaningful.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer is meaningful.
    pub const URG: Self = Self(0x20);
    /// ECN echo.
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced.
    pub const CWR: Self = Self(0x80);

    /// Whether all bits of `other` are set here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set here.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl std::ops::BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, rhs: Self) -> Self {
        Self(self.0 | rhs.0)
    }
}

/// Which VLANs and tunnels a packet was in, the same for both directions of a flow; [`Scope::NONE`] for plain packets.
///
/// What counts, from the outside in: VLAN identifiers (not priorities); PPPoE sessions and backbone service instances;
/// each tunnel's kind, its two ends in no order, and the number that tells networks in it apart (VXLAN, Geneve and LISP
/// instance, GRE key without NVGRE's flow byte, EoIP tunnel, ERSPAN session). What does not, since it may differ by
/// direction: MPLS labels, GTP endpoint identifiers, L2TP and PPTP call numbers, service paths, and the authentication
/// header.
///
/// Up to four VLANs are kept as they are; everything else holds a hash with a seed of its [`Parser`](crate::Parser): scopes of
/// different parsers, or of different runs, do not compare.
///
/// Printed, a scope is the name of its VLANs and tunnels, as in `vlan 5`, `vxlan 42` or `erspan 7 vlan 5`; [`Scope::NONE`] is
/// the empty text. Tunnels that differ in their ends alone have the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(pub u64);

impl Scope {
    /// No VLAN and no tunnel.
    pub const NONE: Self = Self(0);
}

/// A time to live below this one may end between the capture and the receiver.
pub(crate) const LOW_TIME_TO_LIVE: u8 = 5;

/// Protocol numbers that this crate treats specially (IANA, "Assigned Internet Protocol Numbers").
pub mod protocol {
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
}
