//! One conversation, as the program that reads it sees it.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flow::{Endpoint, FiveTupleKey, FlowSide, Orientation, Scope, Timestamp};
use futures_core::Stream;

use crate::Error;
use crate::api::chunk::Chunk;
use crate::api::half::Half;
use crate::coop;
use crate::queue::{Queue, SideTotals, Taken, Wait};
use crate::select::Selected;

/// Everything that the two sides of one flow say to each other, in order.
///
/// Read it with [`next_chunk`](Self::next_chunk), as a [`Stream`] of chunks, or
/// [`split`](Self::split) it into its two directions. Nobody needs to poll anything else meanwhile:
/// the packets are taken from the wire by the engine's own thread. Dropping it releases what waits;
/// its flow then costs nothing but its place in the table.
#[derive(Debug)]
pub struct Conversation<K = FiveTupleKey>
where
    K: Clone,
{
    key: K,
    protocol: u8,
    initiator: Orientation,
    started: Timestamp,
    selected: Option<Selected>,
    midway: bool,
    reader: Reader<K>,
}

/// The state of a conversation while it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The protocol above IP, as IANA numbers it.
    pub protocol: u8,
    /// The direction of the initiator's packets, relative to the key.
    pub initiator_orientation: Orientation,
    /// Time stamp of the first packet.
    pub started: Timestamp,
    /// `true` for a TCP connection that was picked up midway: neither its SYN nor the answer to it
    /// was captured first.
    pub midway: bool,
    /// Totals of the initiator's bytes so far.
    pub initiator: SideTotals,
    /// Totals of the responder's bytes so far.
    pub responder: SideTotals,
}

impl<K: Clone> Conversation<K> {
    pub(crate) fn new(
        flow: &flow::Flow<'_, K>,
        midway: bool,
        queue: Arc<Queue<K>>,
        taken: Taken,
        selected: Option<Selected>,
    ) -> Self {
        Self {
            key: flow.key.clone(),
            protocol: flow.protocol,
            initiator: flow.initiator,
            started: flow.started,
            selected,
            midway,
            reader: Reader { queue, taken, split: false },
        }
    }

    /// The flow's key.
    #[must_use]
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The conditions that the conversation meets, if there is a
    /// [selection](crate::FlowStreamBuilder::select).
    #[must_use]
    pub fn selected(&self) -> Option<&Selected> {
        self.selected.as_ref()
    }

    /// Returns the state of the conversation.
    #[must_use]
    pub fn info(&self) -> Info {
        Info {
            protocol: self.protocol,
            initiator_orientation: self.initiator,
            started: self.started,
            midway: self.midway,
            initiator: self.reader.queue.totals(FlowSide::Initiator),
            responder: self.reader.queue.totals(FlowSide::Responder),
        }
    }

    /// The next chunk of either side, in the order in which the packets came; `None` after
    /// [`Chunk::Closed`].
    ///
    /// Cancel-safe: a future that is dropped before it is ready has taken nothing.
    pub async fn next_chunk(&mut self) -> Option<Chunk<K>> {
        let Reader { queue, taken, .. } = &mut self.reader;
        Wait::both(queue, taken).await
    }

    /// The two directions by themselves: the initiator's, then the responder's.
    ///
    /// Bytes that one half does not take wait under the conversation's limit, without holding up
    /// the other.
    #[must_use]
    pub fn split(self) -> (Half<K>, Half<K>) {
        let Self { mut reader, .. } = self;
        let queue = Arc::clone(&reader.queue);
        // The halves abandon their own side each.
        reader.split = true;
        queue.split(mem::take(&mut reader.taken));
        (Half::new(Arc::clone(&queue), FlowSide::Initiator), Half::new(queue, FlowSide::Responder))
    }
}

impl Conversation<FiveTupleKey> {
    /// The endpoint that opened the connection.
    ///
    /// If the capture did not see it open, the first packet decides. Of a SYN-ACK its receiver is
    /// the initiator. Of any other TCP segment it is the end with the higher port, since servers
    /// have the lower one as a rule, and the sender if both are equal. Of protocols other than TCP
    /// it is the sender of the first packet.
    #[must_use]
    pub fn initiator(&self) -> Endpoint {
        match self.initiator {
            Orientation::Forward => self.key.a,
            Orientation::Reverse => self.key.b,
        }
    }

    /// The endpoint that is not the [initiator](Self::initiator).
    #[must_use]
    pub fn responder(&self) -> Endpoint {
        match self.initiator {
            Orientation::Forward => self.key.b,
            Orientation::Reverse => self.key.a,
        }
    }

    /// The VLANs and tunnels around the conversation, which can be printed. If its directions were
    /// captured in different ones, these are those of the first packet; the record in
    /// [`Chunk::Closed`] has the other ones ([`FlowRecord::joined`](flow::FlowRecord::joined)).
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.key.scope
    }
}

// Nothing in it is ever pinned.
impl<K: Clone> Unpin for Conversation<K> {}

impl<K: Clone> Stream for Conversation<K> {
    type Item = Result<Chunk<K>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Reader { queue, taken, .. } = &mut self.get_mut().reader;
        coop::poll(cx, |cx| queue.poll_both(taken, cx))
    }
}

/// The reading end of a queue: both lanes.
#[derive(Debug)]
struct Reader<K: Clone> {
    queue: Arc<Queue<K>>,
    taken: Taken,
    split: bool,
}

impl<K: Clone> Drop for Reader<K> {
    fn drop(&mut self) {
        if !self.split {
            self.queue.abandon_both();
        }
    }
}
