//! All conversations of a source as one stream, for a reader that is one task.

use std::collections::VecDeque;
use std::fmt;
#[cfg(not(loom))]
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use flow::{
    EndReason, FiveTupleKey, Flow, FlowId, FlowRecord, FlowSide, Gap, Orientation, Timestamp,
};
use futures_core::Stream;

use crate::api::chunk::{self, Chunk};
use crate::api::error::Error;
use crate::api::handle::Handle;
use crate::api::settings::Settings;
#[cfg(not(loom))]
use crate::api::statistics::Statistics;
use crate::coop;
use crate::engine::control::Control;
use crate::engine::delivery::Delivery;
use crate::events::flow_number::FlowNumber;
use crate::queue::gate::Gate;
use crate::queue::inbox::Inbox;
use crate::queue::{Beyond, Entries, Entry, Item, Pushed, Room};
use crate::select::Selected;

/// The bytes that a file's engine runs ahead of the reader at most: more would only leave the
/// processor's caches.
const AHEAD: usize = 16 << 20;

/// One step of one of the conversations of a [`ChunkStream`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChunkEvent<K = FiveTupleKey> {
    /// A conversation began.
    #[non_exhaustive]
    Started {
        /// Its number. No other conversation has it, nor its slot, before its end was told.
        id: FlowNumber,
        /// Its key.
        key: K,
        /// The protocol above IP, as IANA numbers it.
        protocol: u8,
        /// The direction of the initiator's packets, relative to the key.
        initiator: Orientation,
        /// Time stamp of its first packet.
        timestamp: Timestamp,
        /// `true` for a TCP connection that was picked up midway: neither its SYN nor the answer to
        /// it was captured first.
        midway: bool,
        /// The conditions that it meets, if there is a
        /// [selection](crate::FlowStreamBuilder::select).
        selected: Option<Selected>,
    },
    /// The next step of a conversation. After [`Chunk::Closed`] and [`Chunk::Overrun`] nothing
    /// follows of it.
    #[non_exhaustive]
    Chunk {
        /// The conversation's number.
        id: FlowNumber,
        /// The step.
        chunk: Chunk<K>,
    },
}

/// The chunks of all conversations of a source, each with the number of its conversation.
///
/// This is the pattern whose memory stays bounded when one task reads everything: no queue belongs
/// to a conversation, so a file waits for its reader whatever the reader does, and an idle
/// conversation costs nothing but its place in the flow table and in the sink. What may wait is set
/// by [`memory`](crate::FlowStreamBuilder::memory) or
/// [`total_limit`](crate::FlowStreamBuilder::total_limit). On a wire, bytes for which there is no
/// room become a [gap](crate::GapCause::SlowReader) of exact place and length, and conversations
/// that begin meanwhile are refused and counted.
///
/// The chunks of a conversation come in order; those of different conversations roughly in the
/// order of their packets, a batch at a time. [Causal
/// order](crate::FlowStreamBuilder::causal_order) and the [limit of a
/// conversation](crate::FlowStreamBuilder::conversation_limit) do not apply.
///
/// It ends after an error if there was one, when the engines have ended and their sources are
/// closed; conversations whose end was not reported by then have none. Dropping it stops the
/// engines; [`drain`](Self::drain) also waits for them.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
///
/// use conversation::{Chunk, ChunkEvent, FlowStreamExt as _};
/// use flow::FiveTuple;
/// use futures::StreamExt as _;
/// use ring_core::{LinkType, MemorySource};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), conversation::Error> {
/// let source = MemorySource::new(LinkType::ETHERNET);
/// let key = FiveTuple::bidirectional();
/// let mut events = source.flow_stream(key).memory(64 << 20).into_chunk_stream();
/// let mut bytes = HashMap::new();
/// while let Some(event) = events.next().await {
///     match event? {
///         ChunkEvent::Started { id, key, .. } => {
///             bytes.insert(id, (key, 0));
///         }
///         ChunkEvent::Chunk {
///             id,
///             chunk: Chunk::Initiator(data) | Chunk::Responder(data),
///             ..
///         } => {
///             bytes.entry(id).and_modify(|(_, sum)| *sum += data.len());
///         }
///         ChunkEvent::Chunk { id, chunk: Chunk::Closed { .. }, .. } => {
///             println!("{:?}", bytes.remove(&id));
///         }
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct ChunkStream<K: Clone = FiveTupleKey> {
    inbox: Arc<Inbox<Step<K>>>,
    control: Arc<Control>,
    taken: VecDeque<Step<K>>,
    /// The cost of what was handed out and still counts as queued.
    handed_out: usize,
    /// The limit of that.
    at_once: usize,
}

/// Something that waits for the reader.
pub(crate) struct Step<K> {
    id: FlowNumber,
    what: What<K>,
}

enum What<K> {
    Started(Box<Start<K>>),
    Said(Entry),
    Closed(EndReason, Box<FlowRecord<K>>),
    Overrun { side: FlowSide, offset: u64 },
}

struct Start<K> {
    key: K,
    protocol: u8,
    initiator: Orientation,
    timestamp: Timestamp,
    midway: bool,
    selected: Option<Selected>,
}

impl<K: Clone> ChunkStream<K> {
    pub(crate) fn new(
        inbox: Arc<Inbox<Step<K>>>,
        control: Arc<Control>,
        settings: &Settings,
    ) -> Self {
        Self { inbox, control, taken: VecDeque::new(), handed_out: 0, at_once: settings.at_once() }
    }

    /// A handle that stops the engine, and tells what it did.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.control))
    }

    /// Reports the memory in bytes that the reader keeps for each conversation that goes on, on
    /// average. It counts towards the bound that [`memory`](crate::FlowStreamBuilder::memory) sets,
    /// from the next batch of packets on.
    pub fn note_memory(&self, each_conversation: usize) {
        self.control.gate().set_reader_bytes(each_conversation);
    }

    /// Stops the engines and waits until they have ended and their sources are closed, as
    /// [`Conversations::drain`](crate::Conversations::drain) does. What was not read is dropped.
    /// Returns the final statistics.
    ///
    /// Dropping the future is the same as dropping the stream.
    ///
    /// # Errors
    /// The error that ended an engine.
    #[cfg(not(loom))]
    pub async fn drain(mut self) -> Result<Statistics, Error> {
        let handle = self.handle();
        handle.shutdown();
        let mut result = Ok(());
        while let Some(event) = poll_fn(|cx| Pin::new(&mut self).poll_next(cx)).await {
            result = result.and(event.map(drop));
        }
        handle.finished().await;
        result.map(|()| handle.statistics())
    }

    fn release(&mut self) {
        let gate = self.control.gate();
        gate.remove(std::mem::take(&mut self.handed_out));
        gate.notify();
    }
}

// Nothing in it is ever pinned.
impl<K: Clone> Unpin for ChunkStream<K> {}

impl<K: Clone> Stream for ChunkStream<K> {
    type Item = Result<ChunkEvent<K>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        coop::poll(cx, |cx| self.poll_event(cx))
    }
}

impl<K: Clone> ChunkStream<K> {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ChunkEvent<K>, Error>>> {
        loop {
            let Some(step) = self.taken.pop_front() else {
                if self.handed_out > 0 {
                    self.release();
                }
                match self.inbox.poll_all(&mut self.taken, cx) {
                    Poll::Ready(Some(Ok(()))) => continue,
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => return Poll::Pending,
                }
            };
            self.handed_out += step.cost();
            if self.handed_out >= self.at_once {
                self.release();
            }
            if let Some(event) = step.into_event() {
                return Poll::Ready(Some(Ok(event)));
            }
        }
    }
}

impl<K: Clone> Drop for ChunkStream<K> {
    fn drop(&mut self) {
        let (taken, waiting) = (std::mem::take(&mut self.taken), self.inbox.abandon());
        self.handed_out += taken.iter().chain(&waiting).map(Step::cost).sum::<usize>();
        self.release();
        self.control.interrupt();
    }
}

impl<K: Clone> fmt::Debug for ChunkStream<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkStream").field("taken", &self.taken.len()).finish_non_exhaustive()
    }
}

impl<K> Step<K> {
    fn cost(&self) -> usize {
        size_of::<Self>()
            + match &self.what {
                What::Started(_) => size_of::<Start<K>>(),
                What::Said(entry) => entry.item.memory(),
                What::Closed(_, record) => size_of::<FlowRecord<K>>() + record.history.len(),
                What::Overrun { .. } => 0,
            }
    }

    fn into_event(self) -> Option<ChunkEvent<K>> {
        let Self { id, what } = self;
        let chunk = match what {
            What::Started(start) => {
                let Start { key, protocol, initiator, timestamp, midway, selected } = *start;
                return Some(ChunkEvent::Started {
                    id,
                    key,
                    protocol,
                    initiator,
                    timestamp,
                    midway,
                    selected,
                });
            }
            What::Said(Entry { side, item }) => item.into_chunk(side)?,
            What::Closed(reason, record) => Chunk::Closed { reason, record },
            What::Overrun { side, offset } => Chunk::Overrun { side, offset },
        };
        Some(ChunkEvent::Chunk { id, chunk })
    }
}

/// The one queue that all conversations of an engine share.
pub(crate) struct Merged<K> {
    inbox: Arc<Inbox<Step<K>>>,
    gate: Arc<Gate>,
    /// The number of the source, if there are several.
    source: u32,
    batch: Vec<Step<K>>,
    /// Of the batch.
    cost: usize,
    announced: usize,
}

impl<K: Clone> Merged<K> {
    pub(crate) fn new(inbox: Arc<Inbox<Step<K>>>, gate: Arc<Gate>, source: u32) -> Self {
        Self { inbox, gate, source, batch: Vec::new(), cost: 0, announced: 0 }
    }

    fn put(&mut self, id: FlowNumber, what: What<K>) {
        let step = Step { id, what };
        self.cost += step.cost();
        self.batch.push(step);
    }

    fn queued(&self) -> usize {
        self.gate.queued() + self.cost
    }

    /// Takes entries as far as there is room; where they `must` go, room or not, those that are
    /// dropped become gaps.
    fn take(&mut self, id: FlowNumber, entries: &mut Entries, room: &Room, must: bool) -> Pushed {
        let mut pushed = Pushed::default();
        let step = size_of::<Step<K>>();
        let cost: usize = entries.iter().map(|entry| step + entry.item.memory()).sum();
        if room.beyond != Beyond::Accept && self.queued() + cost > room.total {
            if room.beyond == Beyond::Close {
                self.give_up(id, entries, &mut pushed);
                return pushed;
            }
            pushed.dropped = shed(entries);
            if !must && self.queued() + step * entries.len() > room.total {
                return pushed;
            }
        }
        for entry in entries.drain(..) {
            self.put(id, What::Said(entry));
        }
        pushed
    }

    fn give_up(&mut self, id: FlowNumber, entries: &mut Entries, pushed: &mut Pushed) {
        pushed.overrun = true;
        if let Some(Entry { side, item }) = entries.front() {
            let (side, offset) = (*side, item.offset());
            self.put(id, What::Overrun { side, offset });
        }
        pushed.dropped = entries.drain(..).map(|entry| entry.item.len() as u64).sum();
    }
}

/// Replaces bytes for which there is no room by gaps, one a side. What remains is at most two
/// entries a side. Returns how many bytes were dropped.
fn shed(entries: &mut Entries) -> u64 {
    let mut dropped = 0;
    let mut gaps: [Option<Gap>; 2] = [None; 2];
    let mut finished = [None; 2];
    for Entry { side, item } in entries.drain(..) {
        dropped += item.len() as u64;
        let gap = match item {
            Item::Data(data) => chunk::dropped(data.offset(), data.len() as u64),
            Item::Run(run) => chunk::dropped(run.offset(), run.len() as u64),
            Item::Gap(gap) => gap,
            Item::Finished { len } => {
                finished[side as usize] = Some(len);
                continue;
            }
            Item::Late(_) | Item::Unplaced(_) | Item::Conflict(_) | Item::Barrier { .. } => {
                continue;
            }
        };
        match &mut gaps[side as usize] {
            Some(before) => chunk::extend(before, &gap),
            none => *none = Some(gap),
        }
    }
    for side in [FlowSide::Initiator, FlowSide::Responder] {
        if let Some(gap) = gaps[side as usize] {
            entries.push_back(Entry { side, item: Item::Gap(gap) });
        }
        if let Some(len) = finished[side as usize] {
            entries.push_back(Entry { side, item: Item::Finished { len } });
        }
    }
    dropped
}

impl<K: Clone + Send + 'static> Delivery<K> for Merged<K> {
    /// Without the source, which all flows of the engine have in common, a place in the sink is one
    /// cache line.
    type Route = FlowId;

    const ENDS_AT_ONCE: bool = true;

    const RESTS: bool = true;

    const IDLE_BYTES: usize = 0;

    fn route_of(id: FlowId) -> Option<FlowId> {
        Some(id)
    }

    fn announce(
        &mut self,
        flow: &Flow<'_, K>,
        midway: bool,
        selected: Option<Selected>,
        _: &Settings,
    ) -> FlowId {
        let id = FlowNumber::new(self.source, flow.id);
        let (protocol, initiator, timestamp) = (flow.protocol, flow.initiator, flow.started);
        let key = flow.key.clone();
        let start = Start { key, protocol, initiator, timestamp, midway, selected };
        self.put(id, What::Started(Box::new(start)));
        self.announced += 1;
        flow.id
    }

    fn announced(&self) -> usize {
        self.announced
    }

    fn has_room(&self, settings: &Settings) -> bool {
        self.queued() < settings.total_limit
    }

    fn take_place(&mut self, _: &FlowId) {
        self.gate.take_place();
    }

    fn leave_place(&mut self, _: &FlowId) {
        self.gate.leave_place();
    }

    fn push(
        &mut self,
        id: &FlowId,
        entries: &mut Entries,
        room: &Room,
        _: &mut Vec<Waker>,
    ) -> Pushed {
        self.take(FlowNumber::new(self.source, *id), entries, room, false)
    }

    fn close(
        &mut self,
        id: &FlowId,
        entries: &mut Entries,
        record: Box<FlowRecord<K>>,
        room: &Room,
        _: &mut Vec<Waker>,
    ) -> Pushed {
        let id = FlowNumber::new(self.source, *id);
        let pushed = self.take(id, entries, room, true);
        if !pushed.overrun {
            self.put(id, What::Closed(record.reason, record));
        }
        pushed
    }

    fn fail(&mut self, _: &FlowId, _: &mut Vec<Waker>) {}

    fn prefetch(_: &FlowId) {}

    fn is_abandoned(&self, _: &FlowId) -> bool {
        self.inbox.is_gone()
    }

    fn flush(&mut self) {
        self.announced = 0;
        let cost = std::mem::take(&mut self.cost);
        // Before the reader can take it off.
        self.gate.add(cost);
        if !self.inbox.push(&mut self.batch) {
            self.gate.remove(cost);
        }
    }

    fn is_crowded(&mut self, settings: &Settings) -> bool {
        self.gate.queued() > settings.total_limit.min(AHEAD) && !self.inbox.is_gone()
    }

    fn is_gone(&self) -> bool {
        self.inbox.is_gone()
    }

    fn end(&mut self, error: Option<Error>) {
        self.inbox.end(error);
    }
}
