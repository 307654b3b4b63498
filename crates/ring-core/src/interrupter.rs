//! Ending another thread's wait.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Ends a wait of the source that it came from, from any thread; cheap to clone.
///
/// The interruption is remembered: a source that is not waiting now returns
/// [`Next::Interrupted`](crate::Next::Interrupted) at its next call.
#[derive(Clone, Debug)]
pub struct Interrupter {
    event: Arc<OwnedFd>,
}

impl AsFd for Interrupter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
