//! The bytes alone.

use conversation::Chunk;
use flow::FlowSide;

use super::late::{LateRun, LateRuns};
use super::view::{Talk, View};
use crate::names::{self, bytes};
use crate::output::Output;
use crate::report;

/// Prints the bytes of both sides, in the order in which they came, and nothing else. What is missing among them is reported
/// on standard error.
#[derive(Debug)]
pub(super) struct Raw {
    talk: Talk,
    output: Output,
    late: LateRuns,
}

impl Raw {
    pub(super) fn new(talk: Talk, output: Output) -> Self {
        Self { talk, output, late: LateRuns::default() }
    }

    fn data(&mut self, side: FlowSide, data: &[u8]) {
        self.flush_late(side);
        self.output.write(|w| w.write_all(data));
    }

    /// Says on standard error what standard output cannot say.
    fn report(&self, side: FlowSide, what: std::fmt::Arguments<'_>) {
        let (from, to) = self.talk.ends(side);
        // What was written before the gap is seen before it, too, where both go to the same place.
        self.output.flush();
        report::say(format_args!("conversation {}, {from} > {to}: {what}", self.talk.number));
    }

    fn late(&self, side: FlowSide, run: Option<LateRun>) {
        if let Some(run) = run {
            self.report(side, format_args!("{run}; they are left out"));
        }
    }

    fn flush_late(&mut self, side: FlowSide) {
        let run = self.late.take(side);
        self.late(side, run);
    }
}

impl View for Raw {
    fn chunk(&mut self, chunk: &Chunk) {
        match chunk {
            Chunk::Initiator(data) => self.data(FlowSide::Initiator, data),
            Chunk::Responder(data) => self.data(FlowSide::Responder, data),
            Chunk::Gap { side, offset, len, cause, .. } => {
                let (len, why) = (bytes(*len), names::gap_in_words(*cause));
                self.report(*side, format_args!("{len} missing at {offset}: {why}"));
            }
            Chunk::Late { side, data, .. } => {
                let before = self.late.add(*side, data);
                self.late(*side, before);
            }
            Chunk::Overrun { side, offset, .. } => {
                self.report(*side, format_args!("given up at {offset}: the output is too slow"));
            }
            _ => {}
        }
    }

    fn end(mut self: Box<Self>) {
        self.flush_late(FlowSide::Initiator);
        self.flush_late(FlowSide::Responder);
    }
}
