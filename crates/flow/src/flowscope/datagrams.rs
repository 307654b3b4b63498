//! flowscope's datagram parsers on flows that are not TCP.

use ::flowscope::{DatagramParser, DatagramParserFactory};

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
    /// By the slot of the flow's id.
    parsers: Vec<Option<F::Parser>>,
    messages: Vec<<F::Parser as DatagramParser>::Message>,
    statistics: ParserStatistics,
}

impl<K, F, H> Datagrams<K, F, H>
where
    F: DatagramParserFactory<K>,
    H: MessageHandler<K, <F::Parser as DatagramParser>::Message>,
{
    /// Parsers from `factory` (any parser that is `Default` and `Clone` is its own factory), messages to `handler`.
    #[must_use]
    pub fn new(factory: F, handler: H) -> Self {
        let statistics = ParserStatistics::default();
        Self { factory, handler, parsers: Vec::new(), messages: Vec::new(), statistics }
    }

    /// What became of parsers.
    #[must_use]
    pub fn statistics(&self) -> ParserStatistics {
        self.statistics
    }

    /// The handler of messages.
    #[must_use]
    pub fn handler(&self) -> &H {
        &self.handler
    }
}

impl<K, F, H> FlowHandler<K> for Datagrams<K, F, H>
where
    F: DatagramParserFactory<K>,
    H: MessageHandler<K, <F::Parser as DatagramParser>::Message>,
{
    fn on_start(&mut self, flow: &Flow<'_, K>) {
        let slot = flow.id.slot();
        if slot >= self.parsers.len() {
            self.parsers.resize_with(slot + 1, || None);
        }
        self.parsers[slot] =
            (flow.protocol == protocol::UDP).then(|| self.factory.new_parser(flow.key));
    }

    fn on_datagram(&mut self, flow: &Flow<'_, K>, side: FlowSide, datagram: Datagram<'_>) {
        let Some(entry) = self.parsers.get_mut(flow.id.slot()) else { return };
        let Some(parser) = entry else { return };
        let time = timestamp(datagram.timestamp);
        parser.parse(datagram.bytes, their_side(side), time, &mut self.messages);
        if parser.is_poisoned() {
            *entry = None;
            self.statistics.poisoned += 1;
        }
        self.statistics.messages += self.messages.len() as u64;
        for message in self.messages.drain(..) {
            self.handler.on_message(flow, side, message, datagram.timestamp);
        }
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        if let Some(parser) = self.parsers.get_mut(flow.id.slot()) {
            *parser = None;
        }
        self.handler.on_end(flow, record);
    }
}
