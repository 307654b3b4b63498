//! The sequence space of a direction: what is known of it, and what changes it.

use super::{Direction, DirectionFlags, FAR_BEHIND, NONE, Scale};
use crate::history::Seen;
use crate::stream::ahead;

impl Direction {
    pub(crate) const NEW: Self = Self {
        next: 0,
        base: 0,
        acked: 0,
        edge: 0,
        fin: 0,
        reassembly: NONE,
        flags: DirectionFlags(0),
        scale: Scale::NEW,
        seen: Seen::NONE,
    };

    /// The sequence number of the next byte to be delivered.
    #[inline]
    pub(crate) const fn expected(&self) -> u32 {
        self.base.wrapping_add(self.next as u32)
    }

    /// The side's latest time stamp (`TS.Recent` of its peer, RFC 7323, section 4.3), or 0 if its
    /// SYN had none. It shares its storage with the FIN's sequence number, so it is known only
    /// until the side sends a FIN.
    #[inline(always)]
    pub(crate) const fn latest_timestamp(&self) -> u32 {
        if self.flags.has(DirectionFlags::FIN) { 0 } else { self.fin }
    }

    /// The same of a side that has sent no FIN, as on the fast path, without a look at the flag.
    #[inline(always)]
    pub(crate) const fn latest_timestamp_before_fin(&self) -> u32 {
        debug_assert!(!self.flags.has(DirectionFlags::FIN));
        self.fin
    }

    /// Sets the side's latest time stamp. 0 for none. Does nothing once the side has sent a FIN.
    #[inline(always)]
    pub(crate) const fn set_latest_timestamp(&mut self, timestamp: u32) {
        if !self.flags.has(DirectionFlags::FIN) {
            self.fin = timestamp;
        }
    }

    /// Sets the time stamp of the side's SYN.
    #[inline(always)]
    pub(crate) const fn set_first_timestamp(&mut self, timestamp: u32) {
        // 0 stands for none.
        self.set_latest_timestamp(if timestamp == 0 { 1 } else { timestamp });
    }

    /// Returns `true` if an acknowledgement covers only captured bytes. One at a distance that no
    /// window spans does not count: it may acknowledge bytes so far ahead that their numbers have
    /// wrapped around.
    #[inline(always)]
    pub(crate) const fn has_seen(&self, acknowledgement: u32) -> bool {
        type F = DirectionFlags;
        let distance = acknowledgement.wrapping_sub(self.expected()).cast_signed();
        self.flags.has(F::ANCHORED)
            && ((distance <= 0 && distance >= -FAR_BEHIND)
                || (distance == 1 && self.flags.has(F::FIN_REACHED)))
    }

    /// Returns `true` if the peer has acknowledged more than was captured. The last number of it
    /// may be that of a FIN, or of a byte that a keep-alive repeats.
    pub(super) fn owes(&self) -> bool {
        self.flags.has(DirectionFlags::ANCHORED)
            && self.flags.has(DirectionFlags::ACKED)
            && ahead(self.acked, self.expected())
    }

    /// Records an acknowledgement that covers only captured bytes. For any other it does nothing
    /// and returns `false`. The caller checks [`fin_is_due`](Self::fin_is_due) afterwards.
    #[inline(always)]
    pub(crate) const fn takes_acknowledgement(&mut self, acknowledgement: u32, edge: u32) -> bool {
        let has_seen = self.has_seen(acknowledgement);
        if has_seen {
            self.set_acknowledged(acknowledgement, edge);
        }
        has_seen
    }

    /// The same for an acknowledgement that is known to cover only captured bytes.
    #[inline(always)]
    pub(crate) const fn set_acknowledged(&mut self, acknowledgement: u32, edge: u32) {
        type F = DirectionFlags;
        let first = !self.flags.has(F::ACKED);
        if first || ahead(acknowledgement, self.acked) {
            self.acked = acknowledgement;
        }
        if first || ahead(edge, self.edge) {
            self.edge = edge;
        }
        self.flags.set(F::ACKED);
    }

    /// Returns `true` if the FIN was reached and acknowledged, but not yet reported to the handler.
    #[inline(always)]
    pub(crate) const fn fin_is_due(&self) -> bool {
        type F = DirectionFlags;
        self.flags.has(F::FIN_REACHED)
            && !self.flags.has(F::FIN_ACKED)
            && self.flags.has(F::ACKED)
            && self.acked == self.fin.wrapping_add(1)
    }

    /// Returns `true` if a sequence number is so far from the next expected byte that no window
    /// spans it (RFC 7323, section 2.3).
    #[inline(always)]
    pub(crate) const fn strays(&self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.expected()).cast_signed().unsigned_abs() > 1 << 30
    }

    /// Returns `true` if a FIN with this sequence number is the next expected one.
    #[inline(always)]
    pub(crate) const fn can_end_at(&self, sequence: u32) -> bool {
        type F = DirectionFlags;
        self.flags.has(F::ANCHORED)
            && !self.flags.has(F::FIN.or(F::PENDING).or(F::EARLY))
            && sequence == self.expected()
            // The peer has acknowledged more than that, so this FIN does not end the stream.
            && !(self.flags.has(F::ACKED) && ahead(self.acked, sequence.wrapping_add(1)))
    }

    /// Records a FIN if it is the next expected one. Otherwise it does nothing and returns `false`.
    #[inline(always)]
    pub(crate) const fn takes_fin(&mut self, sequence: u32) -> bool {
        let can_end = self.can_end_at(sequence);
        if can_end {
            self.end_at(sequence);
        }
        can_end
    }

    /// Records a FIN that is known to be the next expected one.
    #[inline(always)]
    pub(crate) const fn end_at(&mut self, sequence: u32) {
        self.fin = sequence;
        self.flags.set(DirectionFlags::FIN.or(DirectionFlags::FIN_REACHED));
    }

    /// Returns `true` if the whole stream was delivered, the FIN was acknowledged, and nothing is
    /// pending.
    pub(crate) const fn is_complete(&self) -> bool {
        type F = DirectionFlags;
        self.flags.has(F::FIN_ACKED)
            && !self.flags.has(F::PENDING.or(F::HOLD).or(F::QUARANTINE).or(F::EARLY))
    }

    /// Returns `true` if only the start of the stream is known, and none of its bytes was captured,
    /// except for what is in quarantine.
    pub(crate) const fn has_placed_nothing(&self) -> bool {
        type F = DirectionFlags;
        self.next == 0 && !self.flags.has(F::PENDING.or(F::FIN).or(F::EARLY))
    }

    /// The same, but ignores the held payload of a SYN.
    pub(crate) const fn has_brought_nothing_but_early(&self) -> bool {
        type F = DirectionFlags;
        self.next == 0
            && !self.flags.has(F::FIN.or(F::QUARANTINE))
            && (self.flags.has(F::EARLY) || !self.flags.has(F::PENDING))
    }

    /// Returns `true` if the stream has its beginning, and nothing but its next bytes is awaited.
    pub(crate) const fn is_undisturbed(&self) -> bool {
        type F = DirectionFlags;
        let amiss = F::GRACE.or(F::HOLD).or(F::PENDING).or(F::FIN).or(F::QUARANTINE).or(F::EARLY);
        self.flags.has(F::ANCHORED) && !self.flags.has(amiss)
    }

    /// The number of handed-out bytes that an acknowledgement covers.
    pub(crate) fn known(&self, acknowledgement: u32) -> u64 {
        let offset = self.offset(acknowledgement).max(0).cast_unsigned();
        if self.flags.has(DirectionFlags::ANCHORED) { offset.min(self.next) } else { 0 }
    }

    /// Resets the sequence space.
    pub(crate) const fn forget(&mut self) {
        *self = Self { reassembly: self.reassembly, seen: self.seen, ..Self::NEW };
    }

    /// Sets the sequence number of stream offset 0 in a direction of which nothing was known.
    #[inline(always)]
    pub(crate) const fn begin_at(&mut self, base: u32) {
        self.base = base;
        self.next = 0;
        self.flags.clear(DirectionFlags::HINT);
        self.flags.set(DirectionFlags::ANCHORED);
    }

    /// Records the sequence number of a segment without payload, in a direction of which nothing
    /// else is known.
    #[inline(always)]
    pub(crate) const fn hint(&mut self, sequence: u32) {
        if !self.flags.has(DirectionFlags::ANCHORED.or(DirectionFlags::HOLD)) {
            self.base = sequence;
            self.flags.set(DirectionFlags::HINT);
        }
    }

    /// The stream offset of a sequence number, which is assumed to be within 2³¹ of the next byte.
    #[inline]
    pub(crate) const fn offset(&self, sequence: u32) -> i64 {
        let distance = sequence.wrapping_sub(self.expected()).cast_signed();
        // Offsets stay far below 2⁶³: a stream of a terabit per second takes two years to get
        // there.
        self.next.cast_signed().wrapping_add(distance as i64)
    }
}
