//! Tests by keyword.

use std::net::IpAddr;

use super::{LlcType, Protocol};
use crate::decnet::DecnetAddress;
use crate::network::{MacAddress, Network};

/// A test by keyword.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Primitive {
    /// The packet is of a protocol: `tcp`.
    Protocol(Protocol),
    /// It comes from or goes to an address: `src host 192.0.2.1`.
    Host {
        /// Where the address is looked for; by default in the IP header, and for IPv4 in ARP and RARP too.
        protocol: Option<HostProtocol>,
        /// Which end.
        direction: Direction,
        /// The address.
        address: IpAddr,
    },
    /// It comes from or goes to a network: `dst net 192.0.2.0/24`.
    Net {
        /// Where the address is looked for; by default in the IP header, and for IPv4 in ARP and RARP too.
        protocol: Option<HostProtocol>,
        /// Which end.
        direction: Direction,
        /// The network.
        network: Network,
    },
    /// It comes from or goes to a link-layer address: `ether host 02:00:00:00:00:01`.
    EtherHost {
        /// Which end.
        direction: Direction,
        /// The address.
        address: MacAddress,
    },
    /// It comes from or goes to a DECnet node: `decnet src host 10.123`.
    DecnetHost {
        /// Which end.
        direction: Direction,
        /// The address.
        address: DecnetAddress,
    },
    /// It comes from or goes to a port: `tcp port 443`.
    Port {
        /// The protocol; by default TCP, UDP and SCTP.
        transport: Option<Transport>,
        /// Which end.
        direction: Direction,
        /// The port.
        port: u16,
    },
    /// It comes from or goes to a port of a range: `udp portrange 6000-6008`.
    PortRange {
        /// The protocol; by default TCP, UDP and SCTP.
        transport: Option<Transport>,
        /// Which end.
        direction: Direction,
        /// The lowest port.
        first: u16,
        /// The highest port.
        last: u16,
    },
    /// It carries a protocol, by number: `ip proto 47`.
    Proto {
        /// Which header names the protocol.
        layer: ProtocolLayer,
        /// The number.
        number: u32,
    },
    /// A protocol is in its chain of headers: `ip6 protochain 6`.
    ProtoChain {
        /// The IP version; by default both.
        layer: Layer,
        /// The number.
        number: u8,
    },
    /// It has an 802.2 header, of any or one type: `llc ui`.
    Llc(Option<LlcType>),
    /// It is a link-layer broadcast: `ether broadcast`.
    Broadcast,
    /// It goes to an IPv4 broadcast address of the interface's network: `ip broadcast`.
    IpBroadcast,
    /// It is a multicast: `ether multicast`, `ip multicast`, `ip6 multicast`.
    Multicast(MulticastLayer),
    /// It has at most so many bytes: `less 128`.
    Less(u32),
    /// It has at least so many bytes: `greater 128`.
    Greater(u32),
    /// It carries a VLAN tag, of any or one identifier; what follows is looked for behind the tag.
    Vlan(Option<u16>),
    /// It carries an MPLS label, any or one; what follows is looked for behind the label.
    Mpls(Option<u32>),
    /// It is of the discovery stage of PPP over Ethernet.
    PppoeDiscovery,
    /// It is of the session stage of PPP over Ethernet, of any or one session; what follows is looked for inside.
    PppoeSession(Option<u16>),
    /// It is a Geneve packet (UDP port 6081, RFC 8926), of any or one network; what follows is looked for inside.
    Geneve(Option<u32>),
    /// The capturing host received it.
    Inbound,
    /// The capturing host sent it.
    Outbound,
    /// The interface with this index saw it: `ifindex 2`.
    InterfaceIndex(u32),
}

/// Which end of a packet an address or port belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// `src`
    Source,
    /// `dst`
    Destination,
    /// `src or dst`, which may be left out.
    #[default]
    Either,
    /// `src and dst`
    Both,
}

/// Where a network-layer address is looked for.
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

/// Which header names the protocol of `proto`.
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

/// The versions of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Both.
    Any,
    /// `ip`
    Ip,
    /// `ip6`
    Ip6,
}

/// What kind of address is a multicast address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MulticastLayer {
    /// `ether multicast`
    Ether,
    /// `ip multicast`
    Ip,
    /// `ip6 multicast`
    Ip6,
}
