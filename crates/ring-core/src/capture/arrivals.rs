//! Notification of blocks for a runtime's reactor.
//!
//! Other events of a capture need a system call after each wake-up. So blocks have a poller of
//! their own: after it wakes a task, the ring itself shows if there is a block, without a system
//! call. The poller is never drained. That is fine because each later event wakes waiters anyway
//! (`ep_poll_callback` of fs/eventpoll.c).

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use ring_sys::event::Poller;

use super::{Capture, Taken};
use crate::Error;
use crate::error::system;
use crate::nap::Nap;

const SOCKET: u64 = 0;
const NAPPED: u64 = 1;

/// Its descriptor is readable when a block may have been closed, or when a pause has ended.
#[derive(Debug)]
pub(crate) struct Arrivals {
    poller: Poller,
    nap: Nap,
}

impl Arrivals {
    /// Called after a wake-up, which ends a pause.
    pub(crate) fn woke(&mut self) {
        self.nap.wake();
    }
}

impl AsFd for Arrivals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

impl Capture {
    /// From now on the returned descriptor reports blocks, and the [`waiter`](Self::waiter) reports
    /// only other events.
    pub(crate) fn arrivals(&mut self) -> Result<Arrivals, Error> {
        let poller = Poller::new().map_err(system("make a poller"))?;
        let socket = self.socket.socket.as_fd();
        poller.add_edge(socket, SOCKET).map_err(system("watch a descriptor"))?;
        self.waiter.hear_blocks(&self.socket.socket, false)?;
        Ok(Arrivals { poller, nap: Nap::new([SOCKET, NAPPED]) })
    }

    /// From now on the [`waiter`](Self::waiter) reports blocks again.
    pub(crate) fn wait_alone(&mut self) -> Result<(), Error> {
        self.waiter.hear_blocks(&self.socket.socket, true)
    }

    /// Takes pending events other than blocks, without waiting.
    pub(crate) fn take_events(&mut self) -> Result<(), Error> {
        self.failed |= self.waiter.wait(&self.ring.returned, Some(Duration::ZERO))?;
        Ok(())
    }

    /// Prepares a reactor's wait, or returns a block that is there already. If several blocks will
    /// be full soon, suppresses wake-ups until then.
    pub(crate) fn prepare_to_wait(
        &mut self,
        arrivals: &mut Arrivals,
    ) -> Result<Option<Taken>, Error> {
        let free = self.ring.loans.is_free(self.cursor);
        self.statistics.ring_exhausted += u64::from(!free);
        let (Arrivals { poller, nap }, socket) = (arrivals, self.socket.socket.as_fd());
        match self.pace.nap().filter(|_| free) {
            Some(time) => nap.start(poller, socket, time),
            None if nap.is_under_way() => Ok(()),
            None => nap.end(poller, socket),
        }
        .map_err(system("sleep with a timer"))?;
        let taken = self.about_to_wait()?;
        if taken.is_some() {
            self.seems_up()?;
        }
        Ok(taken)
    }
}
