//! Segments that the receiver may have discarded. Its acknowledgements decide.

use flow::{Defect, UnplacedCause};

use crate::wire::*;

/// A time stamp option after padding, with this value.
fn stamp(value: u32) -> Vec<u8> {
    [&[1, 1, 8, 10][..], &value.to_be_bytes(), &[0; 4]].concat()
}

/// Sends a segment that the server discards, then the right one. Returns the bytes that were
/// reported as repeated.
#[track_caller]
fn insert(six: bool, options: &[u8], defect: Defect, change: impl Fn(&mut Segment)) {
    let mut wire = Wire::open_with(six, options, |table| table);
    let with_options = |segment: &mut Segment| segment.options = options.to_vec();
    wire.send(&client(0, "first").with(with_options));
    wire.send(&server(0, 5, ""));
    wire.send(&client(5, "EVIL").with(with_options).with(change));
    wire.send(&server(0, 5, ""));
    wire.send(&client(5, "good").with(with_options));
    wire.send(&server(0, 9, ""));
    wire.send(&client(9, "more").with(with_options));
    wire.finish();
    assert_eq!((wire.seen.text.as_str(), wire.seen.flows), ("firstgoodmore", 1), "{defect:?}");
    assert_eq!(wire.seen.repeats, [(5, "EVIL".to_owned())]);
    assert_eq!(wire.discarded(defect), 1);
}

/// Sends a segment that only the server knows to be right.
#[track_caller]
fn acknowledge(six: bool, options: &[u8], change: impl Fn(&mut Segment)) {
    let mut wire = Wire::open_with(six, options, |table| table);
    wire.send(&client(0, "odd").with(change));
    assert_eq!(wire.seen.text, "");
    wire.send(&server(0, 3, ""));
    assert_eq!(wire.seen.text, "odd");
    wire.send(&client(3, "more").with(|segment| segment.options = options.to_vec()));
    wire.finish();
    assert_eq!(wire.seen.text, "oddmore");
    assert_eq!(wire.seen.unplaced, []);
}

const VERSIONS: [bool; 2] = [false, true];

#[test]
fn another_destination_on_the_link() {
    for six in VERSIONS {
        insert(six, &[], Defect::Path, |segment| {
            segment.destination_mac = [2, 0, 0, 0, 0xbe, 0xef];
        });
        acknowledge(six, &[], |segment| segment.destination_mac = [2, 0, 0, 0, 0xbe, 0xef]);
    }
}

#[test]
fn another_time_to_live() {
    for six in VERSIONS {
        insert(six, &[], Defect::Path, |segment| segment.ttl = 1);
        acknowledge(six, &[], |segment| segment.ttl = 1);
    }
}

#[test]
fn acknowledgements_of_long_ago() {
    for six in VERSIONS {
        // Before any byte that the server has sent, or before its SYN.
        for behind in [200_000, 1, 1 << 30] {
            insert(six, &[], Defect::Acknowledgement, |segment| {
                segment.ack = 0_u32.wrapping_sub(behind);
            });
        }
        acknowledge(six, &[], |segment| segment.ack = 0_u32.wrapping_sub(200_000));
    }
}

#[test]
fn acknowledgements_of_what_no_window_allows() {
    for six in VERSIONS {
        for ahead in [60_002, 1 << 20, 1 << 30] {
            insert(six, &[], Defect::Acknowledgement, |segment| segment.ack = ahead);
        }
    }
}

#[test]
fn old_time_stamps() {
    for six in VERSIONS {
        for value in [0, 1, 998, 1_000_u32.wrapping_sub(1 << 30)] {
            insert(six, &stamp(1_000), Defect::Timestamp, |segment| segment.options = stamp(value));
        }
        acknowledge(six, &stamp(1_000), |segment| segment.options = stamp(500));
    }
}

/// The time stamp to compare with is the latest of a segment in order.
#[test]
fn time_stamps_go_on() {
    let mut wire = Wire::open_with(false, &stamp(1_000), |table| table);
    let at = |at, text, value| client(at, text).with(|segment| segment.options = stamp(value));
    wire.send(&at(0, "a", 5_000));
    wire.send(&server(0, 1, ""));
    wire.send(&at(1, "b", 6_000));
    wire.send(&server(0, 2, ""));
    wire.send(&at(2, "X", 5_500));
    wire.send(&at(2, "c", 6_000));
    wire.send(&at(3, "d", 5_999)); // a tick is let pass
    assert_eq!(wire.seen.text, "abcd");
    assert_eq!(wire.discarded(Defect::Timestamp), 1);
}

/// Hosts that have not negotiated time stamps ignore them. Hosts that have also accept segments
/// without.
#[test]
fn time_stamps_need_an_agreement() {
    let mut wire = Wire::open(false, |table| table);
    wire.send(&client(0, "a").with(|segment| segment.options = stamp(1_000)));
    wire.send(&server(0, 1, ""));
    wire.send(&client(1, "b").with(|segment| segment.options = stamp(1)));
    assert_eq!(wire.seen.text, "ab");
    let mut wire = Wire::open_with(false, &stamp(1_000), |table| table);
    wire.send(&client(0, "c"));
    assert_eq!(wire.seen.text, "c");
}

/// For the receiver, reordered segments are not old, because only acknowledged time stamps count.
#[test]
fn reordered_time_stamps_are_not_old() {
    let mut wire = Wire::open_with(false, &stamp(1_000), |table| table);
    let at = |at, text, value| client(at, text).with(|segment| segment.options = stamp(value));
    wire.send(&at(3, "def", 1_020));
    wire.send(&at(0, "abc", 1_010));
    wire.send(&at(9, "jkl", 1_040));
    wire.send(&at(6, "ghi", 1_030));
    assert_eq!(wire.seen.text, "abcdefghijkl");
    assert_eq!(wire.table.statistics().discarded.total(), 0);
}

/// The path changes to another router. No byte is lost, and after an acknowledgement no byte is in
/// doubt.
#[test]
fn packets_may_take_another_way_from_now_on() {
    for six in VERSIONS {
        let mut wire = Wire::open(six, |table| table);
        let other = |segment: &mut Segment| segment.destination_mac = [2, 0, 0, 0, 0, 0x77];
        wire.send(&client(0, "a").with(other));
        wire.send(&client(1, "b").with(other));
        assert_eq!(wire.seen.text, "");
        wire.send(&server(0, 2, ""));
        wire.send(&client(2, "c").with(other));
        wire.send(&client(3, "d").with(other));
        assert_eq!(wire.seen.text, "abcd");
    }
}

/// Without an acknowledgement, the bytes are held for a limited time, and none is lost.
#[test]
fn the_other_way_is_believed_in_time() {
    let other = |segment: &mut Segment| segment.ttl = 50;
    let mut wire = Wire::open(false, |table| table);
    for at in 0..40 {
        wire.send(&client(at, ".").with(other));
    }
    assert_eq!(wire.seen.text.len(), 40);
    let mut wire = Wire::open(false, |table| table);
    wire.send(&client(0, "a").with(other));
    wire.wait(3_000);
    wire.send(&client(1, "b").with(other));
    assert_eq!(wire.seen.text, "ab");
    let mut wire = Wire::open(false, |table| table);
    wire.send(&client(0, "a").with(other));
    wire.finish();
    assert_eq!(wire.seen.text, "a");
}

/// Segments that the receiver's rules forbid are not accepted at the end either.
#[test]
fn what_nobody_acknowledged_is_discarded_at_the_end() {
    let mut wire = Wire::open_with(false, &stamp(1_000), |table| table);
    wire.send(&client(0, "EVIL").with(|segment| segment.options = stamp(1)));
    wire.finish();
    assert_eq!(wire.seen.text, "");
    assert_eq!(wire.seen.unplaced, [("EVIL".to_owned(), UnplacedCause::Discarded)]);
}

/// A capture on both sides of a router contains every packet twice.
#[test]
fn copies_from_behind_a_router_are_repetitions() {
    let mut wire = Wire::open(false, |table| table);
    let behind = |segment: &mut Segment| {
        segment.ttl = 63;
        segment.destination_mac = [2, 0, 0, 0, 0, 0x55];
    };
    for (at, text) in [(0, "abc"), (3, "def"), (6, "ghi")] {
        // The second pair of copies is swapped.
        let mut copies = [client(at, text), client(at, text).with(behind)];
        if at == 3 {
            copies.reverse();
        }
        copies.iter().for_each(|copy| wire.send(copy));
        wire.send(&server(0, at + 3, ""));
    }
    wire.finish();
    assert_eq!(wire.seen.text, "abcdefghi");
    let repeats: Vec<_> = wire.seen.repeats.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(repeats, ["abc", "def", "ghi"]);
}

#[test]
fn lengths_beyond_the_frame() {
    for six in VERSIONS {
        insert(six, &[], Defect::TooLong, |segment| segment.length_error = 8);
        // The capture has truncated the packet, but the server has all of it.
        let mut wire = Wire::open(six, |table| table);
        wire.send(&client(0, "a segment that is longer"));
        wire.send(&server(0, 24, ""));
        wire.send(&client(24, "cut").with(|segment| segment.length_error = 8));
        wire.send(&server(0, 35, ""));
        wire.send(&client(35, "more"));
        wire.send(&server(0, 39, ""));
        wire.finish();
        assert_eq!(wire.seen.text, "a segment that is longercut________more");
    }
}

/// Once the receiver has acknowledged the end of a truncated packet, the others are no longer in
/// doubt. They keep their order among the pending segments.
#[test]
fn a_capture_that_loses_the_ends_of_packets() {
    for six in VERSIONS {
        let mut wire = Wire::open(six, |table| table);
        let cut = |segment: &mut Segment| segment.length_error = 8;
        wire.send(&client(0, "the longest of all"));
        wire.send(&server(0, 18, ""));
        wire.send(&client(18, "cut").with(cut));
        wire.send(&server(0, 29, ""));
        wire.send(&client(34, "first").with(cut));
        wire.send(&client(34, "OTHER"));
        wire.send(&client(29, "hole."));
        wire.send(&server(0, 47, ""));
        wire.finish();
        assert_eq!(wire.seen.text, "the longest of allcut________hole.first________");
        assert_eq!(wire.seen.conflicts, [(34, "first".to_owned(), "OTHER".to_owned())]);
        assert_eq!(wire.table.statistics().discarded.total(), 0);
    }
}

/// A complete checksum with a length of 0 is odd, but another tool than the adapter may have
/// produced it.
#[test]
fn lengths_of_zero_with_a_finished_checksum() {
    for six in VERSIONS {
        insert(six, &[], Defect::NoLength, |segment| segment.length = Some(0));
        acknowledge(six, &[], |segment| segment.length = Some(0));
    }
}

/// Both directions continue after a stretch that was not captured, so the first segments
/// acknowledge bytes that were never captured.
#[test]
fn acknowledgements_of_what_the_capture_missed() {
    for six in VERSIONS {
        for len in [70_000, 1 << 20, (1 << 24) - 10] {
            let mut wire = Wire::open(six, |table| table);
            let behind = |at| move |segment: &mut Segment| segment.ack = len + at;
            wire.send(&client(0, "abc"));
            wire.send(&server(0, 3, "xyz"));
            wire.send(&client(3 + len, "def").with(behind(3)));
            wire.send(&server(3 + len, 6 + len, "uvw"));
            wire.send(&client(6 + len, "ghi").with(behind(6)));
            wire.send(&server(6 + len, 9 + len, ""));
            wire.finish();
            assert_eq!(wire.seen.text.len() as u32, 9 + len);
            assert!(wire.seen.text.starts_with("abc_") && wire.seen.text.ends_with("_defghi"));
            assert_eq!(wire.seen.unplaced, []);
            assert_eq!(wire.table.statistics().discarded.total(), 0);
        }
    }
}

/// The capture has nothing of the receiver any more, and little of the sender.
#[test]
fn one_acknowledgement_of_what_the_capture_missed() {
    let mut wire = Wire::open(false, |table| table);
    wire.send(&client(0, "abc"));
    wire.send(&server(0, 3, "xyz"));
    wire.send(&client(100_003, "def").with(|segment| segment.ack = 2_000_000));
    wire.finish();
    assert!(wire.seen.text.ends_with("_def"));
    assert_eq!(wire.seen.text.len(), 100_006);
    assert_eq!(wire.seen.unplaced, []);
}
