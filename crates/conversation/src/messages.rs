//! Messages that flowscope's parsers make of flows.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flow::flowscope::{Datagrams, MessageHandler, ParserStatistics, Sessions};
use flow::{
    Conflict, Data, Datagram, FiveTupleKey, Flow, FlowExtractor, FlowHandler, FlowRecord, FlowSide,
    FlowTable, Gap, Opening, Orientation, Timestamp, Unplaced, protocol,
};
use flowscope::{DatagramParser, DatagramParserFactory, SessionParser, SessionParserFactory};
use futures_core::Stream;

use crate::api::chunk::GapCause;
use crate::api::error::Error;
use crate::api::handle::Handle;
use crate::engine;
use crate::engine::admission::Admission;
use crate::engine::observe;
use crate::events::broadcast::Broadcast;
use crate::events::event::{Event, Part};
use crate::events::flow_number::FlowNumber;
use crate::events::outlet::Outlet;
use crate::events::stream::EventStream;

/// The messages of all flows of a source, as a [`Stream`] of [`MessageEvent`]s.
///
/// The parsers run on the engine's thread, on streams that this workspace reassembled: bytes in
/// order and once. At a gap a flow's parser is thrown away, for none of them can know how much of a
/// message is missing, and a fresh one begins behind it. Parsers receive the time of the packets
/// about once a second, for what comes of time alone, such as queries that nobody answers; such
/// messages are the initiator's.
///
/// [`SessionStream`] and [`DatagramStream`] are names of this for TCP and UDP:
/// [`session_stream`](crate::FlowStreamBuilder::session_stream) and
/// [`datagram_stream`](crate::FlowStreamBuilder::datagram_stream) make them.
#[derive(Debug)]
pub struct MessageStream<K, M> {
    events: EventStream<MessageEvent<M, K>>,
}

/// Messages out of TCP streams, such as HTTP's or TLS's.
pub type SessionStream<K, M> = MessageStream<K, M>;

/// Messages out of UDP datagrams, such as DNS's.
pub type DatagramStream<K, M> = MessageStream<K, M>;

/// The events of TCP streams that go to several readers.
pub(crate) type SessionBroadcast<F, K> = Broadcast<MessageEvent<SessionMessage<F, K>, K>>;

/// The events of datagrams that go to several readers.
pub(crate) type DatagramBroadcast<F, K> = Broadcast<MessageEvent<DatagramMessage<F, K>, K>>;

/// The messages of the parsers that `F` makes.
pub(crate) type SessionMessage<F, K> =
    <<F as SessionParserFactory<K>>::Parser as SessionParser>::Message;

/// The messages of the parsers that `F` makes.
pub(crate) type DatagramMessage<F, K> =
    <<F as DatagramParserFactory<K>>::Parser as DatagramParser>::Message;

/// An event of a [`MessageStream`].
///
/// Each flow that [`Started`](Self::Started) also [`Ended`](Self::Ended). On a wire, messages
/// between the two, and flows as a whole, may be missing where the reader was too slow: then
/// [`Lagged`](Self::Lagged) stands in their place. A file waits for its reader.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MessageEvent<M, K = FiveTupleKey> {
    /// A flow began.
    #[non_exhaustive]
    Started {
        /// Its number.
        id: FlowNumber,
        /// Its key.
        key: K,
        /// The direction of the initiator's packets, relative to the key.
        initiator: Orientation,
        /// Time stamp of its first packet.
        timestamp: Timestamp,
    },
    /// A message is complete.
    #[non_exhaustive]
    Message {
        /// The flow.
        id: FlowNumber,
        /// The flow's key.
        key: K,
        /// The side that sent it.
        side: FlowSide,
        /// The message as the parser returned it.
        message: M,
        /// Time stamp of the packet that completed it.
        timestamp: Timestamp,
    },
    /// Bytes of a side are missing, and with them whatever message they were part of.
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

impl<K: Send + 'static, M: Send + 'static> MessageStream<K, M> {
    pub(crate) const fn new(events: EventStream<MessageEvent<M, K>>) -> Self {
        Self { events }
    }

    /// Returns a handle that stops the engine and has its statistics.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.events.handle()
    }
}

impl<K, M> Unpin for MessageStream<K, M> {}

impl<K, M> Stream for MessageStream<K, M> {
    type Item = Result<MessageEvent<M, K>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll(cx)
    }
}

impl<M: Send + 'static, K: Send + 'static> Event for MessageEvent<M, K> {
    fn lagged(count: u64) -> Self {
        Self::Lagged { count }
    }

    fn part(&self) -> Part {
        match self {
            Self::Started { id, .. } => Part::Begins(*id),
            Self::Message { id, .. } | Self::Gap { id, .. } => Part::GoesOn(*id),
            Self::Ended { id, .. } => Part::Ends(*id),
            Self::Lagged { .. } => Part::None,
        }
    }
}

/// Runs parsers: one of the adapters for sessions and for datagrams.
pub(crate) trait Parsing<K>: FlowHandler<K> + Send + 'static {
    /// The protocol above IP whose flows are parsed.
    const PROTOCOL: u8;

    type Message: Send + 'static;

    fn mail(&self) -> &Mail<K, Self::Message>;
    fn mail_mut(&mut self) -> &mut Mail<K, Self::Message>;
    fn totals(&self) -> ParserStatistics;
    fn tick<E: FlowExtractor<Key = K>>(&mut self, now: Timestamp, table: &FlowTable<E>);
}

impl<K, F> Parsing<K> for Sessions<K, F, Mail<K, <F::Parser as SessionParser>::Message>>
where
    K: Clone + Send + 'static,
    F: SessionParserFactory<K>,
    F::Parser: Send,
{
    const PROTOCOL: u8 = protocol::TCP;

    type Message = <F::Parser as SessionParser>::Message;

    fn mail(&self) -> &Mail<K, Self::Message> {
        self.handler()
    }

    fn mail_mut(&mut self) -> &mut Mail<K, Self::Message> {
        self.handler_mut()
    }

    fn totals(&self) -> ParserStatistics {
        self.statistics()
    }

    fn tick<E: FlowExtractor<Key = K>>(&mut self, now: Timestamp, table: &FlowTable<E>) {
        self.tick(now, table);
    }
}

impl<K, F> Parsing<K> for Datagrams<K, F, Mail<K, <F::Parser as DatagramParser>::Message>>
where
    K: Clone + Send + 'static,
    F: DatagramParserFactory<K>,
    F::Parser: Send,
{
    const PROTOCOL: u8 = protocol::UDP;

    type Message = <F::Parser as DatagramParser>::Message;

    fn mail(&self) -> &Mail<K, Self::Message> {
        self.handler()
    }

    fn mail_mut(&mut self) -> &mut Mail<K, Self::Message> {
        self.handler_mut()
    }

    fn totals(&self) -> ParserStatistics {
        self.statistics()
    }

    fn tick<E: FlowExtractor<Key = K>>(&mut self, now: Timestamp, table: &FlowTable<E>) {
        self.tick(now, table);
    }
}

/// Takes messages to an outlet.
pub(crate) struct Mail<K, M> {
    outlet: Outlet<MessageEvent<M, K>>,
    /// The number of the source, if there are several.
    source: u32,
    /// By the slot of the flow's id: bytes that its parser was fed since its last message; `None`
    /// for flows whose beginning was not told. A message keeps about as much as it was made of.
    fed: Vec<Option<usize>>,
}

impl<K: Clone + Send + 'static, M: Send + 'static> Mail<K, M> {
    pub(crate) const fn new(outlet: Outlet<MessageEvent<M, K>>, source: u32) -> Self {
        Self { outlet, source, fed: Vec::new() }
    }

    const fn number(&self, flow: &Flow<'_, K>) -> FlowNumber {
        FlowNumber::new(self.source, flow.id)
    }

    /// Reports the beginning of a flow. Returns `false` if there is no room for it.
    fn start(&mut self, flow: &Flow<'_, K>) -> bool {
        let (id, key, timestamp) = (self.number(flow), flow.key.clone(), flow.started);
        let event = MessageEvent::Started { id, key, initiator: flow.initiator, timestamp };
        let told = self.outlet.offer(0, event);
        let slot = flow.id.slot();
        if slot >= self.fed.len() {
            self.fed.resize(slot + 1, None);
        }
        self.fed[slot] = told.then_some(0);
        told
    }

    fn fed(&mut self, flow: &Flow<'_, K>) -> Option<&mut usize> {
        self.fed.get_mut(flow.id.slot())?.as_mut()
    }

    fn feed(&mut self, flow: &Flow<'_, K>, bytes: usize) {
        if let Some(fed) = self.fed(flow) {
            *fed = fed.saturating_add(bytes);
        }
    }
}

impl<K: Clone + Send + 'static, M: Send + 'static> MessageHandler<K, M> for Mail<K, M> {
    fn on_message(&mut self, flow: &Flow<'_, K>, side: FlowSide, message: M, timestamp: Timestamp) {
        if let Some(fed) = self.fed(flow) {
            let bytes = std::mem::take(fed);
            let (id, key) = (self.number(flow), flow.key.clone());
            let event = MessageEvent::Message { id, key, side, message, timestamp };
            self.outlet.offer(bytes, event);
        }
    }

    fn on_gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        if self.fed(flow).is_some() {
            let (id, cause) = (self.number(flow), gap.cause.into());
            let event = MessageEvent::Gap { id, side, offset: gap.offset, len: gap.len, cause };
            self.outlet.offer(0, event);
        }
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        if self.fed.get_mut(flow.id.slot()).and_then(Option::take).is_some() {
            let (id, record) = (self.number(flow), Box::new(record.clone()));
            self.outlet.insist(size_of::<FlowRecord<K>>(), MessageEvent::Ended { id, record });
        }
    }
}

/// Runs parsers on the flows of their protocol.
pub(crate) struct MessageSink<P, K> {
    parsing: P,
    admission: Admission<K>,
    /// The part of the parsers' totals that the counters have.
    counted: ParserStatistics,
}

/// A sink of the parsers of TCP streams that `F` makes.
type SessionSink<F, K> = MessageSink<Sessions<K, F, Mail<K, SessionMessage<F, K>>>, K>;

/// A sink of the parsers of datagrams that `F` makes.
type DatagramSink<F, K> = MessageSink<Datagrams<K, F, Mail<K, DatagramMessage<F, K>>>, K>;

impl<K, F> SessionSink<F, K>
where
    K: Clone + Send + 'static,
    F: SessionParserFactory<K>,
{
    pub(crate) fn sessions(
        factory: F,
        outlet: Outlet<MessageEvent<SessionMessage<F, K>, K>>,
        source: u32,
        admission: Admission<K>,
    ) -> Self {
        Self::new(Sessions::new(factory, Mail::new(outlet, source)), admission)
    }
}

impl<K, F> DatagramSink<F, K>
where
    K: Clone + Send + 'static,
    F: DatagramParserFactory<K>,
{
    pub(crate) fn datagrams(
        factory: F,
        outlet: Outlet<MessageEvent<DatagramMessage<F, K>, K>>,
        source: u32,
        admission: Admission<K>,
    ) -> Self {
        Self::new(Datagrams::new(factory, Mail::new(outlet, source)), admission)
    }
}

impl<P, K> MessageSink<P, K> {
    fn new(parsing: P, admission: Admission<K>) -> Self {
        Self { parsing, admission, counted: ParserStatistics::default() }
    }
}

impl<K, P> FlowHandler<K> for MessageSink<P, K>
where
    K: Clone + fmt::Debug + Send + 'static,
    P: Parsing<K>,
{
    /// Flows of other protocols are tracked without asking: nothing is kept of them anyway.
    fn admits(&mut self, flow: &Flow<'_, K>, opening: &Opening<'_>) -> bool {
        flow.protocol != P::PROTOCOL
            || self.admission.admits(flow, opening, self.parsing.mail().outlet.counters())
    }

    fn on_start(&mut self, flow: &Flow<'_, K>) {
        if flow.protocol == P::PROTOCOL {
            let told = self.parsing.mail_mut().start(flow);
            self.parsing.mail().outlet.counters().began(flow, told);
            // Nobody would hear of what is parsed otherwise.
            if told {
                self.parsing.on_start(flow);
            }
        }
    }

    fn on_data(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        self.parsing.mail().outlet.counters().bytes.add(data.bytes.len() as u64);
        self.parsing.mail_mut().feed(flow, data.bytes.len());
        self.parsing.on_data(flow, side, data);
    }

    fn on_gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        self.parsing.mail().outlet.counters().gap(flow, side, &gap.into());
        self.parsing.on_gap(flow, side, gap);
    }

    fn on_late(&mut self, _: &Flow<'_, K>, _: FlowSide, data: Data<'_>) {
        self.parsing.mail().outlet.counters().late_bytes.add(data.bytes.len() as u64);
    }

    fn on_unplaced(&mut self, _: &Flow<'_, K>, _: FlowSide, unplaced: Unplaced<'_>) {
        self.parsing.mail().outlet.counters().unplaced_bytes.add(unplaced.bytes.len() as u64);
    }

    fn on_conflict(&mut self, _: &Flow<'_, K>, _: FlowSide, _: Conflict<'_>) {
        self.parsing.mail().outlet.counters().conflicts.add(1);
    }

    fn on_fin(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        self.parsing.on_fin(flow, side, offset);
    }

    fn on_datagram(&mut self, flow: &Flow<'_, K>, side: FlowSide, datagram: Datagram<'_>) {
        self.parsing.mail_mut().feed(flow, datagram.bytes.len());
        self.parsing.on_datagram(flow, side, datagram);
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        observe::flow_ended(flow, record);
        self.parsing.on_end(flow, record);
    }
}

impl<K, P> engine::Sink<K> for MessageSink<P, K>
where
    K: Clone + fmt::Debug + Send + 'static,
    P: Parsing<K>,
{
    fn wants_retained(&self) -> bool {
        false
    }

    fn begin(&mut self, _retained: Option<Bytes>) {
        self.parsing.mail_mut().outlet.begin();
    }

    fn flush(&mut self) {
        let (totals, counted) = (self.parsing.totals(), self.counted);
        let counters = self.parsing.mail().outlet.counters();
        counters.messages.add(totals.messages - counted.messages);
        counters.poisoned_parsers.add(totals.poisoned - counted.poisoned);
        self.counted = totals;
        self.parsing.mail_mut().outlet.flush();
    }

    fn tick<E: FlowExtractor<Key = K>>(&mut self, now: Timestamp, table: &FlowTable<E>) {
        self.parsing.tick(now, table);
    }

    fn share_memory(&mut self, table: usize) -> (usize, usize) {
        self.parsing.mail_mut().outlet.share_memory(table)
    }

    fn is_crowded(&mut self) -> bool {
        self.parsing.mail().outlet.is_crowded()
    }

    fn is_abandoned(&self) -> bool {
        self.parsing.mail().outlet.is_abandoned()
    }

    fn end(&mut self, error: Option<Error>) {
        self.parsing.mail_mut().outlet.end(error);
    }
}
