//! A FIN is accepted when the receiver has acknowledged it.

use std::time::Duration;

use flow::{EndReason, UnplacedCause};

use crate::lab::*;

/// Both sides close after this number of bytes from the client and from the server.
fn close(lab: &mut Lab, client: u32, server: u32) {
    lab.send(Client, C + 1 + client, S + 1 + server, "FA", "");
    lab.send(Server, S + 1 + server, C + 2 + client, "FA", "");
    lab.send(Client, C + 2 + client, S + 2 + server, "A", "");
}

#[test]
fn a_fin_is_reported_when_it_is_acknowledged() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.send(Client, C + 4, S + 1, "FA", "");
    assert_eq!(lab.text(), "abc");
    lab.acknowledge(3);
    assert_eq!(lab.text(), "abc");
    lab.acknowledge(4);
    assert_eq!(lab.text(), "abc$");
}

#[test]
fn a_fin_that_nothing_contradicts_is_true_at_the_end() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.send(Client, C + 4, S + 1, "FA", "");
    lab.finish();
    assert_eq!(lab.text(), "abc$");
}

#[test]
fn a_forged_fin_at_the_exact_number_hides_nothing() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(3);
    lab.send(Client, C + 4, S + 1, "FA", "");
    lab.client(3, "def");
    lab.acknowledge(6);
    assert_eq!(lab.text(), "abcdef");
    assert_eq!(lab.table.statistics().refuted_fins, 1);
    lab.client(6, "ghi");
    close(&mut lab, 9, 0);
    assert_eq!(lab.text(), "abcdefghi$");
    assert_eq!(lab.reason(0), Some(EndReason::Fin));
    assert!(lab.side(0, Initiator).unplaced.is_empty());
}

#[test]
fn a_forged_fin_ahead_hides_nothing() {
    let text = "0123456789".repeat(20);
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(3);
    // In the middle of the later bytes.
    lab.send(Client, C + 1 + 50, S + 1, "FA", "");
    lab.client(3, &text[..100]);
    lab.client(103, &text[100..]);
    lab.acknowledge(203);
    assert_eq!(lab.text(), format!("abc{text}"));
    close(&mut lab, 203, 0);
    assert_eq!(lab.text(), format!("abc{text}$"));
    assert_eq!(lab.reason(0), Some(EndReason::Fin));
}

#[test]
fn forged_fins_of_both_sides_hide_nothing() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(3);
    lab.send(Client, C + 4, S + 1, "FA", "");
    lab.send(Server, S + 1, C + 4, "FA", "");
    lab.client(3, "def");
    lab.send(Server, S + 1, C + 7, "A", "xyz");
    lab.send(Client, C + 7, S + 4, "A", "ghi");
    lab.acknowledge(9);
    assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("abcdefghi", "xyz"));
    // An idle flow does not end as if it were closed.
    lab.wait(Duration::from_secs(300));
    assert_eq!(lab.reason(0), None);
    close(&mut lab, 9, 3);
    assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("abcdefghi$", "xyz$"));
    assert_eq!(lab.reason(0), Some(EndReason::Fin));
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!(lab.table.statistics().refuted_fins, 2);
}

#[test]
fn of_two_fins_the_acknowledged_one_is_true() {
    for forged_first in [true, false] {
        let mut lab = Lab::open();
        lab.client(0, "abc");
        lab.acknowledge(3);
        let (forged, genuine) = (C + 1 + 50, C + 1 + 6);
        lab.client(3, "def");
        for sequence in if forged_first { [forged, genuine] } else { [genuine, forged] } {
            lab.send(Client, sequence, S + 1, "FA", "");
        }
        lab.acknowledge(7);
        assert_eq!(lab.text(), "abcdef$");
    }
}

#[test]
fn data_beyond_a_confirmed_fin_is_reported() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.send(Client, C + 4, S + 1, "FA", "");
    lab.acknowledge(4);
    lab.client(3, "beyond");
    lab.acknowledge(4);
    lab.finish();
    assert_eq!(lab.text(), "abc$");
    let unplaced = (C + 4, b"beyond".to_vec(), UnplacedCause::AfterFin);
    assert_eq!(lab.side(0, Initiator).unplaced, [unplaced]);
    assert_eq!(lab.seen.flows.len(), 1);
}

#[test]
fn what_waited_beyond_a_fin_is_reported_when_the_fin_is_confirmed() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.send(Client, C + 4, S + 1, "FA", "");
    lab.client(3, "beyond");
    assert_eq!(lab.text(), "abc");
    lab.acknowledge(4);
    assert_eq!(lab.text(), "abc$");
    let unplaced = (C + 4, b"beyond".to_vec(), UnplacedCause::AfterFin);
    assert_eq!(lab.side(0, Initiator).unplaced, [unplaced]);
    assert_eq!(lab.table.statistics().pending_bytes, 0);
}

#[test]
fn data_beyond_a_confirmed_fin_that_the_other_side_acknowledges_is_a_flow_of_its_own() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    // The FIN and its acknowledgement are forged.
    lab.send(Client, C + 4, S + 1, "FA", "");
    lab.acknowledge(4);
    lab.client(3, "def");
    lab.acknowledge(6);
    lab.client(6, "ghi");
    lab.finish();
    assert_eq!(lab.text(), "abc$");
    assert_eq!(lab.seen.flows.len(), 2);
    assert_eq!(lab.side(1, Initiator).text, "defghi");
}

#[test]
fn where_only_one_side_is_captured_the_sender_itself_refutes_a_fin() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "");
    lab.client(0, "abc");
    lab.send(Client, C + 4, S + 1, "FA", "");
    lab.client(3, "def");
    lab.client(6, "ghi");
    assert_eq!(lab.text(), "abc");
    lab.client(9, "jkl");
    assert_eq!(lab.text(), "abcdefghijkl");
    lab.client(12, "mno");
    lab.finish();
    assert_eq!(lab.text(), "abcdefghijklmno");
    assert_eq!(lab.seen.flows.len(), 1);
}

#[test]
fn where_only_one_side_is_captured_little_beyond_a_fin_is_delivered_at_the_end() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "");
    lab.client(0, "abc");
    lab.send(Client, C + 4, S + 1, "FA", "");
    lab.client(3, "def");
    lab.finish();
    assert_eq!(lab.text(), "abcdef");
}

#[test]
fn a_fin_that_was_not_captured_is_no_byte_of_a_gap_and_the_flow_is_closed() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    // A hundred bytes and the FIN are missing.
    lab.send(Server, S + 1, C + 1 + 104, "A", "");
    lab.send(Server, S + 1, C + 1 + 104, "FA", "");
    lab.send(Client, C + 1 + 104, S + 2, "A", "");
    lab.finish();
    assert_eq!(lab.text(), "abc[100 acknowledged]$");
    assert_eq!(lab.side(0, Responder).text, "$");
    assert_eq!(lab.reason(0), Some(EndReason::Fin));
}
