//! IP fragments joined to the datagrams that they were cut from (RFC 791, section 3.2; RFC 8200, section 4.5).

mod assembly;
mod compressed;
mod frames;
mod kept;
mod piece;
mod recent;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use self::assembly::{Assembly, Outcome, Rules, Whole};
use self::frames::{Frames, Joined};
use self::piece::Piece;
use self::recent::Recent;
use crate::{Checksum, Fragment, FrameFragment, Scope, Timestamp, parse};

/// Joins the fragments of IP datagrams.
///
/// Identifications are used again soon (RFC 4963), so fragments with the same one may be of different datagrams if the
/// capture, or the network, lost some. The transport checksum decides: fragments are joined to the datagram for which it is
/// right, and to none if there is no such datagram. Where there is no checksum, fragments are joined only if nothing else
/// fits in their place, or if they came much closer to each other than to the others.
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
    /// Every datagram of the map, by when it is given up.
    deadlines: BTreeMap<(Timestamp, u64), Key>,
    /// Tells a datagram from an earlier one with the same key.
    next_generation: u64,
    /// What the datagrams of the map hold.
    bytes: usize,
    recent: Recent,
    frames: Frames,
    trust: Trust,
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
            deadlines: BTreeMap::new(),
            next_generation: 0,
            bytes: 0,
            recent: Recent::default(),
            frames: Frames::default(),
            trust: Trust::default(),
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

    /// Takes a piece of a link-layer frame. Returns the frame, without the headers that each piece repeats, if this was the
    /// last one missing. It holds until the next call.
    pub fn push_frame(
        &mut self,
        fragment: &FrameFragment,
        frame: &[u8],
        now: Timestamp,
    ) -> Option<&[u8]> {
        self.statistics.fragments += 1;
        self.advance(now);
        let (start, len) = (fragment.payload_offset as usize, fragment.payload_len as usize);
        let Some(bytes) = frame.get(start..start + len).filter(|bytes| !bytes.is_empty()) else {
            self.statistics.malformed += 1;
            self.statistics.abandoned += 1;
            return None;
        };
        let lost = &mut self.statistics.abandoned;
        match self.frames.push(fragment, bytes, now, &mut self.output, lost) {
            Joined::Kept => None,
            Joined::Copy => {
                self.statistics.duplicates += 1;
                None
            }
            Joined::Whole => {
                self.statistics.datagrams += 1;
                Some(&self.output)
            }
        }
    }

    /// The same as [`push`](Self::push) for a receiver that treats overlaps in its own way.
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
        if self.recent.contains(hash, now) {
            self.statistics.duplicates += 1;
            return None;
        }
        if !self.datagrams.contains_key(&key) {
            self.start(key, now);
        }
        let assembly = self.datagrams.get_mut(&key)?;
        let before = assembly.cost();
        let overlap = match overlap {
            FragmentOverlap::RejectPartial => overlap,
            _ if key.source.is_ipv6() => FragmentOverlap::Reject,
            _ => overlap,
        };
        let outcome = assembly.insert(&piece, hash, overlap, now);
        match outcome {
            Outcome::Kept => {}
            Outcome::Conflict => self.statistics.conflicts += 1,
            Outcome::Duplicate => self.statistics.duplicates += 1,
            Outcome::Malformed => self.statistics.malformed += 1,
            Outcome::TooLong => self.statistics.too_long += 1,
            Outcome::Overlap => self.statistics.overlapping += 1,
            Outcome::Discarded => self.statistics.discarded += 1,
        }
        let rules =
            Rules { checksums: self.trust.holds(), unverified: self.options.unverified_timeout };
        let whole = assembly.whole(rules, now, &mut self.output, parse::verify);
        let (void, deadline) = (assembly.is_rejected(), assembly.deadline);
        self.bytes = self.bytes + assembly.cost() - before;
        match whole {
            Whole::Nothing => {}
            Whole::Refuted(checksum) => {
                self.statistics.mismatched += 1;
                self.trust.count(checksum);
            }
            Whole::All(checksum) => {
                let assembly = self.remove(&key)?;
                self.statistics.datagrams += 1;
                self.trust.count(checksum);
                self.recent.add(assembly.hashes(), now);
                return Some(&self.output);
            }
            Whole::Row(row) => {
                self.take(key, &row, now);
                self.statistics.datagrams += 1;
                self.trust.count(Checksum::Valid);
                return Some(&self.output);
            }
        }
        if void && deadline > now + VOID_TIMEOUT {
            self.defer(key, now + VOID_TIMEOUT);
        }
        self.shrink_to(self.options.max_datagrams, self.options.max_bytes);
        None
    }

    /// Gives up fragments whose time is over. Called by [`push`](Self::push); only needed where no fragments come.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some((&(deadline, _), &key)) = self.deadlines.first_key_value() {
            if deadline > now {
                break;
            }
            self.expire(key, now);
        }
        self.statistics.abandoned += self.frames.advance(now);
    }

    /// Gives up all datagrams that are waited for: no more fragments will come.
    pub fn finish(&mut self) {
        while let Some((_, &key)) = self.deadlines.first_key_value() {
            self.statistics.expired += u64::from(self.give_up(&key));
        }
        self.statistics.abandoned += self.frames.finish();
    }

    /// Datagrams of which pieces are missing.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.datagrams.len()
    }

    /// Bytes held for them, everything included.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.bytes + self.frames.bytes()
    }

    /// Totals since the start.
    #[must_use]
    pub fn statistics(&self) -> &DefragmentStatistics {
        &self.statistics
    }

    fn start(&mut self, key: Key, now: Timestamp) {
        self.shrink_to(self.options.max_datagrams.max(1) - 1, self.options.max_bytes);
        let generation = self.next_generation;
        self.next_generation += 1;
        let assembly = Assembly::new(generation, now + self.timeout(&key));
        self.bytes += assembly.cost();
        self.deadlines.insert((assembly.deadline, generation), key);
        self.datagrams.insert(key, assembly);
    }

    /// Takes a datagram's fragments out of those with the same identification.
    fn take(&mut self, key: Key, row: &[usize], now: Timestamp) {
        let mut hashes = Vec::with_capacity(row.len());
        let Some(assembly) = self.datagrams.get_mut(&key) else { return };
        let before = assembly.cost();
        let any = assembly.take(row, |hash| hashes.push(hash));
        self.bytes = self.bytes + assembly.cost() - before;
        self.recent.add(hashes, now);
        if any {
            let began = assembly.began;
            self.defer(key, began + self.timeout(&key));
        } else {
            self.remove(&key);
        }
    }

    /// Drops the fragments of this key whose time is over, with a void datagram all.
    fn expire(&mut self, key: Key, now: Timestamp) {
        let timeout = self.timeout(&key);
        let Some(assembly) = self.datagrams.get_mut(&key) else { return };
        let (before, had_first) = (assembly.cost(), assembly.has_first());
        let oldest = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let oldest = Timestamp::from_nanos(now.as_nanos().saturating_sub(oldest));
        let Some(dropped) = assembly.expire(oldest) else {
            self.statistics.expired += u64::from(self.give_up(&key));
            return;
        };
        self.bytes = self.bytes + assembly.cost() - before;
        let (began, has_first) = (assembly.began, assembly.has_first());
        self.statistics.abandoned += dropped;
        self.statistics.expired += 1;
        self.statistics.abandoned_first += u64::from(had_first && !has_first);
        // Later than now in any case, so that this ends.
        let deadline = (began + timeout).max(now + Duration::from_nanos(1));
        self.defer(key, deadline);
    }

    /// Moves the time at which a datagram is given up.
    fn defer(&mut self, key: Key, deadline: Timestamp) {
        let Some(assembly) = self.datagrams.get_mut(&key) else { return };
        self.deadlines.remove(&(assembly.deadline, assembly.generation));
        assembly.deadline = deadline;
        self.deadlines.insert((deadline, assembly.generation), key);
    }

    const fn timeout(&self, key: &Key) -> Duration {
        if key.source.is_ipv4() { self.options.timeout } else { self.options.ipv6_timeout }
    }

    fn shrink_to(&mut self, datagrams: usize, bytes: usize) {
        while self.datagrams.len() > datagrams || self.bytes > bytes {
            let Some((_, &key)) = self.deadlines.first_key_value() else { return };
            self.statistics.evicted += u64::from(self.give_up(&key));
        }
    }

    /// Forgets a datagram. Returns `true` if it was still waited for.
    fn give_up(&mut self, key: &Key) -> bool {
        let Some(assembly) = self.remove(key) else { return false };
        self.statistics.abandoned += assembly.fragments;
        self.statistics.abandoned_first += u64::from(assembly.has_first());
        !assembly.is_rejected()
    }

    fn remove(&mut self, key: &Key) -> Option<Assembly> {
        let assembly = self.datagrams.remove(key)?;
        self.deadlines.remove(&(assembly.deadline, assembly.generation));
        self.bytes -= assembly.cost();
        Some(assembly)
    }
}

/// How long a void datagram's identification is remembered, so that what is still to come of it is not taken for another
/// datagram (RFC 5722, section 4). A busy host uses it again soon.
const VOID_TIMEOUT: Duration = Duration::from_secs(2);

impl Default for Defragmenter {
    fn default() -> Self {
        Self::new(DefragmentOptions::default())
    }
}

/// The limits of a [`Defragmenter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefragmentOptions {
    /// Datagrams waited for at a time; the one that would be given up next gives way. 4,096 by default.
    pub max_datagrams: usize,
    /// Bytes held at a time, everything included; the datagram that would be given up next gives way. While a fragment is placed, one
    /// datagram's worth more. 16 MiB by default.
    pub max_bytes: usize,
    /// How long an IPv4 fragment waits for the rest of its datagram. 30 s by default, as in Linux (RFC 1122, section
    /// 3.3.2, wants 60 s or more, RFC 4963 less).
    pub timeout: Duration,
    /// How long an IPv6 fragment does. 60 s by default (RFC 8200, section 4.5).
    pub ipv6_timeout: Duration,
    /// How far apart the first and the last fragment of a datagram may come that has no checksum to prove that they belong
    /// together: UDP without one, most tunnels. 5 s by default, since identifications repeat soon (RFC 4963, section 2).
    pub unverified_timeout: Duration,
    /// Whose bytes count where IPv4 fragments overlap.
    pub overlap: FragmentOverlap,
}

impl Default for DefragmentOptions {
    fn default() -> Self {
        Self {
            max_datagrams: 4096,
            max_bytes: 16 << 20,
            timeout: Duration::from_secs(30),
            ipv6_timeout: Duration::from_secs(60),
            unverified_timeout: Duration::from_secs(5),
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
    /// Times that fragments seemed to be a datagram, but turned out to be of several: the transport checksum is wrong, or
    /// there is none and others came that fit as well. They go on waiting.
    pub mismatched: u64,
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

/// Whether checksums of joined datagrams mean anything. In captures whose addresses were changed they never do: the
/// tools that change them cannot mend a checksum that covers several packets.
#[derive(Debug, Default)]
struct Trust {
    valid: u64,
    invalid: u64,
}

impl Trust {
    const fn count(&mut self, checksum: Checksum) {
        match checksum {
            Checksum::Valid => self.valid += 1,
            Checksum::Invalid => self.invalid += 1,
            _ => {}
        }
    }

    /// `true` unless nearly all were wrong.
    const fn holds(&self) -> bool {
        const ENOUGH: u64 = 4;
        self.invalid < ENOUGH || self.valid >= self.invalid / ENOUGH
    }
}
