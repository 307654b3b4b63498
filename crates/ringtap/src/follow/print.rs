//! Conversations for a person to read.
//!
//! Each line about a conversation begins with its number in brackets, each line of its bytes with a
//! mark.

use std::rc::Rc;

use conversation::{Chunk, ChunkData};
use flow::{FiveTupleKey, FlowRecord, FlowSide, Scope, SideCounters, Timestamp};

use super::colour::Palette;
use super::runs::{Notice, Runs};
use super::view::{Rest, Talk, View};
use crate::names::{self, bytes};
use crate::output::Output;
use crate::text::clock::Clock;
use crate::text::payload::{self, Look};
use crate::text::wrap;

/// The form in which bytes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// As text; anything else is escaped.
    Text,
    /// Offsets, hexadecimal and text.
    Hex,
    /// Not at all.
    None,
}

/// The output on which all conversations are printed, and its form.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) output: Output,
    pub(super) bytes: Bytes,
    pub(super) palette: Palette,
    pub(super) clock: Clock,
}

/// Prints a conversation as it happens.
#[derive(Debug)]
pub(super) struct Printer {
    talk: Talk,
    page: Rc<Page>,
    /// The day that was shown last.
    day: i32,
    /// By side.
    text: [payload::Text; 2],
    runs: Runs,
}

/// Prints that a conversation begins. Returns the state that it is in then.
pub(super) fn begin(talk: &Talk, midway: bool, page: &Page) -> Rest {
    let Page { output, clock, .. } = page;
    let Talk { number, started, initiator, responder, scope, .. } = *talk;
    let (moment, scope) = (clock.at(started), names::Within(scope));
    let how = if midway { "picked up midway" } else { "started" };
    let text = format!("[{number}] {} {initiator} > {responder}{scope} {how}", moment.dated());
    heading(output, &text);
    Rest { now: started, day: moment.day() }
}

/// Prints a line about a conversation. What it quotes begins no row.
fn heading(output: &Output, text: &str) {
    let width = output.width();
    output.write(|w| {
        wrap::line(w, width, ["", "    "], text)?;
        w.write_all(b"\n")
    });
}

impl Printer {
    pub(super) fn new(talk: Talk, page: Rc<Page>, rest: Rest) -> Self {
        let (text, runs) = (Default::default(), Runs::new(rest.now));
        Self { talk, page, day: rest.day, text, runs }
    }

    /// Prints a line: the conversation's number, the time, sender and receiver, and something about
    /// them.
    fn line(&mut self, side: FlowSide, time: Timestamp, what: std::fmt::Arguments<'_>) {
        let moment = self.page.clock.at(time);
        let number = self.talk.number;
        let (from, to) = self.talk.ends(side);
        let same_day = moment.day() == std::mem::replace(&mut self.day, moment.day());
        let text = match same_day {
            true => format!("[{number}] {} {from} > {to} {what}", moment.time()),
            false => format!("[{number}] {} {from} > {to} {what}", moment.dated()),
        };
        heading(&self.page.output, &text);
    }

    /// Prints what is wrong, a line each.
    fn warn(&mut self, notices: Vec<Notice>) {
        for Notice { side, time, what } in notices {
            self.flush(side);
            let style = self.page.palette.gap;
            self.line(side, time, format_args!("{style}{what}{style:#}"));
        }
    }

    fn data(&mut self, side: FlowSide, data: &ChunkData) {
        if self.page.bytes == Bytes::None {
            return;
        }
        let (offset, len, look) = (data.offset(), bytes(data.len() as u64), self.look(side));
        self.line(side, data.timestamp(), format_args!("{len} at {offset}"));
        let text = &mut self.text[side as usize];
        self.page.output.write(|w| match self.page.bytes {
            Bytes::Hex => payload::hex(w, look, offset, data),
            _ => text.write(w, look, offset, data),
        });
    }

    /// Shows the beginning of a character whose rest does not come.
    fn flush(&mut self, side: FlowSide) {
        let (look, text) = (self.look(side), &mut self.text[side as usize]);
        self.page.output.write(|w| text.finish(w, look));
    }

    fn look(&self, side: FlowSide) -> Look {
        Look { side, style: self.page.palette.side(side), width: self.page.output.width() }
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
    fn rest(&self) -> Option<(Talk, Rest)> {
        let rests = self.text.iter().all(payload::Text::is_finished);
        let now = self.runs.rest().filter(|_| rests)?;
        Some((self.talk, Rest { now, day: self.day }))
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

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
