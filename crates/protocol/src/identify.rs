//! Identification of protocols by the first bytes.

use packet::Timestamp;

use crate::parser::Pending;
use crate::registry::{Registry, StreamProtocol};
use crate::side::{Ports, Side};

/// Bytes of a side that wait for a decision. The longest beginning that a protocol needs is that of
/// a request line with a long target.
const WAITING: usize = 16 << 10;
/// Bytes of a side that are searched for a beginning if the first ones were not captured.
const SEARCHED: u64 = 4 << 20;
/// Pieces that wait. Small pieces cost more than their bytes.
const PIECES: usize = 512;
/// Protocols that a registry is searched for: one bit each.
const PROTOCOLS: usize = 64;

/// The first bytes of both sides of a conversation.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Prefix<'a> {
    /// The initiator's.
    pub initiator: &'a [u8],
    /// The responder's.
    pub responder: &'a [u8],
    /// `true` if these are the first bytes that the two sides sent. Otherwise something before them
    /// was not captured, and a message may begin anywhere in them or not at all.
    pub anchored: bool,
}

/// The judgement of a protocol about the beginning of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The conversation is one of this protocol.
    Yes,
    /// It is not, whatever follows.
    No,
    /// More bytes are needed. A session stops asking after 16 KiB of a side.
    More,
}

impl<'a> Prefix<'a> {
    /// Creates the prefix of a conversation that was captured from its beginning.
    #[must_use]
    pub const fn new(initiator: &'a [u8], responder: &'a [u8]) -> Self {
        Self { initiator, responder, anchored: true }
    }

    /// The same bytes, as a part from the middle of a conversation.
    #[must_use]
    pub const fn midway(mut self) -> Self {
        self.anchored = false;
        self
    }

    /// A side's bytes.
    #[must_use]
    pub const fn side(&self, side: Side) -> &'a [u8] {
        match side {
            Side::Initiator => self.initiator,
            Side::Responder => self.responder,
        }
    }
}

/// A conversation whose protocol is not known yet.
#[derive(Debug, Default)]
pub(crate) struct Identification {
    /// By side.
    bytes: [Vec<u8>; 2],
    pieces: Vec<Piece>,
    midway: bool,
    /// Bits of the protocols that said no.
    excluded: u64,
    /// Bytes that were searched and given up.
    searched: u64,
}

#[derive(Debug)]
enum Piece {
    Data(Side, Timestamp, usize),
    Gap(Side, Timestamp, u64),
    Finish(Side, Timestamp),
}

/// The outcome of a step.
#[derive(Debug)]
pub(crate) enum Outcome<'a> {
    /// It is not known yet.
    Undecided,
    /// It is this.
    Found(&'a StreamProtocol),
    /// No protocol fits.
    Unknown,
}

impl Identification {
    pub(crate) fn new(midway: bool) -> Self {
        Self { midway, ..Self::default() }
    }

    pub(crate) fn data<'a>(
        &mut self,
        side: Side,
        time: Timestamp,
        bytes: &[u8],
        registry: &'a Registry,
        ports: Ports,
    ) -> Outcome<'a> {
        // The usual case: the first piece decides, and nothing has to be kept.
        if self.pieces.is_empty() {
            let prefix = match side {
                Side::Initiator => Prefix::new(bytes, &[]),
                Side::Responder => Prefix::new(&[], bytes),
            };
            match self.decide(prefix, registry, ports) {
                Outcome::Undecided => {}
                decided => return decided,
            }
        }
        // A piece may be larger than what waits; a midway search goes through all of it.
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.pieces.len() >= PIECES && !self.drop_pieces() {
                return Outcome::Unknown;
            }
            if self.room(side) == 0 && !self.make_room(side) {
                return Outcome::Unknown;
            }
            let room = self.room(side);
            let (now, later) = rest.split_at(rest.len().min(room));
            self.keep(side, time, now);
            rest = later;
            let bytes = std::mem::take(&mut self.bytes);
            let outcome = self.decide(Prefix::new(&bytes[0], &bytes[1]), registry, ports);
            self.bytes = bytes;
            match outcome {
                Outcome::Undecided => {}
                Outcome::Found(found) => {
                    if !rest.is_empty() {
                        self.keep(side, time, rest);
                    }
                    return Outcome::Found(found);
                }
                Outcome::Unknown => return Outcome::Unknown,
            }
        }
        Outcome::Undecided
    }

    /// Skips missing bytes. Returns `false` if nothing can be found any more.
    pub(crate) fn gap(&mut self, side: Side, time: Timestamp, len: u64) -> bool {
        self.midway = true;
        self.excluded = 0;
        if self.pieces.len() >= PIECES && !self.drop_pieces() {
            return false;
        }
        // What is before the gap and what is behind it must not be read as one.
        self.drop_bytes(side);
        self.pieces.push(Piece::Gap(side, time, len));
        true
    }

    pub(crate) fn finish(&mut self, side: Side, time: Timestamp) {
        // At most one for each side: no limit is needed.
        self.pieces.push(Piece::Finish(side, time));
    }

    /// Returns everything that waited, in the order in which it came.
    pub(crate) fn into_pending(self) -> Vec<Pending> {
        let mut used = [0; 2];
        let mut pending = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            pending.push(match *piece {
                Piece::Data(side, time, len) => {
                    let from = used[side as usize];
                    used[side as usize] = from + len;
                    Pending::Data(side, time, self.bytes[side as usize][from..from + len].to_vec())
                }
                Piece::Gap(side, time, len) => Pending::Gap(side, time, len),
                Piece::Finish(side, time) => Pending::Finish(side, time),
            });
        }
        pending
    }

    pub(crate) fn memory(&self) -> usize {
        let bytes: usize = self.bytes.iter().map(Vec::capacity).sum();
        bytes + self.pieces.capacity() * size_of::<Piece>()
    }

    fn decide<'a>(
        &mut self,
        mut prefix: Prefix<'_>,
        registry: &'a Registry,
        ports: Ports,
    ) -> Outcome<'a> {
        prefix.anchored = !self.midway;
        let (mut found, mut undecided): (Option<&StreamProtocol>, _) = (None, false);
        for (index, protocol) in registry.streams().iter().take(PROTOCOLS).enumerate() {
            if self.excluded & 1 << index != 0 {
                continue;
            }
            match protocol.probe(&prefix) {
                Verdict::Yes => {
                    let better = found.is_none_or(|found| {
                        !ports.match_any(found.ports()) && ports.match_any(protocol.ports())
                    });
                    if better {
                        found = Some(protocol);
                    }
                }
                // In the middle of a stream the next bytes may be a beginning.
                Verdict::No if self.midway => undecided = true,
                Verdict::No => self.excluded |= 1 << index,
                Verdict::More => undecided = true,
            }
        }
        match (found, undecided) {
            (Some(found), _) => Outcome::Found(found),
            (None, true) => Outcome::Undecided,
            (None, false) => Outcome::Unknown,
        }
    }

    fn room(&self, side: Side) -> usize {
        WAITING.saturating_sub(self.bytes[side as usize].len())
    }

    fn keep(&mut self, side: Side, time: Timestamp, bytes: &[u8]) {
        self.bytes[side as usize].extend_from_slice(bytes);
        // Of many small pieces in a row the later ones lose their own time: a beginning that is
        // typed byte by byte must still be recognized.
        let crowded = self.pieces.len() >= PIECES / 2;
        match self.pieces.last_mut() {
            Some(Piece::Data(of, at, len)) if *of == side && (crowded || *at == time) => {
                *len += bytes.len();
            }
            _ => self.pieces.push(Piece::Data(side, time, bytes.len())),
        }
    }

    /// Drops the older half of a side's bytes, which were searched in vain. Returns `false` at the
    /// limit, or if the beginning is there and fits no protocol.
    ///
    /// Of this side alone: while only the other side's pieces are the older ones, dropping by age
    /// would never make room.
    fn make_room(&mut self, side: Side) -> bool {
        if !self.midway {
            return false;
        }
        let bytes = &mut self.bytes[side as usize];
        let dropped = bytes.len().div_ceil(2);
        bytes.drain(..dropped);
        let mut rest = dropped;
        self.pieces.retain_mut(|piece| {
            let Piece::Data(of, _, len) = piece else { return true };
            let cut = if *of == side { rest.min(*len) } else { 0 };
            rest -= cut;
            *len -= cut;
            *len > 0
        });
        self.searched += dropped as u64;
        self.searched <= SEARCHED
    }

    /// Drops the older half of the pieces, which were searched in vain, and merges what it keeps of
    /// them. Returns `false` at the limit, or if the beginning is there and fits no protocol.
    fn drop_pieces(&mut self) -> bool {
        if !self.midway {
            return false;
        }
        let half = self.pieces.len().div_ceil(2);
        let mut dropped = [0; 2];
        let mut times = [Timestamp::default(); 2];
        let mut kept = Vec::new();
        for piece in self.pieces.drain(..half) {
            match piece {
                Piece::Data(side, time, len) => {
                    dropped[side as usize] += len;
                    times[side as usize] = time;
                }
                Piece::Gap(..) => {}
                // A parser has to know it, whatever was dropped.
                Piece::Finish(..) => kept.push(piece),
            }
        }
        for side in [Side::Initiator, Side::Responder] {
            let (bytes, len) = (&mut self.bytes[side as usize], dropped[side as usize]);
            // If nothing else is left, a message may begin at the end of what is dropped.
            let tail = if len == bytes.len() { len.min(WAITING / 4) } else { 0 };
            bytes.drain(..len - tail);
            if tail > 0 {
                kept.push(Piece::Data(side, times[side as usize], tail));
            }
            self.searched += (len - tail) as u64;
        }
        self.pieces.splice(..0, kept);
        self.searched <= SEARCHED
    }

    fn drop_bytes(&mut self, side: Side) {
        self.bytes[side as usize].clear();
        self.pieces.retain(|piece| !matches!(piece, Piece::Data(of, ..) if *of == side));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static NOTHING: [u8; WAITING + 1] = [0xee; WAITING + 1];

    fn data(state: &mut Identification, side: Side, bytes: &[u8]) -> bool {
        let (time, registry) = (Timestamp::default(), Registry::default());
        matches!(state.data(side, time, bytes, &registry, Ports::default()), Outcome::Undecided)
    }

    #[test]
    fn a_full_side_makes_room_though_older_pieces_are_of_the_other() {
        for first in [1, WAITING / 4, WAITING] {
            let mut state = Identification::new(true);
            assert!(data(&mut state, Side::Initiator, &NOTHING[..first]));
            state.finish(Side::Initiator, Timestamp::default());
            assert!(data(&mut state, Side::Responder, &NOTHING));
            assert_eq!(state.bytes[0].len(), first, "the other side keeps its bytes");
            // Everything that waits is in a piece.
            for side in [Side::Initiator, Side::Responder] {
                let lengths = state.pieces.iter().map(|piece| match piece {
                    Piece::Data(of, _, len) if *of == side => *len,
                    _ => 0,
                });
                assert_eq!(lengths.sum::<usize>(), state.bytes[side as usize].len());
            }
        }
    }

    #[test]
    fn a_search_in_vain_ends() {
        let mut state = Identification::new(true);
        data(&mut state, Side::Initiator, &NOTHING[..1]);
        let rounds = 2 * SEARCHED as usize / WAITING;
        let last = (0..rounds).find(|_| !data(&mut state, Side::Responder, &NOTHING));
        assert!(last.is_some_and(|round| round >= rounds / 2 - 1), "{last:?}");
        assert!(state.memory() < 8 * WAITING, "{}", state.memory());
    }
}
