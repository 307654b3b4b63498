//! Segments, each put in its place.

use super::{Payload, Stream};
use crate::history::Letter;
use crate::pending::{Arrival, Held};
use crate::reassembly::EarlyConflict;
use crate::slot::DirectionFlags as F;
use crate::{Conflict, Data, FlowHandler, Gap, GapCause, Timestamp};

impl<K, H: FlowHandler<K>> Stream<'_, K, H> {
    /// Puts a segment of an anchored stream in its place.
    pub(super) fn place(&mut self, mut start: i64, mut payload: Payload<'_>) {
        let next = self.direction.next.cast_signed();
        let end = start + i64::from(payload.wire_len);
        // A segment that does not fit is forged, or the capture has missed a stretch: only later
        // evidence shows which.
        if self.is_implausible(start)
            || self.is_wrapped(payload.sequence)
            || start > next && self.continues_elsewhere(payload.sequence)
        {
            self.statistics.out_of_window += 1;
            self.park(payload, false);
            return;
        }
        if self.is_keep_alive(&payload, start) {
            self.keep_alive(&payload);
            return;
        }
        if self.direction.flags.has(F::FIN) {
            let fin = self.direction.offset(self.direction.fin).max(start);
            if end > fin {
                self.place_around_fin(start, fin, payload);
                return;
            }
        }
        if end <= next {
            self.old(start, end, &payload);
            return;
        }
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
            self.deliver(payload.bytes, payload.timestamp, payload.number, payload.depends_on);
            self.cut(end.cast_unsigned(), payload);
            self.hole_shrank();
        } else {
            if start > self.direction.next {
                self.reordered();
            }
            self.keep(start, payload.bytes, payload);
        }
        self.drain();
        self.enforce_limits();
        self.begin_grace();
        let waits = !in_order && start > self.direction.next;
        let sequence = self.direction.base.wrapping_add(start as u32);
        self.progressed(payload.number, waits.then_some(sequence));
    }

    /// Splits a segment that crosses the sender's FIN, or lies beyond it. If the FIN was
    /// acknowledged, what lies beyond is as implausible as anything can be; else it waits for what
    /// the peer acknowledges.
    fn place_around_fin(&mut self, start: i64, fin: i64, payload: Payload<'_>) {
        self.statistics.after_fin += 1;
        let known = (fin - start) as usize;
        let payload = Payload { pushed: payload.pushed || known > 0, ..payload };
        let (head, tail) = payload.bytes.split_at(known.min(payload.bytes.len()));
        if known > 0 {
            self.place(start, Payload { bytes: head, wire_len: known as u32, ..payload });
        }
        let tail = Payload {
            sequence: payload.sequence.wrapping_add(known as u32),
            bytes: tail,
            wire_len: payload.wire_len - known as u32,
            ..payload
        };
        let start = self.direction.offset(tail.sequence);
        if self.direction.flags.has(F::FIN_ACKED) {
            self.park(tail, false);
        } else if !self.direction.flags.has(F::FIN)
            || start < self.direction.next.cast_signed()
            || start < self.direction.offset(self.direction.fin)
        {
            // The first part has shown that the FIN is false.
            if self.direction.flags.has(F::FIN)
                && self.direction.offset(self.direction.fin) <= start
            {
                self.refute_fin();
            }
            self.place(start, tail);
        } else {
            self.keep(start.cast_unsigned(), tail.bytes, tail);
            if known > 0
                && tail.wire_len == 1
                && let Some(reassembly) = self.reassembly_mut()
            {
                reassembly.crosses_fin = true;
            }
            self.count_beyond_fin();
            self.drain();
            self.enforce_limits();
        }
    }

    /// `true` for one byte, not pushed, right before what the peer has acknowledged, where the
    /// stream has a hole: what a keep-alive carries is garbage (RFC 9293, section 3.8.4), and the
    /// receiver has the true byte already. A byte that is pushed was overtaken by its
    /// acknowledgement.
    fn is_keep_alive(&self, payload: &Payload<'_>, start: i64) -> bool {
        start >= self.direction.next.cast_signed() && self.is_before_acknowledged(payload)
    }

    /// `true` for one byte, not pushed, right before what the peer has acknowledged.
    pub(super) fn is_before_acknowledged(&self, payload: &Payload<'_>) -> bool {
        payload.wire_len == 1
            && !payload.pushed
            && self.direction.flags.has(F::ACKED)
            && payload.sequence.wrapping_add(1) == self.direction.acked
    }

    /// The byte of a keep-alive.
    pub(super) fn keep_alive(&mut self, payload: &Payload<'_>) {
        let offset = self.direction.offset(payload.sequence);
        let anchored = self.direction.flags.has(F::ANCHORED);
        let offset = if anchored { offset.cast_unsigned() } else { u64::MAX };
        if !payload.bytes.is_empty() {
            self.statistics.repeated_bytes += payload.bytes.len() as u64;
            let (timestamp, packet_number) =
                (Timestamp::from_nanos(payload.timestamp), payload.number);
            let data =
                Data { bytes: payload.bytes, offset, timestamp, packet_number, depends_on: 0 };
            self.handler.on_keep_alive(&self.flow, self.side, data);
        }
        self.retransmitted();
    }

    pub(super) fn repeat(&mut self, offset: u64, bytes: &[u8], timestamp: u64, packet_number: u64) {
        if bytes.is_empty() {
            return;
        }
        self.statistics.repeated_bytes += bytes.len() as u64;
        let timestamp = Timestamp::from_nanos(timestamp);
        let data = Data { bytes, offset, timestamp, packet_number, depends_on: 0 };
        self.handler.on_repeat(&self.flow, self.side, data);
    }

    /// The capture cut a packet short: bytes up to an offset are missing. A full copy may follow,
    /// from another interface with a larger snap length or as a retransmission, until the grace is
    /// over. In a capture that cuts all packets none does, and once that has shown nothing waits
    /// any more.
    fn cut(&mut self, end: u64, payload: Payload<'_>) {
        if self.direction.next >= end {
            return;
        }
        let stays = self.config.grace_packets == 0
            || self.urgent == Some(self.direction.expected())
            || self.reassembly().is_some_and(|reassembly| reassembly.cuts_stay);
        if stays {
            self.gap_up_to(end, GapCause::Truncated);
            return;
        }
        let start = self.direction.next;
        self.keep(start, &[], Payload { bytes: &[], wire_len: (end - start) as u32, ..payload });
    }

    /// No full copy came of a packet that the capture cut short.
    pub(super) fn give_up_cut(&mut self) {
        if let Some((_, held)) = self.pop_pending() {
            if let Some(reassembly) = self.reassembly_mut() {
                reassembly.cuts_stay = true;
            }
            self.gap_up_to(self.direction.next + held.len(), GapCause::Truncated);
        }
    }

    /// `true` if the next bytes are those that the capture cut off.
    pub(super) fn is_cut(&self) -> bool {
        self.first_pending() == Some(self.direction.next) && !self.front_is_captured()
    }

    /// Bytes that were delivered, or declared missing, or lie before the stream's beginning.
    pub(super) fn old(&mut self, start: i64, end: i64, payload: &Payload<'_>) {
        let captured = end.min(start + payload.bytes.len() as i64);
        let (timestamp, packet_number) = (Timestamp::from_nanos(payload.timestamp), payload.number);
        let mut late = 0;
        if start < 0 && captured > start {
            let bytes = &payload.bytes[..(captured.min(0) - start) as usize];
            let offset = start.cast_unsigned();
            if start == -1 && end == 0 {
                // The byte before the beginning is a keep-alive's.
                self.repeat(offset, bytes, payload.timestamp, payload.number);
            } else if self.direction.flags.has(F::SYN) {
                // Before a SYN there is nothing.
                let cause = self.cause_before_syn(payload.sequence);
                self.unplaced(bytes, payload.sequence, payload.timestamp, payload.number, cause);
            } else {
                let data = Data { bytes, offset, timestamp, packet_number, depends_on: 0 };
                self.handler.on_late(&self.flow, self.side, data);
                late += bytes.len() as u64;
            }
        }
        let captured = captured.max(0).cast_unsigned();
        let mut at = start.max(0).cast_unsigned();
        let mut repeated = 0;
        let flow = &self.flow;
        let piece = |from: u64, to: u64| {
            let skip = from.wrapping_sub(start.cast_unsigned()) as usize;
            let bytes = &payload.bytes[skip..skip + (to - from) as usize];
            Data { bytes, offset: from, timestamp, packet_number, depends_on: 0 }
        };
        if let Some(reassembly) = self.reassemblies.get(self.direction.reassembly) {
            reassembly.take_late(at, captured, |from, to| {
                if at < from {
                    repeated += from - at;
                    self.handler.on_repeat(flow, self.side, piece(at, from));
                }
                self.handler.on_late(flow, self.side, piece(from, to));
                late += to - from;
                at = to;
            });
        }
        if at < captured {
            repeated += captured - at;
            // Of a longer segment, one overlapping byte is as true as the rest.
            let is_keep_alive =
                payload.wire_len == 1 && !payload.pushed && captured == self.direction.next;
            if is_keep_alive {
                self.handler.on_keep_alive(flow, self.side, piece(at, captured));
            } else {
                self.handler.on_repeat(flow, self.side, piece(at, captured));
            }
        }
        self.statistics.late_bytes += late;
        self.statistics.repeated_bytes += repeated;
        if late == 0 {
            self.retransmitted();
        }
    }

    pub(super) fn deliver(
        &mut self,
        bytes: &[u8],
        timestamp: u64,
        packet_number: u64,
        depends_on: u64,
    ) {
        if !bytes.is_empty() {
            let offset = self.direction.next;
            self.direction.next += bytes.len() as u64;
            self.statistics.delivered_bytes += bytes.len() as u64;
            if self.direction.flags.has(F::GRACE) {
                self.renew_grace();
            }
            let timestamp = Timestamp::from_nanos(timestamp);
            let data = Data { bytes, offset, timestamp, packet_number, depends_on };
            self.handler.on_data(&self.flow, self.side, data);
        }
    }

    /// Holds a segment until its turn comes.
    pub(super) fn keep(&mut self, start: u64, bytes: &[u8], payload: Payload<'_>) {
        let index = self.ensure_backlog();
        let Some(reassembly) = self.reassemblies.get(index) else { return };
        if reassembly.pending.is_empty() {
            reassembly.since = self.now;
            *self.wake = (*self.wake).min(self.now.saturating_add(self.config.hole_timeout));
        }
        let wire_len = u64::from(payload.wire_len);
        let Payload { timestamp, number, depends_on, .. } = payload;
        let arrival = Arrival { start, bytes, wire_len, timestamp, number, depends_on };
        let has_beginning = !self.direction.flags.has(F::HOLD);
        let mut early = Vec::new();
        reassembly.pending.insert(arrival, self.policy, |offset, kept, discarded| {
            let repeated = kept.bytes == discarded.bytes;
            if repeated {
                self.statistics.repeated_bytes += discarded.bytes.len() as u64;
            } else {
                self.statistics.conflicts += 1;
            }
            if !has_beginning {
                // The offset is known once the stream has begun.
                early.push(EarlyConflict {
                    offset,
                    kept: (!repeated).then(|| kept.bytes.into()),
                    discarded: discarded.bytes.into(),
                    kept_packet_number: kept.number,
                    discarded_packet_number: discarded.number,
                    discarded_timestamp: discarded.timestamp,
                    timestamp,
                    packet_number: number,
                });
                return;
            }
            if repeated {
                // The policy may let the later copy stay, whose packet is then named with the data.
                let data = Data {
                    bytes: discarded.bytes,
                    offset,
                    timestamp: Timestamp::from_nanos(discarded.timestamp),
                    packet_number: discarded.number,
                    depends_on: 0,
                };
                self.handler.on_repeat(&self.flow, self.side, data);
                return;
            }
            let conflict = Conflict {
                offset,
                kept: kept.bytes,
                discarded: discarded.bytes,
                kept_packet_number: kept.number,
                discarded_packet_number: discarded.number,
                timestamp: Timestamp::from_nanos(timestamp),
                packet_number: number,
            };
            self.handler.on_conflict(&self.flow, self.side, conflict);
        });
        early.into_iter().for_each(|conflict| reassembly.keep_conflict(conflict));
        self.direction.flags.set(F::PENDING);
        self.reassemblies.account(index);
    }

    /// Bytes came in front of the hole, so the sender still works on it: what waits behind it may
    /// wait as long again.
    fn hole_shrank(&mut self) {
        let now = self.now;
        if self.direction.flags.has(F::PENDING)
            && let Some(reassembly) = self.reassembly_mut()
        {
            reassembly.since = now;
        }
    }

    /// Delivers what is no longer behind a hole.
    pub(super) fn drain(&mut self) {
        if !self.direction.flags.has(F::PENDING) || self.direction.flags.has(F::EARLY) {
            return;
        }
        let mut moved = false;
        while self.first_pending() == Some(self.direction.next) {
            if self.is_at_fin() {
                // Beyond the FIN; the peer's acknowledgement decides.
                break;
            }
            while self.direction.flags.has(F::FIN)
                && self
                    .reassembly()
                    .and_then(|reassembly| reassembly.pending.first_end())
                    .is_some_and(|end| {
                        end.cast_signed() > self.direction.offset(self.direction.fin)
                    })
            {
                // The sender had sent more before its FIN came; so it may have before another FIN.
                self.refute_fin();
            }
            if !self.front_is_captured()
                && self.urgent != Some(self.direction.expected())
                && !self.reassembly().is_some_and(|reassembly| reassembly.cuts_stay)
            {
                self.await_full_copy();
                break;
            }
            let Some((_, held)) = self.pop_pending() else { break };
            moved = true;
            match held.bytes() {
                Some(bytes) => self.deliver(bytes, held.timestamp, held.number, held.depends_on),
                None => self.gap_up_to(self.direction.next + held.len(), GapCause::Truncated),
            }
        }
        let (next, now) = (self.direction.next, self.now);
        let index = self.direction.reassembly;
        if let Some(reassembly) = self.reassemblies.get(index) {
            if reassembly.grace.is_some_and(|grace| grace.target <= next) {
                reassembly.grace = None;
                self.direction.flags.clear(F::GRACE);
            }
            if reassembly.pending.is_empty() {
                self.direction.flags.clear(F::PENDING);
            }
            if moved {
                reassembly.since = now;
                reassembly.asked = false;
                self.reassemblies.account(index);
                self.reassemblies.renew(index);
            }
        }
    }

    pub(super) fn gap_up_to(&mut self, end: u64, cause: GapCause) {
        let offset = self.direction.next;
        if end <= offset {
            return;
        }
        let len = end - offset;
        let cause = match cause {
            // Bytes that the peer has acknowledged were sent, so it is the capture that missed
            // them.
            GapCause::End | GapCause::Timeout | GapCause::Limit | GapCause::Outage
                if self.acknowledged_end() >= end =>
            {
                GapCause::Acknowledged
            }
            cause => cause,
        };
        let cause = match cause {
            // The capture has this byte: `around_urgent` took it out of the stream.
            GapCause::Truncated if len == 1 && self.urgent == Some(self.direction.expected()) => {
                GapCause::OutOfBand
            }
            cause => cause,
        };
        self.gap(Gap::new(offset, len, cause));
    }

    pub(super) fn gap(&mut self, gap: Gap) {
        let Gap { offset, len, .. } = gap;
        self.direction.next = offset + len;
        if self.direction.flags.has(F::FIN)
            && self.direction.offset(self.direction.fin) < self.direction.next.cast_signed()
        {
            // The receiver has more than that, or the sender sent more.
            self.refute_fin();
        }
        self.note(Letter::Gap);
        let index = self.ensure_backlog();
        if let Some(reassembly) = self.reassemblies.get(index) {
            reassembly.gap_bytes += len;
            reassembly.asked = false;
            reassembly.remember_gap(offset, offset + len);
        }
        self.statistics.gaps += 1;
        self.statistics.gap_bytes += len;
        self.handler.on_gap(&self.flow, self.side, gap);
    }

    pub(super) fn pop_pending(&mut self) -> Option<(u64, Held)> {
        if !self.direction.flags.has(F::PENDING) {
            return None;
        }
        self.reassembly_mut()?.pending.pop_first()
    }

    fn front_is_captured(&self) -> bool {
        self.reassembly().is_none_or(|reassembly| reassembly.pending.first_is_captured())
    }

    pub(super) fn enforce_limits(&mut self) {
        let config = self.config;
        while let Some(reassembly) = self.reassembly()
            && !reassembly.pending.is_empty()
            && (reassembly.waiting_bytes() > config.direction_bytes
                || reassembly.pending.len() > config.direction_segments)
        {
            self.give_way();
        }
    }
}
