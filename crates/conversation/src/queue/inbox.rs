//! The bounded queue of things that an engine announces: new conversations, or flow events.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::Error;
use crate::queue::gate::Gate;
use crate::sync::{Mutex, MutexGuard};

/// A queue with engines at one end and one stream at the other.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    waker: Option<Waker>,
    parked: bool,
    /// The stream was dropped.
    gone: bool,
    /// Engines that have not stopped.
    engines: usize,
    error: Option<Error>,
}

impl<T> Inbox<T> {
    pub(crate) fn new(gate: Arc<Gate>, engines: usize) -> Self {
        let state = State {
            items: VecDeque::new(),
            waker: None,
            parked: false,
            gone: false,
            engines,
            error: None,
        };
        Self { state: Mutex::new(state), gate }
    }

    /// Appends a batch's items and wakes the stream once. The sender keeps within the capacity.
    /// Returns `false` if the stream is gone; the items are dropped.
    pub(crate) fn push(&self, items: &mut Vec<T>) -> bool {
        if items.is_empty() {
            return true;
        }
        let (gone, waker) = {
            let mut state = self.lock();
            if !state.gone {
                self.gate.announce(items.len());
                state.items.extend(items.drain(..));
            }
            (state.gone, state.take_waker(&self.gate))
        };
        // Where the stream is gone the items are dropped here: outside the lock, since they abandon
        // their queues.
        items.clear();
        waker.into_iter().for_each(Waker::wake);
        !gone
    }

    /// One of the engines has no more items; the stream ends with the last of them. Of several
    /// errors the first is reported.
    pub(crate) fn end(&self, error: Option<Error>) {
        let waker = {
            let mut state = self.lock();
            state.engines = state.engines.saturating_sub(1);
            // A later error is most likely a consequence of the first, such as the same interface
            // gone.
            state.error = state.error.take().or(error);
            state.take_waker(&self.gate)
        };
        waker.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().items.len()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.lock().gone
    }

    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Option<Result<T, Error>>> {
        let polled = self.lock().poll(&self.gate, cx);
        self.gate.notify();
        polled
    }

    /// Gives all there is to a reader that has nothing left.
    pub(crate) fn poll_all(
        &self,
        taken: &mut VecDeque<T>,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<(), Error>>> {
        let polled = {
            let mut state = self.lock();
            if state.items.is_empty() {
                state.poll(&self.gate, cx).map(|end| end.map(|item| item.map(drop)))
            } else {
                // A swap: the lock is held for a moment however many items there are, and both
                // sides keep their memory.
                mem::swap(&mut state.items, taken);
                self.gate.taken(taken.len());
                state.unpark(&self.gate);
                Poll::Ready(Some(Ok(())))
            }
        };
        self.gate.notify();
        polled
    }

    /// The stream was dropped: nothing is announced any more. Returns what it has not taken, for
    /// the caller to drop without a lock.
    #[must_use]
    pub(crate) fn abandon(&self) -> VecDeque<T> {
        let items = {
            let mut state = self.lock();
            state.gone = true;
            state.unpark(&self.gate);
            state.waker = None;
            self.gate.taken(state.items.len());
            mem::take(&mut state.items)
        };
        self.gate.notify();
        items
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn poll(&mut self, gate: &Gate, cx: &Context<'_>) -> Poll<Option<Result<T, Error>>> {
        if let Some(item) = self.items.pop_front() {
            gate.taken(1);
            self.unpark(gate);
            return Poll::Ready(Some(Ok(item)));
        }
        if self.engines == 0 {
            self.unpark(gate);
            return Poll::Ready(self.error.take().map(Err));
        }
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        if !mem::replace(&mut self.parked, true) {
            gate.park();
        }
        Poll::Pending
    }

    fn take_waker(&mut self, gate: &Gate) -> Option<Waker> {
        self.unpark(gate);
        self.waker.take()
    }

    fn unpark(&mut self, gate: &Gate) {
        if mem::take(&mut self.parked) {
            gate.unpark();
        }
    }
}
