//! Urgent bytes, which hosts remove from the stream.

use flow::{GapCause, OverlapPolicy, UnplacedCause};

use crate::wire::*;

fn urgent(at: u32, payload: &str, pointer: u16) -> Segment {
    client(at, payload).with(|segment| {
        segment.flags |= URG;
        segment.urgent = pointer;
    })
}

#[test]
fn the_byte_before_the_pointer_is_out_of_band() {
    for six in [false, true] {
        let mut wire = Wire::open(six, |table| table.overlap_policy(OverlapPolicy::Linux));
        wire.send(&urgent(0, "abcdef", 3));
        wire.send(&client(6, "end"));
        wire.finish();
        assert_eq!(wire.seen.text, "ab_defend");
        assert_eq!(wire.seen.gaps, [(2, 1, GapCause::OutOfBand)]);
        assert_eq!(wire.seen.unplaced, [("c".to_owned(), UnplacedCause::OutOfBand)]);
    }
}

#[test]
fn first_and_last_bytes_can_be_urgent() {
    for (pointer, expected) in [(0, "_bcend"), (1, "_bcend"), (3, "ab_end")] {
        let mut wire = Wire::open(false, |table| table.overlap_policy(OverlapPolicy::Bsd));
        wire.send(&urgent(0, "abc", pointer));
        wire.send(&client(3, "end"));
        assert_eq!(wire.seen.text, expected, "{pointer}");
    }
}

/// The pointer is ahead of its segment. A later segment, which does not repeat the pointer,
/// contains the byte.
#[test]
fn an_urgent_byte_is_waited_for() {
    let mut wire = Wire::open(false, |table| table.overlap_policy(OverlapPolicy::Linux));
    wire.send(&urgent(0, "abc", 8));
    wire.send(&client(3, "def"));
    wire.send(&client(6, "ghi"));
    wire.send(&client(9, "jkl"));
    assert_eq!(wire.seen.text, "abcdefg_ijkl");
    assert_eq!(wire.seen.unplaced, [("h".to_owned(), UnplacedCause::OutOfBand)]);
}

#[test]
fn the_order_of_segments_makes_no_difference() {
    let mut wire = Wire::open(false, |table| table.overlap_policy(OverlapPolicy::Linux));
    wire.send(&urgent(3, "def", 2));
    wire.send(&client(0, "abc"));
    wire.send(&client(6, "ghi"));
    assert_eq!(wire.seen.text, "abcd_fghi");
    assert_eq!(wire.seen.unplaced, [("e".to_owned(), UnplacedCause::OutOfBand)]);
}

/// For an unknown host, it is also unknown if the application reads urgent bytes inline.
#[test]
fn without_a_policy_all_bytes_stay() {
    let mut wire = Wire::open(false, |table| table);
    wire.send(&urgent(0, "abcdef", 3));
    wire.send(&client(6, "end"));
    assert_eq!(wire.seen.text, "abcdefend");
    assert_eq!(wire.seen.gaps, []);
}
