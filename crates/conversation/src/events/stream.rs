//! The reader's end of a stream of events.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::outlet::Weighed;
use crate::api::error::Error;
use crate::api::handle::Handle;
use crate::coop;
use crate::engine::control::Control;
use crate::queue::inbox::Inbox;

/// The events of engines that were started.
pub(crate) struct EventStream<T> {
    inbox: Arc<Inbox<Weighed<T>>>,
    control: Arc<Control>,
}

impl<T> EventStream<T> {
    pub(crate) const fn new(inbox: Arc<Inbox<Weighed<T>>>, control: Arc<Control>) -> Self {
        Self { inbox, control }
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Error>>> {
        let polled = coop::poll(cx, |cx| self.inbox.poll(cx));
        let polled = polled.map(|item| item.map(|item| item.map(Weighed::take)));
        self.control.gate().notify();
        polled
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.control))
    }
}

impl<T> Drop for EventStream<T> {
    fn drop(&mut self) {
        drop(self.inbox.abandon());
        self.control.interrupt();
    }
}

impl<T> fmt::Debug for EventStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}
