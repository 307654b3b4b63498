//! How a thread that waits for frames learns that some came back.
//!
//! **Protocol.** Whoever gives a frame back puts it into the pool first and looks after whether anybody wants one.
//! Whoever wants one says so first and looks into the pool after. Both orders are sequentially consistent, so that at
//! least one of the two sees the other: no wake-up is lost, and while nobody waits giving back costs one load.

use std::io;
use std::sync::Arc;

use ring_sys::event::Event;

#[cfg(not(loom))]
use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering, fence},
};

#[cfg(loom)]
use loom::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering, fence},
};

/// Those who may wait for frames of a pool.
#[derive(Debug)]
pub(crate) struct Returns {
    /// How many want a frame at this moment.
    wanting: AtomicUsize,
    waiters: Mutex<Vec<Arc<Waiter>>>,
}

/// One who may wait. Not to be used by two threads at a time.
#[derive(Debug)]
pub(crate) struct Waiter {
    wants: AtomicBool,
    /// Raised when a frame came back while one was wanted.
    pub(crate) event: Event,
}

impl Returns {
    pub(crate) fn new() -> Self {
        Self { wanting: AtomicUsize::new(0), waiters: Mutex::new(Vec::new()) }
    }

    /// Adds one who may wait.
    pub(crate) fn join(&self) -> io::Result<Arc<Waiter>> {
        let waiter = Arc::new(Waiter { wants: AtomicBool::new(false), event: Event::new()? });
        self.waiters.lock().unwrap_or_else(|poison| poison.into_inner()).push(waiter.clone());
        Ok(waiter)
    }

    /// Takes one away.
    pub(crate) fn leave(&self, waiter: &Arc<Waiter>) {
        self.have(waiter);
        let mut waiters = self.waiters.lock().unwrap_or_else(|poison| poison.into_inner());
        waiters.retain(|other| !Arc::ptr_eq(other, waiter));
    }

    /// Says that a frame is wanted. The caller looks into the pool after, and waits only if that is empty.
    pub(crate) fn want(&self, waiter: &Waiter) {
        if !waiter.wants.swap(true, Ordering::Relaxed) {
            self.wanting.fetch_add(1, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
    }

    /// Says that no frame is wanted any more.
    pub(crate) fn have(&self, waiter: &Waiter) {
        if waiter.wants.swap(false, Ordering::Relaxed) {
            self.wanting.fetch_sub(1, Ordering::Relaxed);
        }
        waiter.event.take();
    }

    /// Whether somebody wants a frame.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanting.load(Ordering::Relaxed) != 0
    }

    /// To be called after a frame was put into the pool.
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

    /// A stand-in for the pool, which knows no loom: how many frames are in it.
    fn model(waiters: usize) {
        loom::model(move || {
            let returns = Arc::new(Returns::new());
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
