//! The bounded queue between the engine and the reader of one conversation.

use std::mem;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use flow::{EndReason, FlowRecord, FlowSide};

use self::lane::Lane;
use crate::api::chunk::Chunk;
use crate::api::error::Error;
use crate::queue::gate::Gate;
use crate::sync::Ordering::Relaxed;
use crate::sync::{AtomicUsize, Mutex, MutexGuard};

mod depth;
pub(crate) mod gate;
pub(crate) mod inbox;
mod item;
mod lane;
#[cfg(all(test, loom))]
mod loom;
pub(crate) mod pool;
pub(crate) mod run;
mod spares;
mod taken;
#[cfg(all(test, not(loom)))]
mod tests;
mod wait;

#[cfg(all(test, not(loom)))]
use self::item::ENTRY_COST;
pub use self::item::SideTotals;
pub(crate) use self::item::{Entry, Item, Unplaced};
pub(crate) use self::spares::{Entries, Spares};
pub(crate) use self::taken::Taken;
pub(crate) use self::wait::Wait;

/// The chunks of a conversation's two sides that wait, and its end.
///
/// As long as one reader takes all in the order in which it came, and is quick enough, what came
/// with a batch changes hands as it is: the engine leaves it as `fresh`, the reader takes the whole
/// of it at once. Else it is sorted into two lanes.
///
/// **Invariants**: what is `fresh` came after what is in the lanes, and that after what the reader
/// has taken but not handed out; a side's entries are in stream order without holes; `order` tells
/// how entries of the two lanes follow each other, and a barrier holds a lane back until the other
/// has caught up; what a full side refuses becomes one gap entry that grows, so its memory is
/// bounded by its limit however long nobody reads.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    /// The cost of what has not been handed out, by side. It grows under the lock, and shrinks
    /// anywhere.
    costs: [AtomicUsize; 2],
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct State<K> {
    fresh: Entries,
    lanes: [Lane; 2],
    /// Each lane has a reader of its own.
    split: bool,
    /// `true` if it counts against `max_conversations`.
    placed: bool,
    next_order: u64,
    end: End<K>,
    totals: [SideTotals; 2],
}

#[derive(Debug)]
enum End<K> {
    Open,
    /// Without the record once a reader of both sides has got it.
    Closed(EndReason, Option<Box<FlowRecord<K>>>),
    /// Given up at this place, because its reader was too slow.
    Overrun {
        side: FlowSide,
        offset: u64,
    },
    /// The engine went away without a word.
    Failed,
}

/// The outcome of a push.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pushed {
    /// Nobody will read any more: the engine may forget the conversation.
    pub(crate) abandoned: bool,
    /// It was given up: the engine may forget it.
    pub(crate) overrun: bool,
    /// A lane is over the limit.
    pub(crate) crowded: bool,
    /// Bytes refused.
    pub(crate) dropped: u64,
}

/// The limits of a queue, and the policy beyond them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Cost that a lane may reach.
    pub(crate) limit: usize,
    /// Cost that all lanes together may reach.
    pub(crate) total: usize,
    pub(crate) beyond: Beyond,
}

/// The policy for entries that a full lane has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// It is taken anyway, and the push reports that the queue is crowded.
    Accept,
    /// It becomes a gap.
    Drop,
    /// The conversation is given up.
    Close,
}

impl<K: Clone> Queue<K> {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        let state = State {
            fresh: Entries::new(),
            lanes: [Lane::default(), Lane::default()],
            split: false,
            placed: false,
            next_order: 0,
            end: End::Open,
            totals: Default::default(),
        };
        Self { state: Mutex::new(state), costs: Default::default(), gate }
    }

    /// Counts against `max_conversations` until it ends or nobody will read it any more.
    pub(crate) fn take_place(&self) {
        // Counted at the gate too, which knows the places of all queues without their locks.
        self.gate.take_place();
        self.lock().placed = true;
    }

    pub(crate) fn leave_place(&self) {
        self.lock().leave_place(&self.gate);
    }

    /// Takes over a batch's entries and leaves `entries` empty, perhaps with other memory. Readers
    /// that wait are added to `wake`, to be woken when all queues have got theirs: one that ran
    /// earlier would contend with the engine for the next queue's lock, and go back to sleep at
    /// once.
    pub(crate) fn push(&self, entries: &mut Entries, room: &Room, wake: &mut Vec<Waker>) -> Pushed {
        let mut state = self.lock();
        let mut pushed = Pushed::default();
        if !self.pass(&mut state, entries, room) {
            self.sort(&mut state, entries, room, &mut pushed);
        }
        wake.extend(state.lanes.iter_mut().filter_map(|lane| lane.take_waker(&self.gate)));
        pushed.abandoned = state.lanes.iter().all(|lane| lane.gone);
        pushed
    }

    /// Takes entries over as they are, where there is room for all of them and nothing that they
    /// would have to wait for.
    #[inline]
    fn pass(&self, state: &mut State<K>, entries: &mut Entries, room: &Room) -> bool {
        let State { fresh, lanes, split, totals, .. } = state;
        if *split || lanes.iter().any(|lane| lane.gone || !lane.is_empty()) {
            return false;
        }
        // All is computed before anything changes, so that entries that do not fit are sorted as if
        // this had not been tried.
        let (mut sums, mut added) = (*totals, [0; 2]);
        for Entry { side, item } in entries.iter() {
            if let Item::Barrier { .. } = item {
                return false;
            }
            sums[index(*side)].count(item);
            added[index(*side)] += item.cost();
        }
        let all = added[0] + added[1];
        let full = |(cost, added): (&AtomicUsize, usize)| cost.load(Relaxed) + added > room.limit;
        if self.costs.iter().zip(added).any(full) || self.gate.queued() + all > room.total {
            return false;
        }
        for (cost, added) in self.costs.iter().zip(added) {
            if added > 0 {
                cost.fetch_add(added, Relaxed);
            }
        }
        self.gate.add(all);
        *totals = sums;
        if fresh.is_empty() {
            // The engine gets the reader's empty memory back and needs no allocation for the next
            // batch.
            mem::swap(fresh, entries);
        } else {
            fresh.append(entries);
        }
        true
    }

    /// Sorts entries into the lanes, one by one, as far as there is room.
    fn sort(&self, state: &mut State<K>, entries: &mut Entries, room: &Room, pushed: &mut Pushed) {
        state.spill();
        for Entry { side, item } in entries.drain(..) {
            let order = state.order();
            let State { lanes, totals, end, .. } = state;
            let (lane, totals) = (&mut lanes[index(side)], &mut totals[index(side)]);
            if lane.gone {
                totals.count(&item);
                continue;
            }
            // The stream ends at the place of the overrun. Bytes after it would follow a hole that
            // the reader is never told of.
            if pushed.overrun {
                totals.count(&item);
                totals.discard(&item, &mut pushed.dropped);
                continue;
            }
            // Acknowledgements without data would otherwise add an entry each while the reader
            // sleeps.
            if let Item::Barrier { other } = item
                && lane.raise_barrier(other)
            {
                continue;
            }
            totals.count(&item);
            let cost = item.cost();
            if self.cost(side) > room.limit / 2 || self.gate.queued() > room.total / 2 {
                // Order between the sides is not worth losing bytes for.
                self.remove(side, lane.lift_barrier());
            }
            let before = self.cost(side);
            // Two limits: the side's own, and that of all conversations together. With `Close` only
            // a side that holds something itself is given up for the second, since otherwise the
            // slow reader of one conversation would end all others.
            let own = before + cost > room.limit;
            let full = own || self.gate.queued() + cost > room.total;
            if !full || room.beyond == Beyond::Accept {
                lane.push(order, item);
                self.add(side, cost);
                pushed.crowded |= full;
            } else if room.beyond == Beyond::Close && (own || before > 0) {
                pushed.overrun = true;
                *end = End::Overrun { side, offset: item.offset() };
                totals.discard(&item, &mut pushed.dropped);
            } else {
                self.add(side, lane.refuse(order, item, totals, &mut pushed.dropped));
            }
        }
    }

    /// The conversation ended; what is queued can still be read.
    pub(crate) fn close(&self, record: Box<FlowRecord<K>>, wake: &mut Vec<Waker>) {
        self.end(End::Closed(record.reason, Some(record)), wake);
    }

    /// The engine panicked.
    pub(crate) fn fail(&self, wake: &mut Vec<Waker>) {
        self.end(End::Failed, wake);
    }

    fn end(&self, end: End<K>, wake: &mut Vec<Waker>) {
        let mut state = self.lock();
        // The first end holds: a conversation that was given up does not close normally afterwards.
        if let End::Open = state.end {
            state.end = end;
        }
        wake.extend(state.lanes.iter_mut().filter_map(|lane| lane.take_waker(&self.gate)));
    }

    /// Returns `true` if a side is over `limit`.
    pub(crate) fn is_over(&self, limit: usize) -> bool {
        self.costs.iter().any(|cost| cost.load(Relaxed) > limit)
    }

    /// Returns `true` if nobody will read any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.lock().lanes.iter().all(|lane| lane.gone)
    }

    pub(crate) fn totals(&self, side: FlowSide) -> SideTotals {
        self.lock().totals[index(side)]
    }

    /// The next entry of both sides in the order in which they came, for a reader of the whole
    /// conversation. What it has taken at once with others is in `taken`.
    #[inline]
    pub(crate) fn poll_both(
        &self,
        taken: &mut Taken,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Chunk<K>, Error>>> {
        match taken.next() {
            Some(entry) => Poll::Ready(self.hand_out_of(entry, taken)),
            None => self.take_both(taken, cx),
        }
    }

    fn take_both(
        &self,
        taken: &mut Taken,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Chunk<K>, Error>>> {
        let mut state = self.lock();
        if state.take(&mut taken.entries, &self.gate)
            && let Some(entry) = taken.next()
        {
            drop(state);
            return Poll::Ready(self.hand_out_of(entry, taken));
        }
        state.spill();
        let polled = self.next_sorted(&mut state, cx);
        drop(state);
        self.gate.notify();
        polled
    }

    /// The next entry of the lanes.
    fn next_sorted(
        &self,
        state: &mut State<K>,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Chunk<K>, Error>>> {
        let side = loop {
            let Some(side) = state.next_side() else {
                return self.poll_end(state, FlowSide::Initiator, cx);
            };
            // A barrier whose offset was reached is removed, and the other side is looked at again:
            // it may have been held back by it.
            if !self.pass_barrier(state, side) {
                break side;
            }
        };
        state.lanes[0].unpark(&self.gate);
        Poll::Ready(self.pop(state, side))
    }

    /// The next entry of one side, for the reader of a half.
    pub(crate) fn poll_side(
        &self,
        side: FlowSide,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Chunk<K>, Error>>> {
        let polled = self.take_side(side, cx);
        self.gate.notify();
        polled
    }

    fn take_side(&self, side: FlowSide, cx: &Context<'_>) -> Poll<Option<Result<Chunk<K>, Error>>> {
        let mut state = self.lock();
        state.spill();
        while self.pass_barrier(&mut state, side) {}
        let lane = &mut state.lanes[index(side)];
        if lane.is_empty() {
            return self.poll_end(&mut state, side, cx);
        }
        lane.unpark(&self.gate);
        Poll::Ready(self.pop(&mut state, side))
    }

    /// Polls for what comes after all entries: the end, or a wait.
    fn poll_end(
        &self,
        state: &mut State<K>,
        side: FlowSide,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Chunk<K>, Error>>> {
        let State { lanes, end, split, .. } = state;
        let lane = &mut lanes[index(side)];
        if let End::Open = end {
            lane.park(&self.gate, cx);
            return Poll::Pending;
        }
        // The end is reported once: to one half each if the conversation was split, else to the
        // reader of both.
        lane.unpark(&self.gate);
        if mem::replace(&mut lane.end_taken, true) {
            return Poll::Ready(None);
        }
        if !*split {
            lanes.iter_mut().for_each(|lane| lane.end_taken = true);
        }
        Poll::Ready(match end {
            End::Closed(reason, record) => {
                let reason = *reason;
                // Two halves get a copy each; a single reader gets the record itself.
                let record = if *split { record.clone() } else { record.take() };
                record.map(|record| Ok(Chunk::Closed { reason, record }))
            }
            End::Overrun { side, offset } => {
                Some(Ok(Chunk::Overrun { side: *side, offset: *offset }))
            }
            End::Open | End::Failed => Some(Err(Error::EnginePanicked)),
        })
    }

    /// A reader stopped waiting without having been woken.
    pub(crate) fn cancel_wait(&self, side: FlowSide) {
        let waker = self.lock().lanes[index(side)].take_waker(&self.gate);
        drop(waker);
    }

    /// From now on each side is read for itself. What the reader had taken already goes back.
    pub(crate) fn split(&self, mut taken: Taken) {
        let entries = mem::take(&mut taken.entries);
        self.release(&mut taken);
        let mut state = self.lock();
        state.split = true;
        state.spill();
        for Entry { side, item } in entries.into_iter().rev() {
            state.lanes[index(side)].put_back(item);
        }
        // A reader that waited for both sides no longer waits.
        let waker = state.lanes[0].take_waker(&self.gate);
        drop(state);
        drop(waker);
    }

    /// Nobody will read this side any more.
    pub(crate) fn abandon(&self, side: FlowSide) {
        let released = {
            let mut state = self.lock();
            state.spill();
            self.gate.remove(self.costs[index(side)].swap(0, Relaxed));
            let released = state.lanes[index(side)].abandon(&self.gate);
            if state.lanes.iter().all(|lane| lane.gone) {
                state.leave_place(&self.gate);
            }
            released
        };
        // Bytes may return a ring block here: not under the lock.
        drop(released);
        self.gate.notify();
    }

    /// Nobody will read either side any more.
    pub(crate) fn abandon_both(&self) {
        let released = {
            let mut state = self.lock();
            for cost in &self.costs {
                self.gate.remove(cost.swap(0, Relaxed));
            }
            state.leave_place(&self.gate);
            let State { fresh, lanes, .. } = &mut *state;
            (mem::take(fresh), lanes.each_mut().map(|lane| lane.abandon(&self.gate)))
        };
        drop(released);
        self.gate.notify();
    }

    fn pop(&self, state: &mut State<K>, side: FlowSide) -> Option<Result<Chunk<K>, Error>> {
        let item = state.lanes[index(side)].pop()?;
        self.remove(side, item.cost());
        item.into_chunk(side).map(Ok)
    }

    /// Hands out one of those that a reader has taken. An idle conversation keeps no memory of its
    /// busy times.
    #[inline]
    fn hand_out_of(&self, entry: Entry, taken: &mut Taken) -> Option<Result<Chunk<K>, Error>> {
        // Counting off a batch at a time: three atomic operations a chunk on counters that the
        // engine writes as well cost 2 % of all time on two processors.
        if taken.is_due() {
            self.release(taken);
        }
        let Entry { side, item } = entry;
        item.into_chunk(side).map(Ok)
    }

    /// Stops counting what was handed out as queued.
    #[inline]
    fn release(&self, taken: &mut Taken) {
        for (cost, handed_out) in self.costs.iter().zip(mem::take(&mut taken.handed_out)) {
            if handed_out > 0 {
                cost.fetch_sub(handed_out, Relaxed);
                self.gate.remove(handed_out);
            }
        }
        if taken.entries.is_empty() {
            self.gate.spares.give(mem::take(&mut taken.entries));
        }
        self.gate.notify();
    }

    /// Takes a barrier off the front of a lane, if there is one.
    fn pass_barrier(&self, state: &mut State<K>, side: FlowSide) -> bool {
        let cost = state.lanes[index(side)].lift_barrier();
        if cost > 0 {
            self.remove(side, cost);
        }
        cost > 0
    }

    fn cost(&self, side: FlowSide) -> usize {
        self.costs[index(side)].load(Relaxed)
    }

    fn add(&self, side: FlowSide, cost: usize) {
        self.costs[index(side)].fetch_add(cost, Relaxed);
        self.gate.add(cost);
    }

    #[inline]
    fn remove(&self, side: FlowSide, cost: usize) {
        self.costs[index(side)].fetch_sub(cost, Relaxed);
        self.gate.remove(cost);
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> State<K> {
    /// Gives all that is there to a reader of both sides who has nothing left, if nothing of it has
    /// to wait.
    #[inline]
    fn take(&mut self, taken: &mut Entries, gate: &Gate) -> bool {
        let Self { fresh, lanes, .. } = self;
        if fresh.is_empty() || lanes.iter().any(|lane| !lane.is_empty()) {
            return false;
        }
        mem::swap(fresh, taken);
        // It looks at nothing else before it has handed all of this out.
        for Entry { side, item } in taken.iter() {
            if let Some(end) = item.end() {
                lanes[index(*side)].delivered = end;
            }
        }
        lanes[0].unpark(gate);
        true
    }

    /// Sorts what is fresh into the lanes.
    #[inline]
    fn spill(&mut self) {
        if self.fresh.is_empty() {
            return;
        }
        // The memory goes as well: an idle conversation keeps none from its busy times.
        for Entry { side, item } in mem::take(&mut self.fresh) {
            let order = self.order();
            self.lanes[index(side)].push(order, item);
        }
    }

    fn leave_place(&mut self, gate: &Gate) {
        if mem::take(&mut self.placed) {
            gate.leave_place();
        }
    }

    fn order(&mut self) -> u64 {
        self.next_order += 1;
        self.next_order
    }

    /// The lane with the next entry: the older of the two that need not wait for the other side.
    fn next_side(&self) -> Option<FlowSide> {
        let [initiator, responder] = &self.lanes;
        // Nothing more will come for which anything could wait.
        let ended = !matches!(self.end, End::Open);
        match (initiator.front(responder), responder.front(initiator)) {
            // Where both wait for each other, which no pair of hosts brings about, the older goes
            // first.
            (Some(a), Some(b)) if a < b => Some(FlowSide::Initiator),
            (Some(_), Some(_)) => Some(FlowSide::Responder),
            (Some((waits, _)), None) if !waits || ended => Some(FlowSide::Initiator),
            (None, Some((waits, _))) if !waits || ended => Some(FlowSide::Responder),
            _ => None,
        }
    }
}

#[inline]
fn index(side: FlowSide) -> usize {
    match side {
        FlowSide::Initiator => 0,
        FlowSide::Responder => 1,
    }
}
