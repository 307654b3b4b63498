//! Conversion of packets of any link type to Linux cooked packets, for files that hold only one
//! link type.

use crate::{Direction, LinkType, Packet};

/// Length of the header (LINKTYPE_LINUX_SLL2 of the tcpdump group's registry).
const HEADER: usize = 20;
/// Length of an Ethernet header.
const ETHERNET: usize = 14;
/// The lowest EtherType; lower values are lengths of IEEE 802.3.
const LOWEST_TYPE: u16 = 0x0600;

/// `ETH_P_802_3` and `ETH_P_802_2` of `linux/if_ether.h`: frames with a length instead of a type.
const NOVELL: u16 = 1;
const LLC: u16 = 4;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const CAN: u16 = 0x000c;

/// `ARPHRD_*` of `linux/if_arp.h`.
mod hardware {
    pub(super) const ETHERNET: u16 = 1;
    pub(super) const INFINIBAND: u16 = 32;
    pub(super) const CAN: u16 = 280;
    pub(super) const IEEE80211: u16 = 801;
    pub(super) const PRISM: u16 = 802;
    pub(super) const RADIOTAP: u16 = 803;
    pub(super) const NONE: u16 = 0xfffe;
    pub(super) const VOID: u16 = 0xffff;
}

/// Replaces the packet's link-layer header by a cooked one. The new packet is in `memory`. A VLAN
/// tag that was removed on receipt stays in the metadata.
pub(crate) fn cook<'a>(packet: &Packet<'a>, memory: &'a mut Vec<u8>) -> Packet<'a> {
    if packet.link_type() == LinkType::LINUX_SLL2 {
        return *packet;
    }
    let data = packet.data();
    let (protocol, hardware, skipped, address) = parts(packet.link_type(), data);
    memory.clear();
    memory.reserve(HEADER + data.len());
    memory.extend(protocol.to_be_bytes());
    memory.extend([0, 0]);
    memory.extend(packet.meta().interface.to_be_bytes());
    memory.extend(hardware.to_be_bytes());
    memory.push(kind(packet.meta().direction));
    memory.push(address.len() as u8);
    let mut padded = [0; 8];
    padded[..address.len()].copy_from_slice(address);
    memory.extend(padded);
    memory.extend(&data[skipped..]);
    let mut meta = *packet.meta();
    meta.link_type = LinkType::LINUX_SLL2;
    meta.wire_len = meta.wire_len.saturating_sub(skipped as u32).saturating_add(HEADER as u32);
    Packet::with_meta(memory, meta)
}

/// Protocol, hardware type, length of the replaced header, and the sender's address.
fn parts(link_type: LinkType, data: &[u8]) -> (u16, u16, usize, &[u8]) {
    match link_type {
        LinkType::ETHERNET if data.len() >= ETHERNET => {
            let protocol = match u16::from_be_bytes([data[12], data[13]]) {
                length if length >= LOWEST_TYPE => length,
                _ if data[ETHERNET..].starts_with(&[0xff, 0xff]) => NOVELL,
                _ => LLC,
            };
            (protocol, hardware::ETHERNET, ETHERNET, &data[6..12])
        }
        // If the header is incomplete, none of its fields are known.
        LinkType::ETHERNET => (0, hardware::ETHERNET, 0, &[]),
        LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => {
            let protocol = match data.first().map(|first| first >> 4) {
                Some(4) => IPV4,
                Some(6) => IPV6,
                _ => 0,
            };
            (protocol, hardware::NONE, 0, &[])
        }
        LinkType::LINUX_SLL if data.len() >= 16 => {
            let field = |at: usize| u16::from_be_bytes([data[at], data[at + 1]]);
            let length = usize::from(field(4)).min(8);
            (field(14), field(2), 16, &data[6..6 + length])
        }
        LinkType(227) => (CAN, hardware::CAN, 0, &[]),
        LinkType(247) => (0, hardware::INFINIBAND, 0, &[]),
        LinkType(105) => (0, hardware::IEEE80211, 0, &[]),
        LinkType(119) => (0, hardware::PRISM, 0, &[]),
        LinkType(127) => (0, hardware::RADIOTAP, 0, &[]),
        _ => (0, hardware::VOID, 0, &[]),
    }
}

/// `PACKET_*` of `linux/if_packet.h`.
fn kind(direction: Direction) -> u8 {
    match direction {
        Direction::Host | Direction::Unknown => 0,
        Direction::Broadcast => 1,
        Direction::Multicast => 2,
        Direction::OtherHost => 3,
        Direction::Outgoing => 4,
    }
}
