//! The verdicts about conversations, and what they mean for packets.

use std::rc::Rc;

use conversation::select::{Condition, Evaluation, OnUndecided, Verdict};
use flow::{
    Data, Datagram, FirstPacket, FiveTupleKey, Flow, FlowHandler, FlowPacket, FlowRecord, FlowSide,
    Gap, TcpFlags, protocol,
};
use ring_core::Packet;

use super::queue::{OVERHEAD, Queue};
use super::split::{Conversation, Split};
use crate::Error;

/// The part of the memory that one conversation may take: one in this many.
const SHARE: usize = 16;

/// The conversations of a capture.
pub(super) struct Picks {
    /// `None` if all conversations are taken.
    condition: Option<Condition>,
    policy: OnUndecided,
    limit: usize,
    /// The bytes of each conversation that are taken.
    first_bytes: u64,
    /// A file for each conversation.
    pub(super) split: Option<Split>,
    /// By slot of the flow table.
    states: Vec<State>,
    /// That of the flow that begins next.
    next: Option<State>,
    queue: Queue,
    /// The memory of the parsers of undecided conversations.
    parsers: usize,
    pub(super) selected: u64,
    pub(super) unselected: u64,
    pub(super) undecided_accepted: u64,
    pub(super) undecided_dropped: u64,
    /// Fragments, and SYNs of reused ports, whose conversation was not known when there was no
    /// memory left.
    pub(super) undecided_packets: u64,
    /// Packets that turned out to belong to an accepted conversation when they were gone.
    pub(super) astray: u64,
    /// Packets that were not taken because of `first_bytes`, and their captured bytes.
    pub(super) cut: (u64, u64),
}

enum State {
    Rejected,
    Accepted(Taken),
    Undecided(Box<Undecided>),
}

/// The packets of a conversation that are taken.
struct Taken {
    /// Their captured bytes.
    bytes: u64,
    conversation: Option<Rc<Conversation>>,
}

struct Undecided {
    evaluation: Evaluation,
    taken: Taken,
    /// The packets in the queue.
    numbers: Vec<u64>,
    /// Their memory.
    cost: usize,
    /// That of the parsers.
    parsers: usize,
}

/// The handler while a batch is worked on.
pub(super) struct Batch<'p> {
    pub(super) picks: &'p mut Picks,
    /// The number of its first packet.
    pub(super) first: u64,
}

impl Picks {
    pub(super) fn new(
        condition: Option<Condition>,
        (policy, limit): (OnUndecided, usize),
        first_bytes: u64,
        split: Option<Split>,
    ) -> Self {
        Self {
            condition,
            policy,
            limit,
            first_bytes,
            split,
            states: Vec::new(),
            next: None,
            queue: Queue::default(),
            parsers: 0,
            selected: 0,
            unselected: 0,
            undecided_accepted: 0,
            undecided_dropped: 0,
            undecided_packets: 0,
            astray: 0,
            cut: (0, 0),
        }
    }

    pub(super) const fn disordered(&self) -> u64 {
        self.queue.disordered()
    }

    /// Passes on what is decided, keeps what has to wait of the batch, and makes room for it.
    pub(super) fn release<E: From<Error>>(
        &mut self,
        first: u64,
        batch: &[Packet<'_>],
        pass: &mut impl FnMut(&Packet<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let split = self.split.take();
        let mut pass = |number: u64, kept: Option<Packet<'_>>, of: &[Rc<Conversation>]| {
            let of_batch = number.checked_sub(first).and_then(|at| batch.get(at as usize));
            let Some(packet) = kept.as_ref().or(of_batch) else { return Ok(()) };
            pass(packet)?;
            for conversation in of {
                if let Some(split) = &split {
                    split.write(conversation, packet)?;
                }
            }
            Ok(())
        };
        let result = self.release_to(first, batch, &mut pass);
        self.split = split;
        result
    }

    fn release_to<E>(
        &mut self,
        first: u64,
        batch: &[Packet<'_>],
        mut pass: &mut impl FnMut(u64, Option<Packet<'_>>, &[Rc<Conversation>]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.queue.release(false, &mut pass)?;
        self.queue.keep(first, batch);
        if self.memory() > self.limit {
            // The order is worth less than the verdict: what is decided does not wait any longer.
            self.queue.release(true, &mut pass)?;
        }
        while self.memory() > self.limit
            && let Some((number, owner)) = self.queue.blocking()
        {
            self.force_packet(number, owner);
            self.queue.release(false, &mut pass)?;
        }
        Ok(())
    }

    const fn memory(&self) -> usize {
        self.queue.bytes() + self.parsers
    }

    /// Decides the flow of a packet by the policy; the packet alone if no flow is known.
    fn force_packet(&mut self, number: u64, owner: Option<usize>) {
        let owns = |slot: &usize| match self.states.get(*slot) {
            Some(State::Undecided(undecided)) => undecided.numbers.contains(&number),
            _ => false,
        };
        if let Some(slot) = owner.filter(owns) {
            self.force(slot);
        } else {
            self.undecided_packets += 1;
            self.queue.settle(number, self.policy == OnUndecided::Accept);
        }
    }

    /// Decides a flow by the policy.
    fn force(&mut self, slot: usize) {
        let accepts = self.policy == OnUndecided::Accept;
        let counter =
            if accepts { &mut self.undecided_accepted } else { &mut self.undecided_dropped };
        *counter += 1;
        self.settle(slot, accepts);
    }

    fn decide(&mut self, slot: usize, accepts: bool) {
        let counter = if accepts { &mut self.selected } else { &mut self.unselected };
        *counter += 1;
        self.settle(slot, accepts);
    }

    fn settle(&mut self, slot: usize, accepts: bool) {
        let Some(place) = self.states.get_mut(slot) else { return };
        let State::Undecided(undecided) = std::mem::replace(place, State::Rejected) else { return };
        let Undecided { taken, numbers, parsers, .. } = *undecided;
        self.parsers -= parsers;
        for number in numbers {
            self.queue.decide(number, accepts, taken.conversation.as_ref());
        }
        if accepts {
            *place = State::Accepted(taken);
        }
    }

    /// Evaluates an event of a flow.
    fn step(
        &mut self,
        flow: &Flow<'_, FiveTupleKey>,
        event: impl FnOnce(&mut Evaluation) -> Verdict,
    ) {
        let slot = flow.id.slot();
        let Some(State::Undecided(undecided)) = self.states.get_mut(slot) else { return };
        let verdict = event(&mut undecided.evaluation);
        let parsers = undecided.evaluation.memory();
        self.parsers = self.parsers - undecided.parsers + parsers;
        undecided.parsers = parsers;
        let is_full = undecided.cost + parsers > self.limit / SHARE;
        match verdict {
            Verdict::Accept => self.decide(slot, true),
            Verdict::Reject => self.decide(slot, false),
            Verdict::Undecided if is_full => self.force(slot),
            Verdict::Undecided => {}
        }
    }
}

impl FlowHandler<FiveTupleKey> for Batch<'_> {
    fn admits(&mut self, flow: &Flow<'_, FiveTupleKey>, first: &FirstPacket<'_>) -> bool {
        let midway = flow.protocol == protocol::TCP && !first.flags.contains(TcpFlags::SYN);
        let taken = Taken { bytes: 0, conversation: None };
        let evaluation = self.picks.condition.as_ref().map(|condition| {
            let evaluation = Evaluation::new(condition, flow);
            if midway { evaluation.midway() } else { evaluation }
        });
        self.picks.next = Some(match evaluation {
            Some(evaluation) if evaluation.verdict() == Verdict::Reject => {
                self.picks.unselected += 1;
                return false;
            }
            Some(evaluation) if evaluation.verdict() == Verdict::Undecided => {
                let (parsers, numbers) = (evaluation.memory(), Vec::new());
                State::Undecided(Box::new(Undecided {
                    evaluation,
                    taken,
                    numbers,
                    cost: 0,
                    parsers,
                }))
            }
            _ => {
                self.picks.selected += 1;
                State::Accepted(taken)
            }
        });
        true
    }

    fn on_start(&mut self, flow: &Flow<'_, FiveTupleKey>) {
        let slot = flow.id.slot();
        let mut state = self.picks.next.take().unwrap_or(State::Rejected);
        let conversation = self.picks.split.as_mut().map(|split| split.begin(flow));
        match &mut state {
            State::Undecided(undecided) => {
                self.picks.parsers += undecided.parsers;
                undecided.taken.conversation = conversation;
            }
            State::Accepted(taken) => taken.conversation = conversation,
            State::Rejected => {}
        }
        if slot >= self.picks.states.len() {
            self.picks.states.resize_with(slot + 1, || State::Rejected);
        }
        self.picks.states[slot] = state;
    }

    fn on_data(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        self.picks.step(flow, |evaluation| evaluation.data(side, data.bytes, data.timestamp));
    }

    fn on_gap(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, gap: Gap) {
        self.picks.step(flow, |evaluation| evaluation.gap(side, gap.len));
    }

    fn on_fin(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, _: u64) {
        self.picks.step(flow, |evaluation| evaluation.finish(side));
    }

    fn on_datagram(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, one: Datagram<'_>) {
        self.picks.step(flow, |evaluation| {
            evaluation.datagram(side, one.bytes, one.wire_len, one.timestamp)
        });
    }

    fn on_end(&mut self, flow: &Flow<'_, FiveTupleKey>, record: &FlowRecord<FiveTupleKey>) {
        self.picks.step(flow, |evaluation| evaluation.end(record));
    }

    fn wants_packets(&self) -> bool {
        true
    }

    fn on_packet(&mut self, flow: &Flow<'_, FiveTupleKey>, packet: FlowPacket<'_>) {
        let (number, slot) = (packet.number, flow.id.slot());
        let Picks { states, queue, limit, astray, first_bytes, cut, .. } = &mut *self.picks;
        let Some(state) = states.get_mut(slot) else { return };
        let taken = match state {
            State::Rejected => None,
            State::Accepted(taken) => Some(taken),
            State::Undecided(undecided) => Some(&mut undecided.taken),
        };
        let len = packet.packet.map_or_else(|| queue.len_of(number), |packet| packet.data().len());
        let mut is_taken = false;
        if let Some(taken) = taken {
            is_taken = taken.bytes < *first_bytes;
            if is_taken {
                taken.bytes += len as u64;
            } else {
                *cut = (cut.0 + 1, cut.1 + len as u64);
            }
        }
        if is_taken && packet.packet.is_some() {
            queue.enter(number);
        }
        match state {
            State::Accepted(taken) if is_taken => {
                *astray += u64::from(!queue.accept(number, taken.conversation.as_ref()));
            }
            State::Undecided(undecided) if is_taken => {
                undecided.cost += len + OVERHEAD;
                if undecided.numbers.last() != Some(&number) && queue.open(number, slot) {
                    undecided.numbers.push(number);
                }
                if undecided.cost + undecided.parsers > *limit / SHARE {
                    self.picks.force(slot);
                }
            }
            _ => {}
        }
        if packet.packet.is_none() {
            self.picks.queue.unpend(number);
        }
    }

    fn on_packet_pending(&mut self, packet: &Packet<'_>) {
        debug_assert!(packet.number() >= self.first);
        self.picks.queue.enter(packet.number());
        self.picks.queue.pend(packet.number());
    }

    fn on_packet_unclaimed(&mut self, number: u64) {
        self.picks.queue.unpend(number);
    }
}
