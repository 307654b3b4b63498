//! Per-flow timers.

use crate::chunked::Chunked;
use crate::prefetch::prefetch;

/// A hierarchical timer wheel over the slots of a table, with one timer for each slot.
///
/// The wheel's lists are linked through the slots' nodes. Setting, moving and cancelling a timer
/// take a few stores, there are no stale entries, and the memory is 16 bytes for each slot. Use it
/// lazily: set a timer for the earliest time at which a flow *could* expire, and check the flow
/// when the timer fires.
#[derive(Debug)]
pub(crate) struct Wheel {
    nodes: Chunked<Node>,
    heads: [[u32; SLOTS]; LEVELS],
    /// One bit for each wheel slot that is not empty.
    occupied: [u64; LEVELS],
    /// The tick up to which all timers have fired.
    elapsed: u64,
    /// The head of the list of timers that were taken off a level and are still to be moved to the
    /// levels below. [`expired`](Self::expired) moves as many at a time as its budget allows.
    spreading: u32,
    /// `true` once the first time is known. Before that, the distance to a deadline cannot be
    /// computed.
    started: bool,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    previous: u32,
    next: u32,
    /// [`UNSET`] if the slot has no timer.
    tick: u64,
}

const NONE: u32 = u32::MAX;
const UNSET: u64 = u64::MAX;
const SLOTS: usize = 64;
const BITS: u32 = 6;
const LEVELS: usize = 6;
/// A tick is 2²⁰ nanoseconds, about a millisecond. The wheel covers 2.3 years.
const TICK_SHIFT: u32 = 20;
/// The maximum distance of a deadline in ticks. It is one slot of the last level less than a full
/// turn, so that the current slot of the last level never contains ticks of two turns.
const REACH: u64 = (1 << (BITS as usize * LEVELS)) - (1 << (BITS as usize * (LEVELS - 1)));

impl Wheel {
    pub(crate) const fn new() -> Self {
        Self {
            nodes: Chunked::new(),
            heads: [[NONE; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            elapsed: 0,
            spreading: NONE,
            started: false,
        }
    }

    /// The memory of one slot.
    pub(crate) const SLOT_BYTES: usize = size_of::<Node>();

    /// Adds one slot.
    pub(crate) fn push(&mut self) {
        self.nodes.push(Node { previous: NONE, next: NONE, tick: UNSET });
    }

    /// Prefetches the slot's timer.
    #[inline(always)]
    pub(crate) fn prefetch(&self, slot: u32) {
        prefetch(&self.nodes[slot]);
    }

    /// The earliest time at which the slot's timer fires.
    pub(crate) fn deadline(&self, slot: u32) -> Option<u64> {
        let tick = self.nodes[slot].tick;
        (tick != UNSET).then_some(tick << TICK_SHIFT)
    }

    /// Sets or moves the slot's timer. It fires at the deadline or up to a tick later.
    pub(crate) fn schedule(&mut self, slot: u32, now: u64, deadline: u64) {
        self.start(now);
        self.cancel(slot);
        let tick = deadline.div_ceil(1 << TICK_SHIFT);
        self.link(slot, tick.clamp(self.elapsed + 1, self.elapsed + REACH));
    }

    /// Cancels the slot's timer.
    pub(crate) fn cancel(&mut self, slot: u32) {
        let Node { previous, next, tick } = self.nodes[slot];
        if tick == UNSET {
            return;
        }
        if next != NONE {
            self.nodes[next].previous = previous;
        }
        if previous == NONE && self.spreading == slot {
            self.spreading = next;
        } else if previous == NONE {
            let (level, position) = self.place(tick);
            self.heads[level][position] = next;
            if next == NONE {
                self.occupied[level] &= !(1 << position);
            }
        } else {
            self.nodes[previous].next = next;
        }
        self.nodes[slot].tick = UNSET;
    }

    /// Returns the next slot whose deadline has passed, and cancels its timer. Each step takes one
    /// from the budget. Returns `None` when the budget is used up.
    pub(crate) fn expired(&mut self, now: u64, budget: &mut usize) -> Option<u32> {
        self.start(now);
        let now = now >> TICK_SHIFT;
        while *budget > 0 {
            *budget -= 1;
            if self.spreading != NONE {
                let slot = self.spreading;
                let Node { next, tick, .. } = self.nodes[slot];
                self.spreading = next;
                if next != NONE {
                    self.nodes[next].previous = NONE;
                }
                self.link(slot, tick);
                continue;
            }
            let Some((level, position, start)) = self.next_occupied().filter(|next| next.2 <= now)
            else {
                self.elapsed = self.elapsed.max(now);
                return None;
            };
            let slot = self.heads[level][position];
            self.elapsed = start;
            if level == 0 {
                self.cancel(slot);
                return Some(slot);
            }
            // The current tick has entered this list's slot: distribute it over the levels below.
            self.heads[level][position] = NONE;
            self.occupied[level] &= !(1 << position);
            self.spreading = slot;
        }
        None
    }

    /// The earliest time at which a timer may fire. `None` if no timer is set.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        if self.spreading != NONE {
            return Some(self.elapsed << TICK_SHIFT);
        }
        self.next_occupied().map(|(_, _, start)| start << TICK_SHIFT)
    }

    fn start(&mut self, now: u64) {
        if !self.started {
            self.started = true;
            self.elapsed = now >> TICK_SHIFT;
        }
    }

    fn link(&mut self, slot: u32, tick: u64) {
        let (level, position) = self.place(tick);
        let head = self.heads[level][position];
        self.nodes[slot] = Node { previous: NONE, next: head, tick };
        if head != NONE {
            self.nodes[head].previous = slot;
        }
        self.heads[level][position] = slot;
        self.occupied[level] |= 1 << position;
    }

    /// The level is that of the highest group of bits in which the tick differs from the current
    /// one. It does not change until the current tick enters the timer's slot on that level; then
    /// the slot is distributed.
    const fn place(&self, tick: u64) -> (usize, usize) {
        let differing = (tick ^ self.elapsed) | 1;
        let level = (differing.ilog2() / BITS) as usize;
        // A tick within reach may still differ in a higher group. Then it wraps around on the last
        // level.
        let level = if level < LEVELS { level } else { LEVELS - 1 };
        (level, (tick >> (level as u32 * BITS)) as usize & (SLOTS - 1))
    }

    /// The first occupied slot, and the tick at which it begins.
    fn next_occupied(&self) -> Option<(usize, usize, u64)> {
        for level in 0..LEVELS {
            let occupied = self.occupied[level];
            if occupied == 0 {
                continue;
            }
            let shift = level as u32 * BITS;
            let present = (self.elapsed >> shift) as usize & (SLOTS - 1);
            let ahead = occupied.rotate_right(present as u32).trailing_zeros() as usize;
            let position = (present + ahead) & (SLOTS - 1);
            let round = self.elapsed >> shift >> BITS << BITS;
            let mut start = (round | position as u64) << shift;
            if position < present {
                start += 1 << (shift + BITS);
            }
            return Some((level, position, start.max(self.elapsed)));
        }
        None
    }
}

#[cfg(test)]
mod tests;
