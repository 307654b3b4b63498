//! IP payload compression (RFC 3173) with DEFLATE (RFC 2394).

use super::walk::{Layer, Walk, be16};
use super::{Fragment, Unparsed};
use crate::Headers;

/// Ends the walk with a compressed payload, which a [`Defragmenter`](crate::Defragmenter)
/// decompresses. For another algorithm, or if it was truncated, it is a packet of the flow `outer`.
pub(super) fn header(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    const DEFLATE: u16 = 2;
    /// Numbers that the two ends negotiate, which a capture does not show. In practice they stand
    /// for DEFLATE.
    const NEGOTIATED: std::ops::RangeInclusive<u16> = 256..=61_439;
    let header: &[u8; 4] = walk.header()?;
    let algorithm = be16(header[2], header[3]);
    let network = walk.network.ok_or(Unparsed::NotIp)?;
    if algorithm != DEFLATE && !NEGOTIATED.contains(&algorithm) {
        return Err(Unparsed::NotIp);
    }
    walk.enter()?;
    walk.skip(4)?;
    if !walk.is_whole() {
        return Err(Unparsed::Truncated);
    }
    let is_ipv4 = walk.byte(network.offset)? >> 4 == 4;
    let header_len = if is_ipv4 { u32::from(walk.byte(network.offset)? & 0x0f) * 4 } else { 40 };
    let fragment = Fragment {
        source: outer.source,
        destination: outer.destination,
        protocol: header[0],
        identification: 0,
        scope: walk.scope,
        layers: walk.layers(),
        network_offset: network.offset as u32,
        header_len,
        next_header_offset: if is_ipv4 { 9 } else { 6 },
        fragment_offset: 0,
        more: false,
        payload_offset: walk.offset() as u32,
        payload_len: walk.wire_remaining() as u32,
        compressed: true,
        defect: walk.defect(),
    };
    Ok(walk.fragment(fragment))
}
