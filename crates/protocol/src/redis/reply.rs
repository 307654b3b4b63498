//! One value of RESP after the other.

use super::{Reply, ReplyKind};
use crate::message::LostCause;

/// Bytes of a line.
const LINE: u64 = 64 << 10;
/// Bytes of a text that are kept.
pub(super) const KEPT: usize = 256;
/// Arrays within arrays.
const DEPTH: usize = 32;

/// Reads values, of which only the outermost are of interest.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Values that are left in each array around the next one.
    open: Vec<u64>,
    state: State,
    /// The beginning of the line in progress.
    line: Vec<u8>,
    line_len: u64,
    /// The outermost value in progress.
    kind: Option<ReplyKind>,
    text: Option<Box<[u8]>>,
    push: bool,
    pub(super) bytes: u64,
    /// Strings of the outermost array: their number, and the first two of them.
    pub(super) strings: u64,
    pub(super) first: [Vec<u8>; 2],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Line,
    /// In a string, with as many bytes left, the end of its line included.
    Text(u64),
}

/// The outcome of a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    More(usize),
    /// An outermost value ends behind as many bytes. `true` if nobody asked for it.
    Value(usize, bool),
    /// As many bytes are used.
    Lost(usize, LostCause),
}

impl Reader {
    /// Returns `true` between values.
    pub(super) fn is_between(&self) -> bool {
        self.bytes == 0
    }

    /// Takes the next part of `bytes`, which are not empty.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        match self.state {
            State::Text(left) => {
                let len = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                // The last two bytes are the end of the line.
                let content = left.saturating_sub(2).min(len as u64) as usize;
                if self.open.len() <= 1
                    && let Some(kept) = self.first.get_mut(self.strings.wrapping_sub(1) as usize)
                {
                    let room = KEPT - kept.len();
                    kept.extend_from_slice(&bytes[..content.min(room)]);
                }
                self.bytes += len as u64;
                self.advance(left - len as u64, len)
            }
            State::Line => {
                let end = memchr::memchr(b'\n', bytes);
                let room = (LINE + 1 - self.line_len) as usize;
                let len = end.map_or(bytes.len(), |end| end + 1).min(room);
                let end = end.filter(|end| *end < len);
                self.bytes += len as u64;
                self.line_len += len as u64;
                if self.line_len > LINE {
                    return Step::Lost(len, LostCause::Limit);
                }
                let kept = len.min((KEPT + 3).saturating_sub(self.line.len()));
                self.line.extend_from_slice(&bytes[..kept]);
                if end.is_none() {
                    return Step::More(len);
                }
                let line = std::mem::take(&mut self.line);
                let whole = self.line_len <= line.len() as u64;
                self.line_len = 0;
                self.header(&line, whole, len)
            }
        }
    }

    /// Skips bytes that are missing. Returns `false` if the place is lost.
    pub(super) fn skip(&mut self, len: u64) -> Option<Step> {
        let State::Text(left) = self.state else { return None };
        // A missing end of a value is one, too.
        let left = left.checked_sub(len)?;
        self.bytes += len;
        Some(self.advance(left, 0))
    }

    /// Takes the value that is complete.
    pub(super) fn take(&mut self) -> (Option<Reply>, Self) {
        let taken = std::mem::take(self);
        let reply =
            taken.kind.map(|kind| Reply { kind, text: taken.text.clone(), bytes: taken.bytes });
        (reply, taken)
    }

    pub(super) fn memory(&self) -> usize {
        let first: usize = self.first.iter().map(Vec::capacity).sum();
        self.open.capacity() * size_of::<u64>() + self.line.capacity() + first + KEPT
    }

    fn advance(&mut self, left: u64, len: usize) -> Step {
        if left > 0 {
            self.state = State::Text(left);
            return Step::More(len);
        }
        self.state = State::Line;
        self.end_value(len)
    }

    /// Takes a line, of which the beginning is kept.
    fn header(&mut self, line: &[u8], whole: bool, len: usize) -> Step {
        let Some((&mark, rest)) = line.split_first() else {
            return Step::Lost(len, LostCause::Syntax);
        };
        let rest = rest.strip_suffix(b"\r\n").unwrap_or(rest);
        if whole && !line.ends_with(b"\r\n") {
            return Step::Lost(len, LostCause::Syntax);
        }
        let kind = match mark {
            b'+' => ReplyKind::Status,
            b'-' | b'!' => ReplyKind::Error,
            b':' | b',' | b'(' | b'#' => ReplyKind::Number,
            b'$' | b'=' => ReplyKind::String,
            b'*' | b'~' | b'%' | b'>' | b'|' => ReplyKind::Array,
            b'_' => ReplyKind::Null,
            _ => return Step::Lost(len, LostCause::Syntax),
        };
        let number =
            str::from_utf8(rest).ok().filter(|_| whole).and_then(|it| it.parse::<i64>().ok());
        let outermost = self.open.is_empty();
        let mut set = |kind| {
            if outermost {
                self.kind = Some(kind);
            }
        };
        match mark {
            b'$' | b'=' | b'!' | b'*' | b'~' | b'%' | b'>' | b'|' => {
                let Some(number) = number.filter(|number| *number >= -1) else {
                    return Step::Lost(len, LostCause::Syntax);
                };
                let Ok(count) = u64::try_from(number) else {
                    set(ReplyKind::Null);
                    return self.end_value(len);
                };
                set(kind);
                if matches!(mark, b'$' | b'=' | b'!') {
                    self.strings += u64::from(self.open.len() <= 1);
                    self.state = State::Text(count.saturating_add(2));
                    return Step::More(len);
                }
                self.push |= outermost && mark == b'>';
                let values =
                    if matches!(mark, b'%' | b'|') { count.saturating_mul(2) } else { count };
                // Attributes are before the value that they describe.
                let values = values.saturating_add(u64::from(mark == b'|'));
                if self.open.len() >= DEPTH {
                    return Step::Lost(len, LostCause::Limit);
                }
                if values == 0 {
                    return self.end_value(len);
                }
                self.open.push(values);
                Step::More(len)
            }
            _ => {
                set(kind);
                if outermost && matches!(mark, b'+' | b'-') {
                    self.text = Some(rest[..rest.len().min(KEPT)].into());
                }
                self.end_value(len)
            }
        }
    }

    fn end_value(&mut self, len: usize) -> Step {
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return Step::More(len);
            }
            self.open.pop();
        }
        Step::Value(len, self.push)
    }
}
