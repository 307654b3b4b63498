//! Random segments, after which each captured byte of a flow must be accounted for. The fuzz target
//! `accounting` runs the same code.

use flow_testkit::accounting;
use proptest::prelude::*;

/// The number of cases, which `PROPTEST_CASES` overrides.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_captured_byte_is_told_once(script in prop::collection::vec(any::<u8>(), 0..300)) {
        accounting::check(&script);
    }
}

/// A FIN among the segments that are placed last, and others after it.
#[test]
fn nothing_is_placed_behind_a_fin_that_the_end_of_the_capture_confirms() {
    accounting::check(&[
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 44, 0, 35, 0, 0, 0, 0, 1, 32, 0, 0, 45, 0,
        0, 17, 0, 74, 1, 0, 148, 0, 177, 0, 0, 0, 0, 14, 1, 32, 0, 0, 79, 0, 0, 0, 64, 0, 64, 0,
        64, 1, 52, 0, 0, 64, 0, 224, 0, 0, 204, 100, 28, 20, 0, 96, 0, 4, 128, 2, 237, 0, 0, 64, 0,
        0, 0, 160, 0, 0, 8, 0, 0, 0, 0, 192, 1, 0, 0, 128, 0,
    ]);
}

/// The end of the capture confirms a SYN. Of the segments that waited for that, one ends the new
/// flow, and another comes after the end.
#[test]
fn segments_behind_one_that_ends_their_flow_are_counted() {
    accounting::check(&[
        122, 64, 0, 64, 0, 0, 0, 149, 1, 109, 0, 0, 232, 0, 0, 0, 139, 0, 69, 0, 0, 0, 0, 13, 0, 0,
        0, 147, 0, 0, 0, 212, 0, 81, 0, 134, 1, 0, 13, 0, 143, 0, 205, 0, 172, 0, 149, 0, 9, 1, 0,
        22, 0, 116, 0, 8, 0, 0, 0,
    ]);
}

/// A segment in quarantine lies inside a missing stretch, and behind a hole of its own there.
#[test]
fn what_waits_inside_a_missing_stretch_is_not_left_behind() {
    accounting::check(&[
        20, 0, 0, 0, 0, 0, 0, 0, 0, 19, 0, 0, 0, 32, 0, 0, 64, 0, 136, 1, 1, 211, 0, 0, 89, 224, 2,
        0, 192, 0, 0, 0, 104, 0, 0, 25, 192, 0, 115, 0, 0, 0, 19, 0, 0, 5, 4, 0, 64, 0, 24, 0, 64,
        0, 49, 0, 5, 192, 0, 51, 0, 1, 20, 168, 0, 0, 0, 108, 0, 221, 0, 0, 2, 19, 0, 0, 0, 9, 1,
        20, 84, 0, 160, 0, 0, 64, 1, 200, 0, 0, 64, 0, 56, 0, 0, 87, 0, 0, 73, 1, 8, 192, 0, 47, 1,
        0, 64, 101, 96, 0, 0, 0, 1, 182, 0, 0, 0, 0, 179, 0, 2, 7,
    ]);
}

/// The same, before a group that is placed a turn of the sequence space further.
#[test]
fn what_waits_before_a_turn_of_the_sequence_space_is_not_left_behind() {
    accounting::check(&[
        20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 20, 0, 138, 101, 78, 148,
        0, 160, 0, 121, 45, 0, 0, 72, 0, 0, 96, 1, 0, 192, 2, 171, 0, 246, 0, 0, 0, 64, 0, 20, 0,
        0, 0, 116, 0, 0, 51, 0, 12, 7, 96, 0, 0, 96, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0,
        56, 0, 84, 201, 1, 8, 32, 0, 0, 235, 0, 108, 0, 0, 0, 32, 0, 0, 216, 0, 0, 0, 40, 0, 0, 55,
        64, 0, 32, 0, 7, 20, 0, 0, 0, 0, 0, 0,
    ]);
}

/// A segment settles another one that was in doubt and that ends the flow.
#[test]
fn a_segment_that_ends_its_flow_by_what_it_settles_is_not_held_back() {
    accounting::check(&[
        44, 0, 0, 32, 0, 0, 12, 0, 40, 64, 0, 13, 0, 32, 0, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 45, 0, 0, 0, 0, 45, 0, 0, 128, 2, 160, 0, 0, 13, 0, 64, 0, 32, 0, 0, 17, 0, 20, 0,
        0, 241, 0, 0, 0, 0, 80, 0, 0, 143, 0, 111, 3, 168, 32, 0, 202, 192, 0, 128, 0, 141, 2, 0,
        3, 64, 0, 32, 0, 0, 160, 1, 108,
    ]);
}

/// A segment waits before the place, a turn of the sequence space further, of a group that is
/// placed inside a missing stretch.
#[test]
fn what_waits_inside_a_stretch_that_turns_is_not_left_behind() {
    accounting::check(&[
        218, 0, 0, 160, 1, 0, 64, 2, 168, 0, 0, 0, 43, 0, 181, 12, 52, 0, 0, 64, 0, 19, 0, 0, 0,
        147, 0, 0, 0, 108, 0, 237, 0, 84, 0, 83, 0, 12, 7, 96, 0, 0, 17, 0, 43, 139, 0, 52, 212, 0,
        47, 1, 0, 0, 2, 52, 0, 0, 64, 1, 64, 1, 64, 0, 81, 0, 30, 1, 6, 160, 0, 0, 88, 0, 192, 0,
        108, 0, 44, 0, 0, 0, 72, 1, 0, 192, 0, 0, 0, 0, 0, 0,
    ]);
}
