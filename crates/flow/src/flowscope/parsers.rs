//! One parser per flow, and its messages.

use std::ops::Range;

use ::flowscope::Timestamp as Time;

use super::messages::{MessageHandler, ParserStatistics};
use super::timestamp;
use crate::{FlowExtractor, FlowId, FlowSide, FlowTable, Timestamp};

/// The interval at which a parser gets the time, in nanoseconds.
const ROUND: u64 = 1_000_000_000;
/// The number of slots that one call examines for parsers that need the time.
const PORTION: usize = 4096;
/// The minimum time between two such calls, in nanoseconds.
const PAUSE: u64 = 100_000_000;

/// Parsers of type `P`, by the slots of their flows, with messages of type `M`.
///
/// A parser gets the time once a second: before it is fed, or else when its slot is examined. One
/// round over all slots takes longer than a second if there are more than some ten thousand.
#[derive(Debug)]
pub(super) struct Parsers<P, M> {
    slots: Vec<Option<Parser<P>>>,
    /// Passes the time to a parser.
    tick: Tick<P, M>,
    /// Returns `true` if a parser has failed.
    poisoned: fn(&P) -> bool,
    /// A buffer that is empty between calls.
    messages: Vec<M>,
    statistics: ParserStatistics,
    /// The latest time so far.
    now: Timestamp,
    round: Round,
}

type Tick<P, M> = fn(&mut P, Time, &mut Vec<M>);

#[derive(Debug)]
struct Parser<P> {
    flow: FlowId,
    parser: P,
    /// The last time that was passed to the parser.
    told: u64,
}

/// The next slots to examine, and the time for it.
#[derive(Debug)]
struct Round {
    slot: usize,
    began: u64,
    due: u64,
}

impl<P, M> Parsers<P, M> {
    pub(super) const fn new(tick: Tick<P, M>, poisoned: fn(&P) -> bool) -> Self {
        Self {
            slots: Vec::new(),
            tick,
            poisoned,
            messages: Vec::new(),
            statistics: ParserStatistics { messages: 0, poisoned: 0, restarted: 0 },
            now: Timestamp::from_nanos(0),
            round: Round { slot: 0, began: 0, due: 0 },
        }
    }

    pub(super) const fn statistics(&self) -> ParserStatistics {
        self.statistics
    }

    /// Begins a flow. With `None` it is not parsed.
    pub(super) fn start(&mut self, flow: FlowId, started: Timestamp, parser: Option<P>) {
        let slot = flow.slot();
        if slot >= self.slots.len() {
            if parser.is_none() {
                return;
            }
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = parser.map(|parser| Parser { flow, parser, told: started.as_nanos() });
    }

    /// The flow's parser, unless it has none or the parser has failed.
    pub(super) fn of(&mut self, flow: FlowId) -> Option<&mut P> {
        Some(&mut self.slots.get_mut(flow.slot())?.as_mut()?.parser)
    }

    /// Replaces the flow's parser after a gap with one from `fresh`.
    pub(super) fn restart(&mut self, flow: FlowId, fresh: impl FnOnce() -> P) {
        if let Some(parser) = self.of(flow) {
            *parser = fresh();
            self.statistics.restarted += 1;
        }
    }

    /// Runs the flow's parser for a point in time, and passes on its messages with that time, with
    /// `true` for those that depend only on time. A parser that is poisoned afterwards is dropped.
    pub(super) fn run(
        &mut self,
        flow: FlowId,
        time: Timestamp,
        work: impl FnOnce(&mut P, &mut Vec<M>),
        mut message: impl FnMut(bool, M),
    ) {
        self.now = self.now.max(time);
        if self.is_due(flow.slot(), time) {
            self.tell(flow.slot(), time, |_, told| message(true, told));
        }
        self.work(flow.slot(), work, |_, said| message(false, said));
    }

    /// Passes the time to the next portion of idle parsers.
    pub(super) fn tick<E: FlowExtractor>(
        &mut self,
        now: Timestamp,
        table: &FlowTable<E>,
        handler: &mut impl MessageHandler<E::Key, M>,
    ) {
        self.now = self.now.max(now);
        for slot in self.round.portion(self.now.as_nanos(), self.slots.len()) {
            if self.is_due(slot, self.now) {
                self.tell(slot, self.now, |flow, message| {
                    if let Some(flow) = table.flow(flow) {
                        handler.on_message(&flow, FlowSide::Initiator, message, now);
                    }
                });
            }
        }
    }

    /// Ends a flow. Messages that depend only on time come first.
    pub(super) fn end(&mut self, flow: FlowId, mut message: impl FnMut(Timestamp, M)) {
        let now = self.now;
        self.tell(flow.slot(), now, |_, told| message(now, told));
        if let Some(parser) = self.slots.get_mut(flow.slot()) {
            *parser = None;
        }
    }

    fn is_due(&self, slot: usize, now: Timestamp) -> bool {
        let Some(Some(parser)) = self.slots.get(slot) else { return false };
        now.as_nanos().saturating_sub(parser.told) >= ROUND
    }

    /// Passes the time to a parser.
    fn tell(&mut self, slot: usize, now: Timestamp, message: impl FnMut(FlowId, M)) {
        if let Some(Some(parser)) = self.slots.get_mut(slot) {
            parser.told = now.as_nanos();
        }
        let tick = self.tick;
        self.work(slot, |parser, messages| tick(parser, timestamp(now), messages), message);
    }

    fn work(
        &mut self,
        slot: usize,
        work: impl FnOnce(&mut P, &mut Vec<M>),
        mut message: impl FnMut(FlowId, M),
    ) {
        let Some(entry) = self.slots.get_mut(slot) else { return };
        let Some(Parser { flow, parser, .. }) = entry else { return };
        let flow = *flow;
        work(parser, &mut self.messages);
        if (self.poisoned)(parser) {
            *entry = None;
            self.statistics.poisoned += 1;
        }
        self.statistics.messages += self.messages.len() as u64;
        self.messages.drain(..).for_each(|said| message(flow, said));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_visits_every_slot_once_a_second_in_portions() {
        let mut round = Round { slot: 0, began: 0, due: 0 };
        for (slots, seconds) in [(1, 10), (PORTION, 10), (3 * PORTION + 7, 10), (30 * PORTION, 3)] {
            round.due = 0;
            let mut visits = vec![0; slots];
            for now in (0..10 * ROUND).step_by(1_000_000) {
                let portion = round.portion(now, slots);
                assert!(portion.len() <= PORTION);
                portion.for_each(|slot| visits[slot] += 1);
            }
            assert!(visits.iter().all(|times| (seconds..=seconds + 1).contains(times)), "{slots}");
            round = Round { slot: 0, began: 0, due: 0 };
        }
        // The number of slots only grows; time may jump.
        assert_eq!(round.portion(u64::MAX, 5), 0..5);
        assert_eq!(round.portion(0, 5), 0..0);
    }
}
