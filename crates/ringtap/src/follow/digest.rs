//! One JSON object a direction.

use std::fmt::Write as _;

use conversation::Chunk;
use flow::{Endpoint, FlowSide};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::view::{Talk, View};
use crate::output::Output;

/// Digests the two directions of a conversation, and prints them at its end.
#[derive(Debug)]
pub(super) struct Digest {
    talk: Talk,
    output: Output,
    initiator: Direction,
    responder: Direction,
}

/// What is printed of one direction.
#[derive(Debug, Serialize)]
struct Line {
    src: String,
    dst: String,
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
}

impl Digest {
    pub(super) fn new(talk: Talk, output: Output) -> Self {
        Self { talk, output, initiator: Direction::default(), responder: Direction::default() }
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
            _ => {}
        }
    }

    fn end(self: Box<Self>) {
        let Self { talk, output, initiator, responder } = *self;
        initiator.print(talk.initiator, talk.responder, &output);
        responder.print(talk.responder, talk.initiator, &output);
    }
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

    fn print(self, src: Endpoint, dst: Endpoint, output: &Output) {
        if self.len == 0 {
            return;
        }
        let mut sha256 = String::with_capacity(64);
        for byte in self.hash.finalize() {
            let _ = write!(sha256, "{byte:02x}");
        }
        let line = Line {
            src: src.to_string(),
            dst: dst.to_string(),
            len: self.len,
            sha256,
            gaps: self.gaps,
        };
        output.write(|writer| {
            serde_json::to_writer(&mut *writer, &line)?;
            writer.write_all(b"\n")
        });
    }
}
