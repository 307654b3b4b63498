//! From the events of the flow table to the queues of the readers.

mod places;
mod slot;

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use flow::{
    Conflict, Data, Datagram, FirstPacket, Flow, FlowHandler, FlowId, FlowRecord, FlowSide, Gap,
    GapCause, TcpFlags, Unplaced, prefetch_bytes, protocol,
};

use self::places::Places;
use self::slot::{Slot, place, usual};
use crate::api::chunk::{self, ChunkData};
use crate::api::error::Error;
use crate::api::settings::{OnLimit, Overflow, Retention, Settings};
use crate::engine;
use crate::engine::admission::Admission;
use crate::engine::counters::Counters;
use crate::engine::delivery::Delivery;
use crate::engine::observe;
use crate::engine::pinned::Pinned;
use crate::queue::gate::Gate;
use crate::queue::pool::Pool;
use crate::queue::run::Run;
use crate::queue::{self, Beyond, Entries, Entry, Item, Pushed, Room, Spares};
use crate::select::Selected;

/// Segments shorter than this are copied: keeping a whole block for them costs more.
const BORROW_AT_LEAST: usize = 512;

/// The memory that pooled copies may keep from being used again.
const POOL_AT_MOST: usize = 64 << 20;
/// The memory that a file was read into which chunks may keep.
const PINNED_AT_MOST: usize = 256 << 20;
/// Conversations that are looked at to find one that makes room.
const CANDIDATES: usize = 16;
/// The distance, in queues, of the prefetch from the one that is locked.
const QUEUES_AHEAD: usize = 12;
/// The distance, in tasks, of the prefetch from the one that is woken.
const TASKS_AHEAD: usize = 6;
/// The bytes of each that are prefetched.
const TASK: usize = 512;

/// Collects what a batch brings, or several of a file, and hands it to the readers.
#[derive(Debug)]
pub(crate) struct ConversationSink<K: Clone, D: Delivery<K>> {
    /// By the slot of the flow's id.
    slots: Places<Slot<D::Route>>,
    /// Slots with something pending.
    touched: Vec<u32>,
    /// The cost of all that is pending.
    collected: usize,
    /// Conversations that have ended. Their readers hear of it with all others: one whose waker was
    /// taken does not count as parked any more, so that the engine might go to sleep before it
    /// wakes it.
    ended: Vec<Ended<K, D::Route>>,
    /// The largest cost that is collected before it is handed over.
    gather: usize,
    /// Memory for what is collected.
    spares: Vec<Entries>,
    /// Readers to be woken when the batch is done.
    wake: Vec<Waker>,
    /// Flows that make room for others.
    evicted: Vec<FlowId>,
    /// The position at which the search for one continues.
    hand: usize,
    /// Batches so far, modulo 2³².
    batch: u32,
    /// The memory that the batch's packets lie in.
    retained: Option<Bytes>,
    /// Counts that memory. `None` for a ring, which has a bound of its own.
    pinned: Option<Pinned>,
    pool: Pool,
    admission: Admission<K>,
    delivery: D,
    gate: Arc<Gate>,
    counters: Arc<Counters>,
    settings: Settings,
    /// Large segments stay in the batch's memory.
    borrows: bool,
    /// The source can wait for slow readers.
    patient: bool,
    /// Conversations of which nothing is pending take no place.
    rests: bool,
    /// The flow that was admitted last does not begin with a SYN.
    midway: bool,
    /// The conditions that the flow which begins next meets.
    selected: Option<Selected>,
}

/// A conversation whose slot may have another by now.
#[derive(Debug)]
struct Ended<K, R> {
    route: R,
    pending: Entries,
    record: Box<FlowRecord<K>>,
}

impl<K: Clone + Send + 'static, D: Delivery<K>> ConversationSink<K, D> {
    pub(crate) fn new(
        settings: Settings,
        admission: Admission<K>,
        live: bool,
        delivery: D,
        gate: Arc<Gate>,
        counters: Arc<Counters>,
    ) -> Self {
        let is_limited = admission.is_limited();
        Self {
            slots: Places::new(),
            touched: Vec::new(),
            collected: 0,
            ended: Vec::new(),
            gather: (settings.conversation_limit / 16).min(settings.total_limit / 16),
            spares: Vec::new(),
            wake: Vec::new(),
            evicted: Vec::new(),
            hand: 0,
            batch: 0,
            retained: None,
            pinned: (!live).then(|| Pinned::new(PINNED_AT_MOST.min(settings.total_limit / 4))),
            pool: Pool::new(POOL_AT_MOST.min(settings.total_limit)),
            admission,
            delivery,
            gate,
            counters,
            settings,
            // A ring stops at a block that somebody keeps, however many others are free.
            borrows: match settings.retention {
                Retention::Adaptive => !live,
                Retention::Copy => false,
                Retention::Borrow => true,
            },
            patient: !live || settings.overflow == Overflow::Block,
            rests: !is_limited && D::RESTS,
            midway: false,
            selected: None,
        }
    }

    /// Hands over what is pending for a slot, and forgets the slot if nothing more is to follow.
    fn flush_slot(&mut self, index: usize, room: &Room) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.pending.is_empty() {
            return;
        }
        let pushed = self.delivery.push(&slot.route, &mut slot.pending, room, &mut self.wake);
        if slot.pending.is_empty() {
            Spares::keep(&mut self.spares, &mut slot.pending);
        } else {
            // There is no room even for the news of what was dropped.
            self.touched.push(index as u32);
        }
        let rests = self.rests && slot.pending.is_empty() && slot.offsets.is_none();
        let usual_run = slot.usual_run;
        self.count(pushed);
        if pushed.abandoned || pushed.overrun {
            self.forget(index);
        } else if rests {
            self.slots.rest(index, usual_run);
        }
    }

    fn count(&self, pushed: Pushed) {
        if pushed.dropped > 0 {
            self.counters.dropped_bytes.add(pushed.dropped);
        }
        if pushed.overrun {
            self.counters.overruns.add(1);
        }
    }

    fn room(&self) -> Room {
        Room {
            limit: self.settings.conversation_limit,
            total: self.settings.total_limit,
            beyond: match self.settings.overflow {
                _ if self.patient => Beyond::Accept,
                Overflow::Close => Beyond::Close,
                Overflow::Drop | Overflow::Block => Beyond::Drop,
            },
        }
    }

    /// Releases a conversation; what its reader has in the queue stays.
    fn forget(&mut self, index: usize) -> Option<Slot<D::Route>> {
        let slot = self.slots.remove(index)?;
        if self.admission.is_limited() {
            self.delivery.leave_place(&slot.route);
        }
        Some(slot)
    }

    /// Returns `true` if the limit of conversations is reached.
    fn is_full(&self) -> bool {
        self.admission.is_limited() && self.gate.places() >= self.admission.max
    }

    /// Chooses a conversation that makes room: the most silent of a few.
    fn evict(&mut self) {
        let mut victim: Option<(u32, usize)> = None;
        for _ in 0..CANDIDATES.min(self.slots.len()) {
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = self.slots.get(self.hand);
            if slot.is_some_and(|slot| self.delivery.is_abandoned(&slot.route)) {
                // It has no place any more.
                self.forget(self.hand);
            } else if let Some(slot) = self.slots.get(self.hand)
                && !slot.evicted
            {
                let silent = self.batch.wrapping_sub(slot.last_batch);
                victim = victim.max(Some((silent, self.hand)));
            }
        }
        // Where all of these are about to go, there is room soon.
        if let Some((_, index)) = victim
            && let Some(slot) = self.slots.get_mut(index)
        {
            slot.evicted = true;
            self.evicted.push(slot.id);
        }
    }

    /// Returns `true` if a flow is a conversation.
    fn wants(&self, flow: &Flow<'_, K>) -> bool {
        flow.protocol == protocol::TCP || self.settings.datagrams
    }

    /// Returns `true` if a flow is a conversation that somebody may read.
    fn has(&self, flow: &Flow<'_, K>) -> bool {
        self.slots.has(flow.id.slot())
    }

    /// Collects something for a flow, if it is a conversation.
    #[inline]
    fn put(&mut self, flow: &Flow<'_, K>, side: FlowSide, item: Item) {
        let Some(slot) = place::<K, D>(&mut self.slots, flow, self.batch) else { return };
        slot.last_batch = self.batch;
        self.collected += item.cost();
        if slot.pending.is_empty() {
            self.touched.push(flow.id.slot() as u32);
            if slot.pending.capacity() == 0 {
                slot.pending = self.spares.pop().unwrap_or_default();
            }
        }
        slot.pending.push_back(Entry { side, item });
    }

    /// Makes the next bytes of a side wait for the other side's before an offset, unless its last
    /// bytes do already.
    fn await_other(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        let Some(slot) = place::<K, D>(&mut self.slots, flow, self.batch) else { return };
        slot.await_up_to(side.opposite(), offset);
        let last = slot.pending.iter().rev().take(2).find(|entry| {
            entry.side != side || matches!(entry.item, Item::Barrier { .. } | Item::Gap(_))
        });
        let waits = last.is_some_and(|entry| {
            entry.side == side && matches!(entry.item, Item::Barrier { other } if other >= offset)
        });
        if !waits {
            self.put(flow, side, Item::Barrier { other: offset });
        }
    }

    /// Bytes of a flow were not captured.
    fn miss(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap)
    where
        K: fmt::Debug,
    {
        self.counters.gap(flow, side, &gap);
        self.put(flow, side, Item::Gap(gap));
    }

    /// Copies a segment behind the one before it, if they follow each other.
    fn copy(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: &Data<'_>) {
        let Some(slot) = place::<K, D>(&mut self.slots, flow, self.batch) else { return };
        // A run must not reach beyond what the other side waits for: what follows may have been
        // said later.
        let is_awaited = self.settings.causal && slot.is_awaited(side, data.offset);
        if let Some(Entry { side: before, item: Item::Run(run) }) = slot.pending.back_mut()
            && *before == side
            && !is_awaited
            && run.extend(data, self.settings.span, &mut self.pool)
        {
            slot.last_batch = self.batch;
            slot.usual_run = usual(run.len());
            self.collected += data.bytes.len();
            return;
        }
        let usual = mem::replace(&mut slot.usual_run, usual(data.bytes.len()));
        let run = Run::new(data, usual as usize, &mut self.pool);
        self.put(flow, side, Item::Run(run));
    }

    /// The bytes as part of the batch's memory, if they lie there and are worth it.
    fn borrow(&self, bytes: &[u8]) -> Option<Bytes> {
        let retained = self.retained.as_ref().filter(|_| bytes.len() >= BORROW_AT_LEAST)?;
        let (start, first) = (retained.as_ptr() as usize, bytes.as_ptr() as usize);
        let at = first.checked_sub(start)?;
        (at + bytes.len() <= retained.len()).then(|| retained.slice(at..at + bytes.len()))
    }
}

impl<K, D> FlowHandler<K> for ConversationSink<K, D>
where
    K: Clone + fmt::Debug + Send + 'static,
    D: Delivery<K>,
{
    /// Flows that are not conversations are tracked without asking: what they bring is not kept
    /// anyway.
    fn admits(&mut self, flow: &Flow<'_, K>, first: &FirstPacket<'_>) -> bool {
        if !self.wants(flow) {
            return true;
        }
        let admission = &self.admission;
        if !admission.admits(flow, first, &self.counters) {
            return false;
        }
        if (admission.on_limit == OnLimit::Refuse && self.is_full())
            || (!self.patient && !self.delivery.has_room(&self.settings))
        {
            self.counters.refused.add(1);
            return false;
        }
        // It begins next.
        self.midway = flow.protocol == protocol::TCP && !first.flags.contains(TcpFlags::SYN);
        true
    }

    fn on_start(&mut self, flow: &Flow<'_, K>) {
        let index = flow.id.slot();
        // A flow whose slot had another before it: that one's `on_end` has emptied it.
        self.forget(index);
        if !self.wants(flow) {
            self.counters.datagram_flows.add(1);
            return;
        }
        if self.delivery.is_gone() {
            return;
        }
        if self.is_full() {
            self.evict();
        }
        self.counters.began(flow, true);
        let route = self.delivery.announce(flow, self.midway, self.selected.take(), &self.settings);
        if self.admission.is_limited() {
            self.delivery.take_place(&route);
        }
        if self.rests {
            self.slots.insert_resting(index, 0);
        } else {
            self.slots.insert(index, Slot::new(flow.id, route, self.batch));
        }
    }

    fn on_data(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        self.counters.bytes.add(data.bytes.len() as u64);
        if data.depends_on > 0 && self.settings.causal {
            self.await_other(flow, side, data.depends_on);
        }
        match self.borrow(data.bytes) {
            Some(bytes) => {
                let chunk = ChunkData::new(bytes, data.offset, data.timestamp, data.packet_number);
                self.put(flow, side, Item::Data(chunk));
            }
            None => self.copy(flow, side, &data),
        }
    }

    fn on_ack_ahead(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        if self.settings.causal
            && let Some(slot) = place::<K, D>(&mut self.slots, flow, self.batch)
        {
            slot.await_up_to(side, offset);
            self.put(flow, side.opposite(), Item::Barrier { other: offset });
        }
    }

    fn on_gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        self.miss(flow, side, gap);
    }

    fn on_late(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        self.counters.late_bytes.add(data.bytes.len() as u64);
        if self.has(flow) {
            let bytes = self.pool.copy(data.bytes);
            let chunk = ChunkData::new(bytes, data.offset, data.timestamp, data.packet_number);
            self.put(flow, side, Item::Late(chunk));
        }
    }

    fn on_unplaced(&mut self, flow: &Flow<'_, K>, side: FlowSide, unplaced: Unplaced<'_>) {
        self.counters.unplaced_bytes.add(unplaced.bytes.len() as u64);
        if self.has(flow) {
            let Unplaced { sequence, cause, timestamp, packet_number, .. } = unplaced;
            let bytes = self.pool.copy(unplaced.bytes);
            let item = queue::Unplaced { bytes, sequence, cause, timestamp, packet_number };
            self.put(flow, side, Item::Unplaced(Box::new(item)));
        }
    }

    fn on_conflict(&mut self, flow: &Flow<'_, K>, side: FlowSide, conflict: Conflict<'_>) {
        self.counters.conflicts.add(1);
        if self.has(flow) {
            let Conflict { offset, timestamp, packet_number, .. } = conflict;
            let [kept, discarded] =
                [conflict.kept, conflict.discarded].map(|bytes| self.pool.copy(bytes));
            let Conflict { kept_packet_number, discarded_packet_number, .. } = conflict;
            let item = chunk::Conflict {
                offset,
                kept,
                discarded,
                kept_packet_number,
                discarded_packet_number,
                timestamp,
                packet_number,
            };
            self.put(flow, side, Item::Conflict(Box::new(item)));
        }
    }

    fn on_fin(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        self.put(flow, side, Item::Finished { len: offset });
    }

    fn on_datagram(&mut self, flow: &Flow<'_, K>, side: FlowSide, datagram: Datagram<'_>) {
        let Some(slot) = place::<K, D>(&mut self.slots, flow, self.batch) else { return };
        let captured = datagram.bytes.len() as u64;
        let len = u64::from(datagram.wire_len).max(captured);
        let offset = slot.datagram_offset(side, len);
        let bytes = self.pool.copy(datagram.bytes);
        let chunk = ChunkData::new(bytes, offset, datagram.timestamp, datagram.packet_number);
        self.put(flow, side, Item::Data(chunk));
        if captured < len {
            let (offset, len) = (offset + captured, len - captured);
            self.miss(flow, side, Gap::new(offset, len, GapCause::Truncated));
        }
    }

    #[inline]
    fn prefetch_hint(&mut self, slot: usize) {
        self.slots.prefetch(slot);
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        observe::flow_ended(flow, record);
        place::<K, D>(&mut self.slots, flow, self.batch);
        let Some(Slot { route, mut pending, .. }) = self.forget(flow.id.slot()) else { return };
        let record = Box::new(record.clone());
        self.collected += size_of::<FlowRecord<K>>();
        if D::ENDS_AT_ONCE {
            let room = self.room();
            let pushed = self.delivery.close(&route, &mut pending, record, &room, &mut self.wake);
            self.count(pushed);
            Spares::keep(&mut self.spares, &mut pending);
        } else {
            self.ended.push(Ended { route, pending, record });
        }
    }
}

impl<K, D> engine::Sink<K> for ConversationSink<K, D>
where
    K: Clone + fmt::Debug + Send + 'static,
    D: Delivery<K>,
{
    fn wants_retained(&self) -> bool {
        self.borrows
    }

    fn begin(&mut self, retained: Option<Bytes>) {
        self.retained = retained.and_then(|memory| match &self.pinned {
            Some(pinned) => pinned.count(memory),
            None => Some(memory),
        });
        self.batch = self.batch.wrapping_add(1);
    }

    fn end_batch(&mut self) {
        self.retained = None;
    }

    fn gathers(&self, most: usize) -> bool {
        self.collected < self.gather.min(most)
            && self.delivery.announced() <= self.settings.capacity / 16
    }

    /// Wakes every reader that has something new, once.
    fn flush(&mut self) {
        let room = self.room();
        self.gate.spares.refill(&mut self.spares);
        Spares::trim(&mut self.spares, self.touched.len());
        let mut touched = mem::take(&mut self.touched);
        for at in 0..touched.len() {
            // The queues lie anywhere in memory, and their locks would be waited for one by one.
            if let Some(next) = touched.get(at + QUEUES_AHEAD)
                && let Some(slot) = self.slots.get(*next as usize)
            {
                D::prefetch(&slot.route);
            }
            self.flush_slot(touched[at] as usize, &room);
        }
        touched.clear();
        touched.append(&mut self.touched);
        self.touched = touched;
        let mut ended = mem::take(&mut self.ended);
        for Ended { route, mut pending, record } in ended.drain(..) {
            let pushed = self.delivery.close(&route, &mut pending, record, &room, &mut self.wake);
            self.count(pushed);
            Spares::keep(&mut self.spares, &mut pending);
        }
        self.ended = ended;
        self.collected = 0;
        self.delivery.flush();
        wake_all(&mut self.wake);
    }

    fn is_crowded(&mut self) -> bool {
        self.patient && self.delivery.is_crowded(&self.settings)
    }

    fn share_memory(&mut self, table: usize) -> (usize, usize) {
        let Some(memory) = self.settings.memory else { return (0, 0) };
        self.settings.total_limit = memory.of_readers(table);
        let place = if self.rests { size_of::<u32>() } else { size_of::<Slot<D::Route>>() };
        let each = place + D::IDLE_BYTES + self.gate.reader_bytes();
        (each, memory.share(self.gate.queued()))
    }

    fn next_eviction(&mut self) -> Option<FlowId> {
        self.evicted.pop()
    }

    fn wants_flow(&self, flow: &Flow<'_, K>) -> bool {
        self.wants(flow)
    }

    fn mark(&mut self, selected: Selected) {
        self.selected = Some(selected);
    }

    fn is_abandoned(&self) -> bool {
        self.delivery.is_gone()
            && self.slots.iter().all(|slot| self.delivery.is_abandoned(&slot.route))
    }

    fn end(&mut self, error: Option<Error>) {
        let open = self.slots.drain().map(|slot| slot.route);
        // Some of these only where the engine panicked before it could hand their ends over.
        let ended = self.ended.drain(..).map(|ended| ended.route);
        for route in open.chain(ended) {
            self.delivery.fail(&route, &mut self.wake);
        }
        self.wake.drain(..).for_each(Waker::wake);
        self.delivery.end(error);
    }
}

/// Wakes readers one after another.
fn wake_all(wake: &mut Vec<Waker>) {
    let mut wakers = wake.drain(..);
    loop {
        // A waker nearly always points to the task that it wakes, with the reader in it.
        if let Some(later) = wakers.as_slice().get(TASKS_AHEAD) {
            prefetch_bytes(later.data(), TASK);
        }
        let Some(waker) = wakers.next() else { break };
        waker.wake();
    }
}
