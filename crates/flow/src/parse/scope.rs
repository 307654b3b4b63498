//! Identities of VLANs and tunnels.

use std::net::IpAddr;

use crate::Scope;

/// Makes [`Scope`]s.
///
/// Up to four VLAN identifiers are kept as they are, 13 bits each with a marker bit. Anything else is a seeded 63-bit
/// hash over the scope so far and the new layer, with the top bit set: nobody who sends packets can aim at a collision.
#[derive(Clone, Debug, Default)]
pub(super) struct Scopes {
    hasher: ahash::RandomState,
}

impl Scopes {
    /// Enters a VLAN.
    pub(super) fn vlan(&self, scope: Scope, id: u16) -> Scope {
        if scope.0 < 1 << (3 * VLAN_BITS) {
            return Scope(scope.0 << VLAN_BITS | 1 << (VLAN_BITS - 1) | u64::from(id));
        }
        self.hashed((scope, Kind::Vlan, u64::from(id)))
    }

    /// Enters a network that a number tells apart on the same wire, without addresses around it.
    pub(super) fn segment(&self, scope: Scope, kind: Kind, id: u64) -> Scope {
        self.hashed((scope, kind, id))
    }

    /// Enters a tunnel between two hosts, with the number that tells its networks apart, if it has one that is the
    /// same in both directions.
    pub(super) fn tunnel(
        &self,
        scope: Scope,
        kind: Kind,
        id: u64,
        source: IpAddr,
        destination: IpAddr,
    ) -> Scope {
        let ends =
            if source <= destination { (source, destination) } else { (destination, source) };
        self.hashed((scope, kind, id, ends))
    }

    fn hashed(&self, layer: impl std::hash::Hash) -> Scope {
        Scope(self.hasher.hash_one(layer) | 1 << 63)
    }
}

/// Twelve bits of identifier and one that is always set.
const VLAN_BITS: u32 = 13;

/// What separates a network from the one around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Vlan,
    Ip,
    Pppoe,
    Backbone,
    Gre,
    Pptp,
    Eoip,
    EtherIp,
    Erspan,
    Mpls,
    Vxlan,
    Geneve,
    Gtp,
    Teredo,
    Ayiya,
    L2tp,
    Lisp,
    Tzsp,
}
