//! One engine's events for several readers.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;

use super::ring::Ring;
use crate::api::error::Error;
use crate::api::handle::Handle;
use crate::coop;
use crate::engine::control::Control;
use crate::sync::Mutex;

/// Events for any number of subscribers, each of whom gets all of them.
///
/// The engine starts when a subscription is polled first: those who subscribe before miss nothing,
/// later ones begin with what comes next. On a wire a subscriber who falls behind by more than the
/// capacity misses the oldest events, receives their number (`Lagged`), and goes on with the oldest
/// that are still there. The others are not affected. A subscriber that received a flow's beginning
/// also receives its end; of flows whose beginning it missed, or that began before it subscribed,
/// it receives nothing. A file waits for the slowest instead, even while others wait for more: so
/// read subscriptions in tasks of their own, and drop those that are not read.
///
/// # Examples
///
/// ```
/// use conversation::{FlowEvent, FlowStreamExt as _};
/// use flow::FiveTuple;
/// use futures::StreamExt as _;
/// use ring_core::{LinkType, MemorySource};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let source = MemorySource::new(LinkType::ETHERNET);
/// let events = source.flow_stream(FiveTuple::bidirectional()).broadcast(1024);
/// let (mut first, mut second) = (events.subscribe(), events.subscribe());
/// let reader = tokio::spawn(async move {
///     while let Some(event) = second.next().await {
///         if let Ok(FlowEvent::Lagged { count, .. }) = event {
///             println!("too slow for {count} events");
///         }
///     }
/// });
/// while let Some(event) = first.next().await { /* … */ }
/// reader.await.unwrap();
/// # }
/// ```
pub struct Broadcast<T> {
    shared: Arc<Shared<T>>,
}

/// One reader of a [`Broadcast`]: a [`Stream`] of events, which ends with the source, after an
/// error if there was one.
///
/// The error is shared with all other subscribers.
#[must_use = "a file waits for every subscription"]
pub struct Subscription<T> {
    shared: Arc<Shared<T>>,
    number: usize,
}

struct Shared<T> {
    ring: Arc<Ring<T>>,
    control: Arc<Control>,
    /// Starts the engines. `None` once they were.
    start: Mutex<Option<Start>>,
}

/// Starts engines.
pub(crate) type Start = Box<dyn FnOnce() + Send>;

impl<T: Clone> Broadcast<T> {
    pub(crate) fn new(ring: Arc<Ring<T>>, control: Arc<Control>, start: Start) -> Self {
        Self { shared: Arc::new(Shared { ring, control, start: Mutex::new(Some(start)) }) }
    }

    /// Another reader, from the next event on.
    pub fn subscribe(&self) -> Subscription<T> {
        Subscription { shared: Arc::clone(&self.shared), number: self.shared.ring.subscribe() }
    }

    /// Returns a handle that stops the engine and has its statistics.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.shared.control))
    }
}

impl<T: Clone> Subscription<T> {
    /// Returns a handle that stops the engine and has its statistics.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.shared.control))
    }

    /// Events that wait for this reader.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.ring.waiting(self.number)
    }
}

impl<T: Clone> Stream for Subscription<T> {
    type Item = Result<T, Arc<Error>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.shared.start();
        coop::poll(cx, |cx| self.shared.ring.poll(self.number, cx))
    }
}

impl<T> Drop for Subscription<T> {
    fn drop(&mut self) {
        self.shared.ring.leave(self.number);
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        self.ring.close();
        self.control.interrupt();
    }
}

impl<T> fmt::Debug for Broadcast<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("capacity", &self.shared.ring.capacity())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("number", &self.number).finish_non_exhaustive()
    }
}

impl<T> Shared<T> {
    fn start(&self) {
        let start = self.start.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(start) = start {
            start();
        }
    }
}
