//! Segments that do not fit their stream, kept until evidence decides where they belong.

use std::collections::VecDeque;

use crate::stream::ahead;

/// How far segments and acknowledgements of one sequence space may be from each other. A window has at most 2³⁰ bytes
/// (RFC 7323, section 2.3), but what belongs together comes within a few round trips.
pub(crate) const NEAR: u32 = 1 << 24;
/// Groups that one direction keeps apart.
const GROUPS: usize = 4;
/// Other sequence spaces that are remembered for a direction.
const SPACES: usize = 4;
/// What a segment costs besides its bytes: its place in a queue that may be half empty, and the allocator's share.
const OVERHEAD: usize = 2 * size_of::<Parked>() + 16;
/// What a group costs besides its segments: its place likewise, and that of the quarantine.
const GROUP: usize = 2 * size_of::<Group>() + size_of::<Quarantine>() + 48;

/// The implausible segments of one direction, and what is known of the sequence spaces around it.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    pub(crate) groups: Vec<Group>,
    spaces: Vec<Space>,
    claim: Option<Claim>,
    /// Position among the quarantines of the table by age; 0 without segments.
    pub(crate) order: u64,
    /// What the table has counted of [`bytes`](Self::bytes).
    pub(crate) counted: usize,
}

/// Segments near each other in sequence space, and the evidence about them.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) segments: VecDeque<Parked>,
    bytes: usize,
    /// When the first of them came. Nanoseconds.
    pub(crate) since: u64,
    /// When the flow's last packet before it came. Nanoseconds.
    pub(crate) quiet_since: u64,
    /// Segments that came in a row, with nothing new in the old place between them.
    pub(crate) run: u32,
    /// The stream went on in its old place after the first of them.
    pub(crate) progressed: bool,
    /// The peer acknowledged the old place after the first of them.
    pub(crate) old_acks: bool,
    /// The highest acknowledgement by the peer that lies among them.
    pub(crate) acknowledged: Option<u32>,
    /// A SYN announced this sequence space: it is another connection's, or one that a middlebox rewrites.
    pub(crate) announced: bool,
}

/// A segment in quarantine.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) sequence: u32,
    pub(crate) bytes: Box<[u8]>,
    pub(crate) wire_len: u32,
    pub(crate) pushed: bool,
    pub(crate) fin: bool,
    /// What it acknowledged, and the window field; `None` without ACK.
    pub(crate) acknowledgement: Option<(u32, u16)>,
    /// Bytes of the packet on the wire.
    pub(crate) packet_len: u32,
    pub(crate) timestamp: u64,
    pub(crate) number: u64,
    pub(crate) awaits: u64,
}

/// Another sequence space on the same addresses and ports.
#[derive(Debug)]
struct Space {
    /// The first sequence number seen of it.
    first: u32,
    /// After the last sequence number seen of it.
    end: u32,
    /// The old space was seen to go on beside it.
    proven: bool,
}

/// Acknowledgements of bytes far ahead of which no segment was seen.
#[derive(Clone, Copy, Debug)]
struct Claim {
    acknowledgement: u32,
    /// How many, each ahead of the one before.
    run: u32,
    /// When the flow's last packet before the first of them came. Nanoseconds.
    quiet_since: u64,
}

impl Space {
    /// `true` for a sequence number of the space, or the one behind its FIN.
    const fn has(&self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.first) <= self.end.wrapping_sub(self.first).wrapping_add(1)
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

    /// `true` if the evidence so far says that the capture missed a stretch, and that the stream goes on here.
    ///
    /// An acknowledgement by the peer is the strongest sign, unless the old place goes on as well: then both may be
    /// true, each of a sequence space of its own, and only segments in a row decide. Without any acknowledgement, three in a
    /// row do: one forged packet is not enough. A peer that goes on acknowledging the old place may be a capture's skew
    /// between the directions, which many in a row outweigh.
    pub(crate) const fn continues(&self) -> bool {
        match (self.acknowledged.is_some(), self.progressed) {
            _ if self.announced => false,
            (true, false) => true,
            (true, true) => self.run >= 3,
            (false, false) => self.run >= if self.old_acks { 16 } else { 3 },
            (false, true) => self.run >= 16,
        }
    }

    /// The same when no more evidence comes.
    pub(crate) const fn continues_at_last(&self) -> bool {
        let uncontradicted = !self.progressed && (!self.old_acks || self.run >= 4);
        !self.announced && (self.acknowledged.is_some() || uncontradicted)
    }
}

impl Quarantine {
    /// Memory in use, what segments and groups cost besides their bytes counted: an attacker can put one byte into the
    /// quarantine of each of a million flows.
    pub(crate) fn bytes(&self) -> usize {
        self.groups.iter().map(|group| GROUP + group.bytes).sum()
    }

    /// `true` if nothing is kept and nothing known.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.spaces.is_empty() && self.claim.is_none()
    }

    /// When the oldest segment came.
    pub(crate) fn since(&self) -> Option<u64> {
        self.groups.iter().map(|group| group.since).min()
    }

    /// `true` if nothing is kept, and no other sequence space was seen to go on beside the stream's.
    pub(crate) fn is_idle(&self) -> bool {
        self.groups.is_empty() && !self.spaces.iter().any(|space| space.proven)
    }

    /// Adds a segment to its group and returns the group's index. The second value is a group that had to make room.
    pub(crate) fn add(
        &mut self,
        parked: Parked,
        now: u64,
        quiet_since: u64,
    ) -> (usize, Option<Group>) {
        let belongs = |group: &Group| near(group.segments.back(), parked.sequence);
        let index = self.groups.iter().position(belongs);
        let mut evicted = None;
        let index = index.unwrap_or_else(|| {
            if self.groups.len() == GROUPS {
                evicted = Some(self.groups.remove(0));
            }
            let announced = self.knows(parked.sequence);
            // An acknowledgement may have come before what it is about.
            let claim = self.claim.filter(|claim| {
                is_near(claim.acknowledgement, parked.end())
                    && !ahead(parked.sequence, claim.acknowledgement)
            });
            // Most have one segment.
            self.groups.reserve_exact(1);
            self.groups.push(Group {
                segments: VecDeque::with_capacity(1),
                bytes: 0,
                since: now,
                quiet_since: claim.map_or(quiet_since, |claim| claim.quiet_since),
                run: 0,
                progressed: false,
                old_acks: false,
                acknowledged: claim.map(|claim| claim.acknowledgement),
                announced,
            });
            self.groups.len() - 1
        });
        for space in self.spaces.iter_mut().filter(|space| space.has(parked.sequence)) {
            if ahead(parked.end(), space.end) {
                space.end = parked.end();
            }
        }
        let group = &mut self.groups[index];
        // A copy is no evidence.
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

    /// Takes the oldest segment out, to make room.
    pub(crate) fn evict(&mut self) -> Option<Parked> {
        let group = self.groups.first_mut()?;
        let parked = group.segments.pop_front()?;
        group.bytes -= parked.cost();
        if group.segments.is_empty() {
            self.groups.remove(0);
        }
        Some(parked)
    }

    /// The stream went on in its old place. Returns a group that is thereby proven to be of another sequence space: the peer
    /// has acknowledged it, and the old place goes on all the same.
    pub(crate) fn progress(&mut self) -> Option<Group> {
        self.claim = None;
        let proven = self.groups.iter().position(|group| group.acknowledged.is_some());
        for group in &mut self.groups {
            group.progressed = true;
            group.run = 0;
        }
        let group = self.groups.remove(proven?);
        self.know_space(group.end(), true);
        Some(group)
    }

    /// The peer acknowledged the old place.
    pub(crate) fn acknowledged_old(&mut self) {
        self.claim = None;
        for group in &mut self.groups {
            group.old_acks = true;
        }
    }

    /// The peer acknowledged something that does not fit the stream. Returns the index of the group that it bears out.
    pub(crate) fn acknowledged(&mut self, acknowledgement: u32, quiet_since: u64) -> Option<usize> {
        // An acknowledgement of all before a group is as good as one of the group: no other number is likely to be its first.
        let fits = |group: &Group| {
            is_near(acknowledgement, group.end()) && !ahead(group.first(), acknowledgement)
        };
        let group = self.groups.iter().position(fits);
        if let Some(index) = group {
            let group = &mut self.groups[index];
            let known = group.acknowledged.unwrap_or(acknowledgement);
            let highest = if ahead(known, acknowledgement) { known } else { acknowledgement };
            group.acknowledged = Some(highest);
        } else if !self.knows(acknowledgement) {
            self.claim = Some(match self.claim {
                Some(claim) if is_near(claim.acknowledgement, acknowledgement) => Claim {
                    run: claim.run + u32::from(ahead(acknowledgement, claim.acknowledgement)),
                    acknowledgement,
                    ..claim
                },
                _ => Claim { acknowledgement, run: 1, quiet_since },
            });
        }
        group
    }

    /// Acknowledgements that went on, each ahead of the one before, so far ahead and for so long that the capture must have
    /// missed the bytes: the last of them, and since when the flow was silent.
    pub(crate) fn claimed(&mut self) -> Option<(u32, u64)> {
        let claim = self.claim.filter(|claim| claim.run >= 4 && self.groups.is_empty())?;
        self.claim = None;
        Some((claim.acknowledgement, claim.quiet_since))
    }

    /// A sequence space other than the stream's was seen.
    pub(crate) fn know_space(&mut self, end: u32, proven: bool) {
        if let Some(space) = self.spaces.iter_mut().find(|space| is_near(space.end, end)) {
            space.end = end;
            space.proven |= proven;
        } else {
            if self.spaces.len() == SPACES {
                self.spaces.remove(0);
            }
            self.spaces.push(Space { first: end, end, proven });
        }
        for group in &mut self.groups {
            group.announced |= is_near(group.end(), end);
        }
    }

    /// The silence before what is kept near a sequence number, or before an acknowledgement near it: its beginning, and its
    /// end if that is known.
    pub(crate) fn silence_before(&self, sequence: u32) -> Option<(u64, Option<u64>)> {
        let group = self.groups.iter().find(|group| near(group.segments.back(), sequence));
        let claim = self.claim.filter(|claim| is_near(claim.acknowledgement, sequence));
        let group = group.map(|group| (group.quiet_since, Some(group.since)));
        group.or(claim.map(|claim| (claim.quiet_since, None)))
    }

    /// `true` if a sequence number is of a sequence space other than the stream's that was seen.
    pub(crate) fn knows(&self, sequence: u32) -> bool {
        self.spaces.iter().any(|space| is_near(space.end, sequence))
    }

    /// `true` if a sequence number lies between those that were seen of another sequence space, or next to them.
    pub(crate) fn has(&self, sequence: u32) -> bool {
        self.spaces.iter().any(|space| space.has(sequence))
    }

    /// `true` if a segment belongs to a sequence space that the old one was seen to go on beside.
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

fn near(last: Option<&Parked>, sequence: u32) -> bool {
    last.is_some_and(|last| is_near(last.end(), sequence))
}

/// `true` if two sequence numbers may be of one sequence space.
pub(crate) const fn is_near(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed().unsigned_abs() < NEAR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_counts_what_it_takes() {
        let parked = |sequence| Parked {
            sequence,
            bytes: Box::new([0]),
            wire_len: 1,
            pushed: false,
            fin: false,
            acknowledgement: None,
            packet_len: 41,
            timestamp: 0,
            number: 0,
            awaits: 0,
        };
        let mut quarantine = Quarantine::default();
        assert!(quarantine.is_empty());
        for (number, most) in [(0, 600), (1, 800), (2, 1000), (1 << 28, 1600)] {
            quarantine.add(parked(number), 0, 0);
            let taken = size_of::<Quarantine>()
                + quarantine.groups.capacity() * size_of::<Group>()
                + quarantine
                    .groups
                    .iter()
                    .map(|group| {
                        group.segments.capacity() * size_of::<Parked>() + group.segments.len()
                    })
                    .sum::<usize>();
            let counted = quarantine.bytes();
            assert!(
                (taken..=most).contains(&counted),
                "{number}: {taken} taken, {counted} counted"
            );
        }
        while quarantine.evict().is_some() {}
        assert!(quarantine.is_empty() && quarantine.bytes() == 0);
    }
}
