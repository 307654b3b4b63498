//! Whose bytes stay where segments overlap.

use flow::OverlapPolicy;

use crate::lab::*;

/// Six segments held behind a hole, in this order, then one over parts of all of them: every way in which two segments
/// can lie to each other, as in "Target-Based TCP Stream Reassembly" (Novak and Sturges, 2007), each with its own
/// letter.
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
