//! A wire tap between two interfaces.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::all_queues::counterpart;
use super::batch::Batch;
use super::builder::SocketBuilder;
use super::error::{Error, unless_down};
use super::frame::Frame;
use super::mtu::MtuReports;
use super::pass::{Passed, complete_checksum, pass_on};
use super::round_robin::Turn;
use super::sender::Sender;
use super::socket::Socket;
use super::sockets::{Plan, Sockets};
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
/// [`Bridge`](crate::Bridge::xdp_builder) does. Otherwise the other side would discard
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
    sockets: Sockets,
    ways: [Way; 2],
    counters: TapCounters,
    umem: Umem,
    /// The error of dropping the last batch.
    failed: Option<Error>,
}

/// Totals of the packets from one side of a tap. They never decrease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TapStatistics {
    /// Packets received.
    pub received: u64,
    /// Packets queued on the other interface.
    pub forwarded: u64,
    /// Packets dropped because the other interface had no room.
    pub full: u64,
    /// Packets that are too long for the other interface.
    pub refused: u64,
}

/// Counters of a tap. Cheap to clone, and valid when the tap moves to another thread.
#[derive(Clone, Debug, Default)]
pub struct TapCounters {
    counts: Arc<[Mutex<TapStatistics>; 2]>,
}

/// The state of one direction.
#[derive(Debug, Default)]
struct Way {
    counts: TapStatistics,
    /// The frames of a packet that is not complete yet.
    frames: Vec<Frame>,
    /// The packet's bytes, if it has several frames.
    joined: Vec<u8>,
}

/// Packets lent by a [`Tap`]. Dropping the batch sends them on the other interface.
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

/// Settings of a [`Tap`]. [`open`](Self::open) opens it.
#[derive(Clone, Debug)]
#[must_use = "nothing is passed on before `open`"]
pub struct TapBuilder {
    left: SocketBuilder,
    right: SocketBuilder,
}

impl SocketBuilder {
    /// Returns the settings of a [`Tap`] between this interface, on the left, and another.
    ///
    /// Both builders' settings apply, except for the queue, the direction, the wait strategy (sleep
    /// until a packet arrives, because other hosts wait for the packets), and the memory. The
    /// memory is the left builder's if it has one, otherwise one of the left builder's size for
    /// each queue.
    pub fn tap(self, right: Self) -> TapBuilder {
        TapBuilder { left: self, right }
    }
}

impl TapBuilder {
    /// Opens the sockets of all queues of both interfaces, in promiscuous mode.
    ///
    /// # Errors
    /// As [`SocketBuilder::open`]; [`Error::SameInterface`].
    pub fn open(self) -> Result<Tap, Error> {
        let sockets = Sockets::open(Plan::Wire(Box::new([self.left, self.right])))?;
        Ok(Tap {
            umem: sockets.all()[0].umem(),
            sockets,
            ways: Default::default(),
            counters: TapCounters::default(),
            failed: None,
        })
    }
}

impl TapStatistics {
    /// Sends a packet's frames or releases them, and counts the result.
    fn pass_on(&mut self, sender: &mut Sender, frames: &mut Vec<Frame>) -> Result<(), Error> {
        match pass_on(sender, frames)? {
            Passed::On => self.forwarded += 1,
            Passed::Refused => self.refused += 1,
            Passed::Full => {
                frames.clear();
                self.full += 1;
            }
        }
        Ok(())
    }
}

impl TapCounters {
    /// Totals of the packets from one side.
    #[must_use]
    pub fn forwarded(&self, from: Side) -> TapStatistics {
        *self.counts[from as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, from: Side, counts: TapStatistics) {
        *self.counts[from as usize].lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }
}

impl Tap {
    /// Joins two interfaces, with the defaults of [`Socket::builder`] and in promiscuous mode.
    ///
    /// # Errors
    /// As [`TapBuilder::open`].
    pub fn open(left: &str, right: &str) -> Result<Self, Error> {
        Self::builder(left, right).open()
    }

    /// Returns the settings of a tap, with the defaults of [`Socket::builder`]. For other settings
    /// see [`SocketBuilder::tap`].
    pub fn builder(left: &str, right: &str) -> TapBuilder {
        Socket::builder(left).tap(Socket::builder(right))
    }

    /// Reopens the sockets with the same settings, for interfaces that have changed: see
    /// [`Group::reopen`](super::Group::reopen). Packets that arrive in the meantime go to the
    /// host, not to the other side.
    ///
    /// # Errors
    /// As [`TapBuilder::open`]. The tap has no sockets then, and its waits try to open them again.
    pub fn reopen(&mut self) -> Result<(), Error> {
        self.sockets.reopen()?;
        self.follow_memory();
        Ok(())
    }

    /// Reports of raised MTUs of both interfaces. The handle stays valid when the tap moves to
    /// another thread.
    #[must_use]
    pub fn mtu_reports(&self) -> MtuReports {
        self.sockets.mtu_reports()
    }

    /// Notes the packet memory of sockets that were reopened.
    #[inline]
    fn follow_memory(&mut self) {
        if let [first, ..] = self.sockets.all()
            && !Arc::ptr_eq(&first.endpoint().umem, &self.umem.shared)
        {
            self.umem = first.umem();
        }
    }

    /// Totals of the packets from one side.
    #[must_use]
    pub fn forwarded(&self, from: Side) -> TapStatistics {
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
        let ([left, right], round_robin) = self.sockets.wire();
        let (from, queue) = match at.checked_sub(left.len()) {
            Some(queue) => (Side::Right, queue),
            None => (Side::Left, at),
        };
        let (here, there) = match from {
            Side::Left => (left, right),
            Side::Right => (right, left),
        };
        let way = &mut self.ways[from as usize];
        let batch = round_robin.lend(&mut here[queue])?;
        // Counted when lent: what is lent is sent or counted as lost when the batch is dropped.
        way.counts.received += batch.len() as u64;
        // The same queue on the other side, so that packets of one flow keep their order.
        let sender = counterpart(there, queue)?;
        let link_type = sender.endpoint.link_type;
        let (counters, failed) = (&self.counters, &mut self.failed);
        Ok(TapBatch { batch: Some(batch), sender, way, from, link_type, counters, failed })
    }
}

impl PacketSource for Tap {
    type Batch<'a> = TapBatch<'a>;
    type Error = crate::Error;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<TapBatch<'_>>, crate::Error> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        let turn = self.sockets.turn(timeout)?;
        self.follow_memory();
        Ok(match turn {
            Turn::Packets(at) => Next::Batch(self.lend(at)?),
            Turn::Interrupted => Next::Interrupted,
            Turn::TimedOut | Turn::Changed => Next::TimedOut,
        })
    }

    /// The sum over all sockets. Packets that were lent but could not be sent are not drops: see
    /// [`forwarded`](Tap::forwarded).
    fn statistics(&mut self) -> Result<Statistics, crate::Error> {
        Ok(self.sockets.statistics()?)
    }

    fn link_type(&self) -> Option<LinkType> {
        Some(self.sockets.all().first()?.endpoint().link_type)
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
            // Dropping cannot fail, so the next call returns the error. The rest of the batch went
            // back to its memory.
            *self.failed = Some(error);
        }
        self.counters.set(self.from, self.way.counts);
    }
}
