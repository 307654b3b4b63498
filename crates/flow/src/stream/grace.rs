//! Holes that the receiver has acknowledged.

use super::window::SLACK;
use super::{Stream, ahead};
use crate::history::Seen;
use crate::quarantine::APART;
use crate::reassembly::Grace;
use crate::slot::DirectionFlags as F;
use crate::{FlowHandler, GapCause};

/// Acknowledgements that follow the stream and refute a larger one before them.
const DENIALS: u8 = 3;

impl<K, H: FlowHandler<K>> Stream<'_, K, H> {
    /// A packet of the flow went by: one less to wait for.
    pub(crate) fn count_packet(&mut self) {
        let Some(grace) = self.reassembly_mut().and_then(|reassembly| reassembly.grace.as_mut())
        else {
            return;
        };
        grace.packets = grace.packets.saturating_sub(1);
        if grace.packets == 0 {
            self.end_grace();
        }
    }

    /// The stream offset up to which the peer has everything; the FIN is no byte of the stream.
    pub(super) fn acknowledged_end(&self) -> u64 {
        let direction = &self.direction;
        if !direction.flags.has(F::ACKED) {
            return 0;
        }
        let mut end = direction.offset(direction.acked);
        if direction.flags.has(F::FIN) && end == direction.offset(direction.fin) + 1 {
            end -= 1;
        }
        end.max(0).cast_unsigned()
    }

    /// The stream offset before which the peer has bytes that were not seen; 0 where there are
    /// none.
    fn owed(&self) -> u64 {
        let target = self.acknowledged_end();
        let next = self.direction.next;
        // One alone is most likely a FIN that was not seen; if it was a byte, what follows will
        // show.
        let none = target <= next
            || self.direction.flags.has(F::HOLD.or(F::FIN_ACKED))
            // Of a direction of which nothing was captured everything is missing, or all of it
            // comes later: files are appended to one another, and the directions of a connection
            // may be in one each.
            || self.direction.seen == Seen::NONE
            || (target == next + 1 && self.ends_in_fin(target));
        if none { 0 } else { target }
    }

    /// `true` if the last number that was acknowledged may be that of a FIN that was not captured.
    fn ends_in_fin(&self, target: u64) -> bool {
        let pending = self.reassembly().and_then(|reassembly| reassembly.pending.end());
        !self.direction.flags.has(F::FIN) && pending.is_none_or(|end| end < target)
    }

    /// If the peer has bytes that were not seen, they have a while to turn up: up to the offset
    /// that this returns, 0 where there are none. What may be a FIN is not among them.
    pub(super) fn begin_grace(&mut self) -> u64 {
        let target = self.owed();
        if target == 0 {
            return 0;
        }
        if self.config.grace_packets == 0 {
            self.declare(target);
            return 0;
        }
        // Captures reorder packets: an acknowledgement may come before the bytes that it covers.
        if !self.direction.flags.has(F::GRACE) {
            self.start_grace(target, self.config.grace_packets, self.config.grace_time);
        }
        target - u64::from(self.ends_in_fin(target))
    }

    pub(super) fn start_grace(&mut self, target: u64, packets: u32, time: u64) {
        let deadline = self.now.saturating_add(time);
        // The packet that starts it is counted, too.
        let packets = packets.saturating_add(1);
        let index = self.ensure_backlog();
        if let Some(reassembly) = self.reassemblies.get(index) {
            let known = self.direction.next;
            reassembly.grace = Some(Grace { target, packets, deadline, known, denials: 0 });
            self.direction.flags.set(F::GRACE);
            *self.wake = (*self.wake).min(deadline);
        }
    }

    pub(super) fn end_grace(&mut self) {
        if self.direction.flags.has(F::HOLD) {
            self.end_hold_at_first();
            return;
        }
        let grace = self.reassembly_mut().and_then(|reassembly| reassembly.grace.take());
        self.direction.flags.clear(F::GRACE);
        if let Some(grace) = grace {
            // A FIN is no byte of the stream, though it was acknowledged with others. If the last
            // one was a byte after all, what follows shows.
            let owed = self.owed();
            let fin = owed > self.direction.next + 1 && self.ends_in_fin(owed);
            self.declare(grace.target.min(owed - u64::from(fin)));
            if self.is_cut() && !self.is_at_fin() {
                self.give_up_cut();
                self.drain();
            }
            self.reach_fin();
            self.begin_grace();
            self.release_idle_backlog();
        }
    }

    /// The stream went on: what is missing behind it has as long again.
    pub(super) fn renew_grace(&mut self) {
        let packets = self.config.grace_packets.saturating_add(1);
        let deadline = self.now.saturating_add(self.config.grace_time);
        let Some(grace) = self.reassembly_mut().and_then(|reassembly| reassembly.grace.as_mut())
        else {
            return;
        };
        grace.packets = packets;
        grace.deadline = deadline;
        *self.wake = (*self.wake).min(deadline);
    }

    /// The peer acknowledges less than it did before. No host goes back on what it has acknowledged
    /// (RFC 9293, section 3.10.7.4): one such packet was overtaken by another, but several that
    /// follow the stream as it goes on show that the larger number is forged.
    pub(super) fn deny_larger(&mut self, acknowledgement: u32, edge: u32) {
        let direction = &self.direction;
        let offset = direction.offset(acknowledgement);
        let held = direction.flags.has(F::HOLD);
        let pending = self.reassembly().and_then(|reassembly| reassembly.pending.end());
        let end = if held { pending.unwrap_or(0) } else { direction.next };
        if !direction.flags.has(F::GRACE)
            || !direction.flags.has(F::ACKED)
            || direction.offset(direction.acked) <= end.cast_signed()
            || offset > end.cast_signed()
        {
            return;
        }
        let Some(grace) = self.reassembly_mut().and_then(|reassembly| reassembly.grace.as_mut())
        else {
            return;
        };
        if offset <= grace.known.cast_signed() {
            return;
        }
        grace.known = offset.cast_unsigned();
        grace.denials += 1;
        let (denials, target) = (grace.denials, grace.target.cast_signed());
        // What is only out of order is not far.
        if denials >= DENIALS || target - end.cast_signed() > SLACK {
            self.retract_to_space(acknowledgement, edge);
        }
    }

    /// No more acknowledgements come that could deny a larger one before them.
    pub(super) fn settle_denials(&mut self) {
        let grace = self.reassembly().and_then(|reassembly| reassembly.grace);
        if let Some(grace) = grace
            && grace.denials > 0
            && self.direction.flags.has(F::ANCHORED)
            && grace.target > grace.known + APART as u64
        {
            let known = self.direction.base.wrapping_add(grace.known as u32);
            self.retract_to_space(known, known);
        }
    }

    /// The larger acknowledgement is false, or of another sequence space.
    fn retract_to_space(&mut self, acknowledgement: u32, edge: u32) {
        let larger = self.direction.acked;
        self.retract(acknowledgement, edge);
        let distance = larger.wrapping_sub(acknowledgement).cast_signed();
        if !self.direction.flags.has(F::ANCHORED) || distance <= APART {
            return;
        }
        // Of what waits behind the hole, the nearer half belongs to the stream.
        let (next, end) = (self.direction.next, self.direction.offset(larger));
        let half = next + end.max(0).cast_unsigned().saturating_sub(next) / 2;
        let first = self.reassembly().and_then(|reassembly| reassembly.pending.first_from(half));
        let first = first.map_or(larger, |first| self.direction.base.wrapping_add(first as u32));
        let first = if ahead(first, larger) { larger } else { first };
        if let Some(quarantine) = self.quarantine() {
            quarantine.know_range(first, larger, false);
        }
    }

    /// The larger acknowledgement is false, and this one counts.
    pub(super) fn retract(&mut self, acknowledgement: u32, edge: u32) {
        self.statistics.out_of_window += 1;
        self.direction.acked = acknowledgement;
        self.direction.edge = edge;
        if self.direction.flags.has(F::HOLD) {
            return;
        }
        self.direction.flags.clear(F::GRACE);
        if let Some(reassembly) = self.reassembly_mut() {
            reassembly.grace = None;
        }
    }

    /// The next bytes were cut off by the capture: a full copy may come.
    pub(super) fn await_full_copy(&mut self) {
        let end = self.reassembly().and_then(|reassembly| reassembly.pending.first_end());
        if let Some(end) = end
            && !self.direction.flags.has(F::GRACE)
        {
            self.start_grace(end, self.config.grace_packets, self.config.grace_time);
        }
    }

    /// Makes gaps of all holes before an offset.
    pub(super) fn declare(&mut self, target: u64) {
        while self.direction.next < target {
            if self.give_up_hole(target, GapCause::Acknowledged) {
                continue;
            }
            self.miss_up_to(target, GapCause::Acknowledged);
        }
    }
}
