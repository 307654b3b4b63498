//! Finds the IP header in a packet.

use packet::LinkType;

use crate::link::Link;

/// The maximum number of tags, labels and session headers between link layer and network layer.
const MAX_TAGS: usize = 8;

/// The offset of the outermost IPv4 or IPv6 header, after VLAN tags, MPLS labels and PPPoE. `None`
/// if the packet has none or is truncated before it, or if its link type is not supported.
#[must_use]
pub fn network_offset(link_type: LinkType, packet: &[u8]) -> Option<usize> {
    Link::try_from(link_type).ok()?.network_offset(packet)
}

impl Link {
    fn network_offset(self, data: &[u8]) -> Option<usize> {
        match self {
            Self::Ethernet => ether_type(data, 12, 14),
            Self::LinuxSll => ether_type(data, 14, 16),
            Self::LinuxSll2 => ether_type(data, 0, 20),
            Self::RawIp | Self::Ipv4 | Self::Ipv6 => ip(data, 0),
            Self::Null | Self::Loop | Self::FrameRelay => ip(data, 4),
            Self::Enc => ip(data, 12),
            Self::Slip => ip(data, 16),
            Self::Ipnet => ip(data, 24),
            Self::IpOverFibreChannel => llc(data, 16),
            Self::Pflog => ip(data, usize::from(*data.first()?).next_multiple_of(4)),
            Self::NetAnalyzer | Self::DsaBroadcomPrepended | Self::DsaBroadcom | Self::Dsa => {
                ether_type(data, 16, 18)
            }
            Self::NetAnalyzerTransparent => ether_type(data, 24, 26),
            Self::EthernetMpacket | Self::EtherTypeDsa => ether_type(data, 20, 22),
            Self::Ppp | Self::PppHdlc | Self::PppPppd => ppp(data, 2),
            Self::PppEther => ppp(data, 6),
            Self::PppWithDirection => ppp(data, 3),
            Self::CiscoHdlc => ether_type(data, 2, 4),
            Self::IpOver1394 => ether_type(data, 16, 18),
            Self::IpOverInfiniband => ether_type(data, 40, 44),
            Self::Fddi => llc(data, 13),
            Self::TokenRing => llc(data, 14),
            Self::AtmRfc1483 | Self::AtmClip => llc(data, 0),
            Self::SunAtm => llc(data, 4),
            Self::Arcnet => ip(data, 6),
            Self::ArcnetLinux => ip(data, 8),
            Self::Ieee80211 => wireless(data, 0, false),
            Self::Radiotap => {
                let len = u16::from_le_bytes(*data.get(2..)?.first_chunk()?);
                let (stamp, has_flags) = (data[4..].first()? & 1, data[4] & 2 != 0);
                let flags = data.get(8 + 8 * usize::from(stamp))?;
                wireless(data, len.into(), has_flags && flags & 0x20 != 0)
            }
            Self::Prism if data.get(..3) != Some(&[0x80, 0x21, 0x10]) => wireless(data, 144, false),
            Self::Prism | Self::Avs => {
                let len = u32::from_be_bytes(*data.get(4..)?.first_chunk()?);
                wireless(data, usize::try_from(len).ok()?, false)
            }
        }
    }
}

/// The header after an EtherType, or after an 802.2 header if the field is a length.
fn ether_type(data: &[u8], mut field: usize, mut payload: usize) -> Option<usize> {
    for _ in 0..MAX_TAGS {
        match be16(data, field)? {
            0x0800 | 0x86dd => return ip(data, payload),
            // VLAN tags: IEEE 802.1Q, 802.1ad, and the EtherType in use before 802.1ad.
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

/// The header in an 802.11 data frame. Some adapters pad the 802.11 header to a multiple of four.
fn wireless(data: &[u8], at: usize, padded: bool) -> Option<usize> {
    let [control, flags] = *data.get(at..)?.first_chunk()?;
    if control & 0x0c != 0x08 {
        return None;
    }
    let service = if control & 0x80 != 0 { 2 } else { 0 };
    let fourth = if flags & 3 == 3 { 6 } else { 0 };
    let end = at + 24 + service + fourth;
    llc(data, if padded { end.next_multiple_of(4) } else { end })
}

/// The header after an 802.2 header with the SNAP extension.
fn llc(data: &[u8], at: usize) -> Option<usize> {
    match data.get(at..at + 6)? {
        [0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8] => ether_type(data, at + 6, at + 8),
        [0x06, 0x06, 0x03, ..] => ip(data, at + 3),
        _ => None,
    }
}

/// The header after the protocol field of PPP.
fn ppp(data: &[u8], at: usize) -> Option<usize> {
    match be16(data, at)? {
        0x0021 | 0x0057 => ip(data, at + 2),
        0x0281 | 0x0283 => mpls(data, at + 2),
        _ => None,
    }
}

/// The header after MPLS labels. The bottom label has the S bit set (RFC 3032).
fn mpls(data: &[u8], at: usize) -> Option<usize> {
    let labels = data.get(at..)?.chunks_exact(4);
    let above = labels.take_while(|label| label[2] & 1 == 0).count();
    ip(data, at + 4 * (above + 1))
}

/// Returns the offset if it is that of an IP header.
fn ip(data: &[u8], at: usize) -> Option<usize> {
    matches!(data.get(at)? >> 4, 4 | 6).then_some(at)
}

fn be16(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*data.get(at..)?.first_chunk()?))
}
