//! The parser.

use std::borrow::Cow;
use std::collections::VecDeque;

use packet::Timestamp;

use super::reply::{Reader, Step};
use super::{Command, Reply};
use crate::message::{Content, Lost, LostCause, Message};
use crate::parser::{MessageSink, StreamParser};
use crate::registry::Protocol;
use crate::side::{Side, Span, Times};

/// Commands without a reply.
const PENDING: usize = 256;
/// Commands whose arguments are proofs of identity.
const SECRET: [&[u8]; 2] = [b"AUTH", b"HELLO"];
/// Commands after which the server sends without being asked.
const STREAMING: [&[u8]; 6] =
    [b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE", b"MONITOR", b"SYNC", b"PSYNC"];

/// A parser of Redis.
#[derive(Debug, Default)]
pub struct Parser {
    lanes: [Lane; 2],
    pending: VecDeque<(Command, Span)>,
    /// Replies cannot be paired any more.
    unpaired: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    reader: Reader,
    span: Option<Span>,
    position: u64,
    searching: bool,
    /// The last bytes of a search, which the beginning of a command may be a part of.
    tail: Vec<u8>,
}

impl Parser {
    /// Creates a parser.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn value(&mut self, side: Side, pushed: bool, sink: &mut dyn MessageSink) {
        let lane = &mut self.lanes[side as usize];
        let (reply, reader) = lane.reader.take();
        let span = lane.span.take().unwrap_or(Span::at(Timestamp::default()));
        if side == Side::Initiator {
            self.command(reader, span, sink);
        } else if let Some(reply) = reply.filter(|_| !pushed && !self.unpaired) {
            self.reply(reply, span, sink);
        }
    }

    fn command(&mut self, reader: Reader, span: Span, sink: &mut dyn MessageSink) {
        let Reader { strings, first: [name, key], bytes, .. } = reader;
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        let secret = SECRET.into_iter().any(is);
        let streaming = STREAMING.into_iter().any(is);
        let command = Command {
            key: (strings > 1 && !secret).then(|| key.into()),
            name: name.into(),
            arguments: strings.saturating_sub(1),
            request_bytes: bytes,
            reply: None,
        };
        self.pending.push_back((command, span));
        self.unpaired |= streaming || self.pending.len() > PENDING;
        if self.unpaired {
            self.flush(sink);
        }
    }

    fn reply(&mut self, reply: Reply, span: Span, sink: &mut dyn MessageSink) {
        let Some((mut command, asked)) = self.pending.pop_front() else { return };
        command.reply = Some(reply);
        let times = Times { initiator: Some(asked), responder: Some(span) };
        sink.message(Message::new(Side::Initiator, times, Content::Redis(Box::new(command))));
    }

    /// Reports commands without replies.
    fn flush(&mut self, sink: &mut dyn MessageSink) {
        for (command, asked) in self.pending.drain(..) {
            let times = Times::of(Side::Initiator, asked);
            sink.message(Message::new(Side::Initiator, times, Content::Redis(Box::new(command))));
        }
    }

    fn lose(&mut self, side: Side, cause: LostCause, back: u64, sink: &mut dyn MessageSink) {
        // One missing reply would shift all later pairs by one.
        self.unpaired = true;
        self.flush(sink);
        let lane = &mut self.lanes[side as usize];
        lane.reader = Reader::default();
        lane.searching = true;
        lane.tail.clear();
        let offset = lane.position.saturating_sub(back);
        let times = lane.span.take().map_or(Times::default(), |span| Times::of(side, span));
        let lost = Lost { protocol: Protocol::REDIS, offset, cause };
        sink.message(Message::new(side, times, Content::Lost(lost)));
    }
}

impl Lane {
    /// Searches for the beginning of a command in these bytes behind the tail. Returns the bytes
    /// from there on.
    fn search<'a>(&mut self, bytes: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        if self.tail.is_empty() {
            // Without a copy: a sender can make the place be lost with every command.
            let (at, begins) = find(bytes)?;
            if begins {
                self.searching = false;
                return Some(Cow::Borrowed(&bytes[at..]));
            }
            self.tail.extend_from_slice(&bytes[at..]);
            return None;
        }
        self.tail.extend_from_slice(bytes);
        let Some((at, begins)) = find(&self.tail) else {
            self.tail.clear();
            return None;
        };
        if begins {
            self.searching = false;
            return Some(Cow::Owned(std::mem::take(&mut self.tail).split_off(at)));
        }
        self.tail.drain(..at);
        None
    }
}

/// The first place at which a command begins, or may begin if these are too few bytes: then
/// `false`.
fn find(bytes: &[u8]) -> Option<(usize, bool)> {
    let stars = memchr::memchr_iter(b'*', bytes);
    stars
        .filter_map(|at| match begins(&bytes[at..]) {
            Some(true) => Some((at, true)),
            Some(false) => None,
            None => Some((at, false)),
        })
        .next()
}

/// Judges whether bytes begin a command: `*2\r\n$`. Returns `None` if there are too few of them.
fn begins(bytes: &[u8]) -> Option<bool> {
    let digits = bytes[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let end = &bytes[1 + digits..];
    let common = end.iter().zip(b"\r\n$").take_while(|(a, b)| a == b).count();
    match (digits, common) {
        (0, _) if !end.is_empty() => Some(false),
        (9.., _) => Some(false),
        (_, 3) => Some(true),
        _ if common == end.len() => None,
        _ => Some(false),
    }
}

impl StreamParser for Parser {
    fn data(&mut self, side: Side, time: Timestamp, bytes: &[u8], sink: &mut dyn MessageSink) {
        self.lanes[side as usize].position += bytes.len() as u64;
        let mut own: Vec<u8>;
        let mut rest = bytes;
        while !rest.is_empty() {
            let lane = &mut self.lanes[side as usize];
            if lane.searching {
                // Replies are not paired any more, so nothing of them is of use.
                if side == Side::Responder {
                    return;
                }
                rest = match lane.search(rest) {
                    None => return,
                    Some(Cow::Borrowed(found)) => found,
                    Some(Cow::Owned(found)) => {
                        own = found;
                        &own
                    }
                };
                continue;
            }
            lane.span.get_or_insert(Span::at(time)).extend(time);
            let begins = lane.reader.is_between();
            // A client sends arrays of strings alone.
            if begins && side == Side::Initiator && rest[0] != b'*' {
                self.lose(side, LostCause::Syntax, rest.len() as u64, sink);
                continue;
            }
            match lane.reader.step(rest) {
                Step::More(used) => rest = &rest[used..],
                Step::Value(used, pushed) => {
                    rest = &rest[used..];
                    self.value(side, pushed, sink);
                }
                Step::Lost(used, cause) => {
                    rest = &rest[used..];
                    self.lose(side, cause, rest.len() as u64, sink);
                }
            }
        }
    }

    fn gap(&mut self, side: Side, _time: Timestamp, len: u64, sink: &mut dyn MessageSink) {
        let lane = &mut self.lanes[side as usize];
        lane.position = lane.position.saturating_add(len);
        if len == 0 {
            return;
        }
        if lane.searching {
            return lane.tail.clear();
        }
        match lane.reader.skip(len) {
            Some(Step::Value(_, pushed)) => self.value(side, pushed, sink),
            Some(_) => {}
            None => self.lose(side, LostCause::Gap, len, sink),
        }
    }

    fn finish(&mut self, _side: Side, _time: Timestamp, _sink: &mut dyn MessageSink) {}

    fn end(&mut self, sink: &mut dyn MessageSink) {
        self.flush(sink);
    }

    fn memory(&self) -> usize {
        let lanes: usize =
            self.lanes.iter().map(|lane| lane.reader.memory() + lane.tail.capacity()).sum();
        let texts: usize = self.pending.iter().map(|(command, _)| command.memory()).sum();
        size_of::<Self>() + lanes + texts + self.pending.capacity() * size_of::<(Command, Span)>()
    }
}

impl Command {
    fn memory(&self) -> usize {
        self.name.len() + self.key.as_ref().map_or(0, |key| key.len())
    }
}
