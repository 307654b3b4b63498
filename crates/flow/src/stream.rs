//! One direction of a TCP flow, put back into order.

mod fin;
mod grace;
mod outage;
mod pickup;
mod segment;
mod window;
mod wrap;

pub(crate) use self::pickup::{FIRST_FLIGHT, is_beyond_first_flight};
pub(crate) use self::wrap::may_stray;
use crate::config::Config;
use crate::history::{History, Letter, Seen};
use crate::quarantine::is_hasty;
use crate::reassembly::{Reassemblies, Reassembly};
use crate::slot::{Direction, DirectionFlags as F, NONE};
use crate::statistics::TableStatistics;
use crate::table::Drops;
use crate::{Flow, FlowHandler, FlowSide, GapCause, OverlapPolicy, UnplacedCause};

/// A direction and all that its reassembly needs.
pub(crate) struct Stream<'t, K, H> {
    pub(crate) flow: Flow<'t, K>,
    /// The sender of these bytes.
    pub(crate) side: FlowSide,
    pub(crate) direction: &'t mut Direction,
    pub(crate) history: &'t mut History,
    /// The kinds of segment that the other side has brought to the history.
    pub(crate) peer: Seen,
    pub(crate) reassemblies: &'t mut Reassemblies,
    pub(crate) drops: &'t Drops,
    /// The longest packet so far: captured bytes.
    pub(crate) longest: u32,
    pub(crate) config: &'t Config,
    /// The rule by which the receiver resolves overlaps.
    pub(crate) policy: OverlapPolicy,
    /// The sequence number of a byte that the receiver takes out of the stream.
    pub(crate) urgent: Option<u32>,
    pub(crate) statistics: &'t mut TableStatistics,
    pub(crate) handler: &'t mut H,
    /// Nanoseconds.
    pub(crate) now: u64,
    /// The time of the flow's previous packet, in nanoseconds.
    pub(crate) previous: u64,
    /// The other side has sent a FIN.
    pub(crate) peer_closed: bool,
    /// The time at which the flow must be examined. It only ever gets earlier.
    pub(crate) wake: &'t mut u64,
}

/// The payload of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) sequence: u32,
    pub(crate) bytes: &'a [u8],
    pub(crate) wire_len: u32,
    /// It cannot be a keep-alive: it has PSH or FIN, or is part of a longer segment.
    pub(crate) pushed: bool,
    /// The acknowledgement number and the window field; `None` without ACK.
    pub(crate) acknowledgement: Option<(u32, u16)>,
    /// Bytes of the packet on the wire.
    pub(crate) packet_len: u32,
    /// Length of the IP packet on the wire.
    pub(crate) ip_len: u32,
    pub(crate) timestamp: u64,
    pub(crate) number: u64,
    pub(crate) depends_on: u64,
}

impl<'a> Payload<'a> {
    /// Position of the byte with this sequence number among the captured ones, if all were
    /// captured.
    fn offset_of(&self, sequence: u32) -> Option<usize> {
        let at = sequence.wrapping_sub(self.sequence) as usize;
        (at < self.bytes.len() && self.bytes.len() == self.wire_len as usize).then_some(at)
    }

    fn part(&self, from: usize, to: usize) -> Self {
        let (bytes, wire_len): (&'a [u8], _) = (&self.bytes[from..to], (to - from) as u32);
        let sequence = self.sequence.wrapping_add(from as u32);
        let pushed = self.pushed || wire_len < self.wire_len;
        Self { sequence, bytes, wire_len, pushed, ..*self }
    }
}

impl<K, H: FlowHandler<K>> Stream<'_, K, H> {
    /// Takes a segment's payload.
    pub(crate) fn payload(&mut self, payload: Payload<'_>) {
        self.note(Letter::Data);
        match self.urgent {
            Some(urgent)
                if payload.offset_of(urgent).is_some()
                    && !ahead(self.direction.expected(), urgent) =>
            {
                self.around_urgent(payload, urgent);
            }
            _ => self.contiguous(payload),
        }
    }

    /// Takes a payload without the byte that the receiver hands out of band: it becomes a gap, so
    /// that offsets stay those of the sequence space.
    fn around_urgent(&mut self, payload: Payload<'_>, urgent: u32) {
        let Some(at) = payload.offset_of(urgent) else { return };
        for (from, to) in [(0, at), (at, at + 1), (at + 1, payload.bytes.len())] {
            let mut part = payload.part(from, to);
            if from == at && to > from {
                let (timestamp, number) = (part.timestamp, part.number);
                let cause = UnplacedCause::OutOfBand;
                self.unplaced(part.bytes, part.sequence, timestamp, number, cause);
                part.bytes = &[];
            }
            if part.wire_len > 0 {
                self.contiguous(part);
            }
        }
    }

    fn contiguous(&mut self, payload: Payload<'_>) {
        let quiet = F::PENDING.or(F::FIN).or(F::HOLD).or(F::QUARANTINE).or(F::EARLY).or(F::GRACE);
        if self.direction.flags.has(F::ANCHORED)
            && !self.direction.flags.has(quiet)
            && payload.sequence == self.direction.expected()
            && payload.bytes.len() == payload.wire_len as usize
            && !self.is_before_acknowledged(&payload)
        {
            self.deliver(payload.bytes, payload.timestamp, payload.number, payload.depends_on);
            return;
        }
        if !self.direction.flags.has(F::ANCHORED.or(F::HOLD)) && !self.begin(&payload) {
            self.keep_alive(&payload);
            return;
        }
        let start = self.direction.offset(payload.sequence);
        if self.direction.flags.has(F::HOLD) {
            self.hold(start, payload);
        } else {
            self.place(start, payload);
            self.reach_fin();
        }
    }

    /// The sequence number of stream offset 0 is known: from a SYN, or from a SYN-ACK that
    /// acknowledges one.
    pub(crate) fn anchor(&mut self, base: u32) {
        if self.direction.flags.has(F::ANCHORED) {
            return;
        }
        if self.direction.flags.has(F::HOLD) {
            let start = self.direction.offset(base);
            if let Ok(start) = u64::try_from(start) {
                self.end_hold(start);
            }
            return;
        }
        let acked = self.direction.acked.wrapping_sub(base);
        let elapsed = self.now.saturating_sub(self.flow.started.as_nanos());
        if self.direction.flags.has(F::ACKED)
            && (is_hasty(acked, elapsed) || self.begins_elsewhere(base, elapsed))
        {
            // One of the two is of another sequence space, or forged. What the peer says next
            // decides.
            self.direction.flags.clear(F::ACKED);
        }
        self.direction.begin_at(base);
    }

    /// The peer says that it has everything before `acknowledgement`, and takes bytes up to `edge`.
    ///
    /// If that is more than was captured, the handler is notified, unless the peer's own stream has
    /// a `hole`: then the bytes of the peer that are handed out next were sent before this packet.
    /// Returns the offset up to which the payload of the packet [depends
    /// on](crate::Data::depends_on) the other side. The packet `answers` if it has payload.
    pub(crate) fn acknowledged(
        &mut self,
        acknowledgement: u32,
        edge: u32,
        hole: bool,
        answers: bool,
    ) -> u64 {
        if self.direction.flags.has(F::EARLY) {
            let taken = acknowledgement.wrapping_sub(self.direction.base);
            self.settle_early(if taken.cast_signed() < 0 { 0 } else { taken });
        }
        if self.bears_out(acknowledgement) {
            return 0;
        }
        if self.is_wrapped(acknowledgement) {
            self.statistics.out_of_window += 1;
            self.claimed(acknowledgement);
            return 0;
        }
        self.deny_larger(acknowledgement, edge);
        self.restore_fin(acknowledgement, edge);
        if self.direction.takes_acknowledgement(acknowledgement, edge) {
            self.acknowledged_old();
            self.settle_fin();
            if self.direction.flags.has(F::PENDING)
                && acknowledgement == self.direction.expected()
                && let Some(reassembly) = self.reassembly_mut()
            {
                reassembly.asked = true;
            }
            return 0;
        }
        let mut anchored = self.direction.flags.has(F::ANCHORED);
        // A host ignores an acknowledgement of bytes that it never sent (RFC 5961, section 5.2).
        // Believed here, a forged one would turn the bytes up to it into a gap.
        if anchored
            && (self.is_implausible(self.direction.offset(acknowledgement))
                || self.is_elsewhere(acknowledgement))
        {
            self.statistics.out_of_window += 1;
            self.claimed(acknowledgement);
            return 0;
        }
        self.acknowledged_old();
        let direction = &mut *self.direction;
        if !direction.flags.has(F::ACKED) {
            direction.acked = acknowledgement;
            direction.edge = edge;
            direction.flags.set(F::ACKED);
        } else {
            if ahead(acknowledgement, direction.acked) {
                direction.acked = acknowledgement;
            }
            // Packets may be out of order, and a receiver should not move the edge of its window
            // back (RFC 9293, section 3.8.6): the furthest edge counts.
            if ahead(edge, direction.edge) {
                direction.edge = edge;
            }
        }
        if direction.flags.has(F::HOLD) {
            let first = self.reassembly().and_then(|reassembly| reassembly.pending.first());
            let offset = self.direction.offset(acknowledgement);
            if first.is_some_and(|first| first.cast_signed() == offset) {
                self.end_hold_at_first();
            } else if answers
                && self.config.answer_ends_pickup
                && first.is_some_and(|first| first.cast_signed() < offset)
            {
                // While the stream has no beginning, its bytes have no offset that the answer could
                // await.
                self.end_hold_at_first();
                anchored = true;
            }
        }
        if anchored {
            self.settle_fin();
            // This packet may be older than another that has acknowledged more.
            let own = self.direction.offset(acknowledgement).max(0).cast_unsigned();
            let awaited = own.min(self.begin_grace());
            if hole {
                return awaited;
            }
            if awaited > 0 {
                self.handler.on_ack_ahead(&self.flow, self.side, awaited);
            }
        }
        0
    }

    /// Time went by.
    pub(crate) fn tick(&mut self) {
        let now = self.now;
        let Some(reassembly) = self.reassembly() else { return };
        if reassembly.grace.is_some_and(|grace| grace.deadline <= now) {
            self.end_grace();
        }
        let timeout = self.config.hole_timeout;
        let Some(reassembly) = self.reassembly() else { return };
        if !reassembly.pending.is_empty()
            && !self.direction.flags.has(F::HOLD)
            && reassembly.hole_deadline(timeout) <= now
        {
            // What waited with the first hole has waited as long.
            while self.give_up_hole(u64::MAX, GapCause::Timeout) {}
            self.begin_grace();
        }
        self.decide_before(now.saturating_sub(timeout));
        self.reach_fin();
    }

    /// Gives up the oldest hole: too much waits behind it.
    pub(crate) fn give_way(&mut self) {
        if self.direction.flags.has(F::HOLD) {
            self.end_hold_at_first();
        } else if self.give_up_hole(u64::MAX, GapCause::Limit) {
            self.reach_fin();
            self.begin_grace();
        }
    }

    /// The flow ends: delivers all that is pending, and says what is missing.
    pub(crate) fn finish(&mut self) {
        if self.direction.flags.has(F::EARLY) {
            self.settle_early(u32::MAX);
        }
        if self.direction.flags.has(F::HOLD) {
            self.end_hold_at_first();
        }
        if !self.direction.flags.has(F::ANCHORED) {
            self.empty_quarantine(UnplacedCause::SynNotConfirmed);
            // Of a side of which something was captured, though no data, it is known what it sent
            // if it is known where it began.
            let beginning = self.reassembly().and_then(|reassembly| reassembly.beginning);
            let Some(beginning) = beginning.filter(|_| self.direction.seen != Seen::NONE) else {
                return;
            };
            self.anchor(beginning);
        }
        self.settle_denials();
        self.decide();
        self.believe_claim();
        while self.give_up_hole(u64::MAX, GapCause::End) {}
        let target = self.acknowledged_end();
        if self.direction.flags.has(F::FIN) {
            let fin = self.direction.offset(self.direction.fin);
            self.miss_up_to(fin.max(0).cast_unsigned(), GapCause::End);
        } else if target > self.direction.next + 1
            || (target > self.direction.next && self.is_cut())
        {
            // The last byte that was acknowledged is a FIN that the capture missed, if the
            // connection was being closed.
            let fin = self.peer_closed;
            self.miss_up_to(target - u64::from(fin), GapCause::End);
            if fin {
                self.direction.fin = self.direction.expected();
                self.direction.flags.set(F::FIN);
            }
        } else if target == self.direction.next + 1 && self.peer_closed {
            self.direction.fin = self.direction.expected();
            self.direction.flags.set(F::FIN);
        }
        self.reach_fin();
        if self.direction.flags.has(F::FIN_REACHED) && !self.direction.flags.has(F::FIN_ACKED) {
            self.confirm_fin();
        }
    }

    /// Gives up the hole at the front, if something waits behind it that begins before an offset. A
    /// packet that the capture cut short is such a hole, too: its missing bytes wait for a full
    /// copy. A FIN that nobody acknowledged gives way to what the sender sent beyond it. Returns
    /// `false` if there was nothing to do.
    pub(super) fn give_up_hole(&mut self, before: u64, cause: GapCause) -> bool {
        if self.direction.flags.has(F::EARLY) {
            self.settle_early(u32::MAX);
            return true;
        }
        let Some(first) = self.first_pending() else { return false };
        let next = self.direction.next;
        debug_assert!(first >= next, "{first} waits, {next} is next");
        if next >= before {
            return false;
        }
        let sequence = self.direction.base.wrapping_add(first as u32);
        if first > next && self.continues_elsewhere(sequence) {
            // It came before that was known.
            self.reject_pending(sequence);
        } else if first > next {
            self.miss_up_to(first.min(before), cause);
        } else if self.is_at_fin() {
            self.refute_fin();
        } else if self.is_cut() {
            self.give_up_cut();
        }
        self.drain();
        true
    }

    /// Reports the first pending segment as one of another sequence space.
    fn reject_pending(&mut self, sequence: u32) {
        let Some((_, held)) = self.pop_pending() else { return };
        if let Some(bytes) = held.bytes() {
            let cause = UnplacedCause::OtherSequenceSpace;
            self.unplaced(bytes, sequence, held.timestamp, held.number, cause);
        }
    }

    #[inline]
    pub(crate) fn note(&mut self, letter: Letter) {
        self.history.note(&mut self.direction.seen, self.peer, self.side, letter);
    }

    /// `true` if all before a FIN that is not confirmed was delivered.
    fn is_at_fin(&self) -> bool {
        let direction = &self.direction;
        direction.flags.has(F::FIN)
            && direction.offset(direction.fin) <= direction.next.cast_signed()
    }

    pub(super) fn first_pending(&self) -> Option<u64> {
        if self.direction.flags.has(F::PENDING) { self.reassembly()?.pending.first() } else { None }
    }

    fn retransmitted(&mut self) {
        self.note(Letter::Retransmission);
        let index = self.ensure_backlog();
        if let Some(reassembly) = self.reassemblies.get(index) {
            reassembly.retransmitted += 1;
        }
    }

    fn reordered(&mut self) {
        let index = self.ensure_backlog();
        if let Some(reassembly) = self.reassemblies.get(index) {
            reassembly.reordered += 1;
        }
    }

    pub(crate) fn zero_window(&mut self) {
        let index = self.ensure_backlog();
        if let Some(reassembly) = self.reassemblies.get(index) {
            reassembly.zero_windows += 1;
        }
    }

    /// The capture loses the ends of this direction's packets, and their length with them.
    pub(crate) fn loses_tails(&mut self) {
        let index = self.ensure_backlog();
        if let Some(reassembly) = self.reassemblies.get(index) {
            reassembly.loses_tails = true;
        }
    }

    fn ensure_backlog(&mut self) -> u32 {
        if self.direction.reassembly == NONE {
            let side = u8::from(self.side == FlowSide::Responder);
            self.direction.reassembly = self.reassemblies.allocate(self.flow.id.slot, side);
        }
        self.direction.reassembly
    }

    /// Drops the reassembly state if it is no longer needed: most directions have one only while
    /// their stream is picked up midway, or while a hole is open that is filled.
    fn release_idle_backlog(&mut self) {
        if self.reassemblies.release_idle(self.direction.reassembly) {
            self.direction.reassembly = NONE;
        }
    }

    fn reassembly(&self) -> Option<&Reassembly> {
        self.reassemblies.peek(self.direction.reassembly)
    }

    fn reassembly_mut(&mut self) -> Option<&mut Reassembly> {
        self.reassemblies.get(self.direction.reassembly)
    }
}

/// `true` if one sequence number comes after another (RFC 9293, section 3.4).
#[inline(always)]
pub(crate) const fn ahead(this: u32, other: u32) -> bool {
    this.wrapping_sub(other).cast_signed() > 0
}
