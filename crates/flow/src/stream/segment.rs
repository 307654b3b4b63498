//! Segments, each put in its place.

use super::{Payload, Stream};
use crate::backlog::Suspect;
use crate::history::Letter;
use crate::pending::Arrival;
use crate::slot::DirectionFlags as F;
use crate::{Conflict, Data, FlowHandler, Gap, GapCause, Timestamp};

impl<K, H: FlowHandler<K>> Stream<'_, K, H> {
    /// Puts a segment of an anchored stream in its place.
    pub(super) fn place(&mut self, mut start: i64, mut payload: Payload<'_>) {
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
            self.deliver(payload.bytes, payload.timestamp, payload.number, payload.awaits);
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
    pub(super) fn old(&mut self, start: i64, end: i64, payload: &Payload<'_>) {
        let captured = end.min(start + payload.bytes.len() as i64);
        let (timestamp, packet_number) = (Timestamp::from_nanos(payload.timestamp), payload.number);
        let mut late = 0;
        // The byte before the beginning is a keep-alive's; before a SYN there is nothing.
        let keep_alive = start == -1 && end == 0;
        if start < 0 && captured > start && !keep_alive && !self.direction.flags.has(F::SYN) {
            let bytes = &payload.bytes[..(captured.min(0) - start) as usize];
            let offset = start.cast_unsigned();
            let data = Data { bytes, offset, timestamp, packet_number, awaits: 0 };
            self.handler.on_late(&self.flow, self.side, data);
            late += bytes.len() as u64;
        }
        let captured = captured.max(0).cast_unsigned();
        let mut at = start.max(0).cast_unsigned();
        let flow = &self.flow;
        let piece = |from: u64, to: u64| {
            let skip = from.wrapping_sub(start.cast_unsigned()) as usize;
            let bytes = &payload.bytes[skip..skip + (to - from) as usize];
            Data { bytes, offset: from, timestamp, packet_number, awaits: 0 }
        };
        if let Some(backlog) = self.backlogs.get(self.direction.backlog) {
            backlog.take_late(at, captured, |from, to| {
                if at < from {
                    self.handler.on_repeat(flow, self.side, piece(at, from));
                }
                self.handler.on_late(flow, self.side, piece(from, to));
                late += to - from;
                at = to;
            });
        }
        if at < captured {
            self.handler.on_repeat(flow, self.side, piece(at, captured));
        }
        self.statistics.late_bytes += late;
        if late == 0 {
            self.retransmitted();
        }
    }

    pub(super) fn deliver(
        &mut self,
        bytes: &[u8],
        timestamp: u64,
        packet_number: u64,
        awaits: u64,
    ) {
        if !bytes.is_empty() {
            let offset = self.direction.next;
            self.direction.next += bytes.len() as u64;
            self.statistics.delivered_bytes += bytes.len() as u64;
            let timestamp = Timestamp::from_nanos(timestamp);
            let data = Data { bytes, offset, timestamp, packet_number, awaits };
            self.handler.on_data(&self.flow, self.side, data);
        }
    }

    /// Holds a segment until its turn comes.
    pub(super) fn keep(&mut self, start: u64, bytes: &[u8], payload: Payload<'_>) {
        let index = self.ensure_backlog();
        let Some(backlog) = self.backlogs.get(index) else { return };
        if backlog.pending.is_empty() {
            backlog.since = self.now;
            *self.wake = (*self.wake).min(self.now.saturating_add(self.config.hole_timeout));
        }
        let wire_len = u64::from(payload.wire_len);
        let Payload { timestamp, number, awaits, .. } = payload;
        let arrival = Arrival { start, bytes, wire_len, timestamp, number, awaits };
        backlog.pending.insert(arrival, self.policy, |offset, kept, discarded| {
            self.statistics.conflicts += 1;
            let conflict = Conflict {
                offset,
                kept: kept.0,
                discarded: discarded.0,
                kept_packet_number: kept.1,
                discarded_packet_number: discarded.1,
                timestamp: Timestamp::from_nanos(timestamp),
                packet_number: number,
            };
            self.handler.on_conflict(&self.flow, self.side, conflict);
        });
        self.direction.flags.set(F::PENDING);
        self.backlogs.account(index);
    }

    /// Delivers what is no longer behind a hole.
    pub(super) fn drain(&mut self) {
        if !self.direction.flags.has(F::PENDING) {
            return;
        }
        let mut moved = false;
        while self.first_pending() == Some(self.direction.next) {
            let popped = self.backlog_mut().and_then(|backlog| backlog.pending.pop_first());
            let Some((_, held)) = popped else { break };
            moved = true;
            match held.bytes() {
                Some(bytes) => self.deliver(bytes, held.timestamp, held.number, held.awaits),
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

    pub(super) fn gap_up_to(&mut self, end: u64, cause: GapCause) {
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
        let cause = match cause {
            GapCause::Truncated if len == 1 && self.urgent == Some(self.direction.expected()) => {
                GapCause::OutOfBand
            }
            cause => cause,
        };
        self.direction.next = end;
        self.note(Letter::Gap);
        let index = self.ensure_backlog();
        if let Some(backlog) = self.backlogs.get(index) {
            backlog.gap_bytes += len;
            backlog.remember_gap(offset, end);
        }
        self.statistics.gaps += 1;
        self.statistics.gap_bytes += len;
        self.handler.on_gap(&self.flow, self.side, Gap { offset, len, cause });
    }

    pub(super) fn enforce_limits(&mut self) {
        let config = self.config;
        while let Some(backlog) = self.backlog()
            && !backlog.pending.is_empty()
            && (backlog.pending.bytes() > config.direction_bytes
                || backlog.pending.len() > config.direction_segments)
        {
            self.give_way();
        }
    }
}
