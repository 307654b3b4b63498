//! Whatever shows a conversation.

use std::fmt;

use conversation::Chunk;
use flow::{Endpoint, FiveTupleKey, FlowRecord, FlowSide, Orientation, Scope, Timestamp};

/// The number of a conversation, and its two ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Talk {
    /// Counted from 1, in the order in which they began.
    pub(super) number: u64,
    pub(super) started: Timestamp,
    pub(super) initiator: Endpoint,
    pub(super) responder: Endpoint,
    /// The VLANs and tunnels around it.
    pub(super) scope: Scope,
    /// The side that came in other ones, once that is known, and which these are.
    pub(super) joined: Option<(FlowSide, Scope)>,
}

/// The bytes that an allocator adds to a small piece of memory, on average.
pub(super) const MALLOC: usize = 16;

/// The state of a silent conversation besides its [`Talk`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    /// The latest time that anything brought.
    pub(super) now: Timestamp,
    /// The day that was shown last.
    pub(super) day: i32,
}

/// Something that is shown what a conversation consists of, from its beginning to its end.
pub(super) trait View: fmt::Debug {
    fn chunk(&mut self, chunk: &Chunk);

    /// The state of a view of which nothing else is to be kept while the conversation is silent.
    fn rest(&self) -> Option<(Talk, Rest)> {
        None
    }

    /// The memory that it takes, or about that.
    fn bytes(&self) -> usize;

    /// Nothing more comes, whether or not the end was seen.
    fn end(self: Box<Self>) {}
}

impl Talk {
    pub(super) fn new(
        number: u64,
        key: FiveTupleKey,
        orientation: Orientation,
        started: Timestamp,
    ) -> Self {
        let FiveTupleKey { a, b, scope, .. } = key;
        let (initiator, responder) = match orientation {
            Orientation::Forward => (a, b),
            Orientation::Reverse => (b, a),
        };
        Self { number, started, initiator, responder, scope, joined: None }
    }

    /// Takes over what is known when the conversation ends.
    pub(super) fn learn(&mut self, record: &FlowRecord<FiveTupleKey>) {
        self.joined = record.joined.map(|(side, key)| (side, key.scope));
    }

    /// The VLANs and tunnels that the packets of a side were captured in.
    pub(super) fn scope_of(&self, side: FlowSide) -> Scope {
        match self.joined {
            Some((joined, scope)) if joined == side => scope,
            _ => self.scope,
        }
    }

    /// The sender and the receiver of this side's bytes.
    pub(super) fn ends(&self, side: FlowSide) -> (Endpoint, Endpoint) {
        match side {
            FlowSide::Initiator => (self.initiator, self.responder),
            FlowSide::Responder => (self.responder, self.initiator),
        }
    }
}
