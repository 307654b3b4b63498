//! Handshakes that are forged, rewritten by a middlebox, or not captured.

use std::time::Duration;

use flow::{EndReason, UnplacedCause};

use crate::lab::*;

fn close(lab: &mut Lab, client: u32, server: u32) {
    lab.send(Client, client, server, "FA", "");
    lab.send(Server, server, client + 1, "FA", "");
    lab.send(Client, client + 1, server + 1, "A", "");
}

#[test]
fn a_forged_syn_with_data_in_the_middle_hides_nothing_and_is_reported() {
    for far in [90_000, 90_000_000, 900_000_000_u32] {
        let mut lab = Lab::open();
        lab.client(0, "abc");
        lab.send(Client, far, 0, "S", "forged");
        lab.send(Client, far + 7, S + 1, "A", " more");
        lab.client(3, "def");
        lab.send(Server, S + 1, C + 7, "A", "xyz");
        lab.client(6, "ghi");
        lab.finish();
        assert_eq!(lab.seen.flows.len(), 1);
        assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("abcdefghi", "xyz"));
        let unplaced = &lab.side(0, Initiator).unplaced;
        let forged = (far + 1, b"forged".to_vec(), UnplacedCause::SynNotConfirmed);
        let more = (far + 7, b" more".to_vec(), UnplacedCause::OtherSequenceSpace);
        assert!(unplaced.contains(&forged) && unplaced.contains(&more), "{unplaced:?}");
        assert_eq!(unplaced.len(), 2);
    }
}

#[test]
fn of_several_syn_acks_the_one_that_the_client_confirms_is_true() {
    const FORGED: [u32; 3] = [777_000_000, 70_000, 3_000_000_000];
    for count in 0..=FORGED.len() {
        for before in 0..=count {
            let mut lab = Lab::new();
            lab.send(Client, C, 0, "S", "");
            for forged in &FORGED[..before] {
                lab.send(Server, *forged, C + 1, "SA", "");
            }
            lab.send(Server, S, C + 1, "SA", "");
            for forged in &FORGED[before..count] {
                lab.send(Server, *forged, C + 1, "SA", "");
            }
            lab.send(Client, C + 1, S + 1, "A", "");
            lab.client(0, "abc");
            lab.send(Server, S + 1, C + 4, "A", "xyz");
            lab.send(Client, C + 4, S + 4, "A", "def");
            close(&mut lab, C + 7, S + 4);
            assert_eq!(lab.seen.flows.len(), 1, "{before} of {count}");
            assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("abcdef$", "xyz$"));
            assert_eq!(lab.reason(0), Some(EndReason::Fin));
        }
    }
}

#[test]
fn a_syn_ack_forged_after_the_handshake_changes_nothing() {
    let mut lab = Lab::open();
    lab.send(Server, 777_000_000, C + 1, "SA", "forged");
    lab.client(0, "abc");
    lab.send(Server, S + 1, C + 4, "A", "xyz");
    close(&mut lab, C + 4, S + 4);
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("abc$", "xyz$"));
    let forged = (777_000_001, b"forged".to_vec(), UnplacedCause::SynNotConfirmed);
    assert_eq!(lab.side(0, Responder).unplaced, [forged]);
}

/// A segment with its numbers on one side of a middlebox and on the other.
type Both = (Host, u32, u32, &'static str, &'static str);

const CONVERSATION: [Both; 9] = [
    (Client, 0, 0, "S", ""),
    (Server, 0, 1, "SA", ""),
    (Client, 1, 1, "A", ""),
    (Client, 1, 1, "PA", "request"),
    (Server, 1, 8, "PA", "response"),
    (Client, 8, 9, "PA", "again"),
    (Server, 9, 13, "PA", "and again"),
    (Client, 13, 18, "A", "bye"),
    (Server, 18, 16, "A", "good bye"),
];

/// The default distance by which a middlebox shifts numbers.
const SHIFT: u32 = 0x1234_5678;

/// Captures both sides of a middlebox. The copies lag `lag` segments behind.
fn middlebox(lag: usize, near_first: bool, rewritten: Host, closes: bool, by: u32) -> Lab {
    let mut lab = Lab::new();
    let mut segments = CONVERSATION.to_vec();
    if closes {
        segments.extend([
            (Client, 16, 26, "FA", ""),
            (Server, 26, 17, "FA", ""),
            (Client, 17, 27, "A", ""),
        ]);
    }
    let shift = |host| if host == rewritten { by } else { 0 };
    let mut put = |(from, sequence, acknowledgement, flags, text): Both, far: bool| {
        let (client, server) = if far { (C + shift(Client), S + shift(Server)) } else { (C, S) };
        let (own, peer) = if from == Client { (client, server) } else { (server, client) };
        let peer = if flags == "S" { 0 } else { peer + acknowledgement };
        lab.send(from, own + sequence, peer, flags, text);
    };
    for at in 0..segments.len() + lag {
        for first in [true, false] {
            // The original, and the copy that arrives later.
            let index = if first { Some(at) } else { at.checked_sub(lag) };
            if let Some(segment) = index.and_then(|index| segments.get(index)) {
                // A packet passes its sender's side of the middlebox first.
                let first_is_far = if near_first { segment.0 == Server } else { false };
                put(*segment, first == first_is_far);
            }
        }
    }
    lab
}

const TEXTS: [&str; 2] = ["requestagainbye", "responseand againgood bye"];

#[test]
fn of_both_sides_of_a_middlebox_one_is_the_flow_and_the_other_is_reported() {
    // Includes distances so small that a hole of this length would be plausible.
    let shifts = [SHIFT, 100_000, 1_000];
    for ((lag, near_first), by) in [(0, true), (0, false), (1, false)]
        .into_iter()
        .flat_map(|order| shifts.into_iter().map(move |by| (order, by)))
    {
        for rewritten in [Client, Server] {
            for closes in [false, true] {
                let mut lab = middlebox(lag, near_first, rewritten, closes, by);
                lab.finish();
                let which = format!("{lag} {near_first} {rewritten:?} {closes} {by}");
                assert_eq!(lab.seen.flows.len(), 1, "{which}");
                let end = if closes { "$" } else { "" };
                for (side, text) in [Initiator, Responder].into_iter().zip(TEXTS) {
                    assert_eq!(lab.side(0, side).text, format!("{text}{end}"), "{which}");
                }
                let side = if rewritten == Client { Initiator } else { Responder };
                let unplaced = &lab.side(0, side).unplaced;
                let sum: usize = unplaced.iter().map(|(_, bytes, _)| bytes.len()).sum();
                assert_eq!(sum, lab.side(0, side).bytes.len(), "{which} {unplaced:?}");
                for (_, _, cause) in unplaced {
                    assert_eq!(*cause, UnplacedCause::OtherSequenceSpace, "{which}");
                }
            }
        }
    }
}

/// One side may be captured several packets after the other, or an answer before its question.
#[test]
fn where_the_sides_of_a_middlebox_are_apart_one_flow_is_whole_and_nothing_is_lost() {
    for (lag, near_first) in [(1, true), (2, true), (2, false), (3, true), (3, false)] {
        for rewritten in [Client, Server] {
            for closes in [false, true] {
                let mut lab = middlebox(lag, near_first, rewritten, closes, SHIFT);
                lab.finish();
                let which = format!("{lag} {near_first} {rewritten:?} {closes}");
                let flows = 0..lab.seen.flows.len();
                let text = |flow, side| lab.side(flow, side).text.trim_end_matches('$');
                let whole = |flow| [Initiator, Responder].map(|side| text(flow, side)) == TEXTS;
                assert!(flows.clone().any(whole), "{which}");
                let told =
                    flows.flat_map(|flow| [lab.side(flow, Initiator), lab.side(flow, Responder)]);
                let told = told.map(|seen| {
                    let unplaced = seen.unplaced.iter().map(|(_, bytes, _)| bytes.len());
                    let late = seen.late.iter().map(|(_, bytes)| bytes.len());
                    let repeats = seen.repeats.iter().map(|(_, bytes)| bytes.len()).chain(late);
                    seen.bytes.len() + unplaced.sum::<usize>() + repeats.sum::<usize>()
                });
                let told = told.sum::<usize>() + lab.table.statistics().after_end_bytes as usize;
                assert_eq!(told, 2 * TEXTS.map(str::len).iter().sum::<usize>(), "{which}");
            }
        }
    }
}

#[test]
fn data_far_off_after_both_sides_closed_is_another_connection() {
    for (client, server) in [(true, true), (true, false), (false, true)] {
        let mut lab = Lab::open();
        lab.client(0, "first");
        close(&mut lab, C + 6, S + 1);
        let (own, peer) = (1_300_000_000, 2_900_000_000);
        if client {
            lab.send(Client, own, peer, "A", "second");
        }
        if server {
            lab.send(Server, peer, own + 6, "A", "SECOND");
        }
        if client {
            lab.send(Client, own + 6, peer + 6, "A", "more");
        }
        lab.finish();
        assert_eq!(lab.seen.flows.len(), 2);
        assert_eq!((lab.text(), lab.reason(0)), ("first$", Some(EndReason::Fin)));
        assert_eq!(lab.side(1, Initiator).text, if client { "secondmore" } else { "" });
        assert_eq!(lab.side(1, Responder).text, if server { "SECOND" } else { "" });
    }
}

#[test]
fn data_far_off_after_a_reset_is_another_connection() {
    let mut lab = Lab::open();
    lab.client(0, "first");
    lab.send(Server, S + 1, C + 6, "RA", "");
    lab.send(Client, 1_300_000_000, 2_900_000_000, "A", "second");
    lab.send(Server, 2_900_000_000, 1_300_000_006, "A", "SECOND");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 2);
    assert_eq!((lab.text(), lab.reason(0)), ("first", Some(EndReason::Rst)));
    assert_eq!(lab.side(1, Initiator).text, "second");
    assert_eq!(lab.side(1, Responder).text, "SECOND");
}

#[test]
fn a_retransmission_after_the_end_is_no_other_connection() {
    let mut lab = Lab::open();
    lab.client(0, "first");
    close(&mut lab, C + 6, S + 1);
    lab.client(0, "first");
    lab.client(3, "st");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!(lab.table.statistics().after_end_bytes, 7);
}

#[test]
fn connections_may_begin_with_the_same_number_again_and_again() {
    let mut lab = Lab::new();
    for (request, response) in [("one", "ONE"), ("two", "TWO"), ("three", "THREE")] {
        lab.handshake(0, 0);
        lab.send(Client, 1, 1, "PA", request);
        let (sent, received) = (1 + request.len() as u32, 1 + response.len() as u32);
        lab.send(Server, 1, sent, "PA", response);
        close(&mut lab, sent, received);
    }
    lab.finish();
    let texts: Vec<_> = (0..lab.seen.flows.len())
        .map(|flow| (&lab.side(flow, Initiator).text[..], &lab.side(flow, Responder).text[..]))
        .collect();
    assert_eq!(texts, [("one$", "ONE$"), ("two$", "TWO$"), ("three$", "THREE$")]);
}

#[test]
fn a_round_trip_is_not_measured_where_the_answer_was_captured_first() {
    let mut lab = Lab::new();
    lab.send(Server, S, C + 1, "SA", "");
    lab.send(Client, C, 0, "S", "");
    lab.send(Client, C + 1, S + 1, "A", "abc");
    close(&mut lab, C + 4, S + 1);
    let record = lab.seen.flows[0].end.as_ref().unwrap();
    assert!(record.handshake_rtt.is_none_or(|time| time < Duration::from_millis(3)));
    assert_eq!(lab.text(), "abc$");
}

#[test]
fn the_syn_of_a_flow_that_has_ended_opens_no_other() {
    let mut lab = Lab::new();
    lab.send(Server, S, C + 1, "SA", "");
    lab.send(Client, C + 1, S + 1, "A", "abc");
    close(&mut lab, C + 4, S + 1);
    lab.send(Client, C, 0, "S", "");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!(lab.table.statistics().after_end, 1);
}

#[test]
fn the_payload_of_a_syn_that_was_not_taken_gives_way_to_what_is_sent_again() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "early");
    assert_eq!(lab.text(), "");
    lab.send(Server, S, C + 1, "SA", "");
    lab.send(Client, C + 1, S + 1, "A", "other");
    lab.acknowledge(5);
    lab.finish();
    assert_eq!(lab.text(), "other");
    let early = (C + 1, b"early".to_vec(), UnplacedCause::SynNotConfirmed);
    assert_eq!(lab.side(0, Initiator).unplaced, [early]);
}

#[test]
fn of_the_payload_of_a_syn_a_part_may_be_taken() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "early");
    lab.send(Server, S, C + 4, "SA", "");
    assert_eq!(lab.text(), "ear");
    lab.send(Client, C + 4, S + 1, "A", "th");
    lab.finish();
    assert_eq!(lab.text(), "earth");
    let rest = (C + 4, b"ly".to_vec(), UnplacedCause::SynNotConfirmed);
    assert_eq!(lab.side(0, Initiator).unplaced, [rest]);
}

#[test]
fn the_payload_of_a_syn_that_was_taken_is_delivered_once_it_is_acknowledged() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "early");
    assert_eq!(lab.text(), "");
    lab.send(Server, S, C + 6, "SA", "");
    assert_eq!(lab.text(), "early");
    assert!(lab.side(0, Initiator).unplaced.is_empty());
}

#[test]
fn a_repeated_syn_with_another_payload_is_a_conflict() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "early");
    lab.send(Client, C, 0, "S", "birds");
    lab.send(Server, S, C + 6, "SA", "");
    lab.send(Client, C + 6, S + 1, "A", "!");
    lab.finish();
    assert_eq!(lab.text(), "early!");
    let conflicts = &lab.side(0, Initiator).conflicts;
    assert_eq!(conflicts[0].0, 0);
    assert_eq!(lab.seen.flows.len(), 1);
}

#[test]
fn the_payload_of_a_syn_that_nobody_answered_is_delivered_at_the_end() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "early");
    lab.finish();
    assert_eq!(lab.text(), "early");
    assert_eq!(lab.table.statistics().pending_bytes, 0);
}

/// A forged answer may appear to acknowledge data on the SYN (RFC 7413). Its acknowledgement is
/// dropped with it.
#[test]
fn the_acknowledgement_of_a_forged_answer_is_forgotten() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "");
    lab.send(Server, 777_000_000, C + 12_001, "SA", "");
    lab.send(Server, S, C + 1, "SA", "");
    lab.send(Client, C + 1, S + 1, "A", "abc");
    lab.send(Server, S + 1, C + 4, "A", "xyz");
    lab.wait(Duration::from_secs(10));
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("abc", "xyz"));
}

/// The client has acknowledged a SYN-ACK that was not captured, and sent data, when another one
/// comes. There is nothing between the two numbers.
#[test]
fn a_wrong_syn_ack_behind_the_first_acknowledgement_makes_no_gap() {
    for wrong in [300_000_000, 900_000_000, 0_u32.wrapping_sub(300_000_000), 3_000_000_000] {
        for answers in [false, true] {
            let mut lab = Lab::new();
            lab.send(Client, C, 0, "S", "");
            lab.send(Client, C + 1, S + 1, "A", "");
            lab.send(Client, C + 1, S + 1, "A", "abc");
            lab.wait(Duration::from_millis(30));
            lab.send(Server, S.wrapping_add(wrong), C + 1, "SA", "");
            if answers {
                lab.send(Server, S + 1, C + 4, "PA", "xyz");
                lab.send(Client, C + 4, S + 4, "PA", "def");
            }
            lab.finish();
            let expected = if answers { ("abcdef", "xyz") } else { ("abc", "") };
            assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), expected, "{wrong}");
            assert_eq!(lab.seen.flows.len(), 1, "{wrong}");
        }
    }
}

/// The SYN-ACK that was captured is not the one that the client got, which was not captured.
#[test]
fn behind_a_wrong_syn_ack_the_stream_of_the_server_is_picked_up() {
    const WRONG: [u32; 8] = [
        S + 1,
        S + 1_000,
        S + 100_000,
        S + 900_000_000,
        S + 3_000_000_000,
        S.wrapping_sub(900_000_000),
        S.wrapping_sub(20_000_000),
        S.wrapping_sub(5_000_000),
    ];
    // The SYN-ACK may acknowledge another SYN as well.
    for (number, off) in WRONG.into_iter().flat_map(|number| [0, 70_000].map(|off| (number, off))) {
        for (first, missing) in [("", 0), ("", 100), ("hello", 0), ("hello", 100)] {
            let mut lab = Lab::new();
            lab.send(Client, C, 0, "S", "");
            lab.send(Server, number, C + 1 + off, "SA", "");
            lab.send(Client, C + 1, S + 1, "A", first);
            let asked = C + 1 + first.len() as u32;
            lab.send(Server, S + 1 + missing, asked, "PA", "abc");
            lab.send(Client, asked, S + 4 + missing, "A", "more");
            lab.send(Server, S + 4 + missing, asked + 4, "PA", "def");
            lab.send(Client, asked + 4, S + 7 + missing, "FA", "");
            lab.send(Server, S + 7 + missing, asked + 5, "FA", "");
            lab.send(Client, asked + 5, S + 8 + missing, "A", "");
            (0..6).for_each(|_| lab.wait(Duration::from_secs(1)));
            lab.finish();
            let which = format!("{} {off} {first} {missing}", number.wrapping_sub(S).cast_signed());
            assert_eq!(lab.seen.flows.len(), 1, "{which}");
            assert_eq!(lab.text(), format!("{first}more$"), "{which}");
            let gap = if missing == 0 { "" } else { "[100 acknowledged]" };
            assert_eq!(lab.side(0, Responder).text, format!("{gap}abcdef$"), "{which}");
        }
    }
}

/// One packet, with a wrong acknowledgement, does not take the true SYN-ACK away.
#[test]
fn a_forged_acknowledgement_behind_a_handshake_changes_nothing() {
    for wrong in [S - 1_000, S.wrapping_sub(1_000_000_000), S + 2_000_000_000] {
        for before in [true, false] {
            let mut lab = Lab::new();
            lab.send(Client, C, 0, "S", "");
            lab.send(Server, S, C + 1, "SA", "");
            if before {
                lab.send(Client, C + 1, wrong, "A", "");
            }
            lab.send(Client, C + 1, S + 1, "A", "");
            if !before {
                lab.send(Client, C + 1, wrong, "A", "");
            }
            lab.send(Server, S + 1, C + 1, "PA", "abc");
            lab.send(Client, C + 1, S + 4, "A", "more");
            lab.send(Server, S + 4, C + 5, "PA", "def");
            lab.finish();
            assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("more", "abcdef"));
        }
    }
}
