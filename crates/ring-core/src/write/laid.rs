//! A packet in a file's buffer.

use crate::Packet;
use crate::vlan::Parts;

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
    let start = out.len();
    let parts = Parts::of(packet);
    parts.for_each(|piece| out.extend_from_slice(piece));
    let whole = out.len() - start;
    out.truncate(start.saturating_add(limit as usize));
    let captured = out.len() - start;
    Laid {
        // At most `limit`, so that it fits.
        captured: captured as u32,
        wire: packet.wire_len().saturating_add(parts.added() as u32),
        truncated: captured < whole,
        tag_lost: parts.tag_lost,
    }
}
