//! Messages.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::dns;
use crate::field::Field;
use crate::http1;
use crate::opening;
use crate::quic;
use crate::redis;
use crate::registry::Protocol;
use crate::side::{Side, Times};
use crate::tls;
use crate::value::Value;
use crate::websocket;

/// A message that a parser found: usually a question and its answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Message {
    /// The side that asked, or that sent the message if it has no answer.
    pub side: Side,
    /// The times of the first and the last byte of each side.
    pub times: Times,
    /// The protocol that carried this one, such as TLS for HTTP that was decrypted; `None` if the
    /// transport did.
    pub within: Option<Protocol>,
    /// The content, by protocol.
    pub content: Content,
}

/// The content of a message, by protocol.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content {
    /// A request of HTTP/1 or HTTP/2 and its response.
    Http(Box<http1::Exchange>),
    /// A query of DNS and its response, or one of them alone.
    Dns(Box<dns::Exchange>),
    /// A handshake of TLS.
    Tls(Box<tls::Handshake>),
    /// A connection of QUIC.
    Quic(Box<quic::Connection>),
    /// The first exchange of a connection of SMTP, SSH, PostgreSQL and others.
    Opening(Box<opening::Opening>),
    /// A command of Redis and its reply.
    Redis(Box<redis::Command>),
    /// A message of WebSocket.
    WebSocket(Box<websocket::WebSocketMessage>),
    /// A message of a protocol that the program brought itself.
    Custom(Arc<dyn CustomMessage>),
    /// The parser lost its place in the stream of a side.
    Lost(Lost),
}

/// A message of a protocol that is not part of this crate.
pub trait CustomMessage: fmt::Debug + Send + Sync {
    /// The protocol.
    fn protocol(&self) -> Protocol;

    /// Calls `each` with the name and the value of every field. Names begin with the protocol's
    /// name and a dot.
    fn read(&self, each: &mut dyn FnMut(&str, Value<'_>));
}

/// A place where a parser no longer knew where it was in the stream of a side. It goes on with the
/// next message that it recognizes; messages between the two are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Lost {
    /// The protocol of the parser.
    pub protocol: Protocol,
    /// The position in the stream of the message's side, counted from the first byte that the
    /// session received, gaps included.
    pub offset: u64,
    /// The reason.
    pub cause: LostCause,
}

/// The reason why a parser lost its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostCause {
    /// Bytes are missing from a place where the length of what follows is said.
    Gap,
    /// The bytes are not what the protocol allows.
    Syntax,
    /// The sender declared lengths that contradict each other, so that receivers differ in what
    /// they take for the next message.
    Ambiguous,
    /// A part of a message is longer than the limit.
    Limit,
}

impl Message {
    /// Creates a message that the transport carried.
    #[must_use]
    pub const fn new(side: Side, times: Times, content: Content) -> Self {
        Self { side, times, within: None, content }
    }

    /// The protocol of the message.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match &self.content {
            Content::Http(_) => Protocol::HTTP,
            Content::Dns(_) => Protocol::DNS,
            Content::Tls(_) => Protocol::TLS,
            Content::Quic(_) => Protocol::QUIC,
            Content::Opening(opening) => opening.protocol,
            Content::Redis(_) => Protocol::REDIS,
            Content::WebSocket(_) => Protocol::WEBSOCKET,
            Content::Custom(message) => message.protocol(),
            Content::Lost(lost) => lost.protocol,
        }
    }

    /// The time from the last byte of the question to the first byte of the answer; `None` if one
    /// of them is missing.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.times.latency(self.side)
    }

    /// The bytes of memory that the message refers to, without itself; of protocols other than HTTP
    /// an estimate from their fields.
    #[must_use]
    pub fn memory(&self) -> usize {
        if let Content::Http(exchange) = &self.content {
            return exchange.memory();
        }
        let mut bytes = 0;
        self.fields(&mut |_, value| {
            bytes += size_of::<Value<'_>>();
            bytes += match value {
                Value::Text(text) => text.len(),
                Value::Bytes(some) => some.len(),
                _ => 0,
            };
        });
        bytes
    }

    /// The first value of a field; `None` if the message has none.
    #[must_use]
    pub fn value(&self, field: Field) -> Option<Value<'static>> {
        let mut first = None;
        field.read(self, &mut |value| {
            if first.is_none() {
                first = Some(value.into_owned());
            }
        });
        first
    }

    /// The first value of the field of this name; `None` if there is no such field, or the message
    /// has no value of it. Programs that read a field of many messages look it up once with
    /// [`Field::find`].
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'static>> {
        if let Content::Custom(message) = &self.content {
            let mut first = None;
            message.read(&mut |own, value| {
                if first.is_none() && own.eq_ignore_ascii_case(name) {
                    first = Some(value.into_owned());
                }
            });
            return first;
        }
        self.value(Field::find(name)?)
    }

    /// Calls `each` with the name and the value of every field that the message has.
    pub fn fields(&self, each: &mut dyn FnMut(&str, Value<'_>)) {
        if let Content::Custom(message) = &self.content {
            return message.read(each);
        }
        for field in Field::of(self.protocol()) {
            field.read(self, &mut |value| each(field.info().name, value));
        }
    }
}

impl LostCause {
    /// The cause as a word for programs: `gap`, `syntax`, `ambiguous`, `limit`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Syntax => "syntax",
            Self::Ambiguous => "ambiguous",
            Self::Limit => "limit",
        }
    }
}
