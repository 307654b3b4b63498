//! Segments that do not fit the stream: put into quarantine, and placed or rejected when the
//! evidence is there.

use super::{Payload, Stream, ahead};
use crate::quarantine::{GROUPS, Group, Parked, Quarantine, is_near};
use crate::slot::DirectionFlags as F;
use crate::{FlowHandler, GapCause, Timestamp, Unplaced, UnplacedCause};

/// The largest window (RFC 7323, section 2.3).
const REACH: i64 = 1 << 30;
/// The maximum distance of a segment back from the next expected byte. No host has windows of more
/// than half the largest one, so what lies further back is no retransmission, but far ahead.
const BACK: i64 = 1 << 29;
/// The distance before its SYN within which a stream's numbers are taken for old ones.
const BEFORE_SYN: i64 = 1 << 24;

impl<K, H: FlowHandler<K>> Stream<'_, K, H> {
    /// `true` if a sequence number at this offset cannot be true as far as the capture shows.
    pub(super) fn is_implausible(&self, start: i64) -> bool {
        start > self.limit()
            || start < self.direction.next.cast_signed() - BACK
            || (self.direction.flags.has(F::SYN) && start < -BEFORE_SYN)
    }

    /// Puts a segment into quarantine. It counts as evidence itself: several in a row are a stream.
    pub(crate) fn park(&mut self, payload: Payload<'_>, fin: bool) {
        let (now, quiet_since, limit) = (self.now, self.previous, self.config.quarantine_bytes);
        let answered = self.direction.flags.has(F::ACKED);
        let missing = payload.sequence.wrapping_sub(self.direction.expected());
        let parked = self.parked(&payload, fin);
        let Some(quarantine) = self.quarantine() else { return };
        if quarantine.is_of_other_space(parked.sequence, parked.end()) {
            self.reject(parked, UnplacedCause::OtherSequenceSpace);
            return;
        }
        if fin
            && let Some(held) =
                quarantine.groups.iter_mut().find_map(|group| group.segments.back_mut())
            && held.number == parked.number
            && held.end() == parked.sequence
        {
            held.fin = true;
            return;
        }
        let (index, evicted) = quarantine.add(parked, now, quiet_since, answered, missing);
        let continues = quarantine.groups[index].continues() || quarantine.is_row();
        let mut out = Vec::new();
        while quarantine.bytes() > limit
            && let Some(parked) = quarantine.evict()
        {
            out.push(parked);
        }
        let since = quarantine.since();
        self.direction.flags.set(F::QUARANTINE);
        self.reassemblies.account_quarantine(self.direction.reassembly);
        if let Some(since) = since {
            *self.wake = (*self.wake).min(since.saturating_add(self.config.hole_timeout));
        }
        if let Some(group) = evicted {
            self.reject_all(group, UnplacedCause::Limit);
        }
        if !out.is_empty() {
            out.into_iter().for_each(|parked| self.reject(parked, UnplacedCause::Limit));
        } else if continues && self.can_resume() {
            self.resume(index);
        }
    }

    fn parked(&self, payload: &Payload<'_>, fin: bool) -> Parked {
        Parked {
            sequence: payload.sequence,
            bytes: payload.bytes.into(),
            wire_len: payload.wire_len,
            pushed: payload.pushed,
            fin,
            acknowledgement: payload.acknowledgement,
            packet_len: payload.packet_len,
            ip_len: payload.ip_len,
            timestamp: payload.timestamp,
            number: payload.number,
            depends_on: payload.depends_on,
        }
    }

    pub(super) fn quarantine(&mut self) -> Option<&mut Quarantine> {
        let index = self.ensure_backlog();
        let reassembly = self.reassemblies.get(index)?;
        Some(reassembly.quarantine.get_or_insert_default())
    }

    fn known_quarantine(&mut self) -> Option<&mut Quarantine> {
        if !self.direction.flags.has(F::QUARANTINE) {
            return None;
        }
        self.reassembly_mut()?.quarantine.as_deref_mut()
    }

    /// An acknowledgement by the peer of something that does not fit the stream.
    pub(super) fn claimed(&mut self, acknowledgement: u32) {
        if !self.can_resume() {
            return;
        }
        let (expected, silence) = (self.direction.expected(), (self.previous, self.now));
        self.direction.flags.set(F::QUARANTINE);
        let Some(quarantine) = self.quarantine() else { return };
        if let Some(index) = quarantine.acknowledged(acknowledgement) {
            if quarantine.groups[index].continues() {
                self.resume(index);
            }
            return;
        }
        quarantine.claim(acknowledgement, expected, silence);
        if let Some((end, quiet_since)) = quarantine.claimed(expected) {
            // Of this side nothing was captured any more, but the other side shows that it went on.
            self.leave_old_place();
            self.place_inside(end, GapCause::Acknowledged);
            // A placed segment may wait, for a full copy or behind a FIN.
            while self.give_up_hole(u64::MAX, GapCause::Acknowledged) {}
            let silence = (quiet_since, self.now);
            let wrapped = self.has_wrapped(end, silence.0, silence.1);
            self.skip_to(end, silence, wrapped, GapCause::Acknowledged);
            self.acknowledged_behind_outage(end);
        }
    }

    /// `true` if an acknowledgement lies among segments in quarantine, and tells of them then.
    pub(super) fn bears_out(&mut self, acknowledgement: u32) -> bool {
        let of_fin = self.direction.flags.has(F::FIN_ACKED)
            && acknowledgement == self.direction.fin.wrapping_add(1);
        if of_fin {
            // It says no more than that the FIN arrived.
            return false;
        }
        let Some(quarantine) = self.known_quarantine() else { return false };
        let Some(index) = quarantine.acknowledged(acknowledgement) else {
            return false;
        };
        if quarantine.groups[index].continues() && self.can_resume() {
            self.resume(index);
        }
        true
    }

    /// `true` if an acknowledgement is of another sequence space that is known, nowhere near the
    /// stream.
    pub(super) fn is_elsewhere(&self, acknowledgement: u32) -> bool {
        let quarantine = self.reassembly().and_then(|reassembly| reassembly.quarantine.as_ref());
        quarantine.is_some_and(|quarantine| {
            let near = is_near(self.direction.expected(), acknowledgement);
            let expected = self.direction.expected();
            quarantine.knows(acknowledgement)
                && (!near || quarantine.has(acknowledgement, expected))
        })
    }

    /// The reason why bytes from before the SYN have no place.
    pub(super) fn cause_before_syn(&self, sequence: u32) -> UnplacedCause {
        let quarantine = self.reassembly().and_then(|reassembly| reassembly.quarantine.as_ref());
        if quarantine.is_some_and(|quarantine| quarantine.knows(sequence)) {
            UnplacedCause::OtherSequenceSpace
        } else {
            UnplacedCause::OutOfWindow
        }
    }

    /// `true` if another sequence space is known to go on at a sequence number ahead of the next
    /// byte. The two may be so near each other that a hole before it would be plausible.
    pub(super) fn continues_elsewhere(&self, sequence: u32) -> bool {
        let quarantine = self.reassembly().and_then(|reassembly| reassembly.quarantine.as_ref());
        let expected = self.direction.expected();
        quarantine.is_some_and(|quarantine| quarantine.has(sequence, expected))
    }

    /// The peer acknowledged the old place.
    pub(super) fn acknowledged_old(&mut self) {
        if let Some(quarantine) = self.known_quarantine() {
            quarantine.acknowledged_old();
            self.settle_quarantine();
        }
    }

    /// The stream went on in its old place, with the packet of this number. It `waits` at a
    /// sequence number if there is a hole before it.
    pub(super) fn progressed(&mut self, number: u64, waits: Option<u32>) {
        let Some(quarantine) = self.known_quarantine() else { return };
        let proven = quarantine.progress(number, waits);
        // What came far ahead may be within reach now. What a SYN announced belongs to that SYN,
        // and to the stream only if the stream comes to it.
        let mut groups = std::mem::take(&mut quarantine.groups);
        if let Some(group) = proven {
            self.reject_all(group, UnplacedCause::OtherSequenceSpace);
        }
        let reached = |stream: &Self, group: &Group| {
            let first = stream.direction.offset(group.first());
            let next = stream.direction.next.cast_signed();
            !stream.is_implausible(first) && (!group.announced || first <= next)
        };
        let mut plausible = Vec::new();
        while let Some(at) = groups.iter().position(|group| reached(self, group)) {
            plausible.push(groups.remove(at));
        }
        if let Some(quarantine) = self.known_quarantine() {
            quarantine.groups = groups;
        }
        self.settle_quarantine();
        for group in plausible {
            self.replay(group);
        }
    }

    /// `true` if a stretch can be missing: the stream has begun, and has not ended.
    fn can_resume(&self) -> bool {
        self.direction.flags.has(F::ANCHORED) && !self.direction.flags.has(F::FIN_ACKED)
    }

    /// The capture missed a stretch of the stream, which goes on with a group's segments.
    fn resume(&mut self, index: usize) {
        let expected = self.direction.expected();
        let Some(quarantine) = self.known_quarantine() else { return };
        let group = quarantine.groups.remove(index);
        quarantine.settle_claim(&group, expected);
        self.settle_quarantine();
        self.leave_old_place();
        let cause =
            if group.acknowledged.is_some() { GapCause::Acknowledged } else { GapCause::Outage };
        self.place_inside(group.first(), cause);
        while self.give_up_hole(u64::MAX, cause) {}
        self.skip_to_group(&group, cause);
        let passed = self.direction.expected();
        if let Some(quarantine) = self.known_quarantine() {
            quarantine.pass(expected, passed);
        }
        if let Some(acknowledged) = group.acknowledged {
            self.acknowledged_behind_outage(acknowledged);
        } else {
            // What the peer has said was about the old place.
            self.direction.flags.clear(F::ACKED);
        }
        self.replay(group);
        self.begin_grace();
    }

    /// Places the groups in quarantine that begin before a sequence number at which the stream goes
    /// on, unless something contradicts them. What was not captured between them is missing.
    pub(super) fn place_inside(&mut self, end: u32, cause: GapCause) {
        let inside = |group: &Group, expected: u32| {
            group.first().wrapping_sub(expected) < end.wrapping_sub(expected)
                && group.continues_at_last()
        };
        // A group that ends in a FIN may bring back others.
        for _ in 0..2 * GROUPS {
            let expected = self.direction.expected();
            if !self.can_resume() {
                return;
            }
            let Some(quarantine) = self.known_quarantine() else { return };
            let groups = quarantine.groups.iter().enumerate();
            let nearest = groups
                .filter(|(_, group)| inside(group, expected))
                .min_by_key(|(_, group)| group.first().wrapping_sub(expected));
            let Some((index, _)) = nearest else { return };
            let mut group = quarantine.groups.remove(index);
            self.settle_quarantine();
            self.skip_to_group(&group, cause);
            let first = self.direction.expected();
            let segments = group.segments.make_contiguous();
            segments.sort_by_key(|parked| parked.sequence.wrapping_sub(first));
            for parked in group.segments {
                let hole = parked.sequence.wrapping_sub(self.direction.expected());
                let room = end.wrapping_sub(self.direction.expected());
                if hole.cast_signed() > 0 && hole < room {
                    let start = self.direction.next + u64::from(hole);
                    self.give_up_before(start, cause);
                    self.gap_up_to(start, cause);
                }
                self.replay_segment(&parked);
            }
        }
    }

    /// Gives up the holes before pending bytes that lie before an offset.
    pub(super) fn give_up_before(&mut self, end: u64, cause: GapCause) {
        while self.first_pending().is_some_and(|first| first < end) && self.give_up_hole(end, cause)
        {
        }
    }

    /// Declares everything before an offset missing, other than what is in quarantine.
    pub(super) fn miss_up_to(&mut self, end: u64, cause: GapCause) {
        if self.direction.flags.has(F::QUARANTINE) && end > self.direction.next {
            self.place_inside(self.direction.base.wrapping_add(end as u32), cause);
            // A placed segment may wait, for a full copy or behind a FIN.
            self.give_up_before(end, cause);
        }
        self.gap_up_to(end, cause);
    }

    /// Declares everything before a group missing.
    fn skip_to_group(&mut self, group: &Group, cause: GapCause) {
        let start = self.direction.offset(group.first());
        self.give_up_before(u64::try_from(start).unwrap_or(u64::MAX), cause);
        let silence = (group.quiet_since, group.since);
        let wrapped = self.has_wrapped(group.first(), silence.0, silence.1);
        self.skip_to(group.first(), silence, wrapped, cause);
    }

    /// The peer has acknowledged bytes behind an outage. Its window is taken to be as large as
    /// before.
    fn acknowledged_behind_outage(&mut self, acknowledgement: u32) {
        let direction = &mut *self.direction;
        let window = direction.edge.wrapping_sub(direction.acked);
        let known = direction.flags.has(F::ACKED) && window <= REACH as u32;
        direction.acked = acknowledgement;
        direction.edge = acknowledgement.wrapping_add(if known { window } else { 0 });
        direction.flags.set(F::ACKED);
    }

    fn replay(&mut self, group: Group) {
        for parked in group.segments {
            self.replay_segment(&parked);
        }
    }

    fn replay_segment(&mut self, parked: &Parked) {
        let payload = Payload {
            sequence: parked.sequence,
            bytes: &parked.bytes,
            wire_len: parked.wire_len,
            pushed: parked.pushed,
            acknowledgement: parked.acknowledgement,
            packet_len: parked.packet_len,
            ip_len: parked.ip_len,
            timestamp: parked.timestamp,
            number: parked.number,
            depends_on: parked.depends_on,
        };
        if parked.wire_len > 0 {
            self.payload(payload);
        }
        if parked.fin {
            self.fin(payload);
        }
    }

    /// Delivers what waits in the old place, with its holes as gaps.
    fn leave_old_place(&mut self) {
        if !self.direction.flags.has(F::FIN_ACKED) {
            // Nobody has acknowledged it, and the sender goes on elsewhere.
            if self.direction.flags.has(F::FIN) {
                self.direction.fin = 0;
            }
            self.direction.flags.clear(F::FIN.or(F::FIN_REACHED));
        }
        while self.give_up_hole(u64::MAX, GapCause::Outage) {}
        if let Some(reassembly) = self.reassembly_mut() {
            reassembly.grace = None;
            reassembly.other_fin = None;
        }
        self.direction.flags.clear(F::GRACE);
    }

    /// No more acknowledgements come that could deny one far ahead.
    pub(super) fn believe_claim(&mut self) {
        if !self.can_resume() {
            return;
        }
        if let Some(quarantine) = self.known_quarantine()
            && let Some(acknowledgement) = quarantine.claimed_at_last()
        {
            self.acknowledged_behind_outage(acknowledgement);
        }
    }

    /// No more evidence comes: each group is placed if nothing speaks against it, else reported.
    pub(super) fn decide(&mut self) {
        self.decide_before(u64::MAX);
    }

    /// The same for those that came up to a moment.
    pub(super) fn decide_before(&mut self, since: u64) {
        // Each turn takes a group out; what a group brings back is less than it was.
        for _ in 0..2 * GROUPS {
            // A group may have brought a FIN that is confirmed.
            let ended = !self.can_resume();
            let Some(quarantine) = self.known_quarantine() else { return };
            let due = |group: &Group| group.since <= since;
            let Some(index) = quarantine.groups.iter().position(due) else { return };
            let group = &quarantine.groups[index];
            if group.continues_at_last() && !ended {
                self.resume(index);
                continue;
            }
            let cause = if ended {
                UnplacedCause::AfterFin
            } else if group.announced || group.acknowledged.is_some() {
                UnplacedCause::OtherSequenceSpace
            } else {
                UnplacedCause::OutOfWindow
            };
            let group = quarantine.groups.remove(index);
            self.settle_quarantine();
            self.reject_all(group, cause);
        }
        self.empty_quarantine(UnplacedCause::Limit);
    }

    /// The table's quarantine is full: this is the oldest of it.
    pub(crate) fn shed_quarantine(&mut self) {
        if self.direction.flags.has(F::EARLY) {
            self.settle_early(u32::MAX);
        }
        self.empty_quarantine(UnplacedCause::Limit);
    }

    /// Reports all that is in quarantine.
    pub(crate) fn empty_quarantine(&mut self, cause: UnplacedCause) {
        while let Some(quarantine) = self.known_quarantine()
            && let Some(group) = quarantine.groups.pop()
        {
            self.settle_quarantine();
            self.reject_all(group, cause);
        }
    }

    /// To be called after groups were taken out.
    fn settle_quarantine(&mut self) {
        let index = self.direction.reassembly;
        self.reassemblies.account_quarantine(index);
        let quarantine = self.reassembly().and_then(|reassembly| reassembly.quarantine.as_ref());
        if quarantine.is_none_or(|quarantine| quarantine.is_idle()) {
            self.direction.flags.clear(F::QUARANTINE);
        }
        if let Some(reassembly) = self.reassembly_mut()
            && reassembly.quarantine.as_ref().is_some_and(|quarantine| quarantine.is_empty())
        {
            reassembly.quarantine = None;
        }
    }

    fn reject_all(&mut self, group: Group, cause: UnplacedCause) {
        for parked in group.segments {
            self.reject(parked, cause);
        }
    }

    fn reject(&mut self, parked: Parked, cause: UnplacedCause) {
        self.unplaced(&parked.bytes, parked.sequence, parked.timestamp, parked.number, cause);
    }

    /// Reports captured bytes that have no place in the stream.
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
        let index = self.ensure_backlog();
        if let Some(reassembly) = self.reassemblies.get(index) {
            reassembly.unplaced_bytes += bytes.len() as u64;
        }
        self.statistics.unplaced_bytes += bytes.len() as u64;
        let timestamp = Timestamp::from_nanos(timestamp);
        let unplaced = Unplaced { bytes, sequence, cause, timestamp, packet_number };
        self.handler.on_unplaced(&self.flow, self.side, unplaced);
    }

    /// A sequence space other than the stream's was seen in this direction.
    pub(crate) fn know_space(&mut self, end: u32) {
        if let Some(quarantine) = self.quarantine() {
            quarantine.know_space(end, false);
        }
        let (acked, expected) = (self.direction.acked, self.direction.expected());
        if self.direction.flags.has(F::ACKED)
            && self.direction.flags.has(F::ANCHORED)
            && ahead(acked, expected)
            && self.continues_elsewhere(acked)
        {
            // The peer has acknowledged that space, and not this one.
            self.direction.flags.clear(F::ACKED.or(F::GRACE));
            if let Some(reassembly) = self.reassembly_mut() {
                reassembly.grace = None;
            }
        }
    }

    /// The stream has begun where another space was thought to be.
    pub(crate) fn forget_own_space(&mut self) {
        let expected = self.direction.expected();
        if self.direction.flags.has(F::ANCHORED)
            && let Some(quarantine) =
                self.reassembly_mut().and_then(|reassembly| reassembly.quarantine.as_mut())
        {
            quarantine.forget_space(expected);
        }
    }

    /// The payload of a SYN: whether the receiver takes it, its answer shows (RFC 7413, section
    /// 4.2: a server may ignore it, and the client sends it again).
    pub(crate) fn hold_early(&mut self, payload: Payload<'_>) {
        self.direction.flags.set(F::EARLY);
        self.keep(0, payload.bytes, payload);
    }

    /// It is known how many bytes of a SYN's payload the receiver took.
    pub(crate) fn settle_early(&mut self, taken: u32) {
        self.direction.flags.clear(F::EARLY);
        let taken = u64::from(taken);
        let mut held = Vec::new();
        while let Some(reassembly) = self.reassembly_mut()
            && let Some(piece) = reassembly.pending.pop_before(u64::MAX)
        {
            held.push(piece);
        }
        self.direction.flags.clear(F::PENDING);
        self.reassemblies.account(self.direction.reassembly);
        for (start, held) in held {
            let (end, bytes) = (start + held.len(), held.bytes().unwrap_or_default());
            let sequence = self.direction.base.wrapping_add(start as u32);
            let taken = taken.clamp(start, end) - start;
            if taken > 0 {
                self.payload(Payload {
                    sequence,
                    bytes: &bytes[..bytes.len().min(taken as usize)],
                    wire_len: taken as u32,
                    pushed: true,
                    acknowledgement: None,
                    packet_len: 0,
                    ip_len: 0,
                    timestamp: held.timestamp,
                    number: held.number,
                    depends_on: held.depends_on,
                });
            }
            if let Some(rest) = bytes.get(taken as usize..) {
                let sequence = sequence.wrapping_add(taken as u32);
                let cause = UnplacedCause::SynNotConfirmed;
                self.unplaced(rest, sequence, held.timestamp, held.number, cause);
            }
        }
    }
}
