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
    for (bytes, answer) in sides.into_iter().zip([sides[1], sides[0]]) {
        let start = empty_lines(bytes);
        match beginning(&bytes[start..]) {
            Beginning::Request => return Verdict::Yes,
            Beginning::Response if bytes.len() >= start + 12 => return Verdict::Yes,
            Beginning::Response | Beginning::Short => {}
            // A line of HTTP/0.9, or one that the server will refuse: its answer says so.
            Beginning::Neither
                if resembles_request(&bytes[start..])
                    && !matches!(beginning(&answer[empty_lines(answer)..]), Beginning::Neither) => {
            }
            // What begins with something else is another protocol.
            Beginning::Neither => verdict = Verdict::No,
        }
    }
    verdict
}

/// The length of the empty lines before a start line, which are ignored (RFC 9112, section 2.2).
fn empty_lines(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| b"\r\n".contains(byte)).count()
}

/// Returns `true` for a line that begins with a method of RFC 9110, section 9.3, and is no request
/// line.
fn resembles_request(bytes: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] =
        [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];
    let word = bytes.iter().position(|byte| !byte.is_ascii_uppercase());
    word.is_some_and(|end| METHODS.contains(&&bytes[..end]) && b" \r\n".contains(&bytes[end]))
}
