//! Queries that wait for their responses.

use std::collections::VecDeque;
use std::time::Duration;

use packet::Timestamp;

use super::{DnsMessage, Exchange, Transport};
use crate::message::{Content, Message};
use crate::parser::MessageSink;
use crate::side::{Side, Span, Times};

/// The most queries that wait.
const MAX_PENDING: usize = 128;
/// The most memory of the queries that wait, in bytes.
const MAX_BYTES: usize = 64 << 10;
/// The time after which no response is expected. Resolvers give up after 5 to 30 seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pairs the messages of one conversation.
#[derive(Debug)]
pub(super) struct Pairing {
    transport: Transport,
    pending: VecDeque<Pending>,
    bytes: usize,
}

#[derive(Debug)]
struct Pending {
    side: Side,
    query: DnsMessage,
    span: Span,
    retransmissions: u32,
    bytes: usize,
}

impl Pairing {
    pub(super) const fn new(transport: Transport) -> Self {
        Self { transport, pending: VecDeque::new(), bytes: 0 }
    }

    pub(super) const fn transport(&self) -> Transport {
        self.transport
    }

    /// Takes the next message of a side.
    pub(super) fn message(
        &mut self,
        side: Side,
        span: Span,
        message: DnsMessage,
        sink: &mut dyn MessageSink,
    ) {
        // Responses to a multicast come from other addresses, which are other conversations; in
        // this one a query would only wait in vain.
        let alone = matches!(self.transport, Transport::Multicast | Transport::Llmnr);
        if alone {
            let (query, response) =
                if message.response { (None, Some(message)) } else { (Some(message), None) };
            return self.report(side, Times::of(side, span), query, response, 0, sink);
        }
        if message.response {
            self.response(side, span, message, sink);
        } else {
            self.query(side, span, message, sink);
        }
    }

    /// Reports the queries that have waited for too long.
    pub(super) fn tick(&mut self, now: Timestamp, sink: &mut dyn MessageSink) {
        while self
            .pending
            .front()
            .is_some_and(|oldest| now.saturating_duration_since(oldest.span.first) >= PATIENCE)
        {
            self.give_up(sink);
        }
    }

    /// Reports all queries that wait.
    pub(super) fn end(&mut self, sink: &mut dyn MessageSink) {
        while self.give_up(sink) {}
    }

    pub(super) fn memory(&self) -> usize {
        self.pending.capacity() * size_of::<Pending>() + self.bytes
    }

    fn query(&mut self, side: Side, span: Span, query: DnsMessage, sink: &mut dyn MessageSink) {
        let same = |pending: &&mut Pending| {
            pending.side == side
                && pending.query.id == query.id
                && pending.query.opcode == query.opcode
                && pending.query.questions == query.questions
        };
        // The time of the first one counts: it is how long the client has waited.
        if let Some(pending) = self.pending.iter_mut().find(same) {
            pending.retransmissions = pending.retransmissions.saturating_add(1);
            return;
        }
        let bytes = heap_size(&query);
        self.bytes += bytes;
        self.pending.push_back(Pending { side, query, span, retransmissions: 0, bytes });
        while self.pending.len() > MAX_PENDING || self.bytes > MAX_BYTES {
            self.give_up(sink);
        }
    }

    fn response(
        &mut self,
        side: Side,
        span: Span,
        response: DnsMessage,
        sink: &mut dyn MessageSink,
    ) {
        let found = self
            .pending
            .iter()
            .position(|pending| pending.side == side.other() && answers(&response, &pending.query));
        let Some(pending) = found.and_then(|index| self.pending.remove(index)) else {
            return self.report(side, Times::of(side, span), None, Some(response), 0, sink);
        };
        self.bytes -= pending.bytes;
        let mut times = Times::of(pending.side, pending.span);
        match side {
            Side::Initiator => times.initiator = Some(span),
            Side::Responder => times.responder = Some(span),
        }
        let (query, retransmissions) = (Some(pending.query), pending.retransmissions);
        self.report(pending.side, times, query, Some(response), retransmissions, sink);
    }

    /// Reports the oldest query without a response. Returns `false` if nothing waits.
    fn give_up(&mut self, sink: &mut dyn MessageSink) -> bool {
        let Some(oldest) = self.pending.pop_front() else { return false };
        self.bytes -= oldest.bytes;
        let times = Times::of(oldest.side, oldest.span);
        self.report(oldest.side, times, Some(oldest.query), None, oldest.retransmissions, sink);
        true
    }

    fn report(
        &self,
        side: Side,
        times: Times,
        query: Option<DnsMessage>,
        response: Option<DnsMessage>,
        retransmissions: u32,
        sink: &mut dyn MessageSink,
    ) {
        let transport = self.transport;
        let exchange = Exchange { transport, query, response, retransmissions };
        sink.message(Message::new(side, times, Content::Dns(Box::new(exchange))));
    }
}

/// Returns `true` if `response` belongs to `query`. Some servers leave the question out of an error
/// (RFC 7873, section 5.4), some answer in another case than they were asked.
fn answers(response: &DnsMessage, query: &DnsMessage) -> bool {
    response.id == query.id
        && match (response.question(), query.question()) {
            (Some(response), Some(query)) => {
                response.qtype == query.qtype && response.name.eq_ignore_ascii_case(&query.name)
            }
            _ => true,
        }
}

fn heap_size(message: &DnsMessage) -> usize {
    let questions = message.questions.iter().map(|question| question.name.capacity());
    let answers =
        message.answers.iter().map(|record| record.name.capacity() + record.data.capacity());
    questions.chain(answers).sum::<usize>()
        + message.questions.capacity() * size_of::<super::Question>()
        + message.answers.capacity() * size_of::<super::Record>()
}
