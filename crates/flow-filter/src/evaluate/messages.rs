//! Tests of the messages of application protocols.

use std::sync::{Arc, OnceLock};

use ::protocol::{DatagramSession, Message, MessageSink, Ports, Protocol, Registry, Session, Side};
use flow::{Flow, FlowSide, Orientation, Timestamp, protocol};

use super::Progress;
use super::compare::holds;
use crate::condition::Check;
use crate::expression::{Comparison, Operator, Value};
use crate::field::Field;
use crate::key::KeyFields;

/// The parsers of one flow.
#[derive(Debug)]
pub(super) struct Talk {
    session: Parsers,
    ports: Ports,
    /// The protocols that were noted last: the outer one, and the one in its plaintext.
    noted: [Option<Protocol>; 2],
}

#[derive(Debug)]
enum Parsers {
    Streams(Session),
    Datagrams(DatagramSession),
}

/// The checks of messages, as the receiver of what parsers find.
pub(super) struct Values<'a> {
    pub(super) checks: &'a [Check],
    pub(super) progress: &'a mut [Progress],
}

fn registry() -> Arc<Registry> {
    static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();
    Arc::clone(REGISTRY.get_or_init(Arc::default))
}

impl Talk {
    pub(super) fn new<K: KeyFields>(flow: &Flow<'_, K>) -> Self {
        let [a, b] = flow.key.ports().unwrap_or_default();
        let ports = match flow.initiator {
            Orientation::Forward => Ports { initiator: a, responder: b },
            Orientation::Reverse => Ports { initiator: b, responder: a },
        };
        let session = if flow.protocol == protocol::TCP {
            Parsers::Streams(Session::new(registry(), ports))
        } else {
            Parsers::Datagrams(DatagramSession::new(registry(), ports))
        };
        Self { session, ports, noted: [None; 2] }
    }

    pub(super) fn midway(&mut self) {
        if let Parsers::Streams(session) = &mut self.session {
            *session = Session::midway(registry(), self.ports);
        }
    }

    pub(super) fn data(
        &mut self,
        side: FlowSide,
        time: Timestamp,
        bytes: &[u8],
        sink: &mut dyn MessageSink,
    ) {
        if let Parsers::Streams(session) = &mut self.session {
            session.data(side_of(side), time, bytes, sink);
        }
    }

    pub(super) fn gap(
        &mut self,
        side: FlowSide,
        time: Timestamp,
        len: u64,
        sink: &mut dyn MessageSink,
    ) {
        if let Parsers::Streams(session) = &mut self.session {
            session.gap(side_of(side), time, len, sink);
        }
    }

    pub(super) fn finish(&mut self, side: FlowSide, time: Timestamp, sink: &mut dyn MessageSink) {
        if let Parsers::Streams(session) = &mut self.session {
            session.finish(side_of(side), time, sink);
        }
    }

    pub(super) fn datagram(
        &mut self,
        side: FlowSide,
        time: Timestamp,
        (bytes, wire_len): (&[u8], u32),
        sink: &mut dyn MessageSink,
    ) {
        if let Parsers::Datagrams(session) = &mut self.session {
            session.datagram(side_of(side), time, bytes, wire_len as usize, sink);
        }
    }

    pub(super) fn end(&mut self, sink: &mut dyn MessageSink) {
        match &mut self.session {
            Parsers::Streams(session) => session.end(sink),
            Parsers::Datagrams(session) => session.end(sink),
        }
    }

    pub(super) fn memory(&self) -> usize {
        match &self.session {
            Parsers::Streams(session) => session.memory(),
            Parsers::Datagrams(session) => session.memory(),
        }
    }

    /// Returns `true` if no message will come, whatever the flow carries: no parser fits, or what
    /// follows is encrypted.
    pub(super) fn is_over(&self) -> bool {
        match &self.session {
            Parsers::Streams(session) => session.is_unknown(),
            Parsers::Datagrams(session) => session.is_unknown(),
        }
    }

    /// Notes the protocols that were recognized since the last call.
    pub(super) fn note_applications(&mut self, values: &mut Values<'_>) {
        let now = match &self.session {
            Parsers::Streams(session) => [session.protocol(), session.inner_protocol()],
            Parsers::Datagrams(session) => [session.protocol(), None],
        };
        for (now, noted) in now.into_iter().zip(&mut self.noted) {
            if let Some(protocol) = now.filter(|_| now != *noted) {
                *noted = now;
                values.note(Field::Application, &Value::from(protocol.name()));
            }
        }
    }
}

const fn side_of(side: FlowSide) -> Side {
    match side {
        FlowSide::Initiator => Side::Initiator,
        FlowSide::Responder => Side::Responder,
    }
}

impl MessageSink for Values<'_> {
    fn message(&mut self, message: Message) {
        for place in 0..self.checks.len() {
            if let Field::Message(field) = self.checks[place].field {
                field.read(&message, &mut |value| self.note_at(place, &converted(value)));
            }
        }
    }
}

impl Values<'_> {
    /// No message will come.
    pub(super) fn end(&mut self) {
        for (check, progress) in self.checks.iter().zip(&mut *self.progress) {
            if let Progress::Values(seen) = *progress {
                *progress = Progress::Known(seen && is_for_all(&check.comparison));
            }
        }
    }

    /// A message has this value of a field.
    fn note(&mut self, field: Field, value: &Value) {
        for place in 0..self.checks.len() {
            if self.checks[place].field == field {
                self.note_at(place, value);
            }
        }
    }

    fn note_at(&mut self, place: usize, value: &Value) {
        let (check, progress) = (&self.checks[place], &mut self.progress[place]);
        if !matches!(progress, Progress::Values(_)) {
            return;
        }
        let found = match (&check.search, value) {
            (Some(pattern), Value::Text(text)) => pattern.is_in(text),
            _ => holds(&check.comparison, std::slice::from_ref(value)),
        };
        *progress = match (is_for_all(&check.comparison), found) {
            (false, true) => Progress::Known(true),
            (true, false) => Progress::Known(false),
            _ => Progress::Values(true),
        };
    }
}

/// Returns `true` if a comparison has to hold for all values of a field, not for one.
pub(super) const fn is_for_all(comparison: &Comparison) -> bool {
    matches!(comparison, Comparison::Compare(Operator::NotEqual | Operator::AllEqual, _))
}

fn converted(value: ::protocol::Value<'_>) -> Value {
    match value {
        ::protocol::Value::Number(number) => Value::Number(number),
        ::protocol::Value::Address(address) => Value::from(address),
        ::protocol::Value::Bool(holds) => Value::Bool(holds),
        ::protocol::Value::Duration(time) => Value::Duration(time),
        ::protocol::Value::Bytes(bytes) => Value::Text(bytes.into_owned()),
        ::protocol::Value::Text(text) => Value::Text(text.into_owned().into_bytes()),
        // A kind that this crate does not know is compared as it is printed.
        other => Value::Text(other.to_string().into_bytes()),
    }
}
