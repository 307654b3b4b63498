//! The events of a flow between its beginning and its end.

use flow::{Conflict, Data, Datagram, Flow, FlowRecord, FlowSide, Gap, Unplaced};
use flow_filter::{Evaluation, Verdict};

use super::verdict_of;
use crate::engine::Sink;

/// The memory of an event beside its bytes: its place, in a vector that grows by doubling.
const EVENT: usize = 2 * 72;

pub(super) enum Event<'a, K> {
    Data(FlowSide, Data<'a>),
    Gap(FlowSide, Gap),
    Awaited(FlowSide, u64),
    Late(FlowSide, Data<'a>),
    Conflict(FlowSide, Conflict<'a>),
    Unplaced(FlowSide, Unplaced<'a>),
    Fin(FlowSide, u64),
    Datagram(FlowSide, Datagram<'a>),
    Record(&'a FlowRecord<K>),
}

impl<K> Event<'_, K> {
    /// The verdict with this event.
    pub(super) fn evaluate(&self, evaluations: &mut [Evaluation]) -> Verdict {
        for evaluation in evaluations.iter_mut() {
            match self {
                Self::Data(side, data) => evaluation.data(*side, data.bytes, data.timestamp),
                Self::Gap(side, gap) => evaluation.gap(*side, gap.len),
                Self::Datagram(side, datagram) => {
                    let Datagram { bytes, wire_len, timestamp, .. } = *datagram;
                    evaluation.datagram(*side, bytes, wire_len, timestamp)
                }
                Self::Fin(side, _) => evaluation.finish(*side),
                _ => break,
            };
        }
        verdict_of(evaluations)
    }

    /// Calls the sink with it.
    pub(super) fn pass<H: Sink<K>>(&self, flow: &Flow<'_, K>, sink: &mut H) {
        match *self {
            Self::Data(side, data) => sink.on_data(flow, side, data),
            Self::Gap(side, gap) => sink.on_gap(flow, side, gap),
            Self::Awaited(side, offset) => sink.on_ack_ahead(flow, side, offset),
            Self::Late(side, data) => sink.on_late(flow, side, data),
            Self::Conflict(side, conflict) => sink.on_conflict(flow, side, conflict),
            Self::Unplaced(side, unplaced) => sink.on_unplaced(flow, side, unplaced),
            Self::Fin(side, offset) => sink.on_fin(flow, side, offset),
            Self::Datagram(side, datagram) => sink.on_datagram(flow, side, datagram),
            Self::Record(record) => sink.on_record(flow, record),
        }
    }

    /// The memory that it takes while it is held back.
    pub(super) fn cost(&self, with_bytes: bool) -> usize {
        match self {
            Self::Data(..) | Self::Datagram(..) if !with_bytes => 0,
            Self::Data(_, data) | Self::Late(_, data) => EVENT + data.bytes.len(),
            Self::Datagram(_, datagram) => EVENT + datagram.bytes.len(),
            Self::Conflict(_, conflict) => EVENT + 2 * conflict.kept.len(),
            Self::Unplaced(_, unplaced) => EVENT + unplaced.bytes.len(),
            Self::Record(_) => EVENT + size_of::<FlowRecord<K>>(),
            Self::Gap(..) | Self::Awaited(..) | Self::Fin(..) => EVENT,
        }
    }
}
