//! Entering tokio's reactor.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::Error;
use crate::error::system;

/// A source's [readiness](crate::PacketSource::readiness), watched by the runtime's reactor: for those who drive a
/// source of any kind from a task.
///
/// It has a descriptor of its own, and borrows nothing of the source.
#[derive(Debug)]
pub struct Reactor {
    descriptor: AsyncFd<OwnedFd>,
}

impl Reactor {
    /// Enters the reactor of the runtime that this is called in.
    ///
    /// # Errors
    /// [`Error::NoRuntime`] outside a runtime; [`Error::System`] when the descriptor cannot be duplicated or watched.
    ///
    /// # Panics
    /// In a runtime whose I/O is not enabled.
    pub fn watch(readiness: BorrowedFd<'_>) -> Result<Self, Error> {
        Ok(Self { descriptor: enter(readiness, Interest::READABLE)? })
    }

    /// Ready once after each time that a batch may have become ready. The source is then to be asked, with
    /// [`Timeout::Now`](crate::Timeout::Now), until nothing comes.
    ///
    /// # Errors
    /// [`Error::System`] when the runtime shuts down.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Cleared before the next look, which takes all events: one that comes after that look makes it ready again.
        ready!(self.descriptor.poll_read_ready(cx))
            .map_err(system("wait for packets"))?
            .clear_ready();
        Poll::Ready(Ok(()))
    }
}

/// A second descriptor of this, watched by the reactor of the runtime that this is called in.
///
/// # Panics
/// In a runtime whose I/O is not enabled.
pub(crate) fn enter(
    descriptor: BorrowedFd<'_>,
    interest: Interest,
) -> Result<AsyncFd<OwnedFd>, Error> {
    let descriptor = descriptor.try_clone_to_owned().map_err(system("duplicate a descriptor"))?;
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(Error::NoRuntime);
    }
    // SAFETY: an `OwnedFd` is open as long as it lives and always gives the same descriptor.
    let reactor = unsafe { AsyncFd::register_with_interest(descriptor, interest) };
    reactor.map_err(|error| system("enter the reactor")(error.into()))
}
