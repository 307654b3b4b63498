//! A naive evaluator, which looks at a whole flow afterwards, and a comparison with the one that
//! goes along.
//!
//! A script of bytes, random or from a fuzzer, becomes packets of a few TCP connections and UDP
//! flows: in order, repeated, ahead, missing, reset, or cut off.

mod naive;
mod script;

use flow::{
    Data, Datagram, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowRecord, FlowSide, FlowTable,
    Gap, LinkType, Packet,
};
use flow_filter::{Condition, Evaluation, Expression, Stage, Verdict};
use packet_filter::{Ancillary, Options};

pub(crate) use naive::Run;
use naive::Seen;

/// Compares the evaluations of an expression over the flows of a script. Returns the number of
/// flows that it accepts.
///
/// # Panics
///
/// If they differ, or if the implied packet filter changes anything about an accepted flow.
pub(crate) fn check(expression: &Expression, script: &[u8]) -> usize {
    let Ok(condition) = Condition::new(expression.clone()) else { return 0 };
    let packets = script::packets(script);
    let accepted = accepted(&condition, &packets);
    // The time of a connection that took over the ports of another may be that of a later packet of
    // any flow, so that durations depend on those that the filter leaves out.
    let is_timed = expression.to_string().contains("duration");
    if let Some(filter) = condition.packet_filter().filter(|_| !is_timed) {
        let program = filter.compile(LinkType::IPV4, &Options::file()).expect("a filter for IP");
        let passes = |packet: &&script::Frame| {
            program.run(&packet.bytes, packet.wire_len, &Ancillary::default()) > 0
        };
        let rest: Vec<_> = packets.iter().filter(passes).cloned().collect();
        let with_filter = self::accepted(&condition, &rest);
        let untimed = |records: &[FlowRecord<FiveTupleKey>]| -> Vec<_> {
            let essence = |record: &FlowRecord<FiveTupleKey>| {
                // A hole is given up when time passes, which packets of other flows make it do: the
                // letter of the gap may be in front of that of the next packet, or behind it.
                let mut letters: Vec<char> = record.history.to_string().chars().collect();
                letters.sort_unstable();
                (record.key, record.initiator, record.responder, letters)
            };
            records.iter().map(essence).collect()
        };
        assert_eq!(untimed(&with_filter), untimed(&accepted), "{expression} with {filter}");
    }
    accepted.len()
}

/// The records of the flows that a condition accepts, in the order of their beginnings.
fn accepted(condition: &Condition, packets: &[script::Frame]) -> Vec<FlowRecord<FiveTupleKey>> {
    let mut handler =
        Handler { condition: condition.clone(), open: Vec::new(), accepted: Vec::new() };
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
    for frame in packets {
        let mut packet = Packet::new(&frame.bytes, frame.time, LinkType::IPV4);
        packet.meta_mut().wire_len = frame.wire_len;
        table.process([packet], &mut handler);
        table.advance(frame.time, &mut handler);
    }
    table.finish(&mut handler);
    assert!(handler.open.iter().all(Option::is_none), "each flow ends");
    let mut accepted = handler.accepted;
    accepted
        .sort_by_key(|record| (record.started, record.key.a, record.key.b, record.key.protocol));
    accepted
}

struct Handler {
    condition: Condition,
    open: Vec<Option<(Evaluation, Seen)>>,
    accepted: Vec<FlowRecord<FiveTupleKey>>,
}

impl Handler {
    fn with(
        &mut self,
        flow: &Flow<'_, FiveTupleKey>,
        step: impl FnOnce(&mut Evaluation, &mut Seen),
    ) {
        let (evaluation, seen) = self.open[flow.id.slot()].as_mut().expect("it has begun");
        let before = evaluation.verdict();
        step(evaluation, seen);
        assert!(before == Verdict::Undecided || before == evaluation.verdict(), "it changed");
    }
}

impl FlowHandler<FiveTupleKey> for Handler {
    fn on_start(&mut self, flow: &Flow<'_, FiveTupleKey>) {
        let evaluation = Evaluation::new(&self.condition, flow);
        if self.condition.stage() == Stage::FirstPacket {
            assert_ne!(evaluation.verdict(), Verdict::Undecided, "{:?}", self.condition);
        }
        let slot = flow.id.slot();
        self.open.resize_with(self.open.len().max(slot + 1), || None);
        self.open[slot] = Some((evaluation, Seen::new(flow)));
    }

    fn on_data(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        self.with(flow, |evaluation, seen| {
            evaluation.data(side, data.bytes, data.timestamp);
            seen.data(side, data.bytes);
        });
    }

    fn on_gap(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, gap: Gap) {
        self.with(flow, |evaluation, seen| {
            evaluation.gap(side, gap.len);
            seen.gap(side);
        });
    }

    fn on_datagram(
        &mut self,
        flow: &Flow<'_, FiveTupleKey>,
        side: FlowSide,
        datagram: Datagram<'_>,
    ) {
        self.with(flow, |evaluation, seen| {
            let Datagram { bytes, wire_len, timestamp, .. } = datagram;
            evaluation.datagram(side, bytes, wire_len, timestamp);
            seen.datagram(side, bytes, wire_len);
        });
    }

    fn on_end(&mut self, flow: &Flow<'_, FiveTupleKey>, record: &FlowRecord<FiveTupleKey>) {
        let (mut evaluation, seen) = self.open[flow.id.slot()].take().expect("it has begun");
        let early = evaluation.verdict();
        let verdict = evaluation.end(record);
        assert!(early == Verdict::Undecided || early == verdict);
        let expected = seen.accepts(self.condition.expression(), record);
        assert_eq!(
            verdict,
            if expected { Verdict::Accept } else { Verdict::Reject },
            "{} {seen:?} {record:?}",
            self.condition.expression()
        );
        if verdict == Verdict::Accept {
            self.accepted.push(record.clone());
        }
    }
}
