//! Waiting for a ring.
//!
//! poll(2) on a packet socket reports it readable for as long as the block before the kernel's current one is not
//! back (`packet_poll` looks at the previous block), so that a ring whose newest block is on loan would be polled in a
//! circle. Edge-triggered epoll reports each closed block once instead.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use ring_sys::event::{self, Event, Poller, READABLE, Readiness, Ticker};
use ring_sys::packet::PacketSocket;

use crate::error::system;
use crate::{Error, Interrupter};

const SOCKET: u64 = 0;
const RETURNED: u64 = 1;
const INTERRUPTED: u64 = 2;
const TICKED: u64 = 3;

/// How often a deleted interface is looked for once an interface went down: the kernel tells of the first only.
const DOWN_CHECK: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(crate) struct Waiter {
    poller: Poller,
    pub(crate) interrupter: Interrupter,
    /// Only while the interface is down.
    ticker: Option<Ticker>,
    /// Somebody else hears of blocks in its place.
    #[cfg(feature = "tokio")]
    deaf: bool,
}

impl Waiter {
    /// Waits for this socket, for blocks that come back, and for an interruption.
    pub(crate) fn new(socket: &PacketSocket, returned: &Event) -> Result<Self, Error> {
        let interrupter = Interrupter::new().map_err(system("make an event"))?;
        let poller = Poller::new().map_err(system("make a poller"))?;
        let sources = [
            (socket.as_fd(), SOCKET),
            (returned.as_fd(), RETURNED),
            (interrupter.as_fd(), INTERRUPTED),
        ];
        for (descriptor, key) in sources {
            poller.add_edge(descriptor, key).map_err(system("watch a descriptor"))?;
        }
        Ok(Self {
            poller,
            interrupter,
            ticker: None,
            #[cfg(feature = "tokio")]
            deaf: false,
        })
    }

    /// Waits for anything, at most so long; whether the socket is to be asked for an error.
    pub(crate) fn wait(
        &mut self,
        returned: &Event,
        timeout: Option<Duration>,
    ) -> Result<bool, Error> {
        let mut failed = false;
        let seen = |readiness: Readiness| match readiness.key {
            SOCKET => failed |= readiness.error,
            RETURNED => _ = returned.take(),
            TICKED => {
                failed = true;
                self.ticker.as_ref().map(Ticker::take);
            }
            // Taken where it is asked for.
            _ => {}
        };
        self.poller.wait(timeout, seen).map_err(system("wait for packets"))?;
        Ok(failed)
    }

    /// Sleeps for so long, whatever happens to the socket: only an interruption ends it, and a block that comes back.
    pub(crate) fn nap(&self, returned: &Event, time: Duration) -> Result<(), Error> {
        let others = [(returned.as_fd(), READABLE), (self.interrupter.as_fd(), READABLE)];
        event::poll(others, Some(time)).map(drop).map_err(system("wait for packets"))
    }

    /// Whether the socket wakes who waits here when a block is closed, at once if one is; or by errors only.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn hear_blocks(&mut self, socket: &PacketSocket, hear: bool) -> Result<(), Error> {
        if self.deaf == hear {
            let changed = self.poller.change_edge(socket.as_fd(), SOCKET, hear);
            changed.map_err(system("watch a descriptor"))?;
            self.deaf = !hear;
        }
        Ok(())
    }

    /// From now on the wait ends from time to time, so that an interface that is down is looked at; or no longer.
    pub(crate) fn set_down(&mut self, down: bool) -> Result<(), Error> {
        if down == self.ticker.is_some() {
            return Ok(());
        }
        self.ticker = None;
        if down {
            let ticker = Ticker::new(DOWN_CHECK).map_err(system("make a timer"))?;
            self.poller.add_edge(ticker.as_fd(), TICKED).map_err(system("watch a descriptor"))?;
            self.ticker = Some(ticker);
        }
        Ok(())
    }
}

impl AsFd for Waiter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}
