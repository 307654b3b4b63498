//! What makes two packets belong to one flow.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use crate::{Headers, Packet, Scope};

/// Takes the key of a flow out of a packet.
///
/// [`FiveTuple`], [`IpPair`](crate::IpPair) and [`MacPair`](crate::MacPair) are such keys, and any type can be one. Both
/// directions of a flow must give the same key, with opposite orientations.
///
/// # Examples
///
/// All clients of a service on a host are one flow:
///
/// ```
/// use std::net::IpAddr;
///
/// use flow::{FlowExtractor, FlowTable, Headers, Orientation, Packet};
///
/// struct Service;
///
/// impl FlowExtractor for Service {
///     /// Address and port of the service, and the protocol.
///     type Key = (IpAddr, u16, u8);
///
///     fn extract(&self, _: &Packet<'_>, headers: &Headers) -> Option<(Self::Key, Orientation)> {
///         let (address, port, orientation) = if headers.source_port < 1024 {
///             (headers.source, headers.source_port, Orientation::Reverse)
///         } else if headers.destination_port < 1024 {
///             (headers.destination, headers.destination_port, Orientation::Forward)
///         } else {
///             return None; // no flow of ours: counted as unparsed
///         };
///         Some(((address, port, headers.protocol), orientation))
///     }
///
///     // Connections of many clients share a key, so their streams must not be put together.
///     fn is_connection(&self) -> bool {
///         false
///     }
/// }
///
/// let table = FlowTable::builder(Service).build();
/// # assert!(table.is_empty());
/// ```
pub trait FlowExtractor {
    /// The key.
    type Key: Clone + Eq + Hash + fmt::Debug + Send + 'static;

    /// The packet's key and which way it goes, `None` for packets that belong to no flow.
    fn extract(&self, packet: &Packet<'_>, headers: &Headers) -> Option<(Self::Key, Orientation)>;

    /// The same for a datagram that was joined from fragments. `datagram` begins with the IP header, and `headers` are
    /// about it; `fragment` is the packet that came last. To be implemented where the key needs more than the datagram,
    /// such as link-layer addresses.
    fn extract_joined(
        &self,
        fragment: &Packet<'_>,
        datagram: &Packet<'_>,
        headers: &Headers,
    ) -> Option<(Self::Key, Orientation)> {
        let _ = fragment;
        self.extract(datagram, headers)
    }

    /// Whether a key has no more than one TCP connection at a time, which is the default. If not, nothing is put
    /// together: the payload of each segment comes as a [`Datagram`](crate::Datagram), and flows end as those of other
    /// protocols do.
    fn is_connection(&self) -> bool {
        true
    }
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

    #[inline(always)]
    fn extract(
        &self,
        _packet: &Packet<'_>,
        headers: &Headers,
    ) -> Option<(FiveTupleKey, Orientation)> {
        let (source_port, destination_port) = (headers.source_port, headers.destination_port);
        let scope = if self.scoped { headers.scope } else { Scope::NONE };
        let protocol = headers.protocol;
        // The same twice over: with the addresses' kind known, the key is a handful of stores.
        if let (IpAddr::V4(source), IpAddr::V4(destination)) = (headers.source, headers.destination)
        {
            let forward =
                (source.to_bits(), source_port) <= (destination.to_bits(), destination_port);
            let (low, low_port, high, high_port) = if forward {
                (source, source_port, destination, destination_port)
            } else {
                (destination, destination_port, source, source_port)
            };
            let a = Endpoint { address: IpAddr::V4(low), port: low_port };
            let b = Endpoint { address: IpAddr::V4(high), port: high_port };
            let orientation = if forward { Orientation::Forward } else { Orientation::Reverse };
            return Some((FiveTupleKey { a, b, protocol, scope }, orientation));
        }
        let source = Endpoint { address: headers.source, port: source_port };
        let destination = Endpoint { address: headers.destination, port: destination_port };
        let (a, b, orientation) = if source <= destination {
            (source, destination, Orientation::Forward)
        } else {
            (destination, source, Orientation::Reverse)
        };
        Some((FiveTupleKey { a, b, protocol, scope }, orientation))
    }
}

/// The key of [`FiveTuple`]: `a` is the lesser endpoint, whoever opened the connection.
#[derive(Clone, Copy, Debug)]
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

impl FiveTupleKey {
    /// Ports and protocol in one number.
    #[inline(always)]
    fn rest(&self) -> u64 {
        u64::from(self.a.port) << 32 | u64::from(self.b.port) << 16 | u64::from(self.protocol)
    }
}

impl PartialEq for FiveTupleKey {
    /// What `derive` would say, with fewer branches.
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        let ports = self.a.port == other.a.port && self.b.port == other.b.port;
        let rest = self.protocol == other.protocol && self.scope == other.scope;
        let addresses = match (self.a.address, self.b.address, other.a.address, other.b.address) {
            (IpAddr::V4(a), IpAddr::V4(b), IpAddr::V4(other_a), IpAddr::V4(other_b)) => {
                a.to_bits() == other_a.to_bits() && b.to_bits() == other_b.to_bits()
            }
            (a, b, other_a, other_b) => a == other_a && b == other_b,
        };
        ports && addresses && rest
    }
}

impl Eq for FiveTupleKey {}

impl Hash for FiveTupleKey {
    /// Two words for plain IPv4, where `derive` would feed the hasher a dozen pieces.
    #[inline(always)]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match (self.a.address, self.b.address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                state.write_u64(u64::from(a.to_bits()) << 32 | u64::from(b.to_bits()));
            }
            (a, b) => {
                for address in [a, b] {
                    match address {
                        IpAddr::V4(address) => state.write_u64(u64::from(address.to_bits())),
                        IpAddr::V6(address) => state.write_u128(address.to_bits()),
                    }
                }
            }
        }
        state.write_u64(self.rest());
        if self.scope != Scope::NONE {
            state.write_u64(self.scope.0);
        }
    }
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
