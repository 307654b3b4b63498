//! Packets that were not followed, by cause.

use std::fmt;
use std::ops::AddAssign;

use crate::Unparsed;
use crate::parse::{Name, ip_protocol};

/// Packets that were not followed, counted by cause.
///
/// The number of distinct causes is bounded, because hostile traffic can contain thousands of
/// EtherTypes and protocols. When all entries are in use, a new cause replaces the rarest one,
/// whose packets are then counted as [`other`](Self::other). So frequent causes keep their entry
/// and no packet is missing from the [`total`](Self::total). The count of a cause is exact, or too
/// low by at most `other`.
///
/// # Examples
///
/// ```
/// use flow::{Cause, NotFollowed, Unparsed};
///
/// let mut counts = NotFollowed::default();
/// counts.add(Cause::Unparsed(Unparsed::EtherType(0x88cc)), 1);
/// counts.add(Cause::Unparsed(Unparsed::EtherType(0x0806)), 3);
/// let lines: Vec<_> =
///     counts.iter().map(|(cause, packets)| format!("{packets} {cause}")).collect();
/// assert_eq!(lines, ["3 ARP", "1 EtherType 0x88cc (LLDP)"]);
/// assert_eq!((counts.total(), counts.other()), (4, 0));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NotFollowed {
    /// The first `len` are in use, sorted by cause.
    entries: [(Cause, u64); CAPACITY],
    len: u8,
    other: u64,
}

/// The maximum number of distinct causes.
const CAPACITY: usize = 40;

/// The reason why a packet was not followed. [`Display`](fmt::Display) names it in plain words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The parser found no flow in it.
    Unparsed(Unparsed),
    /// The extractor returned no key for it.
    NoKey,
    /// It is of this IP protocol, which is not TCP. It is followed as a datagram, but belongs to no
    /// stream.
    Protocol(u8),
    /// It is a fragment of a datagram that was never complete, or that was discarded.
    IncompleteDatagram,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unparsed(reason) => reason.fmt(f),
            Self::NoKey => f.write_str("not in any flow that was asked for"),
            Self::Protocol(number) => match (number, ip_protocol(*number)) {
                (1 | 6 | 17 | 58 | 132, name) => f.write_str(name),
                (number, name) => write!(f, "IP protocol {number}{}", Name(name)),
            },
            Self::IncompleteDatagram => f.write_str("fragment of an incomplete datagram"),
        }
    }
}

impl NotFollowed {
    /// Adds packets to the count of a cause.
    pub fn add(&mut self, cause: Cause, packets: u64) {
        let len = usize::from(self.len);
        let place = match self.used().binary_search_by_key(&cause, |(cause, _)| *cause) {
            Ok(at) => {
                self.entries[at].1 += packets;
                return;
            }
            Err(_) if packets == 0 => return,
            Err(place) => place,
        };
        if len < CAPACITY {
            self.entries[place..=len].rotate_right(1);
            self.entries[place] = (cause, packets);
            self.len += 1;
            return;
        }
        let rarest = (0..len).min_by_key(|at| self.entries[*at].1).unwrap_or_default();
        if self.entries[rarest].1 > packets {
            self.other += packets;
            return;
        }
        self.other += self.entries[rarest].1;
        if rarest < place {
            self.entries[rarest..place].rotate_left(1);
            self.entries[place - 1] = (cause, packets);
        } else {
            self.entries[place..=rarest].rotate_right(1);
            self.entries[place] = (cause, packets);
        }
    }

    /// Returns the causes and their packet counts, the most frequent cause first.
    /// [`other`](Self::other) is not included.
    pub fn iter(&self) -> impl Iterator<Item = (Cause, u64)> + use<> {
        let Self { mut entries, len, .. } = *self;
        let len = usize::from(len);
        entries[..len].sort_by_key(|(_, packets)| std::cmp::Reverse(*packets));
        entries.into_iter().take(len)
    }

    /// The number of packets of a cause.
    #[must_use]
    pub fn packets(&self, cause: Cause) -> u64 {
        let used = self.used();
        used.binary_search_by_key(&cause, |(cause, _)| *cause).map_or(0, |at| used[at].1)
    }

    /// The number of packets of causes without an entry of their own.
    #[must_use]
    pub const fn other(&self) -> u64 {
        self.other
    }

    /// The number of all packets.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.used().iter().map(|(_, packets)| packets).sum::<u64>() + self.other
    }

    /// `true` if nothing was counted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0 && self.other == 0
    }

    fn used(&self) -> &[(Cause, u64)] {
        &self.entries[..usize::from(self.len)]
    }
}

impl Default for NotFollowed {
    fn default() -> Self {
        Self { entries: [(Cause::NoKey, 0); CAPACITY], len: 0, other: 0 }
    }
}

impl AddAssign for NotFollowed {
    fn add_assign(&mut self, more: Self) {
        for (cause, packets) in more.used() {
            self.add(*cause, *packets);
        }
        self.other += more.other;
    }
}

impl fmt::Debug for NotFollowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).entry(&"other", &self.other).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinkType;

    fn ether_type(number: u16) -> Cause {
        Cause::Unparsed(Unparsed::EtherType(number))
    }

    #[test]
    fn causes_are_named_in_plain_words() {
        let names = [
            (ether_type(0x0806), "ARP"),
            (ether_type(0x1234), "EtherType 0x1234"),
            (
                Cause::Unparsed(Unparsed::UnsupportedLinkType(LinkType(189))),
                "link type 189 (USB on Linux)",
            ),
            (Cause::Unparsed(Unparsed::UnsupportedLinkType(LinkType(9999))), "link type 9999"),
            (Cause::Unparsed(Unparsed::Llc(0x42)), "LLC frame to 0x42 (spanning tree)"),
            (
                Cause::Unparsed(Unparsed::Snap { organisation: [0, 0, 12], protocol: 0x2000 }),
                "SNAP protocol 00:00:0c 0x2000 (CDP)",
            ),
            (Cause::Protocol(17), "UDP"),
            (Cause::Protocol(50), "IP protocol 50 (ESP)"),
            (Cause::Protocol(200), "IP protocol 200"),
        ];
        for (cause, name) in names {
            assert_eq!(cause.to_string(), name);
        }
    }

    #[test]
    fn frequent_causes_outlast_any_number_of_rare_ones() {
        let mut counts = NotFollowed::default();
        for number in 0..u16::MAX {
            counts.add(ether_type(number | 1), 1);
            counts.add(ether_type(0x0806), 1);
            counts.add(Cause::NoKey, 2);
        }
        assert_eq!(counts.total(), 4 * u64::from(u16::MAX));
        assert_eq!(counts.packets(ether_type(0x0806)), u64::from(u16::MAX));
        assert_eq!(counts.iter().next(), Some((Cause::NoKey, 2 * u64::from(u16::MAX))));
        assert_eq!(counts.iter().count(), CAPACITY);
        assert!(counts.other() > 0);
    }

    proptest::proptest! {
        #[test]
        fn counts_are_those_of_a_map(added: Vec<(u8, u8)>, split: u8) {
            // Few enough distinct causes for each to have an entry.
            let added: Vec<_> = added.iter().map(|(cause, n)| (cause % 30, u64::from(*n))).collect();
            let mut expected = std::collections::BTreeMap::new();
            let mut halves = [NotFollowed::default(); 2];
            for (at, (cause, packets)) in added.iter().enumerate() {
                halves[usize::from(at < usize::from(split))].add(ether_type(u16::from(*cause)), *packets);
                *expected.entry(*cause).or_insert(0) += packets;
            }
            expected.retain(|_, packets| *packets > 0);
            let [mut sum, more] = halves;
            sum += more;
            for (cause, packets) in &expected {
                proptest::prop_assert_eq!(sum.packets(ether_type(u16::from(*cause))), *packets);
            }
            proptest::prop_assert_eq!(sum.iter().count(), expected.len());
            proptest::prop_assert_eq!(sum.total(), expected.values().sum::<u64>());
            proptest::prop_assert!(sum.iter().is_sorted_by_key(|(_, packets)| std::cmp::Reverse(packets)));
        }

        #[test]
        fn no_packet_leaves_the_total(added: Vec<(u16, u8)>) {
            let mut counts = NotFollowed::default();
            for (cause, packets) in &added {
                counts.add(ether_type(*cause), u64::from(*packets));
            }
            let sum: u64 = added.iter().map(|(_, packets)| u64::from(*packets)).sum();
            proptest::prop_assert_eq!(counts.total(), sum);
            proptest::prop_assert!(counts.used().is_sorted());
        }
    }
}
