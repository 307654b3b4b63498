//! Segments that do not fit their stream, kept until evidence decides where they belong.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::stream::ahead;

/// The maximum distance between segments and acknowledgements of one sequence space. A window has
/// at most 2³⁰ bytes (RFC 7323, section 2.3), but related packets arrive within a few round trips.
pub(crate) const NEAR: u32 = 1 << 24;
/// Bytes a nanosecond that no link exceeds: 400 Gbit/s.
pub(crate) const FASTEST: u64 = 50;
/// The maximum distance of a segment from the last one of its sequence space, if the ones between
/// them were lost.
const SLACK: u32 = 1 << 20;
/// The minimum distance of two sequence spaces at which a segment behind a loss is taken for one of
/// the nearer. It is more than most connections have in flight.
pub(crate) const APART: i32 = 1 << 16;
/// The number of segments in a row that outweigh evidence against them.
const ROW: u32 = 16;
/// The same if a handshake has shown that they belong to another sequence space.
const LONG_ROW: u32 = 64;
/// The maximum number of groups of a direction: if each of them has one segment, and the stream
/// comes from one to the next, they are a row.
pub(crate) const GROUPS: usize = ROW as usize;
/// The maximum number of other sequence spaces that are remembered for a direction.
const SPACES: usize = 4;
/// The overhead of a segment: its entry in a queue that may be half empty, and the allocator's
/// share.
const OVERHEAD: usize = 2 * size_of::<Parked>() + 16;
/// The overhead of a group: its entry likewise, and that of the quarantine.
const GROUP: usize = 2 * size_of::<Group>() + size_of::<Quarantine>() + 48;

/// The implausible segments of one direction, and the known sequence spaces around it.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    pub(crate) groups: Vec<Group>,
    spaces: Vec<Space>,
    claim: Option<Claim>,
    /// Position among the quarantines of the table, by age. 0 without segments.
    pub(crate) order: u64,
    /// The part of [`bytes`](Self::bytes) that the table has counted.
    pub(crate) counted: usize,
}

/// Segments near each other in sequence space, and the evidence about them.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) segments: VecDeque<Parked>,
    bytes: usize,
    /// Arrival of the first segment, in nanoseconds.
    pub(crate) since: u64,
    /// Arrival of the flow's last packet before the group, in nanoseconds.
    pub(crate) quiet_since: u64,
    /// The number of segments in a row, without new bytes at the old position in between.
    pub(crate) run: u32,
    /// `true` if the stream continued at its old position after the first segment.
    pub(crate) progressed: bool,
    /// `true` if the peer acknowledged the old position after the first segment.
    pub(crate) old_acks: bool,
    /// The highest acknowledgement by the peer within the group.
    pub(crate) acknowledged: Option<u32>,
    /// `true` if the peer had acknowledged the stream before the first segment, so that it is known
    /// to be captured.
    pub(crate) answered: bool,
    /// `true` if a SYN announced this sequence space. It belongs to another connection, or to the
    /// other side of a middlebox.
    pub(crate) announced: bool,
    /// `true` if no link could have brought the missing bytes in the time since the flow's last
    /// packet, or if the peer acknowledges both positions in turn. Either the time stamps are of no
    /// use, or this is another sequence space.
    hasty: bool,
}

/// A segment in quarantine.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) sequence: u32,
    pub(crate) bytes: Box<[u8]>,
    pub(crate) wire_len: u32,
    pub(crate) pushed: bool,
    pub(crate) fin: bool,
    /// The acknowledgement number and the window field. `None` without ACK.
    pub(crate) acknowledgement: Option<(u32, u16)>,
    /// Length of the packet on the wire.
    pub(crate) packet_len: u32,
    /// Length of the IP packet on the wire.
    pub(crate) ip_len: u32,
    pub(crate) timestamp: u64,
    pub(crate) number: u64,
    pub(crate) depends_on: u64,
}

/// Another sequence space on the same addresses and ports.
#[derive(Clone, Copy, Debug)]
struct Space {
    /// The first captured sequence number.
    first: u32,
    /// The number after the last captured sequence number.
    end: u32,
    /// `true` if the old space continued at the same time.
    proven: bool,
    /// `true` if nothing but acknowledgements between segments at the old position showed it. The
    /// capture may have put them into this order.
    is_claim: bool,
    /// `true` if it was ahead of the stream at that time.
    was_ahead: bool,
}

/// Acknowledgements of bytes far ahead that were not captured.
#[derive(Clone, Copy, Debug)]
struct Claim {
    acknowledgement: u32,
    /// The number of acknowledgements, each ahead of the one before.
    run: u32,
    /// Arrival of the flow's last packet before the first of them, in nanoseconds.
    quiet_since: u64,
    /// The same as for a group.
    hasty: bool,
    /// `true` if the stream went on afterwards.
    stale: bool,
    /// `true` if the peer acknowledged the old position afterwards.
    denied: bool,
    /// `true` if it was ahead of the stream when it came.
    was_ahead: bool,
}

impl Space {
    /// Returns `true` for a sequence number of the space, or the one after its FIN.
    const fn has(&self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.first) <= self.end.wrapping_sub(self.first).wrapping_add(1)
    }
}

impl Claim {
    const fn is_past(&self) -> bool {
        self.stale || self.denied
    }
}

impl Parked {
    pub(crate) const fn end(&self) -> u32 {
        self.sequence.wrapping_add(self.wire_len)
    }

    const fn cost(&self) -> usize {
        OVERHEAD + self.bytes.len()
    }
}

impl Group {
    /// The lowest sequence number.
    pub(crate) fn first(&self) -> u32 {
        let first = self.segments.front().map_or(0, |parked| parked.sequence);
        let lowest = |lowest, parked: &Parked| {
            if ahead(lowest, parked.sequence) { parked.sequence } else { lowest }
        };
        self.segments.iter().fold(first, lowest)
    }

    /// The sequence number after the last one.
    pub(crate) fn end(&self) -> u32 {
        let first = self.segments.front().map_or(0, Parked::end);
        let highest = |highest, parked: &Parked| {
            if ahead(parked.end(), highest) { parked.end() } else { highest }
        };
        self.segments.iter().fold(first, highest)
    }

    /// Returns `true` if an acknowledgement is of this group. One of everything before it is as
    /// good, because no other number is likely to equal the group's first.
    fn fits(&self, acknowledgement: u32) -> bool {
        is_near(acknowledgement, self.end()) && !ahead(self.first(), acknowledgement)
    }

    /// Returns `true` if the evidence so far shows that the capture missed a stretch, and that the
    /// stream continues here.
    ///
    /// An acknowledgement by the peer is the strongest evidence, unless the old position continues
    /// as well. Then there may be two sequence spaces, and only segments in a row decide.
    pub(crate) const fn continues(&self) -> bool {
        match (self.acknowledged.is_some(), self.progressed) {
            (confirmed, _) if self.announced => confirmed && self.run >= LONG_ROW,
            (true, _) if self.hasty => self.run >= ROW,
            (true, false) if !self.old_acks => true,
            (true, _) => self.run >= 3,
            (false, _) => self.run >= self.row(),
        }
    }

    /// The number of segments in a row that are enough without an acknowledgement. If nothing is
    /// seen of the peer, three are, but one is not, because it may be forged. If the peer is seen,
    /// it acknowledges what is true. It does so later if the capture has a skew between the
    /// directions, or not at all if its direction is not captured any more, which many in a row
    /// outweigh.
    const fn row(&self) -> u32 {
        if self.old_acks || self.answered || self.progressed { ROW } else { 3 }
    }

    /// Returns `true` if the stream continues here, given that no more evidence will arrive.
    pub(crate) const fn continues_at_last(&self) -> bool {
        let uncontradicted = !self.progressed && (!self.old_acks || self.run >= 4);
        let confirmed = self.acknowledged.is_some() && !(self.hasty && self.old_acks);
        !self.announced && (confirmed || uncontradicted)
    }
}

impl Quarantine {
    /// The memory in use, including the overhead of segments and groups: an attacker can put one
    /// byte into the quarantine of each of a million flows.
    pub(crate) fn bytes(&self) -> usize {
        self.groups.iter().map(|group| GROUP + group.bytes).sum()
    }

    /// Returns `true` if there are no segments and no evidence.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.spaces.is_empty() && self.claim.is_none()
    }

    /// Arrival of the oldest segment.
    pub(crate) fn since(&self) -> Option<u64> {
        self.groups.iter().map(|group| group.since).min()
    }

    /// Returns `true` if there are no segments, and no other sequence space is known or suspected
    /// to continue beside the stream's.
    pub(crate) fn is_idle(&self) -> bool {
        let proven = self.spaces.iter().any(|space| space.proven);
        self.groups.is_empty() && self.claim.is_none_or(|claim| claim.is_past()) && !proven
    }

    /// Returns `true` if the groups follow each other, nothing contradicts one of them, and they
    /// are a row together: the capture missed several stretches, and little between them.
    pub(crate) fn is_row(&self) -> bool {
        let mut pairs = self.groups.iter().zip(self.groups.iter().skip(1));
        let opposed =
            |group: &Group| group.announced || group.progressed || group.old_acks || group.hasty;
        self.groups.iter().map(|group| group.run).sum::<u32>() >= ROW
            && pairs.all(|(before, group)| ahead(group.first(), before.end()))
            && !self.groups.iter().any(opposed)
    }

    /// Adds a segment to its group. Returns the group's index, and a group that was evicted.
    pub(crate) fn add(
        &mut self,
        parked: Parked,
        now: u64,
        quiet_since: u64,
        answered: bool,
        missing: u32,
    ) -> (usize, Option<Group>) {
        let belongs = |group: &Group| near(group.segments.back(), parked.sequence);
        let index = self.groups.iter().position(belongs);
        let mut evicted = None;
        let index = index.unwrap_or_else(|| {
            if self.groups.len() == GROUPS {
                evicted = Some(self.groups.remove(0));
            }
            // What the stream has come to was its own.
            let expected = parked.sequence.wrapping_sub(missing);
            self.spaces.retain(|space| {
                !(space.is_claim && space.was_ahead && !space.proven) || ahead(space.end, expected)
            });
            let announced = self.knows(parked.sequence);
            // An acknowledgement may be captured before the segment that it acknowledges.
            let near = self.claim.filter(|claim| is_near(claim.acknowledgement, parked.end()));
            let contested = near.is_some_and(|claim| claim.is_past());
            let claim = near
                .filter(|claim| !claim.is_past() && !ahead(parked.sequence, claim.acknowledgement));
            // The stream may have come from the place of another group.
            let from_group = |group: &Group| {
                let last = group.segments.back().map_or(now, |last| last.timestamp);
                let missing = parked.sequence.wrapping_sub(group.end());
                missing.cast_signed() > 0 && !is_hasty(missing, now.saturating_sub(last))
            };
            let (quiet_since, hasty) = claim.map_or_else(
                || {
                    let hasty = is_hasty(missing, now.saturating_sub(quiet_since));
                    (quiet_since, hasty && !self.groups.iter().any(from_group))
                },
                |claim| (claim.quiet_since, claim.hasty),
            );
            let hasty = hasty || contested;
            // Most groups have one segment.
            self.groups.reserve_exact(1);
            self.groups.push(Group {
                segments: VecDeque::with_capacity(1),
                bytes: 0,
                since: now,
                quiet_since,
                run: 0,
                progressed: false,
                old_acks: false,
                acknowledged: claim.map(|claim| claim.acknowledgement),
                answered,
                announced,
                hasty,
            });
            self.groups.len() - 1
        });
        for space in self.spaces.iter_mut().filter(|space| space.has(parked.sequence)) {
            if ahead(parked.end(), space.end) {
                space.end = parked.end();
            }
        }
        let group = &mut self.groups[index];
        // A copy is not evidence.
        let again = group.segments.iter().any(|held| {
            held.sequence == parked.sequence
                && held.wire_len == parked.wire_len
                && held.fin == parked.fin
        });
        group.run += u32::from(!again);
        group.bytes += parked.cost();
        group.segments.push_back(parked);
        (index, evicted)
    }

    /// Removes the oldest segment, to make room.
    pub(crate) fn evict(&mut self) -> Option<Parked> {
        let group = self.groups.first_mut()?;
        let parked = group.segments.pop_front()?;
        group.bytes -= parked.cost();
        if group.segments.is_empty() {
            self.groups.remove(0);
        }
        Some(parked)
    }

    /// Records that the stream continued at its old position, with the packet of this number.
    /// Returns a group that is thereby proven to belong to another sequence space: the peer has
    /// acknowledged it although the old position continues. What was captured before a group, and
    /// placed only now, says nothing about that group. Nor does what `waits` behind a hole at a
    /// sequence number of the group: the window has come to that.
    pub(crate) fn progress(&mut self, number: u64, waits: Option<u32>) -> Option<Group> {
        if let Some(claim) = &mut self.claim {
            claim.stale = true;
        }
        let older = |group: &Group| {
            group.segments.front().is_none_or(|first| first.number <= number)
                && waits.is_none_or(|waits| waits.wrapping_sub(group.first()) >= NEAR)
        };
        let proven =
            self.groups.iter().position(|group| group.acknowledged.is_some() && older(group));
        for group in self.groups.iter_mut().filter(|group| older(group)) {
            group.progressed = true;
            group.run = 0;
        }
        let group = self.groups.remove(proven?);
        self.know_space(group.end(), true);
        Some(group)
    }

    /// Records that a stretch is missing. Groups in it are late, though they were acknowledged:
    /// that the stream continues behind them says nothing against them.
    pub(crate) fn pass(&mut self, from: u32, to: u32) {
        let inside = |group: &&mut Group| group.first().wrapping_sub(from) < to.wrapping_sub(from);
        for group in self.groups.iter_mut().filter(inside) {
            group.acknowledged = None;
        }
    }

    /// Returns `true` if one more segment with this sequence number shows that the stream
    /// continues in a group, as far as the peer has said nothing.
    pub(crate) fn is_nearly_row(&self, sequence: u32) -> bool {
        let group = self.groups.iter().find(|group| near(group.segments.back(), sequence));
        group.is_some_and(|group| {
            group.run + 1 >= group.row() && !group.announced && !group.progressed && !group.old_acks
        })
    }

    /// Returns `true` if an acknowledgement shows that the stream continues in a group.
    pub(crate) fn is_borne_out_by(&self, acknowledgement: u32) -> bool {
        let mut groups = self.groups.iter();
        groups.any(|group| group.fits(acknowledgement) && !group.announced && !group.progressed)
    }

    /// Records that the peer acknowledged the old position.
    pub(crate) fn acknowledged_old(&mut self) {
        if let Some(claim) = &mut self.claim {
            claim.denied = true;
        }
        for group in &mut self.groups {
            group.old_acks = true;
        }
    }

    /// Records an acknowledgement by the peer if it is of a group. Returns the group's index.
    pub(crate) fn acknowledged(&mut self, acknowledgement: u32) -> Option<usize> {
        let index = self.groups.iter().position(|group| group.fits(acknowledgement))?;
        let group = &mut self.groups[index];
        let known = group.acknowledged.unwrap_or(acknowledgement);
        let highest = if ahead(known, acknowledgement) { known } else { acknowledgement };
        group.acknowledged = Some(highest);
        Some(index)
    }

    /// Records an acknowledgement that fits neither the stream nor a group.
    pub(crate) fn claim(
        &mut self,
        acknowledgement: u32,
        expected: u32,
        (quiet_since, now): (u64, u64),
    ) {
        let is_known = |space: &Space| !space.is_claim && is_near(space.end, acknowledgement);
        if self.spaces.iter().any(is_known) {
            return;
        }
        // What the stream has come to was its own.
        let reached = |it: &Claim| it.was_ahead && !ahead(it.acknowledgement, expected);
        self.claim = self.claim.filter(|claim| !reached(claim));
        let near = self.claim.filter(|it| is_near(it.acknowledgement, acknowledgement));
        let was_ahead = ahead(acknowledgement, expected);
        if near.is_some_and(|claim| claim.stale) {
            // Both go on: there are two sequence spaces.
            let (first, end) = (acknowledgement, acknowledgement);
            self.know(Space { first, end, proven: false, is_claim: true, was_ahead });
        }
        self.claim = Some(match near {
            Some(claim) if !claim.is_past() => Claim {
                run: claim.run + u32::from(ahead(acknowledgement, claim.acknowledgement)),
                acknowledgement,
                ..claim
            },
            _ => {
                let missing = acknowledgement.wrapping_sub(expected);
                let contested = near.is_some_and(|claim| claim.denied);
                let hasty = contested || is_hasty(missing, now.saturating_sub(quiet_since));
                let (stale, denied) = (false, false);
                Claim { acknowledgement, run: 1, quiet_since, hasty, stale, denied, was_ahead }
            }
        });
    }

    /// Forgets an acknowledgement far ahead if a group bears it out: the stream goes on there, or
    /// behind it. Left as it is, it would look like one of another sequence space.
    pub(crate) fn settle_claim(&mut self, group: &Group, expected: u32) {
        let reached = group.end().wrapping_sub(expected);
        self.claim =
            self.claim.filter(|claim| claim.acknowledgement.wrapping_sub(expected) > reached);
    }

    /// Takes a row of acknowledgements, each ahead of the one before, that shows that the capture
    /// missed the bytes. Returns the last acknowledgement, and the time since when the flow was
    /// silent.
    pub(crate) fn claimed(&mut self, expected: u32) -> Option<(u32, u64)> {
        let claim = self.claim.filter(|claim| !claim.is_past())?;
        // A row of them without a segment at the old position is no second space that goes on.
        let is_claim = self.knows(claim.acknowledgement);
        if claim.run < if is_claim { ROW } else { 4 } {
            return None;
        }
        if is_claim {
            self.forget_claimed_space(claim.acknowledgement);
        }
        // What lies in the missing stretch speaks for it, not against it.
        let missing = claim.acknowledgement.wrapping_sub(expected);
        let inside = |group: &Group| {
            group.first().wrapping_sub(expected) < missing && group.continues_at_last()
        };
        if !self.groups.iter().all(inside) {
            return None;
        }
        self.claim = None;
        Some((claim.acknowledgement, claim.quiet_since))
    }

    /// Forgets a sequence space that only acknowledgements have shown.
    fn forget_claimed_space(&mut self, acknowledgement: u32) {
        let is_meant =
            |space: &Space| space.is_claim && !space.proven && is_near(space.end, acknowledgement);
        self.spaces.retain(|space| !is_meant(space));
        let Self { groups, spaces, .. } = self;
        for group in groups {
            group.announced = spaces.iter().any(|space| is_near(space.end, group.end()));
        }
    }

    /// Takes an acknowledgement far ahead, given that no more evidence will arrive.
    pub(crate) fn claimed_at_last(&mut self) -> Option<u32> {
        let claim = self.claim.take_if(|claim| !claim.is_past() && !claim.hasty)?;
        Some(claim.acknowledgement)
    }

    /// Records a sequence space other than the stream's, in which nothing was captured before this
    /// sequence number.
    pub(crate) fn know_space(&mut self, end: u32, proven: bool) {
        self.know_range(end, end, proven);
    }

    /// Records a sequence space other than the stream's, of which this range was captured.
    pub(crate) fn know_range(&mut self, first: u32, end: u32, proven: bool) {
        self.know(Space { first, end, proven, is_claim: false, was_ahead: false });
    }

    fn know(&mut self, other: Space) {
        // Two spaces may be near each other.
        if let Some(space) = self.spaces.iter_mut().find(|space| space.has(other.end)) {
            space.proven |= other.proven;
            space.is_claim &= other.is_claim;
        } else {
            if self.spaces.len() == SPACES {
                self.spaces.remove(0);
            }
            self.spaces.push(other);
        }
        for group in &mut self.groups {
            group.announced |= is_near(group.end(), other.end);
        }
    }

    /// Forgets that a sequence number is one of another space: it is the stream's.
    pub(crate) fn forget_space(&mut self, sequence: u32) {
        self.spaces.retain(|space| !space.has(sequence));
    }

    /// The silence before segments near a sequence number, or before an acknowledgement near it:
    /// its beginning, and its end if known.
    pub(crate) fn silence_before(&self, sequence: u32) -> Option<(u64, Option<u64>)> {
        let group = self.groups.iter().find(|group| near(group.segments.back(), sequence));
        let claim = self.claim.filter(|claim| is_near(claim.acknowledgement, sequence));
        let group = group.map(|group| (group.quiet_since, Some(group.since)));
        group.or(claim.map(|claim| (claim.quiet_since, None)))
    }

    /// Returns `true` if a sequence number is near a known sequence space other than the stream's.
    pub(crate) fn knows(&self, sequence: u32) -> bool {
        self.spaces.iter().any(|space| is_near(space.end, sequence))
    }

    /// Returns `true` if a sequence number is between the captured ones of another sequence space,
    /// or nearer behind them than behind the stream's, which expects another.
    pub(crate) fn has(&self, sequence: u32, expected: u32) -> bool {
        let behind = |space: &Space| {
            let distance = space.end.wrapping_sub(expected).cast_signed();
            distance > APART && sequence.wrapping_sub(space.end) <= SLACK
        };
        self.spaces.iter().any(|space| space.has(sequence) || behind(space))
    }

    /// Returns `true` if a sequence number is near a space that continues beside the stream's.
    pub(crate) fn continues_beside(&self, sequence: u32) -> bool {
        self.spaces.iter().any(|space| space.proven && is_near(space.end, sequence))
    }

    /// Returns `true` if a segment belongs to a sequence space that is known to continue beside the
    /// stream's.
    pub(crate) fn is_of_other_space(&mut self, sequence: u32, end: u32) -> bool {
        let space =
            self.spaces.iter_mut().find(|space| space.proven && is_near(space.end, sequence));
        if let Some(space) = space {
            space.end = end;
            true
        } else {
            false
        }
    }
}

/// Returns `true` if no link brings this number of bytes in this number of nanoseconds. The order
/// of packets in a capture is not exact, so another [`SLACK`] bytes are allowed.
pub(crate) const fn is_hasty(bytes: u32, nanos: u64) -> bool {
    bytes as u64 > nanos.saturating_mul(FASTEST).saturating_add(SLACK as u64)
}

fn near(last: Option<&Parked>, sequence: u32) -> bool {
    last.is_some_and(|last| is_near(last.end(), sequence))
}

/// Returns `true` if two sequence numbers may belong to one sequence space.
pub(crate) const fn is_near(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed().unsigned_abs() < NEAR
}
