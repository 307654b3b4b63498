//! The sockets of a source that takes them in turn, reopened when an interface has changed.

use std::os::fd::{AsFd as _, BorrowedFd};

use super::all_queues::{open_all, open_both};
use super::batch::Batch;
use super::builder::{Direction, SocketBuilder};
use super::error::Error;
use super::mtu::{MtuReports, Watched};
use super::round_robin::{RoundRobin, Turn};
use super::socket::Socket;
use crate::wait::Deadline;
use crate::{Interrupter, Statistics, Timeout};

/// The sockets that a source consists of.
#[derive(Debug)]
pub(crate) enum Plan {
    /// One for each queue of an interface.
    Interface(Box<SocketBuilder>),
    /// One for each queue of two interfaces, to be joined.
    Wire(Box<[SocketBuilder; 2]>),
}

/// The sockets of a source, by interface and then by queue, and all that outlives them when they
/// are reopened.
#[derive(Debug)]
pub(crate) struct Sockets {
    open: Vec<Socket>,
    /// For each interface, the index of its first socket.
    starts: Vec<usize>,
    plan: Plan,
    round_robin: RoundRobin,
    /// The totals of replaced sockets.
    before: Statistics,
    mtu: Watched,
}

impl Plan {
    /// Opens the sockets of each interface.
    fn open(&self) -> Result<Vec<Vec<Socket>>, Error> {
        match self {
            Self::Interface(builder) => Ok(vec![open_all(builder)?]),
            Self::Wire(ends) => {
                let [left, right] = &**ends;
                Ok(open_both(left, right)?.into())
            }
        }
    }

    /// `true` if the sockets are to be reopened when packets no longer fit.
    fn reopens(&self) -> bool {
        match self {
            Self::Interface(builder) => builder.reopen,
            Self::Wire(builders) => builders.iter().any(|builder| builder.reopen),
        }
    }
}

impl Sockets {
    pub(crate) fn open(plan: Plan) -> Result<Self, Error> {
        let mut sockets = Self {
            open: Vec::new(),
            starts: Vec::new(),
            round_robin: RoundRobin::new()?,
            before: Statistics::default(),
            mtu: Watched::default(),
            plan,
        };
        sockets.reopen()?;
        Ok(sockets)
    }

    /// Replaces the sockets, with the same settings. Totals, packet numbers and waits continue.
    ///
    /// # Errors
    /// If the sockets cannot be opened. There are none then, and each wait tries to open them
    /// again.
    pub(crate) fn reopen(&mut self) -> Result<(), Error> {
        if !self.open.is_empty() {
            self.before = self.statistics()?;
            // The old sockets are closed first, since two cannot share a queue or an interface's
            // program.
            self.open.clear();
        }
        let interfaces = self.plan.open()?;
        self.starts.clear();
        for sockets in interfaces {
            self.starts.push(self.open.len());
            self.open.extend(sockets);
        }
        self.mtu.accept(ends(&self.open, &self.starts));
        self.round_robin.replaced(&self.open)
    }

    /// Waits until a socket has packets, and follows changes of the MTUs meanwhile.
    pub(crate) fn turn(&mut self, timeout: Timeout) -> Result<Turn, Error> {
        let deadline = Deadline::of(timeout);
        loop {
            self.follow_mtu()?;
            let (mtu, starts) = (&self.mtu, &self.starts);
            let has_changed = |sockets: &[Socket]| mtu.is_news(ends(sockets, starts));
            match self.round_robin.take(&mut self.open, deadline, has_changed)? {
                Turn::Changed => {}
                turn => return Ok(turn),
            }
        }
    }

    /// Checks if an MTU was raised, and reopens the sockets if that was requested.
    #[inline]
    fn follow_mtu(&mut self) -> Result<(), Error> {
        if self.open.is_empty() {
            return self.reopen();
        }
        let mut raised = self.mtu.raised(ends(&self.open, &self.starts));
        // A source may have been moved to a thread in another network namespace, where the
        // interface's name means another interface or none.
        let is_here = |socket: &Socket| socket.endpoint().is_here();
        if self.plan.reopens()
            && raised.iter().any(|raised| !raised.fits)
            && ends(&self.open, &self.starts).all(is_here)
        {
            self.reopen()?;
            for raised in &mut raised {
                let same = |end: &&Socket| *end.endpoint().interface == *raised.interface;
                raised.settle(ends(&self.open, &self.starts).find(same));
            }
        }
        raised.into_iter().for_each(|raised| self.mtu.reports.add(raised));
        Ok(())
    }

    pub(crate) fn all(&self) -> &[Socket] {
        &self.open
    }

    pub(crate) fn all_mut(&mut self) -> &mut [Socket] {
        &mut self.open
    }

    pub(crate) fn into_all(self) -> Vec<Socket> {
        self.open
    }

    /// Lends the packets that a socket has taken.
    pub(crate) fn lend(&mut self, at: usize) -> Result<Batch<'_>, Error> {
        self.round_robin.lend(&mut self.open[at])
    }

    /// The sockets of both interfaces of a wire, and the counter of packets.
    pub(crate) fn wire(&mut self) -> ([&mut [Socket]; 2], &mut RoundRobin) {
        let right = self.starts.get(1).copied().unwrap_or(self.open.len());
        let (left, right) = self.open.split_at_mut(right);
        ([left, right], &mut self.round_robin)
    }

    /// The sum of the totals of all sockets, which share a memory, and of those that were replaced.
    pub(crate) fn statistics(&self) -> Result<Statistics, Error> {
        let mut sum = self.before;
        sum.blocks_on_loan = 0;
        for socket in &self.open {
            let receiver = socket
                .receiver
                .as_ref()
                .ok_or(Error::WrongDirection { direction: Direction::Receive })?;
            let totals = receiver.totals()?;
            // Each reports the frames on loan of the whole memory.
            sum.blocks_on_loan = 0;
            sum += totals;
        }
        Ok(sum)
    }

    pub(crate) fn mtu_reports(&self) -> MtuReports {
        self.mtu.reports.clone()
    }

    pub(crate) fn interrupter(&self) -> Interrupter {
        self.round_robin.interrupter()
    }

    /// The descriptor that becomes readable when a socket may have packets.
    pub(crate) fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.round_robin.poller(&self.open).ok()?.as_fd())
    }
}

/// One socket of each interface.
fn ends<'a>(sockets: &'a [Socket], starts: &[usize]) -> impl Iterator<Item = &'a Socket> {
    starts.iter().filter_map(|&start| sockets.get(start))
}
