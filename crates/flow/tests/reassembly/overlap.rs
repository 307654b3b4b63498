//! The bytes that stay if segments overlap.

use flow::OverlapPolicy;

use crate::lab::*;

/// Six segments held behind a hole, in this order, then one that covers parts of all of them. This
/// covers every relative position of two segments, as in "Target-Based TCP Stream Reassembly"
/// (Novak and Sturges, 2007), each with its own letter.
fn stream(policy: OverlapPolicy) -> String {
    let mut lab = Lab::with(|builder| builder.overlap_policy(policy));
    lab.handshake(C, S);
    // Held:              offset 1..4 A, 6..9 B, 11..14 C, 16..19 D, 21..24 E, 26..29 F
    for (offset, letter) in [(1, "A"), (6, "B"), (11, "C"), (16, "D"), (21, "E"), (26, "F")] {
        lab.client(offset, &letter.repeat(3));
    }
    lab.client(2, "aa"); //     within, ends with it
    lab.client(5, "bbb"); //    begins before, ends within
    lab.client(10, "cccc"); //  begins before, ends with it
    lab.client(15, "ddddd"); // begins before, ends after
    lab.client(21, "eeee"); //  begins with it, ends after
    lab.client(26, "fff"); //   the same range
    lab.client(27, "ggg"); //   begins within, ends after
    lab.finish();
    lab.text().to_owned()
}

#[test]
fn the_pattern_by_policy() {
    // Holes at 0, 4, 9, 14, 20 and 25 stay.
    let cases = [
        //                              AAA         bBBB         cCCC         dDDDd        EEEe         FFFg
        (
            OverlapPolicy::First,
            "[1 end]AAA[1 end]bBBB[1 end]cCCC[1 end]dDDDd[1 end]EEEe[1 end]FFFg",
        ),
        (OverlapPolicy::Last, "[1 end]Aaa[1 end]bbbB[1 end]cccc[1 end]ddddd[1 end]eeee[1 end]fggg"),
        (OverlapPolicy::Bsd, "[1 end]AAA[1 end]bbbB[1 end]cccc[1 end]ddddd[1 end]EEEe[1 end]FFFg"),
        (
            OverlapPolicy::BsdRight,
            "[1 end]Aaa[1 end]bBBB[1 end]cCCC[1 end]dDDDd[1 end]eeee[1 end]fggg",
        ),
        (
            OverlapPolicy::Linux,
            "[1 end]AAA[1 end]bbbB[1 end]cccc[1 end]ddddd[1 end]eeee[1 end]FFFg",
        ),
        (
            OverlapPolicy::Windows,
            "[1 end]AAA[1 end]bbbB[1 end]cccc[1 end]ddddd[1 end]EEEe[1 end]FFFg",
        ),
        (
            OverlapPolicy::Solaris,
            "[1 end]AAA[1 end]bBBB[1 end]cccc[1 end]ddddd[1 end]eeee[1 end]fggg",
        ),
    ];
    for (policy, expected) in cases {
        assert_eq!(stream(policy), expected, "{policy:?}");
    }
}

/// The pattern of the paper: seventeen segments behind a hole that the last one closes, with the
/// results for each kind of host. The paper has no BSD-right; its result follows from its rule.
#[test]
fn the_pattern_of_novak_and_sturges() {
    let segments = [
        (1, "AAA"),
        (5, "BB"),
        (7, "CCC"),
        (11, "D"),
        (14, "EE"),
        (16, "FFF"),
        (19, "GG"),
        (21, "HH"),
        (23, "I"),
        (2, "JJJJ"),
        (7, "KKK"),
        (10, "LLL"),
        (13, "MMM"),
        (17, "N"),
        (20, "O"),
        (21, "P"),
        (23, "QQ"),
        (0, "0"),
    ];
    let cases = [
        (OverlapPolicy::First, "0AAAJBBCCCLDLMEEFFFGGHHIQ"),
        (OverlapPolicy::Last, "0AJJJJBKKKLLLMMMFNFGOPHQQ"),
        (OverlapPolicy::Bsd, "0AAAJJBCCCLLLMMMFFFGGHHIQ"),
        (OverlapPolicy::BsdRight, "0AJJJBBKKKLDLMEEFNFGOPHQQ"),
        (OverlapPolicy::Linux, "0AAAJJBCCCLLLMMMFFFGGHHQQ"),
        (OverlapPolicy::Windows, "0AAAJJBCCCLLLMMMFFFGGHHIQ"),
        (OverlapPolicy::Solaris, "0AJJJBBKKKLLLMMMFFFGGHHQQ"),
    ];
    for (policy, expected) in cases {
        let mut lab = Lab::with(|builder| builder.overlap_policy(policy));
        lab.handshake(C, S);
        for (offset, text) in segments {
            lab.client(offset, text);
        }
        assert_eq!(lab.text(), expected, "{policy:?}");
        // Both versions of every byte that differs: J 3, K 3, L 1, M 2, N, O, P and Q 1 each.
        let conflicts = &lab.side(0, Initiator).conflicts;
        let bytes: usize = conflicts.iter().map(|(_, kept, _)| kept.len()).sum();
        assert_eq!(bytes, 13, "{policy:?}");
        for (offset, kept, discarded) in conflicts {
            let arrived =
                |bytes: &[u8]| segments.iter().any(|(_, text)| text.as_bytes()[0] == bytes[0]);
            assert!(arrived(kept) && arrived(discarded), "{offset}");
        }
    }
}

/// The table keeps no delivered bytes. A handler that wants to compare gets the second version too.
#[test]
fn bytes_that_come_again_after_they_were_delivered_are_told() {
    let mut lab = Lab::open();
    lab.client(0, "abcdef");
    lab.client(2, "XXef");
    lab.client(4, "YYgh");
    assert_eq!(lab.text(), "abcdefgh");
    assert_eq!(lab.side(0, Initiator).repeats, [(2, b"XXef".to_vec()), (4, b"YY".to_vec())]);
}

#[test]
fn what_comes_again_around_a_gap_is_told_apart_from_what_is_late() {
    let mut lab = Lab::open();
    lab.client(0, "ab");
    lab.client(4, "ef");
    lab.acknowledge(6);
    lab.wait(std::time::Duration::from_secs(3));
    lab.client(0, "abcdefgh");
    assert_eq!(lab.text(), "ab[2 acknowledged]efgh");
    assert_eq!(lab.side(0, Initiator).repeats, [(0, b"ab".to_vec()), (4, b"ef".to_vec())]);
    assert_eq!(lab.side(0, Initiator).late, [(2, b"cd".to_vec())]);
}

#[test]
fn of_two_equal_copies_the_one_that_gives_way_is_the_repetition() {
    for (policy, data, repeat) in [(OverlapPolicy::First, 4, 5), (OverlapPolicy::Last, 5, 4)] {
        let mut lab = Lab::with(|builder| builder.overlap_policy(policy));
        lab.handshake(C, S);
        lab.client(2, "cd");
        lab.client(2, "cd");
        lab.client(0, "ab");
        assert_eq!(lab.text(), "abcd");
        let side = lab.side(0, Initiator);
        assert_eq!((&side.numbers[..], &side.repeat_numbers[..]), (&[6, data][..], &[repeat][..]));
    }
}

#[test]
fn both_versions_of_conflicting_bytes_are_told() {
    let mut lab = Lab::open();
    lab.client(2, "cdef");
    lab.client(3, "XeY");
    lab.client(0, "ab");
    assert_eq!(lab.text(), "abcdef");
    assert_eq!(lab.side(0, Initiator).conflicts, [(3, b"def".to_vec(), b"XeY".to_vec())]);
    assert_eq!(lab.table.statistics().conflicts, 1);
}

#[test]
fn what_was_delivered_stays_under_every_policy() {
    let mut lab = Lab::with(|builder| builder.overlap_policy(OverlapPolicy::Last));
    lab.handshake(C, S);
    lab.client(0, "abcd");
    lab.client(2, "XXef");
    assert_eq!(lab.text(), "abcdef");
}

/// Each direction uses the policy of its receiver.
#[test]
fn the_policy_is_that_of_the_receiver() {
    let network = |text: &str| text.parse().unwrap();
    let mut lab = Lab::with(|builder| {
        builder
            .overlap_policy(OverlapPolicy::First)
            .overlap_policy_for(network("192.0.2.2"), OverlapPolicy::Last)
            .overlap_policy_for(network("192.0.2.0/24"), OverlapPolicy::Bsd)
            .overlap_policy_for(network("2001:db8::/32"), OverlapPolicy::BsdRight)
    });
    lab.handshake(C, S);
    // The client is 192.0.2.1, the server 192.0.2.2.
    lab.client(1, "bc");
    lab.client(1, "XY");
    lab.client(0, "a");
    lab.send(Server, S + 2, C + 4, "A", "bcd");
    lab.send(Server, S + 2, C + 4, "A", "XYZ");
    lab.send(Server, S + 1, C + 4, "A", "a");
    assert_eq!(lab.text(), "aXY");
    assert_eq!(lab.side(0, Responder).text, "abcd");
}
