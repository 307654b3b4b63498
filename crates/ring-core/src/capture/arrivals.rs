//! Blocks that arrive while a runtime's reactor waits.
//!
//! What else happens to a capture has to be asked for each time that it wakes somebody. So blocks have a poller to
//! themselves here: when that wakes, the ring itself says all there is to know, without a system call. The poller is never
//! emptied, since what comes later wakes whoever waits with its descriptor all the same (`ep_poll_callback` of
//! fs/eventpoll.c).

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use ring_sys::event::Poller;

use super::{Capture, Taken};
use crate::Error;
use crate::error::system;
use crate::nap::Nap;

const SOCKET: u64 = 0;
const NAPPED: u64 = 1;

/// Its descriptor is readable when a block may have been closed, or the time of a nap has passed.
#[derive(Debug)]
pub(crate) struct Arrivals {
    poller: Poller,
    nap: Nap,
}

impl Arrivals {
    /// Somebody was woken: during a nap that is because it is over.
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
    /// From now on blocks are told of by the descriptor of what this returns, and all else by that of the
    /// [`waiter`](Self::waiter).
    pub(crate) fn arrivals(&mut self) -> Result<Arrivals, Error> {
        let poller = Poller::new().map_err(system("make a poller"))?;
        let socket = self.socket.socket.as_fd();
        poller.add_edge(socket, SOCKET).map_err(system("watch a descriptor"))?;
        self.waiter.hear_blocks(&self.socket.socket, false)?;
        Ok(Arrivals { poller, nap: Nap::new([SOCKET, NAPPED]) })
    }

    /// From now on the [`waiter`](Self::waiter) tells of blocks again.
    pub(crate) fn wait_alone(&mut self) -> Result<(), Error> {
        self.waiter.hear_blocks(&self.socket.socket, true)
    }

    /// Takes what has happened besides blocks, without waiting.
    pub(crate) fn take_events(&mut self) -> Result<(), Error> {
        self.failed |= self.waiter.wait(&self.ring.returned, Some(Duration::ZERO))?;
        Ok(())
    }

    /// Before a reactor waits: it need not if there is a block now. Where several blocks are going to be full soon, none
    /// wakes anybody until then.
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
