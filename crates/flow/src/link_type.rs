//! Link-layer header types.

/// A link-layer header type, by its LINKTYPE number in the tcpdump group's registry
/// (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: a four-byte protocol family in the byte order of the capturing host.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// AX.25, amateur packet radio.
    pub const AX25: Self = Self(3);
    /// IEEE 802.5 Token Ring.
    pub const TOKEN_RING: Self = Self(6);
    /// ARCNET with BSD headers.
    pub const ARCNET_BSD: Self = Self(7);
    /// SLIP with a header of 16 bytes.
    pub const SLIP: Self = Self(8);
    /// PPP, also in HDLC-like framing.
    pub const PPP: Self = Self(9);
    /// FDDI.
    pub const FDDI: Self = Self(10);
    /// IPv4 or IPv6 without a link-layer header, with the number of some BSD captures.
    pub const RAW_BSD: Self = Self(12);
    /// IPv4 or IPv6 without a link-layer header, with the number of OpenBSD captures.
    pub const RAW_OPENBSD: Self = Self(14);
    /// PPP in HDLC-like framing, or Cisco HDLC.
    pub const PPP_HDLC: Self = Self(50);
    /// PPPoE session packets without the Ethernet header.
    pub const PPP_ETHER: Self = Self(51);
    /// Captures of Symantec's firewall.
    pub const SYMANTEC_FIREWALL: Self = Self(99);
    /// LLC/SNAP over ATM.
    pub const ATM_RFC1483: Self = Self(100);
    /// IPv4 or IPv6 without any link-layer header.
    pub const RAW: Self = Self(101);
    /// Cisco HDLC.
    pub const C_HDLC: Self = Self(104);
    /// IEEE 802.11.
    pub const IEEE802_11: Self = Self(105);
    /// Linux classical IP over ATM.
    pub const ATM_CLIP: Self = Self(106);
    /// Frame relay.
    pub const FRELAY: Self = Self(107);
    /// OpenBSD loopback: a four-byte protocol family in network byte order.
    pub const LOOP: Self = Self(108);
    /// OpenBSD packets around IPsec.
    pub const ENC: Self = Self(109);
    /// Linux cooked capture.
    pub const LINUX_SLL: Self = Self(113);
    /// OpenBSD packet filter log.
    pub const PFLOG: Self = Self(117);
    /// IEEE 802.11 after a Prism header.
    pub const IEEE802_11_PRISM: Self = Self(119);
    /// IP over Fibre Channel.
    pub const IP_OVER_FC: Self = Self(122);
    /// SunATM.
    pub const SUNATM: Self = Self(123);
    /// IEEE 802.11 after a radiotap header.
    pub const IEEE802_11_RADIOTAP: Self = Self(127);
    /// Frames that were mirrored in TZSP.
    pub const TZSP: Self = Self(128);
    /// ARCNET with Linux headers.
    pub const ARCNET_LINUX: Self = Self(129);
    /// IP over FireWire.
    pub const APPLE_IP_OVER_IEEE1394: Self = Self(138);
    /// DOCSIS frames.
    pub const DOCSIS: Self = Self(143);
    /// Reserved for private use; Apple's older captures use it for [`PKTAP`](Self::PKTAP).
    pub const USER_2: Self = Self(149);
    /// IEEE 802.11 after an AVS header.
    pub const IEEE802_11_AVS: Self = Self(163);
    /// PPP in pppd's log format, with the direction.
    pub const PPP_PPPD: Self = Self(166);
    /// PPPoE over Ethernet, in the format of Juniper routers.
    pub const JUNIPER_PPPOE: Self = Self(167);
    /// Ethernet, in the format of Juniper routers.
    pub const JUNIPER_ETHER: Self = Self(178);
    /// PPP, in the format of Juniper routers.
    pub const JUNIPER_PPP: Self = Self(179);
    /// Frame relay, in the format of Juniper routers.
    pub const JUNIPER_FRELAY: Self = Self(180);
    /// Cisco HDLC, in the format of Juniper routers.
    pub const JUNIPER_CHDLC: Self = Self(181);
    /// Multilink frame relay.
    pub const MFR: Self = Self(182);
    /// Per-packet information, then another link type.
    pub const PPI: Self = Self(192);
    /// Records of Endace's capture cards.
    pub const ERF: Self = Self(197);
    /// AX.25 after a KISS header.
    pub const AX25_KISS: Self = Self(202);
    /// PPP after a byte for the direction.
    pub const PPP_WITH_DIR: Self = Self(204);
    /// Cisco HDLC after a byte for the direction.
    pub const C_HDLC_WITH_DIR: Self = Self(205);
    /// Frame relay after a byte for the direction.
    pub const FRELAY_WITH_DIR: Self = Self(206);
    /// MPLS label stacks without any link-layer header.
    pub const MPLS: Self = Self(219);
    /// Traffic between Solaris zones.
    pub const IPNET: Self = Self(226);
    /// IPv4 without any link-layer header.
    pub const IPV4: Self = Self(228);
    /// IPv6 without any link-layer header.
    pub const IPV6: Self = Self(229);
    /// Linux netfilter log.
    pub const NFLOG: Self = Self(239);
    /// Ethernet after a netANALYZER header.
    pub const NETANALYZER: Self = Self(240);
    /// Ethernet with preamble after a netANALYZER header.
    pub const NETANALYZER_TRANSPARENT: Self = Self(241);
    /// IP over InfiniBand.
    pub const IPOIB: Self = Self(242);
    /// Apple's header, then another link type.
    pub const PKTAP: Self = Self(258);
    /// Ethernet on a passive optical network, with preamble.
    pub const EPON: Self = Self(259);
    /// Ethernet with preamble (802.3br).
    pub const ETHERNET_MPACKET: Self = Self(274);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);
    /// Ethernet with a Broadcom switch tag.
    pub const DSA_TAG_BRCM: Self = Self(281);
    /// Ethernet after a Broadcom switch tag.
    pub const DSA_TAG_BRCM_PREPEND: Self = Self(282);
    /// Ethernet with a Marvell DSA tag.
    pub const DSA_TAG_DSA: Self = Self(284);
    /// Ethernet with a Marvell EDSA tag.
    pub const DSA_TAG_EDSA: Self = Self(285);
    /// Digital television, ATSC 3.0.
    pub const ATSC_ALP: Self = Self(289);
}
