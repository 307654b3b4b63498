//! Flows by their beginnings and ends.

use std::sync::Arc;

use bytes::Bytes;
use flow::{FiveTupleKey, Flow, FlowHandler, FlowId, FlowRecord, Orientation, Timestamp};

use crate::counters::Counters;
use crate::engine;
use crate::error::Error;
use crate::inbox::Inbox;
use crate::settings::{Overflow, Settings};

/// What a [`FlowStream`](crate::FlowStream) tells of flows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FlowEvent<K = FiveTupleKey> {
    /// A flow began.
    #[non_exhaustive]
    Started {
        /// Its number in the table.
        id: FlowId,
        /// Its key.
        key: K,
        /// The protocol above IP, as IANA numbers it.
        protocol: u8,
        /// Which way packets of the initiator go, relative to the key.
        initiator: Orientation,
        /// Time stamp of its first packet.
        timestamp: Timestamp,
    },
    /// A flow ended.
    #[non_exhaustive]
    Ended {
        /// Its number in the table, which may be given again from now on.
        id: FlowId,
        /// Its summary.
        record: Box<FlowRecord<K>>,
    },
}

/// Collects flow events, and hands them over once a batch.
#[derive(Debug)]
pub(crate) struct EventSink<K> {
    events: Vec<FlowEvent<K>>,
    inbox: Arc<Inbox<FlowEvent<K>>>,
    counters: Arc<Counters>,
    capacity: usize,
    patient: bool,
}

impl<K> EventSink<K> {
    pub(crate) fn new(
        settings: Settings,
        live: bool,
        inbox: Arc<Inbox<FlowEvent<K>>>,
        counters: Arc<Counters>,
    ) -> Self {
        let patient = !live || settings.overflow == Overflow::Block;
        Self { events: Vec::new(), inbox, counters, capacity: settings.capacity, patient }
    }

    fn put(&mut self, event: FlowEvent<K>) {
        if !self.patient && self.inbox.len() + self.events.len() >= self.capacity {
            self.counters.refused.add(1);
        } else {
            self.events.push(event);
        }
    }
}

impl<K: Clone + Send + 'static> FlowHandler<K> for EventSink<K> {
    fn on_start(&mut self, flow: &Flow<'_, K>) {
        self.counters.conversations.add(1);
        self.put(FlowEvent::Started {
            id: flow.id,
            key: flow.key.clone(),
            protocol: flow.protocol,
            initiator: flow.initiator,
            timestamp: flow.started,
        });
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        self.put(FlowEvent::Ended { id: flow.id, record: Box::new(record.clone()) });
    }
}

impl<K: Clone + Send + 'static> engine::Sink<K> for EventSink<K> {
    fn wants_retained(&self) -> bool {
        false
    }

    fn begin(&mut self, _retained: Option<Bytes>) {}

    fn flush(&mut self) {
        self.inbox.push(&mut self.events);
    }

    fn is_crowded(&mut self) -> bool {
        self.patient && self.inbox.len() > self.capacity
    }

    fn is_abandoned(&self) -> bool {
        self.inbox.is_gone()
    }

    fn end(&mut self, error: Option<Error>) {
        self.inbox.end(error);
    }
}
