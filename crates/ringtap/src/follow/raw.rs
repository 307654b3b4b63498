//! The bytes alone.

use conversation::Chunk;

use super::runs::{Notice, Runs};
use super::view::{Rest, Talk, View};
use crate::output::Output;
use crate::report;

/// Prints the bytes of both sides, in the order in which they came, and nothing else. What is wrong
/// with them is reported on standard error.
#[derive(Debug)]
pub(super) struct Raw {
    talk: Talk,
    output: Output,
    runs: Runs,
}

impl Raw {
    pub(super) fn new(talk: Talk, output: Output, rest: Rest) -> Self {
        Self { talk, output, runs: Runs::new(rest.now) }
    }

    /// Says on standard error what standard output cannot say.
    fn warn(&self, notices: Vec<Notice>) {
        for Notice { side, what, .. } in notices {
            // What was written before is seen before, too, where both go to the same place.
            self.output.flush();
            let (from, to) = self.talk.ends(side);
            report::say(format_args!("conversation {}, {from} > {to}: {what}", self.talk.number));
        }
    }
}

impl View for Raw {
    fn rest(&self) -> Option<(Talk, Rest)> {
        Some((self.talk, Rest { now: self.runs.rest()?, day: 0 }))
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn chunk(&mut self, chunk: &Chunk) {
        let notices = self.runs.chunk(chunk);
        self.warn(notices);
        if let Chunk::Initiator(data) | Chunk::Responder(data) = chunk {
            self.output.write(|w| w.write_all(data));
        }
    }

    fn end(mut self: Box<Self>) {
        let notices = self.runs.end();
        self.warn(notices);
    }
}
