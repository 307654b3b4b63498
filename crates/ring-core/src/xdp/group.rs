//! Sockets on all queues of an interface.

use std::os::fd::{AsFd as _, BorrowedFd};

use ring_sys::interface::{self, ReceiveSpread};

use super::batch::Batch;
use super::builder::{Direction, SocketBuilder};
use super::error::Error;
use super::mtu::{MtuReports, Watched};
use super::program::find;
use super::rota::{Rota, Turn, deadline};
use super::sender::Sender;
use super::socket::Socket;
use super::waiting::Wait;
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
    members: Vec<Socket>,
    rota: Rota,
    spread: Option<ReceiveSpread>,
    builder: SocketBuilder,
    /// The totals of replaced members.
    before: Statistics,
    mtu: Watched,
}

impl Group {
    /// Opens a socket for each queue. The builder's queue is ignored. The builder's memory
    /// configuration is per queue, and the group's memory is larger by the number of queues, unless
    /// the builder was given a memory. If the interface has fewer send queues than receive queues,
    /// the remaining sockets only receive.
    ///
    /// # Errors
    /// As [`SocketBuilder::open`], for the first queue that cannot be opened.
    pub fn open(builder: &SocketBuilder) -> Result<Self, Error> {
        let members = Self::open_members(builder)?;
        let spread = ReceiveSpread::of(&builder.interface).ok();
        let mtu = Watched::of(members.first());
        let (builder, before) = (builder.clone(), Statistics::default());
        Ok(Self { members, rota: Rota::new()?, spread, builder, before, mtu })
    }

    /// Reopens the sockets with the same settings, for an interface that has changed: with frames
    /// for a raised MTU, and a socket for each queue that it has now. Totals, packet numbers and
    /// waits for the group continue. Packets that arrive in the meantime, some milliseconds, go to
    /// the host.
    ///
    /// # Errors
    /// As [`open`](Self::open). The group has no members then, and its waits try to open them
    /// again.
    pub fn reopen(&mut self) -> Result<(), Error> {
        if !self.members.is_empty() {
            self.before = sum(&self.members, self.before)?;
            // The old sockets are closed first, since two cannot share a queue or an interface's
            // program.
            self.members.clear();
        }
        self.members = Self::open_members(&self.builder)?;
        self.mtu.accept(self.members.first());
        self.rota.replaced(&self.members)
    }

    /// Reports of raised MTUs. The handle stays valid when the group moves to another thread.
    #[must_use]
    pub fn mtu_reports(&self) -> MtuReports {
        self.mtu.reports.clone()
    }

    /// Waits until a socket has packets, and follows changes of the MTU meanwhile.
    fn turn(&mut self, timeout: Timeout) -> Result<Turn, Error> {
        let deadline = deadline(timeout);
        loop {
            self.follow_mtu()?;
            let mtu = &self.mtu;
            let has_changed = |members: &[Socket]| mtu.is_news(members.first());
            match self.rota.take(&mut self.members, deadline, has_changed)? {
                Turn::Changed => {}
                turn => return Ok(turn),
            }
        }
    }

    /// Checks if the MTU was raised, and reopens the members if that was requested.
    #[inline]
    fn follow_mtu(&mut self) -> Result<(), Error> {
        if self.members.is_empty() {
            return self.reopen();
        }
        for mut raised in self.mtu.raised(self.members.first()) {
            let is_here = self.members.first().is_some_and(|member| member.endpoint().is_here());
            if !raised.fits && self.builder.reopen && is_here {
                self.reopen()?;
                raised.settle(self.members.first());
            }
            self.mtu.reports.add(raised);
        }
        Ok(())
    }

    fn open_members(builder: &SocketBuilder) -> Result<Vec<Socket>, Error> {
        let queues = Queues::of(&builder.interface)?;
        let count = match builder.direction {
            Direction::Send => queues.send,
            Direction::Both | Direction::Receive => queues.receive,
        };
        let mtu = interface::mtu(&builder.interface).ok();
        let umem = match &builder.umem {
            Some(umem) => umem.clone(),
            None => builder.memory.times(count).allocate_for(mtu)?,
        };
        // Each member gets an equal part of the memory, so that the last one does not find it
        // empty.
        let part = u32::try_from(umem.free_frames()).unwrap_or(u32::MAX) / count;
        let fill = builder.fill_target.unwrap_or(part.div_ceil(2));
        let builder = builder.clone().umem(&umem).fill_target(fill);
        (0..count)
            .map(|queue| {
                let member = builder.clone().queue(queue);
                // Without a send queue, the kernel would leave queued packets unsent.
                if queue < queues.send { member } else { member.direction(Direction::Receive) }
                    .open()
            })
            .collect()
    }

    /// The members, ordered by queue.
    #[must_use]
    pub fn members(&mut self) -> &mut [Socket] {
        &mut self.members
    }

    /// Returns the members, for example to move each to a thread of its own.
    #[must_use]
    pub fn into_members(self) -> Vec<Socket> {
        self.members
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
        self.members.len()
    }

    /// `true` if there are no members, which is so only after [`reopen`](Self::reopen) has failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The sum of the members' totals. The number of frames on loan is that of the shared memory.
    ///
    /// # Errors
    /// If the kernel refuses to report them.
    pub fn statistics(&self) -> Result<Statistics, crate::Error> {
        Ok(sum(&self.members, self.before)?)
    }
}

/// Each batch is from one member; packet numbers are unique within the group.
impl PacketSource for Group {
    type Batch<'a> = Batch<'a>;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Batch<'_>>, crate::Error> {
        Ok(match self.turn(timeout)? {
            Turn::Packets(at) => Next::Batch(self.rota.lend(&mut self.members[at])?),
            Turn::Interrupted => Next::Interrupted,
            Turn::TimedOut | Turn::Changed => Next::TimedOut,
        })
    }

    fn statistics(&mut self) -> Result<Statistics, crate::Error> {
        Self::statistics(self)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.members.first()?.link_type()
    }

    fn is_live(&self) -> bool {
        true
    }

    fn interrupter(&self) -> Option<Interrupter> {
        Some(self.rota.interrupter().clone())
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.rota.poller(&self.members).ok()?.as_fd())
    }
}

/// Opens a socket for each queue of two interfaces to be joined. They share one packet memory, are
/// in promiscuous mode ([`SocketBuilder::promiscuous`]) and wake up for each packet, because
/// other hosts wait for the packets.
pub(crate) fn open_both(
    left: &SocketBuilder,
    right: &SocketBuilder,
) -> Result<[Vec<Socket>; 2], Error> {
    if find(&left.interface)? == find(&right.interface)? {
        return Err(Error::SameInterface { interface: left.interface.clone() });
    }
    let all = Queues::of(&left.interface)?.receive + Queues::of(&right.interface)?.receive;
    let umem = match &left.umem {
        Some(umem) => umem.clone(),
        None => {
            let mtu = [left, right].map(|builder| interface::mtu(&builder.interface).ok());
            left.memory.times(all).allocate_for(mtu[0].max(mtu[1]))?
        }
    };
    let part = u32::try_from(umem.free_frames()).unwrap_or(u32::MAX) / all;
    let open = |builder: &SocketBuilder| -> Result<_, Error> {
        let fill = builder.fill_target.unwrap_or(part.div_ceil(2));
        let builder = builder.clone().direction(Direction::Both).promiscuous(true);
        let group = Group::open(&builder.umem(&umem).fill_target(fill).wait(Wait::Sleep))?;
        Ok(group.into_members())
    };
    Ok([open(left)?, open(right)?])
}

/// The number of an interface's queues, at least one of each kind.
struct Queues {
    receive: u32,
    send: u32,
}

impl Queues {
    fn of(name: &str) -> Result<Self, Error> {
        let found = interface::find(name)
            .map_err(|source| Error::NoSuchInterface { interface: name.to_owned(), source })?;
        let (receive, send) = found.queues;
        let receive = receive.max(1);
        Ok(Self { receive, send: if send == 0 { receive } else { send } })
    }
}

/// The socket that sends packets from a queue of the other interface, or the first one that can
/// send.
pub(crate) fn counterpart(sockets: &mut [Socket], queue: usize) -> Result<&mut Sender, Error> {
    let senders = sockets.iter().filter(|socket| socket.sender.is_some()).count();
    sockets[queue % senders.max(1)].sender()
}

/// The sum of the totals of sockets that share a memory, and of `before`.
pub(crate) fn sum(sockets: &[Socket], before: Statistics) -> Result<Statistics, Error> {
    let mut sum = Statistics { blocks_on_loan: 0, ..before };
    for socket in sockets {
        let receiver = socket.receiver.as_ref().ok_or(Error::WrongDirection("receive"))?;
        let part = receiver.totals()?;
        sum.packets += part.packets;
        sum.drops += part.drops;
        sum.freezes += part.freezes;
        sum.malformed += part.malformed;
        sum.ring_exhausted += part.ring_exhausted;
        sum.blocks_on_loan = part.blocks_on_loan;
    }
    Ok(sum)
}
