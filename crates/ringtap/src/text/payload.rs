//! Captured bytes as lines. Each begins with a mark that no heading begins with, so that a host
//! that sends a heading's text does not make one.

use std::io::{self, Write};

use anstyle::Style;
use flow::FlowSide;

use super::escape;
use super::wrap::{self, Width};

/// The text of one direction. Small while no character is cut in two: a command may follow a
/// million conversations at once.
#[derive(Debug, Default)]
pub(crate) struct Text {
    unfinished: Option<Box<Unfinished>>,
}

impl Text {
    /// Returns `true` if it has nothing to show yet.
    pub(crate) fn is_finished(&self) -> bool {
        self.unfinished.is_none()
    }
}

/// The beginning of a character whose rest is in the next bytes.
#[derive(Debug)]
struct Unfinished {
    bytes: Vec<u8>,
    /// Position of the next ones in the stream.
    next: u64,
}

/// The look of a side's lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) side: FlowSide,
    pub(crate) style: Style,
    pub(crate) width: Width,
}

impl Look {
    /// The marks that begin a line, and a row that continues one.
    const fn marks(&self) -> [&'static str; 2] {
        match self.side {
            FlowSide::Initiator => ["> ", ">+"],
            FlowSide::Responder => ["< ", "<+"],
        }
    }
}

impl Text {
    /// Writes the bytes at this offset of the stream as text.
    pub(crate) fn write(
        &mut self,
        w: &mut dyn Write,
        look: Look,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        let next = offset.wrapping_add(bytes.len() as u64);
        if self.unfinished.as_ref().is_some_and(|unfinished| unfinished.next != offset) {
            self.finish(w, look)?;
        }
        let joined;
        let bytes = match self.unfinished.take() {
            None => bytes,
            Some(unfinished) => {
                joined = [&unfinished.bytes, bytes].concat();
                &joined
            }
        };
        let (whole, rest) = bytes.split_at(bytes.len() - escape::unfinished(bytes));
        if !rest.is_empty() {
            let bytes = rest.to_vec();
            self.unfinished = Some(Box::new(Unfinished { bytes, next }));
        }
        lines(w, look, whole)
    }

    /// Writes what waits for its rest, which does not come.
    pub(crate) fn finish(&mut self, w: &mut dyn Write, look: Look) -> io::Result<()> {
        let unfinished = self.unfinished.take();
        unfinished.map_or(Ok(()), |unfinished| lines(w, look, &unfinished.bytes))
    }
}

fn lines(w: &mut dyn Write, look: Look, bytes: &[u8]) -> io::Result<()> {
    let (marks @ [mark, _], style) = (look.marks(), look.style);
    let mut text = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let line =
            line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        write!(w, "{style}")?;
        if line.is_empty() {
            w.write_all(mark.trim_end().as_bytes())?;
        } else if look.width.columns().is_none() {
            w.write_all(mark.as_bytes())?;
            escape::line(w, line)?;
        } else {
            text.clear();
            escape::line(&mut text, line)?;
            wrap::line(w, look.width, marks, &String::from_utf8_lossy(&text))?;
        }
        writeln!(w, "{style:#}")?;
    }
    Ok(())
}

/// Captured bytes as text that is not part of a stream: each line begins with a tab.
pub(crate) fn ascii(w: &mut dyn Write, width: Width, bytes: &[u8]) -> io::Result<()> {
    let mut text = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        text.clear();
        let shown = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
        text.extend(line.iter().map(|byte| if shown(byte) { *byte } else { b'.' }));
        wrap::line(w, width, ["\t", "\t"], &String::from_utf8_lossy(&text))?;
        w.write_all(b"\n")?;
    }
    Ok(())
}

/// Bytes of a stream in hexadecimal and as text.
pub(crate) fn hex(w: &mut dyn Write, look: Look, offset: u64, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    write!(w, "{}", look.style)?;
    dump(w, look.width, offset, bytes, true)?;
    write!(w, "{:#}", look.style)
}

/// Sixteen bytes a line, as `tcpdump -X` shows them; fewer where the terminal is narrow.
pub(crate) fn dump(
    w: &mut dyn Write,
    width: Width,
    offset: u64,
    bytes: &[u8],
    text: bool,
) -> io::Result<()> {
    let digits = format!("{:06x}", offset.saturating_add(bytes.len() as u64)).len();
    // A tab, the offset, two columns and a half for each byte, and the text.
    let needed = |count: usize| 8 + (digits + 4) + count / 2 * 5 + 2 + count;
    let counts = [16, 8, 4, 2];
    let fits = |count: &usize| width.columns().is_none_or(|columns| needed(*count) <= columns);
    let count = counts.into_iter().find(fits).unwrap_or(2);
    for (line, row) in bytes.chunks(count).enumerate() {
        write!(w, "\t0x{:06x}: ", offset.wrapping_add((count * line) as u64))?;
        for pair in 0..count / 2 {
            match row.get(2 * pair..) {
                Some([a, b, ..]) => write!(w, " {a:02x}{b:02x}")?,
                Some([a]) => write!(w, " {a:02x}  ")?,
                _ if !text => break,
                _ => w.write_all(b"     ")?,
            }
        }
        if text {
            let shown = |byte: &u8| (b' '..=b'~').contains(byte);
            let text: String =
                row.iter().map(|byte| if shown(byte) { char::from(*byte) } else { '.' }).collect();
            write!(w, "  {text}")?;
        }
        w.write_all(b"\n")?;
    }
    Ok(())
}
