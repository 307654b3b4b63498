//! IP fragments joined to the datagrams that they were cut from (RFC 791, section 3.2; RFC 8200, section 4.5).

mod assembly;
mod compressed;
mod recent;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use self::assembly::{Assembly, Outcome, Piece};
use self::recent::Recent;
use crate::{Fragment, Scope, Timestamp};

/// Joins the fragments of IP datagrams.
///
/// Time comes in with the fragments. Memory is bounded by [`DefragmentOptions`], whatever comes in; so is the work for a
/// fragment: logarithmic in the pieces of its datagram, plus what it overlaps, which is no more than its length. A
/// fragment that is whole (IPv6, RFC 6946) never comes here, and one that the capture cut is refused by the parser.
///
/// # Examples
///
/// ```
/// use flow::{Defragmenter, LinkType, Packet, Parsed, Parser, Timestamp};
///
/// let first = [
///     0x45, 0, 0, 28, 0, 9, 0x20, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // 0 to 8, more to come
///     0x30, 0x39, 0, 9, 0, 12, 0, 0,
/// ];
/// let last = [
///     0x45, 0, 0, 24, 0, 9, 0, 1, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // 8 to 12
///     b'd', b'a', b't', b'a',
/// ];
/// let (parser, mut defragmenter) = (Parser::default(), Defragmenter::default());
/// let mut payload = Vec::new();
/// for frame in [&last[..], &first[..]] {
///     let packet = Packet::new(frame, Timestamp::from_nanos(0), LinkType::IPV4);
///     let Ok(Parsed::Fragment(fragment)) = parser.parse(&packet) else { unreachable!() };
///     if let Some(datagram) = defragmenter.push(&fragment, frame, packet.timestamp)
///         && let Ok(Parsed::Transport(headers)) =
///             parser.parse_datagram(datagram, fragment.scope, fragment.layers)
///     {
///         payload.extend_from_slice(&datagram[headers.payload_offset as usize..]);
///     }
/// }
/// assert_eq!(payload, b"data");
/// ```
#[derive(Debug)]
pub struct Defragmenter {
    options: DefragmentOptions,
    datagrams: HashMap<Key, Assembly, ahash::RandomState>,
    /// Every datagram of the map once, and some that are gone, by the time of the first fragment.
    by_age: VecDeque<Started>,
    /// Tells a datagram from an earlier one with the same key.
    next_generation: u64,
    /// What the datagrams of the map hold.
    bytes: usize,
    recent: Recent,
    /// The datagram that was joined last.
    output: Vec<u8>,
    statistics: DefragmentStatistics,
}

impl Defragmenter {
    /// A defragmenter with these limits.
    #[must_use]
    pub fn new(options: DefragmentOptions) -> Self {
        Self {
            options,
            datagrams: HashMap::default(),
            by_age: VecDeque::new(),
            next_generation: 0,
            bytes: 0,
            recent: Recent::default(),
            output: Vec::new(),
            statistics: DefragmentStatistics::default(),
        }
    }

    /// Takes a fragment; gives the datagram, from its rebuilt IP header on, if this was the last one missing. A compressed
    /// datagram is given as it was before, if it is no more than 64 times as long.
    ///
    /// `frame` are the bytes that `fragment` was parsed from. The datagram holds until the next call: one that is itself
    /// within a fragment (of a tunnel) has to be copied before that fragment is pushed.
    pub fn push(&mut self, fragment: &Fragment, frame: &[u8], now: Timestamp) -> Option<&[u8]> {
        self.push_for(fragment, frame, now, self.options.overlap)
    }

    /// The same for a receiver that treats overlaps in its own way.
    pub(crate) fn push_for(
        &mut self,
        fragment: &Fragment,
        frame: &[u8],
        now: Timestamp,
        overlap: FragmentOverlap,
    ) -> Option<&[u8]> {
        self.statistics.fragments += 1;
        self.advance(now);
        let Some(piece) = Piece::of(fragment, frame) else {
            self.statistics.malformed += 1;
            self.statistics.abandoned += 1;
            return None;
        };
        if fragment.compressed {
            if !compressed::expand(&piece, &mut self.output) {
                self.statistics.malformed += 1;
                self.statistics.abandoned += 1;
                return None;
            }
            self.statistics.expanded += 1;
            return Some(&self.output);
        }
        let key = Key::of(fragment);
        let hash = self.datagrams.hasher().hash_one((&key, piece.start, piece.bytes));
        if !self.datagrams.contains_key(&key) {
            if self.recent.contains(hash, now) {
                self.statistics.duplicates += 1;
                return None;
            }
            self.start(key, now);
        }
        let assembly = self.datagrams.get_mut(&key)?;
        let before = assembly.cost();
        let overlap = match overlap {
            FragmentOverlap::RejectPartial => overlap,
            _ if key.source.is_ipv6() => FragmentOverlap::Reject,
            _ => overlap,
        };
        let outcome = assembly.insert(&piece, hash, overlap);
        self.bytes = self.bytes + assembly.cost() - before;
        match outcome {
            Outcome::Kept => {}
            Outcome::Conflict => self.statistics.conflicts += 1,
            Outcome::Duplicate => self.statistics.duplicates += 1,
            Outcome::Malformed => self.statistics.malformed += 1,
            Outcome::TooLong => self.statistics.too_long += 1,
            Outcome::Overlap => self.statistics.overlapping += 1,
            Outcome::Discarded => self.statistics.discarded += 1,
        }
        if assembly.is_whole() {
            let assembly = self.remove(&key)?;
            self.statistics.datagrams += 1;
            self.recent.add(&assembly.hashes, now);
            assembly.write(&mut self.output);
            return Some(&self.output);
        }
        self.shrink_to(self.options.max_datagrams, self.options.max_bytes);
        None
    }

    /// Gives up datagrams whose time is over. Called by [`push`](Self::push); only needed where no fragments come.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some(started) = self.by_age.front() {
            if now.saturating_duration_since(started.at) < self.options.timeout {
                break;
            }
            if self.give_up_oldest() {
                self.statistics.expired += 1;
            }
        }
    }

    /// Gives up all datagrams that are waited for: no more fragments will come.
    pub fn finish(&mut self) {
        while !self.by_age.is_empty() {
            if self.give_up_oldest() {
                self.statistics.expired += 1;
            }
        }
    }

    /// Datagrams of which pieces are missing.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.datagrams.len()
    }

    /// Bytes held for them, everything included.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.bytes
    }

    /// Totals since the start.
    #[must_use]
    pub fn statistics(&self) -> &DefragmentStatistics {
        &self.statistics
    }

    fn start(&mut self, key: Key, now: Timestamp) {
        self.shrink_to(self.options.max_datagrams.max(1) - 1, self.options.max_bytes);
        // Joined datagrams leave their entries behind: sweep them out once they are the greater part.
        if self.by_age.len() > 2 * self.datagrams.len() + 64 {
            let datagrams = &self.datagrams;
            self.by_age.retain(|started| started.is_in(datagrams));
        }
        let generation = self.next_generation;
        self.next_generation += 1;
        let assembly = Assembly::new(generation);
        self.bytes += assembly.cost();
        self.datagrams.insert(key, assembly);
        self.by_age.push_back(Started { at: now, key, generation });
    }

    fn shrink_to(&mut self, datagrams: usize, bytes: usize) {
        while self.datagrams.len() > datagrams || self.bytes > bytes {
            if self.by_age.is_empty() {
                return;
            }
            if self.give_up_oldest() {
                self.statistics.evicted += 1;
            }
        }
    }

    /// Takes the oldest entry off the queue; whether its datagram was still waited for.
    fn give_up_oldest(&mut self) -> bool {
        let Some(started) = self.by_age.pop_front() else { return false };
        if !started.is_in(&self.datagrams) {
            return false;
        }
        let Some(assembly) = self.remove(&started.key) else { return false };
        self.statistics.abandoned += assembly.fragments;
        if assembly.has_first() {
            self.statistics.abandoned_first += 1;
        }
        !assembly.is_rejected()
    }

    fn remove(&mut self, key: &Key) -> Option<Assembly> {
        let assembly = self.datagrams.remove(key)?;
        self.bytes -= assembly.cost();
        Some(assembly)
    }
}

impl Default for Defragmenter {
    fn default() -> Self {
        Self::new(DefragmentOptions::default())
    }
}

/// The limits of a [`Defragmenter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefragmentOptions {
    /// Datagrams waited for at a time; the oldest gives way. 4,096 by default.
    pub max_datagrams: usize,
    /// Bytes held at a time, everything included; the oldest datagram gives way. While a fragment is placed, one
    /// datagram's worth more. 16 MiB by default.
    pub max_bytes: usize,
    /// How long a datagram is waited for from its first fragment on. 30 s by default, as in Linux.
    pub timeout: Duration,
    /// Whose bytes count where IPv4 fragments overlap.
    pub overlap: FragmentOverlap,
}

impl Default for DefragmentOptions {
    fn default() -> Self {
        Self {
            max_datagrams: 4096,
            max_bytes: 16 << 20,
            timeout: Duration::from_secs(30),
            overlap: FragmentOverlap::default(),
        }
    }
}

/// Whose bytes count where IPv4 fragments overlap (Novak, "Target-Based Fragmentation Reassembly", 2005). Overlapping
/// IPv6 fragments make their datagram void (RFC 5722).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FragmentOverlap {
    /// Those that came first: Windows before version 10, HP-UX.
    #[default]
    First,
    /// Those that came last: Cisco routers.
    Last,
    /// The earlier fragment's where it starts at or before the later one: BSD, AIX.
    Bsd,
    /// The later fragment's where the earlier one starts at or before it: printers, some embedded systems.
    BsdRight,
    /// The earlier fragment's where it starts before the later one: Linux before 4.20.
    Linux,
    /// Nobody's, the datagram is dropped: Windows since version 10.
    Reject,
    /// The earlier fragments' if they have all bytes of the later one; else the datagram is dropped: Linux since 4.20. It
    /// compares no bytes, so a fragment with other bytes counts as a copy, in IPv6 as well.
    RejectPartial,
}

/// Totals of a [`Defragmenter`]. Every fragment that is counted in none of the reasons was put to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefragmentStatistics {
    /// Fragments that came in.
    pub fragments: u64,
    /// Datagrams that were joined.
    pub datagrams: u64,
    /// Compressed datagrams that were expanded.
    pub expanded: u64,
    /// Fragments that brought nothing new, also those of a datagram joined a moment before.
    pub duplicates: u64,
    /// Fragments with other bytes than an earlier one had in the same place.
    pub conflicts: u64,
    /// Fragments without payload, or with an end that does not fit to the datagram's other fragments, and what could not
    /// be expanded.
    pub malformed: u64,
    /// Datagrams made void because they would be longer than IP allows.
    pub too_long: u64,
    /// Datagrams made void because fragments overlap.
    pub overlapping: u64,
    /// Fragments of datagrams that had been made void.
    pub discarded: u64,
    /// Datagrams whose missing fragments did not come in time.
    pub expired: u64,
    /// Datagrams that had to make room.
    pub evicted: u64,
    /// Fragments that never became part of a datagram: all that came for datagrams that were given up or void, and those
    /// that were malformed.
    pub abandoned: u64,
    /// Those of the expired and evicted whose first fragment, with the ports, was there.
    pub abandoned_first: u64,
}

/// What the fragments of a datagram have in common. IPv6 leaves the protocol out (RFC 8200, section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    protocol: u8,
    scope: Scope,
}

impl Key {
    fn of(fragment: &Fragment) -> Self {
        Self {
            source: fragment.source,
            destination: fragment.destination,
            identification: fragment.identification,
            protocol: if fragment.source.is_ipv4() { fragment.protocol } else { 0 },
            scope: fragment.scope,
        }
    }
}

/// When a datagram's first fragment came.
#[derive(Debug)]
struct Started {
    at: Timestamp,
    key: Key,
    generation: u64,
}

impl Started {
    fn is_in(&self, datagrams: &HashMap<Key, Assembly, ahash::RandomState>) -> bool {
        datagrams.get(&self.key).is_some_and(|assembly| assembly.generation == self.generation)
    }
}
