//! Fragments of link-layer frames.

use super::Unparsed;
use super::walk::{Layer, Walk};
use crate::Scope;

/// A fragment of a link-layer frame that was sent in several: by a wireless station (IEEE 802.11,
/// section 10.4), or by an access point to its controller (RFC 5415, section 3.4).
///
/// [`Defragmenter::push_frame`](crate::Defragmenter::push_frame) joins the fragments, and
/// [`Parser::parse_frame`](crate::Parser::parse_frame) continues where the walk stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameFragment {
    /// The identity that the fragments of a frame share: a seeded hash of the addresses and the
    /// frame's number.
    pub(crate) key: u64,
    /// Number of the fragment, or its offset in bytes.
    pub(crate) place: u32,
    /// `true` if `place` is an offset in bytes.
    pub(crate) in_bytes: bool,
    /// `true` if more fragments follow.
    pub(crate) more: bool,
    pub(crate) payload_offset: u32,
    pub(crate) payload_len: u32,
    pub(crate) content: Content,
    pub(crate) scope: Scope,
    pub(crate) layers: u8,
}

/// The first layer of the joined frame.
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

/// The position of a fragment in its frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) place: u32,
    pub(super) in_bytes: bool,
    pub(super) more: bool,
}

/// Ends the walk with the fragment that starts here, if all of it was captured.
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

/// The remainder of the polynomial division for four bits.
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

/// Returns `true` if these bytes end with the frame check sequence of those before it (IEEE 802.3,
/// section 3.2.9).
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
