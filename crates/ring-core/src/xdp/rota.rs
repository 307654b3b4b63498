//! Several sockets, asked in turn.

use std::cell::OnceCell;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use ring_sys::event::Poller;

use super::batch::XdpBatch;
use super::error::XdpError;
use super::forward::unless_down;
use super::socket::XdpSocket;
use super::wait::{STARVED, Woken};
use crate::{Interrupter, Timeout};

/// Whose turn it is, and what all are waited for with.
#[derive(Debug)]
pub(crate) struct Rota {
    /// Who is asked first the next time: each is asked before one is asked again.
    next: usize,
    /// The number of the next packet, over all sockets.
    number: u64,
    interrupter: Interrupter,
    poller: OnceCell<Poller>,
}

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// This socket has taken packets, which are to be lent.
    Packets(usize),
    TimedOut,
    Interrupted,
    /// The caller wants to look at something that has changed.
    Changed,
}

impl Rota {
    pub(crate) fn new() -> Result<Self, XdpError> {
        let interrupter = Interrupter::new()
            .map_err(|source| XdpError::System { operation: "eventfd", source })?;
        Ok(Self { next: 0, number: 1, interrupter, poller: OnceCell::new() })
    }

    pub(crate) fn interrupter(&self) -> &Interrupter {
        &self.interrupter
    }

    /// Waits until one of the sockets, which are those of before unless they were [replaced](Self::replaced), has taken
    /// packets. `has_changed` is asked before each wait, at least twice a second.
    pub(crate) fn take(
        &mut self,
        sockets: &mut [XdpSocket],
        deadline: Option<Instant>,
        has_changed: impl Fn(&[XdpSocket]) -> bool,
    ) -> Result<Turn, XdpError> {
        // First, so that each socket knows that its descriptor is waited for.
        self.poller(sockets)?;
        loop {
            if self.interrupter.take() {
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
            let mut limit = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if limit == Some(Duration::ZERO) {
                return Ok(Turn::TimedOut);
            }
            for sender in sockets.iter_mut().filter_map(|socket| socket.sender.as_mut()) {
                // What was queued, and what the kernel had no room for before.
                unless_down(sender.flush())?;
                if sender.endpoint.rings.completions.in_flight() > 0 {
                    limit = Some(limit.map_or(STARVED, |limit| limit.min(STARVED)));
                }
            }
            self.poller(sockets)?
                .wait(limit, |_| {})
                .map_err(|source| XdpError::System { operation: "epoll_wait", source })?;
        }
    }

    /// Lends what a socket has taken, numbered through.
    pub(crate) fn lend<'a>(&mut self, socket: &'a mut XdpSocket) -> Result<XdpBatch<'a>, XdpError> {
        let receiver = socket.receiver()?;
        receiver.number = self.number;
        self.number += receiver.packets() as u64;
        Ok(receiver.lend())
    }

    /// The sockets have been replaced: whoever waits with the set of descriptors waits for the new ones. Those of the
    /// old ones left it when they were closed.
    pub(crate) fn replaced(&mut self, sockets: &[XdpSocket]) -> Result<(), XdpError> {
        let Some(poller) = self.poller.get() else { return Ok(()) };
        add(poller, sockets)
    }

    /// The set of descriptors that tells when one of the sockets may have something.
    pub(crate) fn poller(&self, sockets: &[XdpSocket]) -> Result<&Poller, XdpError> {
        if let Some(poller) = self.poller.get() {
            return Ok(poller);
        }
        let failed = |source| XdpError::System { operation: "epoll", source };
        let poller = Poller::new().map_err(failed)?;
        poller.add_edge(self.interrupter.as_fd(), 0).map_err(failed)?;
        add(&poller, sockets)?;
        Ok(self.poller.get_or_init(|| poller))
    }
}

/// When a wait that begins now ends; `None` for never.
pub(crate) fn deadline(timeout: Timeout) -> Option<Instant> {
    match timeout {
        Timeout::Now => Some(Instant::now()),
        Timeout::After(time) => Instant::now().checked_add(time),
        Timeout::Never => None,
    }
}

fn add(poller: &Poller, sockets: &[XdpSocket]) -> Result<(), XdpError> {
    for socket in sockets {
        let receiver = socket.receiver.as_ref().ok_or(XdpError::WrongDirection("receive"))?;
        poller
            .add_edge(receiver.poller()?.as_fd(), 1)
            .map_err(|source| XdpError::System { operation: "epoll", source })?;
    }
    Ok(())
}
