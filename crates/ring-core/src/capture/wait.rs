//! Waiting for a ring.
//!
//! poll(2) on a packet socket reports it readable for as long as the block before the kernel's current one is not
//! back (`packet_poll` looks at the previous block), so that a ring whose newest block is on loan would be polled in a
//! circle. Edge-triggered epoll reports each closed block once instead.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use ring_sys::event::{Event, Poller};
use ring_sys::packet::PacketSocket;

use crate::error::system;
use crate::{Error, Interrupter};

const SOCKET: u64 = 0;
const RETURNED: u64 = 1;
const INTERRUPTED: u64 = 2;

#[derive(Debug)]
pub(crate) struct Waiter {
    poller: Poller,
    pub(crate) interrupter: Interrupter,
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
        Ok(Self { poller, interrupter })
    }

    /// Waits for anything, at most so long; whether the socket reports an error.
    pub(crate) fn wait(&self, returned: &Event, timeout: Option<Duration>) -> Result<bool, Error> {
        let mut failed = false;
        let seen = |readiness: ring_sys::event::Readiness| match readiness.key {
            SOCKET => failed |= readiness.error,
            RETURNED => _ = returned.take(),
            // Taken where it is asked for.
            _ => {}
        };
        self.poller.wait(timeout, seen).map_err(system("wait for packets"))?;
        Ok(failed)
    }
}

impl AsFd for Waiter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}
