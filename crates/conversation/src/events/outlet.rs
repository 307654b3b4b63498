//! The engine's end of a stream of events.

use std::sync::Arc;

use super::event::Event;
use super::ring::Ring;
use crate::api::error::Error;
use crate::api::settings::{Memory, Overflow, Settings};
use crate::engine::counters::Counters;
use crate::queue::gate::Gate;
use crate::queue::inbox::Inbox;

/// The destination of events: one reader, or all subscribers.
pub(crate) enum To<T> {
    Stream(Arc<Inbox<Weighed<T>>>),
    Broadcast(Arc<Ring<T>>),
}

/// Collects a batch's events and hands them over at its end.
///
/// **Invariant**: a source that cannot wait never does, and what is queued has a bound: one
/// reader's queue takes what is [offered](Self::offer) while there is room, and what the engine
/// [insists](Self::insist) on, which is at most one event for each that was taken. A broadcast
/// keeps the newest.
pub(crate) struct Outlet<T> {
    to: To<T>,
    batch: Vec<T>,
    /// Of each event of the batch.
    weights: Vec<usize>,
    /// Of the batch.
    weight: usize,
    /// Events for which there was room when the batch began.
    room: usize,
    /// Events that found no room, and of which the reader does not know yet.
    missed: u64,
    gate: Arc<Gate>,
    counters: Arc<Counters>,
    capacity: usize,
    total_limit: usize,
    memory: Option<Memory>,
    /// The source can wait for slow readers.
    patient: bool,
}

/// An event in a queue, where it counts among the bytes that wait.
#[derive(Debug)]
pub(crate) struct Weighed<T> {
    event: T,
    weight: Weight,
}

#[derive(Debug)]
struct Weight {
    bytes: usize,
    gate: Arc<Gate>,
}

impl<T: Event> Outlet<T> {
    pub(crate) fn new(
        to: To<T>,
        settings: Settings,
        live: bool,
        gate: Arc<Gate>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            to,
            batch: Vec::new(),
            weights: Vec::new(),
            weight: 0,
            room: settings.capacity,
            missed: 0,
            gate,
            counters,
            capacity: settings.capacity,
            total_limit: settings.total_limit,
            memory: settings.memory,
            patient: !live || settings.overflow == Overflow::Block,
        }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A batch begins.
    pub(crate) fn begin(&mut self) {
        if let To::Stream(inbox) = &self.to {
            self.room = self.capacity.saturating_sub(inbox.len());
        }
    }

    /// Takes an event that refers to `bytes` bytes besides itself, if there is room; else counts
    /// it.
    pub(crate) fn offer(&mut self, bytes: usize, event: T) -> bool {
        let full = !self.patient
            && matches!(self.to, To::Stream(_))
            && (self.room == 0
                || self.gate.queued() + self.weight + bytes + size_of::<T>() > self.total_limit);
        if full {
            self.missed += 1;
            self.counters.missed_events.add(1);
        } else {
            self.insist(bytes, event);
        }
        !full
    }

    /// Takes an event, room or not.
    pub(crate) fn insist(&mut self, bytes: usize, event: T) {
        if self.missed > 0 {
            let missed = std::mem::take(&mut self.missed);
            self.put(0, T::lagged(missed));
        }
        self.put(bytes, event);
    }

    /// See [`Sink::share_memory`](crate::engine::Sink::share_memory).
    pub(crate) fn share_memory(&mut self, table: usize) -> (usize, usize) {
        let Some(memory) = self.memory else { return (0, 0) };
        self.total_limit = memory.of_readers(table);
        (0, memory.share(self.gate.queued()))
    }

    /// Hands the batch over. Never waits.
    pub(crate) fn flush(&mut self) {
        let Self { to, batch, weights, gate, .. } = self;
        self.weight = 0;
        match to {
            To::Stream(inbox) => {
                let mut events = batch
                    .drain(..)
                    .zip(weights.drain(..))
                    .map(|(event, bytes)| Weighed::new(event, bytes, gate))
                    .collect();
                inbox.push(&mut events);
            }
            To::Broadcast(ring) => {
                weights.clear();
                let overtaken = ring.push(batch, !self.patient);
                self.counters.missed_events.add(overtaken);
            }
        }
    }

    /// Returns `true` if the engine should wait for readers before it goes on.
    pub(crate) fn is_crowded(&self) -> bool {
        self.patient
            && match &self.to {
                To::Stream(inbox) => {
                    inbox.len() > self.capacity || self.gate.queued() > self.total_limit
                }
                To::Broadcast(ring) => ring.is_over(),
            }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        match &self.to {
            To::Stream(inbox) => inbox.is_gone(),
            To::Broadcast(ring) => ring.is_gone(),
        }
    }

    /// There will be no more events; those that were missed last are still reported.
    pub(crate) fn end(&mut self, error: Option<Error>) {
        if self.missed > 0 {
            let missed = std::mem::take(&mut self.missed);
            self.put(0, T::lagged(missed));
            self.flush();
        }
        self.to.end(error);
    }

    fn put(&mut self, bytes: usize, event: T) {
        let weight = size_of::<T>() + bytes;
        self.batch.push(event);
        self.weights.push(weight);
        self.weight += weight;
        self.room = self.room.saturating_sub(1);
    }
}

impl<T> To<T> {
    /// One engine has no more.
    pub(crate) fn end(&self, error: Option<Error>) {
        match self {
            Self::Stream(inbox) => inbox.end(error),
            Self::Broadcast(ring) => ring.end(error),
        }
    }
}

impl<T> Clone for To<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Stream(inbox) => Self::Stream(Arc::clone(inbox)),
            Self::Broadcast(ring) => Self::Broadcast(Arc::clone(ring)),
        }
    }
}

impl<T> Weighed<T> {
    fn new(event: T, bytes: usize, gate: &Arc<Gate>) -> Self {
        gate.add(bytes);
        Self { event, weight: Weight { bytes, gate: Arc::clone(gate) } }
    }

    /// The event, out of the queue. The engine is still to be notified.
    pub(crate) fn take(self) -> T {
        drop(self.weight);
        self.event
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.gate.remove(self.bytes);
    }
}
