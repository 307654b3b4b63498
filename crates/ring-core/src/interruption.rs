//! The interruptible side of an [`Interrupter`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use packet::Interrupt;
use ring_sys::event::FlaggedEvent;

use crate::Interrupter;

/// An interruption that a wait notices. Remembered until it is taken. Clones are one interruption.
#[derive(Clone, Debug)]
pub(crate) struct Interruption {
    signal: Arc<Signal>,
}

#[derive(Debug)]
struct Signal(FlaggedEvent);

impl Interruption {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { signal: Arc::new(Signal(FlaggedEvent::new()?)) })
    }

    /// The handle that raises this interruption.
    pub(crate) fn interrupter(&self) -> Interrupter {
        Arc::clone(&self.signal).into()
    }

    /// `true` if an interruption is pending. Does not clear it.
    #[inline]
    pub(crate) fn is_raised(&self) -> bool {
        self.signal.0.is_raised()
    }

    /// Clears the interruption and returns `true` if there was one.
    #[inline]
    pub(crate) fn take(&self) -> bool {
        self.signal.0.take()
    }
}

impl Interrupt for Signal {
    fn interrupt(&self) {
        self.0.raise();
    }
}

impl AsFd for Interruption {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.0.as_fd()
    }
}
