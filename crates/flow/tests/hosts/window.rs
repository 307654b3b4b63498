//! Bytes beyond the receiver's window: it discards them, or accepts those that fit.

use flow::{Defect, UnplacedCause};

use crate::wire::*;

/// The window that the handshake of these tests announces.
const WINDOW: u16 = 60_000;

/// A client that has filled the window of a server, which acknowledges each segment but whose
/// application reads nothing. `left` bytes of the window remain.
fn filled(six: bool, left: u16) -> (Wire, u32) {
    let mut wire = Wire::open(six, |table| table);
    let mut sent = 0;
    while sent < u32::from(WINDOW - left) {
        let len = 1_000.min(u32::from(WINDOW - left) - sent);
        wire.send(&client(sent, &"x".repeat(len as usize)));
        sent += len;
        wire.send(&refuse(sent));
    }
    wire.seen.text.clear();
    (wire, sent)
}

/// The server acknowledges the bytes it has, and announces the rest of its window.
fn refuse(at: u32) -> Segment {
    server(0, at, "").with(|ack| ack.window = (u32::from(WINDOW) - at) as u16)
}

#[test]
fn bytes_beyond_a_closed_window_are_not_taken() {
    for six in [false, true] {
        let (mut wire, at) = filled(six, 0);
        wire.send(&client(at, "EVIL"));
        wire.send(&refuse(at));
        assert_eq!(wire.seen.text, "");
        wire.send(&server(0, at, ""));
        wire.send(&client(at, "good"));
        wire.send(&server(0, at + 4, ""));
        wire.send(&client(at + 4, "more"));
        wire.finish();
        assert_eq!(wire.seen.text, "goodmore");
        assert_eq!(wire.seen.repeats, [(u64::from(at), "EVIL".to_owned())]);
        assert_eq!(wire.discarded(Defect::Window), 1);
    }
}

/// A receiver may accept the byte of a window probe, and then acknowledges it.
#[test]
fn the_byte_of_a_window_probe_is_taken_if_it_is_acknowledged() {
    let (mut wire, at) = filled(false, 0);
    for _ in 0..3 {
        wire.send(&client(at, "a").with(|probe| probe.flags = ACK));
        wire.send(&refuse(at));
    }
    wire.send(&client(at, "a").with(|probe| probe.flags = ACK));
    wire.send(&server(0, at + 1, ""));
    assert_eq!(wire.seen.text, "a");
    wire.send(&client(at + 1, "bc"));
    wire.finish();
    assert_eq!(wire.seen.text, "abc");
}

#[test]
fn a_segment_across_the_edge_is_taken_as_far_as_it_is_acknowledged() {
    for (taken, text, rest) in [(4, "good", ""), (2, "go", "od")] {
        // A window that was never large.
        let mut wire = Wire::new(false, |table| table);
        let narrow = |segment: &mut Segment| segment.window = 2;
        wire.send(&client(0, "").with(|syn| syn.flags = SYN));
        wire.send(&server(0, 0, "").with(narrow).with(|syn| syn.flags = SYN | ACK));
        wire.send(&client(0, "").with(|ack| ack.flags = ACK));
        let at = 0;
        wire.send(&client(at, "good"));
        assert_eq!(wire.seen.text, "");
        wire.send(&server(0, at + taken, "").with(|ack| ack.window = 0));
        assert_eq!(wire.seen.text, text);
        wire.send(&server(0, at + taken, ""));
        wire.send(&client(at + taken, "more"));
        wire.finish();
        assert_eq!(wire.seen.text, format!("{text}more"));
        // The sender sent other bytes in its place.
        let repeats: Vec<_> = wire.seen.repeats.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(repeats.concat(), rest);
    }
}

/// The acknowledgement that opened the window was not captured. The sender's adapter divides the
/// segment, so the receiver acknowledges it piece by piece.
#[test]
fn a_segment_may_be_acknowledged_piece_by_piece() {
    let (mut wire, at) = filled(false, 0);
    wire.send(&client(at, "abcdef"));
    for (taken, text) in [(2, "ab"), (3, "abc"), (6, "abcdef")] {
        wire.send(&server(0, at + taken, ""));
        assert_eq!(wire.seen.text, text);
    }
    wire.send(&client(at + 6, "ghi"));
    wire.finish();
    assert_eq!(wire.seen.text, "abcdefghi");
    assert_eq!((wire.seen.unplaced, wire.seen.repeats), (vec![], vec![]));
}

/// The receiver discards the rest, and the sender does not send it again.
#[test]
fn the_rest_of_a_segment_that_the_receiver_refuses_has_no_place() {
    let (mut wire, at) = filled(false, 0);
    wire.send(&client(at, "abcdef"));
    wire.send(&server(0, at + 2, "").with(|ack| ack.window = 0));
    wire.send(&server(0, at + 2, "").with(|ack| ack.window = 0));
    wire.finish();
    assert_eq!(wire.seen.text, "ab");
    assert_eq!(wire.seen.unplaced, [("cdef".to_owned(), UnplacedCause::Discarded)]);
}

/// The acknowledgement that opened the window was not captured.
#[test]
fn an_acknowledgement_settles_what_seemed_to_lie_beyond_the_window() {
    let (mut wire, at) = filled(false, 0);
    for segment in 0..20 {
        wire.send(&client(at + 4 * segment, "data"));
        wire.send(&server(0, at + 4 * segment + 4, ""));
    }
    assert_eq!(wire.seen.text, "data".repeat(20));
    assert_eq!(wire.table.statistics().discarded.total(), 0);
}

/// The last window of a receiver is out of date once no more of its packets are captured.
#[test]
fn without_acknowledgements_the_window_is_not_known() {
    let (mut wire, at) = filled(false, 0);
    for segment in 0..100 {
        wire.send(&client(at + 4 * segment, "data"));
    }
    assert_eq!(wire.seen.text.len(), 400);
    let (mut wire, at) = filled(false, 0);
    wire.send(&client(at, "data"));
    wire.wait(3_000);
    wire.send(&client(at + 4, "more"));
    assert_eq!(wire.seen.text, "datamore");
}

/// Bytes that seem to be beyond the window of a receiver that is not seen any more come before an
/// outage, not within it.
#[test]
fn without_acknowledgements_an_outage_comes_after_what_was_captured_before_it() {
    for (first, second, behind) in [(1_000, 1 << 25, 3), (1_000, 1 << 25, 1), (0, 1 << 25, 2)] {
        let (mut wire, at) = filled(false, 0);
        for segment in 0..2 {
            wire.send(&client(at + 4 * segment, "data"));
        }
        let at = at + 8;
        for segment in 0..10 {
            wire.send(&client(at + first + 4 * segment, "more"));
        }
        let far = at + first + 40 + second;
        for segment in 0..behind {
            wire.send(&client(far + 4 * segment, "last"));
        }
        wire.finish();
        let gaps = wire.seen.gaps.iter().map(|&(offset, len, _)| (offset as u32, len as u32));
        let holes = [(at, first), (at + first + 40, second)].into_iter();
        assert_eq!(gaps.collect::<Vec<_>>(), holes.filter(|hole| hole.1 > 0).collect::<Vec<_>>());
        let text = wire.seen.text.replace('_', "");
        assert_eq!(
            text,
            ["data".repeat(2), "more".repeat(10), "last".repeat(behind as usize)].concat()
        );
        assert!(wire.seen.late.is_empty() && wire.discarded(Defect::Window) == 0);
    }
}

/// A sender that ignores the window loses no bytes: those that its receiver finally accepts are
/// delivered, and so are those that nobody retransmits.
#[test]
fn a_sender_that_ignores_the_window_is_followed() {
    let (mut wire, at) = filled(false, 0);
    for segment in 0..100 {
        wire.send(&client(at + 4 * segment, "data"));
        wire.send(&refuse(at));
    }
    assert_eq!(wire.seen.text, "");
    for segment in 0..50 {
        wire.send(&client(at + 4 * segment, "data"));
        wire.send(&server(0, at + 4 * segment + 4, ""));
    }
    assert_eq!(wire.seen.text, "data".repeat(50));
    wire.finish();
    assert_eq!(wire.seen.text, "data".repeat(100));
    assert!(wire.seen.gaps.is_empty());
}

/// Segments beyond the budget for doubtful bytes of a flow are accepted in order of arrival.
#[test]
fn segments_beyond_the_window_wait_within_a_budget() {
    let (mut wire, at) = filled(false, 0);
    for segment in 0..2_000 {
        wire.send(&client(at + 4 * segment, "data"));
        wire.send(&refuse(at));
    }
    wire.finish();
    assert_eq!(wire.seen.text, "data".repeat(2_000));
}

#[test]
fn bytes_beyond_the_window_and_the_fin_have_no_place() {
    let (mut wire, at) = filled(false, 0);
    wire.send(&client(at, "EVIL"));
    wire.send(&refuse(at));
    wire.send(&client(at, "").with(|fin| fin.flags = FIN | ACK));
    wire.send(&server(0, at + 1, ""));
    wire.finish();
    assert_eq!(wire.seen.text, "");
    assert_eq!(wire.seen.unplaced, [("EVIL".to_owned(), UnplacedCause::AfterFin)]);
}
