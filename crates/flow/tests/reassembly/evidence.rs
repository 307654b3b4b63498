//! Segments that await evidence, and the limits of that.

use std::time::Duration;

use flow::{EndReason, UnplacedCause};

use crate::lab::*;

#[test]
fn a_hole_that_the_receiver_asks_for_is_waited_for_longer() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(3);
    lab.client(6, "ghi");
    lab.acknowledge(3);
    lab.client(9, "jkl");
    lab.acknowledge(3);
    lab.wait(Duration::from_secs(130));
    assert_eq!(lab.text(), "abc");
    lab.client(3, "def");
    lab.acknowledge(12);
    assert_eq!(lab.text(), "abcdefghijkl");
    assert!(lab.side(0, Initiator).gaps.is_empty());
}

#[test]
fn a_hole_that_the_receiver_asks_for_is_not_waited_for_without_end() {
    let mut lab = Lab::with(|builder| builder.hole_timeout(Duration::from_secs(20)));
    lab.handshake(C, S);
    lab.client(3, "def");
    lab.acknowledge(0);
    lab.wait(Duration::from_secs(100));
    assert_eq!(lab.text(), "");
    lab.wait(Duration::from_secs(100));
    assert_eq!(lab.text(), "[3 timeout]def");
}

#[test]
fn a_hole_that_nobody_asks_for_is_not_waited_for_longer() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(3);
    lab.client(6, "ghi");
    lab.wait(Duration::from_secs(121));
    assert_eq!(lab.text(), "abc[3 timeout]ghi");
}

/// A connection of `count` segments of two bytes from the client, and of three from the server.
fn one_direction(lab: &mut Lab, from: Host, count: u32) {
    let started = lab.clock;
    if from == Client {
        lab.send(Client, C, 0, "S", "");
        lab.clock += 1;
        lab.send(Client, C + 1, S + 1, "A", "");
    } else {
        lab.clock += 1;
        lab.send(Server, S, C + 1, "SA", "");
        lab.clock += 1;
    }
    for turn in 0..count {
        if from == Client {
            lab.send(Client, C + 1 + 2 * turn, S + 1 + 3 * turn, "PA", "ab");
            lab.clock += 1;
        } else {
            lab.clock += 1;
            lab.send(Server, S + 1 + 3 * turn, C + 3 + 2 * turn, "PA", "xyz");
        }
    }
    let (client, server) = (C + 1 + 2 * count, S + 1 + 3 * count);
    if from == Client {
        lab.send(Client, client, server, "FA", "");
        lab.clock += 1;
        lab.send(Client, client + 1, server + 1, "A", "");
    } else {
        lab.clock += 1;
        lab.send(Server, server, client + 1, "FA", "");
    }
    lab.clock = started;
}

#[test]
fn captures_of_the_two_directions_may_be_appended_to_one_another() {
    for count in [1, 70, 500] {
        for order in [[Client, Server], [Server, Client]] {
            let mut lab = Lab::new();
            for from in order {
                one_direction(&mut lab, from, count);
            }
            lab.finish();
            let which = format!("{count} {order:?}");
            assert_eq!(lab.seen.flows.len(), 1, "{which}");
            let expected = ["ab".repeat(count as usize), "xyz".repeat(count as usize)];
            for (side, expected) in [Initiator, Responder].into_iter().zip(expected) {
                assert_eq!(lab.side(0, side).text, expected + "$", "{which} {side:?}");
            }
            assert_eq!(lab.reason(0), Some(EndReason::Fin), "{which}");
        }
    }
}

#[test]
fn a_full_copy_completes_a_packet_that_the_capture_cut_short() {
    let mut lab = Lab::open();
    for (offset, text) in [(0, "abcdefgh"), (8, "ijklmnop")] {
        for snaplen in [44, usize::MAX] {
            lab.snaplen = snaplen;
            lab.client(offset, text);
        }
        for snaplen in [44, usize::MAX] {
            lab.snaplen = snaplen;
            lab.send(Server, S + 1 + offset, C + 9 + offset, "A", text);
        }
    }
    lab.finish();
    assert_eq!(lab.text(), "abcdefghijklmnop");
    assert_eq!(lab.side(0, Responder).text, "abcdefghijklmnop");
    assert!(lab.side(0, Initiator).conflicts.is_empty());
}

#[test]
fn a_retransmission_completes_a_packet_that_the_capture_cut_short() {
    let mut lab = Lab::open();
    lab.snaplen = 44;
    lab.client(0, "abcdefgh");
    lab.snaplen = usize::MAX;
    lab.client(8, "ijkl");
    assert_eq!(lab.text(), "abcd");
    lab.client(0, "abcdefgh");
    assert_eq!(lab.text(), "abcdefghijkl");
    assert!(lab.side(0, Initiator).gaps.is_empty());
}

#[test]
fn where_all_packets_are_cut_short_nothing_waits_for_full_copies_for_long() {
    let mut lab = Lab::open();
    lab.snaplen = 44;
    for turn in 0..100 {
        lab.client(8 * turn, "abcdefgh");
        lab.acknowledge(8 * turn + 8);
    }
    let missing = lab.side(0, Initiator).gaps.len();
    assert!(missing >= 60, "{missing}");
    lab.finish();
    assert_eq!(lab.text(), "abcd[4 truncated]".repeat(100));
}

#[test]
fn the_byte_of_a_keep_alive_fills_no_hole() {
    let mut lab = Lab::open();
    lab.client(0, "hello");
    lab.acknowledge(10);
    lab.client(9, "\0");
    lab.client(10, "!");
    lab.wait(Duration::from_secs(3));
    assert_eq!(lab.text(), "hello[5 acknowledged]!");
}

#[test]
fn the_byte_of_a_keep_alive_fills_no_hole_after_the_rest_of_it_was_given_up() {
    // The last number that was acknowledged may be that of a FIN until more data comes.
    for (probes, pause) in [(1, 130), (2, 60), (1, 3)] {
        let mut lab = Lab::open();
        lab.client(0, "hello");
        lab.acknowledge(10);
        for _ in 0..probes {
            lab.wait(Duration::from_secs(pause));
            lab.client(9, "\0");
            lab.acknowledge(10);
        }
        lab.client(10, "!");
        lab.wait(Duration::from_secs(3));
        assert_eq!(lab.text(), "hello[4 acknowledged][1 acknowledged]!", "{probes} {pause}");
    }
}

#[test]
fn a_pushed_byte_before_what_was_acknowledged_fills_its_hole() {
    let mut lab = Lab::open();
    lab.client(0, "hello");
    lab.acknowledge(10);
    lab.send(Client, C + 10, S + 1, "PA", "x");
    lab.client(10, "!");
    lab.wait(Duration::from_secs(3));
    assert_eq!(lab.text(), "hello[4 acknowledged]x!");
}

/// Forged segments of 1,000 bytes at unrelated distances.
fn forge(lab: &mut Lab, from: Host, number: u32) {
    let far = 100_000_000 + number * 300_000_000;
    let (own, peer) = if from == Client { (C, S) } else { (S, C) };
    lab.send(from, own + far, peer + 1, "A", &"x".repeat(1000));
}

fn limited(lab: &Lab, side: flow::FlowSide) -> usize {
    let unplaced = lab.side(0, side).unplaced.iter();
    unplaced.filter(|(_, _, cause)| *cause == UnplacedCause::Limit).count()
}

#[test]
fn beyond_the_limit_of_a_direction_the_oldest_implausible_segments_are_reported() {
    let mut lab = Lab::with(|builder| builder.quarantine_limit(3500, 1 << 20));
    lab.handshake(C, S);
    for number in 0..3 {
        forge(&mut lab, Client, number);
        assert_eq!(limited(&lab, Initiator), number.saturating_sub(1) as usize);
    }
    let first = &lab.side(0, Initiator).unplaced[0];
    assert_eq!((first.0, first.1.len()), (C + 100_000_000, 1000));
    lab.client(0, "abc");
    lab.acknowledge(3);
    lab.finish();
    assert_eq!(lab.text(), "abc");
    let statistics = lab.table.statistics();
    assert_eq!((statistics.unplaced_bytes, statistics.delivered_bytes), (3000, 3));
    assert_eq!(statistics.pending_bytes, 0);
}

#[test]
fn beyond_the_limit_of_the_table_the_oldest_implausible_segments_are_reported() {
    let mut lab = Lab::with(|builder| builder.quarantine_limit(1 << 20, 3500));
    lab.handshake(C, S);
    forge(&mut lab, Client, 0);
    forge(&mut lab, Server, 0);
    assert_eq!((limited(&lab, Initiator), limited(&lab, Responder)), (0, 0));
    forge(&mut lab, Server, 1);
    assert_eq!((limited(&lab, Initiator), limited(&lab, Responder)), (1, 0));
    lab.client(0, "abc");
    lab.send(Server, S + 1, C + 4, "A", "xyz");
    lab.client(3, "def");
    lab.finish();
    assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("abcdef", "xyz"));
    assert_eq!(lab.table.statistics().unplaced_bytes, 3000);
}

#[test]
fn one_byte_in_each_of_many_flows_stays_within_the_limit_of_the_table() {
    const FLOWS: u32 = 2_000;
    let mut lab = Lab::with(|builder| builder.quarantine_limit(1 << 20, 100_000));
    for flow in 0..FLOWS {
        for (sequence, payload) in [(C + 1, &b"a"[..]), (C + 2_000_000_000, b"b")] {
            let mut frame = segment(Client, sequence, S + 1, "A", 60_000, payload);
            // Another address of the client.
            frame[13..16].copy_from_slice(&flow.to_be_bytes()[1..]);
            frame[10..12].fill(0);
            let sum = frame[..20]
                .chunks(2)
                .fold(0_u32, |sum, pair| sum + u32::from(u16::from_be_bytes([pair[0], pair[1]])));
            let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
            frame[10..12].copy_from_slice(&sum.to_be_bytes());
            lab.frame(&frame);
        }
    }
    assert_eq!(lab.seen.flows.len(), FLOWS as usize);
    let reported = lab.table.statistics().unplaced_bytes;
    // Each takes several hundred bytes, most of them overhead.
    assert!((1_700..2_000).contains(&reported), "{reported}");
    lab.finish();
    let statistics = lab.table.statistics();
    assert_eq!(statistics.unplaced_bytes + statistics.delivered_bytes, 2 * u64::from(FLOWS));
}

#[test]
fn all_that_is_forged_is_reported_however_much_it_is() {
    let mut lab = Lab::with(|builder| builder.quarantine_limit(10_000, 15_000));
    lab.handshake(C, S);
    let mut forged = 0;
    for turn in 0..200 {
        lab.client(3 * turn, "abc");
        for number in 0..7 {
            forge(&mut lab, Client, number);
            forge(&mut lab, Server, number);
            forged += 2000;
        }
        lab.acknowledge(3 * turn + 3);
    }
    // Both sides continue at their old positions.
    lab.client(600, "end");
    lab.send(Server, S + 1, C + 604, "A", "xyz");
    lab.finish();
    assert_eq!(lab.text(), "abc".repeat(200) + "end");
    assert_eq!(lab.side(0, Responder).text, "xyz");
    let statistics = lab.table.statistics();
    assert_eq!(statistics.unplaced_bytes, forged);
    assert_eq!(statistics.pending_bytes, 0);
    for (side, bytes) in [(Initiator, 1_400_000), (Responder, 1_400_000)] {
        let unplaced = &lab.side(0, side).unplaced;
        assert_eq!(unplaced.iter().map(|(_, bytes, _)| bytes.len()).sum::<usize>(), bytes);
    }
}
