//! The parsed headers of a packet.

use std::net::IpAddr;

use crate::Defect;

/// The innermost network and transport headers of a packet. Every offset is relative to the
/// captured frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Address of the sender.
    pub source: IpAddr,
    /// Address of the receiver.
    pub destination: IpAddr,
    /// The IANA number of the protocol above IP, after IPv6 extension headers.
    pub protocol: u8,
    /// Port of the sender, 0 for protocols without ports.
    pub source_port: u16,
    /// Port of the receiver, 0 for protocols without ports.
    pub destination_port: u16,
    /// The VLANs and tunnels around the innermost packet.
    pub scope: Scope,
    /// Offset of the innermost IP header.
    pub network_offset: u32,
    /// Offset of the transport header.
    pub transport_offset: u32,
    /// Offset of the transport payload. Link-layer padding is never part of the payload.
    pub payload_offset: u32,
    /// Number of payload bytes that were captured.
    pub payload_len: u32,
    /// Number of payload bytes on the wire, by the IP header's length. That length is 0 with
    /// segmentation offload; then by the frame's length.
    pub payload_wire_len: u32,
    /// Fields of the TCP header. All zero for other protocols.
    pub tcp: TcpHeader,
    /// The reason why the receiving host discards the packet, if the headers below TCP show one.
    pub defect: Option<Defect>,
}

/// The fields of a TCP header that reassembly needs (RFC 9293, section 3.1), in host byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpHeader {
    /// Sequence number of the first byte, or of the SYN if it is set.
    pub sequence: u32,
    /// Acknowledgement number. Valid with [`TcpFlags::ACK`].
    pub acknowledgement: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window as in the header, unscaled.
    pub window: u16,
    /// The window scale option of a SYN (RFC 7323), if there was one.
    pub window_scale: Option<u8>,
    /// The options of a SYN, or of a segment with payload, that reassembly looks at.
    pub options: TcpOptions,
    /// The value of the time stamp option (RFC 7323). Valid with [`TcpOptions::TIMESTAMP`].
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
    /// Options that contradict each other, in a position at which a signature may follow.
    pub const MALFORMED: Self = Self(4);
    /// The header has options that were not read. Never in the result of a parser.
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
    /// Deliver the data to the application at once.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement number is meaningful.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer is meaningful.
    pub const URG: Self = Self(0x20);
    /// ECN echo.
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced.
    pub const CWR: Self = Self(0x80);

    /// Returns `true` if all bits of `other` are set here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns `true` if any bit of `other` is set here.
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

/// The VLANs and tunnels of a packet, equal for both directions of a flow. [`Scope::NONE`] for
/// plain packets.
///
/// The scope covers, from the outside in: VLAN identifiers (without priorities), PPPoE sessions,
/// backbone service instances, and for each tunnel its kind, its two ends in no particular order,
/// and the number that separates networks in it (VXLAN, Geneve and LISP instance, GRE key without
/// NVGRE's flow byte, EoIP tunnel, ERSPAN session).
///
/// It leaves out everything that may differ by direction: MPLS labels, GTP endpoint identifiers,
/// L2TP and PPTP call numbers, service paths, and the authentication header.
///
/// Up to four VLANs are stored as they are. Everything else is a hash with a seed of its
/// [`Parser`](crate::Parser), so scopes of different parsers, or of different runs, cannot be
/// compared.
///
/// A scope prints as the name of its VLANs and tunnels, such as `vlan 5`, `vxlan 42` or
/// `erspan 7 vlan 5`. [`Scope::NONE`] prints as the empty text. Tunnels that differ only in their
/// ends have the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(pub u64);

impl Scope {
    /// No VLAN and no tunnel.
    pub const NONE: Self = Self(0);
}

/// Below this value, a packet's time to live may expire between the capture and the receiver. An
/// attacker can insert such segments for the capture alone (Ptacek and Newsham, "Insertion,
/// Evasion, and Denial of Service", 1998).
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
