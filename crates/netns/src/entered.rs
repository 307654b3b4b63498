//! The guard of a thread inside a namespace.

use std::{fs::File, marker::PhantomData, os::fd::BorrowedFd};

use nix::sched::{CloneFlags, setns};

use crate::error::{Error, Prohibition, Result};

/// The network namespace of the thread that opens the file.
pub(crate) const OF_THIS_THREAD: &str = "/proc/thread-self/ns/net";

/// Keeps the current thread inside a namespace; returned by
/// [`Namespace::enter`](crate::Namespace::enter). Dropping it moves the thread back to its previous
/// namespace. Guards nest: drop the inner one first.
///
/// It cannot be sent to another thread:
///
/// ```compile_fail,E0277
/// fn sends<T: Send>() {}
/// sends::<netns::Entered<'static>>();
/// ```
#[derive(Debug)]
#[must_use = "the thread leaves the namespace when the guard is dropped"]
pub struct Entered<'n> {
    home: File,
    /// The guard belongs to the thread that is in the namespace, so it is neither `Send` nor
    /// `Sync`.
    namespace: PhantomData<(BorrowedFd<'n>, *const ())>,
}

impl<'n> Entered<'n> {
    pub(crate) fn new(namespace: BorrowedFd<'n>) -> Result<Self> {
        let home = File::open(OF_THIS_THREAD)
            .map_err(|source| Error::system("open", OF_THIS_THREAD, source))?;
        setns(namespace, CloneFlags::CLONE_NEWNET).map_err(refused)?;
        Ok(Self { home, namespace: PhantomData })
    }
}

impl Drop for Entered<'_> {
    /// # Panics
    ///
    /// If the kernel refuses the way back, since continuing in the wrong network would be worse.
    fn drop(&mut self) {
        if let Err(errno) = setns(&self.home, CloneFlags::CLONE_NEWNET)
            && !std::thread::panicking()
        {
            panic!("cannot leave the network namespace: {errno}");
        }
    }
}

/// The error for a namespace that cannot be entered.
pub(crate) fn refused(errno: nix::Error) -> Error {
    match errno {
        nix::Error::EPERM => Error::Forbidden {
            operation: "network namespace",
            prohibition: Prohibition::NotEntered,
            source: errno.into(),
        },
        _ => Error::system("enter", "a network namespace", errno),
    }
}
