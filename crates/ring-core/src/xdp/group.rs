//! Sockets on all queues of an interface.

use std::os::fd::BorrowedFd;

use ring_sys::interface::ReceiveSpread;

use super::batch::Batch;
use super::builder::SocketBuilder;
use super::error::Error;
use super::mtu::MtuReports;
use super::round_robin::Turn;
use super::socket::Socket;
use super::sockets::{Plan, Sockets};
use crate::{Interrupter, LinkType, Next, PacketSource, Statistics, Timeout};

/// A socket for each queue of an interface, to receive all of its packets. The sockets share one
/// program and one packet memory, so a frame received on one queue can be sent on any.
///
/// The interface decides which queue a packet arrives on. If it distributes packets symmetrically
/// (`ethtool -X`, and see [`is_symmetric`](Self::is_symmetric)), one member gets both directions of
/// a flow. Each member is a source of its own, for a thread of its own. The group is also a source,
/// for one thread that takes everything, round-robin.
#[derive(Debug)]
pub struct Group {
    sockets: Sockets,
    spread: Option<ReceiveSpread>,
}

/// Settings of a [`Group`]. [`open`](Self::open) opens it.
#[derive(Clone, Debug)]
#[must_use = "no socket is opened before `open`"]
pub struct GroupBuilder {
    member: SocketBuilder,
}

impl Group {
    /// Opens a socket for each queue of an interface, with the defaults of [`Socket::builder`].
    ///
    /// # Errors
    /// As [`GroupBuilder::open`].
    pub fn open(interface: &str) -> Result<Self, Error> {
        Self::builder(interface).open()
    }

    /// Returns the settings of a group, with the defaults of [`Socket::builder`]. For other
    /// settings see [`SocketBuilder::group`].
    pub fn builder(interface: &str) -> GroupBuilder {
        Socket::builder(interface).group()
    }

    /// Reopens the sockets with the same settings, for an interface that has changed: with frames
    /// for a raised MTU, and a socket for each queue that it has now. Totals, packet numbers and
    /// waits for the group continue. Packets that arrive in the meantime, some milliseconds, go to
    /// the host.
    ///
    /// # Errors
    /// As [`GroupBuilder::open`]. The group has no members then, and its waits try to open them
    /// again.
    pub fn reopen(&mut self) -> Result<(), Error> {
        self.sockets.reopen()
    }

    /// Reports of raised MTUs. The handle stays valid when the group moves to another thread.
    #[must_use]
    pub fn mtu_reports(&self) -> MtuReports {
        self.sockets.mtu_reports()
    }

    /// The members, ordered by queue.
    #[must_use]
    pub fn members(&self) -> &[Socket] {
        self.sockets.all()
    }

    /// The members, ordered by queue, to wait for one of them or to send on it.
    #[must_use]
    pub fn members_mut(&mut self) -> &mut [Socket] {
        self.sockets.all_mut()
    }

    /// Returns the members, for example to move each to a thread of its own.
    #[must_use]
    pub fn into_members(self) -> Vec<Socket> {
        self.sockets.into_all()
    }

    /// The queues that the interface distributes packets over by hash, as of the opening of the
    /// group (`ethtool -x`). `None` if its driver does not report them. Other queues get only
    /// packets that rules direct to them (`ethtool -n`).
    #[must_use]
    pub fn spread_over(&self) -> Option<Vec<u32>> {
        self.spread.as_ref().map(ReceiveSpread::queues)
    }

    /// `true` if one member gets both directions of a flow, by the interface's hash and its key.
    /// `None` if its driver does not report them, unless there is only one member.
    #[must_use]
    pub fn is_symmetric(&self) -> Option<bool> {
        if self.len() == 1 {
            return Some(true);
        }
        self.spread.as_ref().map(ReceiveSpread::is_symmetric)
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sockets.all().len()
    }

    /// `true` if there are no members, which is so only after [`reopen`](Self::reopen) has failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.all().is_empty()
    }

    /// The sum of the members' totals. The number of frames on loan is that of the shared memory.
    ///
    /// # Errors
    /// If the kernel refuses to report them.
    pub fn statistics(&self) -> Result<Statistics, crate::Error> {
        Ok(self.sockets.statistics()?)
    }
}

impl SocketBuilder {
    /// Returns the settings of a [`Group`]: a socket for each queue of the interface, all with
    /// these settings.
    ///
    /// The queue is ignored. The memory configuration is per queue, and the group's memory is
    /// larger by the number of queues, unless the builder was given a memory.
    pub fn group(self) -> GroupBuilder {
        GroupBuilder { member: self }
    }
}

impl GroupBuilder {
    /// Opens a socket for each queue. If the interface has fewer send queues than receive queues,
    /// the remaining sockets only receive.
    ///
    /// # Errors
    /// As [`SocketBuilder::open`], for the first queue that cannot be opened.
    pub fn open(self) -> Result<Group, Error> {
        let spread = ReceiveSpread::of(&self.member.interface).ok();
        let sockets = Sockets::open(Plan::Interface(Box::new(self.member)))?;
        Ok(Group { sockets, spread })
    }
}

/// Each batch is from one member; packet numbers are unique within the group.
impl PacketSource for Group {
    type Batch<'a> = Batch<'a>;
    type Error = crate::Error;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Batch<'_>>, crate::Error> {
        Ok(match self.sockets.turn(timeout)? {
            Turn::Packets(at) => Next::Batch(self.sockets.lend(at)?),
            Turn::Interrupted => Next::Interrupted,
            Turn::TimedOut | Turn::Changed => Next::TimedOut,
        })
    }

    fn statistics(&mut self) -> Result<Statistics, crate::Error> {
        Self::statistics(self)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.sockets.all().first()?.link_type()
    }

    fn is_live(&self) -> bool {
        true
    }

    fn interrupter(&self) -> Option<Interrupter> {
        Some(self.sockets.interrupter())
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        self.sockets.readiness()
    }
}
