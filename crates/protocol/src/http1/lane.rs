//! One direction of a conversation.

use memchr::memchr;
use packet::Timestamp;

use super::body::Reader;
use super::head::Role;
use super::search::{Beginning, beginning};
use crate::parser::Pending;
use crate::side::Span;

/// One direction of a conversation.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) state: State,
    /// Bytes that wait for the rest of a head or of a start line.
    pub(super) buffer: Vec<u8>,
    /// Index into `buffer`: what is before was looked at.
    pub(super) scanned: usize,
    /// The times of the message in progress.
    pub(super) span: Option<Span>,
    /// Position behind the last byte that was received.
    pub(super) position: u64,
    /// Messages so far.
    pub(super) messages: u64,
    /// The body in progress was announced to the sink.
    pub(super) announced: bool,
    /// The side has sent its FIN.
    pub(super) finished: bool,
}

#[derive(Debug)]
pub(super) enum State {
    /// Before or in a head.
    Head,
    /// In a body.
    Body(Reader),
    /// In a trailer section.
    Trailers,
    /// The place is lost.
    Search,
    /// Behind a request that may change the protocol.
    Held(Held),
}

/// The bytes that wait for the answer to a request that may change the protocol.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) pieces: Vec<Pending>,
    bytes: usize,
}

/// Bytes of a start line.
const START_LINE: usize = 32 << 10;

/// The end of a head.
pub(super) enum End {
    /// The index behind its empty line.
    At(usize),
    /// It is not there yet.
    Later,
    /// This is no head.
    Never,
    /// The start line is longer than any that a server accepts.
    Long,
}

impl Lane {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Head,
            buffer: Vec::new(),
            scanned: 0,
            span: None,
            position: 0,
            messages: 0,
            announced: false,
            finished: false,
        }
    }

    /// Takes note of bytes of the message in progress.
    pub(super) fn saw(&mut self, time: Timestamp) {
        self.span.get_or_insert(Span::at(time)).extend(time);
    }

    /// Starts the search for a head over, with an empty buffer. Memory of unusual size is released.
    pub(super) fn clear(&mut self) {
        self.scanned = 0;
        self.buffer.clear();
        self.buffer.shrink_to(1 << 10);
    }

    pub(super) fn memory(&self) -> usize {
        let held = match &self.state {
            State::Held(held) => held.memory(),
            _ => 0,
        };
        self.buffer.capacity() + held
    }
}

impl Held {
    /// Keeps a piece within the limit; behind it, bytes become a gap.
    pub(super) fn push(&mut self, piece: Pending, limit: usize) {
        match piece {
            Pending::Data(side, time, bytes) => {
                let room = limit.saturating_sub(self.memory());
                // Behind a gap that is the limit's, nothing is kept: it would have no use.
                if bytes.len() + size_of::<Pending>() <= room {
                    self.bytes += bytes.len();
                    match self.pieces.last_mut() {
                        Some(Pending::Data(_, last, kept)) if *last == time => {
                            kept.extend_from_slice(&bytes);
                        }
                        _ => self.pieces.push(Pending::Data(side, time, bytes)),
                    }
                } else {
                    self.push(Pending::Gap(side, time, bytes.len() as u64), limit);
                }
            }
            Pending::Gap(side, time, len) => {
                let full = self.memory() >= limit.saturating_mul(2);
                match self.pieces.last_mut() {
                    Some(Pending::Gap(_, _, before)) => *before = before.saturating_add(len),
                    // After thousands of gaps between bytes, the last bytes become a part of one.
                    Some(Pending::Data(_, at, bytes)) if full => {
                        let before = bytes.len();
                        let gap = Pending::Gap(side, *at, len.saturating_add(before as u64));
                        self.bytes -= before;
                        self.pieces.pop();
                        self.push(gap, limit);
                    }
                    _ => self.pieces.push(Pending::Gap(side, time, len)),
                }
            }
            Pending::Finish(..) => self.pieces.push(piece),
        }
    }

    fn memory(&self) -> usize {
        self.bytes + self.pieces.len() * size_of::<Pending>()
    }
}

/// The number of line ends at the beginning, which are ignored there (RFC 9112, 2.2).
pub(super) fn empty_lines(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&byte| matches!(byte, b'\r' | b'\n')).count()
}

/// Judges a head of a role, if that is known, and finds its end. Line ends before `scanned` were
/// looked at. The new value of `scanned` is returned, too.
pub(super) fn head_end(
    bytes: &[u8],
    role: Option<Role>,
    scanned: usize,
) -> (End, Option<Role>, usize) {
    // Before the first line end, this looks at the beginning of the line each time.
    let role = if scanned == 0 {
        match (beginning(bytes), role) {
            (Beginning::Neither, _)
            | (Beginning::Request, Some(Role::Response))
            | (Beginning::Response, Some(Role::Request)) => return (End::Never, None, 0),
            (Beginning::Request, _) => Some(Role::Request),
            (Beginning::Response, _) => Some(Role::Response),
            (Beginning::Short, Some(Role::Response)) if bytes.len() >= 8 => {
                return (End::Never, None, 0);
            }
            (Beginning::Short, _) => {
                // It is looked at again with every piece, so it must not be long.
                let long = bytes.len() > START_LINE;
                return (if long { End::Long } else { End::Later }, None, 0);
            }
        }
    } else {
        // Only a head that was parsed fixes the role of its side.
        role.or_else(|| role_of(bytes))
    };
    let (end, scanned) = section_end(bytes, scanned);
    (end, role, scanned)
}

/// The role of a head, by its start line.
pub(super) fn role_of(bytes: &[u8]) -> Option<Role> {
    match beginning(bytes) {
        Beginning::Request => Some(Role::Request),
        Beginning::Response => Some(Role::Response),
        Beginning::Short | Beginning::Neither => None,
    }
}

/// Finds the end of a section: an empty line behind another line.
pub(super) fn section_end(bytes: &[u8], scanned: usize) -> (End, usize) {
    let mut from = scanned;
    while let Some(at) = memchr(b'\n', &bytes[from..]).map(|at| from + at) {
        match bytes[at + 1..] {
            [b'\n', ..] => return (End::At(at + 2), at),
            [b'\r', b'\n', ..] => return (End::At(at + 3), at),
            [] | [b'\r'] => return (End::Later, at),
            _ => from = at + 1,
        }
    }
    (End::Later, from.max(bytes.len()))
}
