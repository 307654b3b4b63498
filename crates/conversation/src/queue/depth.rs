//! The number of things that wait.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The number of things in queues, with many writers. It decides nothing, so no model needs to know
/// of it.
#[derive(Debug, Default)]
pub(crate) struct Depth(AtomicUsize);

impl Depth {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(crate) fn subtract(&self, count: usize) {
        self.0.fetch_sub(count, Relaxed);
    }

    pub(crate) fn set(&self, count: usize) {
        self.0.store(count, Relaxed);
    }

    pub(crate) fn now(&self) -> usize {
        self.0.load(Relaxed)
    }
}
