//! IEEE 802.11 data frames, and the headers that capture programs prepend to them.

use super::frame_fragment::{self, Content, Place};
use super::walk::{Layer, Walk, be16};
use super::{Encapsulation, Unparsed, WirelessFrame};
use crate::LinkType;

/// Parses an unencrypted 802.11 data frame (IEEE 802.11, section 9.2). For an aggregate (A-MSDU,
/// section 9.3.2.2), parses the packet that the walk requests.
pub(super) fn frame(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let control = *walk.header::<2>()?;
    data(walk, control)
}

/// The type of data frames, combined with the protocol version.
const DATA: u8 = 0x08;

fn data(walk: &mut Walk<'_>, [kind, flags]: [u8; 2]) -> Result<Layer, Unparsed> {
    const QUALITY_OF_SERVICE: u8 = 0x80;
    const WITHOUT_DATA: u8 = 0x40;
    const BOTH_WAYS: u8 = 0x03;
    const PROTECTED: u8 = 0x40;
    const ORDER: u8 = 0x80;
    const AGGREGATE: u8 = 0x80;
    const MESH_CONTROL: u8 = 0x01;
    const MORE_FRAGMENTS: u8 = 0x04;
    let unreadable = match kind & 0x0f {
        DATA if flags & PROTECTED != 0 => Some(WirelessFrame::Encrypted),
        DATA if kind & WITHOUT_DATA != 0 => Some(WirelessFrame::Null),
        DATA => None,
        0x00 => Some(WirelessFrame::Management),
        0x04 => Some(WirelessFrame::Control),
        0x0c => Some(WirelessFrame::Extension),
        // Another protocol version (section 9.2.4.1.2).
        _ => return Err(Unparsed::Encapsulation(Encapsulation::UnknownVersion)),
    };
    if let Some(frame) = unreadable {
        return Err(Unparsed::Wireless(frame));
    }
    let mut len = if flags & BOTH_WAYS == BOTH_WAYS { 30 } else { 24 };
    let mut aggregate = false;
    let mut traffic = None;
    if kind & QUALITY_OF_SERVICE != 0 {
        let service = &walk.bytes(len + 2)?[len..];
        let mesh = flags & BOTH_WAYS == BOTH_WAYS && service[1] & MESH_CONTROL != 0;
        aggregate = service[0] & AGGREGATE != 0;
        traffic = Some(service[0] & 0x0f);
        len += if flags & ORDER != 0 { 6 } else { 2 };
        if mesh && !aggregate {
            // Flags, time to live, sequence number, and up to two more addresses (section
            // 9.2.4.8.3).
            len += 6 + 6 * usize::from(walk.bytes(len + 1)?[len] & 0x03);
        }
    }
    // Some adapters pad the header to a multiple of four.
    let llc_at = |at: usize| walk.captured().get(at..).is_some_and(|data| data.starts_with(LLC));
    if !aggregate && len % 4 == 2 && !llc_at(len) && llc_at(len + 2) {
        len += 2;
    }
    let header: &[u8; 24] = walk.header()?;
    let control = be16(header[23], header[22]);
    let place = Place {
        place: u32::from(control & 0x0f),
        in_bytes: false,
        more: flags & MORE_FRAGMENTS != 0,
    };
    if !aggregate && (place.more || place.place != 0) {
        // A captured check sequence would end up in the middle of the joined frame.
        if walk.is_whole() && frame_fragment::ends_with_check_sequence(walk.captured()) {
            walk.limit(walk.wire_remaining() - 4);
        }
        walk.skip(len)?;
        // Receiver, transmitter, traffic and sequence number (IEEE 802.11, section 10.6).
        let key = (&header[4..16], traffic, control >> 4);
        return frame_fragment::piece(walk, key, place, Content::Llc);
    }
    walk.skip(len)?;
    if aggregate {
        for _ in 0..walk.take_subframe() {
            let len = subframe(walk)?;
            walk.skip(len.next_multiple_of(4))?;
        }
        let len = subframe(walk)?;
        // Another subframe follows if there are enough bytes for its header, not just for a
        // checksum.
        let behind = walk.captured().get(len.next_multiple_of(4)..).unwrap_or_default();
        walk.set_more_subframes(behind.len() >= SUBFRAME_HEADER);
        walk.skip(SUBFRAME_HEADER)?;
        walk.limit(len - SUBFRAME_HEADER);
    }
    Ok(Layer::Llc)
}

/// Parses a frame as access points send it to their controller. Some swap the two bytes of the
/// frame control field.
pub(super) fn swapped(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let [first, second] = *walk.header::<2>()?;
    let is_data = |kind: u8| kind & 0x0f == DATA;
    if !is_data(first) && is_data(second) {
        data(walk, [second, first])
    } else {
        data(walk, [first, second])
    }
}

/// Two addresses and a length, as in an 802.3 frame.
const SUBFRAME_HEADER: usize = 14;

/// The length of the subframe of an aggregate that starts here, including its header but not the
/// padding after it.
fn subframe(walk: &Walk<'_>) -> Result<usize, Unparsed> {
    let head: &[u8; SUBFRAME_HEADER] = walk.header()?;
    Ok(SUBFRAME_HEADER + usize::from(be16(head[12], head[13])))
}

const LLC: &[u8] = &[0xaa, 0xaa, 0x03];

/// Skips a radiotap header. Its length is at 2, little-endian.
pub(super) fn radiotap(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 8] = walk.header()?;
    let len = usize::from(be16(header[3], header[2]));
    if header[0] != 0 || len < 8 {
        return Err(Unparsed::Malformed);
    }
    walk.skip(len)?;
    Ok(Layer::Wlan)
}

/// Skips an AVS header: magic number and length, big-endian.
pub(super) fn avs(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let header: &[u8; 8] = walk.header()?;
    let len = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    walk.skip(usize::try_from(len).unwrap_or(usize::MAX))?;
    Ok(Layer::Wlan)
}

/// Skips a Prism header of 144 bytes. Drivers that switched to AVS kept the link type.
pub(super) fn prism(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    if let [0x80, 0x21, 0x10, _] = *walk.header::<4>()? {
        return avs(walk);
    }
    walk.skip(144)?;
    Ok(Layer::Wlan)
}

/// Skips a per-packet information header: its length and the link type of the payload,
/// little-endian.
pub(super) fn per_packet_information(walk: &mut Walk<'_>) -> Result<LinkType, Unparsed> {
    let header: &[u8; 8] = walk.header()?;
    let len = usize::from(be16(header[3], header[2]));
    if len < 8 {
        return Err(Unparsed::Malformed);
    }
    walk.skip(len)?;
    let link_type = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    u16::try_from(link_type).map(LinkType).map_err(|_| Unparsed::Malformed)
}
