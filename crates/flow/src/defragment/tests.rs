//! Fragments against an array of bytes.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::{LinkType, Packet, Parsed, Parser};

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

/// A fragment as it is cut: position and payload; what the defragmenter sees of it is made by the parser.
#[derive(Clone, Debug)]
struct Cut {
    start: usize,
    bytes: Vec<u8>,
    more: bool,
}

fn datagram(cut: &Cut, six: bool, identification: u16) -> Vec<u8> {
    let word = if six {
        cut.start as u16 | u16::from(cut.more)
    } else {
        (cut.start / 8) as u16 | u16::from(cut.more) << 13
    };
    let mut header;
    if six {
        header = vec![0x60, 0, 0, 0];
        header.extend(((cut.bytes.len() + 16) as u16).to_be_bytes());
        header.extend([60, 64]);
        header.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets());
        header.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2).octets());
        header.extend([44, 0, 1, 4, 0, 0, 0, 0]); // destination options before the fragment header
        header.extend([253, 0]);
        header.extend(word.to_be_bytes());
        header.extend([0, 0]);
        header.extend(identification.to_be_bytes());
    } else {
        header = vec![0x46, 0];
        header.extend(((cut.bytes.len() + 24) as u16).to_be_bytes());
        header.extend(identification.to_be_bytes());
        header.extend(word.to_be_bytes());
        header.extend([64, 253, 0, 0]);
        header.extend(Ipv4Addr::new(192, 0, 2, 1).octets());
        header.extend(Ipv4Addr::new(192, 0, 2, 2).octets());
        header.extend([1, 1, 1, 0]);
    }
    [header, cut.bytes.clone()].concat()
}

/// Pushes a fragment; the payload of the datagram, if it is whole.
fn push(
    defragmenter: &mut Defragmenter,
    cut: &Cut,
    six: bool,
    identification: u16,
    now: Timestamp,
) -> Option<Vec<u8>> {
    let frame = datagram(cut, six, identification);
    let parser = Parser::default();
    let fragment = match parser.parse(&Packet::new(&frame, now, LinkType::RAW)) {
        Ok(Parsed::Fragment(fragment)) => fragment,
        other => panic!("{other:?}"),
    };
    let whole = defragmenter.push(&fragment, &frame, now)?;
    let headers = match parser.parse_datagram(whole, fragment.scope, fragment.layers) {
        Ok(Parsed::Transport(headers)) => headers,
        other => panic!("{other:?} from {whole:02x?}"),
    };
    assert_eq!(headers.protocol, 253);
    assert_eq!(headers.payload_offset, if six { 48 } else { 24 });
    assert_eq!(headers.payload_len, headers.payload_wire_len);
    if !six {
        assert_eq!(crate::verify_ipv4_header(&whole[..24]), crate::Checksum::Valid);
    }
    assert_eq!(whole.len(), headers.payload_offset as usize + headers.payload_len as usize);
    Some(whole[headers.payload_offset as usize..].to_vec())
}

fn cut(start: usize, bytes: &[u8], more: bool) -> Cut {
    Cut { start, bytes: bytes.to_vec(), more }
}

/// What the defragmenter does, byte by byte.
#[derive(Default)]
struct Oracle {
    /// Value and start of the fragment that brought it.
    bytes: Vec<Option<(u8, usize)>>,
    total: Option<usize>,
    fragments: Vec<(usize, Vec<u8>)>,
    void: bool,
}

impl Oracle {
    /// The payload, once whole.
    fn push(&mut self, cut: &Cut, overlap: FragmentOverlap) -> Option<Vec<u8>> {
        let (start, mut bytes) = (cut.start, cut.bytes.clone());
        if cut.more {
            bytes.truncate(bytes.len() / 8 * 8);
        }
        let end = start + bytes.len();
        let known = self.bytes.iter().rposition(Option::is_some).map_or(0, |at| at + 1);
        let fits = match (self.total, cut.more) {
            (Some(total), true) => end <= total,
            (Some(total), false) => end == total,
            (None, true) => true,
            (None, false) => end >= known,
        };
        if self.void || bytes.is_empty() || !fits {
            return None;
        }
        if !cut.more {
            self.total = Some(end);
        }
        self.bytes.resize(self.bytes.len().max(end), None);
        let taken = self.bytes[start..end].iter().any(Option::is_some);
        if overlap == FragmentOverlap::Reject && taken {
            self.void = !self.fragments.contains(&(start, bytes));
            return None;
        }
        for (at, byte) in bytes.iter().enumerate() {
            let place = &mut self.bytes[start + at];
            let old_wins = place.is_some_and(|(_, origin)| match overlap {
                FragmentOverlap::First | FragmentOverlap::Reject => true,
                FragmentOverlap::Last => false,
                FragmentOverlap::Bsd => origin <= start,
                FragmentOverlap::BsdRight => origin > start,
                FragmentOverlap::Linux => origin < start,
            });
            if !old_wins {
                *place = Some((*byte, start));
            }
        }
        self.fragments.push((start, bytes));
        let total = self.total?;
        let whole: Option<Vec<u8>> =
            self.bytes.get(..total)?.iter().map(|byte| byte.map(|(byte, _)| byte)).collect();
        if whole.is_some() {
            *self = Self::default();
        }
        whole
    }
}

const POLICIES: [FragmentOverlap; 6] = [
    FragmentOverlap::First,
    FragmentOverlap::Last,
    FragmentOverlap::Bsd,
    FragmentOverlap::BsdRight,
    FragmentOverlap::Linux,
    FragmentOverlap::Reject,
];

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
    fn any_fragments_give_what_an_array_of_bytes_gives(cuts in cuts(), policy in 0_usize..6) {
        let overlap = POLICIES[policy];
        let mut defragmenter =
            Defragmenter::new(DefragmentOptions { overlap, ..DefragmentOptions::default() });
        let mut oracle = Oracle::default();
        for (at, cut) in cuts.iter().enumerate() {
            // Far enough apart that nothing counts as a copy of a datagram that was joined before.
            let now = Timestamp::from_nanos(at as u64 * 200_000_000);
            let expected = oracle.push(cut, overlap);
            prop_assert_eq!(push(&mut defragmenter, cut, false, 7, now), expected);
        }
    }

    #[test]
    fn a_datagram_comes_back_whatever_way_it_was_cut(
        len in 16_usize..4000,
        size in 1_usize..40,
        order: u64,
        six: bool,
    ) {
        let payload: Vec<u8> = (0..len).map(|at| (at * 7 + at / 251) as u8).collect();
        let mut cuts: Vec<Cut> = payload
            .chunks(size * 8)
            .enumerate()
            .map(|(at, bytes)| cut(at * size * 8, bytes, at * size * 8 + bytes.len() < len))
            .collect();
        prop_assume!(cuts.len() > 1);
        // A copy of each, then all of them in some order.
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

    /// Fragments of many datagrams, whatever they are: the limits hold and the books balance.
    #[test]
    fn limits_hold(cuts in cuts(), ids in prop::collection::vec(0_u16..20, 40), six: bool) {
        let options = DefragmentOptions {
            max_datagrams: 5,
            max_bytes: 4096,
            timeout: Duration::from_millis(10),
            overlap: FragmentOverlap::Last,
        };
        let mut defragmenter = Defragmenter::new(options);
        for (at, (cut, id)) in cuts.iter().zip(ids).enumerate() {
            push(&mut defragmenter, cut, six, id, Timestamp::from_nanos(at as u64 * 1_000_000));
            prop_assert!(defragmenter.pending() <= 5);
            prop_assert!(defragmenter.buffered_bytes() <= 4096);
            let held: usize = defragmenter.datagrams.values().map(Assembly::cost).sum();
            prop_assert_eq!(held, defragmenter.buffered_bytes());
        }
        defragmenter.advance(Timestamp::from_nanos(u64::MAX));
        prop_assert_eq!((defragmenter.pending(), defragmenter.buffered_bytes()), (0, 0));
    }
}

/// The pattern of Shankar and Paxson, "Active Mapping" (2003), section 4.2, and what each kind of host makes of it.
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
        let mut defragmenter =
            Defragmenter::new(DefragmentOptions { overlap, ..DefragmentOptions::default() });
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
    // Ends before the first one does.
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

/// The copy of a fragment that comes after its datagram was joined must not end up in the next datagram that has the
/// same identification.
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
    let mut defragmenter =
        Defragmenter::new(DefragmentOptions { max_datagrams: 2, ..DefragmentOptions::default() });
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

#[test]
fn memory_of_the_queue_does_not_grow_with_what_was_joined() {
    let mut defragmenter = Defragmenter::default();
    for id in 0..10_000 {
        push(&mut defragmenter, &cut(0, &[1; 8], true), false, id, NOW);
        assert!(push(&mut defragmenter, &cut(8, &[1; 8], false), false, id, NOW).is_some());
    }
    assert!(defragmenter.by_age.len() < 100, "{}", defragmenter.by_age.len());
}
