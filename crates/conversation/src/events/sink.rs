//! From the events of the flow table to a stream of them.

use std::fmt;

use bytes::Bytes;
use flow::{
    Conflict, Data, Datagram, FirstPacket, Flow, FlowHandler, FlowRecord, FlowSide, Gap, Unplaced,
};

use super::flow_event::FlowEvent;
use super::flow_number::FlowNumber;
use super::outlet::Outlet;
use crate::api::error::Error;
use crate::engine;
use crate::engine::admission::Admission;
use crate::engine::observe;
use crate::select::Selected;

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
    /// The conditions that the flow which begins next meets.
    selected: Option<Selected>,
}

impl<K: Send + 'static> EventSink<K> {
    pub(crate) const fn new(
        outlet: Outlet<FlowEvent<K>>,
        source: u32,
        admission: Admission<K>,
        details: Details,
    ) -> Self {
        Self { outlet, source, admission, told: Vec::new(), details, selected: None }
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
    fn admits(&mut self, flow: &Flow<'_, K>, first: &FirstPacket<'_>) -> bool {
        self.admission.admits(flow, first, self.outlet.counters())
    }

    fn on_start(&mut self, flow: &Flow<'_, K>) {
        let (id, protocol, initiator) = (self.number(flow), flow.protocol, flow.initiator);
        let (key, timestamp) = (flow.key.clone(), flow.started);
        let selected = self.selected.take();
        let event = FlowEvent::Started { id, key, protocol, initiator, timestamp, selected };
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
        self.outlet.counters().gap(flow, side, &gap);
        let id = self.number(flow);
        self.detail(flow, FlowEvent::Gap { id, side, gap });
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

    fn share_memory(&mut self, table: usize) -> (usize, usize) {
        self.outlet.share_memory(table)
    }

    fn is_crowded(&mut self) -> bool {
        self.outlet.is_crowded()
    }

    fn is_abandoned(&self) -> bool {
        self.outlet.is_abandoned()
    }

    fn wants_bytes(&self) -> bool {
        self.details == Details::All
    }

    fn skip_bytes(&mut self, count: u64) {
        self.outlet.counters().bytes.add(count);
    }

    fn mark(&mut self, selected: Selected) {
        self.selected = Some(selected);
    }

    fn end(&mut self, error: Option<Error>) {
        self.outlet.end(error);
    }
}
