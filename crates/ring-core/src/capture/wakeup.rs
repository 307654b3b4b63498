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
use crate::wait::Pause;

const SOCKET: u64 = 0;
const PAUSED: u64 = 1;

/// Its descriptor is readable when a block may have been closed, or when a pause has ended.
#[derive(Debug)]
pub(crate) struct BlockWakeups {
    poller: Poller,
    pause: Pause,
}

impl BlockWakeups {
    /// Called after a wake-up, which ends a pause.
    pub(crate) fn woke(&mut self) {
        self.pause.wake();
    }
}

impl AsFd for BlockWakeups {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

impl Capture {
    /// From now on the returned descriptor reports blocks, and the [`waiter`](Self::waiter) reports
    /// only other events.
    pub(crate) fn wakeups(&mut self) -> Result<BlockWakeups, Error> {
        let poller = Poller::new().map_err(system("make a poller"))?;
        let socket = self.socket.socket.as_fd();
        poller.add_edge(socket, SOCKET).map_err(system("watch a descriptor"))?;
        self.waiter.report_blocks(&self.socket.socket, false)?;
        Ok(BlockWakeups { poller, pause: Pause::new([SOCKET, PAUSED]) })
    }

    /// From now on the [`waiter`](Self::waiter) reports blocks again.
    pub(crate) fn wait_alone(&mut self) -> Result<(), Error> {
        self.waiter.report_blocks(&self.socket.socket, true)
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
        wakeups: &mut BlockWakeups,
    ) -> Result<Option<Taken>, Error> {
        // If this process itself keeps the next block, no pause: the wait must end as soon as the
        // block is returned.
        let free = self.ring.loans.is_free(self.cursor);
        self.statistics.ring_exhausted += u64::from(!free);
        let (BlockWakeups { poller, pause }, socket) = (wakeups, self.socket.socket.as_fd());
        match self.coalescing.pause().filter(|_| free) {
            Some(time) => pause.start(poller, socket, time),
            None if pause.is_under_way() => Ok(()),
            None => pause.end(poller, socket),
        }
        .map_err(system("sleep with a timer"))?;
        // Looked at once more after the announcement, since the events before it were consumed.
        let taken = self.about_to_wait()?;
        if taken.is_some() {
            self.seems_up()?;
        }
        Ok(taken)
    }
}
