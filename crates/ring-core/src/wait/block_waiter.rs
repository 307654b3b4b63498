//! Waiting for a ring.
//!
//! poll(2) reports a packet socket as readable while the block before the kernel's current one has
//! not been returned (`packet_poll` checks the previous block). A ring whose newest block is on
//! loan would therefore be polled in a busy loop. Edge-triggered epoll reports each closed block
//! once instead.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use ring_sys::event::{self, Event, Poller, READABLE, Readiness, Ticker};
use ring_sys::packet::PacketSocket;

use crate::Error;
use crate::error::system;
use crate::interruption::Interruption;

const SOCKET: u64 = 0;
const RETURNED: u64 = 1;
const INTERRUPTED: u64 = 2;
const TICKED: u64 = 3;

/// Interval at which to check if an interface that went down was deleted, because the kernel
/// reports only the first of the two events.
const DOWN_CHECK: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(crate) struct BlockWaiter {
    poller: Poller,
    pub(crate) interruption: Interruption,
    /// Present only while the interface is down.
    ticker: Option<Ticker>,
    /// `true` if blocks are reported to another poller instead.
    #[cfg(feature = "tokio")]
    silent: bool,
}

impl BlockWaiter {
    /// Creates a waiter for this socket, for returned blocks, and for interruptions.
    pub(crate) fn new(socket: &PacketSocket, returned: &Event) -> Result<Self, Error> {
        let interruption = Interruption::new().map_err(system("make an event"))?;
        let poller = Poller::new().map_err(system("make a poller"))?;
        let sources = [
            (socket.as_fd(), SOCKET),
            (returned.as_fd(), RETURNED),
            (interruption.as_fd(), INTERRUPTED),
        ];
        // Edge-triggered, for the reason at the top of this file. Each wait is therefore preceded
        // by a look at everything that an event could be about.
        for (descriptor, key) in sources {
            poller.add_edge(descriptor, key).map_err(system("watch a descriptor"))?;
        }
        Ok(Self {
            poller,
            interruption,
            ticker: None,
            #[cfg(feature = "tokio")]
            silent: false,
        })
    }

    /// Waits for any event, at most `timeout`. Returns `true` if the socket must be checked for an
    /// error.
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
            // The interruption is taken by the caller.
            _ => {}
        };
        self.poller.wait(timeout, seen).map_err(system("wait for packets"))?;
        Ok(failed)
    }

    /// Sleeps for `time` regardless of the socket. Only an interruption or a returned block ends it
    /// early.
    pub(crate) fn sleep(&self, returned: &Event, time: Duration) -> Result<(), Error> {
        let others = [(returned.as_fd(), READABLE), (self.interruption.as_fd(), READABLE)];
        event::poll(others, Some(time)).map(drop).map_err(system("wait for packets"))
    }

    /// Enables or disables wake-ups by closed blocks. Errors always cause wake-ups. Enabling wakes
    /// at once if a block is there.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn report_blocks(
        &mut self,
        socket: &PacketSocket,
        report: bool,
    ) -> Result<(), Error> {
        if self.silent == report {
            // epoll always reports errors and hang-ups (`EPOLLERR` of epoll_ctl(2)), so a deleted
            // interface is still noticed.
            let changed = self.poller.change_edge(socket.as_fd(), SOCKET, report);
            changed.map_err(system("watch a descriptor"))?;
            self.silent = !report;
        }
        Ok(())
    }

    /// Starts or stops periodic wake-ups, which check an interface that is down.
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

impl AsFd for BlockWaiter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}
