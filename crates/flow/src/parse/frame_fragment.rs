//! Pieces of link-layer frames.

use super::Unparsed;
use super::walk::{Layer, Walk};
use crate::Scope;

/// A piece of a frame of the link layer that was sent in several: by a wireless station (IEEE 802.11, section 10.4), or by an
/// access point to its controller (RFC 5415, section 3.4).
///
/// [`Defragmenter::push_frame`](crate::Defragmenter::push_frame) joins them, and [`Parser::parse_frame`](crate::Parser::parse_frame)
/// goes on where the walk stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameFragment {
    /// What the pieces of a frame have in common: a seeded hash of the addresses and the frame's number.
    pub(crate) key: u64,
    /// Number of the piece, or its position in bytes.
    pub(crate) place: u32,
    /// `place` is a position in bytes.
    pub(crate) in_bytes: bool,
    /// More pieces follow.
    pub(crate) more: bool,
    pub(crate) payload_offset: u32,
    pub(crate) payload_len: u32,
    pub(crate) content: Content,
    pub(crate) scope: Scope,
    pub(crate) layers: u8,
}

/// What the joined frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Llc,
    Ethernet,
    Wlan,
}

impl Content {
    pub(super) const fn layer(self) -> Layer {
        match self {
            Self::Llc => Layer::Llc,
            Self::Ethernet => Layer::Ethernet,
            Self::Wlan => Layer::SwappedWlan,
        }
    }
}

/// The place of a piece in its frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) place: u32,
    pub(super) in_bytes: bool,
    pub(super) more: bool,
}

/// The piece that starts here, if all of it was captured.
pub(super) fn piece(
    walk: &mut Walk<'_>,
    key: impl std::hash::Hash,
    Place { place, in_bytes, more }: Place,
    content: Content,
) -> Result<Layer, Unparsed> {
    if !walk.is_whole() {
        return Err(Unparsed::TruncatedFragment);
    }
    let fragment = FrameFragment {
        key: walk.parser.scopes.frame((walk.scope, key, in_bytes)),
        place,
        in_bytes,
        more,
        payload_offset: walk.offset() as u32,
        payload_len: walk.wire_remaining() as u32,
        content,
        scope: walk.scope,
        layers: walk.layers(),
    };
    Ok(walk.frame_fragment(fragment))
}

/// What four bits add to the remainder of the division.
const FOUR_BITS: [u32; 16] = {
    let mut table = [0; 16];
    let mut at = 0;
    while at < 16 {
        let mut remainder = at as u32;
        let mut bit = 0;
        while bit < 4 {
            let odd = remainder & 1 == 1;
            remainder = remainder >> 1 ^ if odd { 0xedb8_8320 } else { 0 };
            bit += 1;
        }
        table[at] = remainder;
        at += 1;
    }
    table
};

/// Whether these bytes end with the check sequence of what is before it (IEEE 802.3, section 3.2.9).
pub(super) fn ends_with_check_sequence(bytes: &[u8]) -> bool {
    let Some((frame, sequence)) = bytes.split_last_chunk::<4>() else { return false };
    let mut remainder = u32::MAX;
    for byte in frame {
        remainder ^= u32::from(*byte);
        for _ in 0..2 {
            remainder = remainder >> 4 ^ FOUR_BITS[(remainder & 0x0f) as usize];
        }
    }
    u32::from_le_bytes(*sequence) == !remainder
}
