//! Messages do not depend on how their bytes are divided.

use proptest::prelude::*;
use protocol::http1::Exchange;
use protocol::{Lost, Side};

use crate::lab::Lab;

/// Parts of conversations, well-formed and not.
const ASKED: &[&str] = &[
    "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    "HEAD /b HTTP/1.1\r\n\r\n",
    "POST /c HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /",
    "POST /d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: r\r\n\r\n",
    "PUT /e HTTP/1.1\nX : a\r\n\tb\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nz",
    "POST /f HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nzz",
    "POST /g HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    "GET /h HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "\r\n",
    "nonsense without an end",
    " HTTP/1.1\r\n",
    "GET",
];

const ANSWERED: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.0 404\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc",
    "HTTP/1.1 999 ?\r\nX: y\r\n\r\n",
    "HTTP/1.",
    "rubbish",
];

#[derive(Debug, PartialEq)]
struct Outcome {
    exchanges: Vec<Exchange>,
    lost: Vec<(Side, Lost)>,
    bodies: Vec<(Side, u64, Vec<u8>, Option<bool>)>,
}

/// Runs the parts; each is divided at `cuts` (modulo its length).
fn run(parts: &[(bool, usize)], cuts: &[usize], bytes: bool) -> Outcome {
    let mut lab = Lab::new();
    for &(asked, index) in parts {
        let (side, texts) =
            if asked { (Side::Initiator, ASKED) } else { (Side::Responder, ANSWERED) };
        let text = texts[index % texts.len()].as_bytes();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
        if bytes {
            at = (0..text.len()).collect();
        }
        at.extend([0, text.len()]);
        at.sort_unstable();
        for pair in at.windows(2) {
            if pair[0] < pair[1] {
                lab.send(side, &text[pair[0]..pair[1]]);
            }
        }
    }
    lab.finish(Side::Initiator).finish(Side::Responder).end();
    let exchanges = lab.exchanges().into_iter().cloned().collect();
    let mut bodies = std::mem::take(&mut lab.out.bodies);
    bodies.retain(|body| !body.2.is_empty());
    Outcome { exchanges, lost: lab.lost(), bodies }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_division_gives_the_same_messages(
        parts in prop::collection::vec((any::<bool>(), 0..16_usize), 1..9),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        let whole = run(&parts, &[], false);
        prop_assert_eq!(&run(&parts, &cuts, false), &whole);
        prop_assert_eq!(&run(&parts, &[], true), &whole);
    }

    #[test]
    fn any_bytes_are_survived(
        parts in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..60), 0..4_u64), 0..20),
    ) {
        let mut lab = Lab::midway();
        for (asked, bytes, gap) in parts {
            let side = if asked { Side::Initiator } else { Side::Responder };
            lab.send(side, &bytes).gap(side, gap);
        }
        lab.end();
    }
}

/// The answer to a malformed request may come byte by byte.
#[test]
fn an_answer_that_begins_does_not_end_the_search() {
    let parts = [(true, 11), (true, 8), (false, 0)];
    let whole = run(&parts, &[], false);
    assert_eq!(whole.exchanges.len(), 1);
    assert_eq!(run(&parts, &[], true), whole);
}

/// A start line is judged alike in parts and as a whole.
#[test]
fn odd_start_lines_are_judged_alike_in_parts() {
    let odd: [&[u8]; 3] = [
        b"HTTP/1.\x04'",
        b"l+\tA\xff\xff\x96\x0cHTTP/1.3\n:\n\xff\xff",
        // The role of a side is not known by a head that cannot be parsed.
        b"HTTP/1.1 0A\n\nPATCH x HTTP/1.1\n\n",
    ];
    for bytes in odd {
        let run = |step: usize| {
            let mut lab = Lab::new();
            for part in bytes.chunks(step) {
                lab.send(Side::Responder, part);
            }
            lab.end();
            (lab.exchanges().into_iter().cloned().collect::<Vec<_>>(), lab.lost())
        };
        assert_eq!(run(usize::MAX), run(1), "{}", bytes.escape_ascii());
    }
}
