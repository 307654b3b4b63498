//! The verdicts about conversations, and what they mean for packets.

use conversation::select::{Condition, Evaluation, OnUndecided, Verdict};
use flow::{
    Data, Datagram, FirstPacket, FiveTupleKey, Flow, FlowHandler, FlowPacket, FlowRecord, FlowSide,
    Gap, TcpFlags, protocol,
};
use ring_core::Packet;

use super::queue::{OVERHEAD, Queue};
use crate::choice::Choice;

/// The part of the memory that one conversation may take: one in this many.
const SHARE: usize = 16;

/// The conversations of a capture.
pub(super) struct Picks {
    condition: Condition,
    policy: OnUndecided,
    limit: usize,
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
}

enum State {
    Rejected,
    Accepted,
    Undecided(Box<Undecided>),
}

struct Undecided {
    evaluation: Evaluation,
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
    pub(super) fn new(choice: &Choice) -> Option<Self> {
        let (condition, policy, limit) = choice.selection()?;
        Some(Self {
            condition,
            policy,
            limit,
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
        })
    }

    pub(super) const fn disordered(&self) -> u64 {
        self.queue.disordered()
    }

    /// Passes on what is decided, keeps what has to wait of the batch, and makes room for it.
    pub(super) fn release<E>(
        &mut self,
        first: u64,
        batch: &[Packet<'_>],
        pass: &mut impl FnMut(&Packet<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut pass = |number: u64, kept: Option<Packet<'_>>| {
            let of_batch = number.checked_sub(first).and_then(|at| batch.get(at as usize));
            kept.as_ref().or(of_batch).map_or(Ok(()), &mut *pass)
        };
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
        let state = if accepts { State::Accepted } else { State::Rejected };
        let Some(place) = self.states.get_mut(slot) else { return };
        if let State::Undecided(undecided) = std::mem::replace(place, state) {
            self.parsers -= undecided.parsers;
            for number in undecided.numbers {
                self.queue.decide(number, accepts);
            }
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
        let evaluation = Evaluation::new(&self.picks.condition, flow);
        let evaluation = if midway { evaluation.midway() } else { evaluation };
        match evaluation.verdict() {
            Verdict::Reject => {
                self.picks.unselected += 1;
                return false;
            }
            Verdict::Accept => {
                self.picks.selected += 1;
                self.picks.next = Some(State::Accepted);
            }
            Verdict::Undecided => {
                let parsers = evaluation.memory();
                let undecided = Undecided { evaluation, numbers: Vec::new(), cost: 0, parsers };
                self.picks.next = Some(State::Undecided(Box::new(undecided)));
            }
        }
        true
    }

    fn on_start(&mut self, flow: &Flow<'_, FiveTupleKey>) {
        let slot = flow.id.slot();
        let state = self.picks.next.take().unwrap_or(State::Rejected);
        if let State::Undecided(undecided) = &state {
            self.picks.parsers += undecided.parsers;
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
        let number = packet.number;
        let Picks { states, queue, limit, astray, .. } = &mut *self.picks;
        if packet.packet.is_none() {
            queue.unpend(number);
        } else if matches!(states.get(flow.id.slot()), Some(State::Accepted | State::Undecided(_)))
        {
            queue.enter(number);
        }
        match states.get_mut(flow.id.slot()) {
            Some(State::Accepted) => *astray += u64::from(!queue.accept(number)),
            Some(State::Undecided(undecided)) => {
                // Of packets that came before the batch the length is in the queue's account.
                let len = packet.packet.map_or(0, |packet| packet.data().len());
                undecided.cost += len + OVERHEAD;
                if undecided.numbers.last() != Some(&number) && queue.open(number, flow.id.slot()) {
                    undecided.numbers.push(number);
                }
                if undecided.cost + undecided.parsers > *limit / SHARE {
                    self.picks.force(flow.id.slot());
                }
            }
            _ => {}
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
