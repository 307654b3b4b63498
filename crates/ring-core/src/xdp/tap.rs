//! A wire tap between two interfaces.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::batch::Batch;
use super::builder::SocketBuilder;
use super::error::Error;
use super::forward::{ForwardStatistics, complete_checksum, unless_down};
use super::frame::Frame;
use super::group::{counterpart, open_both};
use super::mtu::{MtuReports, Watched};
use super::rota::{Rota, Turn, deadline};
use super::sender::Sender;
use super::socket::Socket;
use super::umem::Umem;
use crate::{
    Interrupter, LinkType, Next, Packet, PacketBatch, PacketSource, Side, Statistics, Timeout,
};

/// A wire between two interfaces that shows all packets. Packets received on one are lent, and sent
/// on the other in the same frames when their batch is dropped. A tap sees both directions of every
/// conversation. No socket on a single interface does so, because AF_XDP does not see packets that
/// the host itself sends.
///
/// Checksums that a virtual link left to an adapter are filled in before sending, as
/// [`Bridge::with_xdp`](crate::Bridge::with_xdp) does. Otherwise the other side would discard
/// packets of local programs.
///
/// The tap serves all queues of both interfaces, with one packet memory. Packets wait for the
/// reader, so a slow reader slows down the wire. Packets without room are lost to both, and counted
/// ([`forwarded`](Self::forwarded), [`Statistics::drops`]).
///
/// ```no_run
/// use ring_core::{Next, PacketBatch as _, PacketSource as _, Timeout, xdp};
///
/// let mut tap = xdp::Tap::open("eth0", "eth1")?;
/// while let Next::Batch(batch) = tap.next_batch(Timeout::Never)? {
///     for packet in batch.packets() {
///         println!("{} {} bytes", packet.meta().interface, packet.data().len());
///     }
/// } // dropping the batch sends it on
/// # Ok::<(), ring_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Tap {
    /// Those of the left interface, then those of the right one, each ordered by queue.
    sockets: Vec<Socket>,
    /// The number of the left interface's sockets.
    left: usize,
    rota: Rota,
    ways: [Way; 2],
    counters: TapCounters,
    umem: Umem,
    builders: [SocketBuilder; 2],
    /// The totals of replaced sockets.
    before: Statistics,
    mtu: Watched,
    /// The error of dropping the last batch.
    failed: Option<Error>,
}

/// Counters of a tap. Cheap to clone, and valid when the tap moves to another thread.
#[derive(Clone, Debug, Default)]
pub struct TapCounters {
    counts: Arc<[Mutex<ForwardStatistics>; 2]>,
}

/// The state of one direction.
#[derive(Debug, Default)]
struct Way {
    counts: ForwardStatistics,
    /// The frames of a packet that is not complete yet.
    frames: Vec<Frame>,
    /// The packet's bytes, if it has several frames.
    joined: Vec<u8>,
}

/// Packets lent by an [`Tap`]. Dropping the batch sends them on the other interface.
#[derive(Debug)]
pub struct TapBatch<'a> {
    /// `None` only while the batch is being dropped.
    batch: Option<Batch<'a>>,
    sender: &'a mut Sender,
    way: &'a mut Way,
    from: Side,
    link_type: LinkType,
    counters: &'a TapCounters,
    failed: &'a mut Option<Error>,
}

impl TapCounters {
    /// Totals of the packets from one side.
    #[must_use]
    pub fn forwarded(&self, from: Side) -> ForwardStatistics {
        *self.counts[from as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, from: Side, counts: ForwardStatistics) {
        *self.counts[from as usize].lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }
}

impl Tap {
    /// Joins two interfaces, with the defaults of [`Socket::builder`] and in promiscuous mode.
    ///
    /// # Errors
    /// As [`SocketBuilder::open`].
    pub fn open(left: &str, right: &str) -> Result<Self, Error> {
        Self::with(&Socket::builder(left), &Socket::builder(right))
    }

    /// Joins two interfaces with the builders' settings, except for the queue, the direction, the
    /// wait strategy (sleep until a packet arrives, because other hosts wait for the packets), and
    /// the memory. The memory is the left builder's if it has one, otherwise one of the left
    /// builder's size for each queue.
    ///
    /// # Errors
    /// As [`SocketBuilder::open`]; [`Error::SameInterface`].
    pub fn with(left: &SocketBuilder, right: &SocketBuilder) -> Result<Self, Error> {
        let builders = [left.clone(), right.clone()];
        let [left, right] = open_both(left, right)?;
        let count = left.len();
        let sockets: Vec<_> = left.into_iter().chain(right).collect();
        let mtu = Watched::of(ends(&sockets));
        Ok(Self {
            umem: sockets[0].umem(),
            sockets,
            left: count,
            rota: Rota::new()?,
            ways: Default::default(),
            counters: TapCounters::default(),
            builders,
            before: Statistics::default(),
            mtu,
            failed: None,
        })
    }

    /// Reopens the sockets with the same settings, for interfaces that have changed: see
    /// [`Group::reopen`](super::Group::reopen). Packets that arrive in the meantime go to the
    /// host, not to the other side.
    ///
    /// # Errors
    /// As [`with`](Self::with). The tap has no sockets then, and its waits try to open them again.
    pub fn reopen(&mut self) -> Result<(), Error> {
        if !self.sockets.is_empty() {
            self.before = super::group::sum(&self.sockets, self.before)?;
            self.sockets.clear();
        }
        let [left, right] = open_both(&self.builders[0], &self.builders[1])?;
        self.left = left.len();
        self.sockets = left.into_iter().chain(right).collect();
        self.umem = self.sockets[0].umem();
        self.mtu.accept(ends(&self.sockets));
        self.rota.replaced(&self.sockets)
    }

    /// Reports of raised MTUs of both interfaces. The handle stays valid when the tap moves to
    /// another thread.
    #[must_use]
    pub fn mtu_reports(&self) -> MtuReports {
        self.mtu.reports.clone()
    }

    /// Waits until a socket has packets, and follows changes of the MTUs meanwhile.
    fn turn(&mut self, timeout: Timeout) -> Result<Turn, Error> {
        let deadline = deadline(timeout);
        loop {
            self.follow_mtu()?;
            let mtu = &self.mtu;
            let has_changed = |sockets: &[Socket]| mtu.is_news(ends(sockets));
            match self.rota.take(&mut self.sockets, deadline, has_changed)? {
                Turn::Changed => {}
                turn => return Ok(turn),
            }
        }
    }

    /// Checks if an MTU was raised, and reopens the sockets if that was requested.
    #[inline]
    fn follow_mtu(&mut self) -> Result<(), Error> {
        if self.sockets.is_empty() {
            return self.reopen();
        }
        let mut raised = self.mtu.raised(ends(&self.sockets));
        let wanted = self.builders.iter().any(|builder| builder.reopen);
        let is_here = |socket: &Socket| socket.endpoint().is_here();
        if wanted && raised.iter().any(|raised| !raised.fits) && ends(&self.sockets).all(is_here) {
            self.reopen()?;
            for raised in &mut raised {
                let same = |end: &&Socket| *end.endpoint().interface == *raised.interface;
                raised.settle(ends(&self.sockets).find(same));
            }
        }
        raised.into_iter().for_each(|raised| self.mtu.reports.add(raised));
        Ok(())
    }

    /// Totals of the packets from one side.
    #[must_use]
    pub fn forwarded(&self, from: Side) -> ForwardStatistics {
        self.ways[from as usize].counts
    }

    /// A handle to the same totals, independent of the tap.
    #[must_use]
    pub fn counters(&self) -> TapCounters {
        self.counters.clone()
    }

    /// The packet memory.
    #[must_use]
    pub fn umem(&self) -> Umem {
        self.umem.clone()
    }

    fn lend(&mut self, at: usize) -> Result<TapBatch<'_>, Error> {
        let (left, right) = self.sockets.split_at_mut(self.left);
        let (from, queue) = match at.checked_sub(left.len()) {
            Some(queue) => (Side::Right, queue),
            None => (Side::Left, at),
        };
        let (here, there) = match from {
            Side::Left => (left, right),
            Side::Right => (right, left),
        };
        let way = &mut self.ways[from as usize];
        let batch = self.rota.lend(&mut here[queue])?;
        way.counts.received += batch.len() as u64;
        let sender = counterpart(there, queue)?;
        let link_type = sender.endpoint.link_type;
        let (counters, failed) = (&self.counters, &mut self.failed);
        Ok(TapBatch { batch: Some(batch), sender, way, from, link_type, counters, failed })
    }
}

/// One socket of each interface: the first one is the left interface's, the last one the right
/// interface's.
fn ends(sockets: &[Socket]) -> impl Iterator<Item = &Socket> {
    sockets.first().into_iter().chain(sockets.last())
}

impl PacketSource for Tap {
    type Batch<'a> = TapBatch<'a>;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<TapBatch<'_>>, crate::Error> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        Ok(match self.turn(timeout)? {
            Turn::Packets(at) => Next::Batch(self.lend(at)?),
            Turn::Interrupted => Next::Interrupted,
            Turn::TimedOut | Turn::Changed => Next::TimedOut,
        })
    }

    /// The sum over all sockets. Packets that were lent but could not be sent are not drops: see
    /// [`forwarded`](Tap::forwarded).
    fn statistics(&mut self) -> Result<Statistics, crate::Error> {
        Ok(super::group::sum(&self.sockets, self.before)?)
    }

    fn link_type(&self) -> Option<LinkType> {
        Some(self.sockets.first()?.endpoint().link_type)
    }

    fn is_live(&self) -> bool {
        true
    }

    fn interrupter(&self) -> Option<Interrupter> {
        Some(self.rota.interrupter().clone())
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.rota.poller(&self.sockets).ok()?.as_fd())
    }
}

impl PacketBatch for TapBatch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.batch.iter().flat_map(PacketBatch::packets)
    }

    /// Always `None`, because the frames are sent on the other interface.
    fn retain(&self) -> Option<Bytes> {
        None
    }

    /// Always `None`, because the frames are sent on the other interface.
    fn retain_packet(&self, _packet: &Packet<'_>) -> Option<Bytes> {
        None
    }
}

impl Drop for TapBatch<'_> {
    fn drop(&mut self) {
        let Some(batch) = self.batch.take() else { return };
        let Way { counts, frames, joined } = &mut *self.way;
        let send = || -> Result<(), Error> {
            for (frame, _) in batch.into_frames() {
                let last = !frame.continues();
                frames.push(frame);
                if last {
                    complete_checksum(frames, self.link_type, joined);
                    counts.pass_on(self.sender, frames)?;
                }
            }
            // While the other interface is down, its ring keeps as many packets as it has room for.
            unless_down(self.sender.flush()).map(drop)
        };
        if let Err(error) = send() {
            frames.clear();
            *self.failed = Some(error);
        }
        self.counters.set(self.from, self.way.counts);
    }
}
