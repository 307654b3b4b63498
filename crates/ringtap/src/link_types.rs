//! libpcap's names of link-layer headers.

use ring_core::LinkType;

use crate::Error;
use crate::input::Input;
use crate::output::Output;
use crate::text::escape::Escaped;

/// Names, descriptions and numbers of the link types for which expressions can be compiled, and of
/// those whose header names another link type.
const LINK_TYPES: [(&str, &str, u16); 54] = [
    ("NULL", "BSD loopback", 0),
    ("EN10MB", "Ethernet", 1),
    ("IEEE802", "Token ring", 6),
    ("ARCNET", "BSD ARCNET", 7),
    ("SLIP", "SLIP", 8),
    ("PPP", "PPP", 9),
    ("FDDI", "FDDI", 10),
    ("PPP_SERIAL", "PPP over serial", 50),
    ("PPP_ETHER", "PPPoE", 51),
    ("SYMANTEC_FIREWALL", "Symantec Firewall", 99),
    ("ATM_RFC1483", "RFC 1483 LLC-encapsulated ATM", 100),
    ("RAW", "Raw IP", 101),
    ("C_HDLC", "Cisco HDLC", 104),
    ("IEEE802_11", "802.11", 105),
    ("ATM_CLIP", "Linux Classical IP over ATM", 106),
    ("FRELAY", "Frame Relay", 107),
    ("LOOP", "OpenBSD loopback", 108),
    ("ENC", "OpenBSD encapsulated IP", 109),
    ("LINUX_SLL", "Linux cooked v1", 113),
    ("PFLOG", "OpenBSD pflog file", 117),
    ("PRISM_HEADER", "802.11 plus Prism header", 119),
    ("IP_OVER_FC", "RFC 2625 IP-over-Fibre Channel", 122),
    ("SUNATM", "Sun raw ATM", 123),
    ("IEEE802_11_RADIO", "802.11 plus radiotap header", 127),
    ("ARCNET_LINUX", "Linux ARCNET", 129),
    ("APPLE_IP_OVER_IEEE1394", "Apple IP-over-IEEE 1394", 138),
    ("DOCSIS", "DOCSIS", 143),
    ("IEEE802_11_RADIO_AVS", "802.11 plus AVS radio information header", 163),
    ("PPP_PPPD", "PPP for pppd, with direction flag", 166),
    ("JUNIPER_PPPOE", "Juniper PPPoE", 167),
    ("JUNIPER_ETHER", "Juniper Ethernet", 178),
    ("JUNIPER_PPP", "Juniper PPP", 179),
    ("JUNIPER_FRELAY", "Juniper Frame Relay", 180),
    ("JUNIPER_CHDLC", "Juniper C-HDLC", 181),
    ("MFR", "FRF.16 Frame Relay", 182),
    ("PPI", "Per-Packet Information", 192),
    ("ERF", "Endace ERF header", 197),
    ("AX25_KISS", "AX.25 with KISS header", 202),
    ("MPLS", "MPLS with label as link-layer header", 219),
    ("IPNET", "Solaris ipnet", 226),
    ("IPV4", "Raw IPv4", 228),
    ("IPV6", "Raw IPv6", 229),
    ("NFLOG", "Linux netfilter log messages", 239),
    ("NETANALYZER", "Ethernet with Hilscher netANALYZER pseudo-header", 240),
    ("NETANALYZER_TRANSPARENT", "the same with preamble and SFD", 241),
    ("IPOIB", "RFC 4391 IP-over-Infiniband", 242),
    ("PKTAP", "Apple DLT_PKTAP", 258),
    ("EPON", "Ethernet with 802.3 Clause 65 EPON preamble", 259),
    ("ETHERNET_MPACKET", "802.3br mPackets", 274),
    ("LINUX_SLL2", "Linux cooked v2", 276),
    ("DSA_TAG_BRCM", "Broadcom tag", 281),
    ("DSA_TAG_BRCM_PREPEND", "Broadcom tag (prepended)", 282),
    ("DSA_TAG_DSA", "Marvell DSA", 284),
    ("DSA_TAG_EDSA", "Marvell EDSA", 285),
];

/// The link type of this name, in letters of any case.
pub(crate) fn named(name: &str) -> Option<LinkType> {
    let found = LINK_TYPES.iter().find(|known| known.0.eq_ignore_ascii_case(name));
    found.map(|known| LinkType(known.2))
}

/// The same for an option.
pub(crate) fn parse(name: &str) -> Result<LinkType, String> {
    named(name).ok_or_else(|| {
        "not a name of a link-layer header, such as EN10MB or LINUX_SLL2; -L lists those of an interface".to_owned()
    })
}

/// The name, or the number if it has none.
pub(crate) fn name(link_type: LinkType) -> String {
    let known = LINK_TYPES.iter().find(|known| known.2 == link_type.0);
    known.map_or_else(|| link_type.0.to_string(), |known| known.0.to_owned())
}

/// The name with a description.
pub(crate) fn description(link_type: LinkType) -> String {
    let known = LINK_TYPES.iter().find(|known| known.2 == link_type.0);
    known.map_or_else(|| link_type.0.to_string(), |(name, text, _)| format!("{name} ({text})"))
}

/// Lists what packets of the interface can be written with.
pub(crate) fn list(input: &Input, output: &Output) -> Result<(), Error> {
    let name = input.name();
    let own = if name == "any" {
        None
    } else {
        let hardware = ring_sys::interface::hardware_type(&name).map_err(Error::Interfaces)?;
        ring_core::link_type_of(hardware)
    };
    output.write(|w| {
        writeln!(w, "Link-layer headers for {} (-y):", Escaped(&name))?;
        own.map_or(Ok(()), |own| writeln!(w, "  {}", description(own)))?;
        writeln!(w, "  {}", description(LinkType::LINUX_SLL2))
    });
    Ok(())
}
