//! The place of the IP header in a packet.

use crate::link_type::LinkType;

/// Headers between link layer and network layer that are passed: tags, labels, sessions.
const MAX_TAGS: usize = 8;

impl LinkType {
    /// The offset of the outermost IPv4 or IPv6 header, behind VLAN tags, MPLS labels and PPPoE; `None` if the packet has
    /// none or was cut off before it.
    pub fn network_offset(self, data: &[u8]) -> Option<usize> {
        match self {
            Self::Ethernet => ether_type(data, 12, 14),
            Self::LinuxSll => ether_type(data, 14, 16),
            Self::LinuxSll2 => ether_type(data, 0, 20),
            Self::RawIp | Self::Ipv4 | Self::Ipv6 => ip(data, 0),
            Self::Null | Self::Loop => ip(data, 4),
        }
    }
}

/// The header behind an EtherType (or an 802.2 header, where the type is a length) and what stands before its payload.
fn ether_type(data: &[u8], mut field: usize, mut payload: usize) -> Option<usize> {
    for _ in 0..MAX_TAGS {
        match be16(data, field)? {
            0x0800 | 0x86dd => return ip(data, payload),
            // A VLAN tag: IEEE 802.1Q, 802.1ad, and what came before that.
            0x8100 | 0x88a8 | 0x9100 => (field, payload) = (payload + 2, payload + 4),
            0x8847 | 0x8848 => return mpls(data, payload),
            // RFC 2516: six bytes, then PPP.
            0x8864 => return ppp(data, payload + 6),
            0..=1500 => return llc(data, payload),
            _ => return None,
        }
    }
    None
}

/// The header behind an 802.2 header with the SNAP extension.
fn llc(data: &[u8], at: usize) -> Option<usize> {
    match data.get(at..at + 6)? {
        [0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8] => ether_type(data, at + 6, at + 8),
        [0x06, 0x06, 0x03, ..] => ip(data, at + 3),
        _ => None,
    }
}

/// The header behind the protocol field of PPP.
fn ppp(data: &[u8], at: usize) -> Option<usize> {
    match be16(data, at)? {
        0x0021 | 0x0057 => ip(data, at + 2),
        0x0281 | 0x0283 => mpls(data, at + 2),
        _ => None,
    }
}

/// The header behind labels, of which the bottom one has a bit set (RFC 3032).
fn mpls(data: &[u8], at: usize) -> Option<usize> {
    let labels = data.get(at..)?.chunks_exact(4);
    let above = labels.take_while(|label| label[2] & 1 == 0).count();
    ip(data, at + 4 * (above + 1))
}

/// The header at an offset, if it is one of IP.
fn ip(data: &[u8], at: usize) -> Option<usize> {
    matches!(data.get(at)? >> 4, 4 | 6).then_some(at)
}

fn be16(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*data.get(at..)?.first_chunk()?))
}
