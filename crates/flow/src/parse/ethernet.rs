//! Ethernet (IEEE 802.3, section 3), VLAN tags (IEEE 802.1Q, section 9).

use super::tag::before_frame;
use super::walk::{Layer, Walk, be16};
use super::{Unparsed, batman, ip, link, ppp, tag};

pub(super) mod ether_type {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const SERVICE_VLAN: u16 = 0x88a8;
    pub(crate) const BATMAN: u16 = 0x4305;
}

/// Parses an Ethernet frame from its destination address on.
pub(super) fn frame(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 14] = walk.header()?;
    walk.skip(14)?;
    Ok(Layer::EtherType(be16(header[12], header[13])))
}

/// The layer after an EtherType, or after the length in its place (802.3, section 3.2.6).
pub(super) fn payload(walk: &mut Walk<'_>, ether_type: u16) -> Result<Layer, Unparsed> {
    const MAX_LENGTH: u16 = 1500;
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
        0..=MAX_LENGTH => {
            if ether_type != 0 {
                walk.limit(usize::from(ether_type));
            }
            Ok(Layer::Llc)
        }
        _ => rare_payload(walk, ether_type),
    }
}

#[cold]
fn rare_payload(walk: &mut Walk<'_>, ether_type: u16) -> Result<Layer, Unparsed> {
    match ether_type {
        0x8847 | 0x8848 => Ok(Layer::Mpls),
        0x8864 => ppp::over_ethernet(walk),
        0x880b => Ok(Layer::Ppp),
        0x6558 => before_frame(walk, 0),
        0x88e7 => tag::backbone(walk),
        0x8909 => tag::cisco_metadata(walk),
        0x88e5 => tag::macsec(walk),
        0x894f => Ok(Layer::ServiceHeader),
        0x22f3 => tag::trill(walk),
        // Cisco FabricPath: a forwarding tag and a time to live, then the frame.
        0x8903 => before_frame(walk, 2),
        // VN-Tag, bridge port extension (802.1BR), HSR (IEC 62439-3).
        0x8926 => tag::fixed::<6>(walk),
        0x893f => tag::fixed::<8>(walk),
        0x892f => tag::fixed::<6>(walk),
        // Redundancy tag (802.1CB); Marvell's switch tag with an EtherType of its own.
        0xf1c1 => tag::fixed::<6>(walk),
        0xdada => tag::fixed::<8>(walk),
        // LLC frames longer than the length field allows (draft-ietf-isis-ext-eth-01).
        0x8870 => Ok(Layer::Llc),
        // Bridged frame relay in GRE (RFC 1701).
        0x6559 => link::frame_relay(walk),
        ether_type::BATMAN => batman::packet(walk),
        _ => Err(Unparsed::EtherType(ether_type)),
    }
}

/// Returns `true` if these bytes are an Ethernet frame that contains a valid IP packet, with at
/// most two VLAN tags.
pub(super) fn is_ip(bytes: &[u8], wire_len: usize) -> bool {
    let types = bytes.get(12..).unwrap_or_default();
    let mut at = 0;
    while at <= 8
        && let Some([high, low]) = types.get(at..at + 2)
    {
        match be16(*high, *low) {
            ether_type::VLAN | ether_type::SERVICE_VLAN => at += 4,
            ether_type::IPV4 | ether_type::IPV6 => {
                let (packet, len) = (&types[at + 2..], wire_len.saturating_sub(14 + at));
                return ip::plausible(packet, len) && ip::header_holds(packet);
            }
            _ => return false,
        }
    }
    false
}

/// Returns `true` if these bytes look like an Ethernet frame with a supported payload. For
/// positions where no header indicates the type.
pub(super) fn plausible(bytes: &[u8]) -> bool {
    let Some([_, _, _, _, _, _, _, _, _, _, _, _, high, low]) = bytes.first_chunk::<14>() else {
        return false;
    };
    match be16(*high, *low) {
        ether_type::IPV4 => bytes.get(14).is_some_and(|first| first >> 4 == 4),
        ether_type::IPV6 => bytes.get(14).is_some_and(|first| first >> 4 == 6),
        ether_type::VLAN | ether_type::SERVICE_VLAN | 0x8847 | 0x8848 | 0x8864 => true,
        length => length <= 1500 && bytes[14..].starts_with(&[0xaa, 0xaa, 0x03]),
    }
}
