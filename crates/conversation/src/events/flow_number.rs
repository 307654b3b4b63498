//! The numbers of flows in streams of events.

use flow::FlowId;

/// A flow's number in a stream of events, which no other flow has before its end was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowNumber {
    source: u32,
    id: FlowId,
}

impl FlowNumber {
    pub(crate) const fn new(source: u32, id: FlowId) -> Self {
        Self { source, id }
    }

    /// The number of the flow's source, counted from 0.
    #[must_use]
    pub const fn source(self) -> usize {
        self.source as usize
    }

    /// Its number in the flow table of that source.
    #[must_use]
    pub const fn id(self) -> FlowId {
        self.id
    }
}
