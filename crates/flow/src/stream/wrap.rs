//! Outages after which sequence numbers, which count modulo 2³², leave open how much is missing.
//!
//! On a fast link that takes less than a minute (RFC 7323, section 5.2 names the time: 34 s at 1
//! Gbit/s). The stream may go on anywhere in the sequence space then, also right behind the place
//! where it was, among numbers that look like those of retransmissions. Taken for these, what comes
//! would be discarded up to the place where the numbers meet the old ones, and 4 GiB would be
//! joined without a word.

use super::Stream;
use super::window::SLACK;
use crate::slot::{Direction, DirectionFlags as F};
use crate::{FlowHandler, Gap, GapCause};

/// Bytes, beyond those that sequence numbers show, that make the length of an outage ambiguous.
const AMBIGUOUS: u64 = 1 << 31;
/// The maximum distance of a retransmission before what the peer has acknowledged: the two crossed
/// in flight.
const CROSSED: i64 = 1 << 20;
/// The maximum distance of segments that were reordered in flight.
const FAR: i64 = 1 << 24;
/// For how long a large loss of the source is looked at. Nanoseconds.
const RECENT: u64 = 1_000_000_000;
/// No link takes a stream around the sequence space in less: 170 Gbit/s. Nanoseconds.
const SHORTEST: u64 = 100_000_000;
/// The maximum distance from the next byte at which no sequence number strays.
const NEAR: u32 = 1 << 20;

const _: () = assert!(NEAR as i64 <= CROSSED && NEAR as i64 <= SLACK);

/// `false` if a sequence number is so near to the next one that it cannot
/// [stray](Stream::is_stray).
#[inline(always)]
pub(crate) const fn may_stray(direction: &Direction, sequence: u32) -> bool {
    direction.flags.has(F::ANCHORED)
        && sequence.wrapping_sub(direction.expected()).cast_signed().unsigned_abs() > NEAR
}

impl<K, H: FlowHandler<K>> Stream<'_, K, H> {
    /// `true` if a sequence number does not fit the stream, as far as the capture shows.
    pub(crate) fn is_stray(&self, sequence: u32) -> bool {
        may_stray(self.direction, sequence)
            && (self.is_implausible(self.direction.offset(sequence)) || self.is_wrapped(sequence))
    }

    /// `true` if a sequence number lies behind what the peer has acknowledged, after a silence in
    /// which the stream may have gone all around the sequence space.
    pub(super) fn is_wrapped(&self, sequence: u32) -> bool {
        let behind = self.behind(sequence);
        if behind <= CROSSED {
            return false;
        }
        let quarantine = self.reassembly().and_then(|reassembly| reassembly.quarantine.as_ref());
        let silence = quarantine.and_then(|quarantine| quarantine.silence_before(sequence));
        let (from, to) = silence.unwrap_or((self.previous, None));
        self.is_ambiguous(behind, from, to.unwrap_or(self.now))
    }

    /// The same, for a silence that is known.
    pub(super) fn has_wrapped(&self, sequence: u32, from: u64, to: u64) -> bool {
        let behind = self.behind(sequence);
        behind > CROSSED && self.is_ambiguous(behind, from, to)
    }

    /// The distance behind what the peer has acknowledged, or if that is not known, behind what was
    /// captured.
    fn behind(&self, sequence: u32) -> i64 {
        let direction = &self.direction;
        if !direction.flags.has(F::ANCHORED) {
            return 0;
        }
        let next = direction.next.cast_signed();
        let acknowledged = direction.offset(direction.acked).min(next);
        let settled = if direction.flags.has(F::ACKED) { acknowledged } else { next };
        settled - direction.offset(sequence)
    }

    /// `true` if the bytes missed between two moments may be too many for sequence numbers to
    /// count.
    fn is_ambiguous(&self, behind: i64, from: u64, to: u64) -> bool {
        let silent = to.saturating_sub(from) >= SHORTEST;
        if silent && self.expected_by_rate(from, to) >= AMBIGUOUS {
            return true;
        }
        // The first packet after the silence may be an acknowledgement, which shows nothing. What
        // the queues of an overloaded host have put into another order is not so far behind.
        let from = if behind > FAR { from.min(to.saturating_sub(RECENT)) } else { from };
        (silent || behind > FAR) && self.drops.bytes_between(from, to, self.longest) >= AMBIGUOUS
    }

    /// Declares everything before a sequence number missing, however far ahead that is. The capture
    /// missed it between two moments.
    pub(super) fn skip_to(
        &mut self,
        sequence: u32,
        silence: (u64, u64),
        wrapped: bool,
        cause: GapCause,
    ) {
        let (mut len, mut estimated) = self.distance_to(sequence, silence, wrapped);
        let end = self.direction.next.saturating_add(len);
        if self.first_pending().is_some_and(|first| first < end) {
            // It lies inside the stretch that is skipped, before a turn of the sequence space.
            self.give_up_before(end, cause);
            (len, estimated) = self.distance_to(sequence, silence, wrapped);
        }
        if len > 0 {
            self.gap(Gap { estimated, ..Gap::new(self.direction.next, len, cause) });
        }
    }

    /// The length of what is missing before a sequence number, and whether it is a guess.
    fn distance_to(&self, sequence: u32, silence: (u64, u64), wrapped: bool) -> (u64, bool) {
        let start = self.direction.offset(sequence);
        if wrapped || self.is_implausible(start) {
            let least = u64::from(sequence.wrapping_sub(self.direction.expected()));
            self.outage(least, silence)
        } else {
            // Holes that were given up meanwhile have brought the stream within reach of it.
            ((start - self.direction.next.cast_signed()).max(0).cast_unsigned(), false)
        }
    }

    /// The length of an outage, at least `least` as sequence numbers show, and whether it is a
    /// guess.
    ///
    /// The packets that the source has lost meanwhile bound the length. If the lost packets were
    /// like the others, they also show the likeliest one. If the source does not know, or has lost
    /// fewer, the packets took another way or were lost before they came to the source.
    /// For a source that does not count, the flow's rate before the outage tells how much is to be
    /// expected.
    fn outage(&self, least: u64, (from, to): (u64, u64)) -> (u64, bool) {
        let by_rate = self.expected_by_rate(from, to);
        let lost = self.drops.bytes_between(from, to, self.longest);
        let (expected, most) = if self.drops.is_unknown() {
            (by_rate, u64::MAX)
        } else if lost < least {
            return (least, by_rate.max(least) >= AMBIGUOUS);
        } else {
            (self.expected_by_drops(from, to).unwrap_or(by_rate), lost)
        };
        let around = |len: u64| (len.saturating_sub(least) + AMBIGUOUS) >> 32;
        let most = (most - least) >> 32;
        let wraps = around(expected).min(most);
        let is_known = most == 0 || (self.drops.is_unknown() && expected.max(least) < AMBIGUOUS);
        (least + (wraps << 32), !is_known)
    }

    /// Bytes that the stream brings between two moments if it goes on as before.
    fn expected_by_rate(&self, from: u64, to: u64) -> u64 {
        let active = from.saturating_sub(self.flow.started.as_nanos());
        share(self.direction.next, to.saturating_sub(from), active)
    }

    /// Bytes of the stream in the packets that the source has lost, if its share in them is that in
    /// all packets since the flow began.
    fn expected_by_drops(&self, from: u64, to: u64) -> Option<u64> {
        let gaps = self.reassembly().map_or(0, |reassembly| reassembly.gap_bytes);
        let begun = self.drops.taken_at(self.flow.started.as_nanos());
        let taken = self.statistics.packets.checked_sub(begun).filter(|taken| *taken > 0)?;
        let lost = self.drops.between(from, to);
        Some(share(self.direction.next.saturating_sub(gaps), lost, taken))
    }
}

/// `amount * part / whole` within what a stream can have; 0 if the whole is 0.
fn share(amount: u64, part: u64, whole: u64) -> u64 {
    let share = u128::from(amount) * u128::from(part) / u128::from(whole.max(1));
    if whole == 0 { 0 } else { u64::try_from(share).unwrap_or(u64::MAX).min(1 << 50) }
}
