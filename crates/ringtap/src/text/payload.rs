//! Captured bytes as lines. Each begins with a mark that no heading begins with, so that a host that sends a heading's text does
//! not make one.

use std::io::{self, Write};

use anstyle::Style;
use flow::FlowSide;

use super::escape;

/// The text of one direction.
#[derive(Debug, Default)]
pub(crate) struct Text {
    /// The beginning of a character whose rest is in the next bytes.
    unfinished: Vec<u8>,
    /// Position of those in the stream.
    next: u64,
}

/// What lines of a side begin with.
const fn mark(side: FlowSide) -> &'static str {
    match side {
        FlowSide::Initiator => ">",
        FlowSide::Responder => "<",
    }
}

impl Text {
    /// Writes the bytes at this offset of the stream as text.
    pub(crate) fn write(
        &mut self,
        w: &mut dyn Write,
        side: FlowSide,
        style: Style,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        if offset != self.next {
            self.finish(w, side, style)?;
        }
        self.next = offset.wrapping_add(bytes.len() as u64);
        let joined;
        let bytes = if self.unfinished.is_empty() {
            bytes
        } else {
            joined = [&std::mem::take(&mut self.unfinished), bytes].concat();
            &joined
        };
        let (whole, rest) = bytes.split_at(bytes.len() - escape::unfinished(bytes));
        self.unfinished.extend_from_slice(rest);
        lines(w, side, style, whole)
    }

    /// Writes what waits for its rest, which does not come.
    pub(crate) fn finish(
        &mut self,
        w: &mut dyn Write,
        side: FlowSide,
        style: Style,
    ) -> io::Result<()> {
        let unfinished = std::mem::take(&mut self.unfinished);
        if unfinished.is_empty() { Ok(()) } else { lines(w, side, style, &unfinished) }
    }
}

fn lines(w: &mut dyn Write, side: FlowSide, style: Style, bytes: &[u8]) -> io::Result<()> {
    let mark = mark(side);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let line =
            line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        write!(w, "{style}{mark}{}", if line.is_empty() { "" } else { " " })?;
        escape::line(w, line)?;
        writeln!(w, "{style:#}")?;
    }
    Ok(())
}

/// Sixteen bytes a line, as `tcpdump -X` shows them.
pub(crate) fn hex(w: &mut dyn Write, style: Style, offset: u64, bytes: &[u8]) -> io::Result<()> {
    for (line, row) in bytes.chunks(16).enumerate() {
        write!(w, "{style}\t0x{:06x}: ", offset.wrapping_add(16 * line as u64))?;
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
