//! Messages that parsers make of flows.

#[cfg(feature = "protocol")]
mod body;
#[cfg(feature = "protocol")]
mod conversation;
#[cfg(feature = "flowscope")]
mod flowscope;
#[cfg(feature = "protocol")]
mod protocol;

use std::pin::Pin;
use std::task::{Context, Poll};

use flow::{FiveTupleKey, Flow, FlowRecord, FlowSide, Gap, Orientation, Timestamp};
use futures_core::Stream;

use crate::api::error::Error;
use crate::api::handle::Handle;
use crate::events::event::{Event, Part};
use crate::events::flow_number::FlowNumber;
use crate::events::outlet::Outlet;
use crate::events::stream::EventStream;

#[cfg(feature = "protocol")]
pub use self::body::BodyPart;
#[cfg(feature = "protocol")]
pub use self::conversation::ConversationMessages;
#[cfg(feature = "flowscope")]
pub(crate) use self::flowscope::{
    DatagramBroadcast, DatagramMessage, MessageSink, SessionBroadcast, SessionMessage,
};
#[cfg(feature = "flowscope")]
pub use self::flowscope::{DatagramStream, SessionStream};
#[cfg(feature = "protocol")]
pub use self::protocol::Messages;
#[cfg(feature = "protocol")]
pub(crate) use self::protocol::ProtocolSink;

/// The messages of all flows of a source, as a [`Stream`] of [`MessageEvent`]s.
///
/// The parsers run on the engine's thread, on streams that this workspace reassembled: bytes in
/// order and once. They receive the time of the packets about once a second, for what depends on
/// time alone, such as queries that nobody answers.
///
/// With the feature `protocol`, `messages` makes a stream of all messages that the parsers of the
/// crate `protocol` recognize, of any number of protocols at once. With the feature `flowscope`,
/// `session_stream` and `datagram_stream` make one of the messages of one of flowscope's parsers.
/// At a gap, such a parser is dropped, since none of them can know how much of a message is
/// missing, and a new one begins behind it.
#[derive(Debug)]
pub struct MessageStream<K, M> {
    events: EventStream<MessageEvent<M, K>>,
}

/// An event of a [`MessageStream`].
///
/// Each flow that [`Started`](Self::Started) also [`Ended`](Self::Ended). On a wire, messages
/// between the two, and flows as a whole, may be missing where the reader was too slow: then
/// [`Lagged`](Self::Lagged) stands in their place. A file waits for its reader.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MessageEvent<M, K = FiveTupleKey> {
    /// A flow began.
    #[non_exhaustive]
    Started {
        /// Its number.
        id: FlowNumber,
        /// Its key.
        key: K,
        /// The direction of the initiator's packets, relative to the key.
        initiator: Orientation,
        /// Time stamp of its first packet.
        timestamp: Timestamp,
    },
    /// A message is complete.
    #[non_exhaustive]
    Message {
        /// The flow.
        id: FlowNumber,
        /// The flow's key.
        key: K,
        /// The side that sent it.
        side: FlowSide,
        /// The message as the parser returned it.
        message: M,
        /// Time stamp of the packet that completed it.
        timestamp: Timestamp,
    },
    /// A part of a message's body, if bodies were asked for.
    #[cfg(feature = "protocol")]
    #[non_exhaustive]
    Body {
        /// The flow.
        id: FlowNumber,
        /// The side that sends the body.
        side: FlowSide,
        /// The number of the body's message among those that this side sent.
        number: u64,
        /// The part.
        part: BodyPart,
        /// Time stamp of the packet that brought it.
        timestamp: Timestamp,
    },
    /// Bytes of a side are missing, and perhaps the message that they were part of.
    #[non_exhaustive]
    Gap {
        /// The flow.
        id: FlowNumber,
        /// The side that sent the bytes.
        side: FlowSide,
        /// Position, length and cause.
        gap: Gap,
    },
    /// A flow ended.
    #[non_exhaustive]
    Ended {
        /// Its number, which may be given again from now on.
        id: FlowNumber,
        /// Its summary.
        record: Box<FlowRecord<K>>,
    },
    /// Events are missing here, since this reader was too slow for a source that cannot wait.
    #[non_exhaustive]
    Lagged {
        /// The number of events.
        count: u64,
    },
}

impl<K: Send + 'static, M: Send + 'static> MessageStream<K, M> {
    pub(crate) const fn new(events: EventStream<MessageEvent<M, K>>) -> Self {
        Self { events }
    }

    /// Returns a handle that stops the engine and has its statistics.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.events.handle()
    }
}

impl<K, M> Unpin for MessageStream<K, M> {}

impl<K, M> Stream for MessageStream<K, M> {
    type Item = Result<MessageEvent<M, K>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll(cx)
    }
}

impl<M: Send + 'static, K: Send + 'static> Event for MessageEvent<M, K> {
    fn lagged(count: u64) -> Self {
        Self::Lagged { count }
    }

    fn part(&self) -> Part {
        match self {
            Self::Started { id, .. } => Part::Begins(*id),
            Self::Message { id, .. } | Self::Gap { id, .. } => Part::GoesOn(*id),
            #[cfg(feature = "protocol")]
            Self::Body { id, .. } => Part::GoesOn(*id),
            Self::Ended { id, .. } => Part::Ends(*id),
            Self::Lagged { .. } => Part::None,
        }
    }
}

/// Takes messages to an outlet.
pub(crate) struct Mail<K, M> {
    outlet: Outlet<MessageEvent<M, K>>,
    /// The number of the source, if there are several.
    source: u32,
    /// By the slot of the flow's id: bytes that its parser was fed since its last message; `None`
    /// for flows whose beginning was not told. A message keeps about as much as it was made of.
    fed: Vec<Option<usize>>,
}

impl<K: Clone + Send + 'static, M: Send + 'static> Mail<K, M> {
    pub(crate) const fn new(outlet: Outlet<MessageEvent<M, K>>, source: u32) -> Self {
        Self { outlet, source, fed: Vec::new() }
    }

    const fn number(&self, flow: &Flow<'_, K>) -> FlowNumber {
        FlowNumber::new(self.source, flow.id)
    }

    /// Reports the beginning of a flow. Returns `false` if there is no room for it.
    fn start(&mut self, flow: &Flow<'_, K>) -> bool {
        let (id, key, timestamp) = (self.number(flow), flow.key.clone(), flow.started);
        let event = MessageEvent::Started { id, key, initiator: flow.initiator, timestamp };
        let told = self.outlet.offer(0, event);
        let slot = flow.id.slot();
        if slot >= self.fed.len() {
            self.fed.resize(slot + 1, None);
        }
        self.fed[slot] = told.then_some(0);
        told
    }

    fn fed(&mut self, flow: &Flow<'_, K>) -> Option<&mut usize> {
        self.fed.get_mut(flow.id.slot())?.as_mut()
    }

    #[cfg(feature = "flowscope")]
    fn feed(&mut self, flow: &Flow<'_, K>, bytes: usize) {
        if let Some(fed) = self.fed(flow) {
            *fed = fed.saturating_add(bytes);
        }
    }

    /// Reports a message that refers to `bytes` bytes besides itself.
    fn message(
        &mut self,
        flow: &Flow<'_, K>,
        side: FlowSide,
        message: M,
        timestamp: Timestamp,
        bytes: usize,
    ) {
        if self.fed(flow).is_some() {
            let (id, key) = (self.number(flow), flow.key.clone());
            let event = MessageEvent::Message { id, key, side, message, timestamp };
            self.outlet.offer(bytes, event);
        }
    }

    #[cfg(feature = "protocol")]
    fn body(
        &mut self,
        flow: &Flow<'_, K>,
        side: FlowSide,
        number: u64,
        part: BodyPart,
        timestamp: Timestamp,
    ) {
        if self.fed(flow).is_some() {
            let (id, bytes) = (self.number(flow), part.memory());
            let event = MessageEvent::Body { id, side, number, part, timestamp };
            self.outlet.offer(bytes, event);
        }
    }

    fn gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        if self.fed(flow).is_some() {
            let id = self.number(flow);
            self.outlet.offer(0, MessageEvent::Gap { id, side, gap });
        }
    }

    fn ended(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        if self.fed.get_mut(flow.id.slot()).and_then(Option::take).is_some() {
            let (id, record) = (self.number(flow), Box::new(record.clone()));
            self.outlet.insist(size_of::<FlowRecord<K>>(), MessageEvent::Ended { id, record });
        }
    }
}
