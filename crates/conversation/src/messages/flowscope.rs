//! Messages of flowscope's parsers.

use std::fmt;

use ::flowscope::{DatagramParser, DatagramParserFactory, SessionParser, SessionParserFactory};
use bytes::Bytes;
use flow::flowscope::{Datagrams, MessageHandler, ParserStatistics, Sessions};
use flow::{
    Conflict, Data, Datagram, FirstPacket, Flow, FlowExtractor, FlowHandler, FlowRecord, FlowSide,
    FlowTable, Gap, Timestamp, Unplaced, protocol,
};

use super::{Mail, MessageEvent, MessageStream};
use crate::api::error::Error;
use crate::engine;
use crate::engine::admission::Admission;
use crate::engine::observe;
use crate::events::broadcast::Broadcast;
use crate::events::outlet::Outlet;

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

/// Implements [`Parsing`] for an adapter: both have the same methods, but no trait in common.
macro_rules! parsing {
    ($adapter:ident, $factory:ident, $parser:ident, $protocol:expr) => {
        impl<K, F> Parsing<K> for $adapter<K, F, Mail<K, <F::Parser as $parser>::Message>>
        where
            K: Clone + Send + 'static,
            F: $factory<K>,
            F::Parser: Send,
        {
            const PROTOCOL: u8 = $protocol;

            type Message = <F::Parser as $parser>::Message;

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
    };
}

parsing!(Sessions, SessionParserFactory, SessionParser, protocol::TCP);
parsing!(Datagrams, DatagramParserFactory, DatagramParser, protocol::UDP);

impl<K: Clone + Send + 'static, M: Send + 'static> MessageHandler<K, M> for Mail<K, M> {
    fn on_message(&mut self, flow: &Flow<'_, K>, side: FlowSide, message: M, timestamp: Timestamp) {
        // A message keeps about as much as it was made of.
        let bytes = self.fed(flow).map(std::mem::take).unwrap_or_default();
        self.message(flow, side, message, timestamp, bytes);
    }

    fn on_gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        self.gap(flow, side, gap);
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        self.ended(flow, record);
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
    fn admits(&mut self, flow: &Flow<'_, K>, first: &FirstPacket<'_>) -> bool {
        flow.protocol != P::PROTOCOL
            || self.admission.admits(flow, first, self.parsing.mail().outlet.counters())
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
        self.parsing.mail().outlet.counters().gap(flow, side, &gap);
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
