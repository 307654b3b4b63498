//! Forwarding from one interface to another, frame by frame.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use ring_sys::event::{self, READABLE};

use super::builder::SocketBuilder;
use super::error::{Error, libc_errno};
use super::frame::Frame;
use super::receiver::Receiver;
use super::sender::{RejectReason, SendRejected, Sender};
use super::socket::Socket;
use super::umem::UmemConfig;
use super::wait::STARVED;
use crate::checksum::Segment;
use crate::{Interrupter, LinkType, Next, PacketMeta, Side, Timeout, Verdict};

/// Forwards packets between two interfaces. A frame received on one is sent on the other without a
/// copy. No packet is sent back to the interface that it came from.
///
/// Both sockets take all packets of their queue, unless they are steered, so the host's own stack
/// sees none of them. A packet without room on the other side is dropped and counted. While the
/// other side is down, packets wait in its send ring until that is full.
/// [`Bridge::with_xdp`](crate::Bridge::with_xdp) serves all queues, and waits for room.
///
/// ```no_run
/// use ring_core::{Timeout, Verdict, xdp};
///
/// let mut forwarder = xdp::Forwarder::open("eth0", "eth1")?;
/// while forwarder.forward(Timeout::Never, |_, _, _| Verdict::Forward)? {}
/// # Ok::<(), ring_core::xdp::Error>(())
/// ```
#[derive(Debug)]
pub struct Forwarder {
    sides: [(Receiver, Sender); 2],
    statistics: [ForwardStatistics; 2],
    /// Per side of origin, the pieces of a packet that is not complete yet.
    open: [Vec<Frame>; 2],
    interrupter: Interrupter,
}

/// Counters of one direction. They never decrease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardStatistics {
    /// Packets received.
    pub received: u64,
    /// Packets queued on the other interface.
    pub forwarded: u64,
    /// Packets that the verdict dropped.
    pub dropped: u64,
    /// Packets dropped because the other interface had no room.
    pub full: u64,
    /// Packets that are too long for the other interface.
    pub refused: u64,
}

impl Forwarder {
    /// Forwards between the first queues of two interfaces, with a packet memory of 8,192 frames.
    ///
    /// # Errors
    /// As [`SocketBuilder::open`].
    pub fn open(left: &str, right: &str) -> Result<Self, Error> {
        Self::with(&Socket::builder(left), &Socket::builder(right))
    }

    /// Forwards between two interfaces with the builders' settings. The memory is that of the left
    /// builder, if it has one.
    ///
    /// # Errors
    /// As [`SocketBuilder::open`].
    pub fn with(left: &SocketBuilder, right: &SocketBuilder) -> Result<Self, Error> {
        let umem = match &left.umem {
            Some(umem) => umem.clone(),
            None => UmemConfig::new().frames(8192).allocate()?,
        };
        let part = u32::try_from(umem.free_frames() / 4).unwrap_or(u32::MAX).max(1);
        let open = |builder: &SocketBuilder| {
            let fill = builder.fill_target.unwrap_or(part);
            builder.clone().umem(&umem).fill_target(fill).open()
        };
        Self::new(open(left)?, open(right)?)
    }

    /// Forwards between two sockets that share one packet memory.
    ///
    /// # Errors
    /// [`Error::ForeignFrame`] if they do not share a memory, [`Error::WrongDirection`] if
    /// one does not receive and send.
    pub fn new(left: Socket, right: Socket) -> Result<Self, Error> {
        if !left.umem().is_same(&right.umem()) {
            return Err(Error::ForeignFrame);
        }
        let halves = |socket: Socket| match socket.split() {
            (Some(receiver), Some(sender)) => Ok((receiver, sender)),
            (None, _) => Err(Error::WrongDirection("receive")),
            (_, None) => Err(Error::WrongDirection("send")),
        };
        let sides = [halves(left)?, halves(right)?];
        let interrupter =
            Interrupter::new().map_err(|source| Error::System { operation: "eventfd", source })?;
        let statistics = [ForwardStatistics::default(); 2];
        Ok(Self { sides, statistics, open: [Vec::new(), Vec::new()], interrupter })
    }

    /// Forwards the packets that are there, and waits if there are none. `false` if an
    /// [`Interrupter`] ended the wait. Also returns when the timeout expires.
    ///
    /// Calls `verdict` for each packet, with the side that it came from. For a packet longer than a
    /// frame, it gets the first frame. It may change the bytes and their length in place, so
    /// [`Verdict::Rewrite`] is the same as [`Verdict::Forward`].
    ///
    /// # Errors
    /// [`Error::InterfaceGone`], [`Error::RingIndex`], [`Error::System`].
    pub fn forward(
        &mut self,
        timeout: Timeout,
        mut verdict: impl FnMut(Side, &mut Frame, &PacketMeta) -> Verdict,
    ) -> Result<bool, Error> {
        let deadline = match timeout {
            Timeout::Now => Some(Instant::now()),
            Timeout::After(time) => Instant::now().checked_add(time),
            Timeout::Never => None,
        };
        loop {
            let mut moved = self.one_way(Side::Left, &mut verdict)?;
            moved |= self.one_way(Side::Right, &mut verdict)?;
            if self.interrupter.take() {
                return Ok(false);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if moved || left == Some(Duration::ZERO) {
                return Ok(true);
            }
            self.sleep(left)?;
        }
    }

    /// Totals of the packets from one side.
    #[must_use]
    pub fn statistics(&self, from: Side) -> ForwardStatistics {
        self.statistics[from as usize]
    }

    /// A handle that ends a wait from another thread.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// Forwards one batch. `false` if there was none.
    fn one_way(
        &mut self,
        from: Side,
        verdict: &mut impl FnMut(Side, &mut Frame, &PacketMeta) -> Verdict,
    ) -> Result<bool, Error> {
        let [left, right] = &mut self.sides;
        let ((receiver, _), (_, sender)) = match from {
            Side::Left => (left, right),
            Side::Right => (right, left),
        };
        let (counts, open) = (&mut self.statistics[from as usize], &mut self.open[from as usize]);
        let received = unless_down(receiver.receive(Timeout::Now))?;
        let Some(Next::Batch(batch)) = received else { return Ok(false) };
        counts.received += batch.len() as u64;
        // If the first frame is dropped, all frames of the packet are.
        let mut judged = None;
        for (mut frame, meta) in batch.into_frames() {
            let last = !frame.continues();
            let kept = *judged.get_or_insert_with(|| verdict(from, &mut frame, &meta));
            if last {
                judged = None;
            }
            match kept {
                Verdict::Drop => counts.dropped += u64::from(last),
                Verdict::Forward | Verdict::Rewrite => {
                    open.push(frame);
                    if last {
                        counts.pass_on(sender, open)?;
                    }
                }
            }
        }
        unless_down(sender.flush())?;
        Ok(true)
    }

    fn sleep(&mut self, left: Option<Duration>) -> Result<(), Error> {
        /// Interval of checks, since the kernel has no event for a removed interface, nor for sent
        /// frames that a receiver lacks.
        const CHECKED: Duration = Duration::from_millis(100);
        let [(one, _), (other, _)] = &self.sides;
        let starving = one.wants_frames() || other.wants_frames();
        let limit = if starving { STARVED } else { CHECKED };
        let limit = left.map_or(limit, |left| left.min(limit));
        let (Some(first), Some(second)) = (one.endpoint.descriptor(), other.endpoint.descriptor())
        else {
            return Ok(());
        };
        let waits = [(first, READABLE), (second, READABLE), (self.interrupter.as_fd(), READABLE)];
        let ready = event::poll(waits, Some(limit))
            .map_err(|source| Error::System { operation: "poll", source })?;
        if ready == [0; 3] {
            one.endpoint.take_error()?;
            other.endpoint.take_error()?;
        }
        for (_, sender) in &mut self.sides {
            // Flushes packets that the kernel had no room for before.
            unless_down(sender.flush())?;
        }
        Ok(())
    }
}

/// The result of sending a packet's frames.
pub(crate) enum Passed {
    /// The frames are queued.
    On,
    /// There is no room now; the caller still has the frames.
    Full,
    /// The frames cannot be sent and were released.
    Refused,
}

/// `true` if the interface accepts a packet's frames unchanged. A verdict may have made the packet
/// empty.
pub(crate) fn can_pass(sender: &Sender, frames: &[Frame]) -> bool {
    let len: usize = frames.iter().map(Frame::len).sum();
    let start = frames.first().map_or(&[][..], Frame::data);
    sender.can_send(len, frames.len())
        && len <= sender.endpoint.longest_like(start)
        && !frames.iter().any(Frame::is_empty)
}

/// Sends all frames of a packet, or none.
pub(crate) fn pass_on(sender: &mut Sender, frames: &mut Vec<Frame>) -> Result<Passed, Error> {
    if !can_pass(sender, frames) {
        frames.clear();
        return Ok(Passed::Refused);
    }
    let pieces = frames.len() as u32;
    let mut room = sender.tx_room(pieces)?;
    if room < pieces {
        unless_down(sender.flush())?;
        room = sender.tx_room(pieces)?;
    }
    if room < pieces {
        return Ok(Passed::Full);
    }
    // Everything else was checked before, so only a broken ring can make this fail.
    for frame in frames.drain(..) {
        if let Err(SendRejected { reason: RejectReason::Refused(error), .. }) = sender.send(frame) {
            return Err(error);
        }
    }
    Ok(Passed::On)
}

/// Fills in a checksum that a virtual link left to an adapter, recognised by the sum of the
/// pseudo-header in its place. AF_XDP sends frames as they are, and no adapter completes them.
pub(crate) fn complete_checksum(frames: &mut [Frame], link_type: LinkType, joined: &mut Vec<u8>) {
    let data = match &*frames {
        [whole] => whole.data(),
        pieces => {
            joined.clear();
            pieces.iter().for_each(|piece| joined.extend_from_slice(piece.data()));
            joined
        }
    };
    let segment = Segment::of(data, link_type).filter(|segment| segment.is_unfinished(data));
    if let Some(segment) = segment {
        let sum = segment.sum(data);
        put_in_place(frames, segment.field().start, sum);
    }
}

/// Writes two bytes at an offset of a packet, which may be spread over several frames.
pub(crate) fn put_in_place(frames: &mut [Frame], mut at: usize, bytes: [u8; 2]) {
    for byte in bytes {
        let mut place = at;
        for frame in &mut *frames {
            if let Some(found) = frame.data_mut().get_mut(place) {
                *found = byte;
                break;
            }
            place -= frame.len();
        }
        at += 1;
    }
}

/// `None` if the interface is down.
pub(crate) fn unless_down<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::System { source, .. })
            if source.raw_os_error() == Some(libc_errno::ENETDOWN) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl ForwardStatistics {
    /// Sends a packet's frames or releases them, and counts the result.
    pub(crate) fn pass_on(
        &mut self,
        sender: &mut Sender,
        frames: &mut Vec<Frame>,
    ) -> Result<(), Error> {
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
