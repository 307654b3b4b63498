//! One direction of a TCP flow, put back into order.

use crate::backlog::{Backlog, Backlogs, Grace, Suspect};
use crate::config::Config;
use crate::history::{Letter, note};
use crate::pending::Arrival;
use crate::slot::{Direction, DirectionFlags as F, NONE};
use crate::statistics::TableStatistics;
use crate::{Conflict, Data, Flow, FlowHandler, FlowSide, Gap, GapCause, Timestamp};

/// A direction and all that its reassembly needs.
pub(crate) struct Stream<'t, K, H> {
    pub(crate) flow: Flow<'t, K>,
    /// Who sends these bytes.
    pub(crate) side: FlowSide,
    pub(crate) direction: &'t mut Direction,
    pub(crate) history: &'t mut u64,
    pub(crate) backlogs: &'t mut Backlogs,
    pub(crate) config: &'t Config,
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
    pub(crate) timestamp: u64,
    pub(crate) number: u64,
}

/// While segments are held back, the first of them is this far into the sequence space.
const HOLD_START: u64 = 1 << 30;
/// How far a segment may be from the first of a held stream.
const HOLD_REACH: i64 = 1 << 24;
/// What is let pass beyond the window: what a capture shows of the two directions is not exactly simultaneous.
const SLACK: i64 = 1 << 20;
/// How far a segment may jump where the peer's windows are not seen.
const BLIND: i64 = 1 << 30;
/// How far from each other a segment and an acknowledgement outside the window may be to bear each other out.
const NEAR: u32 = 1 << 24;

impl<K, H: FlowHandler<K>> Stream<'_, K, H> {
    /// Takes a segment's payload.
    #[inline]
    pub(crate) fn payload(&mut self, payload: Payload<'_>) {
        let quiet = F::PENDING.or(F::FIN).or(F::HOLD);
        let direction = &mut *self.direction;
        if direction.flags.has(F::ANCHORED)
            && !direction.flags.has(quiet)
            && payload.sequence == direction.expected()
            && payload.bytes.len() == payload.wire_len as usize
        {
            note(self.history, &mut direction.history, self.side, Letter::Data);
            self.deliver(payload.bytes, payload.timestamp, payload.number);
            return;
        }
        self.payload_slow(payload);
    }

    #[inline(never)]
    fn payload_slow(&mut self, payload: Payload<'_>) {
        note(self.history, &mut self.direction.history, self.side, Letter::Data);
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
        self.direction.base = base;
        self.direction.next = 0;
        self.direction.flags.clear(F::HINT);
        self.direction.flags.set(F::ANCHORED);
    }

    /// A segment without payload in a direction of which nothing else is known shows what comes next.
    #[inline]
    pub(crate) fn hint(&mut self, sequence: u32) {
        if !self.direction.flags.has(F::ANCHORED.or(F::HOLD)) {
            self.direction.base = sequence;
            self.direction.flags.set(F::HINT);
        }
    }

    /// Takes a FIN, which has this sequence number.
    pub(crate) fn fin(&mut self, sequence: u32) {
        note(self.history, &mut self.direction.history, self.side, Letter::Fin);
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
    #[inline]
    pub(crate) fn acknowledged(&mut self, acknowledgement: u32, edge: u32) {
        let direction = &mut *self.direction;
        if direction.flags.has(F::ANCHORED) && direction.flags.has(F::ACKED) {
            let distance = acknowledgement.wrapping_sub(direction.expected()).cast_signed();
            if distance <= 0 {
                if ahead(acknowledgement, direction.acked) {
                    direction.acked = acknowledgement;
                }
                if ahead(edge, direction.edge) {
                    direction.edge = edge;
                }
                return;
            }
        }
        self.acknowledged_slow(acknowledgement, edge);
    }

    #[inline(never)]
    fn acknowledged_slow(&mut self, acknowledgement: u32, edge: u32) {
        let anchored = self.direction.flags.has(F::ANCHORED);
        if anchored {
            let offset = self.direction.offset(acknowledgement);
            if offset > self.limit() && !self.borne_out(Suspect::Acknowledgement(acknowledgement)) {
                self.statistics.out_of_window += 1;
                return;
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
            self.begin_grace();
        }
    }

    /// A packet of the flow went by: one less to wait for.
    pub(crate) fn count_packet(&mut self) {
        let Some(grace) = self.backlog_mut().and_then(|backlog| backlog.grace.as_mut()) else {
            return;
        };
        grace.packets = grace.packets.saturating_sub(1);
        if grace.packets == 0 {
            self.end_grace();
        }
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

    // --- the beginning of a stream that is picked up midway ---

    /// Whether something other than the segment itself shows that the stream goes on at this sequence number.
    fn starts_at(&self, sequence: u32) -> bool {
        let direction = &self.direction;
        (direction.flags.has(F::ACKED) && direction.acked == sequence)
            || (direction.flags.has(F::HINT) && direction.base == sequence)
    }

    /// The first payload of a direction without a SYN. False if it is no new data.
    fn begin(&mut self, payload: &Payload<'_>) -> bool {
        let end = payload.sequence.wrapping_add(payload.wire_len);
        if payload.wire_len == 1 && self.starts_at(end) {
            // A keep-alive: one byte before what comes next.
            return false;
        }
        if self.starts_at(payload.sequence) || self.config.pickup_packets == 0 {
            self.anchor(payload.sequence);
        } else {
            self.begin_hold(payload.sequence);
        }
        true
    }

    fn begin_hold(&mut self, sequence: u32) {
        self.direction.base = sequence.wrapping_sub(HOLD_START as u32);
        self.direction.next = HOLD_START;
        self.direction.flags.clear(F::HINT);
        self.direction.flags.set(F::HOLD);
        self.start_grace(0, self.config.pickup_packets, self.config.pickup_time);
    }

    fn hold(&mut self, start: i64, payload: Payload<'_>) {
        let Ok(start) = u64::try_from(start) else { return };
        if start.abs_diff(HOLD_START) > HOLD_REACH as u64 {
            self.statistics.out_of_window += 1;
            return;
        }
        self.keep(start, payload.bytes, payload);
        self.enforce_limits();
    }

    fn end_hold_at_first(&mut self) {
        let fin = self.direction.offset(self.direction.fin);
        let start = match self.first_pending() {
            Some(first) => first,
            None if self.direction.flags.has(F::FIN) => fin.max(0).cast_unsigned(),
            None => HOLD_START,
        };
        self.end_hold(start);
    }

    /// What was held back begins the stream, at this offset of the provisional count.
    fn end_hold(&mut self, start: u64) {
        self.direction.flags.clear(F::HOLD.or(F::GRACE));
        self.direction.base = self.direction.base.wrapping_add(start as u32);
        self.direction.next = 0;
        self.direction.flags.set(F::ANCHORED);
        let now = self.now;
        if let Some(backlog) = self.backlog_mut() {
            backlog.grace = None;
            backlog.since = now;
            backlog.pending.cut_before(start);
            backlog.pending.shift(start);
        }
        if self.direction.flags.has(F::FIN) && self.direction.offset(self.direction.fin) < 0 {
            self.direction.flags.clear(F::FIN);
        }
        self.drain();
        self.reach_fin();
        self.begin_grace();
    }

    // --- segments ---

    /// Puts a segment of an anchored stream in its place.
    fn place(&mut self, mut start: i64, mut payload: Payload<'_>) {
        let next = self.direction.next.cast_signed();
        let mut end = start + i64::from(payload.wire_len);
        if self.direction.flags.has(F::FIN) {
            let fin = self.direction.offset(self.direction.fin);
            if end > fin.max(start) {
                self.statistics.after_fin += 1;
                end = fin.max(start);
            }
        }
        if end <= next {
            self.old(start, end, &payload);
            return;
        }
        if start > self.limit() {
            let after = payload.sequence.wrapping_add(payload.wire_len);
            if !self.borne_out(Suspect::Segment(payload.sequence, after)) {
                self.statistics.out_of_window += 1;
                return;
            }
        }
        let len = (end - start) as usize;
        payload.bytes = &payload.bytes[..payload.bytes.len().min(len)];
        if start < next {
            self.old(start, next, &payload);
            let known = ((next - start) as usize).min(payload.bytes.len());
            payload.bytes = &payload.bytes[known..];
            start = next;
        }
        payload.wire_len = (end - start) as u32;
        let start = start.cast_unsigned();
        let first = self.first_pending();
        let in_order = start == self.direction.next
            && first.is_none_or(|first| first >= start + u64::from(payload.wire_len));
        if in_order {
            self.deliver(payload.bytes, payload.timestamp, payload.number);
            self.gap_up_to(end.cast_unsigned(), GapCause::Truncated);
        } else {
            if start > self.direction.next {
                self.reordered();
            }
            self.keep(start, payload.bytes, payload);
        }
        self.drain();
        self.enforce_limits();
        self.begin_grace();
    }

    /// Bytes that were delivered, or declared missing, or lie before the stream's beginning.
    fn old(&mut self, start: i64, end: i64, payload: &Payload<'_>) {
        let captured = end.min(start + payload.bytes.len() as i64);
        let (timestamp, packet_number) = (Timestamp::from_nanos(payload.timestamp), payload.number);
        let mut late = 0;
        // The byte before the beginning is a keep-alive's; before a SYN there is nothing.
        let keep_alive = start == -1 && end == 0;
        if start < 0 && captured > start && !keep_alive && !self.direction.flags.has(F::SYN) {
            let bytes = &payload.bytes[..(captured.min(0) - start) as usize];
            let data = Data { bytes, offset: start.cast_unsigned(), timestamp, packet_number };
            self.handler.on_late(&self.flow, self.side, data);
            late += bytes.len() as u64;
        }
        let from = start.max(0);
        if captured > from
            && let Some(backlog) = self.backlogs.get(self.direction.backlog)
        {
            backlog.take_late(from.cast_unsigned(), captured.cast_unsigned(), |from, to| {
                let skip = (from.cast_signed() - start) as usize;
                let bytes = &payload.bytes[skip..skip + (to - from) as usize];
                let data = Data { bytes, offset: from, timestamp, packet_number };
                self.handler.on_late(&self.flow, self.side, data);
                late += bytes.len() as u64;
            });
        }
        self.statistics.late_bytes += late;
        if late == 0 {
            self.retransmitted();
        }
    }

    fn deliver(&mut self, bytes: &[u8], timestamp: u64, packet_number: u64) {
        if !bytes.is_empty() {
            let offset = self.direction.next;
            self.direction.next += bytes.len() as u64;
            self.statistics.delivered_bytes += bytes.len() as u64;
            let timestamp = Timestamp::from_nanos(timestamp);
            let data = Data { bytes, offset, timestamp, packet_number };
            self.handler.on_data(&self.flow, self.side, data);
        }
    }

    /// Holds a segment until its turn comes.
    fn keep(&mut self, start: u64, bytes: &[u8], payload: Payload<'_>) {
        let index = self.ensure_backlog();
        let Some(backlog) = self.backlogs.get(index) else { return };
        if backlog.pending.is_empty() {
            backlog.since = self.now;
            *self.wake = (*self.wake).min(self.now.saturating_add(self.config.hole_timeout));
        }
        let wire_len = u64::from(payload.wire_len);
        let Payload { timestamp, number, .. } = payload;
        let arrival = Arrival { start, bytes, wire_len, timestamp, number };
        backlog.pending.insert(arrival, self.config.overlap, |offset, kept, discarded| {
            self.statistics.conflicts += 1;
            let conflict = Conflict {
                offset,
                kept,
                discarded,
                timestamp: Timestamp::from_nanos(timestamp),
                packet_number: number,
            };
            self.handler.on_conflict(&self.flow, self.side, conflict);
        });
        self.direction.flags.set(F::PENDING);
        self.backlogs.account(index);
    }

    /// Delivers what is no longer behind a hole.
    fn drain(&mut self) {
        if !self.direction.flags.has(F::PENDING) {
            return;
        }
        let mut moved = false;
        while self.first_pending() == Some(self.direction.next) {
            let popped = self.backlog_mut().and_then(|backlog| backlog.pending.pop_first());
            let Some((_, held)) = popped else { break };
            moved = true;
            match held.bytes() {
                Some(bytes) => self.deliver(bytes, held.timestamp, held.number),
                None => self.gap_up_to(self.direction.next + held.len(), GapCause::Truncated),
            }
        }
        let (next, now) = (self.direction.next, self.now);
        let index = self.direction.backlog;
        if let Some(backlog) = self.backlogs.get(index) {
            if backlog.grace.is_some_and(|grace| grace.target <= next) {
                backlog.grace = None;
                self.direction.flags.clear(F::GRACE);
            }
            if backlog.pending.is_empty() {
                self.direction.flags.clear(F::PENDING);
            }
            if moved {
                backlog.since = now;
                self.backlogs.account(index);
                self.backlogs.renew(index);
            }
        }
    }

    fn gap_up_to(&mut self, end: u64, cause: GapCause) {
        let offset = self.direction.next;
        if end <= offset {
            return;
        }
        let len = end - offset;
        let cause = match cause {
            GapCause::End | GapCause::Timeout | GapCause::Limit
                if self.acknowledged_end() >= end =>
            {
                GapCause::Acknowledged
            }
            cause => cause,
        };
        self.direction.next = end;
        note(self.history, &mut self.direction.history, self.side, Letter::Gap);
        let index = self.ensure_backlog();
        if let Some(backlog) = self.backlogs.get(index) {
            backlog.gap_bytes += len;
            backlog.remember_gap(offset, end);
        }
        self.statistics.gaps += 1;
        self.statistics.gap_bytes += len;
        self.handler.on_gap(&self.flow, self.side, Gap { offset, len, cause });
    }

    fn enforce_limits(&mut self) {
        let config = self.config;
        while let Some(backlog) = self.backlog()
            && !backlog.pending.is_empty()
            && (backlog.pending.bytes() > config.direction_bytes
                || backlog.pending.len() > config.direction_segments)
        {
            self.give_way();
        }
    }

    // --- acknowledged holes ---

    /// The stream offset up to which the peer has everything; the FIN is no byte of the stream.
    fn acknowledged_end(&self) -> u64 {
        let direction = &self.direction;
        if !direction.flags.has(F::ACKED) {
            return 0;
        }
        let mut end = direction.offset(direction.acked);
        if direction.flags.has(F::FIN) {
            end = end.min(direction.offset(direction.fin));
        }
        end.max(0).cast_unsigned()
    }

    /// If the peer has bytes that were not seen, they have a while to turn up.
    fn begin_grace(&mut self) {
        let target = self.acknowledged_end();
        if target <= self.direction.next || self.direction.flags.has(F::GRACE.or(F::HOLD)) {
            return;
        }
        if target == self.direction.next + 1
            && !self.direction.flags.has(F::FIN)
            && self.first_pending().is_none()
        {
            // Most likely a FIN that was not seen; if it was a byte, what follows will show.
            return;
        }
        if self.config.grace_packets == 0 {
            self.declare(target);
        } else {
            self.start_grace(target, self.config.grace_packets, self.config.grace_time);
        }
    }

    fn start_grace(&mut self, target: u64, packets: u32, time: u64) {
        let deadline = self.now.saturating_add(time);
        // The packet that starts it is counted, too.
        let packets = packets.saturating_add(1);
        let index = self.ensure_backlog();
        if let Some(backlog) = self.backlogs.get(index) {
            backlog.grace = Some(Grace { target, packets, deadline });
            self.direction.flags.set(F::GRACE);
            *self.wake = (*self.wake).min(deadline);
        }
    }

    fn end_grace(&mut self) {
        if self.direction.flags.has(F::HOLD) {
            self.end_hold_at_first();
            return;
        }
        let grace = self.backlog_mut().and_then(|backlog| backlog.grace.take());
        self.direction.flags.clear(F::GRACE);
        if let Some(grace) = grace {
            self.declare(grace.target);
            self.reach_fin();
            self.begin_grace();
        }
    }

    /// Makes gaps of all holes before an offset.
    fn declare(&mut self, target: u64) {
        while self.direction.next < target {
            let end = self.first_pending().map_or(target, |first| first.min(target));
            self.gap_up_to(end, GapCause::Acknowledged);
            self.drain();
        }
    }

    // --- windows ---

    /// The last stream offset at which a segment may begin. Where bytes that are pending lie beyond the window, the
    /// capture has missed what opened it.
    fn limit(&self) -> i64 {
        let direction = &self.direction;
        let next = direction.next.cast_signed();
        if direction.flags.has(F::ACKED) {
            let pending = self.backlog().and_then(|backlog| backlog.pending.end()).unwrap_or(0);
            let reached = direction.offset(direction.edge).max(pending.cast_signed()).max(next);
            reached.saturating_add(SLACK).min(next + BLIND)
        } else {
            next + BLIND
        }
    }

    /// Whether something outside the window fits what was seen of the other side outside the window: then it is the
    /// capture that missed a stretch of the flow.
    fn borne_out(&mut self, new: Suspect) -> bool {
        let index = self.ensure_backlog();
        let Some(backlog) = self.backlogs.get(index) else { return false };
        let fits = match (new, backlog.suspect) {
            (Suspect::Segment(start, end), Some(Suspect::Acknowledgement(acknowledged))) => {
                acknowledged.wrapping_sub(start) < NEAR || end.wrapping_sub(acknowledged) < NEAR
            }
            (Suspect::Acknowledgement(acknowledged), Some(Suspect::Segment(start, _))) => {
                acknowledged.wrapping_sub(start) < NEAR
            }
            _ => false,
        };
        backlog.suspect = if fits { None } else { Some(new) };
        fits
    }

    // --- small things ---

    fn reach_fin(&mut self) {
        let direction = &mut *self.direction;
        if direction.flags.has(F::FIN)
            && direction.flags.has(F::ANCHORED)
            && !direction.flags.has(F::FIN_REACHED)
            && direction.expected() == direction.fin
        {
            direction.flags.set(F::FIN_REACHED);
            if direction.flags.has(F::ACKED)
                && direction.offset(direction.acked) > direction.next.cast_signed()
            {
                direction.flags.set(F::FIN_ACKED);
            }
            self.handler.on_fin(&self.flow, self.side, self.direction.next);
        }
    }

    fn first_pending(&self) -> Option<u64> {
        if self.direction.flags.has(F::PENDING) { self.backlog()?.pending.first() } else { None }
    }

    fn retransmitted(&mut self) {
        note(self.history, &mut self.direction.history, self.side, Letter::Retransmission);
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
