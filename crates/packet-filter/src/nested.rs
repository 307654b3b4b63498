//! Link types whose header names the link type of its payload, or holds the payload in attributes.
//!
//! A BPF program cannot search attributes or switch to another layout. So the caller strips such a
//! header first and then runs the program for the inner link type.

const ETHERNET: u32 = 1;
const RAW: u32 = 101;

/// Skips a header that names another link type, or always precedes the same one. Returns the number
/// of the inner link type and the offset of its header. `None` for other link types, and if the
/// header is invalid or truncated.
///
/// Supported are per-packet information (192), PKTAP (258, 149), NFLOG (239), DOCSIS (143) and
/// Juniper's Ethernet (178).
///
/// ```
/// // Per-packet information: version, flags, eight bytes long, then 802.11.
/// let packet = [0, 0, 8, 0, 105, 0, 0, 0, 0x08, 0x01];
/// assert_eq!(packet_filter::inner_link_type(192, &packet), Some((105, 8)));
/// assert_eq!(packet_filter::inner_link_type(1, &packet), None);
/// ```
pub fn inner_link_type(number: u32, packet: &[u8]) -> Option<(u32, usize)> {
    let (inner, at) = match number {
        192 => {
            let len = u16::from_le_bytes(chunk(packet, 2)?);
            (u32::from_le_bytes(chunk(packet, 4)?), usize::from(len.max(8)))
        }
        149 | 258 => {
            let len = u32::from_le_bytes(chunk(packet, 0)?).max(12);
            (u32::from_le_bytes(chunk(packet, 8)?), usize::try_from(len).ok()?)
        }
        239 => (RAW, netfilter_payload(packet)?),
        143 => {
            let [control, parameter] = chunk(packet, 0)?;
            let extended = if control & 1 != 0 { usize::from(parameter) } else { 0 };
            // Packet data, as opposed to ATM cells and the link's own messages.
            if control >> 6 != 0 {
                return None;
            }
            (ETHERNET, 6 + extended)
        }
        178 => {
            const WITHOUT_LINK_LAYER: u8 = 0x02;
            const ATTRIBUTES: u8 = 0x80;
            let [b'M', b'G', b'C', flags] = chunk(packet, 0)? else { return None };
            let mut at = 4;
            if flags & ATTRIBUTES != 0 {
                at += 2 + usize::from(u16::from_be_bytes(chunk(packet, 4)?));
            }
            if flags & WITHOUT_LINK_LAYER != 0 { (RAW, at + 4) } else { (ETHERNET, at) }
        }
        _ => return None,
    };
    (at <= packet.len()).then_some((inner, at))
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
    let number = if little { u16::from_le_bytes } else { u16::from_be_bytes };
    for _ in 0..MAX_ATTRIBUTES {
        let [len, kind] = [chunk(packet, at)?, chunk(packet, at + 2)?];
        let (len, kind) = (usize::from(number(len)), number(kind));
        match (len, kind) {
            (..4, _) => return None,
            (_, PAYLOAD) => return Some(at + 4),
            _ => at += len.next_multiple_of(4),
        }
    }
    None
}

fn chunk<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..)?.first_chunk().copied()
}
