//! The reader's end of a stream of events.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flow::FiveTupleKey;
use futures_core::Stream;

use super::flow_event::FlowEvent;
use super::outlet::Weighed;
use super::state::StatefulFlowStream;
use crate::api::error::Error;
use crate::api::handle::Handle;
use crate::coop;
use crate::engine::control::Control;
use crate::queue::inbox::Inbox;

/// The flows of a source, as a [`Stream`] of [`FlowEvent`]s.
///
/// [`FlowStreamBuilder::events`](crate::FlowStreamBuilder::events) makes it. The engine runs from
/// then on; an error, at the start or later, is the stream's last item. Dropping the stream ends
/// the engine.
pub struct FlowStream<K = FiveTupleKey> {
    events: EventStream<FlowEvent<K>>,
}

impl<K: Send + 'static> FlowStream<K> {
    pub(crate) const fn new(events: EventStream<FlowEvent<K>>) -> Self {
        Self { events }
    }

    /// Adds a state to each flow, which `make` makes of the flow's key when it starts.
    pub fn with_state<U>(
        self,
        make: impl FnMut(&K) -> U + Send + 'static,
    ) -> StatefulFlowStream<K, U> {
        StatefulFlowStream::new(self.events, make)
    }

    /// Returns a handle that stops the engine and has its statistics.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.events.handle()
    }
}

impl<K: Send + 'static> Stream for FlowStream<K> {
    type Item = Result<FlowEvent<K>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll(cx)
    }
}

impl<K> fmt::Debug for FlowStream<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowStream").finish_non_exhaustive()
    }
}

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
