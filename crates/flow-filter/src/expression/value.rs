//! The values that fields are compared with.

use std::time::Duration;

use flow::{EndReason, Network};

use crate::field::Kind;

/// A value that a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// A number, a port or the number of a protocol.
    Number(u64),
    /// A time.
    Duration(Duration),
    /// An address, or all addresses of a network.
    Network(Network),
    /// A text.
    Text(Vec<u8>),
    /// A reason for the end of a flow.
    End(EndReason),
    /// `true` or `false`.
    Bool(bool),
}

/// An element of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// A value.
    One(Value),
    /// All values from one to another, both included.
    Range(Value, Value),
}

impl Value {
    /// Returns `true` if a field of this type can have the value.
    pub(crate) fn fits(&self, kind: Kind) -> bool {
        match (self, kind) {
            (Self::Number(number), Kind::Port) => *number <= u64::from(u16::MAX),
            (Self::Number(number), Kind::Protocol) => *number <= u64::from(u8::MAX),
            (Self::Number(_), Kind::Number)
            | (Self::Network(_), Kind::Address)
            | (Self::Bool(_), Kind::Bool)
            | (Self::Text(_), Kind::Text) => true,
            // Time stamps are 64-bit nanoseconds.
            (Self::Duration(time), Kind::Duration) => time.as_nanos() <= u128::from(u64::MAX),
            // An interim record is no end.
            (Self::End(reason), Kind::End) => ENDS.iter().any(|(_, known)| known == reason),
            _ => false,
        }
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::Duration(time)
    }
}

impl From<Network> for Value {
    fn from(network: Network) -> Self {
        Self::Network(network)
    }
}

impl From<std::net::IpAddr> for Value {
    fn from(address: std::net::IpAddr) -> Self {
        let width = if address.is_ipv4() { 32 } else { 128 };
        // An address has no bits after a prefix of its width.
        Network::new(address, width).map_or(Self::Number(0), Self::Network)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }
}

impl From<bool> for Value {
    fn from(holds: bool) -> Self {
        Self::Bool(holds)
    }
}

impl From<EndReason> for Value {
    fn from(reason: EndReason) -> Self {
        Self::End(reason)
    }
}

/// The reasons for an end by their names, which are those of `ringtap flows`.
pub(crate) const ENDS: [(&str, EndReason); 6] = [
    ("fin", EndReason::Fin),
    ("rst", EndReason::Rst),
    ("idle", EndReason::IdleTimeout),
    ("evicted", EndReason::Evicted),
    ("capture-ended", EndReason::CaptureEnded),
    ("replaced", EndReason::Replaced),
];

/// Protocols by the names of IANA, in lower case.
pub(crate) const PROTOCOLS: [(&str, u8); 12] = [
    ("icmp", 1),
    ("igmp", 2),
    ("tcp", 6),
    ("udp", 17),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmpv6", 58),
    ("ospf", 89),
    ("pim", 103),
    ("sctp", 132),
    ("udplite", 136),
];

/// Units of numbers, the largest first.
pub(crate) const UNITS: [(&str, u64); 8] = [
    ("Ti", 1 << 40),
    ("T", 1_000_000_000_000),
    ("Gi", 1 << 30),
    ("G", 1_000_000_000),
    ("Mi", 1 << 20),
    ("M", 1_000_000),
    ("Ki", 1 << 10),
    ("k", 1000),
];

/// Units of times in nanoseconds, the largest first.
pub(crate) const TIMES: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1000),
    ("ns", 1),
];
