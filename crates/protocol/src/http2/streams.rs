//! The streams of a connection that are in progress.

use std::collections::{BTreeMap, VecDeque};

use packet::Timestamp;

use super::grpc::{self, Counter};
use super::section::Section;
use super::{Details, Limits};
use crate::http1::{Body, Exchange, Flags, Framing, Request, Response, Role};
use crate::message::{Content, Message};
use crate::parser::{BodyPiece, MessageSink};
use crate::side::{Side, Span, Times};

/// Interim responses of a stream whose status codes are kept.
const INTERIM: usize = 8;
/// Streams that are over and of which late frames may come, such as after a reset.
const CLOSED: usize = 256;

/// The streams that are in progress.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: BTreeMap<u32, Box<Entry>>,
    /// Bytes of all entries.
    bytes: usize,
    /// Streams that are over, the oldest first.
    closed: VecDeque<u32>,
}

#[derive(Debug, Default)]
struct Entry {
    exchange: Exchange,
    asked: Option<Span>,
    answered: Option<Span>,
    pushed: bool,
    /// By role, as in the arrays below: nothing more comes.
    ended: [bool; 2],
    /// The head was not captured.
    lost: [bool; 2],
    bodies: [BodyState; 2],
    counters: [Counter; 2],
    reset: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum BodyState {
    #[default]
    None,
    Open,
    /// It has ended, or its place was lost.
    Closed,
}

/// The receiver of what is found, and the side of the client.
pub(super) struct Report<'a> {
    pub(super) sink: &'a mut dyn MessageSink,
    pub(super) client: Side,
}

/// A header block that is complete.
pub(super) struct Arrived {
    pub(super) stream: u32,
    pub(super) role: Role,
    pub(super) span: Span,
    pub(super) end_stream: bool,
}

impl Streams {
    /// Takes a header or trailer section.
    pub(super) fn section(
        &mut self,
        arrived: &Arrived,
        section: Section,
        limits: &Limits,
        report: &mut Report<'_>,
    ) {
        let &Arrived { stream, role, span, end_stream } = arrived;
        if self.closed.contains(&stream) {
            return;
        }
        self.change(stream, role, |entry| {
            entry.section(stream, role, section);
            entry.extend(role, span);
        });
        if end_stream {
            self.end_stream(stream, role, report);
        }
        self.keep_limits(limits, report);
    }

    /// Takes a request that the server promises to answer.
    pub(super) fn promise(
        &mut self,
        stream: u32,
        section: Section,
        limits: &Limits,
        report: &mut Report<'_>,
    ) {
        if self.closed.contains(&stream) || self.open.contains_key(&stream) {
            return;
        }
        self.change(stream, Role::Request, |entry| {
            entry.pushed = true;
            entry.ended[Role::Request as usize] = true;
            entry.section(stream, Role::Request, section);
            if let Some(request) = &mut entry.exchange.request {
                request.body.complete = true;
            }
        });
        self.keep_limits(limits, report);
    }

    /// Takes notice that a header block was not captured.
    pub(super) fn lost_section(
        &mut self,
        arrived: &Arrived,
        limits: &Limits,
        report: &mut Report<'_>,
    ) {
        let &Arrived { stream, role, span, end_stream } = arrived;
        if self.closed.contains(&stream) {
            return;
        }
        let entry = self.entry(stream, role);
        entry.lost[role as usize] = true;
        entry.extend(role, span);
        if end_stream {
            self.end_stream(stream, role, report);
        }
        self.keep_limits(limits, report);
    }

    /// Takes bytes of a body.
    pub(super) fn data(
        &mut self,
        (stream, role): (u32, Role),
        time: Timestamp,
        bytes: &[u8],
        report: &mut Report<'_>,
    ) {
        let Some(entry) = self.open.get_mut(&stream) else { return };
        entry.extend(role, Span::at(time));
        let Some(body) = entry.body(role) else { return };
        body.framing = Framing::Frames;
        body.captured = body.captured.saturating_add(bytes.len() as u64);
        entry.counters[role as usize].data(bytes);
        if report.sink.wants_bodies() && entry.begin_body(stream, role, report) {
            let (side, message) = (report.side(role), stream.into());
            report.sink.body(BodyPiece::Data { side, message, bytes });
        }
    }

    /// Takes notice that bytes of a body were not captured.
    pub(super) fn gap(&mut self, (stream, role): (u32, Role), len: u64, report: &mut Report<'_>) {
        let Some(entry) = self.open.get_mut(&stream) else { return };
        let Some(body) = entry.body(role) else { return };
        body.framing = Framing::Frames;
        body.missing = body.missing.saturating_add(len);
        entry.counters[role as usize].gap(len);
        if report.sink.wants_bodies() && entry.begin_body(stream, role, report) {
            let (side, message) = (report.side(role), stream.into());
            report.sink.body(BodyPiece::Gap { side, message, len });
        }
    }

    /// Takes notice that a direction of a stream is over.
    pub(super) fn end_stream(&mut self, stream: u32, role: Role, report: &mut Report<'_>) {
        let Some(entry) = self.open.get_mut(&stream) else { return };
        entry.ended[role as usize] = true;
        // After a lost place an unknown number of bytes is missing.
        let whole = entry.bodies[role as usize] != BodyState::Closed;
        if let Some(body) = entry.body(role) {
            body.complete = whole;
        }
        entry.end_body(stream, role, true, report);
        if entry.ended == [true; 2] {
            self.close(stream, report);
        }
    }

    /// Takes notice that a stream was ended by an error code.
    pub(super) fn reset(&mut self, stream: u32, code: u32, report: &mut Report<'_>) {
        let Some(entry) = self.open.get_mut(&stream) else { return };
        entry.reset = Some(code);
        self.close(stream, report);
    }

    /// Takes notice that an unknown number of frames of a side is missing.
    pub(super) fn lose(&mut self, role: Role, report: &mut Report<'_>) {
        for (&stream, entry) in &mut self.open {
            if !entry.ended[role as usize] {
                entry.end_body(stream, role, false, report);
                entry.bodies[role as usize] = BodyState::Closed;
                entry.counters[role as usize].lose();
            }
        }
    }

    /// Reports everything that is still incomplete.
    pub(super) fn end(&mut self, report: &mut Report<'_>) {
        while let Some((&stream, _)) = self.open.first_key_value() {
            self.close(stream, report);
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes + self.closed.capacity() * size_of::<u32>()
    }

    /// Changes a stream, whose memory may change with it.
    fn change(&mut self, stream: u32, role: Role, change: impl FnOnce(&mut Entry)) {
        let entry = self.entry(stream, role);
        let before = entry.memory();
        change(entry);
        let after = entry.memory();
        self.bytes = self.bytes - before + after;
    }

    fn entry(&mut self, stream: u32, role: Role) -> &mut Entry {
        let Self { open, bytes, .. } = self;
        open.entry(stream).or_insert_with(|| {
            let mut entry = Box::<Entry>::default();
            // A response whose request was not seen: it will not come.
            entry.ended[Role::Request as usize] = role == Role::Response;
            *bytes += entry.memory();
            entry
        })
    }

    /// Reports the oldest streams as they are if there are too many.
    fn keep_limits(&mut self, limits: &Limits, report: &mut Report<'_>) {
        while self.open.len() > limits.streams || self.bytes > limits.stream_bytes {
            let Some((&stream, entry)) = self.open.iter_mut().next() else { break };
            entry.exchange.flags |= Flags::UNPAIRED;
            self.close(stream, report);
        }
    }

    fn close(&mut self, stream: u32, report: &mut Report<'_>) {
        let Some(mut entry) = self.open.remove(&stream) else { return };
        self.bytes = self.bytes.saturating_sub(entry.memory());
        for role in [Role::Request, Role::Response] {
            let ended = entry.ended[role as usize];
            entry.end_body(stream, role, ended, report);
        }
        report.exchange(stream, *entry);
        if self.closed.len() == CLOSED {
            self.closed.pop_front();
        }
        self.closed.push_back(stream);
    }
}

impl Entry {
    fn section(&mut self, stream: u32, role: Role, section: Section) {
        let index = role as usize;
        let has = match role {
            Role::Request => self.exchange.request.is_some(),
            Role::Response => self.exchange.response.is_some(),
        };
        self.exchange.flags |= section.flags();
        if has {
            if let Some(body) = self.body(role) {
                body.trailers = section.into_headers();
            }
            return;
        }
        if role == Role::Response
            && let Some(status) = section.interim()
        {
            if self.exchange.interim.len() < INTERIM {
                self.exchange.interim.push(status);
            }
            return;
        }
        // Trailers of a message whose head is lost.
        if self.lost[index] && !section.begins(role) {
            return;
        }
        let (head, body, number) =
            (section.into_head(role), Body::new(Framing::None), stream.into());
        let body = Body { complete: false, ..body };
        match role {
            Role::Request => self.exchange.request = Some(Request { head, body, number }),
            Role::Response => self.exchange.response = Some(Response { head, body, number }),
        }
    }

    fn body(&mut self, role: Role) -> Option<&mut Body> {
        match role {
            Role::Request => Some(&mut self.exchange.request.as_mut()?.body),
            Role::Response => Some(&mut self.exchange.response.as_mut()?.body),
        }
    }

    fn extend(&mut self, role: Role, span: Span) {
        let own = match role {
            Role::Request => &mut self.asked,
            Role::Response => &mut self.answered,
        };
        own.get_or_insert(span).extend(span.last);
    }

    /// Reports the beginning of a body once. Returns `false` if its pieces have no place any more.
    fn begin_body(&mut self, stream: u32, role: Role, report: &mut Report<'_>) -> bool {
        let state = &mut self.bodies[role as usize];
        match *state {
            BodyState::Open => true,
            BodyState::Closed => false,
            BodyState::None => {
                *state = BodyState::Open;
                let (side, message) = (report.side(role), stream.into());
                if let Some(head) = self.exchange.body_head(role) {
                    report.sink.body(BodyPiece::Begin { side, message, head: &head });
                }
                true
            }
        }
    }

    /// Reports the end of a body, if one is open.
    fn end_body(&mut self, stream: u32, role: Role, ended: bool, report: &mut Report<'_>) {
        if self.bodies[role as usize] == BodyState::Open {
            self.bodies[role as usize] = BodyState::Closed;
            let complete = ended && self.body(role).is_some_and(|body| body.missing == 0);
            let (side, message) = (report.side(role), stream.into());
            report.sink.body(BodyPiece::End { side, message, complete });
        }
    }

    fn memory(&self) -> usize {
        size_of::<Self>() - size_of::<Exchange>() + self.exchange.memory()
    }

    fn is_grpc(&self) -> bool {
        let Exchange { request, response, .. } = &self.exchange;
        let heads =
            [request.as_ref().map(Request::headers), response.as_ref().map(Response::headers)];
        let mut types = heads.into_iter().flatten().filter_map(|it| it.get("content-type"));
        types.any(|value| {
            let rest = value.strip_prefix(b"application/grpc");
            rest.is_some_and(|rest| rest.first().is_none_or(|byte| b"+; ".contains(byte)))
        })
    }
}

impl Report<'_> {
    fn side(&self, role: Role) -> Side {
        match role {
            Role::Request => self.client,
            Role::Response => self.client.other(),
        }
    }

    fn exchange(&mut self, stream: u32, entry: Entry) {
        let grpc = entry.is_grpc().then(|| {
            let response = entry.exchange.response.as_ref();
            // A call that fails at once has no trailers: the head has the outcome.
            let find = |name| {
                response
                    .and_then(|it| it.body.trailers.get(name).or_else(|| it.headers().get(name)))
            };
            let status =
                find("grpc-status").and_then(|value| str::from_utf8(value).ok()?.parse().ok());
            let [asked, answered] = entry.counters;
            grpc::of(asked, answered, status, find("grpc-message"))
        });
        let Entry { mut exchange, asked, answered, pushed, reset, .. } = entry;
        exchange.http2 = Some(Box::new(Details { stream, reset, pushed, grpc }));
        let times = match self.client {
            Side::Initiator => Times { initiator: asked, responder: answered },
            Side::Responder => Times { initiator: answered, responder: asked },
        };
        self.sink.message(Message::new(self.client, times, Content::Http(Box::new(exchange))));
    }
}
