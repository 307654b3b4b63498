//! Flow keys: the part of a packet that determines its flow.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{AddrParseError, IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU128;
use std::str::FromStr;

use crate::{Headers, Packet, Scope};

/// Extracts the key of a flow from a packet.
///
/// [`FiveTuple`], [`IpPair`](crate::IpPair) and [`MacPair`](crate::MacPair) are extractors, and any
/// type can be one. Both directions of a flow must produce the same key, with opposite
/// orientations.
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
    /// The type of the keys.
    type Key: Clone + Eq + Hash + fmt::Debug + Send + 'static;

    /// Returns the packet's key and its direction relative to the key. `None` for packets that
    /// belong to no flow.
    fn extract(&self, packet: &Packet<'_>, headers: &Headers) -> Option<(Self::Key, Orientation)>;

    /// Returns the key of a datagram that was joined from fragments. `datagram` begins with the IP
    /// header, and the offsets in `headers` refer to it. `fragment` is the fragment that arrived
    /// last. Override it if the key needs fields from outside the datagram, such as link-layer
    /// addresses.
    fn extract_joined(
        &self,
        fragment: &Packet<'_>,
        datagram: &Packet<'_>,
        headers: &Headers,
    ) -> Option<(Self::Key, Orientation)> {
        let _ = fragment;
        self.extract(datagram, headers)
    }

    /// Returns `true` if a key has at most one TCP connection at a time, which is the default. If
    /// not, nothing is reassembled: the payload of each segment is reported as a
    /// [`Datagram`](crate::Datagram), and flows end in the same way as those of other protocols.
    fn is_connection(&self) -> bool {
        true
    }

    /// The address of the host that receives packets of this orientation, if the key contains it.
    /// It selects the host's [overlap policy](crate::FlowTableBuilder::overlap_policy_for).
    /// Default: `None`.
    fn receiver(key: &Self::Key, orientation: Orientation) -> Option<IpAddr> {
        let _ = (key, orientation);
        None
    }

    /// The whole key as a number, if it fits into one. [`expand`](Self::expand) is the inverse. The
    /// table then hashes and compares the number, and does not build or read the key until it is
    /// needed for an event. Default: `None`.
    #[inline(always)]
    fn compact(key: &Self::Key) -> Option<NonZeroU128> {
        let _ = key;
        None
    }

    /// The key for a number that [`compact`](Self::compact) returned. `None` for other numbers.
    fn expand(number: NonZeroU128) -> Option<Self::Key> {
        let _ = number;
        None
    }

    /// The same key outside all VLANs and tunnels. `None` if it already is outside, or if the key
    /// contains no scope.
    ///
    /// Extractors that implement this allow the table to join a TCP connection whose directions
    /// were captured in different VLANs or tunnels; see [`FiveTuple`]. By default nothing is
    /// joined.
    fn without_scope(&self, key: &Self::Key) -> Option<Self::Key> {
        let _ = key;
        None
    }
}

/// The direction of a packet relative to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Orientation {
    /// From the key's `a` to its `b`.
    Forward,
    /// From the key's `b` to its `a`.
    Reverse,
}

impl Orientation {
    /// The opposite direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Forward => Self::Reverse,
            Self::Reverse => Self::Forward,
        }
    }
}

/// One of the two ends of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowSide {
    /// The end that opened the connection.
    ///
    /// If the beginning was not captured, it is the end with the higher port, since servers usually
    /// have the lower one. If the ports are equal, and in other protocols than TCP, it is the end
    /// that sent first.
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

/// Keys flows by addresses, ports, protocol and scope. Both directions are one flow.
///
/// The same addresses and ports in two VLANs or tunnels are two flows, with one exception: a TCP
/// connection whose directions differ in VLAN, tunnel or mirror session is one flow. The directions
/// are joined if the sequence and acknowledgement numbers of one continue those of the other, and
/// each scope has carried only one direction. The flow keeps the key of the scope that was seen
/// first. [`FlowRecord::joined`](crate::FlowRecord::joined) contains the other one. Flows of other
/// protocols are never joined, because they have no such numbers.
#[derive(Clone, Copy, Debug)]
pub struct FiveTuple {
    scoped: bool,
    joins: bool,
}

impl FiveTuple {
    /// Creates an extractor that joins both directions. The same five-tuple in two VLANs or tunnels
    /// is two flows.
    #[must_use]
    pub const fn bidirectional() -> Self {
        Self { scoped: true, joins: true }
    }

    /// Removes VLANs and tunnels from the key: all packets with the same addresses and ports belong
    /// to one flow.
    #[must_use]
    pub const fn ignoring_scope(self) -> Self {
        Self { scoped: false, ..self }
    }

    /// Keeps VLANs and tunnels separate even if each carries one direction of the same connection.
    #[must_use]
    pub const fn without_joins(self) -> Self {
        Self { joins: false, ..self }
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
        // Duplicates the code below for IPv4: with the kind of address known, building the key
        // takes a few stores, and packing it into a number takes none.
        if let (IpAddr::V4(source), IpAddr::V4(destination)) = (headers.source, headers.destination)
        {
            let source = u64::from(source.to_bits()) << 16 | u64::from(source_port);
            let destination = u64::from(destination.to_bits()) << 16 | u64::from(destination_port);
            let endpoint = |bits: u64| Endpoint {
                address: IpAddr::V4(Ipv4Addr::from_bits((bits >> 16) as u32)),
                port: bits as u16,
            };
            let (a, b) = (endpoint(source.min(destination)), endpoint(source.max(destination)));
            let orientation =
                if source <= destination { Orientation::Forward } else { Orientation::Reverse };
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

    fn receiver(key: &FiveTupleKey, orientation: Orientation) -> Option<IpAddr> {
        Some(match orientation {
            Orientation::Forward => key.b.address,
            Orientation::Reverse => key.a.address,
        })
    }

    /// Plain IPv4 takes 104 bits, and one more keeps the number from being zero.
    #[inline(always)]
    fn compact(key: &FiveTupleKey) -> Option<NonZeroU128> {
        let (IpAddr::V4(a), IpAddr::V4(b)) = (key.a.address, key.b.address) else { return None };
        let (a, b) = (u64::from(a.to_bits()), u64::from(b.to_bits()));
        let low = a << 16 | u64::from(key.a.port);
        let high = b << 24 | u64::from(key.b.port) << 8 | u64::from(key.protocol);
        let number = u128::from(high) << 64 | u128::from(low | 1 << 63);
        if key.scope == Scope::NONE { NonZeroU128::new(number) } else { None }
    }

    fn expand(number: NonZeroU128) -> Option<FiveTupleKey> {
        let (low, high) = (number.get() as u64, (number.get() >> 64) as u64);
        let endpoint = |address: u64, port: u64| Endpoint {
            address: IpAddr::V4(Ipv4Addr::from_bits(address as u32)),
            port: port as u16,
        };
        Some(FiveTupleKey {
            a: endpoint(low >> 16, low),
            b: endpoint(high >> 24, high >> 8),
            protocol: high as u8,
            scope: Scope::NONE,
        })
    }

    #[inline]
    fn without_scope(&self, key: &FiveTupleKey) -> Option<FiveTupleKey> {
        (self.joins && key.scope != Scope::NONE)
            .then_some(FiveTupleKey { scope: Scope::NONE, ..*key })
    }
}

/// The key of [`FiveTuple`]. `a` is the lesser endpoint, whichever opened the connection.
#[derive(Clone, Copy, Debug)]
pub struct FiveTupleKey {
    /// The lesser endpoint.
    pub a: Endpoint,
    /// The greater endpoint.
    pub b: Endpoint,
    /// The IANA number of the protocol above IP.
    pub protocol: u8,
    /// The VLANs and tunnels around the flow.
    pub scope: Scope,
}

impl FiveTupleKey {
    /// Packs ports and protocol into one number.
    #[inline(always)]
    fn rest(&self) -> u64 {
        u64::from(self.a.port) << 32 | u64::from(self.b.port) << 16 | u64::from(self.protocol)
    }
}

impl PartialEq for FiveTupleKey {
    /// Equal to the derived implementation, with fewer branches.
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
    /// Hashes two words for plain IPv4. The derived implementation would call the hasher a dozen
    /// times.
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

/// An address and a port. Prints as `192.0.2.1:80` or `[2001:db8::1]:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port. 0 for protocols without ports.
    pub port: u16,
}

impl From<SocketAddr> for Endpoint {
    /// Leaves out the flow label and the zone of an IPv6 address, which packets do not carry here.
    fn from(address: SocketAddr) -> Self {
        Self { address: address.ip(), port: address.port() }
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint.address, endpoint.port)
    }
}

impl FromStr for Endpoint {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        text.parse::<SocketAddr>().map(Self::from)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(a: u32, b: u32, ports: (u16, u16), protocol: u8) -> FiveTupleKey {
        let endpoint =
            |bits, port| Endpoint { address: IpAddr::V4(Ipv4Addr::from_bits(bits)), port };
        FiveTupleKey {
            a: endpoint(a, ports.0),
            b: endpoint(b, ports.1),
            protocol,
            scope: Scope::NONE,
        }
    }

    proptest! {
        #[test]
        fn a_number_holds_all_of_a_key(a: u32, b: u32, ports: (u16, u16), protocol: u8) {
            let key = key(a, b, ports, protocol);
            let number = FiveTuple::compact(&key).unwrap();
            prop_assert_eq!(FiveTuple::expand(number), Some(key));
        }
    }

    #[test]
    fn endpoints_convert_from_and_to_addresses_and_text() {
        for text in ["192.0.2.1:80", "[2001:db8::1]:443"] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), text);
            assert_eq!(Endpoint::from(SocketAddr::from(endpoint)), endpoint);
        }
        assert!("192.0.2.1".parse::<Endpoint>().is_err());
    }

    #[test]
    fn keys_that_do_not_fit_have_no_number() {
        let plain = key(0, 0, (0, 0), 0);
        assert!(FiveTuple::compact(&plain).is_some());
        assert_eq!(FiveTuple::compact(&FiveTupleKey { scope: Scope(1), ..plain }), None);
        let v6 = Endpoint { address: "::1".parse().unwrap(), port: 0 };
        assert_eq!(FiveTuple::compact(&FiveTupleKey { a: v6, ..plain }), None);
        assert_eq!(FiveTuple::compact(&FiveTupleKey { b: v6, ..plain }), None);
    }
}
