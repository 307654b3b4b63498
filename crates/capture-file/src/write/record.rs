//! Writing a packet's bytes into a buffer.

use packet::TaggedBytes;

use crate::Packet;

/// The part of a packet that was written.
pub(crate) struct Recorded {
    /// Bytes written.
    pub(crate) captured: u32,
    /// Length on the wire in bytes, including the VLAN tag.
    pub(crate) wire: u32,
    /// `true` if the bytes were truncated.
    pub(crate) truncated: bool,
    /// `true` if the packet has a VLAN tag but its link-layer header has no place for it.
    pub(crate) tag_lost: bool,
}

/// Appends at most `limit` bytes of a packet to `out`, and reinserts the VLAN tag that was removed
/// on receipt.
pub(crate) fn append(out: &mut Vec<u8>, packet: &Packet<'_>, limit: u32) -> Recorded {
    let start = out.len();
    let bytes = TaggedBytes::of(packet);
    bytes.for_each(|piece| out.extend_from_slice(piece));
    let whole = out.len() - start;
    out.truncate(start.saturating_add(limit as usize));
    let captured = out.len() - start;
    Recorded {
        // At most `limit`, so it fits.
        captured: captured as u32,
        wire: packet.wire_len().saturating_add(bytes.added() as u32),
        truncated: captured < whole,
        tag_lost: bytes.is_tag_lost(),
    }
}
