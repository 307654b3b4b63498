//! Messages of the parsers of the crate `protocol`.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ::protocol::{DatagramSession, Message, MessageSink, Ports, Registry, Session, Side};
use bytes::Bytes;
use flow::{
    Conflict, Data, Datagram, FirstPacket, FiveTupleKey, Flow, FlowExtractor, FlowHandler, FlowId,
    FlowRecord, FlowSide, FlowTable, Gap, Orientation, TcpFlags, Timestamp, Unplaced, protocol,
};

use super::body::{Collector, Found};
use super::{Mail, MessageEvent, MessageStream};
use crate::api::error::Error;
use crate::engine;
use crate::engine::admission::Admission;
use crate::engine::observe;
use crate::events::outlet::Outlet;

/// Messages of all protocols of a [`Registry`], of all TCP and UDP flows.
pub type Messages<K = FiveTupleKey> = MessageStream<K, Message>;

/// The interval at which a session receives the time, in nanoseconds.
const ROUND: u64 = 1_000_000_000;
/// The number of slots that one call examines for sessions that are due.
const PORTION: usize = 4096;
/// The minimum time between two such calls, in nanoseconds.
const PAUSE: u64 = 100_000_000;

/// Runs the sessions of all flows.
pub(crate) struct ProtocolSink<K> {
    registry: Arc<Registry>,
    mail: Mail<K, Message>,
    admission: Admission<K>,
    /// By the slots of their flows. A flow that no protocol fits has none.
    talks: Vec<Option<Box<Talk>>>,
    /// The first packet of the flow that is about to begin is from the middle of a connection.
    midway: bool,
    /// The memory of all sessions in bytes.
    memory: usize,
    /// Flows that go on.
    open: usize,
    messages: u64,
    /// `true` if bodies are reported, too.
    bodies: bool,
    /// Empty between calls.
    found: Vec<Found>,
    round: Round,
}

/// A flow and its session.
struct Talk {
    flow: FlowId,
    parsing: Parsing,
    /// Time of the latest bytes.
    latest: Timestamp,
    /// The last time that the session received.
    ticked: u64,
    /// The memory of the session when it was measured last.
    memory: usize,
}

enum Parsing {
    Stream(Session),
    Datagrams(DatagramSession),
}

/// The slots that are examined next, and the time for it.
#[derive(Default)]
struct Round {
    slot: usize,
    began: u64,
    due: u64,
}

impl<K> ProtocolSink<K>
where
    K: Clone + fmt::Debug + Send + 'static,
{
    pub(crate) fn new(
        registry: Arc<Registry>,
        outlet: Outlet<MessageEvent<Message, K>>,
        source: u32,
        admission: Admission<K>,
    ) -> Self {
        Self {
            registry,
            mail: Mail::new(outlet, source),
            admission,
            talks: Vec::new(),
            midway: false,
            memory: 0,
            open: 0,
            messages: 0,
            bodies: false,
            found: Vec::new(),
            round: Round::default(),
        }
    }

    /// Reports bodies, too.
    pub(crate) const fn with_bodies(mut self, bodies: bool) -> Self {
        self.bodies = bodies;
        self
    }

    /// Runs the flow's session, and reports what it finds.
    fn run(
        &mut self,
        flow: &Flow<'_, K>,
        time: Timestamp,
        work: impl FnOnce(&mut Parsing, Timestamp, &mut dyn MessageSink),
    ) {
        let slot = flow.id.slot();
        let Some(Some(talk)) = self.talks.get_mut(slot) else { return };
        let now = talk.latest.max(time);
        talk.latest = now;
        let mut sink = Collector { found: &mut self.found, bodies: self.bodies };
        if now.as_nanos().saturating_sub(talk.ticked) >= ROUND {
            talk.ticked = now.as_nanos();
            talk.parsing.tick(now, &mut sink);
        }
        work(&mut talk.parsing, now, &mut sink);
        let before = std::mem::replace(&mut talk.memory, talk.parsing.memory());
        self.memory = self.memory - before + talk.memory;
        // Nothing more will be found there: its memory serves others.
        if talk.parsing.is_unknown() {
            self.drop_session(slot);
        }
        self.report(flow, now);
    }

    fn report(&mut self, flow: &Flow<'_, K>, now: Timestamp) {
        for found in self.found.drain(..) {
            match found {
                Found::Message(message) => {
                    self.messages += 1;
                    let bytes = message.memory();
                    self.mail.message(flow, side_of(message.side), message, now, bytes);
                }
                Found::Body(side, number, part) => {
                    self.mail.body(flow, side_of(side), number, part, now);
                }
            }
        }
    }

    fn drop_session(&mut self, slot: usize) {
        if let Some(talk) = self.talks.get_mut(slot).and_then(Option::take) {
            self.memory -= talk.memory;
        }
    }
}

impl<K> FlowHandler<K> for ProtocolSink<K>
where
    K: Clone + fmt::Debug + Send + 'static,
{
    fn admits(&mut self, flow: &Flow<'_, K>, first: &FirstPacket<'_>) -> bool {
        self.midway = flow.protocol == protocol::TCP && !first.flags.contains(TcpFlags::SYN);
        !is_parsed(flow.protocol) || self.admission.admits(flow, first, self.mail.outlet.counters())
    }

    fn on_start(&mut self, flow: &Flow<'_, K>) {
        if !is_parsed(flow.protocol) {
            return;
        }
        let told = self.mail.start(flow);
        self.mail.outlet.counters().began(flow, told);
        if !told {
            return;
        }
        let (registry, ports) = (Arc::clone(&self.registry), ports_of(flow.key, flow.initiator));
        let parsing = match flow.protocol {
            protocol::TCP if self.midway => Parsing::Stream(Session::midway(registry, ports)),
            protocol::TCP => Parsing::Stream(Session::new(registry, ports)),
            _ => Parsing::Datagrams(DatagramSession::new(registry, ports)),
        };
        let slot = flow.id.slot();
        if slot >= self.talks.len() {
            self.talks.resize_with(slot + 1, || None);
        }
        let memory = parsing.memory();
        let (latest, ticked) = (flow.started, flow.started.as_nanos());
        self.talks[slot] = Some(Box::new(Talk { flow: flow.id, parsing, latest, ticked, memory }));
        self.memory += memory;
        self.open += 1;
    }

    fn on_data(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        self.mail.outlet.counters().bytes.add(data.bytes.len() as u64);
        self.run(flow, data.timestamp, |parsing, _, sink| {
            if let Parsing::Stream(session) = parsing {
                // The packet's own time, which may be earlier than one that was seen.
                session.data(side.into_side(), data.timestamp, data.bytes, sink);
            }
        });
    }

    fn on_gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        self.mail.outlet.counters().gap(flow, side, &gap);
        self.run(flow, Timestamp::default(), |parsing, now, sink| {
            if let Parsing::Stream(session) = parsing {
                session.gap(side.into_side(), now, gap.len, sink);
            }
        });
        self.mail.gap(flow, side, gap);
    }

    fn on_late(&mut self, _: &Flow<'_, K>, _: FlowSide, data: Data<'_>) {
        self.mail.outlet.counters().late_bytes.add(data.bytes.len() as u64);
    }

    fn on_unplaced(&mut self, _: &Flow<'_, K>, _: FlowSide, unplaced: Unplaced<'_>) {
        self.mail.outlet.counters().unplaced_bytes.add(unplaced.bytes.len() as u64);
    }

    fn on_conflict(&mut self, _: &Flow<'_, K>, _: FlowSide, _: Conflict<'_>) {
        self.mail.outlet.counters().conflicts.add(1);
    }

    fn on_fin(&mut self, flow: &Flow<'_, K>, side: FlowSide, _offset: u64) {
        self.run(flow, Timestamp::default(), |parsing, now, sink| {
            if let Parsing::Stream(session) = parsing {
                session.finish(side.into_side(), now, sink);
            }
        });
    }

    fn on_datagram(&mut self, flow: &Flow<'_, K>, side: FlowSide, datagram: Datagram<'_>) {
        let Datagram { bytes, wire_len, timestamp, .. } = datagram;
        self.run(flow, timestamp, |parsing, _, sink| {
            if let Parsing::Datagrams(session) = parsing {
                session.datagram(side.into_side(), timestamp, bytes, wire_len as usize, sink);
            }
        });
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        observe::flow_ended(flow, record);
        if !is_parsed(flow.protocol) {
            return;
        }
        self.run(flow, Timestamp::default(), |parsing, _, sink| match parsing {
            Parsing::Stream(session) => session.end(sink),
            Parsing::Datagrams(session) => session.end(sink),
        });
        self.drop_session(flow.id.slot());
        self.open = self.open.saturating_sub(1);
        self.mail.ended(flow, record);
    }
}

impl<K> engine::Sink<K> for ProtocolSink<K>
where
    K: Clone + fmt::Debug + Send + 'static,
{
    fn wants_retained(&self) -> bool {
        false
    }

    fn begin(&mut self, _retained: Option<Bytes>) {
        self.mail.outlet.begin();
    }

    fn flush(&mut self) {
        self.mail.outlet.counters().messages.add(std::mem::take(&mut self.messages));
        self.mail.outlet.flush();
    }

    fn tick<E: FlowExtractor<Key = K>>(&mut self, now: Timestamp, table: &FlowTable<E>) {
        for slot in self.round.portion(now.as_nanos(), self.talks.len()) {
            let Some(Some(talk)) = self.talks.get(slot) else { continue };
            let due = now.as_nanos().saturating_sub(talk.ticked) >= ROUND;
            if due && let Some(flow) = table.flow(talk.flow) {
                self.run(&flow, now, |_, _, _| {});
            }
        }
    }

    fn share_memory(&mut self, table: usize) -> (usize, usize) {
        let slots = self.talks.capacity() * size_of::<Option<Box<Talk>>>();
        let each = (self.memory + self.open * size_of::<Talk>() + slots) / self.open.max(1);
        (each, self.mail.outlet.share_memory(table).1)
    }

    fn is_crowded(&mut self) -> bool {
        self.mail.outlet.is_crowded()
    }

    fn is_abandoned(&self) -> bool {
        self.mail.outlet.is_abandoned()
    }

    fn end(&mut self, error: Option<Error>) {
        self.mail.outlet.end(error);
    }
}

impl Parsing {
    fn tick(&mut self, now: Timestamp, sink: &mut dyn MessageSink) {
        match self {
            Self::Stream(session) => session.tick(now, sink),
            Self::Datagrams(session) => session.tick(now, sink),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Self::Stream(session) => session.memory(),
            Self::Datagrams(session) => session.memory(),
        }
    }

    fn is_unknown(&self) -> bool {
        match self {
            Self::Stream(session) => session.is_unknown(),
            Self::Datagrams(session) => session.is_unknown(),
        }
    }
}

impl Round {
    /// The slots to examine now.
    fn portion(&mut self, now: u64, slots: usize) -> Range<usize> {
        if now < self.due {
            return 0..0;
        }
        if self.slot == 0 {
            self.began = now;
        }
        let first = self.slot.min(slots);
        let end = slots.min(first + PORTION);
        self.due = now.saturating_add(PAUSE);
        self.slot = end;
        if end == slots {
            self.slot = 0;
            self.due = self.due.max(self.began.saturating_add(ROUND));
        }
        first..end
    }
}

/// The ports of a flow, if its key has any.
pub(super) fn ports_of<K: 'static>(key: &K, initiator: Orientation) -> Ports {
    let Some(FiveTupleKey { a, b, .. }) = (key as &dyn Any).downcast_ref() else {
        return Ports::default();
    };
    match initiator {
        Orientation::Forward => Ports { initiator: a.port, responder: b.port },
        Orientation::Reverse => Ports { initiator: b.port, responder: a.port },
    }
}

/// Flows of other protocols are tracked, but have no messages.
const fn is_parsed(protocol: u8) -> bool {
    matches!(protocol, protocol::TCP | protocol::UDP)
}

/// A side in the words of the crate `protocol`.
pub(super) trait IntoSide {
    fn into_side(self) -> Side;
}

impl IntoSide for FlowSide {
    fn into_side(self) -> Side {
        match self {
            Self::Initiator => Side::Initiator,
            Self::Responder => Side::Responder,
        }
    }
}

const fn side_of(side: Side) -> FlowSide {
    match side {
        Side::Initiator => FlowSide::Initiator,
        Side::Responder => FlowSide::Responder,
    }
}
