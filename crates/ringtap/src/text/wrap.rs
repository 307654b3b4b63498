//! Lines that fit the terminal.
//!
//! A terminal continues a line that is too long at its left edge. The sender of captured text would
//! choose what stands there, and could forge a line of ringtap's own. So lines are broken before
//! the terminal does it, and each row has its mark.

use std::io::{self, Write};

/// The width of rows. Only a terminal has one, because programs read whole lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Width(Option<usize>);

/// Narrower terminals are taken for as wide as this: no mark and number would fit.
const LEAST: usize = 20;
/// The columns of a terminal that does not say.
const USUAL: u16 = 80;
/// The most columns that a tab stop is away.
const TAB: usize = 8;

impl Width {
    /// Rows of any length.
    #[cfg(any(test, fuzzing))]
    pub(crate) const ANY: Self = Self(None);

    /// Rows for a terminal of `columns` columns, or for one of unknown width.
    pub(crate) fn of_terminal(columns: Option<u16>) -> Self {
        // The last column stays free: some terminals begin a new row once it is filled.
        Self(Some(usize::from(columns.unwrap_or(USUAL)).max(LEAST) - 1))
    }

    /// The number of columns that a row may fill.
    pub(crate) const fn columns(self) -> Option<usize> {
        self.0
    }
}

/// Writes a line without its end: `first` before it, and `next` before each row that continues it.
/// If `first` is empty, rows end after words. `text` has no control characters except tabs and the
/// escape sequences of colours.
pub(crate) fn line(
    w: &mut dyn Write,
    width: Width,
    [first, next]: [&str; 2],
    text: &str,
) -> io::Result<()> {
    w.write_all(first.as_bytes())?;
    let Some(columns) = width.columns() else { return w.write_all(text.as_bytes()) };
    let (mut used, mut written, mut colour) = (most_columns(first), 0, false);
    // The end of the last word in the second half of the row, and the columns used up to it.
    let mut word = None;
    for (at, c) in text.char_indices() {
        if colour || c == '\x1b' {
            colour = c != 'm';
            continue;
        }
        let needed = most(c);
        if used + needed > columns {
            let (end, before) = word.take().unwrap_or((at, used));
            w.write_all(&text.as_bytes()[written..end])?;
            w.write_all(b"\n")?;
            w.write_all(next.as_bytes())?;
            (used, written) = (most_columns(next) + used - before, end);
        }
        used += needed;
        if c == ' ' && first.is_empty() && used > columns / 2 {
            word = Some((at + 1, used));
        }
    }
    w.write_all(&text.as_bytes()[written..])
}

/// The most columns that a text may fill.
pub(crate) fn most_columns(text: &str) -> usize {
    text.chars().map(most).sum()
}

/// The most columns that any terminal gives a character: they disagree about many of Unicode's.
const fn most(c: char) -> usize {
    match c {
        '\t' => TAB,
        '\0'..='\x7f' => 1,
        _ => 2,
    }
}
