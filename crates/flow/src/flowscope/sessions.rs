//! flowscope's session parsers on reassembled streams.

use ::flowscope::{SessionParser, SessionParserFactory};

use super::messages::{MessageHandler, ParserStatistics};
use super::parsers::Parsers;
use super::timestamp;
use crate::{
    Data, EndReason, Flow, FlowExtractor, FlowHandler, FlowRecord, FlowSide, FlowTable, Gap,
    Timestamp, protocol,
};

/// A handler for a [`FlowTable`](crate::FlowTable) that runs one of flowscope's session parsers on
/// each TCP flow.
///
/// Bytes reach a parser in order and once. At a gap the parser is dropped, because no parser can
/// know how much of a message is missing. A new one begins after the gap.
#[derive(Debug)]
pub struct Sessions<K, F, H>
where
    F: SessionParserFactory<K>,
{
    factory: F,
    handler: H,
    parsers: Parsers<F::Parser, <F::Parser as SessionParser>::Message>,
    /// Time of the newest bytes, which is also the time of a message that a FIN completes.
    newest: Timestamp,
}

impl<K, F, H> Sessions<K, F, H>
where
    F: SessionParserFactory<K>,
    H: MessageHandler<K, <F::Parser as SessionParser>::Message>,
{
    /// Creates a handler with parsers from `factory` and messages to `handler`. Any parser that is
    /// `Default` and `Clone` is its own factory.
    #[must_use]
    pub fn new(factory: F, handler: H) -> Self {
        let parsers = Parsers::new(SessionParser::on_tick, SessionParser::is_poisoned);
        Self { factory, handler, parsers, newest: Timestamp::default() }
    }

    /// Passes the time to the parsers, as [`Datagrams::tick`](super::Datagrams::tick) does.
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

    /// Runs the flow's parser and passes on its messages.
    fn parse(
        &mut self,
        flow: &Flow<'_, K>,
        side: FlowSide,
        time: Timestamp,
        work: impl FnOnce(&mut F::Parser, &mut Vec<<F::Parser as SessionParser>::Message>),
    ) {
        let Self { parsers, handler, .. } = self;
        parsers.run(flow.id, time, work, |of_time, message| {
            let side = if of_time { FlowSide::Initiator } else { side };
            handler.on_message(flow, side, message, time);
        });
    }
}

impl<K, F, H> FlowHandler<K> for Sessions<K, F, H>
where
    F: SessionParserFactory<K>,
    H: MessageHandler<K, <F::Parser as SessionParser>::Message>,
{
    fn on_start(&mut self, flow: &Flow<'_, K>) {
        let parser = (flow.protocol == protocol::TCP).then(|| self.factory.new_parser(flow.key));
        self.parsers.start(flow.id, flow.started, parser);
    }

    fn on_data(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        self.newest = data.timestamp;
        let time = timestamp(data.timestamp);
        self.parse(flow, side, data.timestamp, |parser, messages| match side {
            FlowSide::Initiator => parser.feed_initiator(data.bytes, time, messages),
            FlowSide::Responder => parser.feed_responder(data.bytes, time, messages),
        });
    }

    fn on_gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        let Self { parsers, factory, .. } = self;
        parsers.restart(flow.id, || factory.new_parser(flow.key));
        self.handler.on_gap(flow, side, gap);
    }

    fn on_fin(&mut self, flow: &Flow<'_, K>, side: FlowSide, _offset: u64) {
        self.parse(flow, side, self.newest, |parser, messages| match side {
            FlowSide::Initiator => parser.fin_initiator(messages),
            FlowSide::Responder => parser.fin_responder(messages),
        });
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        if let Some(parser) = self.parsers.of(flow.id)
            && record.reason == EndReason::Rst
        {
            parser.rst_initiator();
            parser.rst_responder();
        }
        let Self { parsers, handler, .. } = self;
        parsers.end(flow.id, |time, message| {
            handler.on_message(flow, FlowSide::Initiator, message, time);
        });
        handler.on_end(flow, record);
    }
}
