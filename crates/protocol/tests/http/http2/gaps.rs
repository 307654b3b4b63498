//! Bytes that were not captured.

use protocol::http1::Flags;
use protocol::{LostCause, Side};

use super::frames::*;

#[test]
fn a_gap_in_data_is_one_of_the_body() {
    let mut lab = open();
    lab.ask(get(1, "/")).answer(frame(HEADERS, END_HEADERS, 1, &block(&[(":status", "200")])));
    let data = frame(DATA, END_STREAM, 1, b"0123456789");
    lab.answer(&data[..12]).gap(Side::Responder, 4).answer(&data[16..]);
    assert_eq!(lab.lines(), ["1 GET / 200 10"]);
    assert_eq!(lab.out.bodies[0].2, b"012????789");
    assert_eq!(lab.out.bodies[0].3, Some(false));
    assert!(lab.lost().is_empty());
}

#[test]
fn behind_a_damaged_block_what_it_added_is_unknown() {
    let mut lab = open();
    // The first request adds its path, the second its own.
    let fields = |path| [(":method", "GET"), (":path", path)];
    let first = frame(HEADERS, END_HEADERS | END_STREAM, 1, &adding(&fields("/one")));
    lab.ask(&first[..15]).gap(Side::Initiator, 3).ask(&first[18..]);
    lab.answer(ok(1, "x"));
    let second = frame(HEADERS, END_HEADERS | END_STREAM, 3, &adding(&fields("/two")));
    lab.ask(second).answer(ok(3, "x"));
    // By index: what the second request added, and what is older.
    lab.ask(frame(HEADERS, END_HEADERS | END_STREAM, 5, &[0xbf, 0xbe])).answer(ok(5, "x"));
    lab.ask(frame(HEADERS, END_HEADERS | END_STREAM, 7, &[0xbf, 0xc0])).answer(ok(7, "x"));
    assert_eq!(
        lab.lines(),
        ["1 - - 200 1", "3 GET /two 200 1", "5 GET /two 200 1", "7 GET  200 1"]
    );
    let [(side, lost)] = lab.lost()[..] else { panic!("one") };
    assert_eq!((side, lost.cause, lost.offset), (Side::Initiator, LostCause::Gap, 39));
    assert!(lab.exchanges()[3].flags.contains(Flags::UNKNOWN_FIELDS));
    assert!(!lab.exchanges()[2].flags.contains(Flags::UNKNOWN_FIELDS));
}

#[test]
fn a_lost_place_is_found_again() {
    let mut lab = open();
    lab.ask(get(1, "/a")).answer(frame(HEADERS, END_HEADERS, 1, &block(&[(":status", "200")])));
    let data = frame(DATA, END_STREAM, 1, b"0123456789");
    // More is missing than the frame has.
    lab.answer(&data[..12]).gap(Side::Responder, 40);
    // The middle of a frame, then whole ones.
    lab.answer(b"of a body that nobody knows");
    for stream in [3, 5, 7, 9] {
        lab.ask(get(stream, "/b"));
        lab.answer(ok(stream, "yes"));
    }
    lab.end();
    let lines = lab.lines();
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(lines.contains(&"9 GET /b 200 3".to_owned()), "{lines:?}");
    assert!(lines.contains(&"3 GET /b 200 3".to_owned()), "{lines:?}");
    // Of the frame the length was known: its end was, too.
    assert_eq!(lines[0], "1 GET /a 200 10");
    let [(side, lost)] = lab.lost()[..] else { panic!("one") };
    assert_eq!((side, lost.cause), (Side::Responder, LostCause::Gap));
}

#[test]
fn a_body_behind_a_lost_place_is_not_joined() {
    let mut lab = open();
    lab.ask(get(1, "/a")).answer(frame(HEADERS, END_HEADERS, 1, &block(&[(":status", "200")])));
    lab.answer(frame(DATA, 0, 1, b"before")).gap(Side::Responder, 100);
    for _ in 0..4 {
        lab.answer(frame(DATA, 0, 1, b"behind"));
    }
    lab.answer(frame(DATA, END_STREAM, 1, b"")).end();
    assert_eq!(lab.out.bodies, [(Side::Responder, 1, b"before".to_vec(), Some(false))]);
    assert!(!lab.exchanges()[0].response.as_ref().expect("one").body().complete);
}
