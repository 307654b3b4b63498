//! The newest events, kept for several readers.

use std::collections::{HashSet, VecDeque};
use std::mem;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use super::event::{Event, Part};
use super::flow_number::FlowNumber;
use crate::api::error::Error;
use crate::queue::gate::Gate;
use crate::sync::{Mutex, MutexGuard};

#[cfg(all(test, loom))]
mod loom;

/// The newest events, and who has read how far.
///
/// **Invariant**: `events[0]` is number `first`; no cursor is beyond the last event; an event that
/// all have read is gone. Beside its capacity it keeps at most one event for each flow and each
/// reader that was told of the flow's beginning.
pub(crate) struct Ring<T> {
    state: Mutex<State<T>>,
    capacity: usize,
    gate: Arc<Gate>,
    kind: Kind<T>,
}

/// The functions that the ring needs of its events.
pub(crate) struct Kind<T> {
    /// Makes the event that says how many are missing.
    pub(crate) lagged: fn(u64) -> T,
    /// The meaning of an event to its flow.
    pub(crate) part: fn(&T) -> Part,
    pub(crate) clone: fn(&T) -> T,
}

struct State<T> {
    events: VecDeque<T>,
    first: u64,
    /// By the subscription's number.
    cursors: Vec<Option<Cursor<T>>>,
    /// Engines that have not stopped.
    engines: usize,
    error: Option<Arc<Error>>,
    /// Nobody can subscribe any more.
    closed: bool,
}

struct Cursor<T> {
    next: u64,
    /// Flows of whose beginning it was told, and not of their end.
    told: HashSet<FlowNumber>,
    /// Ends of such flows that were overtaken: they come before the next event.
    owed: VecDeque<T>,
    /// Events among those that it has missed since the last `Lagged` which it gets anyway.
    kept: u64,
    waker: Option<Waker>,
    parked: bool,
    end_taken: bool,
}

impl<T: Event + Clone> Kind<T> {
    pub(crate) fn of() -> Self {
        Self { lagged: T::lagged, part: T::part, clone: T::clone }
    }
}

impl<T> Ring<T> {
    pub(crate) fn new(capacity: usize, engines: usize, gate: Arc<Gate>, kind: Kind<T>) -> Self {
        let state = State {
            events: VecDeque::new(),
            first: 0,
            cursors: Vec::new(),
            engines,
            error: None,
            closed: false,
        };
        Self { state: Mutex::new(state), capacity: capacity.max(1), gate, kind }
    }

    /// Appends a batch's events and wakes the waiters. Returns the number of events that some
    /// reader will never see: 0 without `limit`.
    pub(crate) fn push(&self, batch: &mut Vec<T>, limit: bool) -> u64 {
        if batch.is_empty() {
            return 0;
        }
        let (wakers, overtaken, missed, unheard) = {
            let mut state = self.lock();
            if state.cursors.iter().all(Option::is_none) {
                state.first += batch.len() as u64;
                (Vec::new(), Vec::new(), 0, mem::take(batch))
            } else {
                self.gate.announce(batch.len());
                state.events.extend(batch.drain(..));
                let excess =
                    if limit { state.events.len().saturating_sub(self.capacity) } else { 0 };
                let overtaken: Vec<_> = state.events.drain(..excess).collect();
                self.gate.taken(overtaken.len());
                let missed = state.owe(&overtaken, &self.kind, &self.gate);
                state.first += overtaken.len() as u64;
                (state.take_wakers(&self.gate), overtaken, missed, Vec::new())
            }
        };
        wakers.into_iter().for_each(Waker::wake);
        drop((overtaken, unheard));
        missed
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns `true` if a reader is behind by more than the capacity.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().events.len() > self.capacity
    }

    /// One of the engines has no more events; the first error is kept for the readers.
    pub(crate) fn end(&self, error: Option<Error>) {
        let wakers = {
            let mut state = self.lock();
            state.engines = state.engines.saturating_sub(1);
            state.error = state.error.take().or_else(|| error.map(Arc::new));
            state.take_wakers(&self.gate)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Nobody listens, nor will anybody.
    pub(crate) fn is_gone(&self) -> bool {
        self.lock().closed
    }

    pub(crate) fn subscribe(&self) -> usize {
        let mut state = self.lock();
        let next = state.first + state.events.len() as u64;
        let cursor = Some(Cursor::new(next));
        match state.cursors.iter().position(Option::is_none) {
            Some(number) => {
                state.cursors[number] = cursor;
                number
            }
            None => {
                state.cursors.push(cursor);
                state.cursors.len() - 1
            }
        }
    }

    pub(super) fn waiting(&self, number: usize) -> usize {
        let state = self.lock();
        let end = state.first + state.events.len() as u64;
        state.cursors[number]
            .as_ref()
            .map_or(0, |cursor| (end - cursor.next.max(state.first)) as usize + cursor.owed.len())
    }

    pub(super) fn leave(&self, number: usize) {
        let released = {
            let mut state = self.lock();
            let mut cursor = state.cursors[number].take();
            let waker = cursor.as_mut().and_then(|cursor| cursor.take_waker(&self.gate));
            let owed = cursor.map(|cursor| cursor.owed).unwrap_or_default();
            let unread = state.trim();
            self.gate.taken(unread.len() + owed.len());
            (waker, unread, owed)
        };
        drop(released);
        self.gate.notify();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.gate.notify();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Ring<T> {
    pub(crate) fn poll(
        &self,
        number: usize,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<T, Arc<Error>>>> {
        let polled = self.lock().poll(number, self, cx);
        self.gate.notify();
        polled
    }
}

impl<T> State<T> {
    fn take_wakers(&mut self, gate: &Gate) -> Vec<Waker> {
        self.cursors.iter_mut().flatten().filter_map(|cursor| cursor.take_waker(gate)).collect()
    }

    /// Keeps the ends among events that are about to go, for readers who were told of the
    /// beginning. Returns how many events some reader will never see.
    fn owe(&mut self, overtaken: &[T], kind: &Kind<T>, gate: &Gate) -> u64 {
        let mut missed = 0;
        for (number, event) in (self.first..).zip(overtaken) {
            let part = (kind.part)(event);
            let mut is_missed = false;
            for cursor in self.cursors.iter_mut().flatten().filter(|cursor| cursor.next <= number) {
                if let Part::Ends(flow) = part
                    && cursor.told.remove(&flow)
                {
                    cursor.owed.push_back((kind.clone)(event));
                    cursor.kept += 1;
                    gate.announce(1);
                } else {
                    is_missed = true;
                }
            }
            missed += u64::from(is_missed);
        }
        missed
    }

    /// Takes out the events that all have read.
    fn trim(&mut self) -> Vec<T> {
        let end = self.first + self.events.len() as u64;
        let slowest = self.cursors.iter().flatten().map(|cursor| cursor.next).min();
        let read = slowest.unwrap_or(end).saturating_sub(self.first);
        self.first += read;
        self.events.drain(..read as usize).collect()
    }
}

impl<T: Clone> State<T> {
    fn poll(
        &mut self,
        number: usize,
        ring: &Ring<T>,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<T, Arc<Error>>>> {
        let gate = &ring.gate;
        loop {
            let Some(cursor) = &mut self.cursors[number] else { return Poll::Ready(None) };
            cursor.unpark(gate);
            if cursor.next < self.first {
                let count = self.first - cursor.next - mem::take(&mut cursor.kept);
                cursor.next = self.first;
                if count > 0 {
                    return Poll::Ready(Some(Ok((ring.kind.lagged)(count))));
                }
            }
            if let Some(owed) = cursor.owed.pop_front() {
                gate.taken(1);
                return Poll::Ready(Some(Ok(owed)));
            }
            let at = cursor.next - self.first;
            let Some(event) = self.events.get(at as usize) else { break };
            cursor.next += 1;
            let is_heard = cursor.hears((ring.kind.part)(event));
            let first = self.first;
            if at > 0 || self.cursors.iter().flatten().any(|cursor| cursor.next <= first) {
                if is_heard {
                    return Poll::Ready(Some(Ok(event.clone())));
                }
                continue;
            }
            // The last one who reads it takes it.
            self.first += 1;
            gate.taken(1);
            let event = self.events.pop_front();
            if is_heard {
                return Poll::Ready(event.map(Ok));
            }
        }
        let Some(cursor) = &mut self.cursors[number] else { return Poll::Ready(None) };
        if self.engines == 0 {
            let error = self.error.clone().filter(|_| !mem::replace(&mut cursor.end_taken, true));
            return Poll::Ready(error.map(Err));
        }
        match &mut cursor.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        cursor.parked = true;
        gate.park();
        Poll::Pending
    }
}

impl<T> Cursor<T> {
    fn new(next: u64) -> Self {
        Self {
            next,
            told: HashSet::new(),
            owed: VecDeque::new(),
            kept: 0,
            waker: None,
            parked: false,
            end_taken: false,
        }
    }

    /// Returns `true` if the reader gets an event. It gets none of a flow whose beginning it did
    /// not get.
    fn hears(&mut self, part: Part) -> bool {
        match part {
            Part::None => true,
            Part::Begins(flow) => {
                self.told.insert(flow);
                true
            }
            Part::GoesOn(flow) => self.told.contains(&flow),
            Part::Ends(flow) => self.told.remove(&flow),
        }
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
