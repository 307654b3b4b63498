//! Prints expressions. The text parses to the same tree.

use std::fmt;

use super::{
    Arithmetic, Comparison, Direction, Expression, HostProtocol, Layer, MulticastLayer, Primitive,
    ProtocolLayer, Relation, Transport, Width, log, wireless,
};
use crate::parser;

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primitive(primitive) => primitive.fmt(f),
            Self::Relation(relation) => relation.fmt(f),
            Self::Not(inner) => {
                f.write_str("not ")?;
                operand(inner, f)
            }
            Self::And(operands) => chain(operands, " and ", f),
            Self::Or(operands) => chain(operands, " or ", f),
        }
    }
}

fn chain(operands: &[Expression], word: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, expression) in operands.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        operand(expression, f)?;
    }
    Ok(())
}

/// Prints an operand. `and` and `or` have equal precedence, so parentheses show the grouping. A
/// negated relation gets them because `not 1 + 1 = 2` is hard to read.
fn operand(expression: &Expression, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match expression {
        Expression::Primitive(_) | Expression::Not(_) => write!(f, "{expression}"),
        Expression::Relation(_) | Expression::And(_) | Expression::Or(_) => {
            write!(f, "({expression})")
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comparison = match self.comparison {
            Comparison::Equal => "=",
            Comparison::NotEqual => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        };
        write!(f, "{} {comparison} {}", self.left, self.right)
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Length => f.write_str("len"),
            Self::Load { header, offset, width } => {
                write!(f, "{}[{offset}", header.keyword())?;
                f.write_str(match width {
                    Width::One => "]",
                    Width::Two => ":2]",
                    Width::Four => ":4]",
                })
            }
            Self::Negate(inner) => write!(f, "(- {inner})"),
            Self::Binary { operator, left, right } => {
                write!(f, "({left} {} {right})", operator.symbol())
            }
        }
    }
}

impl fmt::Display for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let optional = |f: &mut fmt::Formatter<'_>, keyword: &str, number: Option<u32>| match number
        {
            Some(number) => write!(f, "{keyword} {number}"),
            None => f.write_str(keyword),
        };
        match self {
            Self::Protocol(protocol) => f.write_str(protocol.keyword()),
            Self::Host { protocol, direction, address } => {
                write!(f, "{}{direction}host {address}", HostPrefix(*protocol))
            }
            Self::Net { protocol, direction, network } => {
                write!(f, "{}{direction}net {network}", HostPrefix(*protocol))
            }
            Self::EtherHost { direction, address } => write!(f, "ether {direction}host {address}"),
            Self::DecnetHost { direction, address } => {
                write!(f, "decnet {direction}host {address}")
            }
            Self::Port { transport, direction, port } => {
                write!(f, "{}{direction}port {port}", TransportPrefix(*transport))
            }
            Self::PortRange { transport, direction, first, last } => {
                write!(f, "{}{direction}portrange {first}-{last}", TransportPrefix(*transport))
            }
            Self::Proto { layer, number } => write!(f, "{layer}proto {number}"),
            Self::ProtoChain { layer, number } => {
                let layer = match layer {
                    Layer::Any => "",
                    Layer::Ip => "ip ",
                    Layer::Ip6 => "ip6 ",
                };
                write!(f, "{layer}protochain {number}")
            }
            Self::Llc(None) => f.write_str("llc"),
            Self::Llc(Some(kind)) => write!(f, "llc {}", kind.keyword()),
            Self::Broadcast => f.write_str("ether broadcast"),
            Self::IpBroadcast => f.write_str("ip broadcast"),
            Self::Multicast(layer) => f.write_str(match layer {
                MulticastLayer::Ether => "ether multicast",
                MulticastLayer::Ip => "ip multicast",
                MulticastLayer::Ip6 => "ip6 multicast",
            }),
            Self::Less(length) => write!(f, "less {length}"),
            Self::Greater(length) => write!(f, "greater {length}"),
            Self::Vlan(identifier) => optional(f, "vlan", identifier.map(u32::from)),
            Self::Mpls(label) => optional(f, "mpls", *label),
            Self::PppoeDiscovery => f.write_str("pppoed"),
            Self::PppoeSession(session) => optional(f, "pppoes", session.map(u32::from)),
            Self::Geneve(network) => optional(f, "geneve", *network),
            Self::Inbound => f.write_str("inbound"),
            Self::Outbound => f.write_str("outbound"),
            Self::InterfaceIndex(index) => write!(f, "ifindex {index}"),
            Self::WirelessHost { field, address } => write!(f, "{} {address}", field.primitive()),
            Self::WirelessType { kind, subtype } => {
                write!(f, "type {}", Named(wireless::TYPES, *kind))?;
                subtype.map_or(Ok(()), |subtype| {
                    write!(f, " subtype {}", Named(wireless::subtypes(*kind), subtype))
                })
            }
            Self::WirelessDirection(bits) => {
                write!(f, "dir {}", Named(wireless::DIRECTIONS, *bits))
            }
            Self::LogInterface(name) => write!(f, "ifname {}", Name(name)),
            Self::LogRuleset(name) => write!(f, "ruleset {}", Name(name)),
            Self::LogRule(number) => write!(f, "rulenum {number}"),
            Self::LogSubrule(number) => write!(f, "subrulenum {number}"),
            Self::LogReason(number) => match u8::try_from(*number) {
                Ok(number) => write!(f, "reason {}", Named(log::REASONS, number)),
                Err(_) => write!(f, "reason {number}"),
            },
            Self::LogAction(action) => write!(f, "action {}", Named(log::ACTIONS, *action)),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "src ",
            Self::Destination => "dst ",
            Self::Either => "",
            Self::Both => "src and dst ",
        })
    }
}

impl fmt::Display for ProtocolLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "",
            Self::Ip => "ip ",
            Self::Ip6 => "ip6 ",
            Self::Ether => "ether ",
            Self::Iso => "iso ",
            Self::Isis => "isis ",
        })
    }
}

/// A value by its first name, or as a number.
struct Named(&'static [(&'static str, u8)], u8);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.iter().find(|known| known.1 == self.1) {
            Some((name, _)) => f.write_str(name),
            None => self.1.fmt(f),
        }
    }
}

/// A name, with a backslash if it would be something else without.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escape = if parser::is_plain_name(self.0) { "" } else { "\\" };
        write!(f, "{escape}{}", self.0)
    }
}

struct HostPrefix(Option<HostProtocol>);

impl fmt::Display for HostPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "",
            Some(HostProtocol::Ip) => "ip ",
            Some(HostProtocol::Ip6) => "ip6 ",
            Some(HostProtocol::Arp) => "arp ",
            Some(HostProtocol::Rarp) => "rarp ",
        })
    }
}

struct TransportPrefix(Option<Transport>);

impl fmt::Display for TransportPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |transport| write!(f, "{} ", transport.keyword()))
    }
}
