//! Notification of threads that wait for returned frames.
//!
//! **Protocol.** A thread that returns a frame first puts it into the pool and then checks if a
//! frame is wanted. A thread that wants a frame first announces that and then checks the pool. Both
//! orders are sequentially consistent, so at least one of the two sees the other, and no wake-up is
//! lost. While nobody waits, returning a frame costs one load.

use std::io;
use std::sync::Arc;

use ring_sys::event::Event;

#[cfg(not(all(test, loom)))]
use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering, fence},
};

#[cfg(all(test, loom))]
use loom::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering, fence},
};

/// The potential waiters for frames of a pool.
#[derive(Debug)]
pub(crate) struct FrameReturns {
    /// The number of waiters that want a frame now.
    wanting: AtomicUsize,
    waiters: Mutex<Vec<Arc<FrameWaiter>>>,
}

/// A potential waiter. Must not be used by two threads at a time.
#[derive(Debug)]
pub(crate) struct FrameWaiter {
    wants: AtomicBool,
    /// Raised when a frame was returned while one was wanted.
    pub(crate) event: Event,
}

impl FrameReturns {
    pub(crate) fn new() -> Self {
        Self { wanting: AtomicUsize::new(0), waiters: Mutex::new(Vec::new()) }
    }

    /// Adds a waiter.
    pub(crate) fn join(&self) -> io::Result<Arc<FrameWaiter>> {
        let waiter = Arc::new(FrameWaiter { wants: AtomicBool::new(false), event: Event::new()? });
        self.waiters.lock().unwrap_or_else(|poison| poison.into_inner()).push(waiter.clone());
        Ok(waiter)
    }

    /// Removes a waiter.
    pub(crate) fn leave(&self, waiter: &Arc<FrameWaiter>) {
        self.have(waiter);
        let mut waiters = self.waiters.lock().unwrap_or_else(|poison| poison.into_inner());
        waiters.retain(|other| !Arc::ptr_eq(other, waiter));
    }

    /// Announces that a frame is wanted. The caller must check the pool afterwards, and wait only
    /// if it is empty.
    pub(crate) fn want(&self, waiter: &FrameWaiter) {
        // The counter lets a thread that returns a frame see with one load that nobody waits. The
        // flag says who does, and only its change moves the counter.
        if !waiter.wants.swap(true, Ordering::Relaxed) {
            self.wanting.fetch_add(1, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
    }

    /// Withdraws the announcement.
    pub(crate) fn have(&self, waiter: &FrameWaiter) {
        if waiter.wants.swap(false, Ordering::Relaxed) {
            self.wanting.fetch_sub(1, Ordering::Relaxed);
        }
        // Lowered even if nothing was wanted: a return that raced with this call has raised the
        // event, and the next sleep would end at once.
        waiter.event.take();
    }

    /// `true` if a frame is wanted.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanting.load(Ordering::Relaxed) != 0
    }

    /// Must be called after a frame was put into the pool.
    #[inline]
    pub(crate) fn returned(&self) {
        fence(Ordering::SeqCst);
        if self.is_wanted() {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        let waiters = self.waiters.lock().unwrap_or_else(|poison| poison.into_inner());
        for waiter in waiters.iter() {
            // Withdrawn here instead of by the waiter, so that further returns do not write to its
            // event again before it has run.
            if waiter.wants.swap(false, Ordering::Relaxed) {
                self.wanting.fetch_sub(1, Ordering::Relaxed);
                waiter.event.raise();
            }
        }
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use loom::thread;

    use super::*;

    /// The pool does not support loom, so a counter of its frames stands in for it.
    fn model(waiters: usize) {
        loom::model(move || {
            let returns = Arc::new(FrameReturns::new());
            let pool = Arc::new(AtomicUsize::new(0));
            let giver = {
                let (returns, pool) = (returns.clone(), pool.clone());
                thread::spawn(move || {
                    pool.fetch_add(1, Ordering::Release);
                    returns.returned();
                })
            };
            let waits: Vec<_> = (0..waiters)
                .map(|_| {
                    let waiter = returns.join().expect("an event");
                    returns.want(&waiter);
                    let sleeps = pool.load(Ordering::Acquire) == 0;
                    (waiter, sleeps)
                })
                .collect();
            giver.join().expect("the giver");
            for (waiter, sleeps) in waits {
                assert!(!sleeps || waiter.event.take(), "sleeps for ever");
                returns.leave(&waiter);
            }
            assert!(!returns.is_wanted());
        });
    }

    #[test]
    fn loom_no_wake_up_is_lost() {
        model(1);
    }

    #[test]
    fn loom_nor_with_two_who_wait() {
        model(2);
    }
}
