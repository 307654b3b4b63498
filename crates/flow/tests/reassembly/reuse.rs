//! Another connection on the same addresses and ports.

use std::time::Duration;

use flow::EndReason;

use crate::lab::*;

fn close(lab: &mut Lab, client: u32, server: u32) {
    lab.send(Client, client, server, "FA", "");
    lab.send(Server, server, client + 1, "FA", "");
    lab.send(Client, client + 1, server + 1, "A", "");
}

#[test]
fn ports_may_be_used_again_in_time_wait() {
    let mut lab = Lab::open();
    close(&mut lab, C + 1, S + 1);
    lab.handshake(90_000, 70_000);
    lab.send(Client, 90_001, 70_001, "A", "second");
    // A retransmission of the first connection's last FIN has no effect.
    lab.send(Server, S + 1, C + 2, "FA", "");
    lab.send(Client, 90_007, 70_001, "A", " life");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 2);
    assert_eq!(lab.side(1, Initiator).text, "second life");
}

#[test]
fn ports_may_be_used_again_without_an_end() {
    let mut lab = Lab::open();
    lab.client(0, "first");
    lab.handshake(90_000_000, 70_000_000);
    lab.send(Client, 90_000_001, 70_000_001, "A", "second");
    lab.finish();
    assert_eq!((lab.text(), &lab.side(1, Initiator).text[..]), ("first", "second"));
    assert_eq!(lab.reason(0), Some(EndReason::Replaced));
    assert_eq!(lab.seen.flows[1].end.as_ref().unwrap().history, "ShAD");
}

#[test]
fn the_first_syn_of_another_connection_changes_nothing_yet() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.send(Client, 900_000_000, 0, "S", "");
    lab.client(3, "def");
    lab.send(Server, S + 1, C + 7, "A", "xyz");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("abcdef", "xyz"));
    let statistics = lab.table.statistics();
    assert_eq!((statistics.rivals, statistics.rivals_dropped), (1, 1));
}

#[test]
fn data_confirms_another_connection_whose_syn_ack_is_missing() {
    let mut lab = Lab::open();
    lab.client(0, "first");
    lab.send(Client, 90_000_000, 0, "S", "");
    let begun = lab.clock;
    lab.wait(Duration::from_secs(1));
    lab.send(Client, 90_000_001, 70_000_001, "A", "second");
    lab.finish();
    assert_eq!(lab.side(1, Initiator).text, "second");
    assert_eq!(lab.reason(0), Some(EndReason::Replaced));
    // It began with its SYN, not with the confirmation.
    let started = lab.seen.flows[1].end.as_ref().unwrap().started;
    assert_eq!(started.as_nanos() / 1_000_000, begun);
}

#[test]
fn data_on_the_syn_of_another_connection_is_kept_until_it_is_confirmed() {
    let mut lab = Lab::open();
    lab.client(0, "first");
    lab.send(Client, 90_000_000, 0, "S", "early ");
    lab.send(Server, 70_000_000, 90_000_007, "SA", "");
    lab.send(Client, 90_000_007, 70_000_001, "A", "bird");
    assert_eq!(lab.side(1, Initiator).text, "early bird");
}

#[test]
fn a_repeated_syn_belongs_to_its_connection() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "");
    lab.send(Client, C, 0, "S", "");
    lab.send(Server, S, C + 1, "SA", "");
    lab.send(Server, S, C + 1, "SA", "");
    lab.send(Client, C + 1, S + 1, "A", "abc");
    lab.send(Server, S, C + 1, "SA", "");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!(lab.text(), "abc");
}

#[test]
fn after_a_reset_a_syn_begins_another_connection() {
    let mut lab = Lab::open();
    lab.send(Client, C + 1, 0, "R", "");
    lab.handshake(90_000, 70_000);
    lab.send(Client, 90_001, 70_001, "A", "again");
    lab.finish();
    assert_eq!(lab.reason(0), Some(EndReason::Rst));
    assert_eq!(lab.side(1, Initiator).text, "again");
}

#[test]
fn of_several_syns_the_one_that_is_answered_is_the_connections() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "");
    lab.send(Client, 90_000_000, 0, "S", "");
    lab.send(Server, S, 90_000_001, "SA", "");
    lab.send(Client, 90_000_001, S + 1, "A", "abc");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!(lab.text(), "abc");
}

#[test]
fn a_syn_a_little_after_the_bytes_of_a_stream_picked_up_midway_begins_another() {
    let mut lab = Lab::new();
    lab.send(Client, 1_000, 99, "A", "first");
    lab.send(Server, 99, 1_005, "A", "");
    lab.send(Client, 1_005, 99, "RA", "");
    lab.handshake(3_000, 5_000);
    lab.send(Client, 3_001, 5_001, "A", "second");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 2);
    assert_eq!((lab.text(), &lab.side(1, Initiator).text[..]), ("first", "second"));
}

#[test]
fn a_syn_ack_of_data_that_only_the_first_syn_carried_belongs_to_the_flow() {
    let mut lab = Lab::new();
    lab.send(Server, S + 1, C + 6, "PA", "xyz");
    lab.wait(Duration::from_secs(1));
    lab.send(Client, C, 0, "S", "");
    lab.send(Server, S, C + 6, "SA", "");
    lab.send(Client, C + 6, S + 1, "A", "data");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!(lab.text(), "[5 acknowledged]data");
}

#[test]
fn a_straggler_of_the_connection_before_does_not_part_a_syn_from_its_answer() {
    let mut lab = Lab::open();
    close(&mut lab, C + 1, S + 1);
    lab.send(Client, 90_000, 0, "S", "");
    lab.send(Server, S + 2, C + 2, "A", "");
    lab.send(Server, 170_000, 90_001, "SA", "");
    lab.send(Client, 90_001, 170_001, "A", "second");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 2);
    assert_eq!(lab.side(1, Initiator).text, "second");
}

#[test]
fn bytes_of_the_connection_before_do_not_part_a_syn_from_its_answer() {
    let mut lab = Lab::open();
    lab.send(Client, C + 1, S + 1, "RA", "");
    lab.send(Client, 90_000, 0, "S", "");
    lab.send(Server, S + 1, C + 1, "A", "stale");
    lab.send(Server, 170_000, 90_001, "SA", "");
    lab.send(Client, 90_001, 170_001, "A", "second");
    lab.send(Server, 170_001, 90_007, "A", "life");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 2);
    assert_eq!(lab.side(1, Initiator).text, "second");
    assert_eq!(lab.side(1, Responder).text, "life");
}

/// The initial numbers of another connection whose handshake was not captured, including some
/// shortly before those of the first.
const ELSEWHERE: [u32; 4] = [5_000_000, 90_000_000, 0_u32.wrapping_sub(100_000), 3_500_000_000];

#[test]
fn another_connection_without_its_handshake_after_a_close_or_a_reset() {
    for (first, reset) in ELSEWHERE.into_iter().flat_map(|first| [(first, false), (first, true)]) {
        for pause in [0, 5, 7_200] {
            let mut lab = Lab::open();
            lab.client(0, "first");
            lab.acknowledge(5);
            if reset {
                lab.send(Client, C + 6, S + 1, "RA", "");
            } else {
                close(&mut lab, C + 6, S + 1);
            }
            lab.wait(Duration::from_secs(pause));
            lab.send(Client, first, 2_000_000_000, "A", "second");
            lab.send(Server, 2_000_000_000, first.wrapping_add(6), "A", "answer");
            lab.send(Client, first.wrapping_add(6), 2_000_000_006, "A", "more");
            lab.finish();
            let texts: Vec<_> = (0..lab.seen.flows.len())
                .flat_map(|flow| [Initiator, Responder].map(|side| lab.side(flow, side)))
                .map(|side| side.text.trim_end_matches('$').to_owned())
                .filter(|text| !text.is_empty())
                .collect();
            assert_eq!(texts, ["first", "secondmore", "answer"], "{first} {reset} {pause}");
        }
    }
}

#[test]
fn another_connection_after_a_close_of_which_one_side_was_captured() {
    for first in ELSEWHERE {
        let mut lab = Lab::new();
        lab.send(Client, C, 0, "S", "");
        lab.send(Client, C + 1, S + 1, "A", "first");
        lab.send(Client, C + 6, S + 1, "FA", "");
        lab.send(Client, C + 7, S + 2, "A", "");
        lab.send(Client, first, 2_000_000_000, "A", "second");
        lab.send(Client, first.wrapping_add(6), 2_000_000_006, "A", "more");
        lab.finish();
        assert_eq!(lab.seen.flows.len(), 2, "{first}");
        assert_eq!((lab.text(), &lab.side(1, Initiator).text[..]), ("first$", "secondmore"));
    }
}

/// The numbers of the other connection lie near those of the first, so that a hole would be
/// plausible, or an old segment. The sender's acknowledgements are of another moment as well.
#[test]
fn another_connection_nearby_after_an_end_of_which_one_side_was_captured() {
    let nearby = [(3_000, -4_000), (70_000, 80_000), (200_000, -300_000), (-200_000, 300_000)];
    for ((own, other), end) in nearby.into_iter().flat_map(|at| [(at, "FA"), (at, "RA")]) {
        for pause in [0, 30] {
            let mut lab = Lab::new();
            lab.send(Client, C, 0, "S", "");
            lab.send(Client, C + 1, S + 1, "A", "first");
            lab.send(Client, C + 6, S + 301, end, "");
            lab.wait(Duration::from_secs(pause));
            let (first, answered) = (C.wrapping_add_signed(own), S.wrapping_add_signed(other));
            lab.send(Client, first, answered, "A", "second");
            lab.send(Client, first.wrapping_add(6), answered.wrapping_add(7), "A", "more");
            lab.finish();
            let case = format!("{own} {other} {end} {pause}");
            assert_eq!(lab.seen.flows.len(), 2, "{case}");
            assert_eq!(lab.text().trim_end_matches('$'), "first", "{case}");
            assert_eq!(lab.side(1, Initiator).text, "secondmore", "{case}");
        }
    }
}

/// The receiver's answers, which were not captured, are acknowledged by a retransmission as well.
#[test]
fn a_retransmission_behind_a_fin_of_which_one_side_was_captured() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "");
    lab.send(Client, C + 1, S + 1, "A", "first");
    lab.send(Client, C + 6, S + 1, "FA", "");
    lab.send(Client, C + 1, S + 500, "FA", "first");
    lab.send(Client, C + 7, S + 502, "A", "");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!(lab.text(), "first$");
}

/// Only the server is captured, which begins each connection with the same number.
#[test]
fn the_same_number_again_in_an_answer_behind_a_fin() {
    let mut lab = Lab::new();
    for text in ["first", "second"] {
        let end = S + 1 + text.len() as u32;
        lab.send(Server, S, C + 1, "SA", "");
        lab.send(Server, S + 1, C + 10, "PA", text);
        lab.send(Server, end, C + 10, "FA", "");
        lab.send(Server, end + 1, C + 11, "A", "");
        lab.wait(Duration::from_millis(50));
    }
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 2);
    assert_eq!((lab.side(0, Responder).text.as_str()), "first$");
    assert_eq!((lab.side(1, Responder).text.as_str()), "second$");
}

/// A segment beyond an unconfirmed FIN, with numbers of the same connection, does not begin another
/// connection.
#[test]
fn a_fin_of_one_captured_side_may_be_false() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "");
    lab.send(Client, C + 1, S + 1, "A", "first");
    lab.send(Client, C + 6, S + 1, "FA", "");
    for segment in 0..4 {
        lab.send(Client, C + 6 + 4 * segment, S + 1, "A", "more");
    }
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!(lab.text(), "firstmoremoremoremore");
}

/// The numbers of the other connection lie shortly ahead of those of the first, so that a hole
/// would be plausible in either direction alone.
#[test]
fn another_connection_a_little_ahead_without_its_handshake_after_a_reset() {
    for (ahead, pause, by) in
        [(5_000, 0, Client), (5_000, 3, Server), (70_000, 30, Client), (1_000_000, 3, Client)]
    {
        let mut lab = Lab::open();
        lab.client(0, "first");
        lab.send(Server, S + 1, C + 6, "A", "reply");
        match by {
            Client => lab.send(Client, C + 6, S + 6, "RA", ""),
            Server => lab.send(Server, S + 6, C + 6, "RA", ""),
        }
        lab.wait(Duration::from_secs(pause));
        let (client, server) = (C + 1 + ahead, S + 1 + 2 * ahead);
        lab.send(Client, client, server, "A", "second");
        lab.send(Server, server, client + 6, "A", "answer");
        lab.send(Client, client + 6, server + 6, "A", "more");
        lab.finish();
        assert_eq!(lab.seen.flows.len(), 2, "{ahead}");
        assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("first", "reply"));
        assert_eq!(lab.side(1, Initiator).text, "secondmore");
        assert_eq!(lab.side(1, Responder).text, "answer");
    }
}

/// A hole in one direction alone is a loss: the peer had sent on when the reset came.
#[test]
fn bytes_behind_a_hole_after_a_reset_belong_to_the_connection() {
    let mut lab = Lab::open();
    lab.client(0, "first");
    lab.send(Client, C + 6, S + 1, "RA", "");
    lab.send(Server, S + 101, C + 6, "A", "reply");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!(lab.side(0, Responder).text, "[100 end]reply");
}

/// A host that begins each connection with the same number, of which one direction was captured.
#[test]
fn the_same_number_again_after_a_long_silence_begins_another_connection() {
    for second in ["second one", "first"] {
        let mut lab = Lab::new();
        for (text, flow) in [("first", 0), (second, 1)] {
            let end = C + 1 + text.len() as u32;
            lab.send(Client, C, 0, "S", "");
            lab.send(Client, C + 1, S + 1, "A", "");
            lab.send(Client, C + 1, S + 1, "A", text);
            lab.send(Client, end, S + 1, "FA", "");
            lab.send(Client, end + 1, S + 2, "A", "");
            lab.wait(Duration::from_secs(600));
            assert_eq!(lab.seen.flows.len(), flow + 1);
        }
        lab.finish();
        assert_eq!(lab.side(0, Initiator).text, "first$");
        assert_eq!(lab.side(1, Initiator).text, format!("{second}$"));
        assert!(lab.side(0, Initiator).conflicts.is_empty());
    }
}

#[test]
fn both_hosts_may_use_the_same_number_again_without_an_end() {
    for second in ["second one", "first"] {
        let mut lab = Lab::new();
        for text in ["first", second] {
            let len = text.len() as u32;
            lab.handshake(C, S);
            lab.send(Client, C + 1, S + 1, "A", text);
            lab.send(Server, S + 1, C + 1 + len, "A", text);
            lab.send(Client, C + 1 + len, S + 1 + len, "A", "");
            lab.wait(Duration::from_secs(600));
        }
        lab.finish();
        assert_eq!(lab.seen.flows.len(), 2);
        for (flow, text) in [(0, "first"), (1, second)] {
            assert_eq!(lab.side(flow, Initiator).text, text);
            assert_eq!(lab.side(flow, Responder).text, text);
        }
        assert_eq!(lab.reason(0), Some(EndReason::Replaced));
    }
}

/// A copy of the SYN that went another way in the network, or one that is forged, ends nothing.
#[test]
fn the_same_number_again_within_minutes_or_without_an_answer_changes_nothing() {
    for pause in [60, 600] {
        let mut lab = Lab::open();
        lab.client(0, "first");
        lab.acknowledge(5);
        lab.wait(Duration::from_secs(pause));
        lab.send(Client, C, 0, "S", "");
        lab.send(Server, S + 1, C + 6, "A", "");
        lab.client(5, " and more");
        lab.acknowledge(14);
        lab.finish();
        assert_eq!(lab.seen.flows.len(), 1);
        assert_eq!(lab.text(), "first and more");
    }
}

/// A host that begins each connection with the same number. The packets of a close that are lost
/// may be any.
#[test]
fn the_same_number_again_soon_after_a_close_begins_another_connection() {
    for (server, pause) in [S + 1_000, 70_000_000, 3_000_000_000]
        .into_iter()
        .flat_map(|server| [0, 1, 100, 200].map(|pause| (server, pause)))
    {
        // The packet of the first connection that is lost, and that of the second one.
        for (lost, lost_again) in [None, Some(0), Some(1), Some(5), Some(6), Some(7)]
            .into_iter()
            .flat_map(|lost| [None, Some(2)].map(|again| (lost, again)))
        {
            let mut lab = Lab::new();
            for (server, texts, lost) in
                [(S, ["first", "FIRST"], lost), (server, ["second", "SECOND"], lost_again)]
            {
                let (client, asked) = (C + 1, C + 1 + texts[0].len() as u32);
                let (begun, answered) = (server + 1, server + 1 + texts[1].len() as u32);
                let segments = [
                    (Client, C, 0, "S", ""),
                    (Server, server, client, "SA", ""),
                    (Client, client, begun, "A", ""),
                    (Client, client, begun, "PA", texts[0]),
                    (Server, begun, asked, "PA", texts[1]),
                    (Client, asked, answered, "FA", ""),
                    (Server, answered, asked + 1, "FA", ""),
                    (Client, asked + 1, answered + 1, "A", ""),
                ];
                for (at, (from, sequence, acknowledged, flags, text)) in
                    segments.into_iter().enumerate()
                {
                    if lost != Some(at) {
                        lab.send(from, sequence, acknowledged, flags, text);
                    }
                }
                lab.wait(Duration::from_secs(pause));
            }
            lab.finish();
            let which = format!("{server} {pause} {lost:?} {lost_again:?}");
            assert_eq!(lab.seen.flows.len(), 2, "{which}");
            for (flow, texts) in [["first", "FIRST"], ["second", "SECOND"]].iter().enumerate() {
                let seen = [Initiator, Responder].map(|side| &lab.side(flow, side).bytes[..]);
                assert_eq!(seen, texts.map(str::as_bytes), "{which}");
            }
        }
    }
}
