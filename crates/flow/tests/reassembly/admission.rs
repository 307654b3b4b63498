//! The handler's decisions.

use std::time::Duration;

use flow::EndReason;

use crate::lab::*;

#[test]
fn of_a_flow_that_is_refused_nothing_is_told() {
    let mut lab = Lab::new();
    lab.seen.refuses = true;
    lab.handshake(C, S);
    lab.client(0, "abc");
    lab.client(6, "ghi");
    lab.send(Server, S + 1, C + 10, "AF", "xyz");
    assert_eq!((lab.seen.asked, lab.seen.flows.len()), (1, 0));
    assert!(lab.table.is_empty());
    assert_eq!(lab.table.statistics().flows_refused, 1);
    assert_eq!(lab.table.statistics().pending_bytes, 0);
    assert_eq!(lab.table.statistics().after_end, 5);
}

#[test]
fn a_refused_flow_is_asked_about_once_as_long_as_it_speaks() {
    let mut lab = Lab::new();
    lab.seen.refuses = true;
    lab.handshake(C, S);
    for i in 0..20 {
        lab.wait(Duration::from_secs(50));
        lab.client(i, "a");
    }
    assert_eq!(lab.seen.asked, 1);
    lab.wait(Duration::from_secs(61));
    lab.seen.refuses = false;
    lab.client(20, "z");
    assert_eq!((lab.seen.asked, lab.seen.flows.len()), (2, 1));
}

#[test]
fn a_new_connection_on_the_same_ports_is_asked_about_again() {
    let mut lab = Lab::new();
    lab.seen.refuses = true;
    lab.handshake(C, S);
    lab.send(Client, C, 0, "S", "");
    assert_eq!(lab.seen.asked, 1, "the SYN was repeated");
    lab.seen.refuses = false;
    lab.handshake(C + 100_000, S + 100_000);
    assert_eq!((lab.seen.asked, lab.seen.flows.len()), (2, 1));
}

#[test]
fn a_refused_answer_tells_its_question() {
    let mut lab = Lab::new();
    lab.seen.refuses = true;
    lab.send(Server, S, C + 1, "SA", "");
    lab.send(Client, C, 0, "S", "");
    lab.send(Client, C + 1, S + 1, "A", "");
    assert_eq!(lab.seen.asked, 1);
}

#[test]
fn bytes_that_were_acknowledged_before_they_came_are_awaited() {
    let mut lab = Lab::open();
    lab.send(Server, S + 1, C + 1 + 5, "A", "answer");
    // The fifth byte may be a FIN.
    assert_eq!(lab.seen.awaited, [(Initiator, 4)]);
    lab.client(0, "hello");
    lab.acknowledge(5);
    assert_eq!(lab.seen.awaited.len(), 1);
    assert_eq!(lab.text(), "hello");
}

#[test]
fn what_lies_behind_a_hole_awaits_what_its_own_packet_acknowledged() {
    let mut lab = Lab::open();
    // The first part of the answer is missing when its second arrives. The answer acknowledges the
    // question, which arrives last.
    lab.send(Server, S + 1 + 3, C + 1 + 5, "A", "wer");
    lab.send(Server, S + 1 + 6, C + 1 + 5, "A", "");
    lab.send(Server, S + 1, C + 1, "A", "ans");
    assert_eq!(lab.seen.awaited, []);
    assert_eq!(lab.seen.awaiting, [(Responder, 3, 4)]);
    lab.client(0, "hello");
    // An older packet's acknowledgement acknowledges nothing more.
    lab.send(Server, S + 1 + 6, C + 1 + 9, "A", "");
    lab.send(Server, S + 1 + 6, C + 1 + 8, "A", "");
    assert_eq!(lab.seen.awaited, [(Initiator, 8), (Initiator, 8)]);
}

#[test]
fn or_a_gap_comes_in_their_place() {
    let mut lab = Lab::open();
    lab.acknowledge(5);
    lab.acknowledge(9);
    assert_eq!(lab.seen.awaited, [(Initiator, 4), (Initiator, 8)]);
    lab.wait(Duration::from_secs(3));
    lab.wait(Duration::from_secs(3));
    assert_eq!(lab.side(0, Initiator).gaps.iter().map(|gap| gap.len).sum::<u64>(), 8);
}

#[test]
fn a_single_byte_is_not_awaited() {
    let mut lab = Lab::open();
    lab.acknowledge(1);
    assert_eq!(lab.seen.awaited, []);
}

#[test]
fn a_flow_is_ended_to_make_room() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.client(6, "ghi");
    let flow = lab.seen.flows[0].id;
    assert!(lab.table.evict_flow(flow, &mut lab.seen));
    assert_eq!(lab.text(), "abc[3 end]ghi");
    assert_eq!(lab.reason(0), Some(EndReason::Evicted));
    assert!(lab.table.is_empty());
    assert!(!lab.table.evict_flow(flow, &mut lab.seen));
    // Another flow in the same slot is not affected.
    lab.handshake(C + 100_000, S);
    assert!(!lab.table.evict_flow(flow, &mut lab.seen));
}
