//! The stream of conversations.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flow::FiveTupleKey;
use futures_core::Stream;

use crate::conversation::Conversation;
use crate::error::Error;
use crate::handle::{Control, Handle};
use crate::inbox::Inbox;

/// Every conversation of a source, each from its first packet on.
///
/// It ends with the source, after an error if there was one. Dropping it ends the announcement of new conversations;
/// those that were taken go on.
#[derive(Debug)]
pub struct Conversations<K: Clone = FiveTupleKey> {
    inbox: Arc<Inbox<Conversation<K>>>,
    control: Arc<Control>,
}

impl<K: Clone> Conversations<K> {
    pub(crate) fn new(inbox: Arc<Inbox<Conversation<K>>>, control: Arc<Control>) -> Self {
        Self { inbox, control }
    }

    /// Each conversation is read by tasks of its own, so that what one of them leaves may make a file wait even while
    /// others wait for more.
    #[cfg(not(loom))]
    pub(crate) fn readers_are_independent(&self) {
        self.control.gate().readers_are_independent();
    }

    /// A handle that stops the engine, and tells what it did.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.control))
    }
}

impl<K: Clone> Stream for Conversations<K> {
    type Item = Result<Conversation<K>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inbox.poll(cx)
    }
}

impl<K: Clone> Drop for Conversations<K> {
    fn drop(&mut self) {
        self.inbox.abandon();
        self.control.interrupt();
    }
}
