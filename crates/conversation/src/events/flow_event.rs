//! Flows by their beginnings and ends, and what lies between.

use flow::{FiveTupleKey, FlowRecord, FlowSide, Gap, Orientation, Timestamp, UnplacedCause};

use super::event::{Event, Part};
use super::flow_number::FlowNumber;
use crate::select::Selected;

/// An event of a [`FlowStream`](crate::FlowStream).
///
/// Each flow that [`Started`](Self::Started) also [`Ended`](Self::Ended). On a wire, events between
/// the two, and flows as a whole, may be missing where the reader was too slow: then
/// [`Lagged`](Self::Lagged) stands in their place. A file waits for its reader. `Data`, `Gap`,
/// `Late`, `Unplaced`, `Conflict`, `Finished` and `Datagram` come where
/// [`details`](crate::FlowStreamBuilder::details) are enabled, `Unplaced` and `Conflict` also where
/// [`anomalies`](crate::FlowStreamBuilder::anomalies) are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FlowEvent<K = FiveTupleKey> {
    /// A flow began.
    #[non_exhaustive]
    Started {
        /// Its number.
        id: FlowNumber,
        /// Its key.
        key: K,
        /// The protocol above IP, as IANA numbers it.
        protocol: u8,
        /// The direction of the initiator's packets, relative to the key.
        initiator: Orientation,
        /// Time stamp of its first packet.
        timestamp: Timestamp,
        /// The conditions that it meets, if there is a
        /// [selection](crate::FlowStreamBuilder::select).
        selected: Option<Selected>,
    },
    /// The next bytes of a side's stream came; the bytes themselves are in
    /// [conversations](crate::FlowStreamBuilder::into_conversations).
    #[non_exhaustive]
    Data {
        /// The flow.
        id: FlowNumber,
        /// The side that sent the bytes.
        side: FlowSide,
        /// Position of the first byte in the side's stream.
        offset: u64,
        /// The number of bytes.
        len: u64,
        /// Time stamp of the packet that brought them.
        timestamp: Timestamp,
        /// Number of that packet.
        packet_number: u64,
    },
    /// The next bytes of a side are missing.
    #[non_exhaustive]
    Gap {
        /// The flow.
        id: FlowNumber,
        /// The side that sent the bytes.
        side: FlowSide,
        /// Position, length and cause.
        gap: Gap,
    },
    /// Bytes came when their place had been declared a gap, or lie before the first byte of a
    /// stream picked up midway.
    #[non_exhaustive]
    Late {
        /// The flow.
        id: FlowNumber,
        /// The side that sent the bytes.
        side: FlowSide,
        /// Position of the first byte in the side's stream.
        offset: u64,
        /// The number of bytes.
        len: u64,
        /// Time stamp of the packet that brought them.
        timestamp: Timestamp,
    },
    /// Bytes were captured that have no place in the side's stream.
    #[non_exhaustive]
    Unplaced {
        /// The flow.
        id: FlowNumber,
        /// The side that sent the bytes.
        side: FlowSide,
        /// TCP sequence number of the first byte.
        sequence: u32,
        /// The number of bytes.
        len: u64,
        /// The reason.
        cause: UnplacedCause,
        /// Time stamp of the packet that brought them.
        timestamp: Timestamp,
        /// Number of that packet.
        packet_number: u64,
    },
    /// Two packets disagree about bytes of a stream.
    #[non_exhaustive]
    Conflict {
        /// The flow.
        id: FlowNumber,
        /// The side that sent the bytes.
        side: FlowSide,
        /// Position of the first byte of the differing range.
        offset: u64,
        /// The number of bytes in the range.
        len: u64,
        /// Time stamp of the packet that brought the second version.
        timestamp: Timestamp,
        /// Number of that packet.
        packet_number: u64,
    },
    /// A side has no more to say.
    #[non_exhaustive]
    Finished {
        /// The flow.
        id: FlowNumber,
        /// The side.
        side: FlowSide,
        /// The length of its stream in bytes, gaps counted.
        len: u64,
    },
    /// A packet of a flow that is not TCP.
    #[non_exhaustive]
    Datagram {
        /// The flow.
        id: FlowNumber,
        /// The side that sent it.
        side: FlowSide,
        /// Bytes of its payload on the wire.
        len: u32,
        /// The time at which it was captured.
        timestamp: Timestamp,
        /// The packet's number.
        packet_number: u64,
    },
    /// A flow goes on, and it is time for a record of it: see
    /// [`flow::FlowTableBuilder::active_timeout`].
    #[non_exhaustive]
    Record {
        /// The flow.
        id: FlowNumber,
        /// Its totals so far; the record's reason is
        /// [`ActiveTimeout`](flow::EndReason::ActiveTimeout).
        record: Box<FlowRecord<K>>,
    },
    /// A flow ended.
    #[non_exhaustive]
    Ended {
        /// Its number, which may be given again from now on.
        id: FlowNumber,
        /// Its summary.
        record: Box<FlowRecord<K>>,
    },
    /// Events are missing here, since this reader was too slow for a source that cannot wait.
    #[non_exhaustive]
    Lagged {
        /// The number of events.
        count: u64,
    },
}

impl<K> FlowEvent<K> {
    /// The flow's number; `None` for [`Lagged`](Self::Lagged).
    #[must_use]
    pub const fn id(&self) -> Option<FlowNumber> {
        match self {
            Self::Started { id, .. }
            | Self::Data { id, .. }
            | Self::Gap { id, .. }
            | Self::Late { id, .. }
            | Self::Unplaced { id, .. }
            | Self::Conflict { id, .. }
            | Self::Finished { id, .. }
            | Self::Datagram { id, .. }
            | Self::Record { id, .. }
            | Self::Ended { id, .. } => Some(*id),
            Self::Lagged { .. } => None,
        }
    }
}

impl<K: Send + 'static> Event for FlowEvent<K> {
    fn lagged(count: u64) -> Self {
        Self::Lagged { count }
    }

    fn part(&self) -> Part {
        match self {
            Self::Started { id, .. } => Part::Begins(*id),
            Self::Ended { id, .. } => Part::Ends(*id),
            other => other.id().map_or(Part::None, Part::GoesOn),
        }
    }
}
