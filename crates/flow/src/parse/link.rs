//! Link-layer header types, up to the first Ethertype or IP header.

use super::Unparsed;
use super::walk::{Layer, Walk, be16};
use crate::LinkType;

/// Passes the link-layer header.
pub(super) fn first_layer(walk: &mut Walk<'_>, link_type: LinkType) -> Result<Layer, Unparsed> {
    match link_type {
        LinkType::ETHERNET => Ok(Layer::Ethernet),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => Ok(Layer::Ip),
        LinkType::IPV4 => Ok(Layer::Ipv4),
        LinkType::IPV6 => Ok(Layer::Ipv6),
        LinkType::NULL | LinkType::LOOP => loopback(walk),
        LinkType::LINUX_SLL => {
            let header: &[u8; 16] = walk.header()?;
            walk.skip(16)?;
            Ok(Layer::EtherType(be16(header[14], header[15])))
        }
        LinkType::LINUX_SLL2 => {
            let header: &[u8; 20] = walk.header()?;
            walk.skip(20)?;
            Ok(Layer::EtherType(be16(header[0], header[1])))
        }
        _ => Err(Unparsed::UnsupportedLinkType),
    }
}

/// A four-byte protocol family, in the byte order of the host that captured (NULL) or of the network (LOOP). Real
/// values are small, so the order shows; a few systems wrote an Ethertype instead.
fn loopback(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let family = u32::from_le_bytes(*walk.header()?);
    walk.skip(4)?;
    let family = if family > 0xffff { family.swap_bytes() } else { family };
    match family {
        2 => Ok(Layer::Ipv4),
        // BSD, FreeBSD, Darwin, Linux, Windows: each has a number of its own for IPv6.
        10 | 23 | 24 | 28 | 30 => Ok(Layer::Ipv6),
        0x0600.. => u16::try_from(family).map(Layer::EtherType).map_err(|_| Unparsed::NotIp),
        _ => Err(Unparsed::NotIp),
    }
}
