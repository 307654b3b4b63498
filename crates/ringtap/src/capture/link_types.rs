//! libpcap's names of link-layer headers.

use ring_core::LinkType;

use crate::Error;
use crate::input::Input;
use crate::output::Output;
use crate::text::escape::Escaped;

/// Names and descriptions of the link types that live interfaces have, and of the one that all
/// can be written as.
const LINK_TYPES: [(&str, &str, LinkType); 9] = [
    ("EN10MB", "Ethernet", LinkType::ETHERNET),
    ("RAW", "Raw IP", LinkType::RAW),
    ("IPV4", "Raw IPv4", LinkType::IPV4),
    ("IPV6", "Raw IPv6", LinkType::IPV6),
    ("LINUX_SLL", "Linux cooked v1", LinkType::LINUX_SLL),
    ("LINUX_SLL2", "Linux cooked v2", LinkType::LINUX_SLL2),
    ("IEEE802_11", "802.11", LinkType(105)),
    ("IEEE802_11_RADIO", "802.11 plus radiotap header", LinkType(127)),
    ("NULL", "BSD loopback", LinkType::NULL),
];

/// The link type of this name, in letters of any case.
pub(super) fn named(name: &str) -> Option<LinkType> {
    let found = LINK_TYPES.iter().find(|known| known.0.eq_ignore_ascii_case(name));
    found.map(|known| known.2)
}

/// The name, or the number if it has none.
pub(super) fn name(link_type: LinkType) -> String {
    let known = LINK_TYPES.iter().find(|known| known.2 == link_type);
    known.map_or_else(|| link_type.0.to_string(), |known| known.0.to_owned())
}

/// The name with a description.
pub(super) fn description(link_type: LinkType) -> String {
    let known = LINK_TYPES.iter().find(|known| known.2 == link_type);
    known.map_or_else(|| link_type.0.to_string(), |(name, text, _)| format!("{name} ({text})"))
}

/// Lists what packets of the interface can be written with.
pub(crate) fn list(input: &Input, output: &Output) -> Result<(), Error> {
    let name = input.name();
    let own = if name == "any" {
        None
    } else {
        let hardware = ring_sys::interface::hardware_type(&name).map_err(Error::Interfaces)?;
        LinkType::of_hardware(hardware)
    };
    output.write(|w| {
        writeln!(w, "Link-layer headers for {} (-y):", Escaped(&name))?;
        own.map_or(Ok(()), |own| writeln!(w, "  {}", description(own)))?;
        writeln!(w, "  {}", description(LinkType::LINUX_SLL2))
    });
    Ok(())
}
