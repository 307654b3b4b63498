//! What is kept of a direction in which something is amiss.

use std::collections::{BTreeMap, VecDeque};

use crate::chunked::Chunked;
use crate::pending::Pending;
use crate::quarantine::Quarantine;

/// The side structure of a direction that saw a hole, a retransmission or a closed window. Most directions never have
/// one.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    pub(crate) pending: Pending,
    /// When the present hole was first seen. Nanoseconds.
    pub(crate) since: u64,
    pub(crate) grace: Option<Grace>,
    /// Gaps that were declared and not filled by late bytes since, in ascending order.
    gaps: VecDeque<(u64, u64)>,
    /// What does not fit the stream, and what is known of it.
    pub(crate) quarantine: Option<Box<Quarantine>>,
    /// The sequence number of another FIN than the one that the direction believes.
    pub(crate) other_fin: Option<u32>,
    /// Segments that the sender sent beyond a FIN that nobody has acknowledged.
    pub(crate) beyond_fin: u32,
    /// The peer's duplicate acknowledgements ask for the present hole.
    pub(crate) asked: bool,
    /// Packets that the capture cut short stay so: no full copy came of the first one.
    pub(crate) cuts_stay: bool,
    /// The receiver acknowledged a packet that was longer than its frame says: the capture has lost the end.
    pub(crate) loses_tails: bool,
    pub(crate) gap_bytes: u64,
    pub(crate) unplaced_bytes: u64,
    pub(crate) retransmitted: u64,
    pub(crate) reordered: u64,
    pub(crate) zero_windows: u64,
    /// The flow's slot and the direction's side.
    owner: (u32, u8),
    /// Position among those with pending bytes, by age of the hole; 0 without.
    order: u64,
    counted: usize,
}

/// How long something that looks like loss is given to turn out to be reordering.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grace {
    /// The stream offset up to which holes become gaps.
    pub(crate) target: u64,
    /// Packets of the flow that are still waited for.
    pub(crate) packets: u32,
    /// Nanoseconds.
    pub(crate) deadline: u64,
}

/// Gaps that are remembered for a direction.
const GAPS: usize = 64;

impl Backlog {
    /// When this wants to be looked at again; `u64::MAX` for never.
    pub(crate) fn deadline(&self, hole_timeout: u64) -> u64 {
        let grace = self.grace.map_or(u64::MAX, |grace| grace.deadline);
        let quarantine = self.quarantine.as_ref().and_then(|quarantine| quarantine.since());
        let quarantine = quarantine.map_or(u64::MAX, |since| since.saturating_add(hole_timeout));
        let hole =
            if self.pending.is_empty() { u64::MAX } else { self.hole_deadline(hole_timeout) };
        grace.min(quarantine).min(hole)
    }

    /// When the present hole is given up.
    ///
    /// A receiver whose duplicate acknowledgements ask for the missing bytes has not got them, so the sender must send them
    /// again, and no second copy exists that the capture could have missed. RFC 6298 (section 5.5) doubles the time between
    /// two attempts up to 60 s and more, and RFC 9293 (section 3.8.3) lets a host try for longer than 100 s: Linux gives up
    /// after 15 minutes.
    pub(crate) const fn hole_deadline(&self, hole_timeout: u64) -> u64 {
        let timeout = if self.asked { hole_timeout.saturating_mul(8) } else { hole_timeout };
        self.since.saturating_add(timeout)
    }

    /// Remembers a gap, so that bytes of it are recognised if they come late.
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

    /// Calls back for each part of a range that lies in a remembered gap, and forgets those parts.
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

/// The backlogs of a table.
#[derive(Debug, Default)]
pub(crate) struct Backlogs {
    entries: Chunked<Backlog>,
    free: Vec<u32>,
    /// Those with pending bytes, the oldest hole first.
    queue: BTreeMap<u64, u32>,
    orders: u64,
    bytes: usize,
    peak: usize,
    /// Those with segments in quarantine, the oldest first.
    quarantined: BTreeMap<u64, u32>,
    /// What these cost.
    quarantine_bytes: usize,
}

impl Backlogs {
    pub(crate) fn get(&mut self, index: u32) -> Option<&mut Backlog> {
        self.entries.get_mut(index)
    }

    pub(crate) fn peek(&self, index: u32) -> Option<&Backlog> {
        self.entries.get(index)
    }

    pub(crate) fn allocate(&mut self, slot: u32, side: u8) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Backlog::default());
            (self.entries.len() - 1) as u32
        });
        self.entries[index].owner = (slot, side);
        index
    }

    /// Forgets a backlog; [`NONE`](crate::slot::NONE) is no error.
    pub(crate) fn release(&mut self, index: u32) {
        if let Some(entry) = self.entries.get_mut(index) {
            self.queue.remove(&entry.order);
            self.bytes -= entry.counted;
            if let Some(quarantine) = &entry.quarantine {
                self.quarantined.remove(&quarantine.order);
                self.quarantine_bytes -= quarantine.counted;
            }
            *entry = Backlog::default();
            self.free.push(index);
        }
    }

    /// To be called after a change of what is pending.
    pub(crate) fn account(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        self.bytes = self.bytes - entry.counted + entry.pending.bytes();
        self.peak = self.peak.max(self.bytes);
        entry.counted = entry.pending.bytes();
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

    /// The hole of a backlog has moved on: it is now the youngest.
    pub(crate) fn renew(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        if entry.order != 0 {
            self.queue.remove(&entry.order);
            entry.order = 0;
            self.account(index);
        }
    }

    /// To be called after a change of what is in quarantine.
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

    /// Whose hole is the oldest: slot and side.
    pub(crate) fn oldest(&self) -> Option<(u32, u8)> {
        let (_, &index) = self.queue.first_key_value()?;
        Some(self.entries[index].owner)
    }

    /// Bytes pending, [`OVERHEAD`](crate::pending::OVERHEAD) counted.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The most that were ever pending.
    pub(crate) const fn peak(&self) -> usize {
        self.peak
    }
}
