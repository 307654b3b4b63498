//! Records of flows.

use crate::slot::{DirectionFlags, Observed, SlotFlags, Totals};
use crate::{
    EndReason, FlowExtractor, FlowRecord, FlowTable, IcmpMessage, SideCounters, Timestamp,
};

impl<E: FlowExtractor> FlowTable<E> {
    /// A flow that was closed or reset ended so, whatever happened to be the occasion.
    pub(super) fn true_reason(&self, slot: u32, occasion: EndReason) -> EndReason {
        let entry = &self.slots[slot];
        let [initiator, responder] = &entry.directions;
        if occasion == EndReason::Evicted || !entry.is_tcp() {
            occasion
        } else if entry.flags.has(SlotFlags::WAS_RESET) {
            EndReason::Rst
        } else if initiator.flags.has(DirectionFlags::FIN)
            && responder.flags.has(DirectionFlags::FIN)
        {
            EndReason::Fin
        } else if entry.flags.has(SlotFlags::DOUBTFUL_RESET) {
            EndReason::Rst
        } else {
            occasion
        }
    }

    pub(super) fn record(&self, slot: u32, reason: EndReason) -> FlowRecord<E::Key> {
        let entry = &self.slots[slot];
        let cold = &self.cold[slot];
        let [initiator, responder] = &entry.directions;
        let handshake = entry.flags.has(SlotFlags::HANDSHAKE);
        FlowRecord {
            key: cold.key.clone(),
            initiator_orientation: entry.initiator(),
            started: Timestamp::from_nanos(cold.started),
            ended: Timestamp::from_nanos(entry.last_seen),
            reason,
            initiator: self.side_counters(slot, 0),
            responder: self.side_counters(slot, 1),
            handshake_rtt: (handshake && cold.handshake != u64::MAX)
                .then(|| std::time::Duration::from_nanos(cold.handshake)),
            history: cold.history.spell(initiator.seen, responder.seen),
            icmp: self
                .observed
                .get(slot)
                .and_then(|sides| sides[0].icmp())
                .map(|[message_type, code]| IcmpMessage { message_type, code }),
            joined: self.joined(slot),
        }
    }

    pub(super) fn side_counters(&self, slot: u32, side: usize) -> SideCounters {
        let entry = &self.slots[slot];
        let direction = &entry.directions[side];
        let mut totals = self.totals.get(&slot).map_or_else(Totals::default, |totals| totals[side]);
        totals.add(entry.counters[side]);
        let Totals { packets, payload_bytes, wire_bytes, ip_bytes } = totals;
        let observed = self.observed.get(slot).map(|sides| &sides[side]);
        let reassembly = self.reassemblies.peek(direction.reassembly);
        let gap_bytes = reassembly.map_or(0, |reassembly| reassembly.gap_bytes);
        let anchored = direction.flags.has(DirectionFlags::ANCHORED);
        let acknowledges = entry.directions[1 - side].flags.has(DirectionFlags::ACKED);
        SideCounters {
            packets,
            payload_bytes,
            wire_bytes,
            ip_bytes,
            first_sequence: anchored.then_some(direction.base),
            delivered_bytes: if !entry.is_tcp() {
                payload_bytes
            } else if anchored {
                direction.next - gap_bytes
            } else {
                0
            },
            retransmitted: reassembly.map_or(0, |reassembly| reassembly.retransmitted),
            reordered: reassembly.map_or(0, |reassembly| reassembly.reordered),
            gap_bytes,
            unplaced_bytes: reassembly.map_or(0, |reassembly| reassembly.unplaced_bytes),
            zero_windows: reassembly.map_or(0, |reassembly| reassembly.zero_windows),
            tcp_flags: observed.filter(|_| entry.is_tcp()).map(|observed| {
                direction.seen.flags(acknowledges) | entry.fast_path.noted(side) | observed.flags()
            }),
            traffic_class: observed.and_then(Observed::traffic_class),
            hop_limit: observed.and_then(Observed::hop_limit),
            mac: observed.and_then(Observed::mac),
        }
    }
}
