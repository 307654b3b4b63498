//! MPLS label stacks (RFC 3032) and their payloads.

use super::walk::{Layer, Walk};
use super::{Encapsulation, Unparsed, ethernet, ip};

/// Skips a label stack entry. Labels differ by direction, and the last hop may have none, so they
/// are not part of the scope.
pub(super) fn label(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let bottom = loop {
        let entry: &[u8; 4] = walk.header()?;
        walk.enter()?;
        walk.skip(4)?;
        if entry[2] & 1 != 0 {
            break walk.captured();
        }
    };
    // The label does not name the payload. IP is recognised by its version (RFC 4928). Anything
    // else is a pseudowire, and only Ethernet pseudowires carry IP, with or without a control word
    // (RFC 4385, section 3).
    if ip::plausible(bottom, walk.wire_remaining()) {
        return Ok(Layer::Ip);
    }
    if bottom.first() == Some(&0) && bottom.get(4..).is_some_and(ethernet::plausible) {
        walk.skip(4)?;
        return Ok(Layer::Ethernet);
    }
    if ethernet::plausible(bottom) {
        Ok(Layer::Ethernet)
    } else {
        Err(Unparsed::Encapsulation(Encapsulation::MplsPayload))
    }
}
