//! The link-layer header types that filters can be compiled for.

use packet::LinkType;

/// A link type that filters cannot be compiled for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsupported(pub(crate) LinkType);

/// A link type with a layout. The few numbers that differ in libpcap's own numbering (`DLT_RAW`)
/// are accepted too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Link {
    /// `LINKTYPE_ETHERNET` (1): IEEE 802.3, with or without VLAN tags.
    Ethernet,
    /// `LINKTYPE_LINUX_SLL` (113): the 16-byte header of Linux "cooked" captures.
    LinuxSll,
    /// `LINKTYPE_LINUX_SLL2` (276): the 20-byte header of Linux "cooked" captures, with the
    /// interface index.
    LinuxSll2,
    /// `LINKTYPE_RAW` (101; `DLT_RAW` is 12 or 14): an IPv4 or IPv6 header, distinguished by its
    /// version.
    RawIp,
    /// `LINKTYPE_IPV4` (228): an IPv4 header.
    Ipv4,
    /// `LINKTYPE_IPV6` (229): an IPv6 header.
    Ipv6,
    /// `LINKTYPE_NULL` (0): a 4-byte protocol family in the byte order of the capturing host.
    Null,
    /// `LINKTYPE_LOOP` (108): a 4-byte protocol family in network byte order.
    Loop,
    /// `LINKTYPE_IEEE802_5` (6): token ring.
    TokenRing,
    /// `LINKTYPE_ARCNET_BSD` (7): ARCNET, without the offset field.
    Arcnet,
    /// `LINKTYPE_SLIP` (8): SLIP, after a header of 16 bytes that contains the direction.
    Slip,
    /// `LINKTYPE_PPP` (9): PPP with its address and control bytes.
    Ppp,
    /// `LINKTYPE_FDDI` (10): FDDI.
    Fddi,
    /// `LINKTYPE_PPP_HDLC` (50): PPP in HDLC-like framing.
    PppHdlc,
    /// `LINKTYPE_PPP_ETHER` (51): a PPPoE session header, without Ethernet.
    PppEther,
    /// `LINKTYPE_ATM_RFC1483` (100; `DLT_ATM_RFC1483` is 11): an 802.2 header.
    AtmRfc1483,
    /// `LINKTYPE_C_HDLC` (104): Cisco HDLC.
    CiscoHdlc,
    /// `LINKTYPE_IEEE802_11` (105): 802.11.
    Ieee80211,
    /// `LINKTYPE_ATM_CLIP` (106; `DLT_ATM_CLIP` is 19): an 802.2 header.
    AtmClip,
    /// `LINKTYPE_FRELAY` (107): frame relay with an address of two bytes.
    FrameRelay,
    /// `LINKTYPE_ENC` (109): the header of an OpenBSD IPsec interface.
    Enc,
    /// `LINKTYPE_PFLOG` (117): the header of an OpenBSD packet filter log.
    Pflog,
    /// `LINKTYPE_IEEE802_11_PRISM` (119): 802.11 after a Prism (or AVS) header.
    Prism,
    /// `LINKTYPE_IP_OVER_FC` (122): addresses, then an 802.2 header (RFC 2625).
    IpOverFibreChannel,
    /// `LINKTYPE_SUNATM` (123): SunATM. Only its 802.2 frames are decoded.
    SunAtm,
    /// `LINKTYPE_IEEE802_11_RADIOTAP` (127): 802.11 after a radiotap header.
    Radiotap,
    /// `LINKTYPE_ARCNET_LINUX` (129): ARCNET with the offset field.
    ArcnetLinux,
    /// `LINKTYPE_APPLE_IP_OVER_IEEE1394` (138).
    IpOver1394,
    /// `LINKTYPE_IEEE802_11_AVS` (163): 802.11 after an AVS header.
    Avs,
    /// `LINKTYPE_PPP_PPPD` (166): PPP with the direction in place of the address byte.
    PppPppd,
    /// `LINKTYPE_PPP_WITH_DIR` (204): a byte for the direction, then PPP.
    PppWithDirection,
    /// `LINKTYPE_IPNET` (226): the header of a Solaris ipnet device.
    Ipnet,
    /// `LINKTYPE_NETANALYZER` (240): four bytes, then Ethernet.
    NetAnalyzer,
    /// `LINKTYPE_NETANALYZER_TRANSPARENT` (241): twelve bytes, then Ethernet.
    NetAnalyzerTransparent,
    /// `LINKTYPE_IPOIB` (242): IP over InfiniBand (RFC 4391).
    IpOverInfiniband,
    /// `LINKTYPE_ETHERNET_MPACKET` (274): a preamble of eight bytes, then Ethernet.
    EthernetMpacket,
    /// `LINKTYPE_DSA_TAG_BRCM` (281): Ethernet with a tag of four bytes after the addresses.
    DsaBroadcom,
    /// `LINKTYPE_DSA_TAG_BRCM_PREPEND` (282): a tag of four bytes, then Ethernet.
    DsaBroadcomPrepended,
    /// `LINKTYPE_DSA_TAG_DSA` (284): Ethernet with a tag of four bytes after the addresses.
    Dsa,
    /// `LINKTYPE_DSA_TAG_EDSA` (285): Ethernet with a tag of eight bytes after the addresses.
    EtherTypeDsa,
}

impl Link {
    /// The link type's number in capture files.
    fn number(self) -> u16 {
        match self {
            Self::Ethernet => 1,
            Self::LinuxSll => 113,
            Self::LinuxSll2 => 276,
            Self::RawIp => 101,
            Self::Ipv4 => 228,
            Self::Ipv6 => 229,
            Self::Null => 0,
            Self::Loop => 108,
            Self::TokenRing => 6,
            Self::Arcnet => 7,
            Self::Slip => 8,
            Self::Ppp => 9,
            Self::Fddi => 10,
            Self::PppHdlc => 50,
            Self::PppEther => 51,
            Self::AtmRfc1483 => 100,
            Self::CiscoHdlc => 104,
            Self::Ieee80211 => 105,
            Self::AtmClip => 106,
            Self::FrameRelay => 107,
            Self::Enc => 109,
            Self::Pflog => 117,
            Self::Prism => 119,
            Self::IpOverFibreChannel => 122,
            Self::SunAtm => 123,
            Self::Radiotap => 127,
            Self::ArcnetLinux => 129,
            Self::IpOver1394 => 138,
            Self::Avs => 163,
            Self::PppPppd => 166,
            Self::PppWithDirection => 204,
            Self::Ipnet => 226,
            Self::NetAnalyzer => 240,
            Self::NetAnalyzerTransparent => 241,
            Self::IpOverInfiniband => 242,
            Self::EthernetMpacket => 274,
            Self::DsaBroadcom => 281,
            Self::DsaBroadcomPrepended => 282,
            Self::Dsa => 284,
            Self::EtherTypeDsa => 285,
        }
    }

    /// The name used in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "Ethernet",
            Self::LinuxSll => "Linux cooked (SLL)",
            Self::LinuxSll2 => "Linux cooked v2 (SLL2)",
            Self::RawIp => "raw IP",
            Self::Ipv4 => "raw IPv4",
            Self::Ipv6 => "raw IPv6",
            Self::Null => "BSD loopback (NULL)",
            Self::Loop => "OpenBSD loopback (LOOP)",
            Self::TokenRing => "token ring",
            Self::Arcnet => "ARCNET",
            Self::Slip => "SLIP",
            Self::Ppp => "PPP",
            Self::Fddi => "FDDI",
            Self::PppHdlc => "PPP in HDLC framing",
            Self::PppEther => "PPP over Ethernet",
            Self::AtmRfc1483 => "ATM (RFC 1483)",
            Self::CiscoHdlc => "Cisco HDLC",
            Self::Ieee80211 => "802.11",
            Self::AtmClip => "ATM (classical IP)",
            Self::FrameRelay => "frame relay",
            Self::Enc => "OpenBSD enc",
            Self::Pflog => "OpenBSD pflog",
            Self::Prism => "802.11 with a Prism header",
            Self::IpOverFibreChannel => "IP over Fibre Channel",
            Self::SunAtm => "SunATM",
            Self::Radiotap => "802.11 with a radiotap header",
            Self::ArcnetLinux => "ARCNET (Linux)",
            Self::IpOver1394 => "IP over IEEE 1394",
            Self::Avs => "802.11 with an AVS header",
            Self::PppPppd => "PPP of pppd",
            Self::PppWithDirection => "PPP with direction",
            Self::Ipnet => "Solaris ipnet",
            Self::NetAnalyzer => "netANALYZER",
            Self::NetAnalyzerTransparent => "netANALYZER transparent",
            Self::IpOverInfiniband => "IP over InfiniBand",
            Self::EthernetMpacket => "Ethernet mPackets",
            Self::DsaBroadcom => "Ethernet with a Broadcom tag",
            Self::DsaBroadcomPrepended => "Ethernet behind a Broadcom tag",
            Self::Dsa => "Ethernet with a DSA tag",
            Self::EtherTypeDsa => "Ethernet with an EtherType DSA tag",
        }
    }
}

/// Returns `true` if filters can be compiled for packets that begin with a header of this type.
#[must_use]
pub fn is_supported(link_type: LinkType) -> bool {
    Link::try_from(link_type).is_ok()
}

/// The name used in messages.
pub(crate) fn name(link_type: LinkType) -> String {
    match Link::try_from(link_type) {
        Ok(link) => link.name().to_owned(),
        Err(_) => format!("link type {}", link_type.0),
    }
}

impl From<Link> for LinkType {
    fn from(link: Link) -> Self {
        Self(link.number())
    }
}

impl TryFrom<LinkType> for Link {
    type Error = Unsupported;

    fn try_from(link_type: LinkType) -> Result<Self, Unsupported> {
        Ok(match link_type.0 {
            0 => Self::Null,
            1 => Self::Ethernet,
            12 | 14 | 101 => Self::RawIp,
            108 => Self::Loop,
            6 => Self::TokenRing,
            7 => Self::Arcnet,
            8 => Self::Slip,
            9 => Self::Ppp,
            10 => Self::Fddi,
            50 => Self::PppHdlc,
            51 => Self::PppEther,
            11 | 100 => Self::AtmRfc1483,
            104 => Self::CiscoHdlc,
            105 => Self::Ieee80211,
            19 | 106 => Self::AtmClip,
            107 => Self::FrameRelay,
            109 => Self::Enc,
            117 => Self::Pflog,
            119 => Self::Prism,
            122 => Self::IpOverFibreChannel,
            123 => Self::SunAtm,
            127 => Self::Radiotap,
            129 => Self::ArcnetLinux,
            138 => Self::IpOver1394,
            163 => Self::Avs,
            166 => Self::PppPppd,
            204 => Self::PppWithDirection,
            226 => Self::Ipnet,
            240 => Self::NetAnalyzer,
            241 => Self::NetAnalyzerTransparent,
            242 => Self::IpOverInfiniband,
            274 => Self::EthernetMpacket,
            281 => Self::DsaBroadcom,
            282 => Self::DsaBroadcomPrepended,
            284 => Self::Dsa,
            285 => Self::EtherTypeDsa,
            113 => Self::LinuxSll,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            276 => Self::LinuxSll2,
            _ => return Err(Unsupported(link_type)),
        })
    }
}
