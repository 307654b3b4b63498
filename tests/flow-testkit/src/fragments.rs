//! Compares the defragmenter with an array of bytes.

use std::net::{Ipv4Addr, Ipv6Addr};

use flow::{
    Checksum, DefragmentOptions, Defragmenter, FragmentOverlap, LinkType, Packet, Parsed, Parser,
    Timestamp, verify_ipv4_header,
};

/// All policies.
pub const POLICIES: [FragmentOverlap; 7] = [
    FragmentOverlap::First,
    FragmentOverlap::Last,
    FragmentOverlap::Bsd,
    FragmentOverlap::BsdRight,
    FragmentOverlap::Linux,
    FragmentOverlap::Reject,
    FragmentOverlap::RejectPartial,
];

/// Makes fragments of arbitrary bytes, three for each, and pushes them.
///
/// # Panics
/// If the defragmenter returns anything else than the array of bytes.
pub fn check(input: &[u8]) {
    let Some((policy, cuts)) = input.split_first() else { return };
    let cuts = cuts.chunks_exact(3).map(|cut| {
        let (start, more) = (usize::from(cut[0] % 16) * 8, cut[0] & 0x80 == 0);
        let bytes = vec![cut[2]; usize::from(cut[1] % 64) + 1];
        Cut { start, bytes, more: more || start == 0 }
    });
    let policy = POLICIES[usize::from(*policy) % POLICIES.len()];
    compare(&cuts.collect::<Vec<_>>(), policy);
}

/// Two seconds, in steps of [`compare`].
const VOID_FOR: usize = 10;

/// Pushes fragments.
///
/// # Panics
/// If the defragmenter returns anything else than the array of bytes.
pub fn compare(cuts: &[Cut], overlap: FragmentOverlap) {
    let mut options = DefragmentOptions::default();
    options.overlap = overlap;
    options.timeout = std::time::Duration::MAX;
    options.unverified_timeout = std::time::Duration::MAX;
    let mut defragmenter = Defragmenter::new(options);
    let mut oracle = Oracle::default();
    for (at, cut) in cuts.iter().enumerate() {
        // Far enough apart that no fragment counts as a copy of one in a recently joined datagram.
        let now = Timestamp::from_nanos(at as u64 * 200_000_000);
        if oracle.void_since.is_some_and(|since| at - since >= VOID_FOR) {
            oracle = Oracle::default();
        }
        let expected = oracle.push(cut, overlap);
        if oracle.void && oracle.void_since.is_none() {
            oracle.void_since = Some(at);
        }
        let joined = push(&mut defragmenter, cut, false, 7, now);
        if oracle.of_several {
            return;
        }
        assert_eq!(joined, expected);
    }
}

/// A fragment before it is parsed: its offset and payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// The position of its first byte in the datagram.
    pub start: usize,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// `true` if it is not the last.
    pub more: bool,
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

/// Pushes a fragment. Returns the payload of the datagram if it is complete.
pub fn push(
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
        assert_eq!(verify_ipv4_header(&whole[..24]), Checksum::Valid);
    }
    assert_eq!(whole.len(), headers.payload_offset as usize + headers.payload_len as usize);
    Some(whole[headers.payload_offset as usize..].to_vec())
}

/// A fragment of these bytes.
pub fn cut(start: usize, bytes: &[u8], more: bool) -> Cut {
    Cut { start, bytes: bytes.to_vec(), more }
}

/// The expected behaviour, byte by byte.
#[derive(Default)]
struct Oracle {
    /// The value of a byte, and the start of the fragment that contained it.
    bytes: Vec<Option<(u8, usize)>>,
    total: Option<usize>,
    fragments: Vec<Cut>,
    void: bool,
    void_since: Option<usize>,
    /// `true` if fragments with different starts contradict each other.
    crosswise: bool,
    /// `true` if the fragments look as if they belonged to several datagrams. Tests with complete
    /// datagrams cover that case.
    of_several: bool,
}

impl Oracle {
    /// Returns the payload once it is complete.
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
        let cut = &Cut { start, bytes: bytes.clone(), more: cut.more };
        let copy = self.fragments.contains(cut);
        if self.void || bytes.is_empty() || (copy && !fits) {
            return None;
        }
        if !fits {
            self.void = overlap == FragmentOverlap::Reject;
            // No datagram has bytes beyond its end, whatever the fragments' overlaps look like.
            self.of_several = !self.void;
            self.fragments.push(cut.clone());
            return None;
        }
        if !cut.more {
            self.total = Some(end);
        }
        self.bytes.resize(self.bytes.len().max(end), None);
        let places = self.bytes[start..end].iter().zip(&bytes);
        let taken = places.clone().any(|(place, _)| place.is_some());
        let known = places.clone().all(|(place, new)| place.is_some_and(|(old, _)| old == *new));
        let conflict = places.clone().any(|(place, new)| place.is_some_and(|(old, _)| old != *new));
        let partly = places.clone().any(|(place, _)| place.is_none());
        let void = match overlap {
            FragmentOverlap::Reject => taken && !copy,
            FragmentOverlap::RejectPartial => taken && partly,
            _ => false,
        };
        if conflict && !copy && !void {
            let crosses = |one: &Cut| {
                one.start < end && start < one.start + one.bytes.len() && one.start != start
            };
            self.crosswise |= self.fragments.iter().any(crosses);
            self.of_several |= !self.crosswise;
        }
        if void {
            self.void = true;
            return None;
        }
        // A copy has no new bytes, but it may be the fragment that defines the end of the datagram.
        for (at, byte) in bytes.iter().enumerate() {
            let place = &mut self.bytes[start + at];
            let old_wins = place.is_some_and(|(_, origin)| match overlap {
                FragmentOverlap::Last => false,
                FragmentOverlap::Bsd => origin <= start,
                FragmentOverlap::BsdRight => origin > start,
                FragmentOverlap::Linux => origin < start,
                _ => true, // first, and copies; rejected ones do not come here
            });
            if !old_wins {
                *place = Some((*byte, start));
            }
        }
        let by_order = matches!(
            overlap,
            FragmentOverlap::First | FragmentOverlap::Last | FragmentOverlap::RejectPartial
        );
        if !(copy || known && by_order) {
            self.fragments.push(cut.clone());
        }
        let total = self.total?;
        let whole: Option<Vec<u8>> =
            self.bytes.get(..total)?.iter().map(|byte| byte.map(|(byte, _)| byte)).collect();
        if whole.is_some() {
            *self = Self { of_several: self.of_several, ..Self::default() };
        }
        whole
    }
}
