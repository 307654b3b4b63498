//! Ending another thread's wait.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ring_sys::event::Event;

/// Ends a wait of the source that it came from, from any thread; cheap to clone.
///
/// The interruption is remembered: a source that is not waiting now returns
/// [`Next::Interrupted`](crate::Next::Interrupted) at its next call. Interrupting several times before that counts as
/// once.
#[derive(Clone, Debug)]
pub struct Interrupter {
    signal: Arc<Signal>,
}

#[derive(Debug)]
struct Signal {
    /// Looked at before the descriptor, so that a source that does not wait makes no system call for it.
    raised: AtomicBool,
    event: Event,
}

impl Interrupter {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            signal: Arc::new(Signal { raised: AtomicBool::new(false), event: Event::new()? }),
        })
    }

    /// Ends the wait, or the next one.
    pub fn interrupt(&self) {
        self.signal.raised.store(true, Ordering::Release);
        self.signal.event.raise();
    }

    /// Whether somebody has interrupted, without taking it back.
    #[inline]
    pub(crate) fn is_raised(&self) -> bool {
        self.signal.raised.load(Ordering::Relaxed)
    }

    /// Whether somebody interrupted since the last call.
    #[inline]
    pub(crate) fn take(&self) -> bool {
        if !self.signal.raised.load(Ordering::Relaxed) {
            return false;
        }
        // The event first: one that is raised after it was taken wakes the next wait for nothing, whereas a flag
        // taken first could leave an event behind whose flag is gone.
        self.signal.event.take();
        self.signal.raised.swap(false, Ordering::Acquire)
    }
}

impl AsFd for Interrupter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.event.as_fd()
    }
}
