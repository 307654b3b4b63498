//! Stretches of a connection that the capture missed, of any length.

use std::time::Duration;

use flow::{GapCause, UnplacedCause};

use crate::lab::*;

/// Lengths on both sides of the range that sequence numbers can order.
const LENGTHS: [u32; 8] = [
    20_000_000,
    50_000_000,
    1 << 24,
    1 << 30,
    (1 << 31) - 10,
    1 << 31,
    2_500_000_000,
    4_200_000_000,
];

/// The gap between "abc" and the following bytes, which must be `rest`.
fn assert_bridged(lab: &Lab, len: u32, cause: GapCause, rest: &str) {
    let side = lab.side(0, Initiator);
    let gaps: Vec<_> = side.gaps.iter().map(|gap| (gap.offset, gap.len, gap.cause)).collect();
    assert_eq!(gaps, [(3, u64::from(len), cause)]);
    assert_eq!(String::from_utf8_lossy(&side.bytes), format!("abc{rest}"), "{len}");
    assert_eq!(side.gaps[0].estimated, len >= 1 << 31, "{len}");
    assert!(side.unplaced.is_empty());
}

#[test]
fn an_outage_that_the_other_side_bears_out_is_bridged_however_long_it_is() {
    for len in LENGTHS {
        let mut lab = Lab::open();
        lab.client(0, "abc");
        lab.acknowledge(3);
        let after = 3_u32.wrapping_add(len);
        lab.miss(len);
        lab.client(after, "def");
        lab.acknowledge(after.wrapping_add(3));
        lab.client(after.wrapping_add(3), "ghi");
        assert_bridged(&lab, len, GapCause::Acknowledged, "defghi");
    }
}

#[test]
fn the_whole_flight_after_an_outage_is_delivered() {
    for len in LENGTHS {
        let mut lab = Lab::open();
        lab.client(0, "abc");
        lab.acknowledge(3);
        let after = 3_u32.wrapping_add(len);
        for (offset, text) in [(0, "def"), (3, "ghi"), (6, "jkl"), (9, "mno")] {
            lab.client(after.wrapping_add(offset), text);
        }
        lab.acknowledge(after.wrapping_add(12));
        lab.client(after.wrapping_add(12), "pqr");
        lab.finish();
        assert_bridged(&lab, len, GapCause::Acknowledged, "defghijklmnopqr");
    }
}

#[test]
fn the_first_flight_after_an_outage_may_come_out_of_order() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(3);
    lab.client(50_000_006, "ghi");
    lab.client(50_000_003, "def");
    lab.acknowledge(50_000_009);
    assert_bridged(&lab, 50_000_000, GapCause::Acknowledged, "defghi");
}

/// From some moment on, the server's side is not captured any more.
#[test]
fn an_outage_is_bridged_without_acknowledgements() {
    for len in LENGTHS {
        let mut lab = Lab::open();
        lab.client(0, "abc");
        lab.acknowledge(3);
        let after = 3_u32.wrapping_add(len);
        for segment in 0..16 {
            assert_eq!(lab.text(), "abc");
            lab.client(after.wrapping_add(3 * segment), "def");
        }
        assert_bridged(&lab, len, GapCause::Outage, &"def".repeat(16));
    }
}

#[test]
fn segments_forged_in_a_row_far_ahead_hide_nothing_and_are_reported() {
    for far in [1 << 27, 1 << 30, 2_500_000_000_u32] {
        // Of a connection with a handshake, and of one that was picked up midway.
        for (count, midway) in [(3, false), (15, false), (3, true), (15, true)] {
            let mut lab = if midway { Lab::new() } else { Lab::open() };
            lab.client(0, "abc");
            lab.acknowledge(3);
            for segment in 0..count {
                lab.client(far + 6 * segment, "forged");
            }
            for turn in 1..10 {
                lab.client(3 * turn, "def");
                lab.acknowledge(3 * turn + 3);
            }
            lab.finish();
            assert_eq!(lab.text(), "abc".to_owned() + &"def".repeat(9), "{far} {count}");
            let unplaced = &lab.side(0, Initiator).unplaced;
            assert_eq!(unplaced.len(), count as usize, "{far} {count}");
        }
    }
}

#[test]
fn an_acknowledgement_may_come_before_the_segment_that_ends_an_outage() {
    // The longest one wraps around almost completely and looks like an old acknowledgement.
    for len in &LENGTHS[..7] {
        let len = *len;
        let mut lab = Lab::open();
        lab.client(0, "abc");
        lab.acknowledge(3);
        let after = 3_u32.wrapping_add(len);
        lab.miss(len);
        lab.acknowledge(after.wrapping_add(3));
        lab.client(after, "def");
        assert_bridged(&lab, len, GapCause::Acknowledged, "def");
    }
}

#[test]
fn a_single_segment_after_an_outage_is_delivered_when_nothing_else_comes() {
    for len in LENGTHS {
        let mut lab = Lab::open();
        lab.client(0, "abc");
        lab.acknowledge(3);
        lab.client(3_u32.wrapping_add(len), "def");
        lab.finish();
        assert_bridged(&lab, len, GapCause::Outage, "def");
    }
}

#[test]
fn an_outage_of_a_direction_of_which_the_other_was_not_captured_is_bridged() {
    for len in [20_000_000, 1 << 24, 1 << 30, 1 << 31, 2_500_000_000, 3 << 30] {
        let mut lab = Lab::new();
        lab.send(Client, 77, 99, "A", "abc");
        lab.wait(Duration::from_secs(1));
        for (offset, text) in [(3, "def"), (6, "ghi"), (9, "jkl")] {
            lab.send(Client, 77_u32.wrapping_add(len).wrapping_add(offset), 99, "A", text);
        }
        lab.wait(Duration::from_secs(121));
        let side = lab.side(0, Initiator);
        assert_eq!(String::from_utf8_lossy(&side.bytes), "abcdefghijkl", "{len}");
        assert_eq!((side.gaps.len(), side.gaps[0].len), (1, u64::from(len)), "{}", side.text);
        assert!(side.gaps[0].estimated || len < 1 << 31, "{}", side.text);
    }
}

#[test]
fn an_outage_of_three_quarters_of_the_sequence_space_is_bridged() {
    // With acknowledgements of both moments, of the first, of the second, and of none.
    for (before, after) in [(true, true), (true, false), (false, true), (false, false)] {
        for (from, peer) in [(Client, Server), (Server, Client)] {
            let mut lab = Lab::new();
            let missed = 3_u32 << 30;
            lab.send(from, 77, 99, "A", "abc");
            lab.send(from, 80, 99, "A", "def");
            if before {
                lab.send(peer, 99, 83, "A", "");
            }
            lab.wait(Duration::from_secs(1));
            for segment in 0..20 {
                let at = 83_u32.wrapping_add(missed).wrapping_add(3 * segment);
                lab.send(from, at, 99, "A", "xyz");
                if after {
                    lab.send(peer, 99, at.wrapping_add(3), "A", "");
                }
            }
            lab.finish();
            let which = format!("{before} {after} {from:?}");
            assert_eq!(lab.seen.flows.len(), 1, "{which}");
            let side = lab.side(0, if from == Client { Initiator } else { Responder });
            assert_eq!(
                String::from_utf8_lossy(&side.bytes),
                "abcdef".to_owned() + &"xyz".repeat(20)
            );
            let gaps: Vec<_> = side.gaps.iter().map(|gap| (gap.offset, gap.len)).collect();
            assert_eq!(gaps, [(6, u64::from(missed))], "{which}");
            assert!(side.late.is_empty() && side.unplaced.is_empty(), "{which}");
        }
    }
}

#[test]
fn outages_may_follow_one_another_through_all_of_the_sequence_space() {
    let mut lab = Lab::open();
    let (mut offset, mut total) = (0_u32, 0_u64);
    for len in [1 << 24, 1 << 30, 1 << 31, 1 << 24, 1 << 30, 1 << 31] {
        lab.client(offset, "abc");
        lab.acknowledge(offset.wrapping_add(3));
        offset = offset.wrapping_add(3).wrapping_add(len);
        total += 3 + u64::from(len);
        lab.miss(len);
    }
    lab.client(offset, "end");
    lab.acknowledge(offset.wrapping_add(3));
    let side = lab.side(0, Initiator);
    assert_eq!(String::from_utf8_lossy(&side.bytes), "abcabcabcabcabcabcend");
    let delivered_and_missing =
        side.bytes.len() as u64 + side.gaps.iter().map(|gap| gap.len).sum::<u64>();
    assert_eq!(delivered_and_missing, total + 3);
    assert_eq!(side.gaps.len(), 6);
}

#[test]
fn the_length_of_an_outage_beyond_all_sequence_numbers_is_estimated_from_the_rate() {
    // The difference between the true length and the one expected from the rate.
    for error in [0_i64, -2_000_000_000, 2_000_000_000] {
        let mut lab = Lab::new();
        lab.handshake(C, S);
        let started = lab.clock - 2;
        let payload = "x".repeat(50_000);
        let mut sent = 0;
        for _ in 0..20 {
            lab.client(sent, &payload);
            sent += 50_000;
            lab.acknowledge(sent);
        }
        let active = lab.clock - started;
        lab.wait(Duration::from_secs(600));
        // The segment and its acknowledgement arrive a millisecond apart.
        let expected = u64::from(sent) * 600_002 / active;
        let missed = expected.checked_add_signed(error).unwrap();
        assert!(missed > 1 << 33);
        let after = u64::from(sent) + missed;
        lab.client(after as u32, "def");
        lab.acknowledge((after + 3) as u32);
        let gaps = &lab.side(0, Initiator).gaps;
        assert_eq!((gaps.len(), gaps[0].len, gaps[0].estimated), (1, missed, true));
        assert!(lab.text().ends_with("acknowledged]def"));
    }
}

#[test]
fn an_outage_shorter_than_the_rate_can_mistake_is_exact() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(3);
    lab.wait(Duration::from_secs(60));
    lab.client(50_000_003, "def");
    lab.acknowledge(50_000_006);
    assert!(!lab.side(0, Initiator).gaps[0].estimated);
}

#[test]
fn acknowledgements_that_go_on_show_what_a_side_sent_that_is_not_captured_any_more() {
    for jump in [20_000_000, 1 << 30, 2_500_000_000] {
        let mut lab = Lab::open();
        lab.client(0, "abc");
        lab.acknowledge(3);
        for further in [0, 100_000, 200_000, 300_000] {
            assert_eq!(lab.text(), "abc");
            lab.acknowledge(3_u32.wrapping_add(jump).wrapping_add(further));
        }
        let missed = u64::from(jump) + 300_000;
        assert_eq!(lab.text(), format!("abc[{missed} acknowledged]"));
        lab.client(300_003_u32.wrapping_add(jump), "xyz");
        assert_eq!(lab.text(), format!("abc[{missed} acknowledged]xyz"));
    }
}

#[test]
fn acknowledgements_far_ahead_that_do_not_go_on_are_ignored() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    for _ in 0..20 {
        lab.acknowledge(20_000_000);
    }
    lab.client(3, "def");
    lab.acknowledge(6);
    for far in [20_000_000, 900_000_000, 2_500_000_000, 4_000_000_000] {
        lab.acknowledge(far);
    }
    lab.client(6, "ghi");
    lab.finish();
    assert_eq!(lab.text(), "abcdefghi");
}

#[test]
fn a_segment_forged_far_ahead_hides_nothing_and_is_reported() {
    for far in [20_000_000, 1 << 30, 2_500_000_000_u32] {
        let mut lab = Lab::open();
        lab.client(0, "abc");
        lab.acknowledge(3);
        lab.client(far, "forged");
        lab.client(3, "def");
        lab.acknowledge(6);
        lab.client(6, "ghi");
        assert_eq!(lab.text(), "abcdefghi");
        assert!(lab.side(0, Initiator).unplaced.is_empty());
        lab.finish();
        assert_eq!(lab.text(), "abcdefghi");
        let sequence = (C + 1).wrapping_add(far);
        let forged = (sequence, b"forged".to_vec(), UnplacedCause::OutOfWindow);
        assert_eq!(lab.side(0, Initiator).unplaced, [forged]);
        assert_eq!(lab.table.statistics().unplaced_bytes, 6);
    }
}

#[test]
fn what_nothing_bore_out_is_reported_when_its_time_is_over() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.client(500_000_000, "forged");
    lab.client(3, "def");
    lab.acknowledge(6);
    lab.wait(Duration::from_secs(119));
    assert!(lab.side(0, Initiator).unplaced.is_empty());
    lab.wait(Duration::from_secs(2));
    assert_eq!(lab.side(0, Initiator).unplaced.len(), 1);
    lab.client(6, "ghi");
    assert_eq!(lab.text(), "abcdefghi");
}

#[test]
fn segments_forged_in_several_places_do_not_support_one_another() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(3);
    for far in [500_000_000, 1_500_000_000, 3_000_000_000] {
        lab.client(far, "forged");
        // A retransmission is no further evidence.
        lab.client(far, "forged");
        lab.client(far, "forged");
    }
    lab.acknowledge(3);
    assert_eq!(lab.text(), "abc");
    lab.client(3, "def");
    lab.acknowledge(6);
    lab.finish();
    assert_eq!(lab.text(), "abcdef");
    let unplaced = &lab.side(0, Initiator).unplaced;
    assert_eq!(unplaced.len(), 9);
    assert!(unplaced.iter().all(|(_, _, cause)| *cause == UnplacedCause::OutOfWindow));
}

/// A connection that has sent 1.5 GB, most of it not captured, and the time it took in
/// milliseconds.
fn fast() -> (Lab, u64) {
    let mut lab = Lab::open();
    let started = lab.clock - 2;
    lab.client(0, "abc");
    lab.acknowledge(3);
    for jump in [700_000_003, SENT as u32 - 3] {
        lab.wait(Duration::from_millis(500));
        lab.client(jump, "def");
        lab.acknowledge(jump + 3);
    }
    assert!(lab.text().ends_with("def"));
    assert_eq!(lab.side(0, Initiator).bytes.len(), 9);
    let took = lab.clock - started;
    (lab, took)
}

/// The number of bytes sent.
const SENT: u64 = 1_500_000_000;

/// The segment after the outage, and the number of bytes missed before it.
fn assert_fast_is_bridged(lab: &Lab, expected: &[(u64, bool)], rest: &str) {
    let side = lab.side(0, Initiator);
    let gaps: Vec<_> = side.gaps.iter().skip(2).map(|gap| (gap.len, gap.estimated)).collect();
    assert_eq!(gaps, expected, "{}", side.text);
    assert_eq!(String::from_utf8_lossy(&side.bytes), format!("abcdefdef{rest}"));
    assert!(side.repeats.is_empty() && side.unplaced.is_empty());
}

#[test]
fn an_outage_that_leads_behind_the_stream_by_its_sequence_numbers_is_bridged() {
    for back in [1_073_000_000, 900_000_000, 100_000_000, 70_000_000, 10_000_000, 2_000_000] {
        let missed = (1 << 32) - back;
        let after = (SENT + missed) as u32;
        let segments = [(0, "ghi"), (3, "jkl"), (6, "mno"), (9, "pqr")];
        for acknowledges in [true, false] {
            let (mut lab, took) = fast();
            // The time that it takes to send this number of bytes.
            lab.wait(Duration::from_millis(took * missed / SENT));
            for (offset, text) in segments {
                lab.client(after.wrapping_add(offset), text);
                if acknowledges {
                    lab.acknowledge(after.wrapping_add(offset + 3));
                }
            }
            // Without an acknowledgement the end of the capture decides.
            lab.finish();
            assert_fast_is_bridged(&lab, &[(missed, true)], "ghijklmnopqr");
        }
        // The acknowledgements arrive first.
        if back > 1 << 26 {
            let (mut lab, took) = fast();
            lab.wait(Duration::from_millis(took * missed / SENT));
            for (offset, text) in segments {
                lab.acknowledge(after.wrapping_add(offset + 3));
                lab.client(after.wrapping_add(offset), text);
            }
            assert_fast_is_bridged(&lab, &[(missed, true)], "ghijklmnopqr");
        }
    }
}

#[test]
fn what_is_sent_again_after_a_long_silence_is_no_outage() {
    let (mut lab, _) = fast();
    lab.client(SENT as u32, "lost");
    lab.wait(Duration::from_secs(100));
    lab.client(SENT as u32, "lost");
    lab.client(SENT as u32 - 3, "def");
    // As a keep-alive.
    lab.client(SENT as u32 - 1, "f");
    lab.acknowledge(SENT as u32 + 4);
    lab.client(SENT as u32 + 4, "more");
    let side = lab.side(0, Initiator);
    assert!(side.text.ends_with("deflostmore"), "{}", side.text);
    assert_eq!((side.gaps.len(), side.repeats.len(), side.unplaced.len()), (2, 3, 0));
}

#[test]
fn old_segments_after_a_long_silence_are_repetitions_if_the_stream_goes_on() {
    let (mut lab, _) = fast();
    lab.wait(Duration::from_secs(100));
    lab.client(SENT as u32 - 100_000_000, "old");
    lab.client(SENT as u32 - 99_999_997, "er");
    lab.client(SENT as u32, "more");
    lab.acknowledge(SENT as u32 + 4);
    lab.finish();
    let side = lab.side(0, Initiator);
    assert!(side.text.ends_with("defmore"), "{}", side.text);
    // Of the missing bytes.
    assert_eq!((side.gaps.len(), side.late.len(), side.unplaced.len()), (2, 2, 0));
}

impl Lab {
    /// Reports dropped packets, as a source does that reads its counter.
    fn lose(&mut self, packets: u64) {
        self.clock += 1;
        self.table.note_drops(packets, self.now());
    }
}

#[test]
fn drops_of_the_source_bound_the_length_of_an_outage() {
    for (lost, missed, estimated) in [
        // This number of packets cannot contain another 4 GiB.
        (50_000, 3_000_000_000, false),
        (60_000, 200_000_000, false),
        // The stream's share of the drops is approximately known.
        (150_000, 3_000_000_000, true),
    ] {
        let mut lab = Lab::new();
        lab.handshake(C, S);
        lab.lose(0);
        lab.client(0, "abc");
        lab.acknowledge(3);
        lab.wait(Duration::from_secs(200));
        lab.lose(lost);
        let after = 3_u32.wrapping_add(missed as u32);
        lab.client(after, "def");
        lab.acknowledge(after.wrapping_add(3));
        let gaps = &lab.side(0, Initiator).gaps;
        assert_eq!((gaps.len(), gaps[0].len, gaps[0].estimated), (1, missed, estimated), "{lost}");
        assert!(lab.text().ends_with("]def"));
    }
}

#[test]
fn packets_that_were_lost_tell_how_long_an_outage_is_better_than_its_time() {
    // For a stream of 50,000 bytes in two packets, whose rate has changed.
    for missed in [1_000_000_000_u64, 5_000_000_000, 9_500_000_000, 20_000_000_000] {
        for silent in [2, 200] {
            let mut lab = Lab::new();
            lab.lose(0);
            lab.handshake(C, S);
            let payload = "x".repeat(50_000);
            let mut sent = 0;
            for _ in 0..100 {
                lab.client(sent, &payload);
                sent += 50_000;
                lab.acknowledge(sent);
            }
            lab.wait(Duration::from_secs(silent));
            lab.lose(missed / 25_000);
            let after = u64::from(sent) + missed;
            lab.client(after as u32, "def");
            lab.acknowledge((after + 3) as u32);
            let gaps = &lab.side(0, Initiator).gaps;
            assert_eq!((gaps.len(), gaps[0].len), (1, missed), "{silent}");
        }
    }
}

#[test]
fn without_drops_of_the_source_an_outage_has_the_least_length_and_may_be_longer() {
    let (mut lab, _) = fast();
    lab.lose(0);
    lab.wait(Duration::from_secs(3));
    lab.lose(0);
    lab.client(SENT as u32 + 100_000_000, "ghi");
    lab.acknowledge(SENT as u32 + 100_000_003);
    assert_fast_is_bridged(&lab, &[(100_000_000, true)], "ghi");
}

/// An acknowledgement by the peer of everything before a segment far ahead is evidence as good as
/// the segment's own acknowledgement.
#[test]
fn acknowledgements_of_the_missing_stretch_alone_bear_it_out() {
    for len in LENGTHS {
        // An acknowledgement alone that reaches up to the next byte may be an old one.
        for first in [len < 1 << 31, false] {
            let mut lab = Lab::open();
            lab.client(0, "abc");
            lab.acknowledge(3);
            let after = 3_u32.wrapping_add(len);
            lab.miss(len);
            if first {
                lab.acknowledge(after);
                lab.client(after, "def");
            } else {
                lab.client(after, "def");
                lab.acknowledge(after);
            }
            assert_bridged(&lab, len, GapCause::Acknowledged, "def");
        }
    }
}

/// After an outage the receiver's window is as large as before, so the following bytes are not in
/// doubt.
#[test]
fn the_window_behind_an_outage_is_open() {
    let mut lab = Lab::open();
    lab.client(0, "abc");
    lab.acknowledge(3);
    lab.client(50_000_003, "def");
    lab.acknowledge(50_000_006);
    lab.client(50_000_006, "ghi");
    lab.client(50_000_009, "jkl");
    assert_bridged(&lab, 50_000_000, GapCause::Acknowledged, "defghijkl");
    assert_eq!(lab.table.statistics().discarded.total(), 0);
}

#[test]
fn whatever_an_outage_takes_bytes_are_never_joined_around_it() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let payload = "x".repeat(50_000);
    for case in 0..300 {
        let (mut lab, took) = fast();
        let counts = random(2) == 0;
        if counts {
            lab.lose(0);
        }
        for piece in 0..20 {
            lab.client(SENT as u32 + piece * 50_000, &payload);
            lab.acknowledge(SENT as u32 + (piece + 1) * 50_000);
        }
        let sent = SENT + 1_000_000;
        // Farther than any reordering, up to many times around the sequence space.
        let missed = (32 << 20) + random(40 << 30);
        lab.wait(Duration::from_millis(took * missed / sent));
        if counts {
            // Of 50,000 bytes in two packets, and others.
            lab.lose(missed / 20_000 + random(1_000_000));
        }
        let after = sent + missed;
        for (offset, text) in [(0, "ghi"), (3, "jkl"), (6, "mno"), (9, "pqr")] {
            lab.client((after + offset) as u32, text);
            if random(2) == 0 {
                lab.acknowledge((after + offset + 3) as u32);
            }
        }
        lab.acknowledge((after + 12) as u32);
        lab.finish();
        let side = lab.side(0, Initiator);
        let context = format!("case {case}: {missed} missed, counted: {counts}");
        assert!(side.text.ends_with("]ghijklmnopqr"), "{context}");
        let gap = side.gaps.last().unwrap();
        assert_eq!(
            (side.gaps.len(), side.repeats.len(), side.unplaced.len()),
            (3, 0, 0),
            "{context}"
        );
        assert_eq!(gap.len % (1 << 32), missed % (1 << 32), "{context}");
        assert!(gap.estimated || gap.len == missed, "{context}: {} is certain", gap.len);
    }
}
