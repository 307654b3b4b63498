//! Joins IP fragments to datagrams (RFC 791, section 3.2; RFC 8200, section 4.5).

mod assembly;
mod compressed;
mod frames;
mod kept;
mod overlap;
mod piece;
mod recent;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use self::assembly::{Assembly, Outcome, Rules, Whole};
use self::frames::{Frames, Joined};
pub use self::overlap::FragmentOverlap;
use self::piece::Piece;
use self::recent::Recent;
use crate::{Checksum, Fragment, FrameFragment, Scope, Timestamp, parse};

/// Joins the fragments of IP datagrams.
///
/// Identifications are reused soon (RFC 4963). If the capture or the network lost some fragments,
/// those with the same identification may belong to different datagrams. The transport checksum
/// decides: fragments are joined only to a datagram for which it is right. Without a checksum,
/// fragments are joined only if nothing else fits in their place, or if they arrived much closer to
/// each other than to the others.
///
/// Time is passed in with the fragments. [`DefragmentOptions`] bounds the memory, whatever arrives.
/// The work for a fragment is bounded too: logarithmic in the number of fragments of its datagram,
/// plus the bytes that it overlaps, at most its own length. Atomic fragments (IPv6, RFC 6946) never
/// get here, and the parser rejects truncated ones.
///
/// # Examples
///
/// ```
/// use flow::{Defragmenter, LinkType, Packet, Parsed, Parser, Timestamp};
///
/// let first = [
///     0x45, 0, 0, 28, 0, 9, 0x20, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // 0 to 8, more
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
///     if let Some(datagram) = defragmenter.push(&fragment, frame, packet.timestamp())
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
    /// The datagrams of the map, ordered by deadline.
    deadlines: BTreeMap<(Timestamp, u64), Key>,
    /// Distinguishes a datagram from an earlier one with the same key.
    next_generation: u64,
    /// The memory that the datagrams of the map use.
    bytes: usize,
    recent: Recent,
    frames: Frames,
    trust: Trust,
    /// The datagram that was joined last.
    output: Vec<u8>,
    /// The numbers of the packets that carried the fragment that is added; afterwards those of the
    /// joined datagram. Empty if the caller does not track packets.
    carriers: Vec<u64>,
    /// Numbers of packets whose fragments were dropped.
    released: Vec<u64>,
    statistics: DefragmentStatistics,
}

/// The maximum number of packets that are noted for a datagram. Copies are noted too, so the
/// number of fragments is no limit.
const CARRIERS: usize = 8192;

impl Defragmenter {
    /// Creates a defragmenter with these limits.
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
            carriers: Vec::new(),
            released: Vec::new(),
            statistics: DefragmentStatistics::default(),
        }
    }

    /// Adds a fragment. If it completes a datagram, returns the datagram, starting with its rebuilt
    /// IP header. A compressed datagram is returned decompressed, unless it would grow to more than
    /// 64 times its length.
    ///
    /// `frame` are the bytes that `fragment` was parsed from. The datagram is valid until the next
    /// call. If it contains another fragment (of a tunnel), copy it before that fragment is pushed.
    pub fn push(&mut self, fragment: &Fragment, frame: &[u8], now: Timestamp) -> Option<&[u8]> {
        self.push_for(fragment, frame, now, self.options.overlap)
    }

    /// Adds a fragment of a link-layer frame. If it completes the frame, returns the frame without
    /// the headers that each fragment repeats. The frame is valid until the next call.
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
        let (output, carriers) = (&mut self.output, &mut self.carriers);
        match self.frames.push(fragment, bytes, now, output, carriers, lost) {
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

    /// Takes the numbers of the packets that carried the next fragment.
    pub(crate) fn carried_by(&mut self, carriers: &mut Vec<u64>) {
        self.carriers.append(carriers);
    }

    /// The numbers of the packets that carried the datagram that was returned last.
    pub(crate) fn carriers(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.carriers)
    }

    /// The numbers of packets that carried no part of a datagram after all.
    pub(crate) fn released(&mut self) -> Vec<u64> {
        self.released.append(&mut self.carriers);
        self.frames.release_into(&mut self.released);
        std::mem::take(&mut self.released)
    }

    /// Does the same as [`push`](Self::push), with the overlap policy of the receiver.
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
        // RFC 3173, section 2: hosts compress before they fragment, so this is a whole datagram.
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
        // The hash is seeded, so nobody can construct fragments that pass for copies of others.
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
        // RFC 5722, section 4: overlapping fragments make an IPv6 datagram void. Linux tolerates
        // those that earlier fragments cover completely, because networks duplicate packets.
        let overlap = match overlap {
            FragmentOverlap::RejectPartial => overlap,
            _ if key.source.is_ipv6() => FragmentOverlap::Reject,
            _ => overlap,
        };
        let outcome = assembly.insert(&piece, hash, overlap, now);
        assembly.carry(hash, &mut self.carriers, CARRIERS);
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
        if void {
            self.released.extend(assembly.release(|_| true));
        }
        self.bytes = self.bytes + assembly.cost() - before;
        match whole {
            Whole::Nothing => {}
            // The fragments stay: the missing one of either datagram may still come.
            Whole::Refuted(checksum) => {
                self.statistics.mismatched += 1;
                self.trust.count(checksum);
            }
            Whole::All(checksum) => {
                let mut assembly = self.remove(&key)?;
                self.carriers.extend(assembly.release(|_| true));
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
        // The key is kept only for late fragments; a reused identification must not be void as
        // well.
        if void && deadline > now + VOID_TIMEOUT {
            self.defer(key, now + VOID_TIMEOUT);
        }
        self.shrink_to(self.options.max_datagrams, self.options.max_bytes);
        None
    }

    /// Drops fragments whose timeout has passed. [`push`](Self::push) calls it, so it is only
    /// needed when no fragments arrive.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some((&(deadline, _), &key)) = self.deadlines.first_key_value() {
            if deadline > now {
                break;
            }
            self.expire(key, now);
        }
        self.statistics.abandoned += self.frames.advance(now);
    }

    /// Drops all incomplete datagrams, because no more fragments will arrive.
    pub fn finish(&mut self) {
        while let Some((_, &key)) = self.deadlines.first_key_value() {
            self.statistics.expired += u64::from(self.give_up(&key));
        }
        self.statistics.abandoned += self.frames.finish();
    }

    /// The number of incomplete datagrams.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.datagrams.len()
    }

    /// The memory in use for them, in bytes, including overhead.
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
        // An attacker can begin any number of datagrams without completing one. So a new one evicts
        // the oldest instead of being refused: genuine datagrams are complete within milliseconds.
        self.shrink_to(self.options.max_datagrams.max(1) - 1, self.options.max_bytes);
        let generation = self.next_generation;
        self.next_generation += 1;
        let assembly = Assembly::new(generation, now + self.timeout(&key));
        self.bytes += assembly.cost();
        self.deadlines.insert((assembly.deadline, generation), key);
        self.datagrams.insert(key, assembly);
    }

    /// Removes the fragments of one datagram from those with the same identification.
    fn take(&mut self, key: Key, row: &[usize], now: Timestamp) {
        let mut hashes = Vec::with_capacity(row.len());
        let Some(assembly) = self.datagrams.get_mut(&key) else { return };
        let before = assembly.cost();
        // The others with this identification belong to another datagram, which goes on waiting.
        let any = assembly.take(row, |hash| hashes.push(hash));
        self.carriers.extend(assembly.release(|hash| hashes.contains(&hash)));
        self.bytes = self.bytes + assembly.cost() - before;
        self.recent.add(hashes, now);
        if any {
            let began = assembly.began;
            self.defer(key, began + self.timeout(&key));
        } else if let Some(mut rest) = self.remove(&key) {
            self.released.extend(rest.release(|_| true));
        }
    }

    /// Drops the fragments of this key whose timeout has passed. A void datagram is dropped as a
    /// whole.
    fn expire(&mut self, key: Key, now: Timestamp) {
        let timeout = self.timeout(&key);
        let Some(assembly) = self.datagrams.get_mut(&key) else { return };
        let (before, had_first) = (assembly.cost(), assembly.has_first());
        // Not the whole key: after a reuse some of its fragments are younger than the deadline.
        let oldest = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let oldest = Timestamp::from_nanos(now.as_nanos().saturating_sub(oldest));
        let Some(dropped) = assembly.expire(oldest) else {
            self.statistics.expired += u64::from(self.give_up(&key));
            return;
        };
        self.released.extend(assembly.release_dropped());
        self.bytes = self.bytes + assembly.cost() - before;
        let (began, has_first) = (assembly.began, assembly.has_first());
        self.statistics.abandoned += dropped;
        self.statistics.expired += 1;
        self.statistics.abandoned_first += u64::from(had_first && !has_first);
        // Always later than now, so that `advance` terminates.
        let deadline = (began + timeout).max(now + Duration::from_nanos(1));
        self.defer(key, deadline);
    }

    /// Moves the deadline of a datagram.
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

    /// Drops a datagram. Returns `true` if it was incomplete and not void.
    fn give_up(&mut self, key: &Key) -> bool {
        let Some(mut assembly) = self.remove(key) else { return false };
        self.released.extend(assembly.release(|_| true));
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

/// The time for which the identification of a void datagram is remembered, because its later
/// fragments are void too (RFC 5722, section 4). It is short because a busy host reuses the
/// identification soon.
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
    /// The maximum number of incomplete datagrams [default: 4,096]. Beyond it, the datagram with
    /// the earliest deadline is evicted.
    pub max_datagrams: usize,
    /// The maximum memory in bytes, including overhead [default: 16 MiB]. Beyond it, the datagram
    /// with the earliest deadline is evicted. While a fragment is added, one more datagram may be
    /// held.
    pub max_bytes: usize,
    /// The time that an IPv4 fragment waits for the rest of its datagram [default: 30 s, as in
    /// Linux]. RFC 1122, section 3.3.2, requires at least 60 s, but RFC 4963 recommends less.
    pub timeout: Duration,
    /// The time that an IPv6 fragment waits for the rest of its datagram [default: 60 s, RFC 8200,
    /// section 4.5].
    pub ipv6_timeout: Duration,
    /// The maximum time between the first and the last fragment of a datagram without a checksum,
    /// such as UDP without one and most tunnels [default: 5 s]. It is short because identifications
    /// are reused soon (RFC 4963, section 2).
    pub unverified_timeout: Duration,
    /// The overlap policy for IPv4 fragments.
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

/// Totals of a [`Defragmenter`]. Fragments that were joined to a datagram are in none of the
/// counters of failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefragmentStatistics {
    /// Fragments that were pushed.
    pub fragments: u64,
    /// Datagrams that were joined.
    pub datagrams: u64,
    /// Compressed datagrams that were expanded.
    pub expanded: u64,
    /// Fragments without new bytes, including those of a datagram that was joined a moment before.
    pub duplicates: u64,
    /// Fragments whose bytes differ from those of an earlier fragment at the same offset.
    pub conflicts: u64,
    /// Fragments without payload, fragments whose end contradicts the datagram's other fragments,
    /// and payloads that could not be decompressed.
    pub malformed: u64,
    /// Times that fragments formed a datagram, but turned out to belong to several: the transport
    /// checksum was wrong, or there was none and other fragments fit as well. The fragments stay
    /// pending.
    pub mismatched: u64,
    /// Datagrams that became void because they would be longer than IP allows.
    pub too_long: u64,
    /// Datagrams that became void because their fragments overlap.
    pub overlapping: u64,
    /// Fragments of datagrams that were already void.
    pub discarded: u64,
    /// Datagrams whose missing fragments did not arrive in time.
    pub expired: u64,
    /// Datagrams that were evicted.
    pub evicted: u64,
    /// Fragments that never became part of a datagram: those of dropped and void datagrams, and
    /// malformed ones.
    pub abandoned: u64,
    /// Expired and evicted datagrams whose first fragment, which has the ports, had arrived.
    pub abandoned_first: u64,
}

/// The fields that the fragments of a datagram share. IPv6 does not include the protocol (RFC 8200,
/// section 4.5).
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
            // RFC 791 counts the protocol to the fields that identify a datagram.
            protocol: if fragment.source.is_ipv4() { fragment.protocol } else { 0 },
            scope: fragment.scope,
        }
    }
}

/// Tracks if the checksums of joined datagrams can be trusted. In captures with rewritten addresses
/// they are always wrong, because the rewriting tools cannot correct a checksum that covers several
/// packets.
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

    /// Returns `false` if nearly all checksums were wrong.
    const fn holds(&self) -> bool {
        const ENOUGH: u64 = 4;
        // A few wrong ones prove nothing, since reused identifications and damage cause them too.
        self.invalid < ENOUGH || self.valid >= self.invalid / ENOUGH
    }
}
