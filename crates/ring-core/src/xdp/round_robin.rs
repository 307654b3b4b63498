//! Round-robin over several sockets.

use std::cell::OnceCell;
use std::os::fd::AsFd as _;
use std::time::Duration;

use ring_sys::event::Poller;

use super::batch::Batch;
use super::builder::Direction;
use super::error::{Error, unless_down};
use super::poll::{STARVED, Woken};
use super::socket::Socket;
use crate::interruption::Interruption;
use crate::wait::Deadline;
use crate::{Interrupter, Timeout};

/// The next socket in turn, and the descriptors to wait for.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    /// The socket to try first next time. Each socket is tried before one is tried again.
    next: usize,
    /// The number of the next packet, over all sockets.
    number: u64,
    interruption: Interruption,
    poller: OnceCell<Poller>,
}

/// The result of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// This socket has taken packets, which must be lent next.
    Packets(usize),
    TimedOut,
    Interrupted,
    /// `has_changed` returned `true`.
    Changed,
}

impl RoundRobin {
    pub(crate) fn new() -> Result<Self, Error> {
        let interruption = Interruption::new()
            .map_err(|source| Error::System { operation: "make an event", source })?;
        Ok(Self { next: 0, number: 1, interruption, poller: OnceCell::new() })
    }

    pub(crate) fn interrupter(&self) -> Interrupter {
        self.interruption.interrupter()
    }

    /// Waits until one of the sockets has taken packets. The sockets must be the same in each call,
    /// unless they were [replaced](Self::replaced). `has_changed` is called before each wait, at
    /// least twice a second.
    pub(crate) fn take(
        &mut self,
        sockets: &mut [Socket],
        deadline: Deadline,
        has_changed: impl Fn(&[Socket]) -> bool,
    ) -> Result<Turn, Error> {
        // Done first, so that each socket knows that its descriptor is waited for.
        self.poller(sockets)?;
        loop {
            if self.interruption.take() {
                return Ok(Turn::Interrupted);
            }
            for _ in 0..sockets.len() {
                let at = self.next % sockets.len();
                self.next = at + 1;
                if matches!(sockets[at].receiver()?.take(Timeout::Now)?, Woken::Packets) {
                    return Ok(Turn::Packets(at));
                }
            }
            if has_changed(sockets) {
                return Ok(Turn::Changed);
            }
            let mut limit = deadline.left();
            if limit == Some(Duration::ZERO) {
                return Ok(Turn::TimedOut);
            }
            for sender in sockets.iter_mut().filter_map(|socket| socket.sender.as_mut()) {
                // Flushes packets that were queued, or that the kernel had no room for before.
                unless_down(sender.flush())?;
                // Completed frames raise no event, and a receiver of the shared memory may be
                // waiting for them.
                if sender.endpoint.rings.completions.in_flight() > 0 {
                    limit = Some(limit.map_or(STARVED, |limit| limit.min(STARVED)));
                }
            }
            self.poller(sockets)?
                .wait(limit, |_| {})
                .map_err(|source| Error::System { operation: "wait for packets", source })?;
        }
    }

    /// Lends the packets that a socket has taken, numbered over all sockets.
    pub(crate) fn lend<'a>(&mut self, socket: &'a mut Socket) -> Result<Batch<'a>, Error> {
        let receiver = socket.receiver()?;
        receiver.number = self.number;
        self.number += receiver.packets() as u64;
        Ok(receiver.lend())
    }

    /// Adds replaced sockets to the set of descriptors, so that its waiters get their events. The
    /// old sockets left the set when they were closed.
    pub(crate) fn replaced(&mut self, sockets: &[Socket]) -> Result<(), Error> {
        let Some(poller) = self.poller.get() else { return Ok(()) };
        add(poller, sockets)
    }

    /// The set of descriptors that becomes readable when a socket may have packets.
    pub(crate) fn poller(&self, sockets: &[Socket]) -> Result<&Poller, Error> {
        if let Some(poller) = self.poller.get() {
            return Ok(poller);
        }
        let failed = |source| Error::System { operation: "watch a descriptor", source };
        let poller = Poller::new().map_err(failed)?;
        poller.add_edge(self.interruption.as_fd(), 0).map_err(failed)?;
        add(&poller, sockets)?;
        Ok(self.poller.get_or_init(|| poller))
    }
}

fn add(poller: &Poller, sockets: &[Socket]) -> Result<(), Error> {
    for socket in sockets {
        let receiver = socket
            .receiver
            .as_ref()
            .ok_or(Error::WrongDirection { direction: Direction::Receive })?;
        poller
            .add_edge(receiver.poller()?.as_fd(), 1)
            .map_err(|source| Error::System { operation: "watch a descriptor", source })?;
    }
    Ok(())
}
