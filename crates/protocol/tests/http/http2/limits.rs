//! Limits: what a sender can make grow is bounded, and reported.

use protocol::LostCause;
use protocol::http1::Flags;

use super::frames::*;

/// The memory that the module states for a conversation.
const MEMORY: usize = 2 << 20;

#[test]
fn rapid_resets_take_no_memory() {
    let mut lab = open();
    let reset = 8_u32.to_be_bytes();
    for stream in (1..200_001).step_by(2) {
        lab.ask(get(stream, "/")).ask(frame(RST_STREAM, 0, stream, &reset));
        if lab.out.messages.len() == 1000 {
            assert!(
                lab.exchanges()
                    .iter()
                    .all(|it| it.http2.as_ref().is_some_and(|d| d.reset == Some(8)))
            );
            lab.out.messages.clear();
        }
    }
    assert!(lab.memory < 32 << 10, "{}", lab.memory);
}

#[test]
fn requests_that_nobody_answers_are_reported_early() {
    let mut lab = open();
    for stream in (1..20_001).step_by(2) {
        lab.ask(get(stream, "/path/of/some/length"));
    }
    assert!(lab.memory < MEMORY, "{}", lab.memory);
    let early = lab.exchanges();
    assert!(early.len() > 8_000 && early.iter().all(|it| it.flags.contains(Flags::UNPAIRED)));
    lab.end();
    assert_eq!(lab.exchanges().len(), 10_000);
}

#[test]
fn a_flood_of_continuations_is_bounded() {
    let mut lab = open();
    lab.ask(frame(HEADERS, END_STREAM, 1, &block(&[(":method", "GET"), (":path", "/")])));
    let part = block(&[("x", &"y".repeat(16_000))]);
    for _ in 0..1_000 {
        lab.ask(frame(CONTINUATION, 0, 1, &part)).ask(frame(CONTINUATION, 0, 1, b""));
    }
    lab.ask(frame(CONTINUATION, END_HEADERS, 1, b""));
    assert!(lab.memory < 256 << 10, "{}", lab.memory);
    assert_eq!(lab.lost()[0].1.cause, LostCause::Limit);
    lab.ask(get(3, "/next")).answer(ok(3, "x"));
    assert_eq!(lab.lines(), ["3 GET /next 200 1"]);
}

/// 16 KiB that decode to 48 MiB.
#[test]
fn a_bomb_of_header_compression_is_cut_off() {
    let mut lab = open();
    let mut bomb = block(&[(":method", "GET"), (":path", "/")]);
    bomb.extend(adding(&[("bomb", &"x".repeat(3_000))]));
    bomb.resize(16_000, 0xbe);
    lab.ask(frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb)).answer(ok(1, "x"));
    assert_eq!(lab.lines(), ["1 GET / 200 1"]);
    let exchange = lab.exchanges()[0];
    assert!(exchange.flags.contains(Flags::LONG_HEAD));
    let request = exchange.request.as_ref().expect("one");
    assert!(request.headers().len() < 30, "{}", request.headers().len());
    assert!(lab.memory < 256 << 10, "{}", lab.memory);
}

#[test]
fn a_large_table_is_bounded() {
    let mut lab = open();
    // A table of 16 MiB, filled with entries of 1,000 bytes.
    let mut resize = vec![0x3f, 0xe1, 0xff, 0xff, 0x07];
    resize.extend(block(&[(":method", "GET"), (":path", "/")]));
    lab.ask(frame(HEADERS, END_HEADERS | END_STREAM, 1, &resize)).answer(ok(1, "x"));
    for stream in (3..4_003).step_by(2) {
        let fields = adding(&[("x", &"y".repeat(1_000))]);
        let head = [block(&[(":method", "GET"), (":path", "/")]), fields].concat();
        lab.ask(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)).answer(ok(stream, ""));
    }
    // An entry that the sender still has, and this parser does not.
    lab.ask(frame(HEADERS, END_HEADERS | END_STREAM, 5_001, &[0x82, 0xff, 0x80, 0x08]));
    lab.answer(ok(5_001, "x"));
    assert!(lab.memory < 256 << 10, "{}", lab.memory);
    assert!(lab.lost().is_empty(), "{:?}", lab.lost());
    assert!(lab.exchanges().last().expect("one").flags.contains(Flags::UNKNOWN_FIELDS));
}

/// With a copy of the rest for each place, a piece of this size would take hours.
#[test]
fn places_lost_in_a_large_piece_cost_what_they_are_long() {
    let mut lab = open();
    let piece = frame(CONTINUATION, END_HEADERS, 1, b"").repeat(1 << 20);
    lab.ask(piece);
    assert!(lab.lost().len() > 1_000_000, "{}", lab.lost().len());
}
