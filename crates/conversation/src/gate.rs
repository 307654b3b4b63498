//! Where the engine waits for slow readers.

use std::sync::PoisonError;
use std::time::Duration;

use crate::sync::Ordering::{Relaxed, SeqCst};
use crate::sync::{AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, fence};

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

    /// Wakes the engine, if it sleeps, to look again. Never under the lock of a queue: the engine takes those under the
    /// gate's.
    pub(crate) fn notify(&self) {
        fence(SeqCst);
        if self.waiting.load(Relaxed) {
            let _guard = self.lock();
            self.changed.notify_one();
        }
    }

    /// Ends a wait of the engine, for good.
    pub(crate) fn open(&self) {
        self.open.store(true, Relaxed);
        self.notify();
    }

    /// Called by the engine: sleeps while `crowded` and nobody is parked.
    pub(crate) fn wait_while(&self, mut crowded: impl FnMut() -> bool) {
        if !crowded() {
            return;
        }
        let mut guard = self.lock();
        // Readers change what the engine looks at before they look at `waiting`; the engine looks after it has set it.
        // With a fence between the two steps on either side, at least one sees the other.
        self.waiting.store(true, Relaxed);
        fence(SeqCst);
        while self.parked.load(Relaxed) == 0 && !self.open.load(Relaxed) && crowded() {
            // The bound is no part of the protocol: it keeps a missed condition from becoming a hang.
            let (next, _) = self
                .changed
                .wait_timeout(guard, Duration::from_millis(100))
                .unwrap_or_else(PoisonError::into_inner);
            guard = next;
        }
        self.waiting.store(false, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
