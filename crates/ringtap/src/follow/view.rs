//! Whatever shows a conversation.

use conversation::{Chunk, Conversation};
use flow::{Endpoint, FlowSide, Timestamp};

/// Which conversation it is, and between whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Talk {
    /// Counted from 1, in the order in which they began.
    pub(super) number: u64,
    pub(super) started: Timestamp,
    pub(super) initiator: Endpoint,
    pub(super) responder: Endpoint,
}

/// Something that is shown what a conversation consists of, from its beginning to its end.
pub(super) trait View {
    fn chunk(&mut self, chunk: &Chunk);

    /// Nothing more comes, whether or not the end was seen.
    fn end(self: Box<Self>) {}
}

impl Talk {
    pub(super) fn new(number: u64, conversation: &Conversation) -> Self {
        Self {
            number,
            started: conversation.info().started,
            initiator: conversation.initiator(),
            responder: conversation.responder(),
        }
    }

    /// Who sends what this side says, and to whom.
    pub(super) fn ends(&self, side: FlowSide) -> (Endpoint, Endpoint) {
        match side {
            FlowSide::Initiator => (self.initiator, self.responder),
            FlowSide::Responder => (self.responder, self.initiator),
        }
    }
}
