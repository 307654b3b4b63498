//! Conversations for a person to read.
//!
//! Each line about a conversation begins with its number in brackets, each line of its bytes with a mark.

use conversation::{Chunk, ChunkData};
use flow::{FiveTupleKey, FlowRecord, FlowSide, Scope, SideCounters, Timestamp};

use super::colour::Palette;
use super::runs::{Notice, Runs};
use super::view::{Talk, View};
use crate::names::{self, bytes};
use crate::output::Output;
use crate::text::clock::Clock;
use crate::text::payload;

/// How bytes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// As text; what is none is escaped.
    Text,
    /// Offsets, hexadecimal and text.
    Hex,
    /// Not at all.
    None,
}

/// Prints a conversation as it happens.
#[derive(Debug)]
pub(super) struct Printer {
    talk: Talk,
    output: Output,
    bytes: Bytes,
    palette: Palette,
    clock: Clock,
    /// The day that was shown last.
    day: i64,
    /// By side.
    text: [payload::Text; 2],
    runs: Runs,
}

/// Prints that a conversation begins.
pub(super) fn begin(talk: &Talk, output: &Output, clock: &Clock) {
    let Talk { number, started, initiator, responder, scope, .. } = *talk;
    let (moment, scope) = (clock.at(started), names::Within(scope));
    output.write(|w| {
        writeln!(w, "[{number}] {} {initiator} > {responder}{scope} started", moment.dated())
    });
}

impl Printer {
    pub(super) fn new(
        talk: Talk,
        output: Output,
        bytes: Bytes,
        palette: Palette,
        clock: Clock,
    ) -> Self {
        let day = clock.at(talk.started).day();
        let (text, runs) = (Default::default(), Runs::default());
        Self { talk, output, bytes, palette, clock, day, text, runs }
    }

    /// Prints a line: the conversation's number, the time, sender and receiver, and something about them.
    fn line(&mut self, side: FlowSide, time: Timestamp, what: std::fmt::Arguments<'_>) {
        let moment = self.clock.at(time);
        let number = self.talk.number;
        let (from, to) = self.talk.ends(side);
        let same_day = moment.day() == std::mem::replace(&mut self.day, moment.day());
        self.output.write(|w| match same_day {
            true => writeln!(w, "[{number}] {} {from} > {to} {what}", moment.time()),
            false => writeln!(w, "[{number}] {} {from} > {to} {what}", moment.dated()),
        });
    }

    /// Prints what is wrong, a line each.
    fn warn(&mut self, notices: Vec<Notice>) {
        for Notice { side, time, what } in notices {
            self.flush(side);
            let style = self.palette.gap;
            self.line(side, time, format_args!("{style}{what}{style:#}"));
        }
    }

    fn data(&mut self, side: FlowSide, data: &ChunkData) {
        if self.bytes == Bytes::None {
            return;
        }
        let (offset, len, style) =
            (data.offset(), bytes(data.len() as u64), self.palette.side(side));
        self.line(side, data.timestamp(), format_args!("{len} at {offset}"));
        let text = &mut self.text[side as usize];
        self.output.write(|w| match self.bytes {
            Bytes::Hex => payload::hex(w, style, offset, data),
            _ => text.write(w, side, style, offset, data),
        });
    }

    /// Shows the beginning of a character whose rest does not come.
    fn flush(&mut self, side: FlowSide) {
        let (text, style) = (&mut self.text[side as usize], self.palette.side(side));
        self.output.write(|w| text.finish(w, side, style));
    }

    fn closed(&mut self, record: &FlowRecord<FiveTupleKey>) {
        if let Some((side, key)) = record.joined {
            let what = match key.scope {
                Scope::NONE => "this direction was captured outside VLANs and tunnels".to_owned(),
                scope => format!("this direction was captured in {scope}"),
            };
            self.line(side, record.ended, format_args!("{what}"));
        }
        let how = names::end_in_words(record.reason);
        let (sent, received) = (carried(&record.initiator), carried(&record.responder));
        self.line(
            FlowSide::Initiator,
            record.ended,
            format_args!("{how}: {sent} sent, {received} received"),
        );
    }
}

/// Bytes of a stream that were captured, of all there were.
fn carried(side: &SideCounters) -> String {
    let SideCounters { delivered_bytes, gap_bytes, .. } = *side;
    match gap_bytes {
        0 => bytes(delivered_bytes),
        _ => format!("{delivered_bytes} of {}", bytes(delivered_bytes.saturating_add(gap_bytes))),
    }
}

impl View for Printer {
    fn chunk(&mut self, chunk: &Chunk) {
        let notices = self.runs.chunk(chunk);
        self.warn(notices);
        match chunk {
            Chunk::Initiator(data) => self.data(FlowSide::Initiator, data),
            Chunk::Responder(data) => self.data(FlowSide::Responder, data),
            Chunk::Finished { side, .. } => self.flush(*side),
            Chunk::Closed { record, .. } => {
                self.flush(FlowSide::Initiator);
                self.flush(FlowSide::Responder);
                self.closed(record);
            }
            _ => {}
        }
    }

    fn end(mut self: Box<Self>) {
        let notices = self.runs.end();
        self.warn(notices);
        self.flush(FlowSide::Initiator);
        self.flush(FlowSide::Responder);
    }
}
