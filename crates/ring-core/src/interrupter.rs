//! Interrupting a wait from another thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ring_sys::event::Event;

/// Interrupts waits of the source that returned it, from any thread. Cheap to clone.
///
/// An interruption is remembered: if the source is not waiting, its next call returns
/// [`Next::Interrupted`](crate::Next::Interrupted). Several interruptions before that count as one.
#[derive(Clone, Debug)]
pub struct Interrupter {
    signal: Arc<Signal>,
}

#[derive(Debug)]
struct Signal {
    /// Checked before the descriptor, so that a source that does not wait makes no system call.
    raised: AtomicBool,
    event: Event,
}

impl Interrupter {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            signal: Arc::new(Signal { raised: AtomicBool::new(false), event: Event::new()? }),
        })
    }

    /// Interrupts the current wait, or the next one.
    pub fn interrupt(&self) {
        self.signal.raised.store(true, Ordering::Release);
        self.signal.event.raise();
    }

    /// `true` if an interruption is pending. Does not clear it.
    #[inline]
    pub(crate) fn is_raised(&self) -> bool {
        self.signal.raised.load(Ordering::Relaxed)
    }

    /// Clears the interruption and returns `true` if there was one.
    #[inline]
    pub(crate) fn take(&self) -> bool {
        if !self.signal.raised.load(Ordering::Relaxed) {
            return false;
        }
        // The event is cleared before the flag. In the other order this could clear the event of a
        // new interruption whose flag stays set. An event that is raised after it was cleared
        // causes one spurious wake-up.
        self.signal.event.take();
        self.signal.raised.swap(false, Ordering::Acquire)
    }
}

impl AsFd for Interrupter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.event.as_fd()
    }
}
