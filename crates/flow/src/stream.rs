//! One direction of a TCP flow, put back into order.

mod grace;
mod pickup;
mod segment;
mod window;

use crate::backlog::{Backlog, Backlogs, Suspect};
use crate::config::Config;
use crate::history::{History, Letter, Seen};
use crate::slot::{Direction, DirectionFlags as F, NONE};
use crate::statistics::TableStatistics;
use crate::{
    Flow, FlowHandler, FlowSide, GapCause, OverlapPolicy, Timestamp, Unplaced, UnplacedCause,
};

/// A direction and all that its reassembly needs.
pub(crate) struct Stream<'t, K, H> {
    pub(crate) flow: Flow<'t, K>,
    /// Who sends these bytes.
    pub(crate) side: FlowSide,
    pub(crate) direction: &'t mut Direction,
    pub(crate) history: &'t mut History,
    /// What the other side has brought to the history.
    pub(crate) peer: Seen,
    pub(crate) backlogs: &'t mut Backlogs,
    pub(crate) config: &'t Config,
    /// How the receiver treats overlaps.
    pub(crate) policy: OverlapPolicy,
    /// The sequence number of a byte that the receiver takes out of the stream.
    pub(crate) urgent: Option<u32>,
    pub(crate) statistics: &'t mut TableStatistics,
    pub(crate) handler: &'t mut H,
    /// Nanoseconds.
    pub(crate) now: u64,
    /// When the flow wants to be looked at; only ever made earlier.
    pub(crate) wake: &'t mut u64,
}

/// The payload of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) sequence: u32,
    pub(crate) bytes: &'a [u8],
    pub(crate) wire_len: u32,
    /// It has a control bit that no keep-alive has: PSH or FIN.
    pub(crate) pushed: bool,
    pub(crate) timestamp: u64,
    pub(crate) number: u64,
    pub(crate) awaits: u64,
}

impl<'a> Payload<'a> {
    /// Position of the byte with this sequence number among the captured ones, if all were captured.
    fn offset_of(&self, sequence: u32) -> Option<usize> {
        let at = sequence.wrapping_sub(self.sequence) as usize;
        (at < self.bytes.len() && self.bytes.len() == self.wire_len as usize).then_some(at)
    }

    fn part(&self, from: usize, to: usize) -> Self {
        let (bytes, wire_len): (&'a [u8], _) = (&self.bytes[from..to], (to - from) as u32);
        Self { sequence: self.sequence.wrapping_add(from as u32), bytes, wire_len, ..*self }
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

    /// Takes a payload without the byte that the receiver hands out of band: it becomes a gap, so that offsets stay those of the
    /// sequence space.
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

    /// Reports bytes that have no place in the stream.
    pub(crate) fn unplaced(
        &mut self,
        bytes: &[u8],
        sequence: u32,
        timestamp: u64,
        packet_number: u64,
        cause: UnplacedCause,
    ) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len() as u64;
        self.statistics.unplaced_bytes += len;
        let index = self.ensure_backlog();
        if let Some(backlog) = self.backlogs.get(index) {
            backlog.unplaced_bytes += len;
        }
        let timestamp = Timestamp::from_nanos(timestamp);
        let unplaced = Unplaced { bytes, sequence, cause, timestamp, packet_number };
        self.handler.on_unplaced(&self.flow, self.side, unplaced);
    }

    fn contiguous(&mut self, payload: Payload<'_>) {
        let quiet = F::PENDING.or(F::FIN).or(F::HOLD);
        if self.direction.flags.has(F::ANCHORED)
            && !self.direction.flags.has(quiet)
            && payload.sequence == self.direction.expected()
            && payload.bytes.len() == payload.wire_len as usize
        {
            self.deliver(payload.bytes, payload.timestamp, payload.number, payload.awaits);
            return;
        }
        if !self.direction.flags.has(F::ANCHORED.or(F::HOLD)) && !self.begin(&payload) {
            self.retransmitted();
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

    /// The sequence number of stream offset 0 is known: from a SYN, or from a SYN-ACK that acknowledges one.
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
        self.direction.begin_at(base);
    }

    /// Takes a FIN, which has this sequence number.
    pub(crate) fn fin(&mut self, sequence: u32) {
        self.note(Letter::Fin);
        if self.direction.takes_fin(sequence) {
            self.handler.on_fin(&self.flow, self.side, self.direction.next);
            return;
        }
        if self.direction.flags.has(F::FIN) {
            return;
        }
        if !self.direction.flags.has(F::ANCHORED.or(F::HOLD)) {
            if self.starts_at(sequence) || self.config.pickup_packets == 0 {
                self.anchor(sequence);
            } else {
                self.begin_hold(sequence);
            }
        }
        let offset = self.direction.offset(sequence);
        if offset < self.direction.next.cast_signed() && self.direction.flags.has(F::ANCHORED)
            || offset > self.limit()
        {
            self.statistics.out_of_window += 1;
            return;
        }
        // What the sender sent before beyond it shows that it is none.
        let pending = self.backlog().and_then(|backlog| backlog.pending.end());
        if pending.is_some_and(|end| offset < end.cast_signed()) {
            self.statistics.after_fin += 1;
            return;
        }
        self.direction.fin = sequence;
        self.direction.flags.set(F::FIN);
        self.reach_fin();
    }

    /// The peer says that it has everything before `acknowledgement`, and takes bytes up to `edge`.
    ///
    /// Where that is more than was seen, the handler is told, unless the peer's own stream has a `hole`: then what is
    /// handed out next was said before. What the packet brings [awaits](crate::Data::awaits) the bytes up to the offset
    /// that this returns.
    pub(crate) fn acknowledged(&mut self, acknowledgement: u32, edge: u32, hole: bool) -> u64 {
        if self.direction.takes_acknowledgement(acknowledgement, edge) {
            return 0;
        }
        let anchored = self.direction.flags.has(F::ANCHORED);
        if anchored {
            let offset = self.direction.offset(acknowledgement);
            if offset > self.limit() && !self.borne_out(Suspect::Acknowledgement(acknowledgement)) {
                self.statistics.out_of_window += 1;
                return 0;
            }
        }
        let direction = &mut *self.direction;
        if !direction.flags.has(F::ACKED) {
            direction.acked = acknowledgement;
            direction.edge = edge;
            direction.flags.set(F::ACKED);
        } else {
            if ahead(acknowledgement, direction.acked) {
                direction.acked = acknowledgement;
            }
            if ahead(edge, direction.edge) {
                direction.edge = edge;
            }
        }
        if direction.flags.has(F::HOLD) {
            let first = self.backlog().and_then(|backlog| backlog.pending.first());
            let offset = self.direction.offset(acknowledgement);
            if first.is_some_and(|first| first.cast_signed() == offset) {
                self.end_hold(offset.cast_unsigned());
            }
        } else if anchored {
            if direction.flags.has(F::FIN_REACHED)
                && direction.offset(acknowledgement) > direction.next.cast_signed()
            {
                direction.flags.set(F::FIN_ACKED);
            }
            // This packet may be older than another that has acknowledged more.
            let own = self.direction.offset(acknowledgement).max(0).cast_unsigned();
            let awaited = own.min(self.begin_grace());
            if hole {
                return awaited;
            }
            if awaited > 0 {
                self.handler.on_awaited(&self.flow, self.side, awaited);
            }
        }
        0
    }

    /// How much of what was handed out an acknowledgement covers.
    pub(crate) fn known(&self, acknowledgement: u32) -> u64 {
        let offset = self.direction.offset(acknowledgement).max(0).cast_unsigned();
        if self.direction.flags.has(F::ANCHORED) { offset.min(self.direction.next) } else { 0 }
    }

    /// Time went by.
    pub(crate) fn tick(&mut self) {
        let now = self.now;
        let Some(backlog) = self.backlog() else { return };
        if backlog.grace.is_some_and(|grace| grace.deadline <= now) {
            self.end_grace();
        }
        let timeout = self.config.hole_timeout;
        let Some(backlog) = self.backlog() else { return };
        if !backlog.pending.is_empty()
            && !self.direction.flags.has(F::HOLD)
            && backlog.since.saturating_add(timeout) <= now
        {
            // What waited with the first hole has waited as long.
            while let Some(first) = self.first_pending() {
                self.gap_up_to(first, GapCause::Timeout);
                self.drain();
            }
            self.begin_grace();
        }
        self.reach_fin();
    }

    /// Gives up the oldest hole: too much waits behind it.
    pub(crate) fn give_way(&mut self) {
        if self.direction.flags.has(F::HOLD) {
            self.end_hold_at_first();
        } else if let Some(first) = self.first_pending() {
            self.gap_up_to(first, GapCause::Limit);
            self.drain();
            self.reach_fin();
            self.begin_grace();
        }
    }

    /// The flow ends: delivers all that is pending, and says what is missing.
    pub(crate) fn finish(&mut self) {
        if self.direction.flags.has(F::HOLD) {
            self.end_hold_at_first();
        }
        if !self.direction.flags.has(F::ANCHORED) {
            return;
        }
        while let Some(first) = self.first_pending() {
            self.gap_up_to(first, GapCause::End);
            self.drain();
        }
        let target = self.acknowledged_end();
        if self.direction.flags.has(F::FIN) {
            let fin = self.direction.offset(self.direction.fin);
            self.gap_up_to(fin.max(0).cast_unsigned(), GapCause::End);
        } else if target > self.direction.next + 1 {
            self.gap_up_to(target, GapCause::End);
        }
        self.reach_fin();
    }

    fn reach_fin(&mut self) {
        let direction = &mut *self.direction;
        if direction.flags.has(F::FIN)
            && direction.flags.has(F::ANCHORED)
            && !direction.flags.has(F::FIN_REACHED)
            && direction.expected() == direction.fin
        {
            direction.reach_fin();
            self.handler.on_fin(&self.flow, self.side, self.direction.next);
        }
    }

    #[inline]
    pub(crate) fn note(&mut self, letter: Letter) {
        self.history.note(&mut self.direction.seen, self.peer, self.side, letter);
    }

    fn first_pending(&self) -> Option<u64> {
        if self.direction.flags.has(F::PENDING) { self.backlog()?.pending.first() } else { None }
    }

    fn retransmitted(&mut self) {
        self.note(Letter::Retransmission);
        let index = self.ensure_backlog();
        if let Some(backlog) = self.backlogs.get(index) {
            backlog.retransmitted += 1;
        }
    }

    fn reordered(&mut self) {
        let index = self.ensure_backlog();
        if let Some(backlog) = self.backlogs.get(index) {
            backlog.reordered += 1;
        }
    }

    pub(crate) fn zero_window(&mut self) {
        let index = self.ensure_backlog();
        if let Some(backlog) = self.backlogs.get(index) {
            backlog.zero_windows += 1;
        }
    }

    fn ensure_backlog(&mut self) -> u32 {
        if self.direction.backlog == NONE {
            let side = u8::from(self.side == FlowSide::Responder);
            self.direction.backlog = self.backlogs.allocate(self.flow.id.slot, side);
        }
        self.direction.backlog
    }

    fn backlog(&self) -> Option<&Backlog> {
        self.backlogs.peek(self.direction.backlog)
    }

    fn backlog_mut(&mut self) -> Option<&mut Backlog> {
        self.backlogs.get(self.direction.backlog)
    }
}

/// Whether one sequence number comes after another (RFC 9293, section 3.4).
#[inline(always)]
pub(crate) const fn ahead(this: u32, other: u32) -> bool {
    this.wrapping_sub(other).cast_signed() > 0
}
