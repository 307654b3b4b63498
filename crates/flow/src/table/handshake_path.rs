//! The usual beginning and end of connections.

use super::lookup::Lookup;
use super::tcp::both;
use super::view;
use crate::history::Letter;
use crate::slot::{DirectionFlags as F, SlotFlags, State};
use crate::stream::ahead;
use crate::{
    FlowExtractor, FlowHandler, FlowSide, FlowTable, Packet, TcpFlags, TcpHeader, TcpOptions,
};

impl<E: FlowExtractor> FlowTable<E> {
    /// The handshake, FINs in order, and the acknowledgements among them: segments without payload
    /// in a connection in which nothing is amiss. Complete in itself, as
    /// [`fast_path`](Self::fast_path) is: false, with nothing done, in every other case.
    #[inline(never)]
    pub(super) fn handshake_path(
        &mut self,
        slot: u32,
        packet: &Packet<'_>,
        lookup: &Lookup,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> bool {
        let TcpHeader { sequence, acknowledgement, flags, window, .. } = lookup.tcp;
        let syn = flags.contains(TcpFlags::SYN);
        let fin = flags.contains(TcpFlags::FIN);
        let acknowledges = flags.contains(TcpFlags::ACK);
        if lookup.payload_wire_len > 0
            || flags.contains(TcpFlags::RST)
            || syn && fin
            || window == 0 && !syn
        {
            return false;
        }
        let now = self.now;
        let entry = &mut self.slots[slot];
        let side = entry.side(lookup.orientation);
        let (own, peer) = both(&mut entry.directions, side);
        let open = matches!(entry.state, State::HalfOpen | State::Established | State::Closing);
        let amiss = F::GRACE.or(F::HOLD).or(F::PENDING).or(F::QUARANTINE).or(F::EARLY);
        // A number that lies outside the stream is no evidence of anything, nor harmless.
        let strays = own.flags.has(F::ANCHORED) && own.strays(sequence) && !syn;
        if !open
            || strays
            || entry.flags.has(SlotFlags::PENDING_SYN.or(SlotFlags::DOUBTFUL_RESET))
            || own.flags.or(peer.flags).has(amiss)
            || acknowledges && !peer.has_seen(acknowledgement)
            || acknowledges && peer.flags.has(F::SYN) && ahead(peer.base, acknowledgement)
            || fin && !own.can_end_at(sequence)
        {
            return false;
        }
        // A SYN of a side of which nothing is known; and if it is an answer, it answers this
        // flow's.
        if syn
            && (!own.flags.is_empty()
                || acknowledges
                    && !(peer.flags.has(F::SYN)
                        && acknowledgement.wrapping_sub(peer.base) <= peer.next as u32))
        {
            return false;
        }
        let counters = &mut entry.counters[side as usize];
        let Some(sum) = counters.plus(lookup.lengths(packet)) else { return false };
        // Nothing is left that could go wrong.
        *counters = sum;
        entry.last_seen = now;
        let cold = &mut self.cold[slot];
        if entry.state == State::HalfOpen && (side == FlowSide::Responder || (!syn && acknowledges))
        {
            entry.state = State::Established;
        }
        if acknowledges {
            // The window of a SYN is never scaled (RFC 7323, section 2.2).
            let scale = if syn { 0 } else { own.scale.shift() };
            let edge = acknowledgement.wrapping_add(u32::from(window) << scale);
            peer.set_acknowledged(acknowledgement, edge);
            if !entry.flags.has(SlotFlags::HANDSHAKE)
                && side == FlowSide::Initiator
                && !syn
                && own.flags.has(F::SYN)
                && peer.flags.has(F::SYN)
            {
                entry.flags.set(SlotFlags::HANDSHAKE);
                cold.complete_handshake(now);
            }
        }
        let ended = acknowledges && peer.fin_is_due();
        if ended {
            peer.flags.set(F::FIN_ACKED);
        }
        let peer_end = peer.next;
        let letter = match (syn, fin) {
            (true, _) if acknowledges => Letter::SynAck,
            (true, _) => Letter::Syn,
            (_, true) => Letter::Fin,
            _ => Letter::Ack,
        };
        cold.history.note(&mut own.seen, peer.seen, side, letter);
        if syn {
            own.scale.announce(lookup.tcp.window_scale);
            own.begin_at(sequence.wrapping_add(1));
            own.flags.set(F::SYN);
            own.flags.set_path(lookup.path.path());
            if lookup.tcp.options.contains(TcpOptions::TIMESTAMP) {
                own.set_first_timestamp(lookup.tcp.timestamp);
            }
            if peer.flags.has(F::SYN) {
                entry.agree_on_scales();
            } else if side == FlowSide::Initiator {
                cold.handshake = now;
            }
        } else if fin {
            own.end_at(sequence);
            let (offset, both_ended, due) = (own.next, peer.flags.has(F::FIN), own.fin_is_due());
            if due {
                own.flags.set(F::FIN_ACKED);
            }
            entry.fast_path.close();
            if ended {
                handler.on_fin(&view(slot, entry, cold), side.opposite(), peer_end);
            }
            if due {
                handler.on_fin(&view(slot, entry, cold), side, offset);
            }
            if both_ended {
                self.closing(slot, handler);
            }
            return true;
        } else {
            own.hint(sequence);
            let both_ended = own.flags.has(F::FIN) && peer.flags.has(F::FIN);
            if ended {
                handler.on_fin(&view(slot, entry, cold), side.opposite(), peer_end);
            }
            if both_ended {
                self.closing(slot, handler);
                return true;
            }
        }
        entry.update_fast_path();
        true
    }
}
