//! The messages of one conversation.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::protocol::{Message, Registry, Session};
use flow::{FiveTupleKey, FlowSide, Timestamp};
use futures_core::Stream;

use super::protocol::{IntoSide as _, ports_of};
use crate::api::chunk::{Chunk, ChunkData};
use crate::api::conversation::Conversation;
use crate::api::error::Error;

/// The messages of one conversation, as a [`Stream`]. [`Conversation::messages`] makes it.
///
/// The parser runs when the stream is polled. It holds the memory that the modules of the crate
/// `protocol` state, and the messages that one chunk completed.
#[derive(Debug)]
pub struct ConversationMessages<K: Clone = FiveTupleKey> {
    conversation: Conversation<K>,
    session: Session,
    found: VecDeque<Message>,
    latest: Timestamp,
    ended: bool,
}

impl<K: Clone + 'static> Conversation<K> {
    /// Reads the conversation as messages of the protocols of a [`Registry`]. With [causal
    /// order](crate::FlowStreamBuilder::causal_order), a request always comes before its response,
    /// also where packets are missing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use conversation::FlowStreamExt as _;
    /// use flow::FiveTuple;
    /// use futures::StreamExt as _;
    /// use protocol::Registry;
    /// use ring_core::{LinkType, MemorySource};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), conversation::Error> {
    /// let source = MemorySource::new(LinkType::ETHERNET);
    /// let mut conversations =
    ///     source.flow_stream(FiveTuple::bidirectional()).into_conversations();
    /// let registry = Arc::new(Registry::default());
    /// while let Some(conversation) = conversations.next().await {
    ///     let mut messages = conversation?.messages(Arc::clone(&registry));
    ///     while let Some(message) = messages.next_message().await {
    ///         println!("{:?}", message.get("http.host"));
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn messages(self, registry: Arc<Registry>) -> ConversationMessages<K> {
        let info = self.info();
        let ports = ports_of(self.key(), info.initiator_orientation);
        let new = if info.midway { Session::midway } else { Session::new };
        ConversationMessages {
            session: new(registry, ports),
            conversation: self,
            found: VecDeque::new(),
            latest: info.started,
            ended: false,
        }
    }
}

impl<K: Clone> ConversationMessages<K> {
    /// The conversation, for its key and its counters.
    #[must_use]
    pub fn conversation(&self) -> &Conversation<K> {
        &self.conversation
    }

    /// The next message; `None` after the last.
    ///
    /// Cancel-safe: a future that is dropped before it is ready has taken nothing.
    pub async fn next_message(&mut self) -> Option<Message> {
        // A conversation's stream has no errors of its own.
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await?.ok()
    }

    fn data(&mut self, side: FlowSide, data: &ChunkData) {
        self.latest = self.latest.max(data.timestamp());
        let found = &mut self.found;
        let mut sink = |message: Message| found.push_back(message);
        self.session.data(side.into_side(), data.timestamp(), data, &mut sink);
    }

    fn chunk(&mut self, chunk: &Chunk<K>) {
        match chunk {
            Chunk::Initiator(data) => self.data(FlowSide::Initiator, data),
            Chunk::Responder(data) => self.data(FlowSide::Responder, data),
            Chunk::Gap { side, len, .. } => {
                let found = &mut self.found;
                let mut sink = |message: Message| found.push_back(message);
                self.session.gap(side.into_side(), self.latest, *len, &mut sink);
            }
            Chunk::Finished { side, .. } => {
                let found = &mut self.found;
                let mut sink = |message: Message| found.push_back(message);
                self.session.finish(side.into_side(), self.latest, &mut sink);
            }
            Chunk::Closed { .. } | Chunk::Overrun { .. } => self.end(),
            // No part of the ordered bytes.
            Chunk::Late { .. } | Chunk::Unplaced { .. } | Chunk::Conflict { .. } => {}
        }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            let found = &mut self.found;
            self.session.end(&mut |message: Message| found.push_back(message));
        }
    }
}

// Nothing in it is ever pinned.
impl<K: Clone> Unpin for ConversationMessages<K> {}

impl<K: Clone> Stream for ConversationMessages<K> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(message) = self.found.pop_front() {
                return Poll::Ready(Some(Ok(message)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match Pin::new(&mut self.conversation).poll_next(cx) {
                Poll::Ready(Some(Ok(chunk))) => self.chunk(&chunk),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => self.end(),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
