//! The ends of connections.

use std::time::Duration;

use flow::EndReason;

use crate::lab::*;

fn close(lab: &mut Lab) {
    lab.send(Client, C + 1, S + 1, "FA", "");
    lab.send(Server, S + 1, C + 2, "FA", "");
    lab.send(Client, C + 2, S + 2, "A", "");
}

#[test]
fn fin_on_both_sides_ends_the_flow_at_once() {
    let mut lab = Lab::open();
    close(&mut lab);
    assert_eq!(lab.reason(0), Some(EndReason::Fin));
    assert!(lab.table.is_empty());
    let record = lab.seen.flows[0].end.as_ref().unwrap();
    assert_eq!(record.history, "ShAFf");
    assert_eq!(record.handshake_rtt, Some(Duration::from_millis(2)));
}

#[test]
fn the_other_direction_goes_on_after_a_fin() {
    let mut lab = Lab::open();
    lab.send(Client, C + 1, S + 1, "FA", "");
    lab.send(Server, S + 1, C + 2, "A", "still ");
    lab.wait(Duration::from_secs(600));
    lab.send(Server, S + 7, C + 2, "A", "talking");
    assert_eq!(lab.side(0, Responder).text, "still talking");
    assert_eq!(lab.reason(0), None);
    lab.send(Server, S + 14, C + 2, "FA", "");
    lab.send(Client, C + 2, S + 15, "A", "");
    assert_eq!(lab.reason(0), Some(EndReason::Fin));
}

#[test]
fn no_gap_comes_behind_a_fin_that_was_acknowledged_before_it_was_seen() {
    for apart in [false, true] {
        let mut lab = Lab::open();
        // Of five bytes and the FIN.
        lab.acknowledge(6);
        if apart {
            lab.client(0, "hello");
            lab.send(Client, C + 6, S + 1, "FA", "");
        } else {
            lab.send(Client, C + 1, S + 1, "FA", "hello");
        }
        for offset in 0..300 {
            lab.send(Server, S + 1 + offset, C + 7, "A", "x");
        }
        lab.wait(Duration::from_secs(30));
        assert_eq!(lab.text(), "hello$");
    }
}

#[test]
fn a_fin_that_is_never_seen_is_no_gap_nor_awaited() {
    for parts in [&["hello"][..], &["hel", "lo"]] {
        let mut lab = Lab::open();
        lab.acknowledge(6);
        let mut offset = 0;
        for part in parts {
            lab.client(offset, part);
            offset += part.len() as u32;
        }
        for offset in 0..300 {
            lab.send(Server, S + 1 + offset, C + 7, "A", "x");
        }
        lab.wait(Duration::from_secs(30));
        assert_eq!(lab.seen.awaited.iter().map(|(_, offset)| *offset).max(), Some(5));
        lab.finish();
        assert_eq!(lab.text(), "hello");
    }
}

#[test]
fn late_fins_and_acknowledgements_open_no_flow() {
    let mut lab = Lab::open();
    close(&mut lab);
    lab.send(Server, S + 1, C + 2, "FA", "");
    lab.send(Client, C + 2, S + 2, "A", "");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!(lab.table.statistics().after_end, 2);
}

#[test]
fn a_fin_waits_for_the_bytes_before_it() {
    let mut lab = Lab::open();
    lab.send(Client, C + 4, S + 1, "FA", "def");
    lab.send(Client, C + 1, S + 1, "A", "abc");
    lab.send(Server, S + 1, C + 8, "A", "");
    assert_eq!(lab.text(), "abcdef$");
}

#[test]
fn a_fin_behind_a_hole_ends_with_a_gap() {
    let mut lab = Lab::open();
    lab.send(Client, C + 7, S + 1, "FA", "");
    lab.send(Server, S + 1, C + 8, "FA", "");
    lab.send(Client, C + 8, S + 2, "A", "");
    assert_eq!(lab.reason(0), None);
    lab.wait(Duration::from_secs(3));
    assert_eq!(lab.text(), "[6 acknowledged]$");
    assert_eq!(lab.reason(0), Some(EndReason::Fin));
}

#[test]
fn both_sides_may_close_at_once() {
    let mut lab = Lab::open();
    lab.send(Client, C + 1, S + 1, "FA", "");
    lab.send(Server, S + 1, C + 1, "FA", "");
    lab.send(Client, C + 2, S + 2, "A", "");
    lab.send(Server, S + 2, C + 2, "A", "");
    assert_eq!(lab.reason(0), Some(EndReason::Fin));
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 1);
}

#[test]
fn both_sides_may_open_at_once() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "");
    lab.send(Server, S, 0, "S", "");
    lab.send(Client, C, S + 1, "SA", "");
    lab.send(Server, S, C + 1, "SA", "");
    lab.send(Client, C + 1, S + 1, "A", "abc");
    lab.send(Server, S + 1, C + 4, "A", "xyz");
    assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("abc", "xyz"));
    assert_eq!(lab.seen.flows.len(), 1);
}

#[test]
fn without_its_last_acknowledgement_a_closed_flow_lingers_and_ends() {
    let mut lab = Lab::open();
    lab.send(Client, C + 1, S + 1, "FA", "");
    lab.send(Server, S + 1, C + 2, "FA", "");
    assert_eq!(lab.reason(0), None);
    lab.wait(Duration::from_secs(3));
    assert_eq!(lab.reason(0), Some(EndReason::Fin));
}

#[test]
fn a_reset_at_the_next_sequence_number_ends_the_flow() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.send(Client, C + 4, 0, "R", "");
    lab.wait(Duration::from_secs(3));
    assert_eq!(lab.reason(0), Some(EndReason::Rst));
}

#[test]
fn data_on_its_way_when_the_reset_came_still_belongs_to_the_flow() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.send(Client, C + 4, 0, "R", "");
    lab.send(Server, S + 1, C + 4, "A", "xyz");
    lab.finish();
    assert_eq!(lab.side(0, Responder).text, "xyz");
    assert_eq!(lab.reason(0), Some(EndReason::Rst));
}

#[test]
fn the_payload_of_a_reset_is_no_data() {
    let mut lab = Lab::open();
    lab.send(Client, C + 1, S + 1, "RA", "why I reset");
    lab.finish();
    assert_eq!(lab.text(), "");
    assert_eq!(lab.reason(0), Some(EndReason::Rst));
}

#[test]
fn a_blind_reset_outside_the_window_does_nothing() {
    let mut lab = Lab::open();
    lab.send(Client, C.wrapping_add(900_000_000), 0, "R", "");
    lab.client(0, "abc");
    close_after(&mut lab, 3);
    assert_eq!(lab.text(), "abc$");
    assert_eq!(lab.reason(0), Some(EndReason::Fin));
}

#[test]
fn a_reset_elsewhere_in_the_window_is_not_believed_if_the_flow_goes_on() {
    let mut lab = Lab::open();
    lab.send(Client, C + 100, 0, "R", "");
    lab.client(0, "abc");
    lab.finish();
    assert_eq!(lab.text(), "abc");
    assert_eq!(lab.reason(0), Some(EndReason::CaptureEnded));
    assert_eq!(lab.table.statistics().doubtful_resets, 1);
}

#[test]
fn a_reset_elsewhere_in_the_window_is_believed_if_the_flow_falls_silent() {
    let mut lab = Lab::open();
    lab.send(Client, C + 100, 0, "R", "");
    lab.wait(Duration::from_secs(120));
    assert_eq!(lab.reason(0), Some(EndReason::Rst));
}

#[test]
fn a_refused_connection_is_reset() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "");
    lab.send(Server, 0, C + 1, "RA", "");
    lab.finish();
    assert_eq!(lab.reason(0), Some(EndReason::Rst));
}

#[test]
fn a_reset_of_nothing_opens_no_flow() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "R", "");
    assert!(lab.table.is_empty());
    assert_eq!(lab.table.statistics().orphan_resets, 1);
}

#[test]
fn the_end_of_the_capture_tells_the_true_state() {
    let mut lab = Lab::open();
    lab.send(Client, C + 1, S + 1, "FA", "");
    lab.finish();
    assert_eq!(lab.reason(0), Some(EndReason::CaptureEnded));

    let mut lab = Lab::open();
    lab.send(Client, C + 1, S + 1, "FA", "");
    lab.send(Server, S + 1, C + 2, "FA", "");
    lab.finish();
    assert_eq!(lab.reason(0), Some(EndReason::Fin));
}

fn close_after(lab: &mut Lab, sent: u32) {
    lab.send(Client, C + 1 + sent, S + 1, "FA", "");
    lab.send(Server, S + 1, C + 2 + sent, "FA", "");
    lab.send(Client, C + 2 + sent, S + 2, "A", "");
}

#[test]
fn a_syn_may_bring_all_that_a_side_says_and_its_fin() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "SF", "ask");
    lab.send(Server, S, C + 5, "SAF", "answer");
    lab.send(Client, C + 5, S + 8, "A", "");
    assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("ask$", "answer$"));
    assert_eq!(lab.reason(0), Some(EndReason::Fin));
    assert_eq!(lab.seen.flows.len(), 1);
}

#[test]
fn what_was_sent_before_two_fins_refutes_both() {
    let mut lab = Lab::open();
    let stream = "abcdefghijklmnopqrstuvwxyz";
    lab.client(5, &stream[5..25]);
    lab.send(Client, C + 1 + 10, S + 1, "FA", "");
    lab.send(Client, C + 1 + 20, S + 1, "FA", "");
    lab.client(0, &stream[..5]);
    lab.client(21, &stream[21..]);
    lab.finish();
    assert_eq!(lab.text(), stream);
    assert_eq!(lab.table.statistics().refuted_fins, 2);
}
