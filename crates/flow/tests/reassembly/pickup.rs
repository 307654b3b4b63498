//! Streams that began before the capture did.

use std::time::Duration;

use crate::lab::*;

#[test]
fn the_first_byte_seen_is_offset_0() {
    let mut lab = Lab::new();
    lab.send(Client, 77, 99, "A", "abc");
    lab.send(Client, 80, 99, "A", "def");
    lab.wait(Duration::from_secs(1));
    assert_eq!(lab.text(), "abcdef");
}

#[test]
fn segments_before_the_first_are_placed_within_the_grace() {
    let mut lab = Lab::new();
    lab.send(Client, 83, 99, "A", "ghi");
    lab.send(Client, 80, 99, "A", "def");
    lab.send(Client, 77, 99, "A", "abc");
    lab.wait(Duration::from_secs(1));
    assert_eq!(lab.text(), "abcdefghi");
}

#[test]
fn segments_before_the_first_are_late_after_the_grace() {
    let mut lab = Lab::new();
    lab.send(Client, 80, 99, "A", "def");
    lab.wait(Duration::from_secs(1));
    lab.send(Client, 77, 99, "A", "abcd");
    assert_eq!(lab.text(), "def");
    assert_eq!(lab.side(0, Initiator).late, [(-3, b"abc".to_vec())]);
}

#[test]
fn an_answer_ends_the_hold_on_request() {
    for ends in [false, true] {
        let mut lab = Lab::with(|builder| builder.answer_ends_pickup(ends));
        lab.send(Client, 77, 99, "A", "abc");
        // Neither an acknowledgement alone nor payload that acknowledges no held bytes is an
        // answer.
        lab.send(Server, 96, 80, "A", "");
        lab.send(Server, 96, 70, "A", "xyz");
        assert_eq!(lab.text(), "");
        lab.send(Client, 83, 99, "A", "ghi");
        lab.send(Server, 99, 86, "A", "XYZ");
        assert_eq!(lab.text(), if ends { "abc" } else { "" });
        lab.send(Client, 80, 99, "A", "def");
        lab.send(Client, 74, 99, "A", "ABC");
        lab.finish();
        assert_eq!(lab.text(), if ends { "abcdefghi" } else { "ABCabcdefghi" });
        let late: &[(i64, Vec<u8>)] = if ends { &[(-3, b"ABC".to_vec())] } else { &[] };
        assert_eq!(lab.side(0, Initiator).late, late);
    }
}

#[test]
fn nothing_is_held_back_where_an_acknowledgement_shows_the_beginning() {
    let mut lab = Lab::new();
    lab.send(Server, 99, 77, "A", "");
    lab.send(Client, 77, 99, "A", "abc");
    assert_eq!(lab.text(), "abc");
    lab.send(Server, 99, 80, "A", "xyz");
    assert_eq!(lab.side(0, Responder).text, "xyz");
}

#[test]
fn a_keep_alive_as_the_first_packet_brings_no_byte() {
    let mut lab = Lab::new();
    lab.send(Server, 99, 77, "A", "");
    lab.send(Client, 76, 99, "A", "\0");
    lab.send(Server, 99, 77, "A", "");
    lab.send(Client, 77, 99, "A", "abc");
    lab.finish();
    assert_eq!(lab.text(), "abc");
    assert!(lab.side(0, Initiator).late.is_empty());
}

#[test]
fn no_stream_begins_with_a_keep_alive_while_it_is_held_back() {
    for (flags, payload, expected) in [("A", "def", "abcdef"), ("FA", "", "abc$")] {
        let mut lab = Lab::new();
        lab.send(Server, 99, 77, "A", "");
        lab.send(Client, 80, 99, flags, payload);
        lab.send(Client, 76, 99, "A", "\0");
        lab.send(Client, 77, 99, "A", "abc");
        lab.finish();
        assert_eq!(lab.text(), expected);
        assert_eq!(lab.side(0, Initiator).repeats, [(u64::MAX, b"\0".to_vec())]);
    }
}

#[test]
fn a_syn_ack_tells_who_opened_the_connection() {
    let mut lab = Lab::new();
    lab.send(Server, S, C + 1, "SA", "");
    lab.send(Client, C + 1, S + 1, "A", "abc");
    assert_eq!(lab.text(), "abc");
    lab.send(Client, C + 4, S + 1, "FA", "");
    lab.send(Server, S + 1, C + 5, "FA", "");
    lab.send(Client, C + 5, S + 2, "A", "");
    assert_eq!(lab.reason(0), Some(flow::EndReason::Fin));
}

#[test]
fn a_syn_ack_tells_where_the_initiators_stream_begins() {
    let mut lab = Lab::new();
    lab.send(Server, S, C + 1, "SA", "");
    lab.send(Client, C + 4, S + 1, "A", "def");
    lab.send(Client, C + 1, S + 1, "A", "abc");
    assert_eq!(lab.text(), "abcdef");
}

#[test]
fn a_connection_whose_syn_ack_is_missing_reaches_its_end() {
    let mut lab = Lab::with(|builder| builder.pickup_grace(0, Duration::ZERO));
    lab.send(Client, C, 0, "S", "");
    lab.send(Client, C + 1, S + 1, "A", "abc");
    lab.send(Server, S + 1, C + 4, "A", "xyz");
    lab.send(Client, C + 4, S + 4, "FA", "");
    lab.send(Server, S + 4, C + 5, "FA", "");
    lab.send(Client, C + 5, S + 5, "A", "");
    assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("abc$", "xyz$"));
    assert_eq!(lab.reason(0), Some(flow::EndReason::Fin));
}

#[test]
fn the_lower_port_is_the_service() {
    let mut lab = Lab::new();
    lab.send(Server, 99, 77, "A", "xyz");
    lab.wait(Duration::from_secs(1));
    assert_eq!(lab.side(0, Responder).text, "xyz");
}

#[test]
fn a_syn_that_comes_late_opens_no_second_flow() {
    let mut lab = Lab::new();
    lab.send(Client, C + 1, S + 1, "A", "abc");
    lab.send(Client, C, 0, "S", "");
    lab.send(Server, S, C + 1, "SA", "");
    lab.send(Client, C + 4, S + 1, "A", "def");
    lab.finish();
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!(lab.text(), "abcdef");
}

#[test]
fn a_single_byte_before_the_first_is_late_unless_it_is_a_keep_alive() {
    let mut lab = Lab::new();
    lab.send(Client, 80, 99, "A", "def");
    lab.wait(Duration::from_secs(1));
    lab.send(Client, 79, 99, "A", "\0");
    lab.send(Client, 77, 99, "A", "a");
    assert_eq!(lab.side(0, Initiator).late, [(-3, b"a".to_vec())]);
}

#[test]
fn a_single_byte_that_is_pushed_is_no_keep_alive_though_its_acknowledgement_came_first() {
    let mut lab = Lab::new();
    lab.send(Server, 99, 78, "A", "");
    lab.send(Client, 77, 99, "PA", "a");
    lab.send(Client, 78, 99, "A", "bc");
    lab.finish();
    assert_eq!(lab.text(), "abc");
}

#[test]
fn a_syn_with_data_may_be_overtaken_by_its_answer() {
    let mut lab = Lab::new();
    lab.send(Server, S, C + 4, "SA", "");
    lab.send(Server, S + 1, C + 4, "A", "xyz");
    lab.send(Client, C, 0, "S", "abc");
    lab.send(Client, C + 4, S + 4, "A", "def");
    lab.finish();
    assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("abcdef", "xyz"));
    assert_eq!(lab.seen.flows.len(), 1);
}

#[test]
fn data_on_a_syn_that_comes_after_what_follows_it_is_late() {
    let mut lab = Lab::new();
    lab.send(Server, S, C + 4, "SA", "");
    lab.send(Client, C + 4, S + 1, "A", "def");
    lab.send(Client, C, 0, "S", "abc");
    lab.finish();
    assert_eq!(lab.text(), "def");
    assert_eq!(lab.side(0, Initiator).late, [(-3, b"abc".to_vec())]);
}

#[test]
fn a_syn_that_its_answer_overtook_tells_where_the_stream_begins() {
    let mut lab = Lab::new();
    lab.send(Server, S, C + 4, "SA", "");
    lab.send(Client, C, 0, "S", "");
    lab.send(Server, S, C + 4, "SA", "");
    lab.send(Client, C + 4, S + 1, "A", "def");
    lab.finish();
    assert_eq!(lab.text(), "[3 acknowledged]def");
}

#[test]
fn a_syn_ack_fits_its_syn_however_far_acknowledgements_have_run_ahead() {
    let mut lab = Lab::new();
    lab.send(Client, C, 0, "S", "");
    lab.send(Client, C + 1, S + 150_001, "A", "abc");
    lab.send(Server, S, C + 1, "SA", "");
    lab.send(Server, S + 1, C + 4, "A", "xyz");
    lab.send(Client, C + 4, S + 150_001, "A", "def");
    assert_eq!(lab.seen.flows.len(), 1);
    assert_eq!((lab.text(), &lab.side(0, Responder).text[..]), ("abcdef", "xyz"));
}

#[test]
fn conflicts_among_the_first_segments_have_the_offset_of_the_stream() {
    for earlier in ["", "xyz"] {
        let mut lab = Lab::new();
        lab.send(Client, 80, 99, "A", "AAAAAAAA");
        lab.send(Client, 84, 99, "A", "BBBBBBBB");
        if !earlier.is_empty() {
            lab.send(Client, 77, 99, "A", earlier);
        }
        lab.wait(Duration::from_secs(1));
        assert_eq!(lab.text(), format!("{earlier}AAAAAAAABBBB"));
        let offset = 4 + earlier.len() as u64;
        let conflict = (offset, b"AAAA".to_vec(), b"BBBB".to_vec());
        assert_eq!(lab.side(0, Initiator).conflicts, [conflict]);
        assert_eq!(lab.table.statistics().pending_bytes, 0);
    }
}

#[test]
fn repetitions_among_the_first_segments_have_the_offset_of_the_stream() {
    for earlier in ["", "xyz"] {
        let mut lab = Lab::new();
        lab.send(Client, 80, 99, "A", "AAAAbbbb");
        lab.send(Client, 84, 99, "A", "bbbbcccc");
        if !earlier.is_empty() {
            lab.send(Client, 77, 99, "A", earlier);
        }
        lab.wait(Duration::from_secs(1));
        assert_eq!(lab.text(), format!("{earlier}AAAAbbbbcccc"));
        let offset = 4 + earlier.len() as u64;
        assert_eq!(lab.side(0, Initiator).repeats, [(offset, b"bbbb".to_vec())]);
        assert_eq!(lab.side(0, Initiator).repeat_numbers, [2]);
        assert_eq!(lab.table.statistics().repeated_bytes, 4);
        assert_eq!(lab.table.statistics().pending_bytes, 0);
    }
}

/// The SYN-ACK and the first bytes of the server were not captured: the acknowledgement behind the
/// client's SYN shows where the stream began.
#[test]
fn the_first_acknowledgement_behind_a_syn_shows_what_is_missing_of_the_answer() {
    for grace in [0, 16] {
        // The client's first packet after its SYN may bring data, and the one before it be lost.
        for (first, sent) in [("", 0), ("", 10), ("request", 0), ("request", 10)] {
            // The server's bytes are captured from here on.
            for missing in [0, 1, 100, 50_000, 20_000_000, 1_500_000_000] {
                let mut lab = Lab::with(|builder| {
                    builder.pickup_grace(grace, Duration::from_millis(100 * u64::from(grace)))
                });
                lab.send(Client, C, 0, "S", "");
                lab.send(Client, C + 1 + sent, S + 1, "A", first);
                let asked = C + 1 + sent + first.len() as u32;
                let at = S + 1 + missing;
                lab.miss(missing);
                lab.send(Server, at, asked, "PA", "abc");
                lab.send(Client, asked, at + 3, "A", "");
                lab.send(Server, at + 3, asked, "PA", "def");
                lab.send(Client, asked, at + 6, "A", "");
                // The time to hold the first segments back, and that to wait for missing bytes.
                (0..6).for_each(|_| lab.wait(Duration::from_secs(1)));
                let gap = match missing {
                    0 => String::new(),
                    _ => format!("[{missing} acknowledged]"),
                };
                let which = format!("{grace} {first} {sent} {missing}");
                assert_eq!(lab.side(0, Responder).text, format!("{gap}abcdef"), "{which}");
                lab.finish();
                assert_eq!(lab.seen.flows.len(), 1);
            }
        }
    }
}

#[test]
fn the_first_acknowledgement_behind_a_syn_makes_no_gap_of_bytes_that_were_captured() {
    // It was captured before the bytes that it acknowledges, or after them.
    for before in [true, false] {
        let mut lab = Lab::new();
        lab.send(Client, C, 0, "S", "");
        if !before {
            lab.send(Server, S + 1, C + 1, "PA", "banner");
        }
        lab.send(Client, C + 1, S + 7, "A", "");
        if before {
            lab.send(Server, S + 8, C + 1, "PA", "more");
            lab.send(Server, S + 1, C + 1, "PA", "banner ");
        } else {
            lab.send(Server, S + 7, C + 1, "PA", " more");
        }
        lab.finish();
        assert_eq!(lab.side(0, Responder).text, "banner more", "{before}");
    }
}

#[test]
fn a_straggler_behind_a_syn_does_not_show_where_the_answer_begins() {
    let mut lab = Lab::new();
    lab.send(Client, C + 3_000_000, 0, "S", "");
    lab.send(Client, C, S, "A", "");
    lab.send(Server, S + 9_001, C + 3_000_001, "PA", "abc");
    lab.finish();
    assert_eq!(lab.side(0, Responder).text, "abc");
}

/// Nothing but acknowledgements was captured of the server.
#[test]
fn all_that_a_server_sent_may_be_missing_with_its_syn_ack() {
    for (seen, expected) in [(true, "[100 acknowledged]"), (false, "")] {
        let mut lab = Lab::new();
        lab.send(Client, C, 0, "S", "");
        lab.send(Client, C + 1, S + 1, "A", "");
        lab.send(Client, C + 1, S + 1, "PA", "request");
        if seen {
            lab.send(Server, S + 1, C + 8, "A", "");
        }
        lab.send(Client, C + 8, S + 101, "A", "");
        lab.finish();
        assert_eq!(lab.side(0, Responder).text, expected);
    }
}

/// Both sides of a middlebox are captured, which moves the server's numbers by half of the sequence
/// space. The first acknowledgement is of the other side, so far ahead that no window spans it.
#[test]
fn an_acknowledgement_beyond_all_windows_makes_no_gap_of_a_stream_picked_up() {
    for moved in [0x8000_0010_u32, 0x9000_0000, 0xb000_0000] {
        let mut lab = Lab::with(|builder| builder.pickup_grace(64, Duration::from_secs(1)));
        // Each packet on its sender's side first.
        let mut both = |host: Host, own: u32, other: u32, flags, text: &str| {
            let client_side = [C, S];
            let server_side = [C.wrapping_add(0x1234_5678), S.wrapping_add(moved)];
            let sides = [client_side, server_side];
            for side in if host == Client { sides } else { [server_side, client_side] } {
                let (from, to) = if host == Client { (0, 1) } else { (1, 0) };
                let (own, other) = (side[from].wrapping_add(own), side[to].wrapping_add(other));
                lab.send(host, own, other, flags, text);
            }
        };
        for round in 0..3 {
            both(Client, 4 * round, 3 * round, "PA", "from");
            both(Server, 3 * round, 4 * round + 4, "PA", "too");
            both(Client, 4 * round + 4, 3 * round + 3, "A", "");
        }
        both(Client, 12, 9, "FA", "");
        both(Server, 9, 13, "FA", "");
        both(Client, 13, 10, "A", "");
        lab.finish();
        assert_eq!(lab.text(), "fromfromfrom$", "{moved:#x}");
        assert_eq!(lab.side(0, Responder).text, "tootootoo$", "{moved:#x}");
        assert_eq!(lab.table.statistics().unplaced_bytes, 12 + 9, "{moved:#x}");
    }
}
