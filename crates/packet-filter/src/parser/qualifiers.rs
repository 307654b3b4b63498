//! Qualifiers: the keywords before a name that determine its meaning.

use std::net::{IpAddr, Ipv4Addr};

use packet::MacAddress;

use crate::decnet::DecnetAddress;
use crate::error::ParseErrorKind;
use crate::expression::{
    Direction, Expression, HostProtocol, Layer, Primitive, Protocol, ProtocolLayer, Transport,
    WirelessAddress,
};
use crate::names;
use crate::network::Network;

/// The protocol, direction and type of the names that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Qualifiers {
    pub(super) scope: Scope,
    pub(super) end: End,
    pub(super) kind: Kind,
}

/// The place of an address or port: an end of the packet's path, or a field of an 802.11 frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Path(Direction),
    Field(WirelessAddress),
}

impl Default for End {
    fn default() -> Self {
        Self::Path(Direction::default())
    }
}

/// The protocol part of the qualifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Any,
    Link,
    Protocol(Protocol),
}

/// The type of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
    ProtoChain,
}

impl Kind {
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "host" => Self::Host,
            "net" => Self::Net,
            "port" => Self::Port,
            "portrange" => Self::PortRange,
            "proto" => Self::Proto,
            "protochain" => Self::ProtoChain,
            _ => return None,
        })
    }

    fn what(self) -> &'static str {
        match self {
            Self::Host => "a host",
            Self::Net => "a network",
            Self::Port => "a port",
            Self::PortRange => "a range of ports",
            Self::Proto => "a protocol",
            Self::ProtoChain => "a protocol chain",
        }
    }
}

impl Scope {
    pub(super) fn from_word(word: &str) -> Option<Self> {
        match word {
            "es-is" => Some(Self::Protocol(Protocol::Esis)),
            "is-is" => Some(Self::Protocol(Protocol::Isis)),
            "ether" | "link" | "fddi" | "tr" | "wlan" | "ppp" | "slip" => Some(Self::Link),
            word => Protocol::ALL
                .iter()
                .find(|one| one.keyword() == word)
                .map(|one| Self::Protocol(*one)),
        }
    }

    fn keyword(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Link => "ether",
            Self::Protocol(protocol) => protocol.keyword(),
        }
    }
}

type Made = Result<Expression, ParseErrorKind>;

impl Qualifiers {
    /// The condition for a number in the position of a name.
    pub(super) fn number(self, number: u32) -> Made {
        match self.kind {
            Kind::Host => self.address(Ipv4Addr::from_bits(number).into()),
            Kind::Net => self.network(short_network(number)),
            Kind::Port => self.port(self.transport()?, port_number(number)?),
            Kind::PortRange => {
                let port = port_number(number)?;
                self.port_range(self.transport()?, port, port)
            }
            Kind::Proto => self.proto(number),
            Kind::ProtoChain => self.protochain(number),
        }
    }

    pub(super) fn address(self, address: IpAddr) -> Made {
        let protocol = self.host_protocol(address.is_ipv4())?;
        match self.kind {
            Kind::Host => {
                Ok(Primitive::Host { protocol, direction: self.direction()?, address }.into())
            }
            Kind::Net => self.network(address.into()),
            _ => Err(self.no_address()),
        }
    }

    pub(super) fn network(self, network: Network) -> Made {
        let protocol = self.host_protocol(network.is_ipv4())?;
        match self.kind {
            Kind::Host | Kind::Net => {
                Ok(Primitive::Net { protocol, direction: self.direction()?, network }.into())
            }
            _ => Err(self.no_address()),
        }
    }

    pub(super) fn mac(self, address: MacAddress) -> Made {
        match (self.scope, self.kind) {
            (Scope::Link, Kind::Host) => Ok(match self.end {
                End::Path(direction) => Primitive::EtherHost { direction, address },
                End::Field(field) => Primitive::WirelessHost { field, address },
            }
            .into()),
            (Scope::Link, _) => Err(self.no_address()),
            (scope, _) => Err(ParseErrorKind::Qualifier {
                qualifier: if scope == Scope::Any { self.kind_keyword() } else { scope.keyword() },
                what: "a link-layer address: write `ether host`",
            }),
        }
    }

    /// The condition for a DECnet address, given as its area and node.
    pub(super) fn decnet(self, area: u16, node: u16) -> Made {
        if self.kind != Kind::Host {
            return Err(self.no_address());
        }
        let address = DecnetAddress::new(area, node).ok_or_else(|| {
            let (number, what, maximum) = if area > DecnetAddress::MAX_AREA {
                (area, "a DECnet area", DecnetAddress::MAX_AREA)
            } else {
                (node, "a DECnet node", DecnetAddress::MAX_NODE)
            };
            ParseErrorKind::TooLarge { number: number.to_string(), what, maximum: maximum.into() }
        })?;
        Ok(Primitive::DecnetHost { direction: self.direction()?, address }.into())
    }

    /// Returns `true` if addresses under these qualifiers are those of DECnet.
    pub(super) fn is_decnet(self) -> bool {
        self.scope == Scope::Protocol(Protocol::Decnet)
    }

    /// The condition for the name of a port or protocol.
    pub(super) fn name(self, name: &str) -> Made {
        match self.kind {
            Kind::Host | Kind::Net => Err(ParseErrorKind::HostName { name: name.to_owned() }),
            Kind::Port => {
                let (port, transports) = self.service(name)?;
                self.port(self.named_transport(transports)?, port)
            }
            Kind::PortRange => self.named_range(name),
            Kind::Proto => self.proto(self.protocol_number(name)?),
            Kind::ProtoChain => self.protochain(self.protocol_number(name)?),
        }
    }

    /// The end of the packet's path. An error for a field of an 802.11 frame, which holds no
    /// address but that of a link layer.
    fn direction(self) -> Result<Direction, ParseErrorKind> {
        match self.end {
            End::Path(direction) => Ok(direction),
            End::Field(field) => Err(ParseErrorKind::Qualifier {
                qualifier: field.keyword(),
                what: "anything but a link-layer address",
            }),
        }
    }

    fn host_protocol(self, ipv4: bool) -> Result<Option<HostProtocol>, ParseErrorKind> {
        let what = if ipv4 { "an IPv4 address" } else { "an IPv6 address" };
        match (self.scope, ipv4) {
            (Scope::Any, _) => Ok(None),
            (Scope::Protocol(Protocol::Ip), true) => Ok(Some(HostProtocol::Ip)),
            (Scope::Protocol(Protocol::Arp), true) => Ok(Some(HostProtocol::Arp)),
            (Scope::Protocol(Protocol::Rarp), true) => Ok(Some(HostProtocol::Rarp)),
            (Scope::Protocol(Protocol::Ip6), false) => Ok(Some(HostProtocol::Ip6)),
            (scope, _) => Err(ParseErrorKind::Qualifier { qualifier: scope.keyword(), what }),
        }
    }

    fn transport(self) -> Result<Option<Transport>, ParseErrorKind> {
        match self.scope {
            Scope::Any => Ok(None),
            Scope::Protocol(Protocol::Tcp) => Ok(Some(Transport::Tcp)),
            Scope::Protocol(Protocol::Udp) => Ok(Some(Transport::Udp)),
            Scope::Protocol(Protocol::Sctp) => Ok(Some(Transport::Sctp)),
            scope => Err(ParseErrorKind::Qualifier {
                qualifier: scope.keyword(),
                what: self.kind.what(),
            }),
        }
    }

    fn port(self, transport: Option<Transport>, port: u16) -> Made {
        Ok(Primitive::Port { transport, direction: self.direction()?, port }.into())
    }

    fn port_range(self, transport: Option<Transport>, one: u16, other: u16) -> Made {
        let (first, last) = (one.min(other), one.max(other));
        let direction = self.direction()?;
        Ok(Primitive::PortRange { transport, direction, first, last }.into())
    }

    /// The condition for two ports joined by a dash. A dash may also be part of a name, so every
    /// split is tried.
    fn named_range(self, text: &str) -> Made {
        let unknown = || ParseErrorKind::UnknownPort { name: text.to_owned() };
        for (dash, _) in text.match_indices('-') {
            let (Some(from), Some(to)) = (text.get(..dash), text.get(dash + 1..)) else { continue };
            let (Ok(from), Ok(to)) = (self.service(from), self.service(to)) else { continue };
            let transports = if from.1 == to.1 { from.1 } else { names::TCP | names::UDP };
            return self.port_range(self.named_transport(transports)?, from.0, to.0);
        }
        let (port, transports) = self.service(text).map_err(|_| unknown())?;
        self.port_range(self.named_transport(transports)?, port, port)
    }

    /// The port of a name or number, and the transports it is registered for.
    fn service(self, name: &str) -> Result<(u16, u8), ParseErrorKind> {
        if name.starts_with(|first: char| first.is_ascii_digit())
            && let Some(number) = crate::lexer::number(name)?
        {
            return Ok((port_number(number)?, names::TCP | names::UDP));
        }
        let wanted = self.transport()?.map(names::transport_bit);
        let mut rows = names::services(name);
        let first =
            rows.next().ok_or_else(|| ParseErrorKind::UnknownPort { name: name.to_owned() })?;
        let row = rows
            .find(|row| wanted.is_some_and(|bit| first.1 & bit == 0 && row.1 & bit != 0))
            .unwrap_or(first);
        if let (Some(bit), Some(transport)) = (wanted, self.transport()?)
            && row.1 & bit == 0
            && row.1 & (names::TCP | names::UDP) != names::TCP | names::UDP
        {
            return Err(ParseErrorKind::PortOfOtherTransport {
                name: name.to_owned(),
                transport: transport.keyword(),
            });
        }
        Ok(row)
    }

    /// The transport of a named port: that of the qualifiers, otherwise the only one it is
    /// registered for.
    fn named_transport(self, transports: u8) -> Result<Option<Transport>, ParseErrorKind> {
        let wanted = self.transport()?;
        Ok(wanted.or(match transports & (names::TCP | names::UDP) {
            names::TCP => Some(Transport::Tcp),
            names::UDP => Some(Transport::Udp),
            0 => Some(Transport::Sctp),
            _ => None,
        }))
    }

    fn proto(self, number: u32) -> Made {
        self.direction()?;
        let layer = match self.scope {
            Scope::Any => ProtocolLayer::Any,
            Scope::Link => ProtocolLayer::Ether,
            Scope::Protocol(Protocol::Ip) => ProtocolLayer::Ip,
            Scope::Protocol(Protocol::Ip6) => ProtocolLayer::Ip6,
            Scope::Protocol(Protocol::Iso) => ProtocolLayer::Iso,
            Scope::Protocol(Protocol::Isis) => ProtocolLayer::Isis,
            scope => {
                return Err(ParseErrorKind::Qualifier {
                    qualifier: scope.keyword(),
                    what: self.kind.what(),
                });
            }
        };
        Ok(Primitive::Proto { layer, number }.into())
    }

    fn protochain(self, number: u32) -> Made {
        self.direction()?;
        let layer = match self.scope {
            Scope::Any => Layer::Any,
            Scope::Protocol(Protocol::Ip) => Layer::Ip,
            Scope::Protocol(Protocol::Ip6) => Layer::Ip6,
            scope => {
                return Err(ParseErrorKind::Qualifier {
                    qualifier: scope.keyword(),
                    what: self.kind.what(),
                });
            }
        };
        let number = u8::try_from(number).map_err(|_| ParseErrorKind::TooLarge {
            number: number.to_string(),
            what: "a protocol",
            maximum: 255,
        })?;
        Ok(Primitive::ProtoChain { layer, number }.into())
    }

    fn protocol_number(self, name: &str) -> Result<u32, ParseErrorKind> {
        let number = match self.scope {
            Scope::Link => names::ether_protocol(name),
            Scope::Protocol(Protocol::Iso) => names::iso_protocol(name).map(u32::from),
            Scope::Protocol(Protocol::Isis) => None,
            _ => names::ip_protocol(name).map(u32::from),
        };
        number.ok_or_else(|| ParseErrorKind::UnknownProtocol { name: name.to_owned() })
    }

    fn kind_keyword(self) -> &'static str {
        match self.kind {
            Kind::Host => "host",
            Kind::Net => "net",
            Kind::Port => "port",
            Kind::PortRange => "portrange",
            Kind::Proto => "proto",
            Kind::ProtoChain => "protochain",
        }
    }

    /// The error for an address in the position of a number or name.
    fn no_address(self) -> ParseErrorKind {
        ParseErrorKind::Qualifier { qualifier: self.kind_keyword(), what: "an address" }
    }
}

/// The reason why a keyword of pcap-filter(7) is not supported. `None` for other words.
pub(super) fn unsupported(word: &str) -> Option<&'static str> {
    Some(match word {
        "gateway" => {
            "it compares a link-layer address with a name's; write `ether host … and not host …`"
        }
        "byte" => "write `ether[offset] & mask != 0`",
        "radio" => "it is a header whose bytes can be compared: write `radio[offset] = value`",
        "lane" | "metac" | "bcc" | "oam" | "oamf4" | "oamf4ec" | "oamf4sc" | "oamf4s"
        | "oamf4e" | "sc" | "ilmic" | "vpi" | "vci" | "connectmsg" | "metaconnect" => {
            "it is for raw ATM (link type SUNATM), whose cells cannot be filtered"
        }
        "fisu" | "lssu" | "lsu" | "msu" | "sio" | "opc" | "dpc" | "sls" | "hfisu" | "hlssu"
        | "hmsu" | "hsio" | "hopc" | "hdpc" | "hsls" => "SS7 link types cannot be filtered",
        "vxlan" => "libpcap 1.10 has no such keyword; write `udp port 4789`",
        _ => return None,
    })
}

/// Returns `true` if a word is a keyword, so that it is a name only after a backslash.
pub(super) fn is_keyword(word: &str) -> bool {
    const OTHERS: &[&str] = &[
        "and",
        "or",
        "not",
        "src",
        "dst",
        "mask",
        "broadcast",
        "multicast",
        "less",
        "greater",
        "inbound",
        "outbound",
        "ifindex",
        "vlan",
        "mpls",
        "pppoed",
        "pppoes",
        "geneve",
        "llc",
        "len",
        "length",
        "type",
        "subtype",
        "dir",
        "direction",
        "on",
        "ifname",
        "rset",
        "ruleset",
        "rnr",
        "rulenum",
        "srnr",
        "subrulenum",
        "reason",
        "action",
    ];
    OTHERS.contains(&word)
        || Scope::from_word(word).is_some()
        || Kind::from_word(word).is_some()
        || WirelessAddress::from_word(word).is_some()
        || unsupported(word).is_some()
        || names::constant(word).is_some()
}

/// The network for a number without dots. Its most significant non-zero byte becomes the first byte
/// of the network.
fn short_network(number: u32) -> Network {
    let zeros = number.leading_zeros() / 8 * 8;
    let (address, mask) =
        if number == 0 { (0, u32::MAX) } else { (number << zeros, u32::MAX << zeros) };
    // The shifted number has no bits outside the shifted mask.
    Network::with_mask(Ipv4Addr::from_bits(address), Ipv4Addr::from_bits(mask))
        .unwrap_or_else(|| Network::from(IpAddr::from(Ipv4Addr::from_bits(address))))
}

fn port_number(number: u32) -> Result<u16, ParseErrorKind> {
    u16::try_from(number).map_err(|_| ParseErrorKind::TooLarge {
        number: number.to_string(),
        what: "a port",
        maximum: 65_535,
    })
}
