//! Identities of VLANs and tunnels, and their names.

use std::fmt;
use std::net::IpAddr;

use crate::Scope;

/// Builds [`Scope`]s.
///
/// Up to four VLAN identifiers are stored as they are, 13 bits each with a marker bit. Any other
/// scope has the top bit set, followed by the [`Layers`] for its name. The remaining bits are a
/// seeded hash over the previous scope and the new layer.
///
/// The hash covers the parts that the name leaves out, such as a tunnel's ends. It is seeded so
/// that an attacker who sends packets cannot produce a collision.
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
        self.hashed(scope, Layer { kind: Kind::Vlan, id: u64::from(id) }, ())
    }

    /// Enters a network that a number identifies on the same wire, without tunnel addresses.
    pub(super) fn segment(&self, scope: Scope, kind: Kind, id: u64) -> Scope {
        self.hashed(scope, Layer { kind, id }, ())
    }

    /// Enters a tunnel between two hosts. `id` is the number that separates the tunnel's networks,
    /// if it has one that is equal in both directions.
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
        self.hashed(scope, Layer { kind, id }, ends)
    }

    /// The identity of a fragmented frame.
    pub(super) fn frame(&self, parts: impl std::hash::Hash) -> u64 {
        self.hasher.hash_one(parts)
    }

    fn hashed(&self, scope: Scope, layer: Layer, ends: impl std::hash::Hash) -> Scope {
        let hash = self.hasher.hash_one((scope, layer, ends));
        let layers = Layers { inner: layer, outer: innermost(scope) };
        let (named, bits) = layers.packed();
        Scope(1 << 63 | named << (63 - bits) | hash & ((1 << (63 - bits)) - 1))
    }
}

/// Twelve bits of identifier and a marker bit.
const VLAN_BITS: u32 = 13;
/// The minimum number of hash bits. Scopes of the same name differ only in a tunnel's ends or in an
/// outer layer. If the innermost two layers are equal, they are nearly always parts of one network.
const HASH_BITS: u32 = 16;
const KIND_BITS: u32 = 5;

/// The layers that a hashed scope can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layers {
    inner: Layer,
    outer: Option<Layer>,
}

/// A VLAN or a tunnel with its number. 0 if it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Layer {
    kind: Kind,
    id: u64,
}

impl Layers {
    /// Packs a bit that is set if there is an outer layer, then both layers. Also returns the
    /// number of bits. The outer layer is left out if it does not fit.
    fn packed(self) -> (u64, u32) {
        let (inner, inner_bits) = self.inner.packed();
        if let Some((outer, outer_bits)) = self.outer.map(Layer::packed)
            && 1 + inner_bits + outer_bits <= 63 - HASH_BITS
        {
            let bits = 1 + inner_bits + outer_bits;
            return (1 << (bits - 1) | inner << outer_bits | outer, bits);
        }
        (inner, 1 + inner_bits)
    }

    fn unpack(scope: Scope) -> Option<Self> {
        let rest = scope.0 << 2;
        let (inner, bits) = Layer::unpack(rest)?;
        let two = scope.0 >> 62 & 1 == 1;
        let outer = if two { Layer::unpack(rest << bits).map(|(layer, _)| layer) } else { None };
        Some(Self { inner, outer })
    }
}

impl Layer {
    fn packed(self) -> (u64, u32) {
        let id_bits = self.kind.id_bits();
        let id = self.id & ((1 << id_bits) - 1);
        ((self.kind as u64) << id_bits | id, KIND_BITS + id_bits)
    }

    /// Unpacks the layer in the highest bits. Also returns the number of its bits.
    fn unpack(bits: u64) -> Option<(Self, u32)> {
        let kind = *Kind::ALL.get((bits >> (64 - KIND_BITS)) as usize)?;
        let id_bits = kind.id_bits();
        // In two steps, because a shift by 64 overflows.
        let id = (bits << KIND_BITS) >> 1 >> (63 - id_bits);
        Some((Self { kind, id }, KIND_BITS + id_bits))
    }
}

/// The innermost layer of a scope.
fn innermost(scope: Scope) -> Option<Layer> {
    if scope.0 >> 63 == 1 {
        Layers::unpack(scope).map(|layers| layers.inner)
    } else {
        vlans(scope).last()
    }
}

/// The VLANs of a scope without other layers, from the outside in.
fn vlans(scope: Scope) -> impl Iterator<Item = Layer> {
    (0..4).rev().filter_map(move |place| {
        let tag = scope.0 >> (place * VLAN_BITS);
        let present = tag >> (VLAN_BITS - 1) & 1 == 1;
        present.then_some(Layer { kind: Kind::Vlan, id: tag & 0x0fff })
    })
}

impl Scope {
    /// The VLAN identifiers from the outside in. Empty if there is a tunnel, or if there are more
    /// than four VLANs.
    pub fn vlans(self) -> impl Iterator<Item = u16> {
        let plain = if self.0 >> 63 == 0 { self } else { Self::NONE };
        vlans(plain).map(|layer| layer.id as u16)
    }
}

/// Prints the layers from the outside in, as in `vlan 5`, `vlan 5 vlan 6`, `vxlan 42` or
/// `erspan 7 vlan 5`. [`Scope::NONE`] prints nothing. With more than four VLANs, or with tunnels,
/// only the innermost two layers are printed, or the innermost if the other does not fit.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = String::new();
        let mut push = |layer: Layer| {
            if !name.is_empty() {
                name.push(' ');
            }
            layer.name(&mut name)
        };
        if self.0 >> 63 == 0 {
            vlans(*self).try_for_each(push)?;
        } else if let Some(Layers { inner, outer }) = Layers::unpack(*self) {
            outer.map_or(Ok(()), &mut push)?;
            push(inner)?;
        }
        f.pad(&name)
    }
}

impl Layer {
    fn name(self, to: &mut impl fmt::Write) -> fmt::Result {
        to.write_str(self.kind.name())?;
        // For kinds with an optional number, 0 also stands for no number.
        let optional = matches!(self.kind, Kind::Gre | Kind::Erspan | Kind::Lisp);
        if self.kind.id_bits() > 0 && !(optional && self.id == 0) {
            write!(to, " {}", self.id)?;
        }
        Ok(())
    }
}

/// The kind of a layer that separates a network from the one around it.
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
    Gue,
    Capwap,
    Esp,
    Pim,
    MobileIp,
}

impl Kind {
    /// All kinds, ordered by number.
    const ALL: [Self; 23] = [
        Self::Vlan,
        Self::Ip,
        Self::Pppoe,
        Self::Backbone,
        Self::Gre,
        Self::Pptp,
        Self::Eoip,
        Self::EtherIp,
        Self::Erspan,
        Self::Mpls,
        Self::Vxlan,
        Self::Geneve,
        Self::Gtp,
        Self::Teredo,
        Self::Ayiya,
        Self::L2tp,
        Self::Lisp,
        Self::Tzsp,
        Self::Gue,
        Self::Capwap,
        Self::Esp,
        Self::Pim,
        Self::MobileIp,
    ];

    /// The width of the number that separates networks of this kind. 0 if both directions share no
    /// such number.
    const fn id_bits(self) -> u32 {
        match self {
            Self::Erspan => 10,
            Self::Vlan => 12,
            Self::Pppoe | Self::Eoip => 16,
            Self::Backbone | Self::Vxlan | Self::Geneve | Self::Lisp => 24,
            Self::Gre => 32,
            Self::Ip
            | Self::Pptp
            | Self::EtherIp
            | Self::Mpls
            | Self::Gtp
            | Self::Teredo
            | Self::Ayiya
            | Self::L2tp
            | Self::Tzsp
            | Self::Gue
            | Self::Capwap
            | Self::Esp
            | Self::Pim
            | Self::MobileIp => 0,
        }
    }

    /// The common name.
    const fn name(self) -> &'static str {
        match self {
            Self::Vlan => "vlan",
            Self::Ip => "ipip",
            Self::Pppoe => "pppoe",
            Self::Backbone => "pbb",
            Self::Gre => "gre",
            Self::Pptp => "pptp",
            Self::Eoip => "eoip",
            Self::EtherIp => "etherip",
            Self::Erspan => "erspan",
            Self::Mpls => "mpls",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Gtp => "gtp",
            Self::Teredo => "teredo",
            Self::Ayiya => "ayiya",
            Self::L2tp => "l2tp",
            Self::Lisp => "lisp",
            Self::Tzsp => "tzsp",
            Self::Gue => "gue",
            Self::Capwap => "capwap",
            Self::Esp => "esp",
            Self::Pim => "pim",
            Self::MobileIp => "mobile-ip",
        }
    }
}

const _: () = {
    assert!(Kind::ALL.len() <= 1 << KIND_BITS);
    let mut at = 0;
    while at < Kind::ALL.len() {
        assert!(Kind::ALL[at] as usize == at);
        at += 1;
    }
};

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn tunnel(scopes: &Scopes, around: Scope, kind: Kind, id: u64, last: u8) -> Scope {
        let end = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        scopes.tunnel(around, kind, id, end(1), end(last))
    }

    #[test]
    fn scopes_are_named_from_the_outside_in() {
        let scopes = Scopes::default();
        let five = scopes.vlan(Scope::NONE, 5);
        let vxlan = tunnel(&scopes, Scope::NONE, Kind::Vxlan, 0xff_ffff, 2);
        let erspan = tunnel(&scopes, vxlan, Kind::Erspan, 1023, 2);
        let names = [
            (Scope::NONE, ""),
            (five, "vlan 5"),
            (scopes.vlan(five, 4095), "vlan 5 vlan 4095"),
            (vxlan, "vxlan 16777215"),
            (scopes.vlan(vxlan, 4095), "vxlan 16777215 vlan 4095"),
            (tunnel(&scopes, five, Kind::Vxlan, 0, 2), "vlan 5 vxlan 0"),
            (erspan, "vxlan 16777215 erspan 1023"),
            (scopes.vlan(erspan, 1), "erspan 1023 vlan 1"),
            (tunnel(&scopes, Scope::NONE, Kind::Gre, u64::from(u32::MAX), 2), "gre 4294967295"),
            // The number of a GRE key leaves no room for a second layer.
            (tunnel(&scopes, five, Kind::Gre, 7, 2), "gre 7"),
            (tunnel(&scopes, Scope::NONE, Kind::Gre, 0, 2), "gre"),
            (tunnel(&scopes, five, Kind::Ip, 0, 2), "vlan 5 ipip"),
            (scopes.segment(five, Kind::Pppoe, 65_535), "vlan 5 pppoe 65535"),
        ];
        for (scope, name) in names {
            assert_eq!(scope.to_string(), name);
        }
        let many = (1..=7).fold(Scope::NONE, |scope, id| scopes.vlan(scope, id));
        assert_eq!(many.to_string(), "vlan 6 vlan 7");
        assert_eq!(format!("{five:>8}|"), "  vlan 5|");
    }

    #[test]
    fn vlans_are_those_of_a_scope_without_tunnels() {
        let scopes = Scopes::default();
        let two = scopes.vlan(scopes.vlan(Scope::NONE, 5), 4095);
        assert_eq!(two.vlans().collect::<Vec<_>>(), [5, 4095]);
        assert_eq!(Scope::NONE.vlans().count(), 0);
        assert_eq!(tunnel(&scopes, two, Kind::Vxlan, 7, 2).vlans().count(), 0);
    }

    #[test]
    fn what_a_name_leaves_out_still_tells_scopes_apart() {
        let scopes = Scopes::default();
        for kind in Kind::ALL {
            let scope = tunnel(&scopes, Scope::NONE, kind, 7, 2);
            let other = tunnel(&scopes, Scope::NONE, kind, 7, 3);
            assert_eq!(scope.to_string(), other.to_string());
            assert_ne!(scope, other, "{kind:?}");
            assert!(scope.to_string().starts_with(kind.name()));
        }
        let deep = |outermost| {
            let scope = scopes.vlan(Scope::NONE, outermost);
            let vxlan = tunnel(&scopes, scope, Kind::Vxlan, 1, 2);
            scopes.vlan(vxlan, 1)
        };
        assert_ne!(deep(8), deep(9));
    }

    /// Any value prints, even if it was not built here.
    #[test]
    fn no_scope_is_without_a_name() {
        for bits in 0..64 {
            let _ = Scope(1 << 63 | 0x7fff_ffff_ffff_ffff >> bits).to_string();
            assert!(Scope(1 << bits).to_string().len() < 60);
        }
    }
}
