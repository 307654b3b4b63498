//! Expiry in small steps.

use std::time::Duration;

use flow::{EndReason, Timestamp};

use crate::lab::*;

/// A SYN from one of many clients.
fn syn(number: u16) -> Vec<u8> {
    let mut frame = segment(Client, C, 0, "S", 60_000, b"");
    frame[20..22].copy_from_slice(&(1024 + number).to_be_bytes());
    frame
}

/// This number of half-open connections, a millisecond apart, and a time at which all of them have
/// expired.
fn overdue(flows: u16, budget: usize) -> Lab {
    let mut lab = Lab::with(|builder| builder.expiry_budget(budget).max_flows(usize::from(flows)));
    for number in 0..flows {
        lab.frame(&syn(number));
    }
    lab.clock += 100_000;
    lab
}

fn ended(lab: &Lab) -> usize {
    lab.seen.flows.iter().filter(|flow| flow.end.is_some()).count()
}

#[test]
fn one_call_ends_no_more_flows_than_the_budget_allows() {
    let mut lab = overdue(1000, 50);
    let mut calls = 0;
    let mut before = 0;
    while lab.table.next_deadline().is_some_and(|deadline| deadline <= lab.now()) {
        lab.table.advance(lab.now(), &mut lab.seen);
        assert!(ended(&lab) <= before + 50);
        before = ended(&lab);
        calls += 1;
    }
    assert_eq!(before, 1000);
    // Each timer may move from level to level of the wheel before it fires.
    assert!((20..=100).contains(&calls), "{calls} calls");
    assert_eq!(lab.table.next_deadline(), None);
}

#[test]
fn a_flow_that_is_over_ends_before_it_is_given_a_packet() {
    let mut lab = overdue(1000, 1);
    // The last flow, whose timer would fire last.
    lab.frame(&syn(999));
    assert!(ended(&lab) < 100, "{} of 1000", ended(&lab));
    assert_eq!(lab.reason(999), Some(EndReason::IdleTimeout));
    assert_eq!(lab.seen.flows.len(), 1001);
    assert_eq!(lab.reason(1000), None);
    lab.finish();
    assert!((0..1000).all(|flow| lab.reason(flow) == Some(EndReason::IdleTimeout)));
    assert_eq!(lab.reason(1000), Some(EndReason::CaptureEnded));
}

#[test]
fn a_hole_that_is_overdue_is_a_gap_before_the_next_packet() {
    let mut lab = Lab::with(|builder| builder.expiry_budget(1));
    for number in 0..200 {
        lab.frame(&syn(number));
    }
    lab.handshake(C, S);
    lab.client(3, "def");
    lab.acknowledge(6);
    lab.clock += 40_000;
    lab.client(0, "abc");
    let flow = lab.seen.flows.len() - 1;
    assert_eq!(lab.side(flow, Initiator).text, "[3 acknowledged]def");
    assert_eq!(lab.side(flow, Initiator).late, [(0, b"abc".to_vec())]);
}

#[test]
fn a_full_table_of_flows_that_are_over_evicts_none_of_them() {
    let mut lab = overdue(100, 1);
    for number in 100..200 {
        lab.frame(&syn(number));
    }
    let statistics = lab.table.statistics();
    assert_eq!((statistics.ended_evicted, statistics.ended_idle), (0, 100));
    assert_eq!(lab.table.len(), 100);
}

#[test]
fn packets_alone_work_off_what_is_due() {
    let mut lab = overdue(2000, 1);
    for _ in 0..500 {
        lab.frame(&syn(1999));
    }
    assert_eq!(ended(&lab), 2000);
    assert_eq!(lab.table.len(), 1);
}

#[test]
fn closed_connections_leave_in_portions_too() {
    let mut lab = Lab::with(|builder| builder.expiry_budget(3));
    for number in 0..50 {
        let port = (1024_u16 + number).to_be_bytes();
        for (from, sequence, acknowledgement, flags) in [
            (Client, C, 0, "S"),
            (Server, S, C + 1, "SA"),
            (Client, C + 1, S + 1, "FA"),
            (Server, S + 1, C + 2, "FA"),
            (Client, C + 2, S + 2, "A"),
        ] {
            let mut frame = segment(from, sequence, acknowledgement, flags, 60_000, b"");
            let at = if from == Client { 20 } else { 22 };
            frame[at..at + 2].copy_from_slice(&port);
            lab.frame(&frame);
        }
    }
    assert_eq!(ended(&lab), 50);
    let mut calls = 0;
    lab.wait(Duration::from_secs(3600));
    while lab.table.next_deadline().is_some() {
        lab.table.advance(lab.now(), &mut lab.seen);
        calls += 1;
    }
    assert!((16..200).contains(&calls), "{calls} calls");
    assert_eq!(lab.table.next_deadline(), None::<Timestamp>);
}
