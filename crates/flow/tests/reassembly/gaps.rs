//! Bytes that the capture does not have.

use std::time::Duration;

use flow::GapCause;

use crate::lab::*;

#[test]
fn an_acknowledged_hole_becomes_a_gap_after_the_grace_in_time() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.client(6, "ghi");
    lab.acknowledge(9);
    assert_eq!(lab.text(), "abc");
    lab.wait(Duration::from_secs(3));
    assert_eq!(lab.text(), "abc[3 acknowledged]ghi");
}

#[test]
fn an_acknowledged_hole_becomes_a_gap_after_the_grace_in_packets() {
    let mut lab = Lab::with(|builder| builder.grace(3, Duration::from_secs(3600)));
    lab.handshake(C, S);
    lab.client(3, "def");
    lab.acknowledge(6);
    lab.acknowledge(6);
    lab.acknowledge(6);
    assert_eq!(lab.text(), "");
    lab.acknowledge(6);
    assert_eq!(lab.text(), "[3 acknowledged]def");
}

#[test]
fn within_the_grace_bytes_are_still_placed() {
    let mut lab = Lab::open();
    lab.client(3, "def");
    lab.acknowledge(6);
    lab.client(0, "abc");
    lab.wait(Duration::from_secs(10));
    assert_eq!(lab.text(), "abcdef");
}

#[test]
fn the_tail_of_a_stream_that_only_the_receiver_saw_is_a_gap() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(1000);
    lab.wait(Duration::from_secs(3));
    // The last byte may be a FIN, until more follows.
    assert_eq!(lab.text(), "abc[996 acknowledged]");
    lab.client(1000, "xyz");
    lab.wait(Duration::from_secs(3));
    assert_eq!(lab.text(), "abc[996 acknowledged][1 acknowledged]xyz");
}

#[test]
fn an_acknowledgement_of_one_more_is_a_fin_that_was_not_seen() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(4);
    lab.wait(Duration::from_secs(600));
    lab.finish();
    assert_eq!(lab.text(), "abc");
}

#[test]
fn an_acknowledged_byte_is_a_gap_once_more_follows_it() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(4);
    lab.client(4, "efg");
    lab.wait(Duration::from_secs(3));
    assert_eq!(lab.text(), "abc[1 acknowledged]efg");
}

#[test]
fn a_hole_that_nobody_acknowledges_waits_for_its_timeout() {
    let mut lab = Lab::with(|builder| builder.hole_timeout(Duration::from_secs(20)));
    lab.handshake(C, S);
    lab.client(3, "def");
    lab.wait(Duration::from_secs(19));
    assert_eq!(lab.text(), "");
    lab.wait(Duration::from_secs(2));
    assert_eq!(lab.text(), "[3 timeout]def");
}

#[test]
fn a_hole_at_the_end_is_a_gap() {
    let mut lab = Lab::open();
    lab.client(3, "def");
    lab.client(9, "jkl");
    lab.finish();
    assert_eq!(lab.text(), "[3 end]def[3 end]jkl");
}

#[test]
fn bytes_after_their_gap_are_late_and_only_once() {
    let mut lab = Lab::open();
    lab.client(3, "def");
    lab.acknowledge(6);
    lab.wait(Duration::from_secs(3));
    lab.client(0, "abcd");
    lab.client(0, "abcd");
    assert_eq!(lab.text(), "[3 acknowledged]def");
    assert_eq!(lab.side(0, Initiator).late, [(0, b"abc".to_vec())]);
}

#[test]
fn what_the_capture_cut_off_is_a_gap_of_known_length() {
    let mut lab = Lab::open();
    lab.snaplen = 40 + 4;
    lab.client(0, "abcdefgh");
    lab.client(8, "ijkl");
    lab.wait(Duration::from_secs(3));
    assert_eq!(lab.text(), "abcd[4 truncated]ijkl");
    // No full copy of one packet arrived, so none is expected for the others.
    lab.client(12, "mnopqrst");
    assert_eq!(lab.text(), "abcd[4 truncated]ijklmnop[4 truncated]");
}

#[test]
fn what_was_cut_off_a_pending_segment_may_come_whole() {
    let mut lab = Lab::open();
    lab.snaplen = 40 + 4;
    lab.client(4, "efghijkl");
    lab.snaplen = usize::MAX;
    lab.client(8, "ij");
    lab.client(0, "abcd");
    lab.wait(Duration::from_secs(3));
    assert_eq!(lab.text(), "abcdefghij[2 truncated]");
}

#[test]
fn several_holes_become_gaps_up_to_what_was_acknowledged() {
    let mut lab = Lab::open();
    lab.client(2, "cd");
    lab.client(6, "gh");
    lab.client(10, "kl");
    lab.acknowledge(8);
    lab.wait(Duration::from_secs(3));
    assert_eq!(lab.text(), "[2 acknowledged]cd[2 acknowledged]gh");
    lab.client(8, "ij");
    assert_eq!(lab.text(), "[2 acknowledged]cd[2 acknowledged]ghijkl");
}

#[test]
fn a_stretch_that_the_capture_missed_is_bridged_when_both_sides_bear_it_out() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(3);
    lab.client(50_000_000, "xyz");
    lab.acknowledge(50_000_003);
    lab.client(50_000_003, "end");
    lab.wait(Duration::from_secs(3));
    let gaps = &lab.side(0, Initiator).gaps;
    assert_eq!((gaps.len(), gaps[0].len), (1, 49_999_997));
    assert_eq!(gaps[0].cause, GapCause::Acknowledged);
    assert!(lab.text().ends_with("]xyzend"), "{}", lab.text());
}

#[test]
fn what_was_acknowledged_behind_a_hole_is_missed_though_the_hole_was_given_up_first() {
    let mut lab = Lab::with(|builder| {
        builder.hole_timeout(Duration::from_secs(1)).grace(64, Duration::from_secs(5))
    });
    lab.handshake(C, S);
    lab.client(10, "later");
    lab.acknowledge(5);
    lab.acknowledge(30);
    lab.wait(Duration::from_secs(2));
    assert_eq!(lab.text(), "[10 acknowledged]later");
    // No further event is reported.
    lab.wait(Duration::from_secs(6));
    assert_eq!(lab.text(), "[10 acknowledged]later[14 acknowledged]");
}

#[test]
fn acknowledgements_that_follow_the_stream_refute_a_larger_one() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(30_000);
    for turn in 1..5 {
        lab.client(3 * turn, "abc");
        lab.acknowledge(3 * turn + 3);
    }
    lab.wait(Duration::from_secs(5));
    lab.finish();
    assert_eq!(lab.text(), "abc".repeat(5));
}

#[test]
fn one_acknowledgement_that_was_overtaken_refutes_nothing() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(9);
    lab.client(3, "def");
    lab.acknowledge(6);
    lab.wait(Duration::from_secs(5));
    // The last number may be that of a FIN.
    assert_eq!(lab.text(), "abcdef[2 acknowledged]");
}

#[test]
fn no_byte_follows_a_fin_that_is_acknowledged() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(30_000);
    lab.send(Client, C + 4, S + 1, "FA", "");
    lab.send(Server, S + 1, C + 5, "FA", "");
    lab.send(Client, C + 5, S + 2, "A", "");
    lab.finish();
    assert_eq!(lab.text(), "abc$");
    assert_eq!(lab.reason(0), Some(flow::EndReason::Fin));
}

#[test]
fn a_hole_that_shrinks_is_waited_for_again() {
    let mut lab = Lab::open();
    lab.client(12, "x");
    for turn in 0..5 {
        lab.wait(Duration::from_secs(100));
        lab.client(3 * turn, "abc");
    }
    assert_eq!(lab.side(0, Initiator).bytes.len(), 15);
    assert!(lab.side(0, Initiator).gaps.is_empty());
    lab.client(18, "x");
    lab.wait(Duration::from_secs(121));
    assert_eq!(lab.side(0, Initiator).gaps.len(), 1);
}

#[test]
fn a_larger_acknowledgement_before_the_first_bytes_is_refuted_as_well() {
    let mut lab = Lab::new();
    lab.send(Server, S + 1, C + 100_001, "A", "");
    for turn in 0..10 {
        lab.client(3 * turn, "abc");
        lab.send(Server, S + 1 + 3 * turn, C + 4 + 3 * turn, "A", "xyz");
    }
    lab.finish();
    assert_eq!(lab.text(), "abc".repeat(10));
}
