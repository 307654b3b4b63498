//! Characters that a terminal would obey, or that would make a reader see something else than there
//! is.
//!
//! Escaped are the control characters of ASCII and C1 (`\x1b` begins a terminal's commands), those
//! that change the direction of text (U+202E shows `gpj.exe` as `exe.jpg`), separators of lines,
//! and whatever else has no shape of its own. Bytes that are not UTF-8 are escaped as bytes.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

/// A foreign name or message in one line: nothing in it moves the cursor or begins a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

/// A message of several lines, each of which is harmless.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EscapedLines<'a>(pub(crate) &'a str);

/// Captured bytes in quotes, cut off after a few.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quoted<'a>(pub(crate) &'a [u8]);

/// Bytes of which [`Quoted`] shows no more.
pub(crate) const QUOTED: usize = 48;

/// `true` if a character has a shape and does nothing else.
pub(crate) fn is_shown(c: char) -> bool {
    match c {
        ' '..='~' => true,
        // What joins letters of Persian and of Indian scripts, and emoji.
        '\u{200c}' | '\u{200d}' => true,
        '\0'..='\u{9f}' | '\u{2028}' | '\u{2029}' => false,
        _ if c.is_whitespace() => true,
        _ => {
            // The standard library's table knows what can be printed. Behind a letter, since a mark
            // that belongs to the character before it is escaped at the beginning.
            let mut text = [0; 5];
            text[0] = b'a';
            let len = 1 + c.encode_utf8(&mut text[1..]).len();
            std::str::from_utf8(&text[..len])
                .is_ok_and(|text| text.escape_debug().nth(1) == Some(c))
        }
    }
}

/// Writes one character, escaped if it has to be.
fn character(w: &mut impl fmt::Write, c: char) -> fmt::Result {
    match c {
        _ if is_shown(c) => w.write_char(c),
        '\n' => w.write_str("\\n"),
        '\r' => w.write_str("\\r"),
        '\t' => w.write_str("\\t"),
        '\0'..='\x7f' => write!(w, "\\x{:02x}", u32::from(c)),
        _ => write!(w, "\\u{{{:x}}}", u32::from(c)),
    }
}

/// Writes a line of captured text. Tabs stay.
pub(crate) fn line(w: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while !rest.is_empty() {
            let plain = rest.bytes().take_while(is_plain).count();
            w.write_all(&rest.as_bytes()[..plain])?;
            rest = &rest[plain..];
            if let Some(c) = rest.chars().next() {
                let mut text = String::new();
                let _ = character(&mut text, c);
                w.write_all(text.as_bytes())?;
                rest = &rest[c.len_utf8()..];
            }
        }
        for byte in chunk.invalid() {
            write!(w, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// Writes captured bytes within a line: line feeds and tabs are escaped as well.
pub(crate) fn word(w: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    for chunk in bytes.utf8_chunks() {
        write!(w, "{}", Escaped(chunk.valid()))?;
        for byte in chunk.invalid() {
            write!(w, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// Length of the beginning of a character at the end of these bytes, whose rest may be in the next
/// ones; 0 without such a beginning.
pub(crate) fn unfinished(bytes: &[u8]) -> usize {
    let last = &bytes[bytes.len().saturating_sub(3)..];
    match std::str::from_utf8(last) {
        Err(error) if error.error_len().is_none() => last.len() - error.valid_up_to(),
        // These three began amid a character: what is unfinished may stand behind it.
        Err(_) => (1..last.len())
            .find_map(|at| match std::str::from_utf8(&last[at..]) {
                Err(error) if error.error_len().is_none() => {
                    Some(last.len() - at - error.valid_up_to())
                }
                _ => None,
            })
            .unwrap_or(0),
        Ok(_) => 0,
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| character(f, c))
    }
}

impl fmt::Display for EscapedLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\n' => f.write_char('\n'),
            _ => character(f, c),
        })
    }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(QUOTED)];
        let shown =
            &shown[..shown.len() - if shown.len() < self.0.len() { unfinished(shown) } else { 0 }];
        f.write_char('"')?;
        for chunk in shown.utf8_chunks() {
            for c in chunk.valid().chars() {
                if matches!(c, '"' | '\\') {
                    f.write_char('\\')?;
                }
                character(f, c)?;
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_char('"')?;
        if shown.len() < self.0.len() { f.write_char('…') } else { Ok(()) }
    }
}
