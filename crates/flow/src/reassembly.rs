//! Reassembly state of the directions that are not on the fast path.

use std::collections::{BTreeMap, VecDeque};

use crate::chunked::Chunked;
use crate::pending::Pending;
use crate::quarantine::Quarantine;

/// The additional state of a direction with a hole, a retransmission or a closed window. Most
/// directions never have one.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    pub(crate) pending: Pending,
    /// The time at which the current hole was first seen, in nanoseconds.
    pub(crate) since: u64,
    pub(crate) grace: Option<Grace>,
    /// Gaps that were declared and have not been filled by late bytes since, in ascending order.
    gaps: VecDeque<(u64, u64)>,
    /// Segments that do not fit the stream, and the evidence about them.
    pub(crate) quarantine: Option<Box<Quarantine>>,
    /// Conflicts of a stream without a beginning: their offsets are provisional.
    early: Option<Box<Early>>,
    /// The first acknowledgement by the peer after its SYN, if nothing of this side was captured
    /// before it. The stream begins no later than that.
    pub(crate) beginning: Option<u32>,
    /// The sequence number of a FIN other than the accepted one.
    pub(crate) other_fin: Option<u32>,
    /// The sequence number of a FIN that nothing but a larger acknowledgement refuted.
    pub(crate) outdone_fin: Option<u32>,
    /// The number of segments that the sender sent beyond an unacknowledged FIN.
    pub(crate) beyond_fin: u32,
    /// `true` if a segment with bytes before the unacknowledged FIN ended one byte behind it: an
    /// acknowledgement of that number is of the FIN or of the byte.
    pub(crate) crosses_fin: bool,
    /// `true` if the peer's duplicate acknowledgements ask for the current hole (RFC 5681, section
    /// 3.2).
    pub(crate) asked: bool,
    /// `true` if truncated packets are final, because no full copy of the first one arrived.
    pub(crate) cuts_stay: bool,
    /// `true` if the receiver acknowledged a packet that was longer than its frame, so that the
    /// capture loses the ends of packets.
    pub(crate) loses_tails: bool,
    pub(crate) gap_bytes: u64,
    pub(crate) unplaced_bytes: u64,
    pub(crate) retransmitted: u64,
    pub(crate) reordered: u64,
    pub(crate) zero_windows: u64,
    /// The flow's slot and the direction's side.
    owner: (u32, u8),
    /// Position among the directions with pending bytes, by age of the hole. 0 without pending
    /// bytes.
    order: u64,
    counted: usize,
}

#[derive(Debug, Default)]
struct Early {
    conflicts: Vec<EarlyConflict>,
    bytes: usize,
}

/// A [`Conflict`](crate::Conflict) or a repetition, at an offset that is not final.
#[derive(Debug)]
pub(crate) struct EarlyConflict {
    pub(crate) offset: u64,
    /// `None` for a repetition, whose bytes are those that it repeats.
    pub(crate) kept: Option<Box<[u8]>>,
    pub(crate) discarded: Box<[u8]>,
    pub(crate) kept_packet_number: u64,
    pub(crate) discarded_packet_number: u64,
    /// Nanoseconds.
    pub(crate) discarded_timestamp: u64,
    /// Nanoseconds.
    pub(crate) timestamp: u64,
    pub(crate) packet_number: u64,
}

/// The limits of the grace period, after which apparent loss is no longer taken for reordering.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grace {
    /// The stream offset up to which holes become gaps.
    pub(crate) target: u64,
    /// The number of packets of the flow that may still arrive.
    pub(crate) packets: u32,
    /// In nanoseconds.
    pub(crate) deadline: u64,
    /// The stream offset up to which acknowledgements lower than the target say nothing new.
    pub(crate) known: u64,
    /// The number of acknowledgements beyond that offset, each of more than the one before.
    pub(crate) denials: u8,
}

/// The memory of a list of a few gaps.
const GAP_LIST: usize = 4 * size_of::<(u64, u64)>() + 16;

/// The maximum number of gaps that are remembered for a direction.
const GAPS: usize = 64;

impl Reassembly {
    /// The time at which this must be examined again. `u64::MAX` for never.
    pub(crate) fn deadline(&self, hole_timeout: u64) -> u64 {
        let grace = self.grace.map_or(u64::MAX, |grace| grace.deadline);
        let quarantine = self.quarantine.as_ref().and_then(|quarantine| quarantine.since());
        let quarantine = quarantine.map_or(u64::MAX, |since| since.saturating_add(hole_timeout));
        let hole =
            if self.pending.is_empty() { u64::MAX } else { self.hole_deadline(hole_timeout) };
        grace.min(quarantine).min(hole)
    }

    /// The time at which the current hole becomes a gap.
    ///
    /// A receiver whose duplicate acknowledgements ask for the missing bytes does not have them, so
    /// the sender must retransmit them. There is no second copy that the capture could have missed.
    /// RFC 6298 (section 5.5) doubles the time between two attempts up to 60 s and more, and RFC
    /// 9293 (section 3.8.3) allows a host to try for longer than 100 s. Linux gives up after 15
    /// minutes.
    pub(crate) const fn hole_deadline(&self, hole_timeout: u64) -> u64 {
        let timeout = if self.asked { hole_timeout.saturating_mul(8) } else { hole_timeout };
        self.since.saturating_add(timeout)
    }

    /// The memory of what waits.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.pending.bytes() + self.early.as_ref().map_or(0, |early| early.bytes)
    }

    /// Keeps a conflict or repetition until the stream has its beginning.
    pub(crate) fn keep_conflict(&mut self, conflict: EarlyConflict) {
        let early = self.early.get_or_insert_default();
        let kept = conflict.kept.as_ref().map_or(0, |kept| kept.len());
        // The list may be half empty.
        early.bytes += 2 * size_of::<EarlyConflict>() + kept + conflict.discarded.len();
        early.conflicts.push(conflict);
    }

    /// Returns `true` if it says nothing that a direction without one does not say.
    fn is_idle(&self) -> bool {
        let Self {
            pending,
            since: _,
            grace,
            gaps,
            quarantine,
            early,
            other_fin,
            outdone_fin,
            beyond_fin,
            crosses_fin,
            beginning,
            asked,
            cuts_stay,
            loses_tails,
            gap_bytes,
            unplaced_bytes,
            retransmitted,
            reordered,
            zero_windows,
            owner: _,
            order,
            counted,
        } = self;
        let counts = [gap_bytes, unplaced_bytes, retransmitted, reordered, zero_windows, order];
        let waits = !pending.is_empty() || grace.is_some() || quarantine.is_some();
        let fins = other_fin.is_some() || outdone_fin.is_some() || *beyond_fin > 0 || *crosses_fin;
        !(waits
            || fins
            || early.is_some()
            || beginning.is_some()
            || *asked
            || *cuts_stay
            || *loses_tails)
            && gaps.is_empty()
            && *counted == 0
            && counts.iter().all(|count| **count == 0)
    }

    /// Takes the conflicts that were kept.
    pub(crate) fn take_conflicts(&mut self) -> Vec<EarlyConflict> {
        self.early.take().map_or_else(Vec::new, |early| early.conflicts)
    }

    /// Remembers a gap, so that its bytes are recognised if they arrive late.
    pub(crate) fn remember_gap(&mut self, start: u64, end: u64) {
        if let Some(last) = self.gaps.back_mut()
            && last.1 == start
        {
            last.1 = end;
            return;
        }
        if self.gaps.len() == GAPS {
            self.gaps.pop_front();
        }
        self.gaps.push_back((start, end));
    }

    /// Calls `late` for each part of a range that is in a remembered gap, and removes those parts.
    pub(crate) fn take_late(&mut self, start: u64, end: u64, mut late: impl FnMut(u64, u64)) {
        let mut index = 0;
        while let Some(&(gap_start, gap_end)) = self.gaps.get(index) {
            let (from, to) = (start.max(gap_start), end.min(gap_end));
            if from >= to {
                index += 1;
                continue;
            }
            late(from, to);
            self.gaps.remove(index);
            for rest in [(to, gap_end), (gap_start, from)] {
                if rest.0 < rest.1 && self.gaps.len() < GAPS {
                    self.gaps.insert(index, rest);
                }
            }
        }
    }
}

/// The reassembly states of the directions of a table.
#[derive(Debug, Default)]
pub(crate) struct Reassemblies {
    entries: Chunked<Reassembly>,
    free: Vec<u32>,
    /// Those with pending bytes, the oldest hole first.
    queue: BTreeMap<u64, u32>,
    orders: u64,
    bytes: usize,
    peak: usize,
    /// Those with segments in quarantine, the oldest first.
    quarantined: BTreeMap<u64, u32>,
    /// The memory of the quarantines.
    quarantine_bytes: usize,
}

impl Reassemblies {
    pub(crate) fn get(&mut self, index: u32) -> Option<&mut Reassembly> {
        self.entries.get_mut(index)
    }

    pub(crate) fn peek(&self, index: u32) -> Option<&Reassembly> {
        self.entries.get(index)
    }

    pub(crate) fn allocate(&mut self, slot: u32, side: u8) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Reassembly::default());
            (self.entries.len() - 1) as u32
        });
        self.entries[index].owner = (slot, side);
        index
    }

    /// The memory of those in use, without what is pending.
    pub(crate) const fn own_bytes(&self) -> usize {
        (self.entries.len() - self.free.len()) * (size_of::<Reassembly>() + GAP_LIST)
    }

    /// The memory of those that are not in use.
    pub(crate) const fn free_bytes(&self) -> usize {
        self.free.len() * size_of::<Reassembly>()
    }

    /// Drops the state of a direction. [`NONE`](crate::slot::NONE) is ignored.
    pub(crate) fn release(&mut self, index: u32) {
        if let Some(entry) = self.entries.get_mut(index) {
            self.queue.remove(&entry.order);
            self.bytes -= entry.counted;
            if let Some(quarantine) = &entry.quarantine {
                self.quarantined.remove(&quarantine.order);
                self.quarantine_bytes -= quarantine.counted;
            }
            *entry = Reassembly::default();
            self.free.push(index);
        }
    }

    /// Drops the state of a direction that is no longer needed. Returns `true` if it was dropped.
    pub(crate) fn release_idle(&mut self, index: u32) -> bool {
        let idle = self.entries.get(index).is_some_and(Reassembly::is_idle);
        if idle {
            self.release(index);
        }
        idle
    }

    /// Updates the totals. Call it after every change of the pending segments.
    pub(crate) fn account(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let waiting = entry.waiting_bytes();
        self.bytes = self.bytes - entry.counted + waiting;
        self.peak = self.peak.max(self.bytes);
        entry.counted = waiting;
        if entry.pending.is_empty() {
            if entry.order != 0 {
                self.queue.remove(&entry.order);
                entry.order = 0;
            }
        } else if entry.order == 0 {
            self.orders += 1;
            entry.order = self.orders;
            self.queue.insert(entry.order, index);
        }
    }

    /// Makes a hole the youngest, after it has moved.
    pub(crate) fn renew(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        if entry.order != 0 {
            self.queue.remove(&entry.order);
            entry.order = 0;
            self.account(index);
        }
    }

    /// Updates the totals. Call it after every change of the quarantine.
    pub(crate) fn account_quarantine(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let Some(quarantine) = &mut entry.quarantine else { return };
        let bytes = quarantine.bytes();
        self.quarantine_bytes = self.quarantine_bytes - quarantine.counted + bytes;
        quarantine.counted = bytes;
        if bytes == 0 {
            self.quarantined.remove(&std::mem::take(&mut quarantine.order));
        } else if quarantine.order == 0 {
            self.orders += 1;
            quarantine.order = self.orders;
            self.quarantined.insert(quarantine.order, index);
        }
    }

    /// Memory in use for segments in quarantine.
    pub(crate) const fn quarantine_bytes(&self) -> usize {
        self.quarantine_bytes
    }

    /// The flow and side whose quarantine is the oldest.
    pub(crate) fn oldest_quarantine(&self) -> Option<(u32, u8)> {
        let (_, &index) = self.quarantined.first_key_value()?;
        Some(self.entries[index].owner)
    }

    /// The flow's slot and the side with the oldest hole.
    pub(crate) fn oldest(&self) -> Option<(u32, u8)> {
        let (_, &index) = self.queue.first_key_value()?;
        Some(self.entries[index].owner)
    }

    /// The memory of pending bytes, including [`OVERHEAD`](crate::pending::OVERHEAD).
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The maximum of [`bytes`](Self::bytes).
    pub(crate) const fn peak(&self) -> usize {
        self.peak
    }
}
