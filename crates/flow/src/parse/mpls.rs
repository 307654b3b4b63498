//! MPLS label stacks (RFC 3032) and what is below them.

use super::walk::{Layer, Walk};
use super::{Encapsulation, Unparsed, ethernet, ip};

/// A label stack entry. Labels differ by direction, and the last hop may go without: they are no part of the scope.
pub(super) fn label(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let bottom = loop {
        let entry: &[u8; 4] = walk.header()?;
        walk.enter()?;
        walk.skip(4)?;
        if entry[2] & 1 != 0 {
            break walk.captured();
        }
    };
    // Nothing says what is below the last label. IP shows by its version (RFC 4928); the rest is a pseudowire, with
    // Ethernet as the only kind that holds IP: behind a control word (RFC 4385, section 3) or at once.
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
