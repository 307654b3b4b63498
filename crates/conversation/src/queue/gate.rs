//! The gate at which engines wait for slow readers.

use std::mem;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::depth::Depth;
use super::spares::Spares;
use crate::api::statistics::Statistics;
use crate::sync::Ordering::{Relaxed, SeqCst};
use crate::sync::{AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, fence};

/// Counts the items that wait for readers, and the readers that wait for an engine. One gate serves
/// all engines of a stream.
///
/// **Invariant**: an engine never sleeps here while a reader is parked. A reader that waits for
/// bytes of one conversation may be the very task that would take those of another, so an engine
/// that waited for the second would wait for ever. Where each reader is known to wait for itself
/// alone, that does not hold, and engines may sleep.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Bytes in all queues, with the cost of their entries.
    queued: AtomicUsize,
    /// Readers that found nothing and wait to be woken.
    parked: AtomicUsize,
    /// No reader waits for anything but its own queue.
    independent: AtomicBool,
    /// Conversations or events that nobody has taken yet.
    announced: Depth,
    /// Conversations that go on and that somebody may read, if their number is limited.
    places: Depth,
    /// The memory that readers keep for each conversation, by their own report.
    reader_bytes: Depth,
    /// Engines never sleep any more.
    open: AtomicBool,
    /// Engines that sleep, or are about to.
    waiting: AtomicUsize,
    /// Engines that are tasks and sleep.
    tasks: Mutex<Vec<Waker>>,
    changed: Condvar,
    /// Memory that queues are done with. It decides nothing.
    pub(crate) spares: Spares,
}

impl Gate {
    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Relaxed)
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.queued.fetch_add(bytes, Relaxed);
    }

    /// Bytes left a queue. To be followed by [`notify`](Self::notify) when no lock is held.
    pub(crate) fn remove(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Relaxed);
    }

    /// A reader found nothing. To be followed by [`notify`](Self::notify) when no lock is held.
    pub(crate) fn park(&self) {
        self.parked.fetch_add(1, Relaxed);
    }

    /// A parked reader was given something, or went away.
    pub(crate) fn unpark(&self) {
        self.parked.fetch_sub(1, Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn has_parked(&self) -> bool {
        self.parked.load(Relaxed) > 0
    }

    /// Wakes the engines that sleep, to look again. Never under the lock of a queue: engines take
    /// those under the gate's.
    pub(crate) fn notify(&self) {
        fence(SeqCst);
        if self.waiting.load(Relaxed) == 0 {
            return;
        }
        let tasks = {
            let mut tasks = self.lock();
            self.waiting.fetch_sub(tasks.len(), Relaxed);
            self.changed.notify_all();
            mem::take(&mut *tasks)
        };
        tasks.into_iter().for_each(Waker::wake);
    }

    /// Every queue is read by a task of its own, which no other queue keeps from it.
    pub(crate) fn readers_are_independent(&self) {
        self.independent.store(true, Relaxed);
    }

    /// Fills in how much is in the queues.
    pub(crate) fn depths(&self, statistics: &mut Statistics) {
        statistics.queued_bytes = self.queued() as u64;
        statistics.waiting = self.announced.now() as u64;
    }

    /// `count` conversations or events were put into a queue.
    pub(crate) fn announce(&self, count: usize) {
        self.announced.add(count);
    }

    /// Conversations that count against `max_conversations`.
    pub(crate) fn places(&self) -> usize {
        self.places.now()
    }

    pub(crate) fn take_place(&self) {
        self.places.add(1);
    }

    pub(crate) fn leave_place(&self) {
        self.places.subtract(1);
    }

    pub(crate) fn reader_bytes(&self) -> usize {
        self.reader_bytes.now()
    }

    pub(crate) fn set_reader_bytes(&self, bytes: usize) {
        self.reader_bytes.set(bytes);
    }

    /// `count` of them were taken, or will never be.
    pub(crate) fn taken(&self, count: usize) {
        self.announced.subtract(count);
    }

    /// Ends all waits of engines, for good.
    pub(crate) fn open(&self) {
        self.open.store(true, Relaxed);
        self.notify();
    }

    /// Called by an engine that is a thread: sleeps while `crowded` and nobody is parked who might
    /// be kept from what is queued.
    pub(crate) fn wait_while(&self, mut crowded: impl FnMut() -> bool) {
        if !crowded() {
            return;
        }
        let mut guard = self.lock();
        // Readers change what the engine looks at before they look at `waiting`; the engine looks
        // after it has set it. With a fence between the two steps on either side, at least one sees
        // the other.
        self.waiting.fetch_add(1, Relaxed);
        fence(SeqCst);
        while self.must_wait(&mut crowded) {
            // The bound is no part of the protocol: it keeps a missed condition from becoming a
            // hang.
            let (next, _) = self
                .changed
                .wait_timeout(guard, Duration::from_millis(100))
                .unwrap_or_else(PoisonError::into_inner);
            guard = next;
        }
        self.waiting.fetch_sub(1, Relaxed);
    }

    /// The same for an engine that is a task: pending while `crowded` and nobody is parked.
    pub(crate) fn poll_while(
        &self,
        cx: &Context<'_>,
        mut crowded: impl FnMut() -> bool,
    ) -> Poll<()> {
        if !crowded() {
            return Poll::Ready(());
        }
        let mut tasks = self.lock();
        // `waiting` counts the wakers of the list, so a task that polls again must not count twice.
        if !tasks.iter().any(|task| task.will_wake(cx.waker())) {
            tasks.push(cx.waker().clone());
            self.waiting.fetch_add(1, Relaxed);
        }
        fence(SeqCst);
        if self.must_wait(&mut crowded) { Poll::Pending } else { Poll::Ready(()) }
    }

    fn must_wait(&self, crowded: &mut impl FnMut() -> bool) -> bool {
        // A parked reader may be the task that would empty the crowded queue next, see the
        // invariant.
        let waited_for = self.parked.load(Relaxed) > 0 && !self.independent.load(Relaxed);
        !waited_for && !self.open.load(Relaxed) && crowded()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
