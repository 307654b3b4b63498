//! The reader's end of a stream of events.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::api::error::Error;
use crate::api::handle::{Control, Handle};
use crate::coop;
use crate::events::outlet::{To, Weighed};
use crate::queue::gate::Gate;
use crate::queue::inbox::Inbox;

/// Engines that have not started yet.
pub(crate) struct Start<T> {
    /// The number of engines.
    pub(crate) engines: usize,
    /// Starts them; they send their events to the [`To`] that is passed.
    pub(crate) run: Run<T>,
}

pub(crate) type Run<T> = Box<dyn FnOnce(To<T>, Arc<Gate>) -> Arc<Control> + Send>;

/// The events of engines that start with the first poll.
pub(crate) struct EventStream<T>(State<T>);

enum State<T> {
    Ready(Start<T>),
    Running { inbox: Arc<Inbox<Weighed<T>>>, control: Arc<Control> },
    Ended,
}

impl<T> EventStream<T> {
    pub(crate) const fn new(start: Start<T>) -> Self {
        Self(State::Ready(start))
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Error>>> {
        if let Some(start) = self.take_start() {
            let gate = Arc::new(Gate::default());
            let inbox = Arc::new(Inbox::new(Arc::clone(&gate), start.engines));
            let control = (start.run)(To::Stream(Arc::clone(&inbox)), gate);
            self.0 = State::Running { inbox, control };
        }
        let State::Running { inbox, control } = &self.0 else { return Poll::Ready(None) };
        let polled = coop::poll(cx, |cx| inbox.poll(cx));
        let polled = polled.map(|item| item.map(|item| item.map(Weighed::take)));
        control.gate().notify();
        polled
    }

    /// The engines, unless they have been started. The stream has ended after that.
    pub(crate) fn take_start(&mut self) -> Option<Start<T>> {
        if !matches!(self.0, State::Ready(_)) {
            return None;
        }
        match mem::replace(&mut self.0, State::Ended) {
            State::Ready(start) => Some(start),
            State::Running { .. } | State::Ended => None,
        }
    }

    pub(crate) fn handle(&self) -> Option<Handle> {
        match &self.0 {
            State::Running { control, .. } => Some(Handle::new(Arc::clone(control))),
            State::Ready(_) | State::Ended => None,
        }
    }
}

impl<T> Drop for EventStream<T> {
    fn drop(&mut self) {
        if let State::Running { inbox, control } = &self.0 {
            drop(inbox.abandon());
            control.interrupt();
        }
    }
}

impl<T> fmt::Debug for EventStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "ready",
            State::Running { .. } => "running",
            State::Ended => "ended",
        })
    }
}
