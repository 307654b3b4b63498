//! The beginning of a stream that is picked up midway.

use super::{Payload, Stream, ahead};
use crate::quarantine::is_hasty;
use crate::reassembly::Reassembly;
use crate::slot::DirectionFlags as F;
use crate::{Conflict, Data, FlowHandler, Timestamp, UnplacedCause};

/// While segments are held back, the first of them is this far into the sequence space.
const HOLD_START: u64 = 1 << 30;
/// The maximum distance of a segment from the first of a held stream.
const HOLD_REACH: i64 = 1 << 24;
/// The maximum distance of a first captured segment from the handshake that it confirms. The
/// segments between them may be lost.
pub(crate) const FIRST_FLIGHT: u32 = 1 << 20;
/// Nanoseconds for a byte at the beginning of a stream: its window grows only with each round trip
/// (RFC 5681, section 3.1).
const NANOS_A_BYTE: u64 = 1;

/// `true` if an acknowledgement is before the beginning of a stream, or farther behind it than a
/// sender comes in this number of nanoseconds.
pub(crate) fn is_beyond_first_flight(base: u32, acknowledgement: u32, elapsed: u64) -> bool {
    ahead(base, acknowledgement)
        || u64::from(acknowledgement.wrapping_sub(base))
            > u64::from(FIRST_FLIGHT) + elapsed / NANOS_A_BYTE
}

impl<K, H: FlowHandler<K>> Stream<'_, K, H> {
    /// `true` if something other than the segment itself shows that the stream goes on at this
    /// sequence number.
    pub(super) fn starts_at(&self, sequence: u32) -> bool {
        let direction = &self.direction;
        (direction.flags.has(F::ACKED) && direction.acked == sequence)
            || (direction.flags.has(F::HINT) && direction.base == sequence)
            || self.reassembly().is_some_and(|reassembly| reassembly.beginning == Some(sequence))
    }

    /// Takes the first payload of a direction without a SYN. Returns `false` if it is no new data.
    pub(super) fn begin(&mut self, payload: &Payload<'_>) -> bool {
        let end = payload.sequence.wrapping_add(payload.wire_len);
        if payload.wire_len == 1 && !payload.pushed && self.starts_at(end) {
            // A keep-alive: one byte before what comes next. One that is pushed was overtaken by
            // its acknowledgement.
            return false;
        }
        self.begin_with(payload.sequence);
        true
    }

    /// Begins the stream with a first segment at this sequence number.
    pub(super) fn begin_with(&mut self, sequence: u32) {
        let at_once = self.config.pickup_packets == 0;
        match self.beginning_before(sequence) {
            // Farther than segments are out of order: whether it is of this stream, evidence shows.
            Some(beginning) if at_once || sequence.wrapping_sub(beginning) > HOLD_START as u32 => {
                self.anchor(beginning);
            }
            None if at_once || self.starts_at(sequence) => self.anchor(sequence),
            // Segments may be out of order where the capture begins: one that comes before this one
            // must still find its place.
            _ => self.begin_hold(sequence),
        }
    }

    /// Records the acknowledgement in the first segment that the peer sent after its SYN. The
    /// SYN-ACK was not captured; the first byte of the stream is not behind that number.
    pub(crate) fn note_beginning(&mut self, acknowledgement: u32) {
        if self.direction.flags.has(F::ANCHORED.or(F::HOLD).or(F::ACKED).or(F::HINT)) {
            return;
        }
        self.note_other_beginning(acknowledgement);
    }

    /// Records the same of a peer that acknowledges another SYN-ACK than the one that was captured.
    pub(crate) fn note_other_beginning(&mut self, acknowledgement: u32) {
        let index = self.ensure_backlog();
        if let Some(reassembly) = self.reassemblies.get(index) {
            reassembly.beginning.get_or_insert(acknowledgement);
        }
    }

    /// `true` if the peer's first acknowledgement behind its SYN, which was seen this number of
    /// nanoseconds ago, is of a stream that begins elsewhere.
    pub(super) fn begins_elsewhere(&self, base: u32, elapsed: u64) -> bool {
        let beginning = self.reassembly().and_then(|reassembly| reassembly.beginning);
        beginning.is_some_and(|beginning| is_beyond_first_flight(base, beginning, elapsed))
    }

    /// The sequence number at which the stream has begun, if that is known to be before another.
    fn beginning_before(&self, sequence: u32) -> Option<u32> {
        self.reassembly()?.beginning.filter(|&beginning| ahead(sequence, beginning))
    }

    pub(super) fn begin_hold(&mut self, sequence: u32) {
        self.direction.base = sequence.wrapping_sub(HOLD_START as u32);
        self.direction.next = HOLD_START;
        self.direction.flags.clear(F::HINT);
        self.direction.flags.set(F::HOLD);
        self.start_grace(0, self.config.pickup_packets, self.config.pickup_time);
    }

    pub(super) fn hold(&mut self, start: i64, payload: Payload<'_>) {
        if self.is_before_acknowledged(&payload) {
            // The receiver has what a keep-alive repeats: no stream begins with its garbage.
            self.keep_alive(&payload);
            return;
        }
        let Some(start) = u64::try_from(start)
            .ok()
            .filter(|start| start.abs_diff(HOLD_START) <= HOLD_REACH as u64)
        else {
            // Too far from the first one to be a matter of order: what it means is decided once the
            // stream has begun.
            self.end_hold_at_first();
            self.payload(payload);
            return;
        };
        self.keep(start, payload.bytes, payload);
        self.enforce_limits();
    }

    pub(super) fn end_hold_at_first(&mut self) {
        let fin = self.direction.offset(self.direction.fin);
        let start = match self.first_pending() {
            Some(first) => first,
            None if self.direction.flags.has(F::FIN) => fin.max(0).cast_unsigned(),
            None => HOLD_START,
        };
        // What lies between the beginning and the first captured byte is missing.
        let first = self.direction.base.wrapping_add(start as u32);
        let missing =
            self.beginning_before(first).map_or(0, |at| u64::from(first.wrapping_sub(at)));
        self.end_hold(start.checked_sub(missing).unwrap_or(start));
    }

    /// Begins the stream with what was held back, at this offset of the provisional count.
    pub(super) fn end_hold(&mut self, start: u64) {
        self.direction.flags.clear(F::HOLD.or(F::GRACE));
        self.direction.base = self.direction.base.wrapping_add(start as u32);
        self.direction.next = 0;
        self.direction.flags.set(F::ANCHORED);
        let acked = self.direction.acked.wrapping_sub(self.direction.base);
        let elapsed = self.now.saturating_sub(self.flow.started.as_nanos());
        if self.direction.flags.has(F::ACKED)
            && acked.cast_signed() > 0
            && (is_hasty(acked, elapsed) || acked > HOLD_START as u32)
        {
            // No window spans that: it is of another sequence space, or forged. What the peer
            // acknowledges next decides.
            self.direction.flags.clear(F::ACKED);
        }
        let now = self.now;
        if let Some(reassembly) = self.reassembly_mut() {
            reassembly.grace = None;
            reassembly.since = now;
        }
        let mut before = Vec::new();
        if let Some(reassembly) = self.reassembly_mut() {
            while let Some(held) = reassembly.pending.pop_before(start) {
                before.push(held);
            }
            reassembly.pending.shift(start);
            if reassembly.pending.is_empty() {
                self.direction.flags.clear(F::PENDING);
            }
        }
        self.report_conflicts(start);
        self.reassemblies.account(self.direction.reassembly);
        for (at, held) in before {
            // What was held back from before the beginning is another connection's.
            if let Some(bytes) = held.bytes() {
                let sequence = self.direction.base.wrapping_sub((start - at) as u32);
                let cause = UnplacedCause::OtherSequenceSpace;
                self.unplaced(bytes, sequence, held.timestamp, held.number, cause);
            }
        }
        if self.direction.flags.has(F::FIN) && self.direction.offset(self.direction.fin) < 0 {
            self.direction.flags.clear(F::FIN);
            // It is no time stamp, which lies there without a FIN.
            self.direction.fin = 0;
        }
        self.drain();
        self.reach_fin();
        self.begin_grace();
        self.release_idle_backlog();
    }

    /// Reports the conflicts and repetitions among segments that were held back, now that the
    /// stream has begun at this offset of the provisional count.
    fn report_conflicts(&mut self, start: u64) {
        let conflicts = self.reassembly_mut().map(Reassembly::take_conflicts).unwrap_or_default();
        for early in conflicts {
            let Some(kept) = early.kept else {
                let data = Data {
                    bytes: &early.discarded,
                    offset: early.offset.wrapping_sub(start),
                    timestamp: Timestamp::from_nanos(early.discarded_timestamp),
                    packet_number: early.discarded_packet_number,
                    depends_on: 0,
                };
                self.handler.on_repeat(&self.flow, self.side, data);
                continue;
            };
            let conflict = Conflict {
                offset: early.offset.wrapping_sub(start),
                kept: &kept,
                discarded: &early.discarded,
                kept_packet_number: early.kept_packet_number,
                discarded_packet_number: early.discarded_packet_number,
                timestamp: Timestamp::from_nanos(early.timestamp),
                packet_number: early.packet_number,
            };
            self.handler.on_conflict(&self.flow, self.side, conflict);
        }
    }
}
