//! Link types whose header names the link type of its payload, or holds the payload in attributes.
//!
//! A BPF program cannot search attributes or switch to another layout. So the caller strips such a
//! header first and then runs the program for the inner link type.

use packet::LinkType;

/// The link types that [`inner_link_type`] supports.
const NESTED: [u16; 21] = [
    3, 99, 128, 143, 149, 167, 178, 179, 180, 181, 182, 192, 197, 202, 205, 206, 219, 239, 258,
    259, 289,
];

/// Returns `true` for link types whose header precedes another link type, so that
/// [`inner_link_type`] must skip it. No expression can be compiled for such a link type itself.
#[must_use]
pub fn has_inner_link_type(link_type: LinkType) -> bool {
    NESTED.contains(&link_type.0)
}

/// Skips a header that names another link type, or always precedes the same one. Returns
/// the inner link type and the offset of its header. `None` for other link types, for a header
/// that is invalid or truncated, and for a payload that no expression can test.
///
/// Supported are AX.25 with and without KISS (3, 202), Symantec's firewall (99), TZSP (128), DOCSIS
/// (143), PKTAP (149, 258), Juniper's Ethernet, PPP, frame relay and Cisco HDLC (167, 178 to 181),
/// multilink frame relay (182), per-packet information (192), ERF (197), Cisco HDLC and frame relay
/// behind a direction (205, 206), MPLS (219), NFLOG (239), EPON (259) and ATSC (289).
///
/// ```
/// use packet_filter::LinkType;
///
/// // Per-packet information: version, flags, eight bytes long, then 802.11.
/// let packet = [0, 0, 8, 0, 105, 0, 0, 0, 0x08, 0x01];
/// let inner = packet_filter::inner_link_type(LinkType::PPI, &packet);
/// assert_eq!(inner, Some((LinkType::IEEE802_11, 8)));
/// assert_eq!(packet_filter::inner_link_type(LinkType::ETHERNET, &packet), None);
/// ```
pub fn inner_link_type(link_type: LinkType, packet: &[u8]) -> Option<(LinkType, usize)> {
    let (inner, at) = match link_type.0 {
        3 => (LinkType::RAW, amateur_payload(packet, 0)?),
        202 => (LinkType::RAW, amateur_payload(packet, 1)?),
        99 => firewall(packet)?,
        128 => mirrored(packet)?,
        143 => {
            let [control, parameter] = chunk(packet, 0)?;
            let extended = if control & 1 != 0 { usize::from(parameter) } else { 0 };
            // Packet data, as opposed to ATM cells and the link's own messages.
            if control >> 6 != 0 {
                return None;
            }
            (LinkType::ETHERNET, 6 + extended)
        }
        149 | 258 => {
            let len = u32::from_le_bytes(chunk(packet, 0)?).max(12);
            (number(u32::from_le_bytes(chunk(packet, 8)?))?, usize::try_from(len).ok()?)
        }
        167 | 178 => juniper(packet, LinkType::ETHERNET)?,
        179 => juniper(packet, LinkType::PPP)?,
        180 => juniper(packet, LinkType::FRELAY)?,
        181 => juniper(packet, LinkType::C_HDLC)?,
        // A whole frame (FRF.16), not a control message.
        182 if packet.first()? & 0xe0 == 0xc0 => (LinkType::FRELAY, 2),
        192 => {
            let len = u16::from_le_bytes(chunk(packet, 2)?);
            (number(u32::from_le_bytes(chunk(packet, 4)?))?, usize::from(len.max(8)))
        }
        197 => card(packet)?,
        205 => (LinkType::C_HDLC, 1),
        206 => (LinkType::FRELAY, 1),
        219 => {
            // The bottom label has the S bit set (RFC 3032).
            let above = packet.chunks_exact(4).position(|label| label[2] & 1 != 0)?;
            (LinkType::RAW, 4 * (above + 1))
        }
        239 => (LinkType::RAW, netfilter_payload(packet)?),
        259 => (LinkType::ETHERNET, 8),
        289 => (LinkType::IPV4, broadcast_payload(packet)?),
        _ => return None,
    };
    (at <= packet.len()).then_some((inner, at))
}

/// Skips Juniper's header (magic number, flags, and attributes if a flag is set), which precedes a
/// frame, or four bytes and IP.
fn juniper(packet: &[u8], inner: LinkType) -> Option<(LinkType, usize)> {
    const WITHOUT_LINK_LAYER: u8 = 0x02;
    const ATTRIBUTES: u8 = 0x80;
    let [b'M', b'G', b'C', flags] = chunk(packet, 0)? else { return None };
    let mut at = 4;
    if flags & ATTRIBUTES != 0 {
        at += 2 + usize::from(u16::from_be_bytes(chunk(packet, 4)?));
    }
    Some(if flags & WITHOUT_LINK_LAYER != 0 { (LinkType::RAW, at + 4) } else { (inner, at) })
}

/// Skips AX.25 (version 2.2, section 3): addresses of seven bytes, the last of which has its lowest
/// bit set, a control field, and the protocol identifier of IP.
fn amateur_payload(packet: &[u8], start: usize) -> Option<usize> {
    const MAX_ADDRESSES: usize = 10;
    let addresses = packet.get(start..)?.chunks_exact(7).take(MAX_ADDRESSES);
    let above = addresses.clone().position(|address| address[6] & 1 != 0)?;
    let at = start + 7 * (above + 1);
    let [control, identifier] = chunk(packet, at)?;
    let has_information = control & !0x10 == 0x03 || control & 1 == 0;
    (has_information && identifier == 0xcc).then_some(at + 2)
}

/// Skips the header of Symantec's firewall: the EtherType is at 6 in a header of 44 bytes, or at 20
/// in one of 56.
fn firewall(packet: &[u8]) -> Option<(LinkType, usize)> {
    let [short, long] = [6, 20].map(|at| chunk(packet, at).map(u16::from_be_bytes));
    let (ether_type, at) = if short? == 0 { (long?, 56) } else { (short?, 44) };
    match ether_type {
        0x0800 => Some((LinkType::IPV4, at)),
        0x86dd => Some((LinkType::IPV6, at)),
        _ => None,
    }
}

/// Skips TZSP: version, type and frame type, then tagged fields. Each field has a length, except
/// for padding and end.
fn mirrored(packet: &[u8]) -> Option<(LinkType, usize)> {
    let [1, 0 | 1, high, low] = chunk(packet, 0)? else { return None };
    let inner = match u16::from_be_bytes([high, low]) {
        1 => LinkType::ETHERNET,
        18 => LinkType::IEEE802_11,
        119 => LinkType::IEEE802_11_PRISM,
        127 => LinkType::IEEE802_11_AVS,
        _ => return None,
    };
    let mut at = 4;
    loop {
        match chunk(packet, at)? {
            [1] => return Some((inner, at + 1)),
            [0] => at += 1,
            [_] => {
                let [len] = chunk(packet, at + 1)?;
                at += 2 + usize::from(len);
            }
        }
    }
}

/// Skips the header of a record of Endace's cards: a time stamp, a type, lengths, and extension
/// headers if the type's highest bit is set.
fn card(packet: &[u8]) -> Option<(LinkType, usize)> {
    const EXTENDED: u8 = 0x80;
    let [kind] = chunk(packet, 8)?;
    let (mut more, mut at) = (kind & EXTENDED != 0, 16);
    while more {
        let [next] = chunk(packet, at)?;
        (more, at) = (next & EXTENDED != 0, at + 8);
    }
    match kind & !EXTENDED {
        // HDLC with the address and control bytes of PPP, or with those of Cisco HDLC.
        1 | 10 | 15 | 17 | 19 => match chunk(packet, at)? {
            [0x0f | 0x8f, 0] => Some((LinkType::C_HDLC, at)),
            _ => Some((LinkType::PPP, at)),
        },
        2 | 11 | 16 | 20 => Some((LinkType::ETHERNET, at + 2)),
        4 | 18 => Some((LinkType::ATM_RFC1483, at + 4)),
        22 => Some((LinkType::IPV4, at)),
        23 => Some((LinkType::IPV6, at)),
        _ => None,
    }
}

/// Finds a whole IPv4 packet in the link layer of ATSC 3.0 (A/330, section 5.1).
fn broadcast_payload(packet: &[u8]) -> Option<usize> {
    const SEGMENTED: u8 = 0x10;
    const LONG: u8 = 0x08;
    const EXTENDED: u8 = 0x03;
    let [first, _] = chunk(packet, 0)?;
    if first >> 5 != 0 || first & SEGMENTED != 0 {
        return None;
    }
    if first & LONG == 0 {
        return Some(2);
    }
    let [third] = chunk(packet, 2)?;
    (third & EXTENDED == 0).then_some(3)
}

/// Finds the payload among Netfilter's log attributes, which are in the byte order of the capturing
/// host.
fn netfilter_payload(packet: &[u8]) -> Option<usize> {
    const PAYLOAD: u16 = 9;
    const MAX_ATTRIBUTES: usize = 64;
    let mut at = 4;
    // The first attribute is short, so its length field reveals the byte order.
    let first = chunk(packet, at)?;
    let little = u16::from_le_bytes(first) <= u16::from_be_bytes(first);
    let int = if little { u16::from_le_bytes } else { u16::from_be_bytes };
    for _ in 0..MAX_ATTRIBUTES {
        let [len, kind] = [chunk(packet, at)?, chunk(packet, at + 2)?];
        let (len, kind) = (usize::from(int(len)), int(kind));
        match (len, kind) {
            (..4, _) => return None,
            (_, PAYLOAD) => return Some(at + 4),
            _ => at += len.next_multiple_of(4),
        }
    }
    None
}

/// The link type of a number, which headers store in 32 bits.
fn number(number: u32) -> Option<LinkType> {
    u16::try_from(number).ok().map(LinkType)
}

fn chunk<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..)?.first_chunk().copied()
}
