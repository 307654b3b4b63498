//! From the events of the flow table to the queues of the readers.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use flow::{
    Data, Datagram, Flow, FlowHandler, FlowId, FlowRecord, FlowSide, Gap, Opening, Timestamp,
    protocol,
};

use crate::admission::{Admission, Excess};
use crate::chunk::ChunkData;
use crate::conversation::Conversation;
use crate::counters::Counters;
use crate::engine;
use crate::error::Error;
use crate::gate::Gate;
use crate::inbox::Inbox;
use crate::observe;
use crate::pool::Pool;
use crate::queue::{Beyond, Item, Queue, Room};
use crate::settings::{Overflow, Retention, Settings};

/// Segments shorter than this are copied: keeping a whole block for them costs more.
const BORROW_AT_LEAST: usize = 512;

/// Copied segments are joined up to this.
const RUN_AT_MOST: usize = 64 << 10;
/// The least memory that a run of segments gets.
const RUN_AT_LEAST: usize = 256;
/// What pooled copies may keep from being used again.
const POOL_AT_MOST: usize = 64 << 20;
/// Conversations that are looked at to find one that makes room.
const CANDIDATES: usize = 16;

/// Collects what a batch brings, and hands it to the readers once a batch.
#[derive(Debug)]
pub(crate) struct Sink<K: Clone> {
    /// By the slot of the flow's id.
    slots: Vec<Option<Slot<K>>>,
    /// Slots with something pending.
    touched: Vec<u32>,
    announced: Vec<Conversation<K>>,
    /// Queues over their limit, for a source that can wait.
    crowded: Vec<Arc<Queue<K>>>,
    spare: Vec<(FlowSide, Item)>,
    /// Readers to be woken when the batch is done.
    wake: Vec<Waker>,
    /// Flows that make room for others.
    evicted: Vec<FlowId>,
    /// Where the search for one goes on.
    hand: usize,
    /// Batches so far, modulo 2³².
    batch: u32,
    /// The memory that the batch's packets lie in.
    retained: Option<Bytes>,
    pool: Pool,
    admission: Admission<K>,
    inbox: Arc<Inbox<Conversation<K>>>,
    gate: Arc<Gate>,
    counters: Arc<Counters>,
    settings: Settings,
    /// Large segments stay in the batch's memory.
    borrows: bool,
    /// The source can wait for slow readers.
    patient: bool,
}

#[derive(Debug)]
struct Slot<K> {
    id: FlowId,
    queue: Arc<Queue<K>>,
    pending: Vec<(FlowSide, Item)>,
    /// Bytes of consecutive segments, being copied together.
    run: Option<Run>,
    touched: bool,
    /// It is about to make room.
    evicted: bool,
    /// The batch that brought something last.
    last_batch: u32,
    /// How long the last run became: the next is likely to be like it.
    usual_run: u32,
    datagram_bytes: [u64; 2],
}

#[derive(Debug)]
struct Run {
    side: FlowSide,
    bytes: BytesMut,
    offset: u64,
    timestamp: Timestamp,
    packet_number: u64,
}

impl<K: Clone + Send + 'static> Sink<K> {
    pub(crate) fn new(
        settings: Settings,
        admission: Admission<K>,
        live: bool,
        inbox: Arc<Inbox<Conversation<K>>>,
        gate: Arc<Gate>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            slots: Vec::new(),
            touched: Vec::new(),
            announced: Vec::new(),
            crowded: Vec::new(),
            spare: Vec::new(),
            wake: Vec::new(),
            evicted: Vec::new(),
            hand: 0,
            batch: 0,
            retained: None,
            pool: Pool::new(POOL_AT_MOST.min(settings.total_limit)),
            admission,
            inbox,
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
        }
    }

    fn flush_slot(&mut self, index: usize) {
        let room = Room {
            limit: self.settings.conversation_limit,
            total: self.settings.total_limit,
            beyond: match self.settings.overflow {
                _ if self.patient => Beyond::Accept,
                Overflow::Close => Beyond::Close,
                Overflow::Drop | Overflow::Block => Beyond::Drop,
            },
        };
        let Some(Some(slot)) = self.slots.get_mut(index) else { return };
        slot.touched = false;
        slot.end_run();
        if slot.pending.is_empty() {
            return;
        }
        let pushed = slot.queue.push(&mut slot.pending, room, &mut self.wake);
        self.counters.dropped_bytes.add(pushed.dropped);
        if pushed.crowded && self.patient {
            self.crowded.push(Arc::clone(&slot.queue));
        }
        // The buffer serves the next conversation; an idle one keeps none.
        if slot.pending.capacity() > self.spare.capacity() {
            mem::swap(&mut slot.pending, &mut self.spare);
        }
        slot.pending = Vec::new();
        if pushed.overrun {
            self.counters.overruns.add(1);
        }
        if pushed.abandoned || pushed.overrun {
            self.forget(index);
        }
    }

    /// Lets go of a conversation; what its reader has in the queue stays.
    fn forget(&mut self, index: usize) -> Option<Arc<Queue<K>>> {
        let slot = self.slots.get_mut(index)?.take()?;
        self.admission.ended();
        Some(slot.queue)
    }

    /// Chooses a conversation that makes room: the most silent of a few.
    fn evict(&mut self) {
        let mut victim: Option<(u32, usize)> = None;
        for _ in 0..CANDIDATES.min(self.slots.len()) {
            self.hand = (self.hand + 1) % self.slots.len();
            if let Some(slot) = &self.slots[self.hand]
                && !slot.evicted
            {
                let silent = self.batch.wrapping_sub(slot.last_batch);
                victim = victim.max(Some((silent, self.hand)));
            }
        }
        // Where all of these are about to go, there is room soon.
        if let Some((_, index)) = victim
            && let Some(slot) = &mut self.slots[index]
        {
            slot.evicted = true;
            self.evicted.push(slot.id);
        }
    }

    /// Whether a flow is a conversation.
    fn wants(&self, flow: &Flow<'_, K>) -> bool {
        flow.protocol == protocol::TCP || self.settings.datagrams
    }

    /// The place of a flow that is a conversation, and what is needed to copy something into it.
    fn slot(&mut self, flow: &Flow<'_, K>) -> Option<(&mut Slot<K>, &mut Pool)> {
        let index = flow.id.slot();
        let slot = self.slots.get_mut(index)?.as_mut()?;
        slot.last_batch = self.batch;
        if !mem::replace(&mut slot.touched, true) {
            self.touched.push(index as u32);
            if slot.pending.capacity() == 0 {
                slot.pending = mem::take(&mut self.spare);
            }
        }
        Some((slot, &mut self.pool))
    }

    /// The bytes as part of the batch's memory, if they lie there and are worth it.
    fn borrow(&self, bytes: &[u8]) -> Option<Bytes> {
        let retained = self.retained.as_ref().filter(|_| bytes.len() >= BORROW_AT_LEAST)?;
        let (start, first) = (retained.as_ptr() as usize, bytes.as_ptr() as usize);
        let inside = first >= start && first + bytes.len() <= start + retained.len();
        inside.then(|| retained.slice_ref(bytes))
    }
}

impl<K: Clone + fmt::Debug + Send + 'static> FlowHandler<K> for Sink<K> {
    /// Flows that are no conversations are tracked all the same: what they bring is not kept anyway.
    fn admits(&mut self, flow: &Flow<'_, K>, opening: &Opening<'_>) -> bool {
        if !self.wants(flow) {
            return true;
        }
        let admission = &self.admission;
        if !admission.admits(flow, opening, &self.counters) {
            return false;
        }
        let waiting = || self.inbox.len() + self.announced.len();
        if (admission.excess == Excess::Refuse && admission.is_full())
            || (!self.patient && waiting() >= self.settings.capacity)
        {
            self.counters.refused.add(1);
            return false;
        }
        true
    }

    fn on_start(&mut self, flow: &Flow<'_, K>) {
        let index = flow.id.slot();
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        // A flow whose slot had another before it: that one's `on_end` has emptied it.
        self.forget(index);
        if !self.wants(flow) || self.inbox.is_gone() {
            return;
        }
        if self.admission.is_full() {
            self.evict();
        }
        self.counters.began(flow, true);
        self.admission.began();
        let queue = Arc::new(Queue::new(Arc::clone(&self.gate)));
        self.announced.push(Conversation::new(flow, Arc::clone(&queue)));
        self.slots[index] = Some(Slot {
            id: flow.id,
            queue,
            pending: Vec::new(),
            run: None,
            touched: false,
            evicted: false,
            last_batch: self.batch,
            usual_run: 0,
            datagram_bytes: [0; 2],
        });
    }

    fn on_data(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        self.counters.bytes.add(data.bytes.len() as u64);
        let borrowed = self.borrow(data.bytes);
        if let Some((slot, pool)) = self.slot(flow) {
            match borrowed {
                Some(bytes) => {
                    let chunk =
                        ChunkData::new(bytes, data.offset, data.timestamp, data.packet_number);
                    slot.put(side, Item::Data(chunk));
                }
                None => slot.copy(side, &data, pool),
            }
        }
    }

    fn on_awaited(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        if self.settings.causal
            && let Some((slot, _)) = self.slot(flow)
        {
            slot.put(side.opposite(), Item::Barrier { other: offset });
        }
    }

    fn on_gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        self.counters.gap(flow, side, gap);
        if let Some((slot, _)) = self.slot(flow) {
            slot.put(side, Item::Gap { offset: gap.offset, len: gap.len, cause: gap.cause.into() });
        }
    }

    fn on_late(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        self.counters.late_bytes.add(data.bytes.len() as u64);
        if let Some((slot, pool)) = self.slot(flow) {
            let bytes = pool.copy(data.bytes);
            slot.put(
                side,
                Item::Late(ChunkData::new(bytes, data.offset, data.timestamp, data.packet_number)),
            );
        }
    }

    fn on_fin(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        if let Some((slot, _)) = self.slot(flow) {
            slot.put(side, Item::Finished { len: offset });
        }
    }

    fn on_datagram(&mut self, flow: &Flow<'_, K>, side: FlowSide, datagram: Datagram<'_>) {
        if let Some((slot, pool)) = self.slot(flow) {
            let offset = slot.datagram_offset(side, datagram.bytes.len());
            let bytes = pool.copy(datagram.bytes);
            slot.put(
                side,
                Item::Data(ChunkData::new(
                    bytes,
                    offset,
                    datagram.timestamp,
                    datagram.packet_number,
                )),
            );
        }
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        observe::flow_ended(flow, record);
        let index = flow.id.slot();
        self.flush_slot(index);
        if let Some(queue) = self.forget(index) {
            queue.close(record.reason, record, &mut self.wake);
        }
    }
}

impl<K: Clone + fmt::Debug + Send + 'static> engine::Sink<K> for Sink<K> {
    fn wants_retained(&self) -> bool {
        self.borrows
    }

    fn begin(&mut self, retained: Option<Bytes>) {
        self.retained = retained;
        self.batch = self.batch.wrapping_add(1);
    }

    /// Wakes every reader that has something new, once.
    fn flush(&mut self) {
        self.retained = None;
        let mut touched = mem::take(&mut self.touched);
        for slot in touched.drain(..) {
            self.flush_slot(slot as usize);
        }
        self.touched = touched;
        self.inbox.push(&mut self.announced);
        self.wake.drain(..).for_each(Waker::wake);
    }

    fn is_crowded(&mut self) -> bool {
        let limit = self.settings.conversation_limit;
        self.crowded.retain(|queue| queue.is_over(limit));
        self.patient
            && (!self.crowded.is_empty()
                || self.gate.queued() > self.settings.total_limit
                || self.inbox.len() > self.settings.capacity)
    }

    fn next_eviction(&mut self) -> Option<FlowId> {
        self.evicted.pop()
    }

    fn is_abandoned(&self) -> bool {
        self.inbox.is_gone() && self.slots.iter().flatten().all(|slot| slot.queue.is_abandoned())
    }

    fn end(&mut self, error: Option<Error>) {
        for slot in self.slots.drain(..).flatten() {
            slot.queue.fail(&mut self.wake);
        }
        self.wake.drain(..).for_each(Waker::wake);
        self.inbox.end(error);
    }
}

impl<K: Clone> Slot<K> {
    fn put(&mut self, side: FlowSide, item: Item) {
        self.end_run();
        self.pending.push((side, item));
    }

    /// Copies a segment behind the one before it, if they follow each other.
    fn copy(&mut self, side: FlowSide, data: &Data<'_>, pool: &mut Pool) {
        if let Some(run) = &mut self.run
            && run.side == side
            && run.offset + run.bytes.len() as u64 == data.offset
            && run.bytes.len() + data.bytes.len() <= RUN_AT_MOST
        {
            let len = run.bytes.len() + data.bytes.len();
            if len > run.bytes.capacity() {
                let mut larger = pool.take(len.next_power_of_two());
                larger.extend_from_slice(&run.bytes);
                run.bytes = larger;
            }
            run.bytes.extend_from_slice(data.bytes);
            return;
        }
        self.end_run();
        let usual = (self.usual_run as usize).max(RUN_AT_LEAST);
        let mut bytes = pool.take(usual.max(data.bytes.len()));
        bytes.extend_from_slice(data.bytes);
        self.run = Some(Run {
            side,
            bytes,
            offset: data.offset,
            timestamp: data.timestamp,
            packet_number: data.packet_number,
        });
    }

    fn end_run(&mut self) {
        if let Some(run) = self.run.take() {
            self.usual_run = run.bytes.len() as u32;
            let chunk =
                ChunkData::new(run.bytes.freeze(), run.offset, run.timestamp, run.packet_number);
            self.pending.push((run.side, Item::Data(chunk)));
        }
    }

    /// Where a datagram of so many bytes starts if all of a side's are laid end to end.
    fn datagram_offset(&mut self, side: FlowSide, len: usize) -> u64 {
        let total = match side {
            FlowSide::Initiator => &mut self.datagram_bytes[0],
            FlowSide::Responder => &mut self.datagram_bytes[1],
        };
        let offset = *total;
        *total += len as u64;
        offset
    }
}
