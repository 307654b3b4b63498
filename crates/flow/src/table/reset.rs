//! Resets.

use super::tcp::Segment;
use crate::history::Letter;
use crate::slot::{DirectionFlags as F, SlotFlags, State};
use crate::{FlowExtractor, FlowSide, FlowTable, TcpFlags};

impl<E: FlowExtractor> FlowTable<E> {
    /// A RST: believed at the next expected sequence number, doubted elsewhere in the window,
    /// ignored outside (RFC 5961, section 3).
    pub(super) fn reset(&mut self, slot: u32, segment: &Segment<'_>) {
        let entry = &mut self.slots[slot];
        let side = entry.side(segment.orientation);
        let own = entry.directions[side as usize];
        let peer = entry.directions[side.opposite() as usize];
        let acknowledges = segment.flags.contains(TcpFlags::ACK);
        // A client that waits for the answer to its SYN takes a RST only if that acknowledges the
        // SYN (RFC 9293, section 3.10.7.3): a blind attacker has to guess the number.
        let refused = entry.state == State::HalfOpen
            && side == FlowSide::Responder
            && acknowledges
            && segment.acknowledgement.wrapping_sub(peer.base) <= peer.next as u32;
        let known = own.flags.has(F::ANCHORED.or(F::HINT));
        // The capture may have missed bytes of the sender, so the numbers behind them count as
        // exact as well.
        let expected = (known && segment.sequence == own.expected())
            || (own.flags.has(F::ACKED) && segment.sequence == own.acked)
            || (own.flags.has(F::FIN)
                && (segment.sequence == own.fin || segment.sequence == own.fin.wrapping_add(1)))
            || (own.flags.has(F::PENDING)
                && self
                    .reassemblies
                    .peek(own.reassembly)
                    .and_then(|reassembly| reassembly.pending.end())
                    .is_some_and(|end| segment.sequence == own.base.wrapping_add(end as u32)));
        let in_window =
            !known || own.offset(segment.sequence).abs_diff(own.next.cast_signed()) < 1 << 20;
        let seen = &mut entry.directions[side as usize].seen;
        self.cold[slot].history.note(seen, peer.seen, side, Letter::Reset);
        entry.fast_path.close();
        if refused || expected {
            if entry.state != State::Closing {
                entry.state = State::Reset;
                entry.flags.set(SlotFlags::WAS_RESET);
            }
        } else if in_window {
            // The receiver answers with a challenge ACK, and the connection goes on (RFC 5961,
            // section 3.2): a forged RST must not end the flow.
            self.statistics.doubtful_resets += 1;
            entry.flags.set(SlotFlags::DOUBTFUL_RESET);
        } else {
            self.statistics.out_of_window += 1;
        }
    }
}
