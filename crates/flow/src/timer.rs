//! When each flow wants to be looked at again.

use crate::chunked::Chunked;
use crate::prefetch::prefetch;

/// A hierarchical timer wheel over the slots of a table, one timer a slot.
///
/// The lists of the wheel run through the slots' nodes, so that setting, moving and cancelling a timer are a handful
/// of stores, nothing is ever stale and memory is 16 bytes a slot. It is meant to be used lazily: a timer is set for the
/// earliest time at which a flow *could* expire, and whoever is told looks whether it has.
#[derive(Debug)]
pub(crate) struct Wheel {
    nodes: Chunked<Node>,
    heads: [[u32; SLOTS]; LEVELS],
    /// One bit a slot that is not empty.
    occupied: [u64; LEVELS],
    /// The tick up to which everything has been fired.
    elapsed: u64,
    /// The first of the slots that were taken off a level and wait for their place on the levels below, all of them due
    /// for it: [`expired`](Self::expired) puts so many there at a time as it may.
    spreading: u32,
    /// Set once the first time is known: before it there is no telling how far away a deadline is.
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
/// A tick is 2²⁰ nanoseconds, about a millisecond; the wheel reaches over 2.3 years.
const TICK_SHIFT: u32 = 20;
/// Ticks that a deadline may be away: one slot of the last level less than a round, so that no tick shares the present
/// slot of the last level with another round.
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

    /// Makes room for one more slot.
    pub(crate) fn push(&mut self) {
        self.nodes.push(Node { previous: NONE, next: NONE, tick: UNSET });
    }

    /// Asks the processor for the slot's timer.
    #[inline(always)]
    pub(crate) fn prefetch(&self, slot: u32) {
        prefetch(&self.nodes[slot]);
    }

    /// When the slot's timer is set for, at the earliest.
    pub(crate) fn deadline(&self, slot: u32) -> Option<u64> {
        let tick = self.nodes[slot].tick;
        (tick != UNSET).then_some(tick << TICK_SHIFT)
    }

    /// Sets or moves the slot's timer; it fires at the deadline or up to a tick later.
    pub(crate) fn schedule(&mut self, slot: u32, now: u64, deadline: u64) {
        self.start(now);
        self.cancel(slot);
        let tick = deadline.div_ceil(1 << TICK_SHIFT);
        self.link(slot, tick.clamp(self.elapsed + 1, self.elapsed + REACH));
    }

    /// Takes the slot's timer away.
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

    /// The next slot whose deadline has passed; its timer is no longer set. Each step towards it takes one off the
    /// budget; without budget there is none.
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
            // Spread the list over the levels below, now that it is near.
            self.heads[level][position] = NONE;
            self.occupied[level] &= !(1 << position);
            self.spreading = slot;
        }
        None
    }

    /// No timer fires before this time; `None` if none is set.
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

    /// The level is that of the highest group of bits in which the tick differs from the present. It stays the same
    /// until time enters the tick's slot on that level, and then the slot is spread.
    const fn place(&self, tick: u64) -> (usize, usize) {
        let differing = (tick ^ self.elapsed) | 1;
        let level = (differing.ilog2() / BITS) as usize;
        // A tick within reach may still differ in a higher group: it goes round on the last level.
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
