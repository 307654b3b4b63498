//! The fragments that share an identification. Usually they belong to one datagram; to several if
//! it was reused.

use std::collections::BTreeMap;
use std::time::Duration;

use super::FragmentOverlap;
use super::kept::{self, Kept};
use super::piece::{Header, IPV6_HEADER_LEN, Piece};
use crate::{Checksum, Timestamp};

/// Fragments, and their positions in a datagram's payload.
///
/// The overlap policy is applied to each fragment when it arrives. The result is the datagram,
/// unless there is evidence that the fragments belong to several datagrams. For that case, the
/// first [`MAX_KEPT`] fragments are also kept as they arrived.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) generation: u64,
    /// The time at which the datagram, or at least its oldest fragments, are dropped.
    pub(super) deadline: Timestamp,
    /// Fragments that are part of no datagram so far, without copies.
    pub(super) fragments: u64,
    /// `true` if the datagram is void. Only its key is kept, so that later fragments do not form a
    /// datagram.
    rejected: bool,
    /// `true` if fragments contradict each other, or the checksum shows that they belong to several
    /// datagrams.
    contested: bool,
    /// `true` if contradicting fragments begin at different offsets. Datagrams of one sender are
    /// split at the same offsets, so this is an attack that shows different data to different hosts
    /// (Ptacek and Newsham, 1998). The overlap policy then determines the data of the receiver.
    misaligned: bool,
    /// Arrival of the oldest fragment.
    pub(super) began: Timestamp,
    /// The fragments as they arrived, in this order.
    kept: Vec<Kept>,
    /// `true` if `kept` is not complete.
    overflowed: bool,
    /// The number of bytes that may still be read in search of a datagram.
    budget: usize,
    header: Option<Header>,
    /// The bytes by offset in the payload, without overlaps.
    pieces: BTreeMap<u32, Stored>,
    /// The bytes of the fragments, in order of arrival.
    arena: Vec<u8>,
    /// The number of payload bytes that have arrived.
    covered: u32,
    /// The length of the payload, once the last fragment has arrived.
    total: Option<u32>,
    /// The hash of each fragment, and the number of a packet that carried it.
    carriers: Vec<(u64, u64)>,
}

/// The result of adding a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It had new bytes.
    Kept,
    /// It had new bytes or won an overlap, and contradicts an earlier one.
    Conflict,
    /// It had arrived before.
    Duplicate,
    /// It contradicts the length of the datagram.
    Malformed,
    /// It would make the datagram longer than IP allows, so the datagram is void.
    TooLong,
    /// It overlaps another one, so by the policy the datagram is void.
    Overlap,
    /// The datagram was already void.
    Discarded,
}

/// The result of looking for a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// No datagram yet.
    Nothing,
    /// The fragments look like a datagram, but this checksum speaks against it.
    Refuted(Checksum),
    /// All fragments together form a datagram.
    All(Checksum),
    /// The fragments of this row form a datagram.
    Row(Vec<usize>),
}

/// The evidence that is required for a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// `true` if a wrong checksum shows that fragments belong to several datagrams.
    pub(super) checksums: bool,
    /// The maximum time between the fragments of a datagram without a checksum.
    pub(super) unverified: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    end: u32,
    /// The position in the arena.
    at: u32,
    /// The start of the fragment that contained these bytes.
    origin: u32,
}

/// The maximum length of an IPv4 packet, and of the payload of an IPv6 packet.
const MAX_LEN: u32 = 65_535;
/// The maximum number of fragments kept as they arrived. The longest datagram has that many with an
/// MTU of 1,050 bytes.
const MAX_KEPT: usize = 64;
/// The maximum number of rows to try for one new fragment.
const ATTEMPTS: usize = 32;
/// The maximum number of bytes to read in search of a datagram among contradicting fragments.
/// Without it, an attacker could make each fragment cost as much as 32 whole datagrams. When it is
/// used up, the datagram is void.
const BUDGET: usize = 4 << 20;

impl Assembly {
    pub(super) fn new(generation: u64, deadline: Timestamp) -> Self {
        Self {
            generation,
            deadline,
            fragments: 0,
            rejected: false,
            contested: false,
            misaligned: false,
            began: deadline,
            kept: Vec::new(),
            overflowed: false,
            budget: BUDGET,
            header: None,
            pieces: BTreeMap::new(),
            arena: Vec::new(),
            covered: 0,
            total: None,
            carriers: Vec::new(),
        }
    }

    pub(super) fn insert(
        &mut self,
        piece: &Piece<'_>,
        hash: u64,
        overlap: FragmentOverlap,
        now: Timestamp,
    ) -> Outcome {
        if self.fragments == 0 {
            self.began = now;
        }
        let before_payload = if piece.fragment.source.is_ipv4() {
            piece.fragment.header_len
        } else {
            piece.fragment.header_len - IPV6_HEADER_LEN
        };
        let outcome = if self.rejected {
            Outcome::Discarded
        } else if piece.end().saturating_add(before_payload) > MAX_LEN {
            // The "ping of death": hosts without this check wrote past their reassembly buffer.
            self.reject();
            Outcome::TooLong
        } else {
            self.add(piece, hash, overlap, now)
        };
        self.fragments += u64::from(outcome != Outcome::Duplicate);
        outcome
    }

    /// Notes the packets that carried a fragment, up to a number for the whole datagram.
    pub(super) fn carry(&mut self, hash: u64, carriers: &mut Vec<u64>, limit: usize) {
        let free = limit.saturating_sub(self.carriers.len()).min(carriers.len());
        self.carriers.extend(carriers.drain(..free).map(|number| (hash, number)));
    }

    /// Removes the numbers of the packets that carried certain fragments, by their hashes.
    pub(super) fn release(&mut self, which: impl Fn(u64) -> bool) -> impl Iterator<Item = u64> {
        self.carriers.extract_if(.., move |(hash, _)| which(*hash)).map(|(_, number)| number)
    }

    /// The same for fragments that are no longer kept.
    pub(super) fn release_dropped(&mut self) -> impl Iterator<Item = u64> {
        let kept: Vec<u64> = self.hashes().collect();
        self.release(move |hash| !kept.contains(&hash))
    }

    /// Looks for a datagram that contains the newest fragment, and writes it to `output`.
    pub(super) fn whole(
        &mut self,
        rules: Rules,
        now: Timestamp,
        output: &mut Vec<u8>,
        verify: impl Fn(&[u8]) -> Checksum,
    ) -> Whole {
        let verify = |datagram: &[u8]| match verify(datagram) {
            Checksum::Invalid if !rules.checksums => Checksum::Unknown,
            checksum => checksum,
        };
        let by_policy = !self.contested || self.misaligned || self.overflowed;
        let mut refuted = None;
        if by_policy && self.header.is_some() && self.total == Some(self.covered) {
            if !self.pay(self.covered) {
                return Whole::Nothing;
            }
            self.write(output);
            let checksum = verify(output);
            let in_time = now.saturating_duration_since(self.began) <= rules.unverified;
            match checksum {
                // Misaligned fragments are an attack, not a reused identification, so the overlap
                // policy stands: the receiver joins them in this way even if the checksum is wrong.
                Checksum::Invalid if !self.misaligned => {}
                // Without a checksum nothing but time tells two datagrams of one identification
                // apart.
                Checksum::Unknown if !in_time || (self.contested && !self.misaligned) => {}
                _ => return Whole::All(checksum),
            }
            refuted = Some(checksum);
            // There is nothing else to try, because no two fragments compete for a position.
            if !std::mem::replace(&mut self.contested, true) {
                return Whole::Refuted(checksum);
            }
        }
        if !self.contested || self.overflowed {
            return refuted.map_or(Whole::Nothing, Whole::Refuted);
        }
        let mut found = None;
        let mut budget = Some(self.budget);
        kept::rows(&self.kept, ATTEMPTS, |row| {
            let len = row.last().map_or(0, |at| self.kept[*at].end as usize);
            budget = budget.and_then(|budget| budget.checked_sub(len));
            if budget.is_none() {
                return true;
            }
            self.write_row(row, output);
            let checksum = verify(output);
            let holds = match checksum {
                Checksum::Invalid => false,
                Checksum::Unknown => self.stands_apart(row, rules, now),
                _ => true,
            };
            if holds {
                found = Some(row.to_vec());
            } else {
                refuted = Some(checksum);
            }
            holds
        });
        match budget {
            Some(budget) => self.budget = budget,
            None => self.reject(),
        }
        match (found, refuted) {
            (Some(row), _) => Whole::Row(row),
            // The row's checksum is wrong because it mixes datagrams, so it must not count against
            // checksums in general.
            (None, Some(_)) => Whole::Refuted(Checksum::Unknown),
            (None, None) => Whole::Nothing,
        }
    }

    /// Removes the fragments that form a datagram, and calls `joined` with the hash of each.
    /// Returns `false` if none are left.
    pub(super) fn take(&mut self, row: &[usize], mut joined: impl FnMut(u64)) -> bool {
        row.iter().for_each(|at| joined(self.kept[*at].hash));
        self.retain(|at, _| !row.contains(&at))
    }

    /// Drops the fragments that arrived at or before this time. Returns their number. Returns
    /// `None` and changes nothing if none would be left.
    pub(super) fn expire(&mut self, by: Timestamp) -> Option<u64> {
        let stays = |one: &Kept| one.arrived > by;
        if self.rejected || self.overflowed || !self.kept.iter().any(stays) {
            return None;
        }
        let all = self.fragments;
        self.retain(|_, one| stays(one));
        Some(all.saturating_sub(self.fragments))
    }

    pub(super) fn hashes(&self) -> impl Iterator<Item = u64> {
        self.kept.iter().map(|one| one.hash)
    }

    pub(super) const fn is_rejected(&self) -> bool {
        self.rejected
    }

    pub(super) const fn has_first(&self) -> bool {
        self.header.is_some()
    }

    /// The memory in use, in bytes.
    pub(super) fn cost(&self) -> usize {
        // The nodes of a B-tree are at least half full.
        const PIECE: usize = 2 * (size_of::<u32>() + size_of::<Stored>() + size_of::<usize>());
        const ENTRY: usize = 2 * size_of::<Assembly>() + 192;
        let headers = self.kept.iter().filter_map(|one| one.header.as_ref()).chain(&self.header);
        let headers: usize = headers.map(|header| header.bytes.capacity()).sum();
        let kept = self.kept.capacity() * size_of::<Kept>();
        // Capacities, not lengths: the limit is one of memory.
        let carriers = self.carriers.capacity() * size_of::<(u64, u64)>();
        ENTRY + headers + kept + carriers + self.arena.capacity() + self.pieces.len() * PIECE
    }

    fn reject(&mut self) {
        *self = Self {
            rejected: true,
            fragments: self.fragments,
            began: self.began,
            carriers: std::mem::take(&mut self.carriers),
            ..Self::new(self.generation, self.deadline)
        };
    }

    /// Takes bytes from the budget. If it is used up, makes the datagram void and returns `false`.
    fn pay(&mut self, len: u32) -> bool {
        let rest = self.budget.checked_sub(len as usize);
        match rest {
            Some(rest) => self.budget = rest,
            None => self.reject(),
        }
        rest.is_some()
    }

    /// Rebuilds the assembly from the fragments that stay. Returns `false` if there are none.
    fn retain(&mut self, mut stays: impl FnMut(usize, &Kept) -> bool) -> bool {
        // Still contested: what was left behind by a reuse is not joined on the strength of its
        // positions alone.
        let mut rest = Self {
            contested: true,
            carriers: std::mem::take(&mut self.carriers),
            ..Self::new(self.generation, self.deadline)
        };
        for (at, one) in self.kept.iter().enumerate() {
            if stays(at, one) {
                rest.again(one, &self.arena[one.at as usize..][..one.len()]);
            }
        }
        *self = rest;
        self.fragments > 0
    }

    /// Adds a fragment that was kept before. Its earlier outcome no longer matters.
    fn again(&mut self, one: &Kept, bytes: &[u8]) {
        self.fragments += 1;
        self.began = self.began.min(one.arrived);
        let at = self.remember(bytes);
        let free = |(_, old): (&u32, &Stored)| old.end <= one.start;
        if self.fits(one.end, one.more) && self.pieces.range(..one.end).next_back().is_none_or(free)
        {
            if !one.more {
                self.total = Some(one.end);
            }
            if self.header.is_none() {
                self.header.clone_from(&one.header);
            }
            self.store(one.start, one.end, at, one.start, false);
        }
        self.kept.push(Kept { at, ..one.clone() });
    }

    /// Writes the datagram according to the policy, as if it had never been fragmented.
    fn write(&self, output: &mut Vec<u8>) {
        let Some(header) = &self.header else { return };
        output.clear();
        output.extend_from_slice(&header.bytes);
        for (start, stored) in &self.pieces {
            output.extend_from_slice(self.bytes(*start, *stored));
        }
        header.complete(output);
    }

    fn write_row(&self, row: &[usize], output: &mut Vec<u8>) {
        let first = row.first().and_then(|at| self.kept[*at].header.as_ref());
        let Some(header) = first else { return };
        output.clear();
        output.extend_from_slice(&header.bytes);
        for one in row.iter().map(|at| &self.kept[*at]) {
            output.extend_from_slice(&self.arena[one.at as usize..][..one.len()]);
        }
        header.complete(output);
    }

    /// Returns `true` if the fragments of a row arrived so close to each other, and so far from all
    /// others, that they belong to one datagram. Needed for datagrams without a checksum.
    fn stands_apart(&self, row: &[usize], rules: Rules, now: Timestamp) -> bool {
        const LEAST: Duration = Duration::from_millis(5);
        let first = row.iter().map(|at| self.kept[*at].arrived).min().unwrap_or(now);
        let span = now.saturating_duration_since(first);
        let mut others = self.kept.iter().enumerate().filter(|(at, _)| !row.contains(at));
        span <= rules.unverified
            && others.all(|(_, other)| {
                // Fragments of a datagram leave the sender back to back, so the pause before them
                // is longer than they take by far, even after queues have spread them.
                first.saturating_duration_since(other.arrived) > (span * 8).max(LEAST)
            })
    }

    fn bytes(&self, start: u32, stored: Stored) -> &[u8] {
        &self.arena[stored.at as usize..][..(stored.end - start) as usize]
    }

    /// Returns `true` if a fragment with this end is consistent with the known length of the
    /// datagram.
    fn fits(&self, end: u32, more: bool) -> bool {
        match self.total {
            Some(total) if more => end <= total,
            Some(total) => end == total,
            None => more || self.pieces.last_key_value().is_none_or(|(_, last)| end >= last.end),
        }
    }

    fn add(
        &mut self,
        piece: &Piece<'_>,
        hash: u64,
        overlap: FragmentOverlap,
        now: Timestamp,
    ) -> Outcome {
        let (start, end, more) = (piece.start, piece.end(), piece.fragment.more);
        let arena = &self.arena;
        let copy = self.kept.iter_mut().find(|one| {
            one.start == start
                && one.end == end
                && one.more == more
                && arena.get(one.at as usize..).is_some_and(|bytes| bytes.starts_with(piece.bytes))
        });
        if let Some(copy) = copy {
            // It may as well belong to the next datagram with this identification, so the latest
            // arrival counts.
            copy.arrived = now;
            let at = copy.at;
            // A copy changes nothing under policies that keep the earlier bytes.
            if !overlap.keeps_first() && self.fits(end, more) {
                self.place(piece, at, overlap);
            }
            return Outcome::Duplicate;
        }
        if !self.fits(end, more) {
            self.contested = true;
            // A second end, or bytes beyond the end. Either it is forged, or the identification was
            // used again for a datagram of another length, so it is kept for that one.
            if overlap == FragmentOverlap::Reject {
                self.reject();
            } else {
                self.keep(piece, hash, now);
                self.compact();
            }
            return Outcome::Malformed;
        }
        if !more {
            self.total = Some(end);
        }
        // RFC 791, section 3.2: the header of a datagram is that of its first fragment.
        if start == 0 && self.header.is_none() {
            self.header = Some(Header::of(piece));
        }
        let (taken, conflict) = self.compare(start, piece.bytes);
        if taken > 0 && overlap == FragmentOverlap::Reject {
            // A copy of a fragment that is no longer among those kept.
            if taken == end - start && !conflict && self.overflowed {
                return Outcome::Duplicate;
            }
            self.reject();
            return Outcome::Overlap;
        }
        // A duplicate overlaps completely. Linux treats a partial overlap as an attack
        // (`inet_frag_queue_insert` in net/ipv4/inet_fragment.c).
        if overlap == FragmentOverlap::RejectPartial && taken > 0 && taken < end - start {
            self.reject();
            return Outcome::Overlap;
        }
        let duplicate = taken == end - start && !conflict;
        if duplicate && overlap.ignores_starts() {
            return Outcome::Duplicate;
        }
        if conflict {
            self.contested = true;
            // Fragments of two datagrams of one sender begin at the same offsets, since both were
            // cut for the same MTU. Different offsets are made on purpose.
            let crosses = |one: &Kept| one.start < end && start < one.end && one.start != start;
            self.misaligned |= self.kept.iter().any(crosses);
        }
        let at = self.keep(piece, hash, now);
        self.place(piece, at, overlap);
        self.compact();
        match (conflict, duplicate) {
            (true, _) => Outcome::Conflict,
            (false, true) => Outcome::Duplicate,
            (false, false) => Outcome::Kept,
        }
    }

    /// Stores a fragment as it arrived. Returns its position in the arena.
    fn keep(&mut self, piece: &Piece<'_>, hash: u64, now: Timestamp) -> u32 {
        let at = self.remember(piece.bytes);
        if self.kept.len() >= MAX_KEPT {
            // Beyond this only the policy's result is there, and no row can be searched any more.
            self.overflowed = true;
        } else if !self.overflowed {
            self.kept.push(Kept {
                start: piece.start,
                end: piece.end(),
                more: piece.fragment.more,
                at,
                arrived: now,
                hash,
                header: (piece.start == 0).then(|| Header::of(piece)),
            });
        }
        at
    }

    fn remember(&mut self, bytes: &[u8]) -> u32 {
        let at = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        at
    }

    /// The stored ranges that overlap this one, with their starts.
    fn overlapped(&self, start: u32, end: u32) -> Vec<(u32, Stored)> {
        let first = match self.pieces.range(..=start).next_back() {
            Some((at, stored)) if stored.end > start => *at,
            _ => start,
        };
        self.pieces.range(first..end).map(|(at, stored)| (*at, *stored)).collect()
    }

    /// The number of bytes of a fragment that are already present. Also returns `true` if some of
    /// them differ.
    fn compare(&self, start: u32, bytes: &[u8]) -> (u32, bool) {
        let end = start + bytes.len() as u32;
        let (mut taken, mut conflict) = (0, false);
        for (at, stored) in self.overlapped(start, end) {
            let (from, to) = (at.max(start), stored.end.min(end));
            taken += to - from;
            let old = &self.bytes(at, stored)[(from - at) as usize..(to - at) as usize];
            conflict |= old != &bytes[(from - start) as usize..(to - start) as usize];
        }
        (taken, conflict)
    }

    /// Applies the policy to a fragment whose bytes are already in the arena.
    fn place(&mut self, piece: &Piece<'_>, in_arena: u32, overlap: FragmentOverlap) {
        let (start, end) = (piece.start, piece.end());
        let merge = overlap.ignores_starts();
        let mut from = start;
        for (at, stored) in self.overlapped(start, end) {
            if overlap.keeps_old(stored.origin, start) {
                if at > from {
                    self.store(from, at, in_arena + (from - start), start, merge);
                }
                from = stored.end.max(from);
            } else {
                self.pieces.remove(&at);
                self.covered -= stored.end.min(end) - at.max(start);
                if at < start {
                    self.pieces.insert(at, Stored { end: start, ..stored });
                }
                if stored.end > end {
                    self.pieces.insert(end, Stored { at: stored.at + (end - at), ..stored });
                }
            }
        }
        if from < end {
            self.store(from, end, in_arena + (from - start), start, merge);
        }
    }

    /// Stores a range that is still free. Extends the previous range if the bytes are contiguous in
    /// the arena and `merge` allows it.
    fn store(&mut self, start: u32, end: u32, at: u32, origin: u32, merge: bool) {
        self.covered += end - start;
        if merge
            && let Some((before, stored)) = self.pieces.range_mut(..start).next_back()
            && stored.end == start
            && stored.at + (stored.end - before) == at
        {
            stored.end = end;
            return;
        }
        self.pieces.insert(start, Stored { end, at, origin });
    }

    /// Drops bytes that lost an overlap, once there are many.
    fn compact(&mut self) {
        const SLACK: usize = 128 << 10;
        // Copying at twice the size makes the cost of all copies together linear in what arrived.
        if self.arena.len() <= 2 * self.covered as usize + SLACK {
            return;
        }
        let mut arena = Vec::with_capacity(self.covered as usize);
        for (start, stored) in &mut self.pieces {
            let at = arena.len() as u32;
            let len = (stored.end - start) as usize;
            arena.extend_from_slice(&self.arena[stored.at as usize..][..len]);
            stored.at = at;
        }
        self.arena = arena;
        self.kept = Vec::new();
        self.overflowed = true;
    }
}
