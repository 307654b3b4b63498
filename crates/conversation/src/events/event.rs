//! Flows by their beginnings and ends, and what lies between.

use std::fmt;

use bytes::Bytes;
use flow::{
    Conflict, Data, Datagram, FiveTupleKey, Flow, FlowHandler, FlowId, FlowRecord, FlowSide, Gap,
    Opening, Orientation, Timestamp, Unplaced, UnplacedCause,
};

use crate::api::chunk::GapCause;
use crate::api::error::Error;
use crate::engine;
use crate::engine::admission::Admission;
use crate::engine::observe;
use crate::events::outlet::{Event, Outlet, Part};

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

/// An event of a [`FlowStream`](crate::FlowStream).
///
/// Each flow that [`Started`](Self::Started) also [`Ended`](Self::Ended). On a wire, events between
/// the two, and flows as a whole, may be missing where the reader was too slow: then
/// [`Lagged`](Self::Lagged) stands in their place. A file waits for its reader. `Data`, `Gap`,
/// `Late`, `Unplaced`, `Conflict`, `Finished` and `Datagram` come where
/// [`details`](crate::FlowStream::details) are enabled, `Unplaced` and `Conflict` also where
/// [`anomalies`](crate::FlowStream::anomalies) are.
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
    },
    /// The next bytes of a side's stream came; the bytes themselves are in
    /// [conversations](crate::FlowStream::into_conversations).
    #[non_exhaustive]
    Data {
        /// The flow.
        id: FlowNumber,
        /// Whose bytes.
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
        /// Whose bytes.
        side: FlowSide,
        /// Position of the first missing byte in the side's stream.
        offset: u64,
        /// The number of bytes.
        len: u64,
        /// Why they are missing.
        cause: GapCause,
        /// `true` if `len` is an estimate: another multiple of 4 GiB is possible, see
        /// [`flow::Gap::estimated`].
        estimated: bool,
    },
    /// Bytes came when their place had been declared a gap, or lie before the first byte of a
    /// stream picked up midway.
    #[non_exhaustive]
    Late {
        /// The flow.
        id: FlowNumber,
        /// Whose bytes.
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
        /// Whose bytes.
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
        /// Whose bytes.
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
        /// When it was captured.
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

/// The events between a flow's beginning and its end that are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Details {
    None,
    Anomalies,
    All,
}

/// Tells an outlet of flows.
pub(crate) struct EventSink<K> {
    outlet: Outlet<FlowEvent<K>>,
    /// The number of the source, if there are several.
    source: u32,
    admission: Admission<K>,
    /// By the slot of the flow's id: whether its beginning was told.
    told: Vec<bool>,
    details: Details,
}

impl<K: Send + 'static> EventSink<K> {
    pub(crate) const fn new(
        outlet: Outlet<FlowEvent<K>>,
        source: u32,
        admission: Admission<K>,
        details: Details,
    ) -> Self {
        Self { outlet, source, admission, told: Vec::new(), details }
    }

    const fn number(&self, flow: &Flow<'_, K>) -> FlowNumber {
        FlowNumber::new(self.source, flow.id)
    }

    fn is_told(&self, flow: &Flow<'_, K>) -> bool {
        self.told.get(flow.id.slot()).copied().unwrap_or(false)
    }

    fn detail(&mut self, flow: &Flow<'_, K>, event: FlowEvent<K>) {
        let wanted = match self.details {
            Details::None => false,
            Details::Anomalies => {
                matches!(event, FlowEvent::Unplaced { .. } | FlowEvent::Conflict { .. })
            }
            Details::All => true,
        };
        if wanted && self.is_told(flow) {
            self.outlet.offer(0, event);
        }
    }
}

impl<K: Clone + fmt::Debug + Send + 'static> FlowHandler<K> for EventSink<K> {
    fn admits(&mut self, flow: &Flow<'_, K>, opening: &Opening<'_>) -> bool {
        self.admission.admits(flow, opening, self.outlet.counters())
    }

    fn on_start(&mut self, flow: &Flow<'_, K>) {
        let (id, protocol, initiator) = (self.number(flow), flow.protocol, flow.initiator);
        let (key, timestamp) = (flow.key.clone(), flow.started);
        let event = FlowEvent::Started { id, key, protocol, initiator, timestamp };
        let told = self.outlet.offer(0, event);
        let slot = flow.id.slot();
        if slot >= self.told.len() {
            self.told.resize(slot + 1, false);
        }
        self.told[slot] = told;
        self.outlet.counters().began(flow, told);
    }

    fn on_data(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        let (offset, len) = (data.offset, data.bytes.len() as u64);
        self.outlet.counters().bytes.add(len);
        let (timestamp, packet_number) = (data.timestamp, data.packet_number);
        let id = self.number(flow);
        self.detail(flow, FlowEvent::Data { id, side, offset, len, timestamp, packet_number });
    }

    fn on_gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        self.outlet.counters().gap(flow, side, &gap.into());
        let (id, cause) = (self.number(flow), gap.cause.into());
        let (offset, len, estimated) = (gap.offset, gap.len, gap.estimated);
        self.detail(flow, FlowEvent::Gap { id, side, offset, len, cause, estimated });
    }

    fn on_late(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        let (offset, len, timestamp) = (data.offset, data.bytes.len() as u64, data.timestamp);
        self.outlet.counters().late_bytes.add(len);
        let id = self.number(flow);
        self.detail(flow, FlowEvent::Late { id, side, offset, len, timestamp });
    }

    fn on_conflict(&mut self, flow: &Flow<'_, K>, side: FlowSide, conflict: Conflict<'_>) {
        let Conflict { offset, timestamp, packet_number, .. } = conflict;
        let (id, len) = (self.number(flow), conflict.kept.len() as u64);
        self.outlet.counters().conflicts.add(1);
        self.detail(flow, FlowEvent::Conflict { id, side, offset, len, timestamp, packet_number });
    }

    fn on_unplaced(&mut self, flow: &Flow<'_, K>, side: FlowSide, unplaced: Unplaced<'_>) {
        let Unplaced { sequence, cause, timestamp, packet_number, .. } = unplaced;
        let (id, len) = (self.number(flow), unplaced.bytes.len() as u64);
        self.outlet.counters().unplaced_bytes.add(len);
        let event =
            FlowEvent::Unplaced { id, side, sequence, len, cause, timestamp, packet_number };
        self.detail(flow, event);
    }

    fn on_fin(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        let id = self.number(flow);
        self.detail(flow, FlowEvent::Finished { id, side, len: offset });
    }

    fn on_datagram(&mut self, flow: &Flow<'_, K>, side: FlowSide, datagram: Datagram<'_>) {
        let Datagram { wire_len: len, timestamp, packet_number, .. } = datagram;
        let id = self.number(flow);
        self.detail(flow, FlowEvent::Datagram { id, side, len, timestamp, packet_number });
    }

    fn on_record(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        if self.is_told(flow) {
            let record = Box::new(record.clone());
            let id = self.number(flow);
            self.outlet.offer(size_of::<FlowRecord<K>>(), FlowEvent::Record { id, record });
        }
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        observe::flow_ended(flow, record);
        if self.is_told(flow) {
            self.told[flow.id.slot()] = false;
            let (id, record) = (self.number(flow), Box::new(record.clone()));
            self.outlet.insist(size_of::<FlowRecord<K>>(), FlowEvent::Ended { id, record });
        }
    }
}

impl<K: Clone + fmt::Debug + Send + 'static> engine::Sink<K> for EventSink<K> {
    fn wants_retained(&self) -> bool {
        false
    }

    fn begin(&mut self, _retained: Option<Bytes>) {
        self.outlet.begin();
    }

    fn flush(&mut self) {
        self.outlet.flush();
    }

    fn is_crowded(&mut self) -> bool {
        self.outlet.is_crowded()
    }

    fn is_abandoned(&self) -> bool {
        self.outlet.is_abandoned()
    }

    fn end(&mut self, error: Option<Error>) {
        self.outlet.end(error);
    }
}
