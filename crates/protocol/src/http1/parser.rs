//! The parser.

use packet::Timestamp;

use super::Limits;
use super::body::Reader;
use super::head::Role;
use super::lane::{Held, Lane, State};
use super::pairing::{Pairing, Report};
use crate::message::LostCause;
use crate::parser::{MessageSink, Pending, StreamParser, Switch};
use crate::side::Side;

/// A parser of HTTP/1 over the two streams of a conversation.
///
/// The bytes decide which side is the client. [`Session`](crate::Session) makes parsers for what it
/// recognizes; a program that knows that its bytes are HTTP can use one alone.
///
/// # Examples
///
/// ```
/// use protocol::http1::{Limits, Parser};
/// use protocol::{Content, Message, Side, StreamParser as _, Timestamp};
///
/// let mut parser = Parser::new(Limits::default());
/// let mut exchanges = Vec::new();
/// let mut sink = |message: Message| exchanges.push(message);
/// let time = Timestamp::from_nanos;
/// parser.data(Side::Initiator, time(5), b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", &mut sink);
/// parser.data(Side::Responder, time(9), b"HTTP/1.1 204 No Content\r\n\r\n", &mut sink);
///
/// let [message] = &exchanges[..] else { panic!("one exchange") };
/// let Content::Http(http) = &message.content else { panic!("of HTTP") };
/// assert_eq!(http.request.as_ref().unwrap().host(), Some(&b"a.example"[..]));
/// assert_eq!(http.response.as_ref().unwrap().status(), 204);
/// assert_eq!(message.latency().unwrap().as_nanos(), 4);
/// ```
#[derive(Debug)]
pub struct Parser {
    pub(super) limits: Limits,
    /// The side that sends requests, once it is known.
    pub(super) client: Option<Side>,
    pub(super) lanes: [Lane; 2],
    pub(super) pairing: Pairing,
    pub(super) switch: Option<Switch>,
    /// The conversation was handed over.
    pub(super) over: bool,
}

/// The rest that a step leaves of the bytes that it received.
pub(super) enum Left {
    /// As many of them are used.
    Used(usize),
    /// Instead of them, these come next: all of them were used, and some that waited were not.
    Other(Vec<u8>),
}

impl Parser {
    /// Creates a parser.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            client: None,
            lanes: [Lane::new(), Lane::new()],
            pairing: Pairing::new(),
            switch: None,
            over: false,
        }
    }

    pub(super) fn role(&self, side: Side) -> Option<Role> {
        let role = |client| if client == side { Role::Request } else { Role::Response };
        self.client.map(role)
    }

    pub(super) fn report<'a>(&self, side: Side, sink: &'a mut dyn MessageSink) -> Report<'a> {
        Report { sink, client: self.client.unwrap_or(side) }
    }

    fn hold(&mut self, side: Side, piece: Pending) {
        if let State::Held(held) = &mut self.lanes[side as usize].state {
            held.push(piece, self.limits.held_bytes);
        }
    }

    /// Parses what was held back, once the answer has not changed the protocol.
    fn release(&mut self, sink: &mut dyn MessageSink) {
        let Some(client) = self.client.filter(|_| !self.over && !self.pairing.may_switch()) else {
            return;
        };
        let lane = &mut self.lanes[client as usize];
        let State::Held(Held { pieces, .. }) = &mut lane.state else { return };
        let pieces = std::mem::take(pieces);
        lane.state = State::Head;
        for piece in &pieces {
            lane.position -= match piece {
                Pending::Data(_, _, bytes) => bytes.len() as u64,
                Pending::Gap(_, _, len) => *len,
                Pending::Finish(..) => 0,
            };
        }
        for piece in pieces {
            match piece {
                Pending::Data(side, time, bytes) => self.data(side, time, &bytes, sink),
                Pending::Gap(side, time, len) => self.gap(side, time, len, sink),
                Pending::Finish(side, time) => self.finish(side, time, sink),
            }
        }
    }
}

impl StreamParser for Parser {
    fn data(&mut self, side: Side, time: Timestamp, bytes: &[u8], sink: &mut dyn MessageSink) {
        if self.over {
            return;
        }
        self.lanes[side as usize].position += bytes.len() as u64;
        let mut own: Vec<u8>;
        let mut rest = bytes;
        while !rest.is_empty() && !self.over {
            let left = match &self.lanes[side as usize].state {
                State::Head => self.head(side, time, rest, sink),
                State::Body(_) => self.body(side, time, rest, sink),
                State::Trailers => self.trailers(side, time, rest, sink),
                State::Search => self.search(side, rest),
                State::Held(_) => {
                    self.hold(side, Pending::Data(side, time, rest.to_vec()));
                    break;
                }
            };
            match left {
                Left::Used(used) => rest = &rest[used..],
                Left::Other(bytes) => {
                    own = bytes;
                    rest = &own;
                }
            }
            self.release(sink);
        }
        if self.over
            && !rest.is_empty()
            && let Some(switch) = &mut self.switch
        {
            switch.pending.push(Pending::Data(side, time, rest.to_vec()));
        }
    }

    fn gap(&mut self, side: Side, time: Timestamp, len: u64, sink: &mut dyn MessageSink) {
        if self.over || len == 0 {
            return;
        }
        let lane = &mut self.lanes[side as usize];
        lane.position = lane.position.saturating_add(len);
        match &mut lane.state {
            State::Body(reader) => {
                let (skipped, left) = (reader.skip(len), reader.left());
                let (missing, done) = (if skipped { len } else { left }, reader.is_done());
                self.skip_body(side, missing, sink);
                if skipped && done || left > 0 && !skipped {
                    self.done(side, true, sink);
                }
                if !skipped {
                    self.lose(side, LostCause::Gap, len, sink);
                }
            }
            State::Head => {
                self.partial(side, sink);
                self.lose(side, LostCause::Gap, len, sink);
            }
            State::Trailers => self.lose(side, LostCause::Gap, len, sink),
            // Bytes before the gap and behind it are not one line.
            State::Search => lane.clear(),
            State::Held(_) => self.hold(side, Pending::Gap(side, time, len)),
        }
        self.release(sink);
    }

    fn finish(&mut self, side: Side, time: Timestamp, sink: &mut dyn MessageSink) {
        if self.over {
            return;
        }
        let lane = &mut self.lanes[side as usize];
        lane.finished = true;
        match &lane.state {
            State::Body(reader) => {
                let complete = matches!(reader, Reader::Close);
                self.done(side, complete, sink);
            }
            State::Trailers => self.done(side, false, sink),
            State::Head => self.partial(side, sink),
            State::Search => lane.clear(),
            State::Held(_) => self.hold(side, Pending::Finish(side, time)),
        }
        self.release(sink);
    }

    fn end(&mut self, sink: &mut dyn MessageSink) {
        if self.over {
            return;
        }
        for side in [Side::Initiator, Side::Responder] {
            match &self.lanes[side as usize].state {
                State::Body(_) | State::Trailers => self.done(side, false, sink),
                State::Head => self.partial(side, sink),
                State::Search | State::Held(_) => {}
            }
        }
        let mut report = self.report(Side::Initiator, sink);
        self.pairing.end(&mut report);
    }

    fn take_switch(&mut self) -> Option<Switch> {
        self.switch.take()
    }

    fn memory(&self) -> usize {
        let lanes: usize = self.lanes.iter().map(Lane::memory).sum();
        size_of::<Self>() + lanes + self.pairing.memory()
    }
}
