//! FINs, which are believed when the receiver has acknowledged them.
//!
//! A FIN may be forged: sent by a third party, with a time to live too short for it to arrive, or
//! with a number that lies ahead. A watcher that believes it stops listening while the connection
//! goes on. What the peer acknowledges is the evidence (RFC 9293, section 3.10.7.4): exactly one
//! more than the last byte confirms the FIN, more than that refutes it. Until then what the sender
//! sends beyond the FIN waits, and so does `on_fin`.

use super::{Payload, Stream, ahead};
use crate::history::Letter;
use crate::slot::DirectionFlags as F;
use crate::{FlowHandler, UnplacedCause};

/// Segments beyond a FIN that refute it where no acknowledgement is seen at all.
const REFUTING: u32 = 3;
/// The same where acknowledgements are seen, but none that decides.
const REFUTING_DESPITE: u32 = 16;

impl<K, H: FlowHandler<K>> Stream<'_, K, H> {
    /// Takes the FIN behind a segment's payload.
    pub(crate) fn fin(&mut self, payload: Payload<'_>) {
        let sequence = payload.sequence.wrapping_add(payload.wire_len);
        self.note(Letter::Fin);
        if self.direction.takes_fin(sequence) {
            self.new_fin();
            self.settle_fin();
            return;
        }
        if self.direction.flags.has(F::FIN) {
            if self.direction.fin != sequence && !self.direction.flags.has(F::FIN_ACKED) {
                self.take_other_fin(sequence);
            }
            return;
        }
        if !self.direction.flags.has(F::ANCHORED.or(F::HOLD)) {
            self.begin_with(sequence);
        }
        let offset = self.direction.offset(sequence);
        if self.direction.flags.has(F::ANCHORED) {
            let ahead_of_next = offset > self.direction.next.cast_signed();
            if self.is_implausible(offset) || ahead_of_next && self.continues_elsewhere(sequence) {
                let rest = Payload { sequence, bytes: &[], wire_len: 0, ..payload };
                self.park(rest, true);
                return;
            }
            if offset < self.direction.next.cast_signed() {
                // The sender has sent more than that.
                self.statistics.out_of_window += 1;
                return;
            }
        }
        self.direction.fin = sequence;
        self.direction.flags.set(F::FIN);
        self.new_fin();
        self.reach_fin();
    }

    fn new_fin(&mut self) {
        if let Some(reassembly) = self.reassembly_mut() {
            reassembly.beyond_fin = 0;
            reassembly.crosses_fin = false;
        }
    }

    /// `true` if the peer's acknowledgement may be that of a byte in the place of the FIN. The
    /// sender's next byte, or the end of the flow, shows which of the two is true.
    fn is_contested(&self) -> bool {
        self.reassembly().is_some_and(|reassembly| reassembly.crosses_fin)
            && self.first_pending() == Some(self.direction.next)
    }

    /// Two FINs with different numbers: the one that the stream has reached comes first, the other
    /// may still be it.
    fn take_other_fin(&mut self, sequence: u32) {
        let offset = self.direction.offset(sequence);
        let next = self.direction.next.cast_signed();
        if self.is_implausible(offset)
            || offset < next
            || offset > next && self.continues_elsewhere(sequence)
        {
            self.statistics.out_of_window += 1;
            return;
        }
        let before = self.direction.fin;
        let reached = offset == self.direction.next.cast_signed();
        let index = self.ensure_backlog();
        if let Some(reassembly) = self.reassemblies.get(index) {
            reassembly.other_fin = Some(if reached { before } else { sequence });
        }
        if reached {
            self.direction.fin = sequence;
            self.reach_fin();
        }
    }

    /// All bytes before the FIN were delivered, or are in gaps.
    pub(super) fn reach_fin(&mut self) {
        let direction = &mut *self.direction;
        if direction.flags.has(F::FIN)
            && direction.flags.has(F::ANCHORED)
            && !direction.flags.has(F::FIN_REACHED)
            && direction.expected() == direction.fin
        {
            direction.flags.set(F::FIN_REACHED);
            self.settle_fin();
        }
    }

    /// Confirms or refutes the FIN by what the peer has acknowledged.
    pub(super) fn settle_fin(&mut self) {
        let direction = &*self.direction;
        if !direction.flags.has(F::FIN)
            || direction.flags.has(F::FIN_ACKED)
            || !direction.flags.has(F::ACKED)
            || !direction.flags.has(F::ANCHORED)
        {
            return;
        }
        if direction.fin_is_due() {
            if !self.is_contested() {
                self.confirm_fin();
            }
        } else if ahead(direction.acked, direction.fin.wrapping_add(1)) {
            let fin = direction.fin;
            self.refute_fin();
            let index = self.ensure_backlog();
            if let Some(reassembly) = self.reassemblies.get(index) {
                reassembly.outdone_fin = Some(fin);
            }
            self.drain();
            self.reach_fin();
        }
    }

    /// The peer acknowledges exactly a FIN that was refuted by a larger acknowledgement, and
    /// nothing came behind it: no byte follows a FIN, so the larger number is forged.
    pub(super) fn restore_fin(&mut self, acknowledgement: u32, edge: u32) {
        let fin = acknowledgement.wrapping_sub(1);
        if self.direction.expected() != fin
            || self.direction.flags.has(F::FIN.or(F::PENDING))
            || self.reassembly().and_then(|reassembly| reassembly.outdone_fin) != Some(fin)
        {
            return;
        }
        self.retract(acknowledgement, edge);
        self.direction.fin = fin;
        self.direction.flags.set(F::FIN);
        self.reach_fin();
    }

    /// The FIN is true.
    pub(super) fn confirm_fin(&mut self) {
        self.direction.flags.set(F::FIN_ACKED);
        // Whatever else was sent, the receiver did not take it.
        while let Some((start, held)) = self.pop_pending() {
            let sequence = self.direction.base.wrapping_add(start as u32);
            if let Some(bytes) = held.bytes() {
                let cause = UnplacedCause::AfterFin;
                self.unplaced(bytes, sequence, held.timestamp, held.number, cause);
            }
        }
        self.direction.flags.clear(F::PENDING.or(F::GRACE));
        if let Some(reassembly) = self.reassembly_mut() {
            reassembly.grace = None;
        }
        self.reassemblies.account(self.direction.reassembly);
        self.handler.on_fin(&self.flow, self.side, self.direction.next);
    }

    /// The FIN is false: the stream goes on.
    pub(super) fn refute_fin(&mut self) {
        self.statistics.refuted_fins += 1;
        self.direction.flags.clear(F::FIN.or(F::FIN_REACHED));
        // It is no time stamp, which lies there without a FIN.
        self.direction.fin = 0;
        let other = self.reassembly_mut().and_then(|reassembly| reassembly.other_fin.take());
        if let Some(other) = other
            && self.direction.offset(other) > self.direction.next.cast_signed()
        {
            self.direction.fin = other;
            self.direction.flags.set(F::FIN);
            self.new_fin();
        }
    }

    /// The sender went on beyond its FIN.
    pub(super) fn count_beyond_fin(&mut self) {
        let enough = if self.direction.flags.has(F::ACKED) { REFUTING_DESPITE } else { REFUTING };
        let index = self.ensure_backlog();
        let Some(reassembly) = self.reassemblies.get(index) else { return };
        reassembly.beyond_fin += 1;
        if reassembly.beyond_fin >= enough && self.direction.flags.has(F::FIN_REACHED) {
            self.refute_fin();
        }
    }
}
