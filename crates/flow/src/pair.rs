//! Keys for the traffic between two hosts, which covers many connections.

use std::net::IpAddr;

use crate::{FlowExtractor, Headers, LinkType, MacAddress, Orientation, Packet, Scope};

/// Keys flows by the two addresses of the innermost IP packet: everything between two hosts is one
/// flow.
///
/// # Examples
///
/// ```
/// use flow::{FlowTable, IpPair};
///
/// let table = FlowTable::builder(IpPair::bidirectional()).build();
/// assert!(table.is_empty());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct IpPair {
    scoped: bool,
}

impl IpPair {
    /// Creates an extractor that joins both directions. The same pair in two VLANs or tunnels is
    /// two flows.
    #[must_use]
    pub const fn bidirectional() -> Self {
        Self { scoped: true }
    }

    /// Removes VLANs and tunnels from the key.
    #[must_use]
    pub const fn ignoring_scope(self) -> Self {
        Self { scoped: false }
    }
}

/// The key of [`IpPair`]. `a` is the lesser address, whichever sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpPairKey {
    /// The lesser address.
    pub a: IpAddr,
    /// The greater address.
    pub b: IpAddr,
    /// The VLANs and tunnels around the flow.
    pub scope: Scope,
}

impl FlowExtractor for IpPair {
    type Key = IpPairKey;

    fn extract(&self, _: &Packet<'_>, headers: &Headers) -> Option<(IpPairKey, Orientation)> {
        let scope = if self.scoped { headers.scope } else { Scope::NONE };
        let (a, b, orientation) = in_order(headers.source, headers.destination);
        Some((IpPairKey { a, b, scope }, orientation))
    }

    fn is_connection(&self) -> bool {
        false
    }
}

/// Keys flows by the two addresses in the Ethernet header: the IP traffic between two stations, or
/// between a station and its router.
///
/// Packets without an Ethernet header (cooked captures, raw IP) have no key and count as unparsed.
/// As with every key, so do packets that are not IP.
#[derive(Clone, Copy, Debug)]
pub struct MacPair {
    scoped: bool,
}

impl MacPair {
    /// Creates an extractor that joins both directions. The same pair in two VLANs is two flows.
    #[must_use]
    pub const fn bidirectional() -> Self {
        Self { scoped: true }
    }

    /// Removes VLANs, and tunnels inside the frame, from the key.
    #[must_use]
    pub const fn ignoring_scope(self) -> Self {
        Self { scoped: false }
    }
}

/// The key of [`MacPair`]. `a` is the lesser address, whichever sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacPairKey {
    /// The lesser address.
    pub a: MacAddress,
    /// The greater address.
    pub b: MacAddress,
    /// The VLANs and tunnels in the frame.
    pub scope: Scope,
}

impl FlowExtractor for MacPair {
    type Key = MacPairKey;

    fn extract(&self, packet: &Packet<'_>, headers: &Headers) -> Option<(MacPairKey, Orientation)> {
        if packet.link_type() != LinkType::ETHERNET {
            return None;
        }
        let (&destination, rest) = packet.data().split_first_chunk::<6>()?;
        let &source = rest.first_chunk::<6>()?;
        let scope = if self.scoped { headers.scope } else { Scope::NONE };
        let (a, b, orientation) = in_order(MacAddress(source), MacAddress(destination));
        Some((MacPairKey { a, b, scope }, orientation))
    }

    fn extract_joined(
        &self,
        fragment: &Packet<'_>,
        _: &Packet<'_>,
        headers: &Headers,
    ) -> Option<(MacPairKey, Orientation)> {
        self.extract(fragment, headers)
    }

    fn is_connection(&self) -> bool {
        false
    }
}

fn in_order<T: Ord>(source: T, destination: T) -> (T, T, Orientation) {
    if source <= destination {
        (source, destination, Orientation::Forward)
    } else {
        (destination, source, Orientation::Reverse)
    }
}
