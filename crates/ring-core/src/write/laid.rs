//! Writing a packet's bytes into a buffer.

use crate::Packet;
use crate::vlan::Parts;

/// The part of a packet that was written.
pub(crate) struct Laid {
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
pub(crate) fn lay(out: &mut Vec<u8>, packet: &Packet<'_>, limit: u32) -> Laid {
    let start = out.len();
    let parts = Parts::of(packet);
    parts.for_each(|piece| out.extend_from_slice(piece));
    let whole = out.len() - start;
    out.truncate(start.saturating_add(limit as usize));
    let captured = out.len() - start;
    Laid {
        // At most `limit`, so it fits.
        captured: captured as u32,
        wire: packet.wire_len().saturating_add(parts.added() as u32),
        truncated: captured < whole,
        tag_lost: parts.tag_lost,
    }
}
