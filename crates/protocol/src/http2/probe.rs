//! Recognizing HTTP/2 by the first bytes.

use super::frame::{self, Frame, HEADER};
use super::parser::PREFACE;
use crate::identify::{Prefix, Verdict};
use crate::side::Side;

/// The preface of a client. A server may send its settings first.
pub(super) fn probe(prefix: &Prefix<'_>) -> Verdict {
    if !prefix.anchored {
        return Verdict::No;
    }
    let mut verdict = Verdict::More;
    for side in [Side::Initiator, Side::Responder] {
        let bytes = prefix.side(side);
        let common = bytes.iter().zip(PREFACE).take_while(|(a, b)| a == b).count();
        if common == PREFACE.len() {
            return Verdict::Yes;
        }
        if common < bytes.len() && !may_be_settings(bytes) {
            verdict = Verdict::No;
        }
    }
    verdict
}

/// Returns `true` if bytes begin with the settings of a server, as far as they are there.
fn may_be_settings(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        // A length below 256, and the type.
        return bytes.iter().zip([0, 0]).all(|(a, b)| *a == b)
            && bytes.get(3).is_none_or(|kind| *kind == frame::SETTINGS);
    };
    let frame = Frame::parse(header);
    frame.kind == frame::SETTINGS && frame.is_plausible() && frame.len < 256
}
