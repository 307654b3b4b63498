//! The reasons why a packet belongs to no flow, and their names.

use std::fmt;

use crate::LinkType;

/// The reason why a packet belongs to no flow.
///
/// It prints in plain words: `ARP`, `EtherType 0x88cc (LLDP)`, `link type 189 (USB)`. The text
/// never contains captured bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Unparsed {
    /// A link-layer header type that the parser does not support.
    #[error("link type {}{}", .0.0, Name(link_type(*.0)))]
    UnsupportedLinkType(LinkType),
    /// An EtherType that does not lead to an IP packet.
    #[error("{}", EtherType(*.0))]
    EtherType(u16),
    /// An LLC frame (IEEE 802.2) of another protocol; the number is the destination service access
    /// point.
    #[error("LLC frame to 0x{:02x}{}", .0, Name(service_access_point(*.0)))]
    Llc(u8),
    /// A SNAP frame of another protocol.
    #[error(
        "SNAP protocol {:02x}:{:02x}:{:02x} 0x{protocol:04x}{}",
        organisation[0],
        organisation[1],
        organisation[2],
        Name(snap(*organisation, *protocol))
    )]
    Snap {
        /// The organisation that numbered the protocol.
        organisation: [u8; 3],
        /// The protocol.
        protocol: u16,
    },
    /// A network layer protocol (ISO/IEC TR 9577) other than IP.
    #[error("network layer protocol 0x{:02x}{}", .0, Name(network_layer(*.0)))]
    NetworkLayer(u8),
    /// A PPP frame of another protocol, mostly the link's own control protocols.
    #[error("PPP protocol 0x{:04x}{}", .0, Name(ppp(*.0)))]
    Ppp(u16),
    /// An 802.11 frame without readable data.
    #[error("802.11 {0} frame")]
    Wireless(WirelessFrame),
    /// A header that is recognised but whose payload cannot be parsed.
    #[error("{0}")]
    Encapsulation(Encapsulation),
    /// A frame without an IP packet for another reason, such as the address family of a loopback
    /// header.
    #[error("not an IP packet")]
    NotIp,
    /// The capture truncated the packet within a required header.
    #[error("the capture ends within the headers")]
    Truncated,
    /// A fragment of a datagram that the capture truncated, so that it can never be joined.
    #[error("the capture ends within a fragment")]
    TruncatedFragment,
    /// A header contradicts itself or does not fit into the layer around it.
    #[error("a header contradicts itself or the layer around it")]
    Malformed,
    /// The packet has more tags and tunnels than
    /// [`ParseOptions::max_layers`](crate::ParseOptions::max_layers).
    #[error("more tags and tunnels than the parser's limit")]
    TooDeep,
}

/// The type of an 802.11 frame (IEEE 802.11, section 9.2.4.1.3) that carries no readable data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum WirelessFrame {
    /// Beacons, probes, association.
    Management,
    /// Acknowledgements, requests to send, polls.
    Control,
    /// Data frames without data.
    Null,
    /// Encrypted data.
    Encrypted,
    /// Extension frames.
    Extension,
}

impl fmt::Display for WirelessFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Management => "management",
            Self::Control => "control",
            Self::Null => "null data",
            Self::Encrypted => "encrypted",
            Self::Extension => "extension",
        })
    }
}

/// An encapsulation that is recognised but not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Encapsulation {
    /// An encrypted MACsec frame (IEEE 802.1AE).
    EncryptedMacsec,
    /// An MPLS label stack with neither IP nor Ethernet below it.
    MplsPayload,
    /// A fragment of a packet that PPP multilink (RFC 1990) sent in several frames.
    MultilinkFragment,
    /// A fragment of a packet that ARCNET (RFC 1201) sent in several frames.
    ArcnetFragment,
    /// A compressed TCP header (RFC 1144). Only the receiver knows the omitted fields.
    CompressedTcp,
    /// A fragment of a frame that B.A.T.M.A.N. advanced sent in several packets.
    MeshFragment,
    /// A frame of an unsupported version of a protocol.
    UnknownVersion,
}

impl fmt::Display for Encapsulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EncryptedMacsec => "encrypted MACsec frame",
            Self::MplsPayload => "MPLS payload that is neither IP nor Ethernet",
            Self::MultilinkFragment => "fragment of a PPP multilink packet",
            Self::ArcnetFragment => "fragment of an ARCNET packet",
            Self::CompressedTcp => "packet with a compressed TCP header",
            Self::MeshFragment => "fragment of a frame in a batman-adv mesh",
            Self::UnknownVersion => "unknown version of an encapsulation",
        })
    }
}

/// Prints a name in parentheses after a number, if there is one.
pub(crate) struct Name(pub(crate) &'static str);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " ({})", self.0) }
    }
}

struct EtherType(u16);

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ether_type(self.0) {
            "ARP" => f.write_str("ARP"),
            name => write!(f, "EtherType 0x{:04x}{}", self.0, Name(name)),
        }
    }
}

/// The names of common EtherTypes in the IEEE's registry. Empty for the rest.
const fn ether_type(number: u16) -> &'static str {
    match number {
        0x0806 => "ARP",
        0x0842 => "Wake-on-LAN",
        0x22ea => "SRP",
        0x22f0 => "AVTP",
        0x22f4 => "L2-IS-IS",
        0x4305 => "batman-adv",
        0x6001 | 0x6002 => "DEC MOP",
        0x6003 => "DECnet",
        0x6004 => "DEC LAT",
        0x8035 => "RARP",
        0x809b => "AppleTalk",
        0x80f3 => "AppleTalk ARP",
        0x8137 => "IPX",
        0x8808 => "Ethernet flow control",
        0x8809 => "LACP and other slow protocols",
        0x8819 => "CobraNet",
        0x8863 => "PPPoE discovery",
        0x887b | 0x88e1 => "HomePlug",
        0x888e => "802.1X",
        0x8892 => "PROFINET",
        0x8899 => "Realtek",
        0x88a2 => "ATA over Ethernet",
        0x88a4 => "EtherCAT",
        0x88ab => "Ethernet POWERLINK",
        0x88b8 => "GOOSE",
        0x88ba => "sampled values",
        0x88c7 => "802.11 pre-authentication",
        0x88cc => "LLDP",
        0x88cd => "SERCOS III",
        0x88dc => "WSMP",
        0x88e3 => "MRP",
        0x88e5 => "MACsec",
        0x88f5 => "MVRP",
        0x88f6 => "MMRP",
        0x88f7 => "PTP",
        0x88fb => "PRP supervision",
        0x8902 => "CFM",
        0x8906 => "FCoE",
        0x890d => "802.11 TDLS",
        0x8914 => "FIP",
        0x8915 => "RoCE",
        0x8947 => "GeoNetworking",
        0x9000 => "loopback test",
        _ => "",
    }
}

const fn service_access_point(number: u8) -> &'static str {
    match number {
        0x00 => "null",
        0x04 | 0x05 => "SNA",
        0x42 => "spanning tree",
        0x7e => "X.25",
        0x80 => "XNS",
        0x98 => "ARP",
        0xbc => "VINES",
        0xe0 => "IPX",
        0xf0 => "NetBIOS",
        0xfe => "IS-IS and other OSI protocols",
        0xff => "raw IPX",
        _ => "",
    }
}

const fn snap(organisation: [u8; 3], protocol: u16) -> &'static str {
    match (organisation, protocol) {
        ([0x00, 0x00, 0x0c], 0x0104) => "port aggregation",
        ([0x00, 0x00, 0x0c], 0x010b) => "spanning tree per VLAN",
        ([0x00, 0x00, 0x0c], 0x0111) => "UDLD",
        ([0x00, 0x00, 0x0c], 0x2000) => "CDP",
        ([0x00, 0x00, 0x0c], 0x2003) => "VTP",
        ([0x00, 0x00, 0x0c], 0x2004) => "DTP",
        ([0x00, 0xe0, 0x2b], 0x00bb) => "EDP",
        ([0x00, 0xe0, 0x2b], 0x00bf) => "EAPS",
        ([0x08, 0x00, 0x07], 0x809b) => "AppleTalk",
        ([0x00, 0x80, 0xc2], 0x000e) => "bridge protocol data unit",
        _ => "",
    }
}

const fn network_layer(number: u8) -> &'static str {
    match number {
        0x08 => "Q.933",
        0x09 => "frame relay LMI",
        0x81 => "CLNP",
        0x82 => "ES-IS",
        0x83 => "IS-IS",
        0xb0 | 0xb1 => "compressed",
        _ => "",
    }
}

const fn ppp(protocol: u16) -> &'static str {
    match protocol {
        0x0023 => "OSI",
        0x0029 => "AppleTalk",
        0x002b => "IPX",
        0x002d => "compressed TCP",
        0x0031 => "bridged frame",
        0x0049 => "serial data",
        0x0053 => "encrypted",
        0x00fd => "compressed",
        0x8021 => "IPCP",
        0x8057 => "IPV6CP",
        0x8053 => "ECP",
        0x80fd => "CCP",
        0x8281 => "MPLSCP",
        0xc021 => "LCP",
        0xc023 => "PAP",
        0xc025 => "link quality report",
        0xc223 => "CHAP",
        0xc227 => "EAP",
        _ => "",
    }
}

/// The names of some link types in the tcpdump group's registry.
const fn link_type(link_type: LinkType) -> &'static str {
    match link_type.0 {
        147..=162 => "private use",
        177 => "Linux LAPD",
        187 | 201 => "Bluetooth HCI",
        189 | 220 => "USB on Linux",
        186 => "USB on FreeBSD",
        195 | 215 | 230 | 283 => "IEEE 802.15.4",
        227 => "CAN",
        249 => "USBPcap",
        251 | 256 | 272 => "Bluetooth Low Energy",
        253 => "netlink",
        254 => "Bluetooth monitor",
        255 => "Bluetooth BR/EDR",
        266 => "USB on Darwin",
        288 => "USB 2.0",
        294 => "USB 2.0, low speed",
        _ => "",
    }
}

/// IANA's names of common IP protocols. Empty for the rest.
pub(crate) const fn ip_protocol(number: u8) -> &'static str {
    match number {
        1 => "ICMP",
        2 => "IGMP",
        4 => "IPv4 in IP",
        6 => "TCP",
        8 => "EGP",
        9 => "IGP",
        17 => "UDP",
        33 => "DCCP",
        41 => "IPv6 in IP",
        46 => "RSVP",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        58 => "ICMPv6",
        59 => "no next header",
        88 => "EIGRP",
        89 => "OSPF",
        94 => "IPIP",
        97 => "EtherIP",
        103 => "PIM",
        108 => "IPComp",
        112 => "VRRP",
        115 => "L2TP",
        124 => "IS-IS",
        132 => "SCTP",
        136 => "UDP-Lite",
        137 => "MPLS in IP",
        143 => "Ethernet",
        _ => "",
    }
}
