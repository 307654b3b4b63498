//! Requests and the responses that answer them.

use std::collections::VecDeque;

use super::exchange::{Body, Exchange, Framing, Request, Response};
use super::flags::Flags;
use super::head::{Head, Role};
use super::{Limits, body};
use crate::message::{Content, Message};
use crate::parser::{MessageSink, Next};
use crate::registry::Protocol;
use crate::side::{Side, Span, Times};

/// Interim responses of an exchange whose status codes are kept.
const INTERIM: usize = 8;
/// Responses that wait for their requests.
const UNASKED: usize = 16;
/// Bytes of them.
const UNASKED_BYTES: usize = 128 << 10;
/// Groups of requests that were reported without waiting for their responses.
const REPORTED: usize = 1024;

/// The meaning of a request's method for its response (RFC 9110, 9.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Plain,
    /// The response has no body.
    Head,
    /// A successful response has no body, and the protocol changes.
    Connect,
    /// The response 101 changes the protocol.
    Upgrade,
}

/// An exchange of which something is still to come.
#[derive(Debug, Default)]
struct Entry {
    exchange: Exchange,
    kind: Kind,
    asked: Option<Span>,
    answered: Option<Span>,
    /// It is reported without its response.
    alone: bool,
}

/// The requests that wait for a response, and the messages that are in progress.
#[derive(Debug)]
pub(super) struct Pairing {
    /// Complete requests, the oldest first.
    waiting: VecDeque<Box<Entry>>,
    /// Bytes of their heads.
    waiting_bytes: usize,
    /// Behind them: requests that were reported alone, as runs of a kind.
    reported: VecDeque<(Kind, u32)>,
    /// The request whose body is in progress.
    asking: Option<Box<Entry>>,
    /// The exchange whose response's body is in progress, unless its request is, too.
    answering: Option<Box<Entry>>,
    /// Complete responses whose requests have not come. Where packets are missing or a connection
    /// is picked up midway, a request may be delivered after its response: its time tells.
    unasked: VecDeque<Box<Entry>>,
    /// The response of `asking` is in progress.
    answers_asking: bool,
    /// Responses were lost: the next one may answer any request that waits.
    lost_responses: bool,
    /// Requests were lost: a response may answer one of them.
    lost_requests: bool,
    /// The client has sent a request before the last one was answered.
    pipelined: bool,
}

/// The consequence of the head of a response.
#[derive(Debug)]
pub(super) enum Answer {
    /// An interim response: nothing follows.
    Interim,
    /// A body with this framing.
    Body(Framing),
    /// The protocol changes behind the head.
    Switch(Next),
}

/// The receiver of complete exchanges, and the side of the client.
pub(super) struct Report<'a> {
    pub(super) sink: &'a mut dyn MessageSink,
    pub(super) client: Side,
}

impl Pairing {
    pub(super) const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            reported: VecDeque::new(),
            asking: None,
            answering: None,
            unasked: VecDeque::new(),
            answers_asking: false,
            lost_responses: false,
            lost_requests: false,
            pipelined: false,
        }
    }

    /// Takes the head of a request. Returns the framing of its body.
    pub(super) fn request(
        &mut self,
        head: Head,
        mut flags: Flags,
        number: u64,
        span: Span,
        limits: &Limits,
    ) -> Framing {
        let framing = match flags.contains(Flags::INCOMPLETE_HEAD) {
            true => Framing::Unknown,
            false => body::of_request(&head, &mut flags),
        };
        flags |= body::other_flags(&head, Role::Request);
        let kind = kind_of(&head);
        let bytes = self.waiting_bytes.saturating_add(head.memory());
        let crowded = self.waiting.len() >= limits.pending || bytes > limits.pending_bytes;
        let alone = crowded || !self.reported.is_empty();
        if alone {
            flags |= Flags::UNPAIRED;
            self.report_later(kind);
        }
        let request = Request { head, body: Body::new(framing), number };
        let exchange = Exchange { request: Some(request), flags, ..Exchange::default() };
        let asked = Some(span);
        self.asking = Some(Box::new(Entry { exchange, kind, asked, alone, ..Entry::default() }));
        framing
    }

    /// Takes notice that the request's body is over.
    pub(super) fn request_done(
        &mut self,
        complete: bool,
        span: Option<Span>,
        report: &mut Report<'_>,
    ) {
        let Some(mut entry) = self.asking.take() else { return };
        if let (Some(asked), Some(span)) = (&mut entry.asked, span) {
            asked.extend(span.last);
        }
        if let Some(request) = &mut entry.exchange.request {
            request.body.complete = complete;
        }
        if self.answers_asking {
            self.answers_asking = false;
            self.answering = Some(entry);
        } else if entry.alone || entry.exchange.response.is_some() {
            report.exchange(*entry);
        } else if let Some(entry) = self.answered_before(entry, report) {
            self.waiting_bytes += entry.memory();
            self.waiting.push_back(entry);
        }
    }

    /// Takes the head of a response. Returns what follows it.
    pub(super) fn response(
        &mut self,
        head: Head,
        mut flags: Flags,
        number: u64,
        span: Span,
        report: &mut Report<'_>,
    ) -> Answer {
        let response = Response { head, body: Body::new(Framing::None), number };
        let status = response.status();
        let switches = status == 101;
        if (100..200).contains(&status) && !switches {
            let next = match self.waiting.front_mut() {
                Some(next) => Some(next),
                None if self.reported.is_empty() => self.asking.as_mut(),
                None => None,
            };
            if let Some(next) = next
                && next.exchange.interim.len() < INTERIM
            {
                next.exchange.interim.push(status);
            }
            return Answer::Interim;
        }
        // An exchange whose response was not over, which no call should leave behind.
        self.response_done(false, None, report);
        let (mut entry, of_asking) = self.answered(span, report);
        let next = match entry.kind {
            _ if switches => Some(upgrade(&response)),
            Kind::Connect if (200..300).contains(&status) => Some(Next::Identify),
            _ => None,
        };
        let empty = entry.kind == Kind::Head || matches!(status, 204 | 304) || next.is_some();
        let framing = match empty {
            _ if flags.contains(Flags::INCOMPLETE_HEAD) => Framing::Unknown,
            true => Framing::None,
            false => body::of_response(&response.head, &mut flags),
        };
        entry.exchange.flags |= flags;
        entry.exchange.response = Some(Response { body: Body::new(framing), ..response });
        entry.answered = Some(span);
        if of_asking {
            self.asking = Some(entry);
            self.answers_asking = true;
        } else {
            self.answering = Some(entry);
        }
        match next {
            Some(next) => {
                self.response_done(true, None, report);
                Answer::Switch(next)
            }
            None => Answer::Body(framing),
        }
    }

    /// Takes notice that the response's body is over.
    pub(super) fn response_done(
        &mut self,
        complete: bool,
        span: Option<Span>,
        report: &mut Report<'_>,
    ) {
        let of_asking = std::mem::take(&mut self.answers_asking);
        let entry = if of_asking { &mut self.asking } else { &mut self.answering };
        let Some(entry) = entry else { return };
        if let (Some(answered), Some(span)) = (&mut entry.answered, span) {
            answered.extend(span.last);
        }
        if let Some(response) = &mut entry.exchange.response {
            response.body.complete = complete;
        }
        // An exchange whose request is in progress is reported when that is over.
        if of_asking {
            return;
        }
        let Some(entry) = self.answering.take() else { return };
        if entry.is_unasked() {
            self.unasked.push_back(entry);
            while self.unasked.len() > UNASKED || self.unasked_bytes() > UNASKED_BYTES {
                self.report_unasked(1, report);
            }
        } else {
            report.exchange(*entry);
        }
    }

    /// The body of the request in progress.
    pub(super) fn request_body(&mut self) -> Option<(&mut Body, &mut Flags)> {
        let exchange = &mut self.asking.as_mut()?.exchange;
        Some((&mut exchange.request.as_mut()?.body, &mut exchange.flags))
    }

    /// The exchange whose request or response is in progress.
    pub(super) fn current(&self, role: Role) -> Option<&Exchange> {
        let entry = match role {
            Role::Response if !self.answers_asking => &self.answering,
            _ => &self.asking,
        };
        entry.as_ref().map(|entry| &entry.exchange)
    }

    /// The body of the response in progress.
    pub(super) fn response_body(&mut self) -> Option<(&mut Body, &mut Flags)> {
        let entry = if self.answers_asking { &mut self.asking } else { &mut self.answering };
        let exchange = &mut entry.as_mut()?.exchange;
        Some((&mut exchange.response.as_mut()?.body, &mut exchange.flags))
    }

    /// Returns `true` if a response that is still to come may change the protocol, so that the
    /// client's next bytes may be of another one.
    pub(super) fn may_switch(&self) -> bool {
        // Nothing is parsed behind such a request, so it is the last one.
        self.waiting.back().is_some_and(|last| matches!(last.kind, Kind::Connect | Kind::Upgrade))
    }

    /// Takes notice that requests may be missing from here on.
    pub(super) fn lose_requests(&mut self, report: &mut Report<'_>) {
        self.lost_requests = true;
        self.request_done(false, None, report);
    }

    /// Takes notice that responses may be missing from here on.
    pub(super) fn lose_responses(&mut self, report: &mut Report<'_>) {
        self.lost_responses = true;
        self.response_done(false, None, report);
    }

    /// Reports everything that is still incomplete, in the order in which it was asked.
    pub(super) fn end(&mut self, report: &mut Report<'_>) {
        if !self.answers_asking {
            self.response_done(false, None, report);
        }
        self.report_unasked(usize::MAX, report);
        for entry in self.waiting.drain(..) {
            report.exchange(*entry);
        }
        self.waiting_bytes = 0;
        if let Some(entry) = self.asking.take() {
            report.exchange(*entry);
        }
        self.answers_asking = false;
        self.reported.clear();
    }

    pub(super) fn memory(&self) -> usize {
        let entry = |entry: &Option<Box<Entry>>| entry.as_ref().map_or(0, |entry| entry.memory());
        let waiting = self.waiting.len() * size_of::<Entry>()
            + self.waiting.capacity() * size_of::<Box<Entry>>()
            + self.waiting_bytes;
        let reported = self.reported.capacity() * size_of::<(Kind, u32)>();
        waiting + reported + self.unasked_bytes() + entry(&self.asking) + entry(&self.answering)
    }

    /// Takes the exchange that the next response belongs to; `true` if its request is in progress.
    fn answered(&mut self, span: Span, report: &mut Report<'_>) -> (Box<Entry>, bool) {
        let mut flags = Flags::default();
        if std::mem::take(&mut self.lost_responses) {
            // Without pipelining a response answers the last request before it.
            while !self.pipelined
                && self
                    .waiting
                    .get(1)
                    .is_some_and(|next| next.asked.is_some_and(|at| at.first <= span.first))
            {
                flags |= Flags::UNCERTAIN_PAIR;
                if let Some(entry) = self.pop() {
                    report.exchange(*entry);
                }
            }
            if self.pipelined {
                flags |= Flags::UNCERTAIN_PAIR;
            }
        }
        let later = |entry: &Entry| entry.asked.is_some_and(|at| at.first > span.first);
        if self.lost_requests && self.waiting.front().is_some_and(|entry| later(entry)) {
            // It answers a request that was not captured.
            return (Box::default(), false);
        }
        if let Some(mut entry) = self.pop() {
            self.pipelined |= self.waiting.front().is_some_and(|next| !later(next));
            entry.exchange.flags |= flags;
            return (entry, false);
        }
        if let Some((kind, count)) = self.reported.front_mut() {
            let kind = *kind;
            *count -= 1;
            if *count == 0 {
                self.reported.pop_front();
            }
            let exchange = Exchange { flags: Flags::UNPAIRED, ..Exchange::default() };
            return (Box::new(Entry { kind, exchange, ..Entry::default() }), false);
        }
        match self.asking.take() {
            Some(entry) if entry.exchange.response.is_none() && !entry.alone => (entry, true),
            asking => {
                self.asking = asking;
                (Box::default(), false)
            }
        }
    }

    /// Gives a complete request the response that was delivered before it, if there is one. Returns
    /// the entry if it did not come yet.
    fn answered_before(
        &mut self,
        mut entry: Box<Entry>,
        report: &mut Report<'_>,
    ) -> Option<Box<Entry>> {
        let asked = entry.asked.map(|span| span.first);
        let after = |other: &Entry| other.answered.map(|span| span.first) >= asked;
        let early = self.unasked.iter().take_while(|other| !after(other)).count();
        self.report_unasked(early, report);
        if !self.waiting.is_empty() {
            return Some(entry);
        }
        let (response, complete) = match self.unasked.pop_front() {
            Some(response) => (response, true),
            None => match self.answering.take() {
                Some(response) if response.is_unasked() && after(&response) => (response, false),
                answering => {
                    self.answering = answering;
                    return Some(entry);
                }
            },
        };
        let Entry { exchange, answered, .. } = *response;
        entry.exchange.flags |= exchange.flags;
        entry.exchange.response = exchange.response;
        entry.answered = answered;
        if complete {
            report.exchange(*entry);
        } else {
            self.answering = Some(entry);
        }
        None
    }

    fn unasked_bytes(&self) -> usize {
        self.unasked.iter().map(|entry| entry.memory()).sum()
    }

    fn report_unasked(&mut self, count: usize, report: &mut Report<'_>) {
        let count = count.min(self.unasked.len());
        for entry in self.unasked.drain(..count) {
            report.exchange(*entry);
        }
    }

    fn pop(&mut self) -> Option<Box<Entry>> {
        let entry = self.waiting.pop_front()?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(entry.memory());
        Some(entry)
    }

    /// Remembers that a request was reported alone, so that its response is not taken for
    /// another's.
    fn report_later(&mut self, kind: Kind) {
        let runs = self.reported.len();
        match self.reported.back_mut() {
            Some((last, count)) if *last == kind && *count < u32::MAX => *count += 1,
            _ if runs < REPORTED => self.reported.push_back((kind, 1)),
            // A client that mixes methods to exhaust memory loses the pairs of its own requests.
            _ => self.lost_requests = true,
        }
    }
}

impl Entry {
    /// Returns `true` for a response whose request has not come.
    fn is_unasked(&self) -> bool {
        self.exchange.request.is_none() && !self.exchange.flags.contains(Flags::UNPAIRED)
    }

    fn memory(&self) -> usize {
        size_of::<Self>() - size_of::<Exchange>() + self.exchange.memory()
    }
}

impl Report<'_> {
    fn exchange(&mut self, entry: Entry) {
        let Entry { exchange, asked, answered, .. } = entry;
        let times = match self.client {
            Side::Initiator => Times { initiator: asked, responder: answered },
            Side::Responder => Times { initiator: answered, responder: asked },
        };
        self.sink.message(Message::new(self.client, times, Content::Http(Box::new(exchange))));
    }
}

fn kind_of(head: &Head) -> Kind {
    match head.first() {
        b"HEAD" => Kind::Head,
        b"CONNECT" => Kind::Connect,
        _ if head.headers().get("upgrade").is_some()
            && head.headers().has_token("connection", "upgrade") =>
        {
            Kind::Upgrade
        }
        _ => Kind::Plain,
    }
}

/// The protocol that a response 101 names. WebSocket's frames cannot be recognized by their bytes.
fn upgrade(response: &Response) -> Next {
    match response.headers().get("upgrade") {
        Some(name) if name.eq_ignore_ascii_case(b"websocket") => {
            Next::Protocol(Protocol::WEBSOCKET)
        }
        Some(name) if name.eq_ignore_ascii_case(b"h2c") => Next::Protocol(Protocol::HTTP2),
        _ => Next::Identify,
    }
}
