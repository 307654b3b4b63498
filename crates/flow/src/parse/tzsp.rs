//! TZSP, with which access points and routers mirror frames.

use super::scope::Kind;
use super::walk::{Layer, Walk, be16};
use super::{Unparsed, wireless};
use crate::Headers;

/// Parses a mirrored frame in a datagram of `outer`.
pub(super) fn over_udp(walk: &mut Walk<'_>, outer: Headers) -> Result<Layer, Unparsed> {
    let layer = fields(walk)?;
    walk.tunnel_in(outer, Kind::Tzsp, 0)?;
    frame(walk, layer)
}

/// Parses a mirrored frame in a capture file.
pub(super) fn captured(walk: &mut Walk<'_>) -> Result<Layer, Unparsed> {
    let kind = fields(walk)?;
    frame(walk, kind)
}

/// Skips the header: version, type, frame type, then tagged fields. Each field has a length, except
/// for end and padding.
fn fields(walk: &mut Walk<'_>) -> Result<u16, Unparsed> {
    const PADDING: u8 = 0;
    const END: u8 = 1;
    /// Received, or to be transmitted.
    const KINDS: std::ops::RangeInclusive<u8> = 0..=1;
    let [1, message, high, low] = *walk.header::<4>()? else { return Err(Unparsed::NotIp) };
    if !KINDS.contains(&message) {
        return Err(Unparsed::NotIp);
    }
    walk.skip(4)?;
    loop {
        match walk.header::<1>()?[0] {
            END => break,
            PADDING => walk.skip(1)?,
            _ => {
                let len = usize::from(walk.header::<2>()?[1]);
                walk.skip(2 + len)?;
            }
        }
        walk.enter()?;
    }
    walk.skip(1)?;
    Ok(be16(high, low))
}

fn frame(walk: &mut Walk<'_>, kind: u16) -> Result<Layer, Unparsed> {
    match kind {
        1 => Ok(Layer::Ethernet),
        18 => Ok(Layer::Wlan),
        119 => wireless::prism(walk),
        127 => wireless::avs(walk),
        _ => Err(Unparsed::NotIp),
    }
}
