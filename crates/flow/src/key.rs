//! What makes two packets belong to one flow.

use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};

use crate::{Headers, Packet, Scope};

/// Takes the key of a flow out of a packet.
///
/// Both directions of a flow must give the same key, with opposite orientations.
pub trait FlowExtractor {
    /// The key.
    type Key: Clone + Eq + Hash + fmt::Debug + Send + 'static;

    /// The packet's key and which way it goes, `None` for packets that belong to no flow.
    fn extract(&self, packet: &Packet<'_>, headers: &Headers) -> Option<(Self::Key, Orientation)>;
}

/// Which way a packet goes, relative to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Orientation {
    /// From the key's `a` to its `b`.
    Forward,
    /// From the key's `b` to its `a`.
    Reverse,
}

/// Which end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowSide {
    /// The end that opened the connection, or sent first.
    Initiator,
    /// The other end.
    Responder,
}

impl FlowSide {
    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// Keys flows by addresses, ports, protocol and scope: both directions are one flow.
#[derive(Clone, Copy, Debug)]
pub struct FiveTuple {
    scoped: bool,
}

impl FiveTuple {
    /// Both directions of a conversation are one flow; the same five-tuple in two VLANs or tunnels is two.
    #[must_use]
    pub const fn bidirectional() -> Self {
        Self { scoped: true }
    }

    /// Leaves VLANs and tunnels out of the key: for captures in which the two directions are encapsulated differently.
    #[must_use]
    pub const fn ignoring_scope(self) -> Self {
        Self { scoped: false }
    }
}

impl FlowExtractor for FiveTuple {
    type Key = FiveTupleKey;

    #[inline]
    fn extract(
        &self,
        _packet: &Packet<'_>,
        headers: &Headers,
    ) -> Option<(FiveTupleKey, Orientation)> {
        let source = Endpoint { address: headers.source, port: headers.source_port };
        let destination = Endpoint { address: headers.destination, port: headers.destination_port };
        let scope = if self.scoped { headers.scope } else { Scope::NONE };
        let (a, b, orientation) = if source <= destination {
            (source, destination, Orientation::Forward)
        } else {
            (destination, source, Orientation::Reverse)
        };
        Some((FiveTupleKey { a, b, protocol: headers.protocol, scope }, orientation))
    }
}

/// The key of [`FiveTuple`]: `a` is the lesser endpoint, whoever opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FiveTupleKey {
    /// The lesser endpoint.
    pub a: Endpoint,
    /// The greater endpoint.
    pub b: Endpoint,
    /// The protocol above IP, as IANA numbers it.
    pub protocol: u8,
    /// The VLANs and tunnels around the flow.
    pub scope: Scope,
}

/// An address and a port, printed as `192.0.2.1:80` or `[2001:db8::1]:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port, 0 for protocols without ports.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}
