//! Flow events for one reader.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use flow::FiveTupleKey;
use futures_core::Stream;

use super::flow_event::FlowEvent;
use super::state::StatefulFlowStream;
use super::stream::EventStream;
use crate::api::error::Error;
use crate::api::handle::Handle;

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
