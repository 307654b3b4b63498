//! What the first byte of a packet belongs to.

/// A link-layer header type, by its LINKTYPE number of the tcpdump group's registry
/// (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: a four-byte protocol family in the byte order of the host that captured.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// IPv4 or IPv6 without any link-layer header.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: a four-byte protocol family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture.
    pub const LINUX_SLL: Self = Self(113);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);
    /// IPv4 or IPv6 without any link-layer header, as some BSD captures number it.
    pub const RAW_BSD: Self = Self(12);
    /// IPv4 or IPv6 without any link-layer header, as OpenBSD captures number it.
    pub const RAW_OPENBSD: Self = Self(14);
    /// IPv4 without any link-layer header.
    pub const IPV4: Self = Self(228);
    /// IPv6 without any link-layer header.
    pub const IPV6: Self = Self(229);
}
