//! Link-layer header types.

/// A link-layer header type, as a LINKTYPE number of the tcpdump group's registry
/// (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: a four-byte protocol family in the byte order of the capturing host.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// IPv4 or IPv6 without a link-layer header.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: a four-byte protocol family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture.
    pub const LINUX_SLL: Self = Self(113);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);
    /// IPv4 without a link-layer header.
    pub const IPV4: Self = Self(228);
    /// IPv6 without a link-layer header.
    pub const IPV6: Self = Self(229);
}

impl LinkType {
    /// Packets of an interface whose hardware type has no number in the registry. Seen on `any`
    /// only.
    pub const UNKNOWN: Self = Self(u16::MAX);

    /// The link type of an interface's packets, by its hardware type (`ARPHRD_*` of
    /// `linux/if_arp.h`). `None` if the registry has no number for it; such an interface can be
    /// captured only through `any`.
    #[must_use]
    pub fn of_hardware(hardware_type: u16) -> Option<Self> {
        Some(of_hardware(hardware_type)).filter(|&link_type| link_type != Self::UNKNOWN)
    }
}

/// Hardware types without a header of their own: packets start with the network header.
pub(crate) const RAW_HARDWARE: [u16; 8] = [
    arphrd::NONE,
    arphrd::PPP,
    arphrd::RAWIP,
    arphrd::TUNNEL,
    arphrd::TUNNEL6,
    arphrd::SIT,
    arphrd::IPGRE,
    arphrd::IP6GRE,
];

/// Hardware types whose packets are Ethernet frames.
pub(crate) const ETHERNET_HARDWARE: [u16; 2] = [arphrd::ETHER, arphrd::LOOPBACK];

/// The link type of an interface's packets by its hardware type (`ARPHRD_*` of `linux/if_arp.h`),
/// as a packet socket of the type `SOCK_RAW` delivers them.
#[inline]
pub(crate) fn of_hardware(hardware_type: u16) -> LinkType {
    match hardware_type {
        arphrd::ETHER | arphrd::LOOPBACK => LinkType::ETHERNET,
        arphrd::CAN => LinkType(227),
        arphrd::IEEE80211 => LinkType(105),
        arphrd::IEEE80211_PRISM => LinkType(119),
        arphrd::IEEE80211_RADIOTAP => LinkType(127),
        arphrd::INFINIBAND => LinkType(247),
        raw if RAW_HARDWARE.contains(&raw) => LinkType::RAW,
        _ => LinkType::UNKNOWN,
    }
}

/// `ARPHRD_*` of `linux/if_arp.h`.
mod arphrd {
    pub(super) const ETHER: u16 = 1;
    pub(super) const INFINIBAND: u16 = 32;
    pub(super) const CAN: u16 = 280;
    pub(super) const PPP: u16 = 512;
    pub(super) const RAWIP: u16 = 519;
    pub(super) const TUNNEL: u16 = 768;
    pub(super) const TUNNEL6: u16 = 769;
    pub(super) const LOOPBACK: u16 = 772;
    pub(super) const SIT: u16 = 776;
    pub(super) const IPGRE: u16 = 778;
    pub(super) const IEEE80211: u16 = 801;
    pub(super) const IEEE80211_PRISM: u16 = 802;
    pub(super) const IEEE80211_RADIOTAP: u16 = 803;
    pub(super) const IP6GRE: u16 = 823;
    pub(super) const NONE: u16 = 0xfffe;
}
