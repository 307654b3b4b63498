//! flowscope's datagram parsers on flows that are not TCP.

use ::flowscope::{DatagramParser, DatagramParserFactory};

use super::parsers::Parsers;
use super::sessions::{MessageHandler, ParserStatistics};
use super::{side as their_side, timestamp};
use crate::{Datagram, Flow, FlowHandler, FlowRecord, FlowSide, protocol};

/// A handler for a [`FlowTable`](crate::FlowTable) that runs one of flowscope's datagram parsers on each UDP flow.
///
/// Datagrams that the capture cut short are parsed as far as they go.
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
    /// Parsers from `factory` (any parser that is `Default` and `Clone` is its own factory), messages to `handler`.
    #[must_use]
    pub const fn new(factory: F, handler: H) -> Self {
        Self { factory, handler, parsers: Parsers::new() }
    }

    /// What became of parsers.
    #[must_use]
    pub fn statistics(&self) -> ParserStatistics {
        self.parsers.statistics()
    }

    /// The handler of messages.
    #[must_use]
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// The handler of messages.
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
        self.parsers.start(flow.id, parser);
    }

    fn on_datagram(&mut self, flow: &Flow<'_, K>, side: FlowSide, datagram: Datagram<'_>) {
        let time = timestamp(datagram.timestamp);
        let Self { parsers, handler, .. } = self;
        parsers.run(
            flow.id,
            |parser, messages| parser.parse(datagram.bytes, their_side(side), time, messages),
            DatagramParser::is_poisoned,
            |message| handler.on_message(flow, side, message, datagram.timestamp),
        );
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        self.parsers.end(flow.id);
        self.handler.on_end(flow, record);
    }
}
