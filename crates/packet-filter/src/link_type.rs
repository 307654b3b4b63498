//! The link-layer header types that filters can be compiled for.

use crate::error::UnsupportedLinkType;

/// What stands at the start of a packet's bytes.
///
/// The numbers are those of <https://www.tcpdump.org/linktypes.html>, as found in capture files; the few that differ
/// in libpcap's own numbering (`DLT_RAW`) are accepted too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkType {
    /// `LINKTYPE_ETHERNET` (1): IEEE 802.3, with or without VLAN tags.
    Ethernet,
    /// `LINKTYPE_LINUX_SLL` (113): the 16-byte header of Linux "cooked" captures.
    LinuxSll,
    /// `LINKTYPE_LINUX_SLL2` (276): the 20-byte header of Linux "cooked" captures, with the interface index.
    LinuxSll2,
    /// `LINKTYPE_RAW` (101; `DLT_RAW` is 12 or 14): an IPv4 or IPv6 header, told apart by its version.
    RawIp,
    /// `LINKTYPE_IPV4` (228): an IPv4 header.
    Ipv4,
    /// `LINKTYPE_IPV6` (229): an IPv6 header.
    Ipv6,
    /// `LINKTYPE_NULL` (0): a 4-byte protocol family in the byte order of the capturing host.
    Null,
    /// `LINKTYPE_LOOP` (108): a 4-byte protocol family in network byte order.
    Loop,
}

impl LinkType {
    /// The number that capture files use.
    pub fn number(self) -> u32 {
        match self {
            Self::Ethernet => 1,
            Self::LinuxSll => 113,
            Self::LinuxSll2 => 276,
            Self::RawIp => 101,
            Self::Ipv4 => 228,
            Self::Ipv6 => 229,
            Self::Null => 0,
            Self::Loop => 108,
        }
    }

    /// The name that messages use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "Ethernet",
            Self::LinuxSll => "Linux cooked (SLL)",
            Self::LinuxSll2 => "Linux cooked v2 (SLL2)",
            Self::RawIp => "raw IP",
            Self::Ipv4 => "raw IPv4",
            Self::Ipv6 => "raw IPv6",
            Self::Null => "BSD loopback (NULL)",
            Self::Loop => "OpenBSD loopback (LOOP)",
        }
    }
}

impl TryFrom<u32> for LinkType {
    type Error = UnsupportedLinkType;

    fn try_from(number: u32) -> Result<Self, UnsupportedLinkType> {
        Ok(match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            12 | 14 | 101 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            276 => Self::LinuxSll2,
            number => return Err(UnsupportedLinkType { number }),
        })
    }
}
