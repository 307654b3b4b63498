//! One JSON object a direction.

use std::fmt::Write as _;

use conversation::Chunk;
use flow::{FiveTupleKey, FlowRecord, FlowSide};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::copies::{Copies, fingerprint};
use super::view::{MALLOC, Talk, View};
use crate::names;
use crate::output::Output;

/// Digests the two directions of a conversation, and prints them at its end.
#[derive(Debug)]
pub(super) struct Digest {
    talk: Talk,
    output: Output,
    copies: Copies,
    initiator: Direction,
    responder: Direction,
    /// By side: the sequence number of the first byte, once the conversation has ended.
    first: [Option<u32>; 2],
}

/// The line that is printed of one direction.
#[derive(Debug, Serialize)]
struct Line {
    src: String,
    dst: String,
    /// The VLANs and tunnels that this direction was captured in.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// Bytes delivered, those of gaps not counted.
    len: u64,
    /// Of the bytes delivered, in stream order.
    sha256: String,
    /// Offset (earlier gaps counted) and length of each hole.
    gaps: Vec<(u64, u64)>,
    /// Bytes that came late, that have no place, and ranges of which two versions came: only where
    /// there are any.
    #[serde(skip_serializing_if = "is_none")]
    late: u64,
    #[serde(skip_serializing_if = "is_none")]
    unplaced: u64,
    #[serde(skip_serializing_if = "is_none")]
    conflicts: u64,
    /// Gaps whose length is an estimate.
    #[serde(skip_serializing_if = "is_none")]
    estimated: u64,
}

/// Small while little was said: a command may follow a million conversations at once.
#[derive(Debug, Default)]
struct Direction {
    hash: Hash,
    len: u64,
    faults: Option<Box<Faults>>,
}

/// The hash of the bytes so far.
#[derive(Debug)]
enum Hash {
    /// The bytes themselves, of which there are at most [`SHORT`].
    Short(Box<[u8]>),
    Long(Box<Sha256>),
}

/// The number of bytes that take less memory than the state of their hash.
const SHORT: usize = 96;

/// Whatever most directions do not have.
#[derive(Debug, Default)]
struct Faults {
    gaps: Vec<(u64, u64)>,
    late: u64,
    unplaced: u64,
    conflicts: u64,
    estimated: u64,
}

impl Digest {
    pub(super) fn new(talk: Talk, output: Output, copies: Copies) -> Self {
        let (initiator, responder) = (Direction::default(), Direction::default());
        Self { talk, output, copies, initiator, responder, first: [None; 2] }
    }

    fn faults(&mut self, side: FlowSide) -> &mut Faults {
        let direction = match side {
            FlowSide::Initiator => &mut self.initiator,
            FlowSide::Responder => &mut self.responder,
        };
        direction.faults.get_or_insert_default()
    }

    fn closed(&mut self, record: &FlowRecord<FiveTupleKey>) {
        self.talk.learn(record);
        self.first = [record.initiator.first_sequence, record.responder.first_sequence];
    }
}

impl View for Digest {
    fn chunk(&mut self, chunk: &Chunk) {
        match chunk {
            Chunk::Initiator(data) => self.initiator.data(data),
            Chunk::Responder(data) => self.responder.data(data),
            Chunk::Gap { side, offset, len, estimated, .. } => {
                let faults = self.faults(*side);
                faults.gap(*offset, *len);
                faults.estimated += u64::from(*estimated);
            }
            Chunk::Late { side, data, .. } => self.faults(*side).late += data.len() as u64,
            Chunk::Unplaced { side, data, .. } => self.faults(*side).unplaced += data.len() as u64,
            Chunk::Conflict { side, .. } => self.faults(*side).conflicts += 1,
            Chunk::Closed { record, .. } => self.closed(record),
            _ => {}
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.initiator.heap() + self.responder.heap()
    }

    fn end(self: Box<Self>) {
        let Self { talk, output, copies, initiator, responder, first } = *self;
        let sides = [(FlowSide::Initiator, initiator), (FlowSide::Responder, responder)];
        let lines: Vec<_> = sides
            .into_iter()
            .filter(|(_, direction)| direction.has_something())
            .map(|(side, direction)| (first[side as usize], direction.line(&talk, side)))
            .collect();
        if !lines.is_empty()
            && lines.iter().all(|(first, _)| first.is_some())
            && copies.has(identity(&lines), talk.scope)
        {
            return;
        }
        for (_, line) in lines {
            output.write(|writer| {
                serde_json::to_writer(&mut *writer, &line)?;
                writer.write_all(b"\n")
            });
        }
    }
}

/// The hash of all that a conversation and its copy have in common. The side that counts as the
/// initiator may differ.
fn identity(lines: &[(Option<u32>, Line)]) -> [u8; 16] {
    let mut parts: Vec<String> = lines
        .iter()
        .map(|(first, line)| {
            let Line {
                src,
                dst,
                scope: _,
                len,
                sha256,
                gaps,
                late,
                unplaced,
                conflicts,
                estimated: _,
            } = line;
            let wrong = (late, unplaced, conflicts);
            format!("{src} {dst} {first:?} {len} {sha256} {gaps:?} {wrong:?}")
        })
        .collect();
    parts.sort_unstable();
    fingerprint(parts)
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
pub(super) fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Direction {
    /// `true` if any byte of it was captured.
    fn has_something(&self) -> bool {
        let came = |faults: &Faults| faults.late > 0 || faults.unplaced > 0;
        self.len > 0 || self.faults.as_deref().is_some_and(came)
    }

    /// The memory that it takes elsewhere.
    fn heap(&self) -> usize {
        let faults = self.faults.as_ref().map_or(0, |faults| {
            size_of::<Faults>() + MALLOC + faults.gaps.capacity() * size_of::<(u64, u64)>()
        });
        let hash = match &self.hash {
            Hash::Short(bytes) => bytes.len(),
            Hash::Long(_) => size_of::<Sha256>(),
        };
        faults + hash + MALLOC
    }

    fn data(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
    }

    fn line(self, talk: &Talk, side: FlowSide) -> Line {
        let mut sha256 = String::with_capacity(64);
        let Faults { gaps, late, unplaced, conflicts, estimated } =
            self.faults.map(|faults| *faults).unwrap_or_default();
        for byte in self.hash.finish() {
            let _ = write!(sha256, "{byte:02x}");
        }
        let (src, dst) = talk.ends(side);
        Line {
            src: src.to_string(),
            dst: dst.to_string(),
            scope: names::scope(talk.scope_of(side)),
            len: self.len,
            sha256,
            gaps,
            late,
            unplaced,
            conflicts,
            estimated,
        }
    }
}

impl Faults {
    fn gap(&mut self, offset: u64, len: u64) {
        match self.gaps.last_mut() {
            Some((start, before)) if *start + *before == offset => *before += len,
            _ => self.gaps.push((offset, len)),
        }
    }
}

impl Hash {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Short(before) if before.len() + bytes.len() <= SHORT => {
                *before = [&**before, bytes].concat().into();
            }
            Self::Short(before) => {
                let mut hash = Box::<Sha256>::default();
                hash.update(before);
                hash.update(bytes);
                *self = Self::Long(hash);
            }
            Self::Long(hash) => hash.update(bytes),
        }
    }

    fn finish(self) -> [u8; 32] {
        match self {
            Self::Short(bytes) => Sha256::digest(bytes),
            Self::Long(hash) => hash.finalize(),
        }
        .into()
    }
}

impl Default for Hash {
    fn default() -> Self {
        Self::Short(Box::default())
    }
}
