//! One datagram in the making.

use std::collections::BTreeMap;

use super::FragmentOverlap;
use crate::Fragment;
use crate::checksum;

/// The pieces of a datagram, and where in its payload they belong.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) generation: u64,
    /// Fragments that came for it, whatever became of them.
    pub(super) fragments: u64,
    /// Hashes of the fragments that were put to use.
    pub(super) hashes: Vec<u64>,
    /// Void: nothing but its key is kept, so that the rest is not taken for a datagram.
    rejected: bool,
    header: Option<Header>,
    /// By position in the payload; they do not overlap.
    pieces: BTreeMap<u32, Stored>,
    /// The pieces' bytes, in the order in which they came.
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
    /// It fits to no datagram.
    Malformed,
    /// It makes the datagram longer than IP allows: void.
    TooLong,
    /// It overlaps another where that makes the datagram void.
    Overlap,
    /// The datagram is void.
    Discarded,
}

/// A fragment, checked against its frame.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub(super) start: u32,
    pub(super) bytes: &'a [u8],
    header: &'a [u8],
    fragment: &'a Fragment,
}

/// The header of the first fragment.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) bytes: Vec<u8>,
    is_ipv4: bool,
    /// Position of the field that the fragment header takes up, and what comes there in its place (IPv6).
    next_header_offset: usize,
    protocol: u8,
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
/// The length of an IPv6 header.
const IPV6_HEADER_LEN: u32 = 40;
/// Hashes kept for a datagram.
const MAX_HASHES: usize = 64;

impl<'a> Piece<'a> {
    /// `None` if there is nothing in it, or if it is not in the frame.
    pub(super) fn of(fragment: &'a Fragment, frame: &'a [u8]) -> Option<Self> {
        let slice = |start: u32, len: u32| frame.get(start as usize..)?.get(..len as usize);
        let mut bytes = slice(fragment.payload_offset, fragment.payload_len)?;
        let header = slice(fragment.network_offset, fragment.header_len)?;
        if fragment.more && bytes.len() % 8 != 0 {
            // A host that speaks IPv6 discards it (RFC 8200, section 4.5); in IPv4, the odd bytes are cut off.
            if fragment.source.is_ipv6() {
                return None;
            }
            bytes = &bytes[..bytes.len() / 8 * 8];
        }
        let is_header = if fragment.source.is_ipv4() {
            header.len() >= 20
        } else {
            header.len() >= 40 && (fragment.next_header_offset as usize) < header.len()
        };
        (is_header && !bytes.is_empty()).then_some(Self {
            start: fragment.fragment_offset,
            bytes,
            header,
            fragment,
        })
    }

    fn end(&self) -> u32 {
        self.start.saturating_add(self.bytes.len() as u32)
    }
}

impl Header {
    pub(super) fn of(piece: &Piece<'_>) -> Self {
        Self {
            bytes: piece.header.to_vec(),
            is_ipv4: piece.fragment.source.is_ipv4(),
            next_header_offset: piece.fragment.next_header_offset as usize,
            protocol: piece.fragment.protocol,
        }
    }

    /// Makes the header of a datagram that starts with it fit to the rest.
    pub(super) fn complete(&self, datagram: &mut [u8]) {
        if self.is_ipv4 {
            let len = datagram.len() as u16;
            datagram[2..4].copy_from_slice(&len.to_be_bytes());
            datagram[6..8].fill(0);
            datagram[9] = self.protocol;
            datagram[10..12].fill(0);
            let sum = !checksum::sum(&datagram[..self.bytes.len()]);
            datagram[10..12].copy_from_slice(&sum.to_be_bytes());
        } else {
            let len = (datagram.len() - IPV6_HEADER_LEN as usize) as u16;
            datagram[4..6].copy_from_slice(&len.to_be_bytes());
            datagram[self.next_header_offset] = self.protocol;
        }
    }
}

impl Assembly {
    pub(super) fn new(generation: u64) -> Self {
        Self {
            generation,
            fragments: 0,
            hashes: Vec::new(),
            rejected: false,
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
    ) -> Outcome {
        self.fragments += 1;
        if self.rejected {
            return Outcome::Discarded;
        }
        let before_payload = if piece.fragment.source.is_ipv4() {
            piece.fragment.header_len
        } else {
            piece.fragment.header_len - IPV6_HEADER_LEN
        };
        if piece.end().saturating_add(before_payload) > MAX_LEN {
            self.reject();
            return Outcome::TooLong;
        }
        let last_end = self.pieces.last_key_value().map_or(0, |(_, stored)| stored.end);
        let fits = match self.total {
            Some(total) if piece.fragment.more => piece.end() <= total,
            Some(total) => piece.end() == total,
            None => piece.fragment.more || piece.end() >= last_end,
        };
        if !fits {
            return Outcome::Malformed;
        }
        if !piece.fragment.more {
            self.total = Some(piece.end());
        }
        if piece.start == 0 && self.header.is_none() {
            self.header = Some(Header::of(piece));
        }
        let outcome = self.place(piece.start, piece.bytes, overlap);
        match outcome {
            Outcome::Overlap => self.reject(),
            Outcome::Kept | Outcome::Conflict if self.hashes.len() < MAX_HASHES => {
                self.hashes.push(hash);
            }
            _ => {}
        }
        outcome
    }

    pub(super) fn is_whole(&self) -> bool {
        self.header.is_some() && self.total == Some(self.covered)
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
        const ENTRY: usize = 2 * size_of::<Assembly>() + 128;
        let header = self.header.as_ref().map_or(0, |header| header.bytes.capacity());
        let hashes = self.hashes.capacity() * size_of::<u64>();
        ENTRY + header + hashes + self.arena.capacity() + self.pieces.len() * PIECE
    }

    /// Writes the datagram as if it had never been cut.
    pub(super) fn write(&self, output: &mut Vec<u8>) {
        let Some(header) = &self.header else { return };
        output.clear();
        output.extend_from_slice(&header.bytes);
        for (start, stored) in &self.pieces {
            output.extend_from_slice(self.bytes(*start, *stored));
        }
        header.complete(output);
    }

    fn reject(&mut self) {
        *self = Self { rejected: true, fragments: self.fragments, ..Self::new(self.generation) };
    }

    fn bytes(&self, start: u32, stored: Stored) -> &[u8] {
        &self.arena[stored.at as usize..][..(stored.end - start) as usize]
    }

    fn place(&mut self, start: u32, bytes: &[u8], overlap: FragmentOverlap) -> Outcome {
        let end = start + bytes.len() as u32;
        let first = match self.pieces.range(..=start).next_back() {
            Some((at, stored)) if stored.end > start => *at,
            _ => start,
        };
        let overlapped: Vec<(u32, Stored)> =
            self.pieces.range(first..end).map(|(at, stored)| (*at, *stored)).collect();
        if overlapped.is_empty() {
            self.store(start, start, bytes, overlap);
            return Outcome::Kept;
        }
        // Of `from..to`, what the new fragment has.
        let new = |from: u32, to: u32| &bytes[(from - start) as usize..(to - start) as usize];
        let mut common = 0;
        let mut conflict = false;
        for &(at, stored) in &overlapped {
            let (from, to) = (at.max(start), stored.end.min(end));
            common += to - from;
            let old = &self.bytes(at, stored)[(from - at) as usize..(to - at) as usize];
            conflict |= old != new(from, to);
        }
        if overlap == FragmentOverlap::RejectPartial {
            return match (common == end - start, conflict) {
                (true, true) => Outcome::Conflict,
                (true, false) => Outcome::Duplicate,
                (false, _) => Outcome::Overlap,
            };
        }
        if overlap == FragmentOverlap::Reject {
            let exact = overlapped[0].0 == start && overlapped[0].1.end == end;
            return if exact && !conflict { Outcome::Duplicate } else { Outcome::Overlap };
        }
        let duplicate = common == end - start && !conflict;
        if duplicate && starts_are_irrelevant(overlap) {
            return Outcome::Duplicate;
        }
        let mut from = start;
        for &(at, stored) in &overlapped {
            if old_wins(overlap, stored.origin, start) {
                if at > from {
                    self.store(from, start, new(from, at), overlap);
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
            self.store(from, start, new(from, end), overlap);
        }
        self.compact();
        match (conflict, duplicate) {
            (true, _) => Outcome::Conflict,
            (false, true) => Outcome::Duplicate,
            (false, false) => Outcome::Kept,
        }
    }

    /// Adds a piece where none is.
    fn store(&mut self, start: u32, origin: u32, bytes: &[u8], overlap: FragmentOverlap) {
        let (at, end) = (self.arena.len() as u32, start + bytes.len() as u32);
        self.arena.extend_from_slice(bytes);
        self.covered += end - start;
        // What comes in order becomes one piece.
        if starts_are_irrelevant(overlap)
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
        const SLACK: usize = 64 << 10;
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
    matches!(overlap, FragmentOverlap::First | FragmentOverlap::Last)
}
