//! Where the engine waits for slow readers.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counts what waits for readers, and who waits for the engine.
///
/// **Invariant**: the engine never sleeps here while a reader is parked. A reader that waits for bytes of one
/// conversation may be the very task that would take those of another, so an engine that waited for the second would
/// wait for ever.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Bytes in all queues, with the cost of their entries.
    queued: AtomicUsize,
    /// Readers that found nothing and wait to be woken.
    parked: AtomicUsize,
    /// The engine never sleeps any more.
    open: AtomicBool,
    /// The engine sleeps, or is about to.
    waiting: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn queued(&self) -> usize {
        self.queued.load(SeqCst)
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.queued.fetch_add(bytes, SeqCst);
    }

    /// Bytes left a queue.
    pub(crate) fn remove(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, SeqCst);
        self.notify();
    }

    /// A reader found nothing.
    pub(crate) fn park(&self) {
        self.parked.fetch_add(1, SeqCst);
        self.notify();
    }

    /// A parked reader was given something, or went away.
    pub(crate) fn unpark(&self) {
        self.parked.fetch_sub(1, SeqCst);
    }

    #[cfg(test)]
    pub(crate) fn has_parked(&self) -> bool {
        self.parked.load(SeqCst) > 0
    }

    /// Wakes the engine, if it sleeps, to look again.
    pub(crate) fn notify(&self) {
        if self.waiting.load(SeqCst) {
            let _guard = self.lock();
            self.changed.notify_one();
        }
    }

    /// Ends a wait of the engine, for good.
    pub(crate) fn open(&self) {
        self.open.store(true, SeqCst);
        self.notify();
    }

    /// Called by the engine: sleeps while `crowded` and nobody is parked.
    pub(crate) fn wait_while(&self, mut crowded: impl FnMut() -> bool) {
        if !crowded() {
            return;
        }
        let mut guard = self.lock();
        // Readers change their counters before they look at `waiting`, the engine looks at the counters after it has
        // set it: one of the two sees the other (all sequentially consistent).
        self.waiting.store(true, SeqCst);
        while self.parked.load(SeqCst) == 0 && !self.open.load(SeqCst) && crowded() {
            // The bound is no part of the protocol: it keeps a missed condition from becoming a hang.
            let (next, _) = self
                .changed
                .wait_timeout(guard, Duration::from_millis(100))
                .unwrap_or_else(PoisonError::into_inner);
            guard = next;
        }
        self.waiting.store(false, SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
