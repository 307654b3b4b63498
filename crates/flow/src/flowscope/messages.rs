//! The messages of parsers, and their counters.

use crate::{Flow, FlowRecord, FlowSide, Gap, Timestamp};

/// Receives the messages of parsers for streams or datagrams.
pub trait MessageHandler<K, M> {
    /// Called with a complete message.
    fn on_message(&mut self, flow: &Flow<'_, K>, side: FlowSide, message: M, timestamp: Timestamp);

    /// Called when bytes of a side are missing. Its parser was replaced with a new one.
    fn on_gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        let _ = (flow, side, gap);
    }

    /// Called when a flow ends.
    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        let _ = (flow, record);
    }
}

/// Counters of the parsers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParserStatistics {
    /// The number of messages.
    pub messages: u64,
    /// Parsers that failed on their input. The rest of their flows is not parsed.
    pub poisoned: u64,
    /// Parsers that were replaced after a gap.
    pub restarted: u64,
}
