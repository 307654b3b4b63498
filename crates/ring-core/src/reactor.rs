//! Entering tokio's reactor.

use std::os::fd::{BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::Error;
use crate::error::system;

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
