//! State that a program keeps for each flow.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::flow_event::FlowEvent;
use super::flow_number::FlowNumber;
use super::stream::EventStream;
use crate::api::error::Error;
use crate::api::handle::Handle;

/// Flow events, each with the state that a program keeps for its flow.
///
/// [`FlowStream::with_state`](crate::FlowStream::with_state) makes one.
/// [`next_event`](Self::next_event) lends an event's state along with it; as a [`Stream`] this
/// gives the events alone, and [`state_mut`](Self::state_mut) the state. A flow's state is made
/// when the flow starts and dropped when the next event is asked for after its end.
pub struct StatefulFlowStream<K, U> {
    events: EventStream<FlowEvent<K>>,
    make: Make<K, U>,
    states: HashMap<FlowNumber, U>,
    /// The flow whose end was told last.
    ended: Option<FlowNumber>,
}

/// Makes a flow's state of its key.
type Make<K, U> = Box<dyn FnMut(&K) -> U + Send>;

impl<K: Send + 'static, U> StatefulFlowStream<K, U> {
    pub(crate) fn new(
        events: EventStream<FlowEvent<K>>,
        make: impl FnMut(&K) -> U + Send + 'static,
    ) -> Self {
        Self { events, make: Box::new(make), states: HashMap::new(), ended: None }
    }

    /// The next event, with the state of its flow; [`FlowEvent::Lagged`] comes without a state.
    /// `None` at the end.
    ///
    /// Cancel-safe: a future that is dropped before it is ready has taken no event.
    ///
    /// # Errors
    /// The error that ended the engine, as the last item.
    pub async fn next_event(&mut self) -> Option<Result<(FlowEvent<K>, Option<&mut U>), Error>> {
        let event = match poll_fn(|cx| self.poll_event(cx)).await? {
            Ok(event) => event,
            Err(error) => return Some(Err(error)),
        };
        let state = event.id().and_then(|id| self.states.get_mut(&id));
        Some(Ok((event, state)))
    }

    /// The state of a flow that goes on, or whose end was the last event.
    #[must_use]
    pub fn state_mut(&mut self, flow: FlowNumber) -> Option<&mut U> {
        self.states.get_mut(&flow)
    }

    /// Flows that have a state.
    #[must_use]
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Returns `true` if no flow has a state.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Returns a handle that stops the engine and has its statistics.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.events.handle()
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<FlowEvent<K>, Error>>> {
        let event = self.events.poll(cx);
        let Poll::Ready(event) = event else { return Poll::Pending };
        if let Some(ended) = self.ended.take() {
            self.states.remove(&ended);
        }
        match &event {
            Some(Ok(FlowEvent::Started { id, key, .. })) => {
                self.states.insert(*id, (self.make)(key));
            }
            Some(Ok(FlowEvent::Ended { id, .. })) => self.ended = Some(*id),
            _ => {}
        }
        Poll::Ready(event)
    }
}

impl<K, U> Unpin for StatefulFlowStream<K, U> {}

impl<K: Send + 'static, U> Stream for StatefulFlowStream<K, U> {
    type Item = Result<FlowEvent<K>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

impl<K, U> fmt::Debug for StatefulFlowStream<K, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatefulFlowStream")
            .field("flows", &self.states.len())
            .finish_non_exhaustive()
    }
}
