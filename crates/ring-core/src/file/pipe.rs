//! Waiting for a pipe, with a timeout and interruption.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use ring_sys::event::Poller;

use crate::error::system;
use crate::interruption::Interruption;
use crate::{Error, Timeout};

const PIPE: u64 = 0;
const INTERRUPTED: u64 = 1;

/// Waits until a pipe is readable.
#[derive(Debug)]
pub(crate) struct PipeWait {
    poller: Poller,
    pub(crate) interruption: Interruption,
    /// A duplicate of the pipe's descriptor, which keeps it open while the poller watches it.
    _pipe: OwnedFd,
}

/// The result of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Readable,
    TimedOut,
    Interrupted,
}

impl PipeWait {
    /// Creates a waiter for a pipe, a socket or a terminal. `None` for a regular file, which never
    /// blocks.
    pub(crate) fn new(file: &File) -> Result<Option<Self>, Error> {
        if file.metadata().map_err(system("ask what kind of file it is"))?.is_file() {
            return Ok(None);
        }
        let pipe = file.as_fd().try_clone_to_owned().map_err(system("duplicate a descriptor"))?;
        let poller = Poller::new().map_err(system("make a poller"))?;
        match poller.add_level(pipe.as_fd(), PIPE) {
            // epoll_ctl(2) refuses devices that are always readable.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
            added => added.map_err(system("watch a descriptor"))?,
        }
        let interruption = Interruption::new().map_err(system("make an event"))?;
        poller
            .add_level(interruption.as_fd(), INTERRUPTED)
            .map_err(system("watch a descriptor"))?;
        Ok(Some(Self { poller, interruption, _pipe: pipe }))
    }

    pub(crate) fn wait(&self, timeout: Timeout) -> Result<Waited, Error> {
        let until = timeout.deadline(Instant::now());
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let mut readable = false;
            self.poller
                .wait(left, |seen| readable |= seen.key == PIPE)
                .map_err(system("wait for the pipe"))?;
            if self.interruption.take() {
                return Ok(Waited::Interrupted);
            }
            if readable {
                return Ok(Waited::Readable);
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Waited::TimedOut);
            }
        }
    }
}

impl AsFd for PipeWait {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}
