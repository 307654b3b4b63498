//! Interrupting a wait from another thread.

use std::fmt;
use std::sync::Arc;

/// The part of a source that an [`Interrupter`] calls. Implemented by authors of sources.
pub trait Interrupt: Send + Sync {
    /// Interrupts the current wait, or the next one.
    fn interrupt(&self);
}

/// Interrupts waits of the source that returned it, from any thread. Cheap to clone.
///
/// An interruption is remembered: if the source is not waiting, its next call returns
/// [`Next::Interrupted`](crate::Next::Interrupted). Several interruptions before that count as one.
#[derive(Clone)]
pub struct Interrupter(Arc<dyn Interrupt>);

impl Interrupter {
    /// Interrupts the current wait, or the next one.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}

impl<I: Interrupt + 'static> From<Arc<I>> for Interrupter {
    fn from(source: Arc<I>) -> Self {
        Self(source)
    }
}

impl fmt::Debug for Interrupter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupter").finish_non_exhaustive()
    }
}
