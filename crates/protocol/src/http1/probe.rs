//! Recognizing HTTP by the first bytes.

use super::search::{Beginning, Found, beginning, find};
use crate::identify::{Prefix, Verdict};
use crate::side::Side;

/// A request line with a version, or the beginning of a status line, of either side.
pub(super) fn probe(prefix: &Prefix<'_>) -> Verdict {
    let sides = [Side::Initiator, Side::Responder].map(|side| prefix.side(side));
    if !prefix.anchored {
        let found = sides.iter().any(|bytes| matches!(find(bytes, 0, None), Found::At(..)));
        return if found { Verdict::Yes } else { Verdict::More };
    }
    let mut verdict = Verdict::More;
    for bytes in sides {
        // Empty lines before a request line are ignored (RFC 9112, 2.2).
        let start = bytes.iter().take_while(|byte| b"\r\n".contains(byte)).count();
        match beginning(&bytes[start..]) {
            Beginning::Request => return Verdict::Yes,
            Beginning::Response if bytes.len() >= start + 12 => return Verdict::Yes,
            Beginning::Response | Beginning::Short => {}
            // What begins with something else is another protocol.
            Beginning::Neither => verdict = Verdict::No,
        }
    }
    verdict
}
