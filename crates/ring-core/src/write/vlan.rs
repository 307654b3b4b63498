//! VLAN tags back in their places.

use crate::{LinkType, Packet};

/// What of a packet came to lie in a file.
pub(crate) struct Laid {
    /// Bytes that are there.
    pub(crate) captured: u32,
    /// Bytes on the wire, the tag included.
    pub(crate) wire: u32,
    /// Not all that was given is there.
    pub(crate) truncated: bool,
    /// The packet has a tag, but not a place for it.
    pub(crate) tag_lost: bool,
}

/// Appends a packet's bytes to `out`, at most `limit` of them, with the tag back that was taken off on receiving.
pub(crate) fn lay(out: &mut Vec<u8>, packet: &Packet<'_>, limit: u32) -> Laid {
    const TAG: u32 = 4;
    let start = out.len();
    let data = packet.data();
    let mut wire = packet.wire_len();
    let mut tag_lost = false;
    match packet.vlan() {
        None => out.extend_from_slice(data),
        Some(tag) => {
            match place(packet.link_type()).filter(|&(_, payload)| data.len() >= payload) {
                Some((protocol, payload)) => {
                    out.extend_from_slice(&data[..protocol]);
                    out.extend_from_slice(&tag.tpid.to_be_bytes());
                    out.extend_from_slice(&data[protocol + 2..payload]);
                    out.extend_from_slice(&tag.tci.to_be_bytes());
                    out.extend_from_slice(&data[protocol..protocol + 2]);
                    out.extend_from_slice(&data[payload..]);
                    wire = wire.saturating_add(TAG);
                }
                None => {
                    out.extend_from_slice(data);
                    tag_lost = true;
                }
            }
        }
    }
    let whole = out.len() - start;
    out.truncate(start.saturating_add(limit as usize));
    let captured = out.len() - start;
    // At most `limit`, so that it fits.
    Laid { captured: captured as u32, wire, truncated: captured < whole, tag_lost }
}

/// Where a link-layer header has the protocol (two bytes), and where what follows the header starts. The tag's TPID
/// takes the protocol's place; its TCI and the protocol come before the payload.
fn place(link_type: LinkType) -> Option<(usize, usize)> {
    match link_type {
        LinkType::ETHERNET => Some((12, 14)),
        LinkType::LINUX_SLL => Some((14, 16)),
        LinkType::LINUX_SLL2 => Some((0, 20)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PacketMeta, Timestamp, VlanTag};

    fn laid(link_type: LinkType, data: &[u8], limit: u32) -> (Vec<u8>, Laid) {
        let mut meta = PacketMeta::new(1, Timestamp::default(), link_type);
        meta.vlan = Some(VlanTag { tpid: 0x88a8, tci: 0x6123 });
        let mut out = b"before".to_vec();
        let laid = lay(&mut out, &Packet::new(data, meta), limit);
        (out.split_off(6), laid)
    }

    #[test]
    fn each_header_has_its_place() {
        let header: Vec<u8> = (0..24).collect();
        let (out, laid_out) = laid(LinkType::ETHERNET, &header, 100);
        assert_eq!(out[..12], header[..12]);
        assert_eq!(out[12..18], [0x88, 0xa8, 0x61, 0x23, 12, 13]);
        assert_eq!(out[18..], header[14..]);
        assert_eq!((laid_out.captured, laid_out.wire, laid_out.truncated), (28, 28, false));
        let (out, _) = laid(LinkType::LINUX_SLL, &header, 100);
        assert_eq!(out[14..22], [0x88, 0xa8, 0x61, 0x23, 14, 15, 16, 17]);
        let (out, _) = laid(LinkType::LINUX_SLL2, &header, 100);
        assert_eq!(out[..2], [0x88, 0xa8]);
        assert_eq!(out[2..20], header[2..20]);
        assert_eq!(out[20..24], [0x61, 0x23, 0, 1]);
        assert_eq!(out[24..], header[20..]);
    }

    #[test]
    fn no_place_no_tag() {
        for (link_type, data) in [(LinkType::RAW, &[0x45; 20][..]), (LinkType::ETHERNET, &[0; 13])]
        {
            let (out, laid) = laid(link_type, data, 100);
            assert_eq!(out, data);
            assert!(laid.tag_lost && laid.wire as usize == data.len());
        }
    }

    #[test]
    fn the_limit_holds_for_the_tag_too() {
        let (out, laid) = laid(LinkType::ETHERNET, &[7; 20], 17);
        assert_eq!((out.len(), laid.captured, laid.wire, laid.truncated), (17, 17, 24, true));
    }
}
