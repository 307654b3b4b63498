//! The cost that an attacker can cause in the table.

use std::time::{Duration, Instant};

use flow::{EndReason, LinkType, Packet};

use crate::lab::*;

#[test]
fn beyond_the_limit_of_a_direction_the_oldest_hole_becomes_a_gap() {
    let mut lab = Lab::with(|builder| builder.direction_limit(1 << 20, 3));
    lab.handshake(C, S);
    for offset in [2, 4, 6] {
        lab.client(offset, "x");
    }
    assert_eq!(lab.text(), "");
    lab.client(8, "x");
    assert_eq!(lab.text(), "[2 limit]x");
}

#[test]
fn the_limit_of_a_direction_counts_bytes_and_what_keeping_them_costs() {
    let mut lab = Lab::with(|builder| builder.direction_limit(10_000, usize::MAX));
    lab.handshake(C, S);
    for number in 0..1000 {
        lab.client(2 + 2 * number, "x");
        assert!(lab.table.statistics().pending_bytes <= 10_000);
    }
    assert!(lab.side(0, Initiator).gaps.len() > 900);
}

#[test]
fn beyond_the_limit_of_the_table_the_oldest_hole_becomes_a_gap() {
    let mut lab = Lab::with(|builder| builder.table_limit(3000));
    let open = |port: u8, lab: &mut Lab| {
        for (sequence, flags, payload) in [(C, "S", ""), (C + 3, "A", "cd")] {
            let mut frame = segment(Client, sequence, S + 1, flags, 60_000, payload.as_bytes());
            frame[21] = port;
            lab.frame(&frame);
        }
    };
    for port in 0..4 {
        open(port, &mut lab);
    }
    assert!(
        lab.seen
            .flows
            .iter()
            .enumerate()
            .all(|(flow, _)| lab.side(flow, Initiator).text.is_empty())
    );
    open(4, &mut lab);
    assert_eq!(lab.side(0, Initiator).text, "[2 limit]cd");
    assert_eq!(lab.side(1, Initiator).text, "");
}

#[test]
fn a_full_table_evicts_and_counts() {
    let mut lab = Lab::with(|builder| builder.max_flows(8));
    for port in 0..100 {
        let mut frame = segment(Client, C, 0, "S", 60_000, b"");
        frame[21] = port;
        lab.frame(&frame);
        assert!(lab.table.len() <= 8);
    }
    assert_eq!(lab.table.statistics().ended_evicted, 92);
    assert_eq!(lab.reason(0), Some(EndReason::Evicted));
    // The oldest were evicted first.
    assert!((0..92).all(|flow| lab.reason(flow) == Some(EndReason::Evicted)));
}

#[test]
fn eviction_prefers_what_is_half_open() {
    let mut lab = Lab::with(|builder| builder.max_flows(4));
    lab.handshake(C, S);
    for port in 0..50 {
        let mut frame = segment(Client, C, 0, "S", 60_000, b"");
        frame[21] = port;
        lab.frame(&frame);
    }
    lab.client(0, "still here");
    assert_eq!(lab.text(), "still here");
}

/// A closed or reset connection is no longer active: its flow is evicted first, with the reason for
/// which the connection ended.
#[test]
fn eviction_prefers_what_was_closed_or_reset() {
    // A byte is missing before the FIN and may still arrive.
    for (client, offset, server, reason) in
        [("RA", 1, "A", EndReason::Rst), ("FA", 2, "FA", EndReason::Fin)]
    {
        let mut lab = Lab::with(|builder| builder.max_flows(2));
        let other = |flags, number| {
            let mut frame = segment(Client, C, number, flags, 60_000, b"");
            frame[21] = 77;
            frame
        };
        lab.frame(&other("S", 0));
        lab.handshake(C, S);
        lab.frame(&segment(Client, C + offset, S + 1, client, 60_000, b""));
        lab.frame(&segment(Server, S + 1, C + 1, server, 60_000, b""));
        lab.frame(&other("A", 1));
        let mut third = other("S", 0);
        third[21] = 78;
        lab.frame(&third);
        assert_eq!((lab.reason(1), lab.reason(0)), (Some(reason), None), "{client}");
    }
}

/// Twice the segments may take slightly more than twice the time, but not four times.
#[test]
fn one_byte_segments_out_of_order_cost_a_logarithm_each() {
    let run = |count: u32| {
        let mut lab = Lab::with(|builder| builder.direction_limit(usize::MAX, usize::MAX));
        lab.handshake(C, S);
        // Every other byte, scattered, without the first one.
        let frames: Vec<_> = (0..count)
            .map(|number| 1 + 2 * (number.wrapping_mul(7919) % count))
            .map(|offset| segment(Client, C + 1 + offset, S + 1, "A", 60_000, b"x"))
            .collect();
        let now = lab.now();
        let start = Instant::now();
        lab.table.process(
            frames.iter().map(|frame| Packet::new(frame, now, LinkType::IPV4)),
            &mut lab.seen,
        );
        let time = start.elapsed();
        assert!(lab.side(0, Initiator).text.is_empty());
        time
    };
    let best = |count| (0..3).map(|_| run(count)).min().unwrap_or(Duration::MAX);
    let (few, many) = (best(16_000), best(64_000));
    assert!(many < few * 16, "16 k in {few:?}, 64 k in {many:?}");
}

/// Data of SYNs that may be forged is kept within its own limit.
#[test]
fn forged_syns_with_data_are_remembered_without_it_beyond_a_limit() {
    let mut lab = Lab::new();
    let at_port = |port: u16, mut frame: Vec<u8>| {
        frame[20..22].copy_from_slice(&port.to_be_bytes());
        frame
    };
    let forged = "x".repeat(1400);
    for port in 1024..2024 {
        lab.frame(&at_port(port, segment(Client, C, 0, "S", 60_000, b"")));
        lab.frame(&at_port(port, segment(Client, C + 1, S + 1, "A", 60_000, b"abc")));
        lab.frame(&at_port(port, segment(Client, 90_000_000, 0, "S", 60_000, forged.as_bytes())));
    }
    assert_eq!(lab.table.statistics().rivals, 1000);
    for port in [1024, 2023] {
        let mut answer = segment(Server, S, 90_001_401, "SA", 60_000, b"");
        answer[22..24].copy_from_slice(&u16::to_be_bytes(port));
        lab.frame(&answer);
        lab.frame(&at_port(port, segment(Client, 90_001_401, S + 1, "A", 60_000, b"")));
    }
    assert_eq!(lab.side(1000, Initiator).text, forged);
    lab.wait(Duration::from_secs(3));
    assert_eq!(lab.side(1001, Initiator).text, "[1400 truncated]");
    // Data that exceeded the limit was reported immediately.
    assert_eq!(lab.side(999, Initiator).unplaced[0].1.len(), 1400);
}

#[test]
fn a_segment_over_many_pending_ones_fills_their_holes() {
    let mut lab = Lab::open();
    let text: String = (0..1000).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
    for offset in (1..1000).step_by(2) {
        lab.client(offset, &text[offset as usize..=offset as usize]);
    }
    lab.client(0, &text);
    assert_eq!(lab.text(), text);
}

#[test]
fn garbage_does_no_harm() {
    let mut lab = Lab::open();
    for letters in ["SR", "SFRAP", "", "F", "P", "SF", "SFA", "FR"] {
        for sequence in [0, C, C + 1, S, u32::MAX] {
            lab.send(Client, sequence, sequence ^ 0x55, letters, "junk");
            lab.send(Server, sequence, sequence ^ 0x55, letters, "junk");
        }
    }
    lab.wait(Duration::from_secs(10_000));
    lab.finish();
    assert!(lab.seen.flows.iter().all(|flow| flow.end.is_some()));
}
