//! Conversations taken in place: on the engine's own thread, from the memory that they were captured in.

use std::fmt;
use std::ops::{ControlFlow, Deref};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;
use flow::{
    Data, Datagram, EndReason, FiveTupleKey, Flow, FlowExtractor, FlowHandler, FlowId, FlowRecord,
    FlowSide, Gap, Opening, Timestamp, protocol,
};
use ring_core::PacketSource;

use crate::admission::{Admission, Excess, Hand};
use crate::chunk::GapCause;
use crate::counters::Counters;
use crate::engine::{self, Engine};
use crate::error::Error;
use crate::handle::{Control, Handle};
use crate::observe;

/// Hears one conversation, on the engine's own thread.
///
/// Nothing is copied, queued or woken for it; what it takes its time for, the engine does later. A file simply takes
/// longer then. On a wire it has to keep up with the packets, as nothing waits between it and the ring: who may be slow
/// reads a [`Conversation`](crate::Conversation) instead.
///
/// A closure that takes a [`Piece`] is one.
pub trait Listener<K>: Send + 'static {
    /// Takes the next piece; [`ControlFlow::Break`] if no more are wanted.
    fn hear(&mut self, piece: Piece<'_, K>) -> ControlFlow<()>;
}

impl<K, F> Listener<K> for F
where
    F: FnMut(Piece<'_, K>) -> ControlFlow<()> + Send + 'static,
{
    fn hear(&mut self, piece: Piece<'_, K>) -> ControlFlow<()> {
        self(piece)
    }
}

/// One step of a conversation, lent: what a [`Chunk`](crate::Chunk) is to those who read.
#[derive(Debug)]
#[non_exhaustive]
pub enum Piece<'a, K = FiveTupleKey> {
    /// The next bytes from the side that opened the connection.
    Initiator(PieceData<'a>),
    /// The next bytes from the other side.
    Responder(PieceData<'a>),
    /// The next bytes of a side are missing.
    #[non_exhaustive]
    Gap {
        /// Whose bytes.
        side: FlowSide,
        /// Position of the first missing byte in the side's stream.
        offset: u64,
        /// How many bytes.
        len: u64,
        /// Why they are missing.
        cause: GapCause,
    },
    /// Bytes that came when their place had already been declared a gap, or that lie before the first byte of a
    /// stream picked up midway.
    #[non_exhaustive]
    Late {
        /// Whose bytes.
        side: FlowSide,
        /// The bytes with their offset.
        data: PieceData<'a>,
    },
    /// A side has no more to say: all its bytes up to its FIN came before this.
    #[non_exhaustive]
    Finished {
        /// Which side.
        side: FlowSide,
        /// The length of its stream in bytes, gaps counted.
        len: u64,
    },
    /// The conversation is over; nothing follows.
    #[non_exhaustive]
    Closed {
        /// Why it ended.
        reason: EndReason,
        /// The summary of the flow.
        record: &'a FlowRecord<K>,
    },
}

/// Bytes of a conversation, lent, with the place they came from. It derefs to the bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PieceData<'a> {
    bytes: &'a [u8],
    offset: u64,
    timestamp: Timestamp,
    packet_number: u64,
}

/// Engines whose conversations are heard in place; [`FlowStream::listen`](crate::FlowStream::listen) makes one.
#[must_use = "nothing is heard before it runs"]
pub struct Listening {
    engines: Vec<Box<dyn Runnable>>,
    ends: Arc<Ends>,
    control: Arc<Control>,
}

impl Listening {
    /// Engines, or why there are none, with what makes the listeners of each.
    pub(crate) fn new<S, E, F, L>(
        members: Result<usize, Error>,
        start: impl FnOnce(Arc<Ends>) -> (Arc<Control>, Vec<Engine<S, E, Listeners<E::Key, F, L>>>),
    ) -> Self
    where
        S: PacketSource + Send + 'static,
        E: FlowExtractor + Send + 'static,
        Listeners<E::Key, F, L>: engine::Sink<E::Key>,
    {
        let ends = Arc::new(Ends::new(members.as_ref().map_or(1, |count| *count)));
        if let Err(error) = members {
            ends.end(Some(error));
        }
        let (control, engines) = start(Arc::clone(&ends));
        let boxed = |engine| Box::new(engine) as Box<dyn Runnable>;
        Self { engines: engines.into_iter().map(boxed).collect(), ends, control }
    }

    /// A handle that stops the engines from another thread, and tells what they did.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.control))
    }

    /// Hears all conversations, the first source's on this thread, those of others on a thread each; returns when all
    /// sources have ended or were shut down.
    ///
    /// This blocks: an asynchronous program gives it a thread of its own.
    ///
    /// # Errors
    /// What ended the engines, when everything that came before has been heard.
    ///
    /// # Panics
    /// Where a listener of the first source does. One of another source makes this an
    /// [error](Error::EnginePanicked).
    pub fn run(self) -> Result<(), Error> {
        let Self { engines, ends, control } = self;
        // Where a listener panics, nobody waits for the other engines; they are told to stop.
        let stops = StopOnDrop(&control);
        let mut engines = engines.into_iter();
        let first = engines.next();
        engines.for_each(Runnable::spawn);
        if let Some(first) = first {
            first.run();
        }
        let result = ends.wait();
        std::mem::forget(stops);
        result
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").field("engines", &self.engines.len()).finish_non_exhaustive()
    }
}

struct StopOnDrop<'a>(&'a Control);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// An engine of whatever kind.
trait Runnable: Send {
    /// On this thread.
    fn run(self: Box<Self>);
    /// On another.
    fn spawn(self: Box<Self>);
}

impl<S, E, H> Runnable for Engine<S, E, H>
where
    S: PacketSource + Send + 'static,
    E: FlowExtractor + Send + 'static,
    H: engine::Sink<E::Key>,
{
    fn run(self: Box<Self>) {
        engine::thread::run_here(*self);
    }

    fn spawn(self: Box<Self>) {
        engine::thread::spawn(*self);
    }
}

/// How many engines have not ended, and the first error of those that have.
#[derive(Debug)]
pub(crate) struct Ends {
    state: Mutex<(usize, Option<Error>)>,
    changed: Condvar,
}

impl Ends {
    fn new(engines: usize) -> Self {
        Self { state: Mutex::new((engines, None)), changed: Condvar::new() }
    }

    fn end(&self, error: Option<Error>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = state.0.saturating_sub(1);
        state.1 = state.1.take().or(error);
        self.changed.notify_all();
    }

    fn wait(&self) -> Result<(), Error> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .changed
            .wait_while(state, |state| state.0 > 0)
            .unwrap_or_else(PoisonError::into_inner);
        state.1.take().map_or(Ok(()), Err)
    }
}

/// Hands what the flow table tells to the listeners.
pub(crate) struct Listeners<K, F, L> {
    factory: F,
    /// By the slot of the flow's id.
    slots: Vec<Option<Slot<L>>>,
    admission: Admission<K>,
    counters: Arc<Counters>,
    ends: Arc<Ends>,
    datagrams: bool,
    /// Batches so far, modulo 2³².
    batch: u32,
    hand: Hand,
    evicted: Vec<FlowId>,
}

struct Slot<L> {
    id: FlowId,
    listener: L,
    /// The batch that brought something last.
    last_batch: u32,
    /// It is about to make room.
    evicted: bool,
    datagram_bytes: [u64; 2],
}

impl<K, F, L> Listeners<K, F, L> {
    pub(crate) fn new(
        factory: F,
        admission: Admission<K>,
        datagrams: bool,
        counters: Arc<Counters>,
        ends: Arc<Ends>,
    ) -> Self {
        Self {
            factory,
            slots: Vec::new(),
            admission,
            counters,
            ends,
            datagrams,
            batch: 0,
            hand: Hand::default(),
            evicted: Vec::new(),
        }
    }
}

impl<K, F, L> Listeners<K, F, L>
where
    F: FnMut(&Flow<'_, K>) -> Option<L>,
    L: Listener<K>,
{
    fn forget(&mut self, index: usize) -> Option<L> {
        let slot = self.slots.get_mut(index)?.take()?;
        self.admission.ended();
        Some(slot.listener)
    }

    fn tell(&mut self, flow: &Flow<'_, K>, piece: Piece<'_, K>) {
        let index = flow.id.slot();
        if let Some(Some(slot)) = self.slots.get_mut(index) {
            slot.last_batch = self.batch;
            if slot.listener.hear(piece).is_break() {
                self.forget(index);
            }
        }
    }

    /// Chooses a conversation that makes room.
    fn evict(&mut self) {
        let Self { slots, batch, hand, .. } = self;
        let silent = |index: usize| {
            let slot = slots[index].as_ref().filter(|slot| !slot.evicted)?;
            Some(batch.wrapping_sub(slot.last_batch))
        };
        if let Some(index) = hand.most_silent(slots.len(), silent)
            && let Some(slot) = &mut slots[index]
        {
            slot.evicted = true;
            self.evicted.push(slot.id);
        }
    }

    fn wants(&self, flow: &Flow<'_, K>) -> bool {
        flow.protocol == protocol::TCP || self.datagrams
    }
}

impl<K, F, L> FlowHandler<K> for Listeners<K, F, L>
where
    K: fmt::Debug,
    F: FnMut(&Flow<'_, K>) -> Option<L>,
    L: Listener<K>,
{
    /// Flows that are no conversations are tracked all the same, as for readers.
    fn admits(&mut self, flow: &Flow<'_, K>, opening: &Opening<'_>) -> bool {
        if !self.wants(flow) {
            return true;
        }
        if !self.admission.admits(flow, opening, &self.counters) {
            return false;
        }
        let refused = self.admission.excess == Excess::Refuse && self.admission.is_full();
        self.counters.refused.add(u64::from(refused));
        !refused
    }

    fn on_start(&mut self, flow: &Flow<'_, K>) {
        let index = flow.id.slot();
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        self.forget(index);
        if !self.wants(flow) {
            return;
        }
        if self.admission.is_full() {
            self.evict();
        }
        self.counters.began(flow, true);
        if let Some(listener) = (self.factory)(flow) {
            self.admission.began();
            self.slots[index] = Some(Slot {
                id: flow.id,
                listener,
                last_batch: self.batch,
                evicted: false,
                datagram_bytes: [0; 2],
            });
        }
    }

    #[inline]
    fn on_data(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        self.counters.bytes.add(data.bytes.len() as u64);
        self.tell(flow, Piece::data(side, data.into()));
    }

    fn on_gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        self.counters.gap(flow, side, gap);
        let Gap { offset, len, cause, .. } = gap;
        self.tell(flow, Piece::Gap { side, offset, len, cause: cause.into() });
    }

    fn on_late(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        self.counters.late_bytes.add(data.bytes.len() as u64);
        self.tell(flow, Piece::Late { side, data: data.into() });
    }

    fn on_fin(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        self.tell(flow, Piece::Finished { side, len: offset });
    }

    fn on_datagram(&mut self, flow: &Flow<'_, K>, side: FlowSide, datagram: Datagram<'_>) {
        let Some(Some(slot)) = self.slots.get_mut(flow.id.slot()) else { return };
        let total = &mut slot.datagram_bytes[usize::from(side == FlowSide::Responder)];
        let offset = *total;
        *total += datagram.bytes.len() as u64;
        let Datagram { bytes, timestamp, packet_number, .. } = datagram;
        let data = PieceData { bytes, offset, timestamp, packet_number };
        self.tell(flow, Piece::data(side, data));
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        observe::flow_ended(flow, record);
        if let Some(mut listener) = self.forget(flow.id.slot()) {
            // It is the last piece: whether more are wanted makes no difference.
            let _ = listener.hear(Piece::Closed { reason: record.reason, record });
        }
    }
}

impl<K, F, L> engine::Sink<K> for Listeners<K, F, L>
where
    K: fmt::Debug + Send + 'static,
    F: FnMut(&Flow<'_, K>) -> Option<L> + Send + 'static,
    L: Listener<K>,
{
    fn wants_retained(&self) -> bool {
        false
    }

    fn begin(&mut self, _retained: Option<Bytes>) {
        self.batch = self.batch.wrapping_add(1);
    }

    fn flush(&mut self) {}

    fn next_eviction(&mut self) -> Option<FlowId> {
        self.evicted.pop()
    }

    fn is_crowded(&mut self) -> bool {
        false
    }

    fn is_abandoned(&self) -> bool {
        false
    }

    fn end(&mut self, error: Option<Error>) {
        self.slots.clear();
        self.ends.end(error);
    }
}

impl<'a, K> Piece<'a, K> {
    #[inline]
    fn data(side: FlowSide, data: PieceData<'a>) -> Self {
        match side {
            FlowSide::Initiator => Self::Initiator(data),
            FlowSide::Responder => Self::Responder(data),
        }
    }
}

impl PieceData<'_> {
    /// Position of the first byte in its side's stream, gaps counted; the first byte after the SYN is 0.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Time stamp of the packet that brought the first byte.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Number of the packet that brought the first byte, counted from 1 in its source.
    #[must_use]
    pub fn packet_number(&self) -> u64 {
        self.packet_number
    }
}

impl Deref for PieceData<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl<'a> From<Data<'a>> for PieceData<'a> {
    fn from(data: Data<'a>) -> Self {
        let Data { bytes, offset, timestamp, packet_number, .. } = data;
        Self { bytes, offset, timestamp, packet_number }
    }
}

impl fmt::Debug for PieceData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PieceData")
            .field("offset", &self.offset)
            .field("len", &self.bytes.len())
            .field("timestamp", &self.timestamp)
            .field("packet_number", &self.packet_number)
            .finish()
    }
}
