//! One side of a queue whose sides are read one by one, or where one has to wait for the other.

use std::collections::VecDeque;
use std::mem;
use std::task::{Context, Waker};

use super::item::{ENTRY_COST, Item, SideTotals};
use crate::api::chunk;
use crate::queue::gate::Gate;

#[derive(Debug, Default)]
pub(super) struct Lane {
    entries: VecDeque<Ordered>,
    /// The stream offset up to which the reader has got everything.
    pub(super) delivered: u64,
    waker: Option<Waker>,
    parked: bool,
    pub(super) gone: bool,
    pub(super) end_taken: bool,
}

/// An item with its place among those of both lanes.
#[derive(Debug)]
struct Ordered {
    order: u64,
    item: Item,
}

impl Lane {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn push(&mut self, order: u64, item: Item) {
        self.entries.push_back(Ordered { order, item });
    }

    /// Puts something back that was to be given to a reader of both lanes, but was not.
    pub(super) fn put_back(&mut self, item: Item) {
        self.entries.push_front(Ordered { order: 0, item });
    }

    /// Takes the first item for the reader.
    pub(super) fn pop(&mut self) -> Option<Item> {
        let Ordered { item, .. } = self.entries.pop_front()?;
        if let Some(end) = item.end() {
            self.delivered = end;
        }
        if self.entries.is_empty() {
            // An idle conversation keeps no memory of its busy times.
            self.entries = VecDeque::new();
        }
        Some(item)
    }

    /// Returns `true` if the first item has to wait for the other lane, and its order.
    pub(super) fn front(&self, other: &Self) -> Option<(bool, u64)> {
        let Ordered { order, item } = self.entries.front()?;
        let waits = matches!(item, Item::Barrier { other: end } if *end > other.delivered);
        Some((waits, *order))
    }

    /// Takes a barrier off the front, if there is one; what it had cost.
    pub(super) fn lift_barrier(&mut self) -> usize {
        if let Some(Ordered { item: Item::Barrier { .. }, .. }) = self.entries.front() {
            self.entries.pop_front();
            return ENTRY_COST;
        }
        0
    }

    /// Lets the last item, if it is a barrier, stand for another one behind it.
    pub(super) fn raise_barrier(&mut self, end: u64) -> bool {
        if let Some(Ordered { item: Item::Barrier { other }, .. }) = self.entries.back_mut() {
            *other = end.max(*other);
            return true;
        }
        false
    }

    /// A full lane gets no more bytes, but knows how many it did not get. Returns the cost of what
    /// was added.
    pub(super) fn refuse(
        &mut self,
        order: u64,
        item: Item,
        totals: &mut SideTotals,
        dropped: &mut u64,
    ) -> usize {
        totals.discard(&item, dropped);
        let gap = match item {
            Item::Data(data) => chunk::dropped(data.offset(), data.len() as u64),
            Item::Run(run) => chunk::dropped(run.offset(), run.len() as u64),
            Item::Gap(gap) => gap,
            // No place in the ordered stream depends on these.
            Item::Late(_) | Item::Unplaced(_) | Item::Conflict(_) | Item::Barrier { .. } => {
                return 0;
            }
            Item::Finished { len } => {
                // At most one a lane.
                self.push(order, Item::Finished { len });
                return ENTRY_COST;
            }
        };
        // Gaps that touch grow into one, so that a reader that never comes back costs one entry
        // however much it misses.
        if let Some(Ordered { item: Item::Gap(before), .. }) = self.entries.back_mut()
            && before.offset + before.len == gap.offset
        {
            chunk::extend(before, &gap);
            return 0;
        }
        self.push(order, Item::Gap(gap));
        ENTRY_COST
    }

    /// Its reader found nothing.
    pub(super) fn park(&mut self, gate: &Gate, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        // A reader that is polled twice without being woken is still one waiting reader.
        if !mem::replace(&mut self.parked, true) {
            gate.park();
        }
    }

    #[inline]
    pub(super) fn unpark(&mut self, gate: &Gate) {
        if mem::take(&mut self.parked) {
            gate.unpark();
        }
    }

    #[inline]
    pub(super) fn take_waker(&mut self, gate: &Gate) -> Option<Waker> {
        self.unpark(gate);
        self.waker.take()
    }

    /// Nobody will read it any more: what it held.
    #[must_use]
    pub(super) fn abandon(&mut self, gate: &Gate) -> impl Sized + use<> {
        self.gone = true;
        (self.take_waker(gate), mem::take(&mut self.entries))
    }
}
