//! Hardware types of interfaces.

use crate::LinkType;

/// The link type of an interface's packets, by its hardware type (`ARPHRD_*` of `linux/if_arp.h`).
/// `None` if the registry has no number for it; such an interface can be captured only through
/// `any`.
#[must_use]
pub fn link_type_of(hardware_type: u16) -> Option<LinkType> {
    Some(of_hardware(hardware_type)).filter(|&link_type| link_type != LinkType::UNKNOWN)
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
        arphrd::IEEE80211 => LinkType::IEEE802_11,
        arphrd::IEEE80211_PRISM => LinkType::IEEE802_11_PRISM,
        arphrd::IEEE80211_RADIOTAP => LinkType::IEEE802_11_RADIOTAP,
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
