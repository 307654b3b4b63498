//! Link-layer headers, up to the first EtherType or IP header.

use super::walk::{Layer, Walk, be16};
use super::{Encapsulation, Unparsed, ax25, erf, llc, ppp, slip, tzsp, wireless};
use crate::LinkType;

/// Skips the link-layer header.
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
            cooked(be16(header[2], header[3]), be16(header[14], header[15]))
        }
        LinkType::LINUX_SLL2 => {
            let header: &[u8; 20] = walk.header()?;
            walk.skip(20)?;
            cooked(be16(header[8], header[9]), be16(header[0], header[1]))
        }
        LinkType::PPP | LinkType::PPP_HDLC => ppp::serial(walk),
        LinkType::PPP_ETHER => ppp::over_ethernet(walk),
        LinkType::PPP_PPPD | LinkType::PPP_WITH_DIR => {
            // The first byte is the direction. In pppd's log it replaces the address byte.
            walk.skip(1)?;
            if link_type == LinkType::PPP_PPPD && walk.captured().starts_with(&[0x03]) {
                walk.skip(1)?;
            }
            Ok(Layer::Ppp)
        }
        LinkType::C_HDLC => ppp::cisco_hdlc(walk),
        LinkType::FRELAY => frame_relay(walk),
        LinkType::FDDI => fddi(walk),
        LinkType::TOKEN_RING => token_ring(walk),
        LinkType::ARCNET_BSD => arcnet(walk, 2),
        LinkType::ARCNET_LINUX => arcnet(walk, 4),
        LinkType::ATM_RFC1483 | LinkType::ATM_CLIP => Ok(Layer::Llc),
        LinkType::SUNATM => {
            let kind = walk.header::<4>()?[0] & 0x0f;
            walk.skip(4)?;
            if kind == 2 { Ok(Layer::Llc) } else { Err(Unparsed::NotIp) }
        }
        LinkType::AX25 => ax25::frame(walk),
        LinkType::AX25_KISS => {
            walk.skip(1)?;
            ax25::frame(walk)
        }
        LinkType::SLIP => slip::frame(walk),
        LinkType::SYMANTEC_FIREWALL => symantec(walk),
        LinkType::IP_OVER_FC => {
            // Two addresses (RFC 2625, section 2.2).
            walk.skip(16)?;
            Ok(Layer::Llc)
        }
        LinkType::TZSP => tzsp::captured(walk),
        LinkType::ERF => erf::record(walk),
        LinkType::C_HDLC_WITH_DIR => {
            walk.skip(1)?;
            ppp::cisco_hdlc(walk)
        }
        LinkType::FRELAY_WITH_DIR => {
            walk.skip(1)?;
            frame_relay(walk)
        }
        LinkType::MFR => multilink_frame_relay(walk),
        LinkType::MPLS => Ok(Layer::Mpls),
        LinkType::IPNET => ipnet(walk),
        LinkType::EPON => ethernet_after(walk, 8),
        LinkType::ATSC_ALP => broadcast(walk),
        LinkType::IEEE802_11 => Ok(Layer::Wlan),
        LinkType::IEEE802_11_PRISM => wireless::prism(walk),
        LinkType::IEEE802_11_RADIOTAP => wireless::radiotap(walk),
        LinkType::IEEE802_11_AVS => wireless::avs(walk),
        LinkType::PPI => nested(walk, wireless::per_packet_information),
        LinkType::PKTAP | LinkType::USER_2 => nested(walk, pktap),
        LinkType::APPLE_IP_OVER_IEEE1394 => {
            let header: &[u8; 18] = walk.header()?;
            walk.skip(18)?;
            Ok(Layer::EtherType(be16(header[16], header[17])))
        }
        LinkType::IPOIB => {
            // Global routing header, then type and two reserved bytes (RFC 4391).
            let header: &[u8; 44] = walk.header()?;
            walk.skip(44)?;
            Ok(Layer::EtherType(be16(header[40], header[41])))
        }
        LinkType::NFLOG => nflog(walk),
        LinkType::ENC => {
            walk.skip(12)?;
            Ok(Layer::Ip)
        }
        LinkType::PFLOG => {
            let len = usize::from(walk.header::<1>()?[0]);
            walk.skip(len.next_multiple_of(4))?;
            Ok(Layer::Ip)
        }
        LinkType::JUNIPER_ETHER | LinkType::JUNIPER_PPPOE => juniper(walk, |_| Ok(Layer::Ethernet)),
        LinkType::JUNIPER_PPP => juniper(walk, |_| Ok(Layer::Ppp)),
        LinkType::JUNIPER_FRELAY => juniper(walk, frame_relay),
        LinkType::JUNIPER_CHDLC => juniper(walk, ppp::cisco_hdlc),
        LinkType::DOCSIS => docsis(walk),
        LinkType::NETANALYZER => ethernet_after(walk, 4),
        LinkType::NETANALYZER_TRANSPARENT => ethernet_after(walk, 12),
        LinkType::ETHERNET_MPACKET => ethernet_after(walk, 8),
        LinkType::DSA_TAG_BRCM => switch_tag(walk, 4),
        LinkType::DSA_TAG_BRCM_PREPEND => ethernet_after(walk, 4),
        LinkType::DSA_TAG_DSA => marvell_tag(walk, 4),
        LinkType::DSA_TAG_EDSA => marvell_tag(walk, 8),
        _ => Err(Unparsed::UnsupportedLinkType(link_type)),
    }
}

/// Parses a four-byte protocol family, in the byte order of the capturing host (NULL) or of the
/// network (LOOP). Real values are small, which reveals the byte order. A few programs wrote other
/// four-byte headers that end with an EtherType.
fn loopback(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 4] = walk.header()?;
    walk.skip(4)?;
    let family = match *header {
        [low, 0, 0, 0] | [0, 0, 0, low] | [0, low, 0, 0] => low,
        [_, _, high, low] => return Ok(Layer::EtherType(be16(high, low))),
    };
    match family {
        2 => Ok(Layer::Ipv4),
        // BSD, FreeBSD, Darwin, Linux and Windows each have their own number for IPv6.
        10 | 23 | 24 | 28 | 30 => Ok(Layer::Ipv6),
        _ => Err(Unparsed::NotIp),
    }
}

/// The layer for a cooked capture's device type (`linux/if_arp.h`) and protocol.
const fn cooked(device: u16, protocol: u16) -> Result<Layer, Unparsed> {
    const ARPHRD_IEEE80211: u16 = 801;
    const ARPHRD_IEEE80211_RADIOTAP: u16 = 803;
    const ETH_P_802_2: u16 = 4;
    match (device, protocol) {
        (ARPHRD_IEEE80211, _) => Ok(Layer::Wlan),
        (ARPHRD_IEEE80211_RADIOTAP, _) => Ok(Layer::Radiotap),
        (_, ETH_P_802_2) => Ok(Layer::Llc),
        (_, 0x0600..) => Ok(Layer::EtherType(protocol)),
        _ => Err(Unparsed::NotIp),
    }
}

/// Parses a header that names the link type of its payload. The payload cannot have the same link
/// type.
fn nested(
    walk: &mut Walk<'_>,
    header: fn(&mut Walk<'_>) -> Result<LinkType, Unparsed>,
) -> Result<Layer, Unparsed> {
    match header(walk)? {
        LinkType::PPI | LinkType::PKTAP => Err(Unparsed::Malformed),
        link_type => first_layer(walk, link_type),
    }
}

/// Skips Apple's header: its length, a record type and the link type of the payload, little-endian.
fn pktap(walk: &mut Walk<'_>) -> Result<LinkType, Unparsed> {
    let header: &[u8; 12] = walk.header()?;
    let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    if len < 12 {
        return Err(Unparsed::Malformed);
    }
    walk.skip(usize::try_from(len).unwrap_or(usize::MAX))?;
    let link_type = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    u16::try_from(link_type).map(LinkType).map_err(|_| Unparsed::Malformed)
}

/// Parses frame relay (RFC 2427): an address that ends with a byte whose lowest bit is set, then an
/// unnumbered frame with a protocol identifier or, in Cisco's encapsulation, an EtherType.
pub(super) fn frame_relay(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let address = walk.captured().iter().take(4).take_while(|byte| **byte & 1 == 0).count() + 1;
    walk.skip(address)?;
    let next: &[u8; 2] = walk.header()?;
    match *next {
        [0x03, 0x00] => {
            walk.skip(2)?;
            llc::nlpid(walk)
        }
        [0x03, _] => {
            walk.skip(1)?;
            llc::nlpid(walk)
        }
        [high, low] => {
            walk.skip(2)?;
            Ok(Layer::EtherType(be16(high, low)))
        }
    }
}

/// Parses multilink frame relay (FRF.16): two bytes that mark the beginning and end of a frame,
/// then the frame. Only whole frames are supported.
fn multilink_frame_relay(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    const WHOLE: u8 = 0xc0;
    const CONTROL: u8 = 0x20;
    let first = walk.header::<2>()?[0];
    if first & CONTROL != 0 {
        return Err(Unparsed::NotIp);
    }
    if first & WHOLE != WHOLE {
        return Err(Unparsed::Encapsulation(Encapsulation::MultilinkFragment));
    }
    walk.skip(2)?;
    frame_relay(walk)
}

/// Parses the header of Symantec's firewall: the EtherType is at 6 in a header of 44 bytes, or at
/// 20 in one of 56.
fn symantec(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 44] = walk.header()?;
    match (be16(header[6], header[7]), be16(header[20], header[21])) {
        (0, 0) => Err(Unparsed::NotIp),
        (0, ether_type) => {
            walk.skip(56)?;
            Ok(Layer::EtherType(ether_type))
        }
        (ether_type, _) => {
            walk.skip(44)?;
            Ok(Layer::EtherType(ether_type))
        }
    }
}

/// Parses a Solaris header: version, address family, and the packet's source and destination zones.
fn ipnet(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let family = walk.header::<24>()?[1];
    walk.skip(24)?;
    match family {
        2 => Ok(Layer::Ipv4),
        26 => Ok(Layer::Ipv6),
        _ => Err(Unparsed::NotIp),
    }
}

/// Parses the link layer of ATSC 3.0 (A/330, section 5.1) with a whole IPv4 packet: type, flags, a
/// length of 11 or 16 bits.
fn broadcast(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    const SEGMENTED: u8 = 0x10;
    const LONG: u8 = 0x08;
    const EXTENDED: u8 = 0x03;
    let [first, low] = *walk.header::<2>()?;
    if first >> 5 != 0 || first & SEGMENTED != 0 {
        return Err(Unparsed::NotIp);
    }
    let mut len = usize::from(be16(first & 0x07, low));
    walk.skip(2)?;
    if first & LONG != 0 {
        let third = walk.header::<1>()?[0];
        if third & EXTENDED != 0 {
            return Err(Unparsed::NotIp);
        }
        len |= usize::from(third >> 3) << 11;
        walk.skip(1)?;
    }
    walk.limit(len);
    Ok(Layer::Ipv4)
}

/// Skips FDDI: frame control and two addresses, then LLC.
fn fddi(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let control = walk.header::<13>()?[0];
    walk.skip(13)?;
    if control & 0x70 == 0x50 { Ok(Layer::Llc) } else { Err(Unparsed::NotIp) }
}

/// Skips token ring: access and frame control, two addresses, a route if the source address has its
/// first bit set, then LLC.
fn token_ring(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 14] = walk.header()?;
    walk.skip(14)?;
    if header[1] & 0xc0 != 0x40 {
        return Err(Unparsed::NotIp);
    }
    if header[8] & 0x80 != 0 {
        let route_len = walk.header::<1>()?[0] & 0x1f;
        walk.skip(usize::from(route_len))?;
    }
    Ok(Layer::Llc)
}

/// Parses ARCNET with the protocol `at` bytes into the frame (RFC 1051; RFC 1201 if the packet was
/// not split).
fn arcnet(walk: &mut Walk<'_>, at: usize) -> Result<Layer, Unparsed> {
    const EXCEPTION: u8 = 0xff;
    const WHOLE: u8 = 0;
    walk.skip(at)?;
    let mut header: &[u8; 2] = walk.header()?;
    if header[1] == EXCEPTION && !matches!(header[0], 240 | 241) {
        walk.skip(4)?;
        header = walk.header()?;
    }
    match *header {
        [240, _] => {
            walk.skip(1)?;
            Ok(Layer::Ipv4)
        }
        [212, WHOLE] => {
            walk.skip(4)?;
            Ok(Layer::Ipv4)
        }
        [196, WHOLE] => {
            walk.skip(4)?;
            Ok(Layer::Ipv6)
        }
        [212 | 196, _] => Err(Unparsed::Encapsulation(Encapsulation::ArcnetFragment)),
        _ => Err(Unparsed::NotIp),
    }
}

/// Parses Netfilter's log: four bytes, then attributes in the byte order of the capturing host,
/// padded to four. Lengths are small, so little-endian is tried first.
fn nflog(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    const PAYLOAD: u16 = 9;
    walk.skip(4)?;
    loop {
        let head: &[u8; 4] = walk.header()?;
        let little = usize::from(be16(head[1], head[0])) <= walk.wire_remaining();
        let (len, kind) = if little {
            (be16(head[1], head[0]), be16(head[3], head[2]))
        } else {
            (be16(head[0], head[1]), be16(head[2], head[3]))
        };
        let len = usize::from(len);
        if len < 4 {
            return Err(Unparsed::Malformed);
        }
        walk.enter()?;
        if kind == PAYLOAD {
            walk.limit(len);
            walk.skip(4)?;
            return Ok(Layer::Ip);
        }
        walk.skip(len.next_multiple_of(4))?;
    }
}

/// Skips Juniper's header: magic number, flags, and attributes if a flag is set.
fn juniper(
    walk: &mut Walk<'_>,
    frame: fn(&mut Walk<'_>) -> Result<Layer, Unparsed>,
) -> Result<Layer, Unparsed> {
    const WITHOUT_LINK_LAYER: u8 = 0x02;
    const ATTRIBUTES: u8 = 0x80;
    let header: &[u8; 4] = walk.header()?;
    let [0x4d, 0x47, 0x43, flags] = *header else { return Err(Unparsed::Malformed) };
    walk.skip(4)?;
    if flags & ATTRIBUTES != 0 {
        let len: &[u8; 2] = walk.header()?;
        walk.skip(2 + usize::from(be16(len[0], len[1])))?;
    }
    if flags & WITHOUT_LINK_LAYER != 0 {
        walk.skip(4)?;
        return Ok(Layer::Ip);
    }
    frame(walk)
}

/// Skips a DOCSIS header: frame control, a parameter, a length, and an extended header with the
/// parameter as its length if a bit is set.
fn docsis(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 6] = walk.header()?;
    if header[0] >> 6 != 0 {
        return Err(Unparsed::NotIp);
    }
    let extended = if header[0] & 1 != 0 { usize::from(header[1]) } else { 0 };
    ethernet_after(walk, 6 + extended)
}

fn ethernet_after(walk: &mut Walk<'_>, len: usize) -> Result<Layer, Unparsed> {
    walk.skip(len)?;
    Ok(Layer::Ethernet)
}

/// Parses Marvell's switch tag of `len` bytes. Its last four bytes have the layout of a VLAN tag,
/// if the frame had one.
fn marvell_tag(walk: &mut Walk<'_>, len: usize) -> Result<Layer, Unparsed> {
    const TAGGED: u8 = 0x20;
    if let [flags, _, high, low] = walk.bytes(12 + len)?[8 + len..]
        && flags & TAGGED != 0
    {
        walk.vlan(be16(high, low))?;
    }
    switch_tag(walk, len)
}

/// Skips a switch tag of `len` bytes between the addresses and the EtherType.
fn switch_tag(walk: &mut Walk<'_>, len: usize) -> Result<Layer, Unparsed> {
    walk.skip(12 + len)?;
    let next: &[u8; 2] = walk.header()?;
    walk.skip(2)?;
    Ok(Layer::EtherType(be16(next[0], next[1])))
}
