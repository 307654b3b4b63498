//! Two versions of the same bytes, one of which was delivered.

use crate::wire::*;

fn remembering(six: bool) -> Wire {
    Wire::open(six, |table| table.remember_delivered(1 << 10, 1 << 20))
}

#[test]
fn a_repetition_that_differs_is_a_conflict() {
    for six in [false, true] {
        let mut wire = remembering(six);
        wire.send(&client(0, "GET /EVIL HTTP"));
        wire.send(&client(0, "GET /good HTTP/1.1"));
        wire.send(&server(0, 18, ""));
        wire.finish();
        assert_eq!(wire.seen.text, "GET /EVIL HTTP/1.1");
        assert_eq!(wire.seen.conflicts, [(5, "EVIL".to_owned(), "good".to_owned())]);
        assert_eq!(wire.seen.conflict_packets, [(4, 5)]);
        let repeats = [(0, "GET /".to_owned()), (9, " HTTP".to_owned())];
        assert_eq!(wire.seen.repeats, repeats);
        assert_eq!(wire.table.statistics().conflicts, 1);
    }
}

#[test]
fn bytes_of_several_packets_are_compared() {
    let mut wire = remembering(false);
    for (at, text) in [(0, "ab"), (2, "cd"), (4, "ef"), (6, "gh")] {
        wire.send(&client(at, text));
    }
    wire.send(&client(1, "bcdXXg"));
    assert_eq!(wire.seen.conflicts, [(4, "ef".to_owned(), "XX".to_owned())]);
    assert_eq!(wire.seen.conflict_packets, [(6, 8)]);
    wire.send(&client(0, "abcdefgh"));
    assert_eq!(wire.seen.conflicts.len(), 1);
}

#[test]
fn bytes_that_waited_are_remembered_as_well() {
    let mut wire = remembering(false);
    wire.send(&client(2, "cd"));
    wire.send(&client(0, "ab"));
    wire.send(&client(0, "abXY"));
    assert_eq!(wire.seen.conflicts, [(2, "cd".to_owned(), "XY".to_owned())]);
    assert_eq!(wire.seen.conflict_packets, [(4, 6)]);
}

#[test]
fn a_keep_alive_may_bring_anything() {
    let mut wire = remembering(false);
    wire.send(&client(0, "abc"));
    wire.send(&client(2, "\0").with(|probe| probe.flags = ACK));
    assert_eq!(wire.seen.conflicts, []);
    assert_eq!(wire.seen.repeats, [(2, "\0".to_owned())]);
}

#[test]
fn one_overlapping_byte_of_a_longer_segment_is_compared() {
    for flags in [ACK, ACK | PSH] {
        let mut wire = remembering(false);
        wire.send(&client(0, "GET /"));
        wire.send(&client(5, "X"));
        wire.send(&client(5, "index.html").with(|segment| segment.flags = flags));
        assert_eq!(wire.seen.text, "GET /Xndex.html");
        assert_eq!(wire.seen.conflicts, [(5, "X".to_owned(), "i".to_owned())]);
        assert_eq!(wire.seen.conflict_packets, [(5, 6)]);
    }
}

#[test]
fn one_byte_that_is_pushed_is_no_keep_alive() {
    let mut wire = remembering(false);
    wire.send(&client(0, "ls"));
    wire.send(&client(2, "X"));
    wire.send(&client(2, " "));
    assert_eq!(wire.seen.conflicts, [(2, "X".to_owned(), " ".to_owned())]);
}

#[test]
fn what_is_forgotten_is_not_compared() {
    let mut wire = Wire::open(false, |table| table.remember_delivered(4, 1 << 20));
    wire.send(&client(0, "abcdefgh"));
    wire.send(&client(0, "XXcdefYY"));
    // Only the last four bytes are remembered.
    assert_eq!(wire.seen.conflicts, [(6, "gh".to_owned(), "YY".to_owned())]);
    assert_eq!(wire.seen.repeats, [(0, "XXcdef".to_owned())]);
    assert_eq!(wire.table.statistics().not_compared, 1);
    wire.send(&client(4, "efgh"));
    assert_eq!(wire.table.statistics().not_compared, 1);
}

/// A gap contains no bytes, and the bytes after it are not compared with those before it.
#[test]
fn nothing_is_compared_across_a_gap() {
    let mut wire = remembering(false);
    wire.send(&client(0, "ab"));
    wire.send(&client(4, "ef"));
    wire.send(&server(0, 6, ""));
    wire.wait(3_000);
    wire.send(&client(0, "XYZ"));
    assert_eq!(wire.seen.text, "ab__ef");
    assert_eq!(wire.seen.conflicts, []);
    assert_eq!(wire.table.statistics().not_compared, 1);
    wire.send(&client(4, "eF"));
    assert_eq!(wire.seen.conflicts, [(5, "f".to_owned(), "F".to_owned())]);
}

#[test]
fn the_next_connection_begins_with_nothing() {
    let mut wire = remembering(false);
    for round in 0..2 {
        if round == 1 {
            wire.send(&client(1 << 20, "").with(|syn| syn.flags = SYN));
            wire.send(&server(1 << 20, 1 << 20, "").with(|syn| syn.flags = SYN | ACK));
        }
        let at = round << 20;
        wire.send(&client(at, "same").with(|segment| segment.ack = at));
        wire.send(&client(at + 4, "").with(|end| (end.flags, end.ack) = (RST | ACK, at)));
        wire.wait(10_000);
    }
    assert_eq!((wire.seen.flows, wire.seen.conflicts.len(), wire.seen.repeats.len()), (2, 0, 0));
}
