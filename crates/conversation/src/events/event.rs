//! The items of streams of events, and their meaning to flows.

use super::flow_number::FlowNumber;

/// An item of a stream of events.
pub(crate) trait Event: Send + 'static {
    /// `count` events are missing here.
    fn lagged(count: u64) -> Self;

    /// Its meaning to the flow that it is about.
    fn part(&self) -> Part;
}

/// The meaning of an event to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It tells of no flow.
    None,
    Begins(FlowNumber),
    GoesOn(FlowNumber),
    Ends(FlowNumber),
}
