//! Between two interfaces, seeing everything that passes.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::batch::XdpBatch;
use super::builder::XdpSocketBuilder;
use super::error::XdpError;
use super::forward::{ForwardStatistics, complete_checksum, unless_down};
use super::frame::XdpFrame;
use super::group::{counterpart, open_both};
use super::mtu::{Watched, XdpMtuReports};
use super::rota::{Rota, Turn, deadline};
use super::sender::XdpSender;
use super::socket::XdpSocket;
use super::umem::Umem;
use crate::{
    Error, Interrupter, LinkType, Next, Packet, PacketBatch, PacketSource, Side, Statistics,
    Timeout,
};

/// A wire between two interfaces that can be looked into: what comes on one is lent, and goes out on the other when its
/// batch is dropped, in the same frames. So it sees both directions of every conversation, as no socket on a single
/// interface can: AF_XDP knows nothing of what the host itself sends.
///
/// Checksums that a virtual link left to an adapter are filled in on the way out, as [`Bridge::with_xdp`](crate::Bridge::with_xdp)
/// does: otherwise the other side would discard what local programs sent.
///
/// All queues of both interfaces are served, with one packet memory. Packets wait for whoever looks at them: who is slow
/// slows down the wire, and what finds no room is lost to both, and counted ([`forwarded`](Self::forwarded),
/// [`Statistics::drops`]).
///
/// ```no_run
/// use ring_core::{Next, PacketBatch as _, PacketSource as _, Timeout, XdpTap};
///
/// let mut tap = XdpTap::open("eth0", "eth1")?;
/// while let Next::Batch(batch) = tap.next_batch(Timeout::Never)? {
///     for packet in batch.packets() {
///         println!("{} {} bytes", packet.meta().interface, packet.data().len());
///     }
/// } // dropping the batch sends it on
/// # Ok::<(), ring_core::Error>(())
/// ```
#[derive(Debug)]
pub struct XdpTap {
    /// Those of the left interface, then those of the right one, each in the order of their queues.
    sockets: Vec<XdpSocket>,
    /// How many are the left one's.
    left: usize,
    rota: Rota,
    ways: [Way; 2],
    counters: XdpTapCounters,
    umem: Umem,
    builders: [XdpSocketBuilder; 2],
    /// The totals of the sockets that were replaced.
    before: Statistics,
    mtu: Watched,
    /// What went wrong when the last batch was dropped.
    failed: Option<XdpError>,
}

/// What became of packets, to be asked for wherever the tap has gone; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct XdpTapCounters {
    counts: Arc<[Mutex<ForwardStatistics>; 2]>,
}

/// What comes from one side.
#[derive(Debug, Default)]
struct Way {
    counts: ForwardStatistics,
    /// The frames of a packet that is being put together.
    frames: Vec<XdpFrame>,
    /// Its bytes, if they lie in several frames.
    joined: Vec<u8>,
}

/// Packets lent by an [`XdpTap`]: when this is dropped they go out on the other interface.
#[derive(Debug)]
pub struct XdpTapBatch<'a> {
    /// `None` only while it is dropped.
    batch: Option<XdpBatch<'a>>,
    sender: &'a mut XdpSender,
    way: &'a mut Way,
    from: Side,
    link_type: LinkType,
    counters: &'a XdpTapCounters,
    failed: &'a mut Option<XdpError>,
}

impl XdpTapCounters {
    /// Totals of what came from one side.
    #[must_use]
    pub fn forwarded(&self, from: Side) -> ForwardStatistics {
        *self.counts[from as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, from: Side, counts: ForwardStatistics) {
        *self.counts[from as usize].lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }
}

impl XdpTap {
    /// Joins two interfaces, with the defaults of [`XdpSocket::builder`] and promiscuous.
    ///
    /// # Errors
    /// As [`XdpSocketBuilder::open`].
    pub fn open(left: &str, right: &str) -> Result<Self, XdpError> {
        Self::with(&XdpSocket::builder(left), &XdpSocket::builder(right))
    }

    /// The same with everything else as the builders say, but for the queue, the direction, how to wait (asleep until a
    /// packet comes: others wait for it), and the memory: that is the left one's, given to it or made as it says, once for
    /// each queue.
    ///
    /// # Errors
    /// As [`XdpSocketBuilder::open`]; [`XdpError::SameInterface`].
    pub fn with(left: &XdpSocketBuilder, right: &XdpSocketBuilder) -> Result<Self, XdpError> {
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
            counters: XdpTapCounters::default(),
            builders,
            before: Statistics::default(),
            mtu,
            failed: None,
        })
    }

    /// Opens the sockets again, as the tap was opened, for interfaces that have changed: see
    /// [`XdpGroup::reopen`](super::XdpGroup::reopen). What comes meanwhile goes to the host, and not to the other side.
    ///
    /// # Errors
    /// As [`with`](Self::with). The tap has no sockets then, and its waits try to open them again.
    pub fn reopen(&mut self) -> Result<(), XdpError> {
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

    /// The raised MTUs of both interfaces, to be asked for wherever the tap has gone.
    #[must_use]
    pub fn mtu_reports(&self) -> XdpMtuReports {
        self.mtu.reports.clone()
    }

    /// Waits for a socket's turn, and follows changes of the MTUs meanwhile.
    fn turn(&mut self, timeout: Timeout) -> Result<Turn, XdpError> {
        let deadline = deadline(timeout);
        loop {
            self.follow_mtu()?;
            let mtu = &self.mtu;
            let has_changed = |sockets: &[XdpSocket]| mtu.is_news(ends(sockets));
            match self.rota.take(&mut self.sockets, deadline, has_changed)? {
                Turn::Changed => {}
                turn => return Ok(turn),
            }
        }
    }

    /// Looks whether an MTU was raised, and opens the sockets again if that was asked for.
    #[inline]
    fn follow_mtu(&mut self) -> Result<(), XdpError> {
        if self.sockets.is_empty() {
            return self.reopen();
        }
        let mut raised = self.mtu.raised(ends(&self.sockets));
        let wanted = self.builders.iter().any(|builder| builder.reopen);
        let is_here = |socket: &XdpSocket| socket.endpoint().is_here();
        if wanted && raised.iter().any(|raised| !raised.fits) && ends(&self.sockets).all(is_here) {
            self.reopen()?;
            for raised in &mut raised {
                let same = |end: &&XdpSocket| *end.endpoint().interface == *raised.interface;
                raised.settle(ends(&self.sockets).find(same));
            }
        }
        raised.into_iter().for_each(|raised| self.mtu.reports.add(raised));
        Ok(())
    }

    /// What became of the packets that came from one side.
    #[must_use]
    pub fn forwarded(&self, from: Side) -> ForwardStatistics {
        self.ways[from as usize].counts
    }

    /// The same for whoever has not got the tap.
    #[must_use]
    pub fn counters(&self) -> XdpTapCounters {
        self.counters.clone()
    }

    /// The packet memory.
    #[must_use]
    pub fn umem(&self) -> Umem {
        self.umem.clone()
    }

    fn lend(&mut self, at: usize) -> Result<XdpTapBatch<'_>, XdpError> {
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
        Ok(XdpTapBatch { batch: Some(batch), sender, way, from, link_type, counters, failed })
    }
}

/// A socket of each interface: the first of the left one, and the last, which is of the right one.
fn ends(sockets: &[XdpSocket]) -> impl Iterator<Item = &XdpSocket> {
    sockets.first().into_iter().chain(sockets.last())
}

impl PacketSource for XdpTap {
    type Batch<'a> = XdpTapBatch<'a>;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<XdpTapBatch<'_>>, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        Ok(match self.turn(timeout)? {
            Turn::Packets(at) => Next::Batch(self.lend(at)?),
            Turn::Interrupted => Next::Interrupted,
            Turn::TimedOut | Turn::Changed => Next::TimedOut,
        })
    }

    /// The sum of all sockets'. What was lent and could not be sent on is no drop: see
    /// [`forwarded`](XdpTap::forwarded).
    fn statistics(&mut self) -> Result<Statistics, Error> {
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

impl PacketBatch for XdpTapBatch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.batch.iter().flat_map(PacketBatch::packets)
    }

    /// `None`: the frames are wanted elsewhere.
    fn retain(&self) -> Option<Bytes> {
        None
    }

    /// `None`: the frames are wanted elsewhere.
    fn retain_packet(&self, _packet: &Packet<'_>) -> Option<Bytes> {
        None
    }
}

impl Drop for XdpTapBatch<'_> {
    fn drop(&mut self) {
        let Some(batch) = self.batch.take() else { return };
        let Way { counts, frames, joined } = &mut *self.way;
        let send = || -> Result<(), XdpError> {
            for (frame, _) in batch.into_frames() {
                let last = !frame.continues();
                frames.push(frame);
                if last {
                    complete_checksum(frames, self.link_type, joined);
                    counts.pass_on(self.sender, frames)?;
                }
            }
            // While the other interface is down, its ring keeps what it has room for.
            unless_down(self.sender.flush()).map(drop)
        };
        if let Err(error) = send() {
            frames.clear();
            *self.failed = Some(error);
        }
        self.counters.set(self.from, self.way.counts);
    }
}
