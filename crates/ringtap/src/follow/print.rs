//! Conversations for a person to read.

use std::io::{self, Write};

use anstyle::Style;
use conversation::{Chunk, ChunkData};
use flow::{FlowRecord, FlowSide};

use super::colour::Palette;
use super::view::{Talk, View};
use crate::output::{Output, Time};

/// How bytes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// Text as it is, other bytes as dots.
    Text,
    /// Offsets, hexadecimal and text.
    Hex,
    /// Not at all.
    None,
}

/// Prints a conversation as it happens, each line about it with its number.
#[derive(Debug)]
pub(super) struct Printer {
    talk: Talk,
    output: Output,
    bytes: Bytes,
    palette: Palette,
}

/// Prints the bytes of both sides, in the order in which they came, and nothing else.
#[derive(Debug)]
pub(super) struct Raw {
    output: Output,
}

impl Printer {
    pub(super) fn new(talk: Talk, output: Output, bytes: Bytes, palette: Palette) -> Self {
        let Talk { number, started, initiator, responder } = talk;
        output.write(|w| {
            writeln!(w, "[{number}] {} {initiator} > {responder} started", Time(started))
        });
        Self { talk, output, bytes, palette }
    }

    fn data(&self, side: FlowSide, data: &ChunkData) {
        if self.bytes == Bytes::None {
            return;
        }
        let (number, style) = (self.talk.number, self.palette.side(side));
        let (from, to) = self.talk.ends(side);
        let (time, offset, len) = (Time(data.timestamp()), data.offset(), data.len());
        self.output.write(|w| {
            writeln!(w, "[{number}] {time} {from} > {to} {len} bytes at {offset}")?;
            match self.bytes {
                Bytes::Hex => hex(w, style, offset, data),
                _ => text(w, style, data),
            }
        });
    }

    fn missing(&self, side: FlowSide, len: u64, what: std::fmt::Arguments<'_>) {
        let (number, style) = (self.talk.number, self.palette.gap);
        let (from, to) = self.talk.ends(side);
        self.output
            .write(|w| writeln!(w, "[{number}] {from} > {to} {style}{len} bytes {what}{style:#}"));
    }

    fn closed<K>(&self, record: &FlowRecord<K>) {
        let Talk { number, initiator, responder, .. } = self.talk;
        let (time, reason) = (Time(record.ended), record.reason);
        let (sent, received) = (record.initiator.delivered_bytes, record.responder.delivered_bytes);
        self.output.write(|w| {
            writeln!(
                w,
                "[{number}] {time} {initiator} > {responder} ended ({reason:?}): {sent} bytes sent, {received} received"
            )
        });
    }
}

impl View for Printer {
    fn chunk(&mut self, chunk: &Chunk) {
        match chunk {
            Chunk::Initiator(data) => self.data(FlowSide::Initiator, data),
            Chunk::Responder(data) => self.data(FlowSide::Responder, data),
            Chunk::Gap { side, offset, len, cause, .. } => {
                self.missing(*side, *len, format_args!("missing at {offset} ({cause:?})"));
            }
            Chunk::Late { side, data, .. } => {
                let (len, offset) = (data.len() as u64, data.offset().cast_signed());
                self.missing(*side, len, format_args!("of {offset} came late"));
            }
            Chunk::Closed { record, .. } => self.closed(record),
            _ => {}
        }
    }
}

impl Raw {
    pub(super) fn new(output: Output) -> Self {
        Self { output }
    }
}

impl View for Raw {
    fn chunk(&mut self, chunk: &Chunk) {
        if let Chunk::Initiator(data) | Chunk::Responder(data) = chunk {
            self.output.write(|w| w.write_all(data));
        }
    }
}

/// Text as it is; everything that a terminal could take for a command becomes a dot.
fn text(w: &mut dyn Write, style: Style, bytes: &[u8]) -> io::Result<()> {
    let shown: Vec<u8> = bytes
        .iter()
        .filter(|byte| **byte != b'\r')
        .map(|byte| match byte {
            b'\n' | b'\t' | b' '..=b'~' => *byte,
            _ => b'.',
        })
        .collect();
    write!(w, "{style}")?;
    w.write_all(&shown)?;
    write!(w, "{style:#}")?;
    if shown.last() != Some(&b'\n') { w.write_all(b"\n") } else { Ok(()) }
}

/// Sixteen bytes a line, as `tcpdump -X` shows them.
fn hex(w: &mut dyn Write, style: Style, offset: u64, bytes: &[u8]) -> io::Result<()> {
    for (line, row) in bytes.chunks(16).enumerate() {
        write!(w, "{style}\t0x{:06x}: ", offset + 16 * line as u64)?;
        for pair in 0..8 {
            match row.get(2 * pair..) {
                Some([a, b, ..]) => write!(w, " {a:02x}{b:02x}")?,
                Some([a]) => write!(w, " {a:02x}  ")?,
                _ => w.write_all(b"     ")?,
            }
        }
        let text: String = row
            .iter()
            .map(|byte| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' })
            .collect();
        writeln!(w, "  {text}{style:#}")?;
    }
    Ok(())
}
