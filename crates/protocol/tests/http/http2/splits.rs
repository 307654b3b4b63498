//! Messages do not depend on how their bytes are divided.

use proptest::prelude::*;
use protocol::http1::Exchange;
use protocol::{Lost, Side};

use super::frames::*;
use crate::lab::Lab;

#[derive(Debug, PartialEq)]
struct Outcome {
    exchanges: Vec<Exchange>,
    lost: Vec<(Side, Lost)>,
    bodies: Vec<(Side, u64, Vec<u8>, Option<bool>)>,
}

/// Parts of a connection, well-formed and not.
fn part(index: usize, stream: u32) -> Vec<u8> {
    let status = block(&[(":status", "200"), ("content-type", "application/grpc")]);
    match index {
        0 | 1 => get(stream, "/a"),
        2 => frame(HEADERS, END_HEADERS, stream, &adding(&[(":method", "PUT"), (":path", "/b")])),
        3 => frame(DATA, 0, stream, b"\0\0\0\0\x04part"),
        4 => frame(DATA, END_STREAM | PADDED, stream, b"\x02rest\0\0"),
        5 => frame(HEADERS, END_HEADERS, stream, &status),
        6 => ok(stream, "whole"),
        7 => frame(HEADERS, 0, stream, &status[..5]),
        8 => frame(CONTINUATION, END_HEADERS, stream, &status[5..]),
        9 => frame(RST_STREAM, 0, stream, &[0, 0, 0, 1]),
        10 => frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0xbe, 0xbf, 0x84]),
        11 => frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0x80, 0]),
        12 => frame(PUSH_PROMISE, END_HEADERS, stream, &[0, 0, 0, 4, 0x82, 0x84]),
        13 => b"nonsense that is no frame".to_vec(),
        14 => frame(DATA, PADDED, stream, b"\xff"),
        _ => frame(6, 0, 0, &[0; 8]),
    }
}

/// Runs the parts in pieces of `step` bytes.
fn run(parts: &[(bool, usize, u32, u8)], step: usize) -> Outcome {
    let mut lab = Lab::any();
    lab.ask(PREFACE);
    for &(asked, index, stream, gap) in parts {
        let side = if asked { Side::Initiator } else { Side::Responder };
        let bytes = part(index, stream);
        // A part may lack bytes in its middle.
        let (before, behind) = bytes.split_at(bytes.len() / 2);
        let gap = if gap < 8 { usize::from(gap).min(behind.len()) } else { 0 };
        before.chunks(step).for_each(|piece| {
            lab.send(side, piece);
        });
        lab.gap(side, gap as u64);
        behind[gap..].chunks(step).for_each(|piece| {
            lab.send(side, piece);
        });
    }
    lab.end();
    let exchanges = lab.exchanges().into_iter().cloned().collect();
    Outcome { exchanges, lost: lab.lost(), bodies: std::mem::take(&mut lab.out.bodies) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_division_gives_the_same_messages(
        parts in prop::collection::vec((any::<bool>(), 0..17_usize, 1..6_u32, any::<u8>()), 1..12),
        step in 1..30_usize,
    ) {
        let whole = run(&parts, usize::MAX);
        prop_assert_eq!(&run(&parts, step), &whole);
        prop_assert_eq!(&run(&parts, 1), &whole);
    }

    #[test]
    fn any_bytes_are_survived(
        pieces in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(any::<u8>(), 0..60), 0..4_u64),
            0..20,
        ),
    ) {
        let mut lab = open();
        for (asked, bytes, gap) in pieces {
            let side = if asked { Side::Initiator } else { Side::Responder };
            lab.send(side, &bytes).gap(side, gap);
        }
        lab.end();
    }
}
