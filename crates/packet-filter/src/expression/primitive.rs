//! Tests by keyword.

use std::net::IpAddr;

use packet::MacAddress;

use super::{LlcType, Protocol, WirelessAddress};
use crate::decnet::DecnetAddress;
use crate::network::Network;

/// A test by keyword.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Primitive {
    /// The packet is of a protocol: `tcp`.
    Protocol(Protocol),
    /// It comes from or goes to an address: `src host 192.0.2.1`.
    Host {
        /// The header that contains the address. Default: the IP header, and for IPv4 also ARP and
        /// RARP.
        protocol: Option<HostProtocol>,
        /// The end of the packet's path.
        direction: Direction,
        /// The address.
        address: IpAddr,
    },
    /// It comes from or goes to a network: `dst net 192.0.2.0/24`.
    Net {
        /// The header that contains the address. Default: the IP header, and for IPv4 also ARP and
        /// RARP.
        protocol: Option<HostProtocol>,
        /// The end of the packet's path.
        direction: Direction,
        /// The network.
        network: Network,
    },
    /// It comes from or goes to a link-layer address: `ether host 02:00:00:00:00:01`.
    EtherHost {
        /// The end of the packet's path.
        direction: Direction,
        /// The address.
        address: MacAddress,
    },
    /// It comes from or goes to a DECnet node: `decnet src host 10.123`.
    DecnetHost {
        /// The end of the packet's path.
        direction: Direction,
        /// The address.
        address: DecnetAddress,
    },
    /// It comes from or goes to a port: `tcp port 443`.
    Port {
        /// The protocol. Default: TCP, UDP and SCTP.
        transport: Option<Transport>,
        /// The end of the packet's path.
        direction: Direction,
        /// The port.
        port: u16,
    },
    /// It comes from or goes to a port of a range: `udp portrange 6000-6008`.
    PortRange {
        /// The protocol. Default: TCP, UDP and SCTP.
        transport: Option<Transport>,
        /// The end of the packet's path.
        direction: Direction,
        /// The lowest port.
        first: u16,
        /// The highest port.
        last: u16,
    },
    /// It carries a protocol, by number: `ip proto 47`.
    Proto {
        /// The header that names the protocol.
        layer: ProtocolLayer,
        /// The number.
        number: u32,
    },
    /// A protocol is in its chain of headers: `ip6 protochain 6`.
    ProtoChain {
        /// The IP version. Default: both.
        layer: Layer,
        /// The number.
        number: u8,
    },
    /// It has an 802.2 header, of any type or one type: `llc ui`.
    Llc(Option<LlcType>),
    /// It is a link-layer broadcast: `ether broadcast`.
    Broadcast,
    /// It goes to an IPv4 broadcast address of the interface's network: `ip broadcast`.
    IpBroadcast,
    /// It is a multicast: `ether multicast`, `ip multicast`, `ip6 multicast`.
    Multicast(MulticastLayer),
    /// Its length is at most this number of bytes: `less 128`.
    Less(u32),
    /// Its length is at least this number of bytes: `greater 128`.
    Greater(u32),
    /// It has a VLAN tag, with any or one identifier. Later tests apply to the headers after the
    /// tag.
    Vlan(Option<u16>),
    /// It has an MPLS label, any or one. Later tests apply to the headers after the label.
    Mpls(Option<u32>),
    /// It belongs to the discovery stage of PPP over Ethernet.
    PppoeDiscovery,
    /// It belongs to the session stage of PPP over Ethernet, with any or one session. Later tests
    /// apply to the inner packet.
    PppoeSession(Option<u16>),
    /// It is a Geneve packet (UDP port 6081, RFC 8926), with any or one network identifier. Later
    /// tests apply to the inner packet.
    Geneve(Option<u32>),
    /// The capturing host received it.
    Inbound,
    /// The capturing host sent it.
    Outbound,
    /// It was captured on the interface with this index: `ifindex 2`.
    InterfaceIndex(u32),
    /// An address field of its 802.11 header has this content: `wlan ra 02:00:00:00:00:01`.
    WirelessHost {
        /// The field.
        field: WirelessAddress,
        /// The address.
        address: MacAddress,
    },
    /// It is an 802.11 frame of a type and subtype: `type mgt subtype beacon`.
    WirelessType {
        /// The type, at its place in the first byte of the frame.
        kind: u8,
        /// The subtype, at its place in the first byte of the frame.
        subtype: Option<u8>,
    },
    /// It is an 802.11 frame with these bits for the direction: `dir tods`.
    WirelessDirection(u8),
    /// It was logged by a packet filter on an interface whose name begins so: `ifname em0`.
    LogInterface(Box<str>),
    /// It was logged for a rule of a ruleset whose name begins so: `ruleset spam`.
    LogRuleset(Box<str>),
    /// It was logged for the rule with this number: `rulenum 5`.
    LogRule(u32),
    /// It was logged for the rule of an anchored ruleset with this number: `subrulenum 5`.
    LogSubrule(u32),
    /// It was logged for this reason: `reason match`.
    LogReason(u32),
    /// It was logged with this action: `action block`.
    LogAction(u8),
}

/// The end of a packet's path that an address or port belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// `src`
    Source,
    /// `dst`
    Destination,
    /// `src or dst`, the default.
    #[default]
    Either,
    /// `src and dst`
    Both,
}

/// The header that contains a network-layer address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostProtocol {
    /// `ip`
    Ip,
    /// `ip6`
    Ip6,
    /// `arp`
    Arp,
    /// `rarp`
    Rarp,
}

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `tcp`
    Tcp,
    /// `udp`
    Udp,
    /// `sctp`
    Sctp,
}

impl Transport {
    pub(crate) fn keyword(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

/// The header that contains the protocol number of `proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtocolLayer {
    /// `proto`: IPv4 and IPv6.
    Any,
    /// `ip proto`
    Ip,
    /// `ip6 proto`
    Ip6,
    /// `ether proto`: an EtherType, or an LLC service access point if at most 1,500.
    Ether,
    /// `iso proto`
    Iso,
    /// `isis proto`: the PDU type.
    Isis,
}

/// An IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Both.
    Any,
    /// `ip`
    Ip,
    /// `ip6`
    Ip6,
}

/// The layer of a multicast address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MulticastLayer {
    /// `ether multicast`
    Ether,
    /// `ip multicast`
    Ip,
    /// `ip6 multicast`
    Ip6,
}
