//! The common case of a TCP packet.

use super::batch::Work;
use super::tcp::shift;
use super::view;
use crate::history::{Letter, note};
use crate::slot::{DirectionFlags as F, SlotFlags, State};
use crate::stream::ahead;
use crate::{Data, FlowExtractor, FlowHandler, FlowSide, FlowTable, Packet, TcpFlags};

impl<E: FlowExtractor> FlowTable<E> {
    /// The common case, complete in itself: an open connection in which nothing is amiss, and a segment with what comes
    /// next or with an acknowledgement alone. False, with nothing done, in every other case.
    #[inline(always)]
    pub(super) fn in_order(
        &mut self,
        slot: u32,
        packet: &Packet<'_>,
        work: &Work<E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> bool {
        let unusual = TcpFlags::SYN | TcpFlags::RST | TcpFlags::FIN;
        let tcp = &work.tcp;
        let entry = &mut self.slots[slot];
        let unsettled = SlotFlags::RIVAL.or(SlotFlags::DOUBTFUL_RESET);
        let side = entry.side(work.orientation);
        let [initiator, responder] = &mut entry.directions;
        let (own, peer) = match side {
            FlowSide::Initiator => (initiator, responder),
            FlowSide::Responder => (responder, initiator),
        };
        let amiss = F::GRACE.or(F::HOLD).or(F::PENDING).or(F::FIN);
        let either = own.flags.or(peer.flags);
        if tcp.flags.intersects(unusual)
            || !tcp.flags.contains(TcpFlags::ACK)
            || entry.state != State::Established
            || entry.flags.has(unsettled)
            || either.has(amiss)
            || !peer.flags.has(F::ACKED)
            || tcp.window == 0
            || work.payload_len != work.payload_wire_len
        {
            return false;
        }
        if !entry.flags.has(SlotFlags::HANDSHAKE) && own.flags.has(F::SYN) && peer.flags.has(F::SYN)
        {
            return false;
        }
        // The peer must not acknowledge what was not seen.
        if peer.flags.has(F::ANCHORED) && ahead(tcp.acknowledgement, peer.expected()) {
            return false;
        }
        let letter = if work.payload_len == 0 {
            if !own.flags.has(F::ANCHORED) {
                own.base = tcp.sequence;
                own.flags.set(F::HINT);
            }
            Letter::Ack
        } else {
            if !own.flags.has(F::ANCHORED) || tcp.sequence != own.expected() {
                return false;
            }
            Letter::Data
        };
        note(&mut self.cold[slot].history, &mut own.history, side, letter);
        if ahead(tcp.acknowledgement, peer.acked) {
            peer.acked = tcp.acknowledgement;
        }
        let edge = tcp.acknowledgement.wrapping_add(u32::from(tcp.window) << shift(own, peer));
        if ahead(edge, peer.edge) {
            peer.edge = edge;
        }
        entry.last_seen = self.now;
        let counters = &mut entry.counters[side as usize];
        counters.packets += 1;
        counters.wire_bytes += u64::from(packet.wire_len);
        if work.payload_len > 0 {
            counters.payload_bytes += u64::from(work.payload_len);
            let offset = own.next;
            own.next += u64::from(work.payload_len);
            self.statistics.delivered_bytes += u64::from(work.payload_len);
            let data = Data {
                bytes: work.payload(packet),
                offset,
                timestamp: packet.timestamp,
                packet_number: packet.number,
            };
            handler.on_data(&view(slot, entry), side, data);
        }
        true
    }
}
