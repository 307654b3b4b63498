//! Conversations for a person to read.

use std::cell::Cell;
use std::io::{self, Write};

use conversation::{Chunk, ChunkData, Conversation};
use flow::{Endpoint, FlowRecord};

use super::Format;
use crate::output::{Output, Time};

/// Prints conversations as they happen, each line of them with the conversation's number.
#[derive(Debug)]
pub(super) struct Printer {
    output: Output,
    format: Format,
    quiet: bool,
    conversations: Cell<u64>,
}

impl Printer {
    pub(super) fn new(output: Output, format: Format, quiet: bool) -> Self {
        Self { output, format, quiet, conversations: Cell::new(0) }
    }

    pub(super) fn output(&self) -> &Output {
        &self.output
    }

    /// Reads a conversation to its end.
    pub(super) async fn read(&self, mut conversation: Conversation) {
        let number = self.conversations.get() + 1;
        self.conversations.set(number);
        let (a, b) = (conversation.initiator(), conversation.responder());
        let started = conversation.info().started;
        self.note(|w| writeln!(w, "[{number}] {} {a} > {b} started", Time(started)));
        while let Some(chunk) = conversation.next_chunk().await {
            match chunk {
                Chunk::Initiator(data) => self.data(number, a, b, &data),
                Chunk::Responder(data) => self.data(number, b, a, &data),
                Chunk::Gap { side, offset, len, cause, .. } => {
                    let (from, to) =
                        if side == flow::FlowSide::Initiator { (a, b) } else { (b, a) };
                    self.note(|w| {
                        writeln!(
                            w,
                            "[{number}] {from} > {to} {len} bytes missing at {offset} ({cause:?})"
                        )
                    });
                }
                Chunk::Late { side, data, .. } => {
                    let (from, to) =
                        if side == flow::FlowSide::Initiator { (a, b) } else { (b, a) };
                    let (len, offset) = (data.len(), data.offset());
                    self.note(|w| {
                        writeln!(w, "[{number}] {from} > {to} {len} bytes of {offset} came late")
                    });
                }
                Chunk::Closed { record, .. } => self.note(|w| closed(w, number, a, b, &record)),
                _ => {}
            }
        }
    }

    fn data(&self, number: u64, from: Endpoint, to: Endpoint, data: &ChunkData) {
        if self.quiet {
            return;
        }
        self.output.write(|w| {
            if self.format == Format::Raw {
                return w.write_all(data);
            }
            let (time, offset, len) = (Time(data.timestamp()), data.offset(), data.len());
            writeln!(w, "[{number}] {time} {from} > {to} {len} bytes at {offset}")?;
            match self.format {
                Format::Hex => hex(w, data.offset(), data),
                _ => ascii(w, data),
            }
        });
    }

    /// A line that is no bytes of the conversation.
    fn note(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if self.format != Format::Raw {
            self.output.write(write);
        }
    }
}

fn closed<K>(
    w: &mut dyn Write,
    number: u64,
    a: Endpoint,
    b: Endpoint,
    record: &FlowRecord<K>,
) -> io::Result<()> {
    let (time, reason) = (Time(record.ended), record.reason);
    let (sent, received) = (record.initiator.delivered_bytes, record.responder.delivered_bytes);
    writeln!(
        w,
        "[{number}] {time} {a} > {b} ended ({reason:?}): {sent} bytes sent, {received} received"
    )
}

/// Text as it is; everything that a terminal could take for a command becomes a dot.
fn ascii(w: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    let shown: Vec<u8> = bytes
        .iter()
        .filter(|byte| **byte != b'\r')
        .map(|byte| match byte {
            b'\n' | b'\t' | b' '..=b'~' => *byte,
            _ => b'.',
        })
        .collect();
    w.write_all(&shown)?;
    if shown.last() != Some(&b'\n') { w.write_all(b"\n") } else { Ok(()) }
}

/// Sixteen bytes a line, as `tcpdump -X` shows them.
fn hex(w: &mut dyn Write, offset: u64, bytes: &[u8]) -> io::Result<()> {
    for (line, row) in bytes.chunks(16).enumerate() {
        write!(w, "\t0x{:06x}: ", offset + 16 * line as u64)?;
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
        writeln!(w, "  {text}")?;
    }
    Ok(())
}
