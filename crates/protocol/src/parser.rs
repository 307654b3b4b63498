//! The traits of parsers and of what takes their messages.

use packet::Timestamp;

use crate::body_head::BodyHead;
use crate::message::Message;
use crate::registry::Protocol;
use crate::side::Side;

/// A parser of a protocol over two streams of ordered bytes.
///
/// Bytes come in order, each once, in pieces of any length. How they are divided must not change
/// the messages. A parser holds a bounded amount of them and never fails: bytes that the protocol
/// does not allow make it lose its place, which it reports as a message.
pub trait StreamParser: Send {
    /// Takes the next bytes of a side, from a packet captured at `time`.
    fn data(&mut self, side: Side, time: Timestamp, bytes: &[u8], sink: &mut dyn MessageSink);

    /// Skips `len` bytes of a side that were not captured.
    fn gap(&mut self, side: Side, time: Timestamp, len: u64, sink: &mut dyn MessageSink);

    /// Takes notice that a side sends nothing more (its FIN).
    fn finish(&mut self, side: Side, time: Timestamp, sink: &mut dyn MessageSink);

    /// Takes notice that the conversation is over. Messages that are not complete are reported with
    /// what is known of them.
    fn end(&mut self, sink: &mut dyn MessageSink);

    /// Takes notice that it is `now`, for what depends on time alone. Called about once a second.
    fn tick(&mut self, _now: Timestamp, _sink: &mut dyn MessageSink) {}

    /// Takes the protocol change that the last call found, if there was one. The parser receives
    /// nothing afterwards.
    fn take_switch(&mut self) -> Option<Switch> {
        None
    }

    /// The bytes of memory that the parser holds, itself included.
    fn memory(&self) -> usize;
}

/// A parser of a protocol in datagrams.
pub trait DatagramParser: Send {
    /// Takes a datagram of a side, captured at `time`. `bytes` may be shorter than the datagram was
    /// if the capture cut it off: `wire_len` is its length on the wire.
    fn datagram(
        &mut self,
        side: Side,
        time: Timestamp,
        bytes: &[u8],
        wire_len: usize,
        sink: &mut dyn MessageSink,
    );

    /// Takes notice that the conversation is over. Questions without an answer are reported.
    fn end(&mut self, sink: &mut dyn MessageSink);

    /// Takes notice that it is `now`, for what depends on time alone. Called about once a second.
    fn tick(&mut self, _now: Timestamp, _sink: &mut dyn MessageSink) {}

    /// The bytes of memory that the parser holds, itself included.
    fn memory(&self) -> usize;
}

/// The receiver of what parsers find. Every closure that takes a [`Message`] is one.
pub trait MessageSink {
    /// Takes a message.
    fn message(&mut self, message: Message);

    /// Returns `true` if [`body`](Self::body) is to be called.
    fn wants_bodies(&self) -> bool {
        false
    }

    /// Takes a piece of a body. Called only if [`wants_bodies`](Self::wants_bodies) returns `true`.
    fn body(&mut self, _piece: BodyPiece<'_>) {}

    /// Takes plaintext that a parser made of ciphertext, in order. A [`Session`](crate::Session)
    /// takes it itself and parses it as a conversation of its own; only programs that use a parser
    /// without one receive it here.
    fn plaintext(&mut self, _side: Side, _time: Timestamp, _bytes: &[u8]) {}
}

impl<F: FnMut(Message)> MessageSink for F {
    fn message(&mut self, message: Message) {
        self(message);
    }
}

/// A piece of a message's body.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum BodyPiece<'a> {
    /// A body begins. Bodies without bytes are not reported.
    #[non_exhaustive]
    Begin {
        /// The side that sends the body.
        side: Side,
        /// The number of the body's message among the messages that this side sent.
        message: u64,
        /// The known facts about it.
        head: &'a BodyHead,
    },
    /// The next bytes.
    #[non_exhaustive]
    Data {
        /// The side that sends the body.
        side: Side,
        /// The number of the body's message among the messages that this side sent.
        message: u64,
        /// The bytes, with their codings: see [`BodyDecoder`](crate::coding::BodyDecoder).
        bytes: &'a [u8],
    },
    /// The next bytes of the body were not captured.
    #[non_exhaustive]
    Gap {
        /// The side that sends the body.
        side: Side,
        /// The number of the body's message among the messages that this side sent.
        message: u64,
        /// The number of bytes, as they were sent.
        len: u64,
    },
    /// The body is over.
    #[non_exhaustive]
    End {
        /// The side that sends the body.
        side: Side,
        /// The number of the body's message among the messages that this side sent.
        message: u64,
        /// `true` if all of it was captured.
        complete: bool,
    },
}

impl<'a> BodyPiece<'a> {
    /// Creates the beginning of a body, for parsers outside of this crate.
    #[must_use]
    pub const fn begin(side: Side, message: u64, head: &'a BodyHead) -> Self {
        Self::Begin { side, message, head }
    }

    /// The side that sends the body.
    #[must_use]
    pub const fn side(&self) -> Side {
        match self {
            Self::Begin { side, .. }
            | Self::Data { side, .. }
            | Self::Gap { side, .. }
            | Self::End { side, .. } => *side,
        }
    }

    /// The number of the body's message among the messages that its side sent.
    #[must_use]
    pub const fn message(&self) -> u64 {
        match self {
            Self::Begin { message, .. }
            | Self::Data { message, .. }
            | Self::Gap { message, .. }
            | Self::End { message, .. } => *message,
        }
    }

    /// Creates a piece of data, for parsers outside of this crate.
    #[must_use]
    pub const fn data(side: Side, message: u64, bytes: &'a [u8]) -> Self {
        Self::Data { side, message, bytes }
    }

    /// Creates a gap, for parsers outside of this crate.
    #[must_use]
    pub const fn gap(side: Side, message: u64, len: u64) -> Self {
        Self::Gap { side, message, len }
    }

    /// Creates the end of a body, for parsers outside of this crate.
    #[must_use]
    pub const fn end(side: Side, message: u64, complete: bool) -> Self {
        Self::End { side, message, complete }
    }
}

/// A change of the protocol within a conversation, such as after HTTP's `CONNECT` or `STARTTLS`.
#[derive(Clone, Debug)]
pub struct Switch {
    /// The protocol that follows.
    pub next: Next,
    /// Everything that the parser received of the next protocol, in the order in which it came.
    pub pending: Vec<Pending>,
}

/// The protocol that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Next {
    /// It is not known: the bytes decide.
    Identify,
    /// This one, if it is registered; otherwise the rest of the conversation is unknown.
    Protocol(Protocol),
    /// Nothing that can be parsed.
    Opaque,
}

/// A part of a stream that a parser has received but that belongs to the next protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Bytes of a side.
    Data(Side, Timestamp, Vec<u8>),
    /// The number of bytes of a side that were not captured.
    Gap(Side, Timestamp, u64),
    /// The end of a side.
    Finish(Side, Timestamp),
}
