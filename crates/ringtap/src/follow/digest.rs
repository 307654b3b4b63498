//! One JSON object a direction.

use std::fmt::Write as _;

use conversation::Chunk;
use flow::{FiveTupleKey, FlowRecord, FlowSide};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::copies::{Copies, fingerprint};
use super::view::{Talk, View};
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
}

/// What is printed of one direction.
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
}

#[derive(Debug, Default)]
struct Direction {
    hash: Sha256,
    len: u64,
    gaps: Vec<(u64, u64)>,
    /// Sequence number of the first byte.
    first: Option<u32>,
}

impl Digest {
    pub(super) fn new(talk: Talk, output: Output, copies: Copies) -> Self {
        let (initiator, responder) = (Direction::default(), Direction::default());
        Self { talk, output, copies, initiator, responder }
    }

    fn closed(&mut self, record: &FlowRecord<FiveTupleKey>) {
        self.talk.learn(record);
        self.initiator.first = record.initiator.first_sequence;
        self.responder.first = record.responder.first_sequence;
    }
}

impl View for Digest {
    fn chunk(&mut self, chunk: &Chunk) {
        match chunk {
            Chunk::Initiator(data) => self.initiator.data(data),
            Chunk::Responder(data) => self.responder.data(data),
            Chunk::Gap { side: FlowSide::Initiator, offset, len, .. } => {
                self.initiator.gap(*offset, *len);
            }
            Chunk::Gap { side: FlowSide::Responder, offset, len, .. } => {
                self.responder.gap(*offset, *len);
            }
            Chunk::Closed { record, .. } => self.closed(record),
            _ => {}
        }
    }

    fn end(self: Box<Self>) {
        let Self { talk, output, copies, initiator, responder } = *self;
        let first = [initiator.first, responder.first];
        let sides = [(FlowSide::Initiator, initiator), (FlowSide::Responder, responder)];
        let lines: Vec<_> = sides
            .into_iter()
            .filter(|(_, direction)| direction.len > 0)
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

/// What a conversation and its copy have in common. Which side counts as the initiator may differ.
fn identity(lines: &[(Option<u32>, Line)]) -> [u8; 16] {
    let mut parts: Vec<String> = lines
        .iter()
        .map(|(first, line)| {
            let Line { src, dst, sha256, gaps, .. } = line;
            format!("{src} {dst} {first:?} {sha256} {gaps:?}")
        })
        .collect();
    parts.sort_unstable();
    fingerprint(parts)
}

impl Direction {
    fn data(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
    }

    fn gap(&mut self, offset: u64, len: u64) {
        match self.gaps.last_mut() {
            Some((start, before)) if *start + *before == offset => *before += len,
            _ => self.gaps.push((offset, len)),
        }
    }

    fn line(self, talk: &Talk, side: FlowSide) -> Line {
        let mut sha256 = String::with_capacity(64);
        for byte in self.hash.finalize() {
            let _ = write!(sha256, "{byte:02x}");
        }
        let (src, dst) = talk.ends(side);
        Line {
            src: src.to_string(),
            dst: dst.to_string(),
            scope: names::scope(talk.scope_of(side)),
            len: self.len,
            sha256,
            gaps: self.gaps,
        }
    }
}
