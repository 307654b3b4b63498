//! The interruptible side of an [`Interrupter`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use packet::Interrupt;
use ring_sys::event::Event;

use crate::Interrupter;

/// An interruption that a wait notices. Remembered until it is taken. Clones are one interruption.
#[derive(Clone, Debug)]
pub(crate) struct Interruption {
    signal: Arc<Signal>,
}

#[derive(Debug)]
struct Signal {
    /// Checked before the descriptor, so that a source that does not wait makes no system call.
    raised: AtomicBool,
    event: Event,
}

impl Interruption {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            signal: Arc::new(Signal { raised: AtomicBool::new(false), event: Event::new()? }),
        })
    }

    /// The handle that raises this interruption.
    pub(crate) fn interrupter(&self) -> Interrupter {
        Arc::clone(&self.signal).into()
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

impl Interrupt for Signal {
    fn interrupt(&self) {
        self.raised.store(true, Ordering::Release);
        self.event.raise();
    }
}

impl AsFd for Interruption {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.event.as_fd()
    }
}
