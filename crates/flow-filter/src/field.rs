//! The fields of a flow that an expression can test: one table, from which the parser, the help and
//! the documentation are made.

use std::fmt;

use flow::protocol as ip;

/// A field of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// Addresses of both sides.
    Address,
    /// Address of the initiator.
    Source,
    /// Address of the responder.
    Destination,
    /// Version of the Internet Protocol.
    Version,
    /// Ports of both sides.
    Port,
    /// Port of the initiator.
    InitiatorPort,
    /// Port of the responder.
    ResponderPort,
    /// Protocol above IP.
    Protocol,
    /// VLAN identifiers.
    Vlan,
    /// Tunnels.
    Tunnel,
    /// Bytes of both sides.
    Bytes,
    /// Bytes of the initiator.
    InitiatorBytes,
    /// Bytes of the responder.
    ResponderBytes,
    /// Packets of both sides.
    Packets,
    /// Time between the first packet and the last.
    Duration,
    /// Bytes that the capture missed.
    GapBytes,
    /// Segments without new bytes.
    Retransmitted,
    /// Time of the handshake.
    Rtt,
    /// The reason for the end.
    End,
    /// Bytes of either side's stream.
    Payload,
    /// Bytes of the initiator's stream.
    InitiatorPayload,
    /// Bytes of the responder's stream.
    ResponderPayload,
    /// Application protocols.
    Application,
    /// A field of the messages of an application protocol.
    Message(protocol::Field),
}

/// The type of a field's values, which decides what it can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// An IP address, compared with an address or a network.
    Address,
    /// A number up to 65,535.
    Port,
    /// The IANA number of a protocol, or its name.
    Protocol,
    /// A number, with a unit if wanted: `k`, `M`, `G`, `T`, or `Ki`, `Mi`, `Gi`, `Ti`.
    Number,
    /// A time in seconds, or with a unit: `ns`, `us`, `ms`, `s`, `m`, `h`, `d`.
    Duration,
    /// A text, compared byte by byte.
    Text,
    /// A reason for the end of a flow: `fin`, `rst`, `idle`, `evicted`, `capture-ended` or
    /// `replaced`.
    End,
    /// `true` or `false`.
    Bool,
    /// Bytes in order, searched with `contains` and `matches`.
    Bytes,
}

/// The moment at which a field's value is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// The first packet.
    FirstPacket,
    /// While the flow goes on. A test may be decided early: a counter beyond a limit, a match.
    Flow,
    /// Messages of the application protocol, each when it is complete.
    Message,
    /// The end.
    End,
}

/// A row of the table of fields.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Description {
    /// The field.
    pub field: Field,
    /// Its name.
    pub name: &'static str,
    /// The type of its values.
    pub kind: Kind,
    /// The moment at which they are known.
    pub stage: Stage,
    /// Other names, most of them Wireshark's.
    pub aliases: &'static [&'static str],
    /// One sentence for people.
    pub text: &'static str,
}

/// A name that stands for a field of flows of one kind: `tcp.port` is the port of a flow that is
/// TCP. Without a field it stands for the kind itself: `tcp`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Alias {
    /// The name.
    pub name: &'static str,
    /// The field, if the name is more than a kind of flow.
    pub field: Option<Field>,
    /// The field that has the kind, and its number.
    pub only: (Field, u64),
}

const fn row(
    field: Field,
    name: &'static str,
    kind: Kind,
    stage: Stage,
    aliases: &'static [&'static str],
    text: &'static str,
) -> Description {
    Description { field, name, kind, stage, aliases, text }
}

use Field as F;
use Stage::{End, FirstPacket, Flow, Message};

/// All fields.
pub const FIELDS: &[Description] = &[
    row(
        F::Address,
        "ip.addr",
        Kind::Address,
        FirstPacket,
        &["ip.host", "host"],
        "Addresses of both sides, IPv4 and IPv6.",
    ),
    row(
        F::Source,
        "ip.src",
        Kind::Address,
        FirstPacket,
        &["initiator.addr"],
        "Address of the initiator.",
    ),
    row(
        F::Destination,
        "ip.dst",
        Kind::Address,
        FirstPacket,
        &["responder.addr"],
        "Address of the responder.",
    ),
    row(
        F::Version,
        "ip.version",
        Kind::Number,
        FirstPacket,
        &[],
        "Version of the Internet Protocol, 4 or 6.",
    ),
    row(F::Port, "port", Kind::Port, FirstPacket, &[], "Ports of both sides."),
    row(F::InitiatorPort, "initiator.port", Kind::Port, FirstPacket, &[], "Port of the initiator."),
    row(F::ResponderPort, "responder.port", Kind::Port, FirstPacket, &[], "Port of the responder."),
    row(
        F::Protocol,
        "proto",
        Kind::Protocol,
        FirstPacket,
        &["ip.proto", "ipv6.nxt"],
        "Protocol above IP.",
    ),
    row(
        F::Vlan,
        "vlan",
        Kind::Number,
        FirstPacket,
        &["vlan.id"],
        "VLAN identifiers around the flow.",
    ),
    row(
        F::Tunnel,
        "tunnel",
        Kind::Text,
        FirstPacket,
        &[],
        "Tunnels around the flow, such as \"vxlan 42\" or \"gre\".",
    ),
    row(
        F::Bytes,
        "bytes",
        Kind::Number,
        Flow,
        &[],
        "Bytes of both TCP streams, each counted once; of other flows the payload of all packets.",
    ),
    row(
        F::InitiatorBytes,
        "initiator.bytes",
        Kind::Number,
        Flow,
        &[],
        "The same, sent by the initiator.",
    ),
    row(
        F::ResponderBytes,
        "responder.bytes",
        Kind::Number,
        Flow,
        &[],
        "The same, sent by the responder.",
    ),
    row(F::Packets, "packets", Kind::Number, End, &[], "Packets of both sides."),
    row(
        F::Duration,
        "duration",
        Kind::Duration,
        Flow,
        &[],
        "Time between the first packet and the last.",
    ),
    row(
        F::GapBytes,
        "gap_bytes",
        Kind::Number,
        Flow,
        &[],
        "Bytes of both TCP streams that the capture missed.",
    ),
    row(
        F::Retransmitted,
        "retransmitted",
        Kind::Number,
        End,
        &[],
        "TCP segments without new bytes.",
    ),
    row(
        F::Rtt,
        "rtt",
        Kind::Duration,
        End,
        &["tcp.analysis.initial_rtt"],
        "Time from the SYN to the acknowledgement of the SYN-ACK, if all of that was captured.",
    ),
    row(F::End, "end", Kind::End, End, &[], "The reason for the end."),
    row(
        F::Payload,
        "payload",
        Kind::Bytes,
        Flow,
        &[],
        "Bytes of either side, across the borders of segments; of other flows each packet's payload.",
    ),
    row(
        F::InitiatorPayload,
        "initiator.payload",
        Kind::Bytes,
        Flow,
        &[],
        "The same, sent by the initiator.",
    ),
    row(
        F::ResponderPayload,
        "responder.payload",
        Kind::Bytes,
        Flow,
        &[],
        "The same, sent by the responder.",
    ),
    row(
        F::Application,
        "app",
        Kind::Text,
        Message,
        &[],
        "Application protocols, recognized by their bytes, such as \"http\". The name alone is a test as well.",
    ),
];

const fn alias(name: &'static str, field: Option<Field>, only: (Field, u64)) -> Alias {
    Alias { name, field, only }
}

const TCP: (Field, u64) = (F::Protocol, ip::TCP as u64);
const UDP: (Field, u64) = (F::Protocol, ip::UDP as u64);
const IPV4: (Field, u64) = (F::Version, 4);
const IPV6: (Field, u64) = (F::Version, 6);

/// Names of fields of one kind of flow.
pub const ALIASES: &[Alias] = &[
    alias("tcp", None, TCP),
    alias("udp", None, UDP),
    alias("icmp", None, (F::Protocol, ip::ICMP as u64)),
    alias("icmpv6", None, (F::Protocol, ip::ICMPV6 as u64)),
    alias("sctp", None, (F::Protocol, ip::SCTP as u64)),
    alias("ip", None, IPV4),
    alias("ipv6", None, IPV6),
    alias("ipv6.addr", Some(F::Address), IPV6),
    alias("ipv6.host", Some(F::Address), IPV6),
    alias("ipv6.src", Some(F::Source), IPV6),
    alias("ipv6.dst", Some(F::Destination), IPV6),
    alias("tcp.port", Some(F::Port), TCP),
    alias("tcp.srcport", Some(F::InitiatorPort), TCP),
    alias("tcp.dstport", Some(F::ResponderPort), TCP),
    alias("tcp.payload", Some(F::Payload), TCP),
    alias("udp.port", Some(F::Port), UDP),
    alias("udp.srcport", Some(F::InitiatorPort), UDP),
    alias("udp.dstport", Some(F::ResponderPort), UDP),
    alias("udp.payload", Some(F::Payload), UDP),
];

/// All fields: those of flows, then those of the messages of application protocols.
pub fn all() -> impl Iterator<Item = Description> {
    let of_messages = protocol::Field::all().map(|field| Field::Message(field).description());
    FIELDS.iter().copied().chain(of_messages)
}

impl Field {
    /// The row of the table.
    #[must_use]
    pub fn description(self) -> Description {
        if let Self::Message(field) = self {
            let info = field.info();
            return row(self, info.name, kind_of(info.kind), Message, info.aliases, info.about);
        }
        // A test checks that each field has a row.
        let found = FIELDS.iter().find(|row| row.field == self);
        *found.unwrap_or(&FIELDS[0])
    }

    /// The name that expressions are printed with.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.description().name
    }

    /// The type of the values.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.description().kind
    }

    /// The field of a name. `None` for unknown names and for those in [`ALIASES`].
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let has = |row: &&Description| row.name == name || row.aliases.contains(&name);
        let own = FIELDS.iter().find(has).map(|row| row.field);
        own.or_else(|| protocol::Field::find(name).map(Self::Message))
    }
}

const fn kind_of(kind: protocol::Kind) -> Kind {
    match kind {
        protocol::Kind::Number => Kind::Number,
        protocol::Kind::Address => Kind::Address,
        protocol::Kind::Bool => Kind::Bool,
        protocol::Kind::Duration => Kind::Duration,
        _ => Kind::Text,
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Address => "address",
            Self::Port => "port",
            Self::Protocol => "protocol",
            Self::Number => "number",
            Self::Duration => "duration",
            Self::Text => "text",
            Self::End => "end reason",
            Self::Bool => "true or false",
            Self::Bytes => "bytes",
        })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::FirstPacket => "first packet",
            Self::Flow => "flow",
            Self::Message => "message",
            Self::End => "end",
        })
    }
}

/// All names that an expression may begin a test with.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let names = |row: Description| std::iter::once(row.name).chain(row.aliases.iter().copied());
    all().flat_map(names).chain(ALIASES.iter().map(|alias| alias.name)).chain(applications())
}

/// The names of the application protocols that are recognized.
pub(crate) fn applications() -> impl Iterator<Item = &'static str> {
    let registry = protocol::Registry::default();
    let streams = registry.streams().iter().map(|known| known.protocol().name());
    let datagrams = registry.datagrams().iter().map(|known| known.protocol().name());
    let mut names: Vec<_> = streams.chain(datagrams).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_field_has_its_row() {
        for row in all() {
            assert_eq!(row.field.name(), row.name);
            assert_eq!(Field::by_name(row.name), Some(row.field));
        }
        // The order is that of the enumeration, so that one that is missing shows.
        assert_eq!(format!("{:?}", FIELDS[0].field), "Address");
        assert_eq!((FIELDS.len(), FIELDS[22].field), (23, Field::Application));
    }

    #[test]
    fn each_name_is_there_once() {
        let mut seen = HashSet::new();
        for name in names() {
            assert!(seen.insert(name), "{name} is there twice");
        }
    }
}
