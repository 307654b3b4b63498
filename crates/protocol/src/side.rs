//! The two sides of a conversation, and the times of what they send.

use std::time::Duration;

use packet::Timestamp;

/// A side of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The side that opened the conversation.
    Initiator,
    /// The other side.
    Responder,
}

impl Side {
    /// The other side.
    #[inline]
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// The ports of a conversation. They decide only between protocols that both fit the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ports {
    /// The initiator's port.
    pub initiator: u16,
    /// The responder's port.
    pub responder: u16,
}

impl Ports {
    /// Returns `true` if either port is one of `ports`.
    #[must_use]
    pub fn match_any(self, ports: &[u16]) -> bool {
        ports.contains(&self.responder) || ports.contains(&self.initiator)
    }
}

/// The times of the first and the last byte of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Time of the packet that brought the first byte.
    pub first: Timestamp,
    /// Time of the packet that brought the last byte.
    pub last: Timestamp,
}

impl Span {
    /// Creates the span of one moment.
    #[inline]
    #[must_use]
    pub const fn at(time: Timestamp) -> Self {
        Self { first: time, last: time }
    }

    /// Extends the span to `time`. Times that run backwards do not shorten it.
    #[inline]
    pub fn extend(&mut self, time: Timestamp) {
        self.last = self.last.max(time);
    }
}

/// The times of a message in both directions, as its packets were captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Times {
    /// The initiator's bytes of the message; `None` if it has none, or none were captured.
    pub initiator: Option<Span>,
    /// The responder's bytes of the message; `None` if it has none, or none were captured.
    pub responder: Option<Span>,
}

impl Times {
    /// Creates the times of a message that only `side` sent.
    #[must_use]
    pub const fn of(side: Side, span: Span) -> Self {
        match side {
            Side::Initiator => Self { initiator: Some(span), responder: None },
            Side::Responder => Self { initiator: None, responder: Some(span) },
        }
    }

    /// The times of a side's bytes.
    #[must_use]
    pub const fn side(&self, side: Side) -> Option<Span> {
        match side {
            Side::Initiator => self.initiator,
            Side::Responder => self.responder,
        }
    }

    /// The time of the first byte of either side.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        let [a, b] = [self.initiator, self.responder].map(|span| span.map(|span| span.first));
        a.into_iter().chain(b).min()
    }

    /// The time of the last byte of either side.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        let [a, b] = [self.initiator, self.responder].map(|span| span.map(|span| span.last));
        a.max(b)
    }

    /// The time from the last byte of `asking` to the first byte of the other side. It is zero if
    /// the answer began before the question was complete.
    #[must_use]
    pub fn latency(&self, asking: Side) -> Option<Duration> {
        let question = self.side(asking)?.last;
        Some(self.side(asking.other())?.first.saturating_duration_since(question))
    }
}
