//! The stream of conversations.

#[cfg(not(loom))]
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flow::FiveTupleKey;
use futures_core::Stream;

use crate::api::conversation::Conversation;
use crate::api::error::Error;
use crate::api::handle::Handle;
#[cfg(not(loom))]
use crate::api::statistics::Statistics;
use crate::coop;
use crate::engine::control::Control;
use crate::queue::inbox::Inbox;

/// Every conversation of a source, each from its first packet on.
///
/// It ends after an error if there was one, when the engines have ended and their sources are
/// closed. Dropping it ends the announcement of new conversations; those that were taken go on.
///
/// A program that returns from `main` ends the engines wherever they are. If a source has something
/// to finish, such as a file that it writes what it passes on to, read this stream to its end, or
/// [`drain`](Self::drain) it, before that.
#[derive(Debug)]
pub struct Conversations<K: Clone = FiveTupleKey> {
    inbox: Arc<Inbox<Conversation<K>>>,
    control: Arc<Control>,
}

impl<K: Clone> Conversations<K> {
    pub(crate) fn new(inbox: Arc<Inbox<Conversation<K>>>, control: Arc<Control>) -> Self {
        Self { inbox, control }
    }

    /// Each conversation is read by tasks of its own, so that what one of them leaves may make a
    /// file wait even while others wait for more.
    #[cfg(not(loom))]
    pub(crate) fn readers_are_independent(&self) {
        self.control.gate().readers_are_independent();
    }

    /// A handle that stops the engine, and tells what it did.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.control))
    }

    /// Stops the engines and waits until they have ended and their sources are closed. Returns the
    /// final statistics.
    ///
    /// Each engine takes what its source already holds, as with [`Handle::shutdown`]. Conversations
    /// that were taken get that and their true ends; those that nobody has taken are dropped. To
    /// wait for the end of a file instead, read the stream until it gives `None`.
    ///
    /// Dropping the future is the same as dropping the stream.
    ///
    /// # Errors
    /// The error that ended an engine.
    ///
    /// # Examples
    ///
    /// The first conversation is all that this program wants. The source is closed before it goes
    /// on:
    ///
    /// ```
    /// # use conversation::FlowStreamExt as _;
    /// # use flow::FiveTuple;
    /// # use futures::StreamExt as _;
    /// # use ring_core::{LinkType, MemorySource};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), conversation::Error> {
    /// # let source = MemorySource::new(LinkType::ETHERNET);
    /// let mut conversations = source.flow_conversations(FiveTuple::bidirectional());
    /// if let Some(conversation) = conversations.next().await {
    ///     println!("{:?}", conversation?.key());
    /// }
    /// let statistics = conversations.drain().await?;
    /// println!("{} packets", statistics.packets);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(not(loom))]
    pub async fn drain(self) -> Result<Statistics, Error> {
        let handle = self.handle();
        handle.shutdown();
        let mut result = Ok(());
        while let Some(conversation) = poll_fn(|cx| self.inbox.poll(cx)).await {
            result = result.and(conversation.map(drop));
        }
        handle.finished().await;
        result.map(|()| handle.statistics())
    }
}

impl<K: Clone> Stream for Conversations<K> {
    type Item = Result<Conversation<K>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        coop::poll(cx, |cx| self.inbox.poll(cx))
    }
}

impl<K: Clone> Drop for Conversations<K> {
    fn drop(&mut self) {
        drop(self.inbox.abandon());
        self.control.interrupt();
    }
}
