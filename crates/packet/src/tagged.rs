//! Reinsertion of VLAN tags.

use crate::{LinkType, Packet};

/// A packet's bytes in pieces, including the VLAN tag that was removed on receipt. For sinks, which
/// copy the pieces one after the other instead of moving the packet to make room.
///
/// ```
/// use packet::{LinkType, Packet, PacketMeta, TaggedBytes, Timestamp, VlanTag};
///
/// let mut meta = PacketMeta::new(1, Timestamp::default(), LinkType::ETHERNET);
/// meta.vlan = Some(VlanTag { tpid: 0x8100, tci: 5 });
/// let bytes = TaggedBytes::of(&Packet::with_meta(&[0; 60], meta));
/// let mut frame = Vec::new();
/// bytes.for_each(|piece| frame.extend_from_slice(piece));
/// assert_eq!(frame[12..16], [0x81, 0, 0, 5]);
/// assert_eq!(frame.len(), 60 + bytes.added());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TaggedBytes<'a> {
    before: &'a [u8],
    tag: Option<Tag<'a>>,
    tag_lost: bool,
}

#[derive(Clone, Copy, Debug)]
struct Tag<'a> {
    tpid: [u8; 2],
    middle: &'a [u8],
    tci: [u8; 2],
    protocol: &'a [u8],
    after: &'a [u8],
}

impl<'a> TaggedBytes<'a> {
    /// The pieces of a packet.
    #[inline]
    #[must_use]
    pub fn of(packet: &Packet<'a>) -> Self {
        let data = packet.data();
        let place = place(packet.link_type()).filter(|&(_, payload)| data.len() >= payload);
        match (packet.vlan(), place) {
            (None, _) => Self { before: data, tag: None, tag_lost: false },
            (Some(_), None) => Self { before: data, tag: None, tag_lost: true },
            (Some(tag), Some((protocol, payload))) => {
                let tag = Tag {
                    tpid: tag.tpid.to_be_bytes(),
                    middle: &data[protocol + 2..payload],
                    tci: tag.tci.to_be_bytes(),
                    protocol: &data[protocol..protocol + 2],
                    after: &data[payload..],
                };
                Self { before: &data[..protocol], tag: Some(tag), tag_lost: false }
            }
        }
    }

    /// The number of bytes that the tag adds: 4 or 0.
    #[inline]
    #[must_use]
    pub fn added(&self) -> usize {
        if self.tag.is_some() { 4 } else { 0 }
    }

    /// `true` if the packet has a tag but its link-layer header has no place for it, or was not
    /// captured whole. The pieces are without the tag then.
    #[inline]
    #[must_use]
    pub fn is_tag_lost(&self) -> bool {
        self.tag_lost
    }

    /// Calls `take` with each piece, in order.
    #[inline]
    pub fn for_each(&self, mut take: impl FnMut(&[u8])) {
        take(self.before);
        if let Some(tag) = &self.tag {
            [&tag.tpid[..], tag.middle, &tag.tci, tag.protocol, tag.after]
                .into_iter()
                .for_each(take);
        }
    }
}

/// The offset of the two-byte protocol field in a link-layer header, and the offset of the payload.
/// The tag's TPID replaces the protocol; its TCI and the protocol are inserted before the payload.
#[inline]
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

    fn laid(link_type: LinkType, data: &[u8]) -> (Vec<u8>, bool) {
        let mut meta = PacketMeta::new(1, Timestamp::default(), link_type);
        meta.vlan = Some(VlanTag { tpid: 0x88a8, tci: 0x6123 });
        let packet = Packet::with_meta(data, meta);
        let parts = TaggedBytes::of(&packet);
        let mut out = Vec::new();
        parts.for_each(|piece| out.extend_from_slice(piece));
        assert_eq!(out.len(), data.len() + parts.added());
        (out, parts.is_tag_lost())
    }

    #[test]
    fn each_header_has_its_place() {
        let header: Vec<u8> = (0..24).collect();
        let (out, _) = laid(LinkType::ETHERNET, &header);
        assert_eq!(out[..12], header[..12]);
        assert_eq!(out[12..18], [0x88, 0xa8, 0x61, 0x23, 12, 13]);
        assert_eq!(out[18..], header[14..]);
        let (out, _) = laid(LinkType::LINUX_SLL, &header);
        assert_eq!(out[14..22], [0x88, 0xa8, 0x61, 0x23, 14, 15, 16, 17]);
        let (out, _) = laid(LinkType::LINUX_SLL2, &header);
        assert_eq!(out[..2], [0x88, 0xa8]);
        assert_eq!(out[2..20], header[2..20]);
        assert_eq!(out[20..24], [0x61, 0x23, 0, 1]);
        assert_eq!(out[24..], header[20..]);
    }

    #[test]
    fn no_place_no_tag() {
        for (link_type, data) in [(LinkType::RAW, &[0x45; 20][..]), (LinkType::ETHERNET, &[0; 13])]
        {
            assert_eq!(laid(link_type, data), (data.to_vec(), true));
        }
    }
}
