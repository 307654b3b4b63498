//! Waiting for a pipe, with a timeout and interruption.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use packet::Interrupt;
use ring_sys::event::{FlaggedEvent, Poller};

use super::Waited;
use crate::error::system;
use crate::{Error, Interrupter, Timeout};

const PIPE: u64 = 0;
const INTERRUPTED: u64 = 1;

/// Waits until a pipe is readable.
#[derive(Debug)]
pub(crate) struct PipeWait {
    poller: Poller,
    interruption: Arc<Interruption>,
    /// A duplicate of the pipe's descriptor, which keeps it open while the poller watches it.
    _pipe: OwnedFd,
}

/// An interruption that a wait notices. Remembered until it is taken.
#[derive(Debug)]
struct Interruption(FlaggedEvent);

impl PipeWait {
    /// Creates a wait for a pipe, a socket or a terminal. For a regular file, which never blocks,
    /// returns no wait, and `true`.
    pub(crate) fn new(file: &File) -> Result<(Option<Self>, bool), Error> {
        if file.metadata().map_err(system("ask what kind of file it is"))?.is_file() {
            return Ok((None, true));
        }
        let pipe = file.as_fd().try_clone_to_owned().map_err(system("duplicate a descriptor"))?;
        let poller = Poller::new().map_err(system("make a poller"))?;
        match poller.add_level(pipe.as_fd(), PIPE) {
            // epoll_ctl(2) refuses devices that are always readable.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Ok((None, true));
            }
            added => added.map_err(system("watch a descriptor"))?,
        }
        let interruption =
            Arc::new(Interruption(FlaggedEvent::new().map_err(system("make an event"))?));
        // Edge-triggered: an interruption that is taken while it is raised leaves the descriptor
        // readable without a flag. Level-triggered, every wait would return at once from then on.
        poller
            .add_edge(interruption.0.as_fd(), INTERRUPTED)
            .map_err(system("watch a descriptor"))?;
        Ok((Some(Self { poller, interruption, _pipe: pipe }), false))
    }

    pub(crate) fn wait(&self, timeout: Timeout) -> Result<Waited, Error> {
        let until = timeout.deadline(Instant::now());
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let mut readable = false;
            self.poller
                .wait(left, |seen| readable |= seen.key == PIPE)
                .map_err(system("wait for the pipe"))?;
            if self.take_interruption() {
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

    /// Clears a pending interruption, and returns `true` if there was one.
    pub(crate) fn take_interruption(&self) -> bool {
        self.interruption.0.take()
    }

    /// The handle that interrupts a wait.
    pub(crate) fn interrupter(&self) -> Interrupter {
        Arc::clone(&self.interruption).into()
    }
}

impl Interrupt for Interruption {
    fn interrupt(&self) {
        self.0.raise();
    }
}

impl AsFd for PipeWait {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use ring_sys::event::{READABLE, poll};

    use super::*;

    #[test]
    fn an_interruption_that_is_taken_while_it_is_raised_ends_one_wait_at_most() {
        let (reader, _writer) = io::pipe().unwrap();
        let (wait, _) = PipeWait::new(&File::from(OwnedFd::from(reader))).unwrap();
        let wait = wait.unwrap();
        for _ in 0..200 {
            let interrupter = wait.interrupter();
            let raiser = thread::spawn(move || interrupter.interrupt());
            while !wait.take_interruption() {}
            raiser.join().unwrap();
            assert_eq!(wait.wait(Timeout::Now).unwrap(), Waited::TimedOut);
            let is_ready = poll([(wait.as_fd(), READABLE)], Some(Duration::ZERO)).unwrap();
            assert_eq!(format!("{is_ready:?}"), "[0]");
        }
    }
}
