//! flowscope's datagram parsers on flows that are not TCP.

use ::flowscope::{DatagramParser, DatagramParserFactory};

use super::messages::{MessageHandler, ParserStatistics};
use super::parsers::Parsers;
use super::{side as their_side, timestamp};
use crate::{
    Datagram, Flow, FlowExtractor, FlowHandler, FlowRecord, FlowSide, FlowTable, Timestamp,
    protocol,
};

/// A handler for a [`FlowTable`](crate::FlowTable) that runs one of flowscope's datagram parsers on
/// each UDP flow.
///
/// Truncated datagrams are parsed as far as they were captured.
#[derive(Debug)]
pub struct Datagrams<K, F, H>
where
    F: DatagramParserFactory<K>,
{
    factory: F,
    handler: H,
    parsers: Parsers<F::Parser, <F::Parser as DatagramParser>::Message>,
}

impl<K, F, H> Datagrams<K, F, H>
where
    F: DatagramParserFactory<K>,
    H: MessageHandler<K, <F::Parser as DatagramParser>::Message>,
{
    /// Creates a handler with parsers from `factory` and messages to `handler`. Any parser that is
    /// `Default` and `Clone` is its own factory.
    #[must_use]
    pub const fn new(factory: F, handler: H) -> Self {
        let parsers = Parsers::new(DatagramParser::on_tick, DatagramParser::is_poisoned);
        Self { factory, handler, parsers }
    }

    /// Passes the time to the parsers, for messages that depend only on time, such as queries
    /// without an answer. Call it regularly before [`FlowTable::advance`], with the table that
    /// feeds this handler. Such messages are attributed to the initiator.
    ///
    /// Each parser gets the time about once a second: an active one with its packets, an idle one
    /// from this method, which examines 4,096 slots of the table at most every 100 ms. A flow that
    /// ends gets the time once more.
    pub fn tick<E>(&mut self, now: Timestamp, table: &FlowTable<E>)
    where
        E: FlowExtractor<Key = K>,
    {
        self.parsers.tick(now, table, &mut self.handler);
    }

    /// Counters of the parsers.
    #[must_use]
    pub fn statistics(&self) -> ParserStatistics {
        self.parsers.statistics()
    }

    /// Returns the handler of messages.
    #[must_use]
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// Returns the handler of messages.
    #[must_use]
    pub fn handler_mut(&mut self) -> &mut H {
        &mut self.handler
    }
}

impl<K, F, H> FlowHandler<K> for Datagrams<K, F, H>
where
    F: DatagramParserFactory<K>,
    H: MessageHandler<K, <F::Parser as DatagramParser>::Message>,
{
    fn on_start(&mut self, flow: &Flow<'_, K>) {
        let parser = (flow.protocol == protocol::UDP).then(|| self.factory.new_parser(flow.key));
        self.parsers.start(flow.id, flow.started, parser);
    }

    fn on_datagram(&mut self, flow: &Flow<'_, K>, side: FlowSide, datagram: Datagram<'_>) {
        let time = timestamp(datagram.timestamp);
        let Self { parsers, handler, .. } = self;
        parsers.run(
            flow.id,
            datagram.timestamp,
            |parser, messages| parser.parse(datagram.bytes, their_side(side), time, messages),
            |of_time, message| {
                let side = if of_time { FlowSide::Initiator } else { side };
                handler.on_message(flow, side, message, datagram.timestamp);
            },
        );
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        let Self { parsers, handler, .. } = self;
        parsers.end(flow.id, |time, message| {
            handler.on_message(flow, FlowSide::Initiator, message, time);
        });
        handler.on_end(flow, record);
    }
}
