//! One parser a flow, and what comes out of them.

use super::sessions::ParserStatistics;
use crate::FlowId;

/// Parsers of type `P` by the slots of their flows' ids, whose messages are `M`.
#[derive(Debug)]
pub(super) struct Parsers<P, M> {
    slots: Vec<Option<P>>,
    /// Empty between any two calls, but for its memory.
    messages: Vec<M>,
    statistics: ParserStatistics,
}

impl<P, M> Parsers<P, M> {
    pub(super) const fn new() -> Self {
        let statistics = ParserStatistics { messages: 0, poisoned: 0, restarted: 0 };
        Self { slots: Vec::new(), messages: Vec::new(), statistics }
    }

    pub(super) const fn statistics(&self) -> ParserStatistics {
        self.statistics
    }

    /// A flow began; `None` if it is not to be parsed.
    pub(super) fn start(&mut self, flow: FlowId, parser: Option<P>) {
        let slot = flow.slot();
        if slot >= self.slots.len() {
            if parser.is_none() {
                return;
            }
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = parser;
    }

    /// The flow's parser, unless it has none or that gave up.
    pub(super) fn of(&mut self, flow: FlowId) -> Option<&mut P> {
        self.slots.get_mut(flow.slot())?.as_mut()
    }

    /// A gap took the flow's parser away; `fresh` makes the next.
    pub(super) fn restart(&mut self, flow: FlowId, fresh: impl FnOnce() -> P) {
        if let Some(parser) = self.of(flow) {
            *parser = fresh();
            self.statistics.restarted += 1;
        }
    }

    /// Lets the flow's parser do something, and hands on what came of it. A parser that is `poisoned` afterwards is
    /// thrown away.
    pub(super) fn run(
        &mut self,
        flow: FlowId,
        work: impl FnOnce(&mut P, &mut Vec<M>),
        poisoned: impl FnOnce(&P) -> bool,
        message: impl FnMut(M),
    ) {
        let Some(entry) = self.slots.get_mut(flow.slot()) else { return };
        let Some(parser) = entry else { return };
        work(parser, &mut self.messages);
        if poisoned(parser) {
            *entry = None;
            self.statistics.poisoned += 1;
        }
        self.statistics.messages += self.messages.len() as u64;
        self.messages.drain(..).for_each(message);
    }

    /// The flow ended.
    pub(super) fn end(&mut self, flow: FlowId) {
        if let Some(parser) = self.slots.get_mut(flow.slot()) {
            *parser = None;
        }
    }
}
