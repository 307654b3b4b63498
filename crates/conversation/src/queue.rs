//! The bounded queue between the engine and the reader of one conversation.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::task::{Context, Poll, Waker};

use flow::{EndReason, FlowRecord, FlowSide};

use crate::chunk::{Chunk, ChunkData, GapCause};
use crate::error::Error;
use crate::gate::Gate;
use crate::sync::{Mutex, MutexGuard};

#[cfg(all(test, loom))]
mod loom;
#[cfg(all(test, not(loom)))]
mod tests;

/// What an entry costs besides its bytes.
pub(crate) const ENTRY_COST: usize = size_of::<Entry>();

/// The two lanes of a conversation, one a side, with its end.
///
/// **Invariants**: entries of a lane are in stream order without holes; `order` tells how entries of the two lanes
/// follow each other, and a barrier holds a lane back until the other has caught up; what a full lane refuses becomes
/// one gap entry that grows, so a lane's memory is bounded by its limit however long nobody reads.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct State<K> {
    lanes: [Lane; 2],
    next_order: u64,
    end: End<K>,
    totals: [SideTotals; 2],
}

#[derive(Debug)]
enum End<K> {
    Open,
    Closed(EndReason, Box<FlowRecord<K>>),
    /// Given up at this place, because its reader was too slow.
    Overrun {
        side: FlowSide,
        offset: u64,
    },
    /// The engine went away without a word.
    Failed,
}

#[derive(Debug, Default)]
struct Lane {
    entries: VecDeque<Entry>,
    cost: usize,
    /// The stream offset up to which the reader has got everything.
    delivered: u64,
    waker: Option<Waker>,
    parked: bool,
    gone: bool,
    end_taken: bool,
}

#[derive(Debug)]
pub(crate) struct Entry {
    order: u64,
    item: Item,
}

/// What the engine puts into a lane.
#[derive(Debug)]
pub(crate) enum Item {
    Data(ChunkData),
    Gap {
        offset: u64,
        len: u64,
        cause: GapCause,
    },
    Late(ChunkData),
    Finished {
        len: u64,
    },
    /// What follows was said by one who had the other side's bytes up to this offset.
    Barrier {
        other: u64,
    },
}

/// What a side has said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideTotals {
    /// Bytes captured and handed to the reader's queue.
    pub bytes: u64,
    /// Bytes missing, whatever the cause.
    pub gap_bytes: u64,
    /// Bytes of those that were captured but dropped because the reader was too slow.
    pub dropped_bytes: u64,
}

/// What came of a push.
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

/// What the engine does when a lane is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Cost that a lane may reach.
    pub(crate) limit: usize,
    /// Cost that all lanes together may reach.
    pub(crate) total: usize,
    pub(crate) beyond: Beyond,
}

/// What happens to what a full lane has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// It is taken all the same, and the push says that the queue is crowded.
    Accept,
    /// It becomes a gap.
    Drop,
    /// The conversation is given up.
    Close,
}

impl<K: Clone> Queue<K> {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        let state = State {
            lanes: [Lane::default(), Lane::default()],
            next_order: 0,
            end: End::Open,
            totals: Default::default(),
        };
        Self { state: Mutex::new(state), gate }
    }

    /// Takes over a batch's items. Readers that wait are added to `wake`, to be woken when all queues have got theirs:
    /// one that ran earlier would contend with the engine for the next queue's lock, and go back to sleep at once.
    pub(crate) fn push(
        &self,
        items: impl IntoIterator<Item = (FlowSide, Item)>,
        room: Room,
        wake: &mut Vec<Waker>,
    ) -> Pushed {
        let mut pushed = Pushed::default();
        {
            let mut state = self.lock();
            let mut added = 0;
            for (side, item) in items {
                let order = state.next_order;
                state.next_order += 1;
                let State { lanes, totals, end, .. } = &mut *state;
                let (lane, totals) = (&mut lanes[index(side)], &mut totals[index(side)]);
                if lane.gone || pushed.overrun {
                    totals.count(&item);
                    continue;
                }
                if let Item::Barrier { other } = item
                    && lane.raise_barrier(other)
                {
                    continue;
                }
                totals.count(&item);
                let cost = item.cost();
                let queued = self.gate.queued() + added;
                if lane.cost > room.limit / 2 || queued > room.total / 2 {
                    // Order between the sides is not worth losing bytes for.
                    let freed = lane.lift_barrier();
                    self.gate.remove(freed);
                }
                let own = lane.cost + cost > room.limit;
                let full = own || queued + cost > room.total;
                if !full || room.beyond == Beyond::Accept {
                    if lane.entries.capacity() == 0 {
                        lane.entries = self.gate.spares.take();
                    }
                    lane.entries.push_back(Entry { order, item });
                    lane.cost += cost;
                    added += cost;
                    pushed.crowded |= full;
                } else if room.beyond == Beyond::Close && (own || lane.cost > 0) {
                    pushed.overrun = true;
                    *end = End::Overrun { side, offset: item.offset() };
                    totals.discard(&item, &mut pushed.dropped);
                } else {
                    added += lane.refuse(order, item, totals, &mut pushed.dropped);
                }
            }
            self.gate.add(added);
            wake.extend(state.lanes.iter_mut().filter_map(|lane| lane.take_waker(&self.gate)));
            pushed.abandoned = state.lanes.iter().all(|lane| lane.gone);
        }
        pushed
    }

    /// The conversation ended; what is queued can still be read.
    pub(crate) fn close(&self, record: Box<FlowRecord<K>>, wake: &mut Vec<Waker>) {
        self.end(End::Closed(record.reason, record), wake);
    }

    /// The engine panicked.
    pub(crate) fn fail(&self, wake: &mut Vec<Waker>) {
        self.end(End::Failed, wake);
    }

    fn end(&self, end: End<K>, wake: &mut Vec<Waker>) {
        let mut state = self.lock();
        if let End::Open = state.end {
            state.end = end;
        }
        wake.extend(state.lanes.iter_mut().filter_map(|lane| lane.take_waker(&self.gate)));
    }

    /// Loads the lock, so that it is at hand; whether a panic has left it poisoned.
    pub(crate) fn look(&self) -> bool {
        #[cfg(not(loom))]
        return self.state.is_poisoned();
        #[cfg(loom)]
        false
    }

    /// Whether a lane is over `limit`.
    pub(crate) fn is_over(&self, limit: usize) -> bool {
        self.lock().lanes.iter().any(|lane| !lane.gone && lane.cost > limit)
    }

    /// Whether nobody will read any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.lock().lanes.iter().all(|lane| lane.gone)
    }

    pub(crate) fn totals(&self, side: FlowSide) -> SideTotals {
        self.lock().totals[index(side)]
    }

    /// The next entry of both sides in the order in which they came, for a reader of the whole conversation.
    pub(crate) fn poll_both(&self, cx: &Context<'_>) -> Poll<Option<Result<Chunk<K>, Error>>> {
        let polled = self.lock().poll_both(&self.gate, cx);
        self.gate.notify();
        polled
    }

    /// The next entry of one side, for the reader of a half.
    pub(crate) fn poll_side(
        &self,
        side: FlowSide,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Chunk<K>, Error>>> {
        let polled = self.lock().poll_side(side, &self.gate, cx);
        self.gate.notify();
        polled
    }

    /// A reader stopped waiting without having been woken.
    pub(crate) fn cancel_wait(&self, side: FlowSide) {
        let waker = self.lock().lanes[index(side)].take_waker(&self.gate);
        drop(waker);
    }

    /// Nobody will read this side any more.
    pub(crate) fn abandon(&self, side: FlowSide) {
        let released = {
            let mut state = self.lock();
            let lane = &mut state.lanes[index(side)];
            lane.gone = true;
            self.gate.remove(mem::take(&mut lane.cost));
            (lane.take_waker(&self.gate), mem::take(&mut lane.entries))
        };
        // Bytes may return a ring block here: not under the lock.
        drop(released);
        self.gate.notify();
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone> State<K> {
    fn poll_both(
        &mut self,
        gate: &Gate,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Chunk<K>, Error>>> {
        let side = loop {
            let side = match self.next_side() {
                Some(side) => side,
                None => return self.lanes[0].poll_end(&self.end, gate, cx),
            };
            if !self.lanes[index(side)].pass_barrier(gate) {
                break side;
            }
        };
        self.lanes[0].unpark(gate);
        Poll::Ready(self.lanes[index(side)].pop(side, gate).map(Ok))
    }

    /// Whose entry is next: the older of the two that need not wait for the other side.
    fn next_side(&self) -> Option<FlowSide> {
        let [initiator, responder] = &self.lanes;
        let front = |lane: &Lane, other: &Lane| {
            let Entry { order, item } = lane.entries.front()?;
            let waits = matches!(item, Item::Barrier { other: end } if *end > other.delivered);
            Some((waits, *order))
        };
        // Nothing more will come for which anything could wait.
        let ended = !matches!(self.end, End::Open);
        match (front(initiator, responder), front(responder, initiator)) {
            // Where both wait for each other, which no pair of hosts brings about, the older goes first.
            (Some(a), Some(b)) if a < b => Some(FlowSide::Initiator),
            (Some(_), Some(_)) => Some(FlowSide::Responder),
            (Some((waits, _)), None) if !waits || ended => Some(FlowSide::Initiator),
            (None, Some((waits, _))) if !waits || ended => Some(FlowSide::Responder),
            _ => None,
        }
    }

    fn poll_side(
        &mut self,
        side: FlowSide,
        gate: &Gate,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Chunk<K>, Error>>> {
        let lane = &mut self.lanes[index(side)];
        while lane.pass_barrier(gate) {}
        if lane.entries.is_empty() {
            return lane.poll_end(&self.end, gate, cx);
        }
        lane.unpark(gate);
        Poll::Ready(lane.pop(side, gate).map(Ok))
    }
}

impl Lane {
    fn pop<K>(&mut self, side: FlowSide, gate: &Gate) -> Option<Chunk<K>> {
        let entry = self.entries.pop_front()?;
        let cost = entry.item.cost();
        self.cost -= cost;
        gate.remove(cost);
        match &entry.item {
            Item::Data(data) => self.delivered = data.offset() + data.len() as u64,
            Item::Gap { offset, len, .. } => self.delivered = offset + len,
            _ => {}
        }
        if self.entries.is_empty() {
            // An idle conversation keeps no memory of its busy times.
            gate.spares.give(mem::take(&mut self.entries));
        }
        entry.item.into_chunk(side)
    }

    /// Takes a barrier off the front, if there is one.
    fn pass_barrier(&mut self, gate: &Gate) -> bool {
        let cost = self.lift_barrier();
        gate.remove(cost);
        cost > 0
    }

    /// The same; what it had cost.
    fn lift_barrier(&mut self) -> usize {
        if let Some(Entry { item: Item::Barrier { .. }, .. }) = self.entries.front() {
            self.entries.pop_front();
            self.cost -= ENTRY_COST;
            return ENTRY_COST;
        }
        0
    }

    /// Lets the last entry, if it is a barrier, stand for another one behind it.
    fn raise_barrier(&mut self, end: u64) -> bool {
        if let Some(Entry { item: Item::Barrier { other }, .. }) = self.entries.back_mut() {
            *other = end.max(*other);
            return true;
        }
        false
    }

    /// What is there once the lane is empty: the end, or a wait.
    fn poll_end<K: Clone>(
        &mut self,
        end: &End<K>,
        gate: &Gate,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Chunk<K>, Error>>> {
        if let End::Open = end {
            match &mut self.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            if !mem::replace(&mut self.parked, true) {
                gate.park();
            }
            return Poll::Pending;
        }
        self.unpark(gate);
        if mem::replace(&mut self.end_taken, true) {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(match end {
            End::Closed(reason, record) => {
                Ok(Chunk::Closed { reason: *reason, record: record.clone() })
            }
            End::Overrun { side, offset } => Ok(Chunk::Overrun { side: *side, offset: *offset }),
            End::Open | End::Failed => Err(Error::EnginePanicked),
        }))
    }

    /// A full lane gets no more bytes, but knows how many it did not get. Returns the cost of what was added.
    fn refuse(
        &mut self,
        order: u64,
        item: Item,
        totals: &mut SideTotals,
        dropped: &mut u64,
    ) -> usize {
        totals.discard(&item, dropped);
        let (offset, len, cause) = match item {
            Item::Data(data) => (data.offset(), data.len() as u64, GapCause::SlowReader),
            Item::Gap { offset, len, cause } => (offset, len, cause),
            // No place in the ordered stream depends on these.
            Item::Late(_) | Item::Barrier { .. } => return 0,
            Item::Finished { len } => {
                // At most one a lane.
                self.entries.push_back(Entry { order, item: Item::Finished { len } });
                self.cost += ENTRY_COST;
                return ENTRY_COST;
            }
        };
        if let Some(Entry { item: Item::Gap { offset: start, len: before, cause: known }, .. }) =
            self.entries.back_mut()
            && *start + *before == offset
        {
            *before += len;
            // Of two causes the one that the reader can do something about is told.
            if cause == GapCause::SlowReader {
                *known = cause;
            }
            return 0;
        }
        self.entries.push_back(Entry { order, item: Item::Gap { offset, len, cause } });
        self.cost += ENTRY_COST;
        ENTRY_COST
    }

    fn take_waker(&mut self, gate: &Gate) -> Option<Waker> {
        self.unpark(gate);
        self.waker.take()
    }

    fn unpark(&mut self, gate: &Gate) {
        if mem::take(&mut self.parked) {
            gate.unpark();
        }
    }
}

/// Memory of lanes that were read empty, for others: most conversations say a little at a time.
#[derive(Debug, Default)]
pub(crate) struct Spares(StdMutex<Vec<VecDeque<Entry>>>);

impl Spares {
    /// How many there are at most.
    const MOST: usize = 1024;
    /// Entries that each has room for: more than that is given back to the allocator.
    const ROOM: usize = 4;

    fn take(&self) -> VecDeque<Entry> {
        let spare = self.0.try_lock().ok().and_then(|mut spares| spares.pop());
        spare.unwrap_or_else(|| VecDeque::with_capacity(Self::ROOM))
    }

    /// Takes the memory of an empty lane.
    fn give(&self, entries: VecDeque<Entry>) {
        if entries.capacity() == Self::ROOM
            && let Ok(mut spares) = self.0.try_lock()
            && spares.len() < Self::MOST
        {
            spares.push(entries);
        }
    }
}

impl Item {
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Data(data) | Self::Late(data) => ENTRY_COST + data.len(),
            Self::Gap { .. } | Self::Finished { .. } | Self::Barrier { .. } => ENTRY_COST,
        }
    }

    /// Its place in its side's stream.
    fn offset(&self) -> u64 {
        match self {
            Self::Data(data) | Self::Late(data) => data.offset(),
            Self::Gap { offset, .. } | Self::Finished { len: offset } => *offset,
            Self::Barrier { .. } => 0,
        }
    }

    fn into_chunk<K>(self, side: FlowSide) -> Option<Chunk<K>> {
        Some(match self {
            Self::Data(data) => match side {
                FlowSide::Initiator => Chunk::Initiator(data),
                FlowSide::Responder => Chunk::Responder(data),
            },
            Self::Gap { offset, len, cause } => Chunk::Gap { side, offset, len, cause },
            Self::Late(data) => Chunk::Late { side, data },
            Self::Finished { len } => Chunk::Finished { side, len },
            Self::Barrier { .. } => return None,
        })
    }
}

impl SideTotals {
    fn count(&mut self, item: &Item) {
        match item {
            Item::Data(data) => self.bytes += data.len() as u64,
            Item::Gap { len, .. } => self.gap_bytes += len,
            Item::Late(_) | Item::Finished { .. } | Item::Barrier { .. } => {}
        }
    }

    /// What was counted a moment ago is not handed on.
    fn discard(&mut self, item: &Item, dropped: &mut u64) {
        match item {
            Item::Data(data) => {
                let len = data.len() as u64;
                self.bytes -= len;
                self.gap_bytes += len;
                self.dropped_bytes += len;
                *dropped += len;
            }
            Item::Late(data) => *dropped += data.len() as u64,
            Item::Gap { .. } | Item::Finished { .. } | Item::Barrier { .. } => {}
        }
    }
}

fn index(side: FlowSide) -> usize {
    match side {
        FlowSide::Initiator => 0,
        FlowSide::Responder => 1,
    }
}
