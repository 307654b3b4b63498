//! The fragments that have an identification in common: of one datagram as a rule, of several if it was used again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::FragmentOverlap;
use super::kept::{self, Kept};
use super::piece::{Header, IPV6_HEADER_LEN, Piece};
use crate::{Checksum, Timestamp};

/// Fragments, and where in a datagram's payload they belong.
///
/// The overlap policy is applied to each of them as it comes. Its result is the datagram, unless something speaks for
/// fragments of several. Therefore the first [`MAX_KEPT`] fragments are also kept as they came.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) generation: u64,
    /// When it is given up, or at least its oldest fragments.
    pub(super) deadline: Timestamp,
    /// Fragments that came for it and are in no datagram, copies not counted.
    pub(super) fragments: u64,
    /// Void: nothing but its key is kept, so that the rest is not taken for a datagram.
    rejected: bool,
    /// Fragments contradict each other, or the checksum says that they are of several datagrams.
    contested: bool,
    /// Contradicting fragments begin at different places. Those of datagrams that were cut in the same way do not:
    /// somebody wants hosts to see different things, and the overlap policy says what they see.
    misaligned: bool,
    /// When its oldest fragment came.
    pub(super) began: Timestamp,
    /// Fragments as they came, in this order.
    kept: Vec<Kept>,
    /// Not all of them are there.
    overflowed: bool,
    /// Bytes that may still be looked at in search of a datagram.
    budget: usize,
    header: Option<Header>,
    /// By position in the payload; they do not overlap.
    pieces: BTreeMap<u32, Stored>,
    /// The fragments' bytes, in the order in which they came.
    arena: Vec<u8>,
    /// Payload bytes that are there.
    covered: u32,
    /// Length of the payload, once the last fragment came.
    total: Option<u32>,
}

/// What came of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was needed.
    Kept,
    /// The same, and it contradicts an earlier one.
    Conflict,
    /// It was there before.
    Duplicate,
    /// It does not fit to the others.
    Malformed,
    /// It makes the datagram longer than IP allows: void.
    TooLong,
    /// It overlaps another where that makes the datagram void.
    Overlap,
    /// The datagram is void.
    Discarded,
}

/// What the fragments make.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// No datagram yet.
    Nothing,
    /// No datagram, though they look like one, with what its checksum says.
    Refuted(Checksum),
    /// All of them together a datagram.
    All(Checksum),
    /// Those in this row a datagram.
    Row(Vec<usize>),
}

/// What a datagram is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// A wrong checksum shows that fragments are of several datagrams.
    pub(super) checksums: bool,
    /// How far apart the fragments of a datagram may come that has no checksum.
    pub(super) unverified: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    end: u32,
    /// Where in the arena.
    at: u32,
    /// Where the fragment that it came with started.
    origin: u32,
}

/// The most that an IPv4 packet, and the payload of an IPv6 packet, can have.
const MAX_LEN: u32 = 65_535;
/// Fragments kept one by one: as many as the longest datagram has with an MTU of 1,050 bytes.
const MAX_KEPT: usize = 64;
/// Rows of fragments that are tried when one came.
const ATTEMPTS: usize = 32;
/// Bytes that are looked at in search of a datagram among contradicting fragments, before they are void.
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
            self.reject();
            Outcome::TooLong
        } else {
            self.add(piece, hash, overlap, now)
        };
        self.fragments += u64::from(outcome != Outcome::Duplicate);
        outcome
    }

    /// Looks for a datagram of which the newest fragment is a part, and writes it.
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
                // Fragments that lie crosswise are somebody's intent: the policy says what the receiver makes of them.
                Checksum::Invalid if !self.misaligned => {}
                Checksum::Unknown if !in_time || (self.contested && !self.misaligned) => {}
                _ => return Whole::All(checksum),
            }
            refuted = Some(checksum);
            // Nothing else to try: every fragment has its place.
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
            // That there is a row for which the checksum is wrong says nothing about checksums.
            (None, Some(_)) => Whole::Refuted(Checksum::Unknown),
            (None, None) => Whole::Nothing,
        }
    }

    /// Takes fragments out that are a datagram, and shows the hash of each. Returns `false` if none is left.
    pub(super) fn take(&mut self, row: &[usize], mut joined: impl FnMut(u64)) -> bool {
        row.iter().for_each(|at| joined(self.kept[*at].hash));
        self.retain(|at, _| !row.contains(&at))
    }

    /// Drops the fragments that came by this time. Returns how many they were; `None`, with nothing done, if none would be
    /// left.
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

    /// Bytes of memory.
    pub(super) fn cost(&self) -> usize {
        // A tree's nodes are at least half full.
        const PIECE: usize = 2 * (size_of::<u32>() + size_of::<Stored>() + size_of::<usize>());
        const ENTRY: usize = 2 * size_of::<Assembly>() + 192;
        let headers = self.kept.iter().filter_map(|one| one.header.as_ref()).chain(&self.header);
        let headers: usize = headers.map(|header| header.bytes.capacity()).sum();
        let kept = self.kept.capacity() * size_of::<Kept>();
        ENTRY + headers + kept + self.arena.capacity() + self.pieces.len() * PIECE
    }

    fn reject(&mut self) {
        *self = Self {
            rejected: true,
            fragments: self.fragments,
            began: self.began,
            ..Self::new(self.generation, self.deadline)
        };
    }

    /// Takes bytes off the budget; void without any left.
    fn pay(&mut self, len: u32) -> bool {
        let rest = self.budget.checked_sub(len as usize);
        match rest {
            Some(rest) => self.budget = rest,
            None => self.reject(),
        }
        rest.is_some()
    }

    /// Starts afresh with some of the fragments.
    fn retain(&mut self, mut stays: impl FnMut(usize, &Kept) -> bool) -> bool {
        let mut rest = Self { contested: true, ..Self::new(self.generation, self.deadline) };
        for (at, one) in self.kept.iter().enumerate() {
            if stays(at, one) {
                rest.again(one, &self.arena[one.at as usize..][..one.len()]);
            }
        }
        *self = rest;
        self.fragments > 0
    }

    /// Adds a fragment that was kept before. What became of it then does not count any more.
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

    /// Writes the datagram that the policy makes of the fragments, as if it had never been cut.
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

    /// Whether the fragments of a row came so close to each other, and so far from all others, that they are of one
    /// datagram, though it has no checksum to prove it.
    fn stands_apart(&self, row: &[usize], rules: Rules, now: Timestamp) -> bool {
        const LEAST: Duration = Duration::from_millis(5);
        let first = row.iter().map(|at| self.kept[*at].arrived).min().unwrap_or(now);
        let span = now.saturating_duration_since(first);
        let mut others = self.kept.iter().enumerate().filter(|(at, _)| !row.contains(at));
        span <= rules.unverified
            && others.all(|(_, other)| {
                first.saturating_duration_since(other.arrived) > (span * 8).max(LEAST)
            })
    }

    fn bytes(&self, start: u32, stored: Stored) -> &[u8] {
        &self.arena[stored.at as usize..][..(stored.end - start) as usize]
    }

    /// Whether a fragment that ends there agrees with what is known of the datagram's length.
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
            copy.arrived = now;
            let at = copy.at;
            // A copy changes nothing where the first fragments win anyway.
            if !first_wins(overlap) && self.fits(end, more) {
                self.place(piece, at, overlap);
            }
            return Outcome::Duplicate;
        }
        if !self.fits(end, more) {
            self.contested = true;
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
        if start == 0 && self.header.is_none() {
            self.header = Some(Header::of(piece));
        }
        let (taken, conflict) = self.compare(start, piece.bytes);
        if taken > 0 && overlap == FragmentOverlap::Reject {
            // A copy that the fragments kept no longer show.
            if taken == end - start && !conflict && self.overflowed {
                return Outcome::Duplicate;
            }
            self.reject();
            return Outcome::Overlap;
        }
        if overlap == FragmentOverlap::RejectPartial && taken > 0 && taken < end - start {
            self.reject();
            return Outcome::Overlap;
        }
        let duplicate = taken == end - start && !conflict;
        if duplicate && starts_are_irrelevant(overlap) {
            return Outcome::Duplicate;
        }
        if conflict {
            self.contested = true;
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

    /// Keeps a fragment as it came. Returns where in the arena it is.
    fn keep(&mut self, piece: &Piece<'_>, hash: u64, now: Timestamp) -> u32 {
        let at = self.remember(piece.bytes);
        if self.kept.len() >= MAX_KEPT {
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

    /// The pieces that a fragment overlaps, with where they start.
    fn overlapped(&self, start: u32, end: u32) -> Vec<(u32, Stored)> {
        let first = match self.pieces.range(..=start).next_back() {
            Some((at, stored)) if stored.end > start => *at,
            _ => start,
        };
        self.pieces.range(first..end).map(|(at, stored)| (*at, *stored)).collect()
    }

    /// How many bytes of a fragment have their place taken, and whether by others.
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

    /// Puts a fragment, which is in the arena already, in its place, as the policy says.
    fn place(&mut self, piece: &Piece<'_>, in_arena: u32, overlap: FragmentOverlap) {
        let (start, end) = (piece.start, piece.end());
        let merge = starts_are_irrelevant(overlap);
        let mut from = start;
        for (at, stored) in self.overlapped(start, end) {
            if old_wins(overlap, stored.origin, start) {
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

    /// Adds a piece where none is. What comes in order becomes one piece, if it may.
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

    /// Drops bytes that gave way to others, once there are many.
    fn compact(&mut self) {
        const SLACK: usize = 128 << 10;
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

/// Whether the bytes of a fragment that started at `old` stay where a later one that starts at `new` overlaps it.
const fn old_wins(overlap: FragmentOverlap, old: u32, new: u32) -> bool {
    match overlap {
        FragmentOverlap::First | FragmentOverlap::Reject | FragmentOverlap::RejectPartial => true,
        FragmentOverlap::Last => false,
        FragmentOverlap::Bsd => old <= new,
        FragmentOverlap::BsdRight => old > new,
        FragmentOverlap::Linux => old < new,
    }
}

/// Whether it does not matter which fragment brought which bytes.
const fn starts_are_irrelevant(overlap: FragmentOverlap) -> bool {
    matches!(
        overlap,
        FragmentOverlap::First | FragmentOverlap::Last | FragmentOverlap::RejectPartial
    )
}

const fn first_wins(overlap: FragmentOverlap) -> bool {
    matches!(
        overlap,
        FragmentOverlap::First | FragmentOverlap::Reject | FragmentOverlap::RejectPartial
    )
}
