//! The condition at which packets that were kept are written.

use conversation::select::{Condition, Evaluation, Verdict};
use flow::{
    Data, Datagram, FirstPacket, FiveTupleKey, Flow, FlowHandler, FlowPacket, FlowRecord, FlowSide,
    Gap, TcpFlags, protocol,
};
use ring_core::{Packet, Timestamp};

use super::super::flows::Flows;
use super::super::parties::Parties;

/// The memory of the parsers of all conversations.
const MEMORY: usize = 64 << 20;

/// Watches conversations for one that meets a condition.
pub(super) struct Trigger {
    flows: Flows,
    watch: Watch,
}

/// A conversation met the condition.
pub(super) struct Met {
    pub(super) at: Timestamp,
    pub(super) conversation: Parties,
}

struct Watch {
    condition: Condition,
    /// By slot of the flow table; `None` for a conversation that is decided.
    states: Vec<Option<Evaluation>>,
    /// That of the flow that begins next.
    next: Option<Evaluation>,
    memory: usize,
    /// The time of the packet that is worked on.
    now: Timestamp,
    met: Vec<Met>,
    /// Conversations that were undecided when there was no memory left.
    given_up: u64,
}

impl Trigger {
    pub(super) fn new(condition: Condition) -> Self {
        let watch = Watch {
            condition,
            states: Vec::new(),
            next: None,
            memory: 0,
            now: Timestamp::default(),
            met: Vec::new(),
            given_up: 0,
        };
        Self { flows: Flows::new(), watch }
    }

    pub(super) const fn condition(&self) -> &Condition {
        &self.watch.condition
    }

    pub(super) const fn given_up(&self) -> u64 {
        self.watch.given_up
    }

    pub(super) fn take(&mut self, packets: &[Packet<'_>]) -> Vec<Met> {
        self.flows.process(packets, &mut self.watch);
        std::mem::take(&mut self.watch.met)
    }

    /// Time has passed without packets.
    pub(super) fn advance(&mut self, now: Timestamp) -> Vec<Met> {
        self.watch.now = self.watch.now.max(now);
        self.flows.table.advance(now, &mut self.watch);
        std::mem::take(&mut self.watch.met)
    }

    /// The capture has ended, and with it every conversation.
    pub(super) fn finish(&mut self) -> Vec<Met> {
        self.flows.table.finish(&mut self.watch);
        std::mem::take(&mut self.watch.met)
    }

    /// Takes the total of packets that the source has lost.
    pub(super) fn note_drops(&mut self, drops: u64, now: Timestamp) {
        self.flows.note_drops(drops, now);
    }
}

impl Watch {
    fn step(
        &mut self,
        flow: &Flow<'_, FiveTupleKey>,
        at: Timestamp,
        event: impl FnOnce(&mut Evaluation) -> Verdict,
    ) {
        let Some(state) = self.states.get_mut(flow.id.slot()) else { return };
        let Some(evaluation) = state else { return };
        let before = evaluation.memory();
        let verdict = event(evaluation);
        self.memory = self.memory - before + evaluation.memory();
        let is_over = self.memory > MEMORY;
        if verdict == Verdict::Undecided && !is_over {
            return;
        }
        self.memory -= evaluation.memory();
        *state = None;
        match verdict {
            Verdict::Accept => self.met.push(Met { at, conversation: Parties::of(flow) }),
            Verdict::Reject => {}
            Verdict::Undecided => self.given_up += 1,
        }
    }
}

impl FlowHandler<FiveTupleKey> for Watch {
    fn admits(&mut self, flow: &Flow<'_, FiveTupleKey>, first: &FirstPacket<'_>) -> bool {
        let midway = flow.protocol == protocol::TCP && !first.flags.contains(TcpFlags::SYN);
        let evaluation = Evaluation::new(&self.condition, flow);
        let evaluation = if midway { evaluation.midway() } else { evaluation };
        match evaluation.verdict() {
            Verdict::Accept => {
                self.met.push(Met { at: flow.started, conversation: Parties::of(flow) });
                false
            }
            Verdict::Reject => false,
            Verdict::Undecided => {
                self.next = Some(evaluation);
                true
            }
        }
    }

    fn on_start(&mut self, flow: &Flow<'_, FiveTupleKey>) {
        let slot = flow.id.slot();
        if slot >= self.states.len() {
            self.states.resize_with(slot + 1, || None);
        }
        let next = self.next.take();
        self.memory += next.as_ref().map_or(0, Evaluation::memory);
        let before = std::mem::replace(&mut self.states[slot], next);
        self.memory -= before.as_ref().map_or(0, Evaluation::memory);
    }

    fn on_data(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        self.step(flow, data.timestamp, |one| one.data(side, data.bytes, data.timestamp));
    }

    fn on_gap(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, gap: Gap) {
        self.step(flow, self.now, |one| one.gap(side, gap.len));
    }

    fn on_fin(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, _: u64) {
        self.step(flow, self.now, |one| one.finish(side));
    }

    fn on_datagram(
        &mut self,
        flow: &Flow<'_, FiveTupleKey>,
        side: FlowSide,
        datagram: Datagram<'_>,
    ) {
        let Datagram { bytes, wire_len, timestamp, .. } = datagram;
        self.step(flow, timestamp, |one| one.datagram(side, bytes, wire_len, timestamp));
    }

    fn on_end(&mut self, flow: &Flow<'_, FiveTupleKey>, record: &FlowRecord<FiveTupleKey>) {
        self.step(flow, self.now, |one| one.end(record));
    }

    fn wants_packets(&self) -> bool {
        true
    }

    fn on_packet(&mut self, _: &Flow<'_, FiveTupleKey>, packet: FlowPacket<'_>) {
        if let Some(packet) = packet.packet {
            self.now = self.now.max(packet.timestamp());
        }
    }
}
