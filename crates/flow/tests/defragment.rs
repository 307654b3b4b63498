//! Fragments of all kinds, compared with an array of bytes. The fuzz target `defragment` runs the
//! same oracle for longer.

use std::time::Duration;

use flow::{DefragmentOptions, Defragmenter, FragmentOverlap, Timestamp};
use flow_testkit::fragments;
use proptest::prelude::*;

use fragments::{Cut, POLICIES, compare, cut, push};

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

fn with(change: impl FnOnce(&mut DefragmentOptions)) -> Defragmenter {
    let mut options = DefragmentOptions::default();
    change(&mut options);
    Defragmenter::new(options)
}

fn cuts() -> impl Strategy<Value = Vec<Cut>> {
    let one = (0_usize..12, 1_usize..40, any::<bool>(), 0_u8..3, any::<bool>()).prop_map(
        |(start, len, odd, fill, more)| Cut {
            start: start * 8,
            bytes: vec![fill; if odd { len } else { len.next_multiple_of(8) }],
            more: more || start == 0, // else it is no fragment
        },
    );
    prop::collection::vec(one, 1..40)
}

proptest! {
    #[test]
    fn any_fragments_give_what_an_array_of_bytes_gives(cuts in cuts(), policy in 0..POLICIES.len()) {
        compare(&cuts, POLICIES[policy]);
    }

    #[test]
    fn a_datagram_comes_back_whatever_way_it_was_cut(
        more in 1_usize..4000,
        size in 1_usize..40,
        order: u64,
        six: bool,
    ) {
        // More than one fragment can hold.
        let len = size * 8 + more;
        let payload: Vec<u8> = (0..len).map(|at| (at * 7 + at / 251) as u8).collect();
        let mut cuts: Vec<Cut> = payload
            .chunks(size * 8)
            .enumerate()
            .map(|(at, bytes)| cut(at * size * 8, bytes, at * size * 8 + bytes.len() < len))
            .collect();
        // A copy of each, then all of them in random order.
        cuts.extend(cuts.clone());
        let mut state = order | 1;
        for at in (1..cuts.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            cuts.swap(at, (state >> 33) as usize % (at + 1));
        }
        let mut defragmenter = Defragmenter::default();
        let mut whole = Vec::new();
        for cut in &cuts {
            whole.extend(push(&mut defragmenter, cut, six, 7, NOW));
        }
        prop_assert_eq!(whole, vec![payload]);
        if cuts.len() <= 2 * 64 {
            prop_assert_eq!(defragmenter.pending(), 0, "copies start nothing");
            prop_assert_eq!(defragmenter.statistics().duplicates, cuts.len() as u64 / 2);
            prop_assert_eq!(defragmenter.buffered_bytes(), 0);
        }
    }

    /// Checks the limits and the counters with random fragments of many datagrams.
    #[test]
    fn limits_hold(cuts in cuts(), ids in prop::collection::vec(0_u16..20, 40), six: bool) {
        let mut defragmenter = with(|options| {
            options.max_datagrams = 5;
            options.max_bytes = 4096;
            options.timeout = Duration::from_millis(10);
            options.overlap = FragmentOverlap::Last;
        });
        for (at, (cut, id)) in cuts.iter().zip(ids).enumerate() {
            push(&mut defragmenter, cut, six, id, Timestamp::from_nanos(at as u64 * 1_000_000));
            prop_assert!(defragmenter.pending() <= 5);
            prop_assert!(defragmenter.buffered_bytes() <= 4096);
        }
        defragmenter.advance(Timestamp::from_nanos(u64::MAX));
        prop_assert_eq!((defragmenter.pending(), defragmenter.buffered_bytes()), (0, 0));
    }
}

/// The pattern of Shankar and Paxson, "Active Mapping" (2003), section 4.2, and the result for each
/// kind of host.
#[test]
fn policies_differ_where_they_should() {
    let pattern =
        [(0, 3, b'1'), (4, 2, b'2'), (6, 3, b'3'), (1, 4, b'4'), (6, 3, b'5'), (9, 3, b'6')];
    let expected = [
        (FragmentOverlap::First, "111422333666"),
        (FragmentOverlap::Last, "144442555666"),
        (FragmentOverlap::Bsd, "111442333666"),
        (FragmentOverlap::BsdRight, "144422555666"),
        (FragmentOverlap::Linux, "111442555666"),
    ];
    for (overlap, expected) in expected {
        let mut defragmenter = with(|options| options.overlap = overlap);
        let mut whole = None;
        for (start, len, fill) in pattern {
            let last = start + len == 12;
            whole = push(
                &mut defragmenter,
                &cut(start * 8, &vec![fill; len * 8], !last),
                false,
                1,
                NOW,
            );
        }
        let whole = whole.expect("the last fragment completes it");
        let blocks: Vec<u8> = whole.chunks(8).map(|block| block[0]).collect();
        assert_eq!(String::from_utf8_lossy(&blocks), expected, "{overlap:?}");
        assert!(defragmenter.statistics().conflicts > 0);
    }
}

#[test]
fn an_overlap_makes_an_ipv6_datagram_void_with_all_that_follows() {
    let mut defragmenter = Defragmenter::default();
    let mut push = |start, bytes: &[u8], more, seconds| {
        let now = NOW + Duration::from_secs(seconds);
        push(&mut defragmenter, &cut(start, bytes, more), true, 1, now)
    };
    assert_eq!(push(0, &[1; 16], true, 0), None);
    assert_eq!(push(8, &[1; 16], true, 0), None, "the same bytes, but an overlap");
    assert_eq!(push(16, &[1; 8], false, 0), None);
    assert_eq!(push(0, &[1; 16], true, 40), None, "after its time, a new one");
    assert_eq!(push(16, &[2; 8], false, 40).map(|payload| payload.len()), Some(24));
    let statistics = defragmenter.statistics();
    assert_eq!((statistics.overlapping, statistics.discarded, statistics.datagrams), (1, 1, 1));
    assert_eq!(statistics.expired, 0, "void is not expired");
}

#[test]
fn teardrop_and_ping_of_death_do_no_harm() {
    let mut defragmenter = Defragmenter::default();
    assert_eq!(push(&mut defragmenter, &cut(0, &[1; 32], true), false, 1, NOW), None);
    // Ends before the end of the first one.
    assert_eq!(push(&mut defragmenter, &cut(24, &[2; 4], false), false, 1, NOW), None);
    assert_eq!(defragmenter.statistics().malformed, 1);
    assert_eq!(push(&mut defragmenter, &cut(65_528, &[3; 100], false), false, 2, NOW), None);
    assert_eq!(defragmenter.statistics().too_long, 1);
    assert_eq!(push(&mut defragmenter, &cut(0, &[3; 8], true), false, 2, NOW), None);
    assert_eq!(defragmenter.statistics().discarded, 1);
}

#[test]
fn the_longest_datagram_is_joined() {
    let payload: Vec<u8> = (0..65_535 - 24).map(|at| (at / 8) as u8).collect();
    let mut defragmenter = Defragmenter::default();
    let mut whole = None;
    for (at, bytes) in payload.chunks(8).enumerate().rev() {
        let more = at * 8 + bytes.len() < payload.len();
        whole = push(&mut defragmenter, &cut(at * 8, bytes, more), false, 1, NOW);
    }
    assert_eq!(whole, Some(payload));
}

/// A copy of a fragment that arrives after its datagram was joined must not become part of the next
/// datagram with the same identification.
#[test]
fn late_copies_do_not_poison_the_next_datagram() {
    let mut defragmenter = Defragmenter::default();
    let mut push = |start, fill, more, millis| {
        let now = NOW + Duration::from_millis(millis);
        push(&mut defragmenter, &cut(start, &[fill; 8], more), false, 1, now)
    };
    assert_eq!(push(0, 1, true, 0), None);
    assert_eq!(push(0, 1, true, 0), None);
    assert!(push(8, 2, false, 0).is_some());
    assert_eq!(push(8, 2, false, 1), None);
    assert_eq!(push(0, 3, true, 500), None);
    assert_eq!(push(8, 4, false, 500), Some([[3; 8], [4; 8]].concat()));
}

#[test]
fn what_never_completes_is_counted() {
    let mut defragmenter = with(|options| options.max_datagrams = 2);
    for id in 0..3 {
        let first = id != 1;
        let one = cut(if first { 0 } else { 8 }, &[1; 8], true);
        assert_eq!(push(&mut defragmenter, &one, false, id, NOW), None);
    }
    let statistics = *defragmenter.statistics();
    assert_eq!((statistics.evicted, statistics.abandoned_first), (1, 1));
    defragmenter.advance(NOW + Duration::from_secs(31));
    let statistics = *defragmenter.statistics();
    assert_eq!((statistics.expired, statistics.abandoned_first), (2, 2));
    assert_eq!(defragmenter.pending(), 0);
}
