//! Link-layer header types.

use std::fmt;
use std::str::FromStr;

/// A link-layer header type, as a LINKTYPE number of the tcpdump group's registry
/// (<https://www.tcpdump.org/linktypes.html>).
///
/// Prints the registry's name without `LINKTYPE_`, such as `ETHERNET`, or the number if this crate
/// has no name for it. Parses both, with or without the prefix, in upper or lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LinkType(pub u16);

/// A text is neither a name nor a number of a link type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown link type {text:?}; write a name such as ETHERNET, or its LINKTYPE number")]
#[non_exhaustive]
pub struct LinkTypeError {
    /// The text.
    pub text: String,
}

/// Defines the constants and the table of their names.
macro_rules! link_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl LinkType {
            $($(#[$doc])* pub const $name: Self = Self($number);)*
        }

        const NAMES: &[(&str, LinkType)] = &[$((stringify!($name), LinkType::$name)),*];
    };
}

link_types! {
    /// BSD loopback: a four-byte protocol family in the byte order of the capturing host.
    NULL = 0;
    /// Ethernet.
    ETHERNET = 1;
    /// AX.25, amateur packet radio.
    AX25 = 3;
    /// IEEE 802.5 Token Ring.
    TOKEN_RING = 6;
    /// ARCNET with BSD headers.
    ARCNET_BSD = 7;
    /// SLIP with a header of 16 bytes.
    SLIP = 8;
    /// PPP, also in HDLC-like framing.
    PPP = 9;
    /// FDDI.
    FDDI = 10;
    /// IPv4 or IPv6 without a link-layer header, with the number of some BSD captures.
    RAW_BSD = 12;
    /// IPv4 or IPv6 without a link-layer header, with the number of OpenBSD captures.
    RAW_OPENBSD = 14;
    /// PPP in HDLC-like framing, or Cisco HDLC.
    PPP_HDLC = 50;
    /// PPPoE session packets without the Ethernet header.
    PPP_ETHER = 51;
    /// Captures of Symantec's firewall.
    SYMANTEC_FIREWALL = 99;
    /// LLC/SNAP over ATM.
    ATM_RFC1483 = 100;
    /// IPv4 or IPv6 without any link-layer header.
    RAW = 101;
    /// Cisco HDLC.
    C_HDLC = 104;
    /// IEEE 802.11.
    IEEE802_11 = 105;
    /// Linux classical IP over ATM.
    ATM_CLIP = 106;
    /// Frame relay.
    FRELAY = 107;
    /// OpenBSD loopback: a four-byte protocol family in network byte order.
    LOOP = 108;
    /// OpenBSD packets around IPsec.
    ENC = 109;
    /// Linux cooked capture.
    LINUX_SLL = 113;
    /// OpenBSD packet filter log.
    PFLOG = 117;
    /// IEEE 802.11 after a Prism header.
    IEEE802_11_PRISM = 119;
    /// IP over Fibre Channel.
    IP_OVER_FC = 122;
    /// SunATM.
    SUNATM = 123;
    /// IEEE 802.11 after a radiotap header.
    IEEE802_11_RADIOTAP = 127;
    /// Frames that were mirrored in TZSP.
    TZSP = 128;
    /// ARCNET with Linux headers.
    ARCNET_LINUX = 129;
    /// IP over FireWire.
    APPLE_IP_OVER_IEEE1394 = 138;
    /// DOCSIS frames.
    DOCSIS = 143;
    /// Reserved for private use; Apple's older captures use it for [`PKTAP`](Self::PKTAP).
    USER_2 = 149;
    /// IEEE 802.11 after an AVS header.
    IEEE802_11_AVS = 163;
    /// PPP in pppd's log format, with the direction.
    PPP_PPPD = 166;
    /// PPPoE over Ethernet, in the format of Juniper routers.
    JUNIPER_PPPOE = 167;
    /// Ethernet, in the format of Juniper routers.
    JUNIPER_ETHER = 178;
    /// PPP, in the format of Juniper routers.
    JUNIPER_PPP = 179;
    /// Frame relay, in the format of Juniper routers.
    JUNIPER_FRELAY = 180;
    /// Cisco HDLC, in the format of Juniper routers.
    JUNIPER_CHDLC = 181;
    /// Multilink frame relay.
    MFR = 182;
    /// Per-packet information, then another link type.
    PPI = 192;
    /// Records of Endace's capture cards.
    ERF = 197;
    /// AX.25 after a KISS header.
    AX25_KISS = 202;
    /// PPP after a byte for the direction.
    PPP_WITH_DIR = 204;
    /// Cisco HDLC after a byte for the direction.
    C_HDLC_WITH_DIR = 205;
    /// Frame relay after a byte for the direction.
    FRELAY_WITH_DIR = 206;
    /// MPLS label stacks without any link-layer header.
    MPLS = 219;
    /// Traffic between Solaris zones.
    IPNET = 226;
    /// IPv4 without any link-layer header.
    IPV4 = 228;
    /// IPv6 without any link-layer header.
    IPV6 = 229;
    /// Linux netfilter log.
    NFLOG = 239;
    /// Ethernet after a netANALYZER header.
    NETANALYZER = 240;
    /// Ethernet with preamble after a netANALYZER header.
    NETANALYZER_TRANSPARENT = 241;
    /// IP over InfiniBand.
    IPOIB = 242;
    /// Apple's header, then another link type.
    PKTAP = 258;
    /// Ethernet on a passive optical network, with preamble.
    EPON = 259;
    /// Ethernet with preamble (802.3br).
    ETHERNET_MPACKET = 274;
    /// Linux cooked capture, version 2.
    LINUX_SLL2 = 276;
    /// Ethernet with a Broadcom switch tag.
    DSA_TAG_BRCM = 281;
    /// Ethernet after a Broadcom switch tag.
    DSA_TAG_BRCM_PREPEND = 282;
    /// Ethernet with a Marvell DSA tag.
    DSA_TAG_DSA = 284;
    /// Ethernet with a Marvell EDSA tag.
    DSA_TAG_EDSA = 285;
    /// Digital television, ATSC 3.0.
    ATSC_ALP = 289;
    /// Not in the registry: packets of an interface whose hardware type has no number there. Seen
    /// on the interface `any` only.
    UNKNOWN = 0xffff;
}

impl LinkType {
    /// The registry's name, without `LINKTYPE_`. `None` if this crate has no constant for it.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(_, known)| *known == self).map(|(name, _)| *name)
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for LinkType {
    type Err = LinkTypeError;

    fn from_str(text: &str) -> Result<Self, LinkTypeError> {
        const PREFIX: &str = "LINKTYPE_";
        let has_prefix =
            text.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
        let name = if has_prefix { &text[PREFIX.len()..] } else { text };
        let named = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        named
            .map(|(_, link_type)| *link_type)
            .or_else(|| name.parse().ok().map(Self))
            .ok_or_else(|| LinkTypeError { text: text.to_owned() })
    }
}

impl From<u16> for LinkType {
    fn from(number: u16) -> Self {
        Self(number)
    }
}

impl From<LinkType> for u16 {
    fn from(link_type: LinkType) -> Self {
        link_type.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printed_type_parses_to_itself() {
        for link_type in (0..=u16::MAX).map(LinkType) {
            assert_eq!(link_type.to_string().parse(), Ok(link_type));
        }
    }

    #[test]
    fn names_are_read_in_any_form() {
        for text in ["ETHERNET", "ethernet", "LINKTYPE_ETHERNET", "linktype_Ethernet", "1"] {
            assert_eq!(text.parse(), Ok(LinkType::ETHERNET), "{text}");
        }
        for text in ["", "LINKTYPE_", "ETHER NET", "-1", "65536", "linktype\u{fc}"] {
            assert!(text.parse::<LinkType>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_number_has_two_names() {
        for (at, (name, link_type)) in NAMES.iter().enumerate() {
            assert!(!NAMES[..at].iter().any(|(_, other)| other == link_type), "{name}");
        }
    }
}
