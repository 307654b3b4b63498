//! Registration with tokio's reactor.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::Error;
use crate::error::system;

/// Registers a source's [readiness](crate::PacketSource::readiness) with tokio's reactor, to drive
/// a source of any kind from a task.
///
/// It duplicates the descriptor and borrows nothing from the source.
#[derive(Debug)]
pub struct Reactor {
    descriptor: AsyncFd<OwnedFd>,
}

impl Reactor {
    /// Registers with the reactor of the current runtime.
    ///
    /// # Errors
    /// [`Error::NoRuntime`] outside a runtime; [`Error::System`] if the descriptor cannot be
    /// duplicated or watched.
    ///
    /// # Panics
    /// In a runtime without I/O enabled.
    pub fn watch(readiness: BorrowedFd<'_>) -> Result<Self, Error> {
        Ok(Self { descriptor: enter(readiness, Interest::READABLE)? })
    }

    /// Becomes ready once each time that a batch may have become ready. Then call the source with
    /// [`Timeout::Now`](crate::Timeout::Now) until it returns no more batches.
    ///
    /// # Errors
    /// [`Error::System`] if the runtime shuts down.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Cleared before the caller takes all events, so an event after that makes it ready again.
        ready!(self.descriptor.poll_read_ready(cx))
            .map_err(system("wait for packets"))?
            .clear_ready();
        Poll::Ready(Ok(()))
    }
}

/// Duplicates a descriptor and registers the duplicate with the reactor of the current runtime.
///
/// # Panics
/// In a runtime without I/O enabled.
pub(crate) fn enter(
    descriptor: BorrowedFd<'_>,
    interest: Interest,
) -> Result<AsyncFd<OwnedFd>, Error> {
    let descriptor = descriptor.try_clone_to_owned().map_err(system("duplicate a descriptor"))?;
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(Error::NoRuntime);
    }
    // SAFETY: an `OwnedFd` stays open while it lives and always returns the same descriptor.
    let reactor = unsafe { AsyncFd::register_with_interest(descriptor, interest) };
    reactor.map_err(|error| system("enter the reactor")(error.into()))
}
