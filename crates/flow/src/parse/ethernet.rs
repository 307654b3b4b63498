//! Ethernet (IEEE 802.3, section 3), VLAN tags (IEEE 802.1Q, section 9).

use super::Unparsed;
use super::walk::{Layer, Walk, be16};

pub(super) mod ether_type {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const SERVICE_VLAN: u16 = 0x88a8;
}

/// An Ethernet frame from its destination address on.
pub(super) fn frame(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 14] = walk.header()?;
    walk.skip(14)?;
    Ok(Layer::EtherType(be16(header[12], header[13])))
}

/// What follows an Ethertype.
pub(super) fn payload(walk: &mut Walk<'_>, ether_type: u16) -> Result<Layer, Unparsed> {
    match ether_type {
        ether_type::IPV4 => Ok(Layer::Ipv4),
        ether_type::IPV6 => Ok(Layer::Ipv6),
        // 0x9100 to 0x9300 were used for outer tags before 802.1ad.
        ether_type::VLAN | ether_type::SERVICE_VLAN | 0x9100 | 0x9200 | 0x9300 => {
            let tag: &[u8; 4] = walk.header()?;
            walk.vlan(be16(tag[0], tag[1]))?;
            walk.skip(4)?;
            Ok(Layer::EtherType(be16(tag[2], tag[3])))
        }
        _ => Err(Unparsed::NotIp),
    }
}
