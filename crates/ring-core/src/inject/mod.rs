//! Sending frames through an interface.

#[cfg(feature = "tokio")]
mod asynchronous;
mod builder;
mod handed;
mod messages;
mod offload;
mod path;
mod ring;
mod slot;
mod timestamp;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use packet::TaggedBytes;
use ring_sys::errno::{EINVAL, EMSGSIZE, ENOBUFS, ENXIO};
use ring_sys::packet::PacketSocket;
use ring_sys::writable;

#[cfg(feature = "tokio")]
pub use self::asynchronous::AsyncInjector;
pub use self::builder::{InjectorBuilder, SendPath};
pub use self::offload::{Offload, Segmentation};
use self::path::Path;
pub use self::slot::Slot;
pub use self::timestamp::SentTimestamp;
use self::timestamp::Timestamps;
use crate::error::system;
use crate::wait::Deadline;
use crate::{
    ChecksumStatus, Error, LinkType, Packet, PacketSink, SinkStatistics, Timeout, Timestamp,
    TimestampSource,
};

/// Sends raw frames through an interface, by one of two [paths](SendPath).
///
/// Frames are written directly into send slots. [`reserve`](Self::reserve) lends a slot, and
/// [`Slot::commit`] queues it. The queue is handed to the kernel when it is [long
/// enough](InjectorBuilder::batch), and by [`flush`](Self::flush).
///
/// ```no_run
/// use ring_core::Injector;
///
/// # fn main() -> Result<(), ring_core::Error> {
/// let mut injector = Injector::open("eth0")?;
/// for number in 0..1_000_u16 {
///     let mut frame = injector.reserve(60)?;
///     frame.fill(0);
///     frame[..6].copy_from_slice(&[0xff; 6]);
///     frame[6..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
///     frame[14..16].copy_from_slice(&number.to_be_bytes());
///     frame.commit()?;
/// }
/// injector.flush()?;
/// println!("{} sent, {} refused", injector.statistics().packets, injector.statistics().rejected);
/// # Ok(())
/// # }
/// ```
///
/// # What happens when
///
/// | event | outcome |
/// |---|---|
/// | the interface's queue or the send buffer is full | calls wait; those with `try_` report it |
/// | a frame exceeds the MTU at opening, or lacks a whole header | [`Error::FrameLength`] |
/// | the kernel refuses another frame | it is given up, see [`Injector::rejection`] |
/// | the interface does not accept a frame within the [patience] | the same |
/// | the interface is down | [`Error::System`] with `ENETDOWN`; queued frames stay |
/// | the interface was deleted | [`Error::InterfaceGone`] |
///
/// [patience]: InjectorBuilder::patience
pub struct Injector {
    socket: PacketSocket,
    path: Path,
    interface: String,
    link_type: LinkType,
    limits: Limits,
    batch: usize,
    statistics: SinkStatistics,
    rejection: Option<Rejection>,
    /// The number of frames that the kernel accepted or refused.
    handed: u64,
    timestamps: Option<Timestamps>,
    patience: Duration,
    /// The value of `handed` when the interface first refused the next frame, and the time of that.
    refused: Option<(u64, Instant)>,
}

/// A frame that the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// The frame's number, counted from 1 in the order of commits.
    pub number: u64,
    /// The frame's length in bytes.
    pub len: u32,
    /// The kernel's error, a number of errno(3): `EMSGSIZE` for a frame that is too long, `ENOBUFS`
    /// for one that the interface did not accept within the [patience](InjectorBuilder::patience).
    pub errno: i32,
}

/// Lengths of frames in bytes.
#[derive(Clone, Copy, Debug)]
struct Limits {
    header: usize,
    least: usize,
    plain: usize,
    offloads: bool,
}

/// The reason why the kernel accepts no more frames now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stall {
    /// The socket's send buffer is full; there is an event for room.
    Buffer,
    /// The interface's queue is full, or frames are in flight; there is no event for room.
    Queue,
}

/// The first and the longest wait if there is no event for room.
const SHORTEST_WAIT: Duration = Duration::from_micros(20);
const LONGEST_WAIT: Duration = Duration::from_millis(2);

impl Injector {
    /// Sends through an interface with the defaults.
    ///
    /// # Errors
    /// As [`InjectorBuilder::open`].
    pub fn open(interface: &str) -> Result<Self, Error> {
        Self::builder(interface).open()
    }

    /// Returns the settings of an injector.
    pub fn builder(interface: &str) -> InjectorBuilder {
        InjectorBuilder::new(interface)
    }

    /// Waits for room and returns a slot for a frame of `len` bytes.
    ///
    /// # Errors
    /// [`Error::FrameLength`]; [`Error::InterfaceGone`]; [`Error::System`] if the kernel accepts
    /// nothing, for example while the interface is down.
    pub fn reserve(&mut self, len: usize) -> Result<Slot<'_>, Error> {
        self.check_reservation(len)?;
        self.make_room(Timeout::Never)?;
        Ok(Slot::new(self, len))
    }

    /// Returns a slot for a frame of `len` bytes, or `None` if there is no room now.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub fn try_reserve(&mut self, len: usize) -> Result<Option<Slot<'_>>, Error> {
        self.reserve_within(len, Timeout::Now)
    }

    /// Returns a slot for a frame of `len` bytes, or `None` if the timeout expired.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub fn reserve_within(
        &mut self,
        len: usize,
        timeout: Timeout,
    ) -> Result<Option<Slot<'_>>, Error> {
        self.check_reservation(len)?;
        Ok(if self.make_room(timeout)? { Some(Slot::new(self, len)) } else { None })
    }

    /// Waits for room and queues a copy of a frame.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve) and [`Slot::commit`].
    pub fn send_frame(&mut self, frame: &[u8]) -> Result<(), Error> {
        let mut slot = self.reserve(frame.len())?;
        slot.copy_from_slice(frame);
        slot.commit()
    }

    /// Hands all queued frames to the kernel, and waits until it has accepted them.
    ///
    /// # Errors
    /// [`Error::InterfaceGone`]; [`Error::System`]. Frames that were not handed over stay queued.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.flush_within(Timeout::Never).map(|_| ())
    }

    /// Hands over as many frames as the kernel accepts now. Returns `true` if that was all of them.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn try_flush(&mut self) -> Result<bool, Error> {
        Ok(self.push()?.is_none())
    }

    /// Hands all queued frames to the kernel. Returns `false` if the timeout expired.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn flush_within(&mut self, timeout: Timeout) -> Result<bool, Error> {
        self.wait_until(timeout, |injector| injector.path.pending() == 0)
    }

    /// The number of queued frames: committed, but not yet accepted by the kernel.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.path.pending()
    }

    /// Discards the queued frames and returns their number.
    pub fn discard(&mut self) -> usize {
        let pending = self.pending();
        self.path.discard();
        self.handed += pending as u64;
        pending
    }

    /// Totals since the injector was opened.
    #[must_use]
    pub fn statistics(&self) -> SinkStatistics {
        self.statistics
    }

    /// The frame that the kernel refused last.
    #[must_use]
    pub fn rejection(&self) -> Option<Rejection> {
        self.rejection
    }

    /// Takes the oldest timestamp of a sent frame. `None` if the queue is empty. The kernel keeps
    /// some hundreds of them (`SO_RCVBUF`) and drops later ones, so take them regularly.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel refuses to report it.
    pub fn take_timestamp(&mut self) -> Result<Option<SentTimestamp>, Error> {
        let Some(timestamps) = &self.timestamps else { return Ok(None) };
        let taken = self.socket.take_send_timestamp().map_err(system("take a send time stamp"))?;
        Ok(taken.map(|taken| SentTimestamp {
            number: timestamps.number(taken.key),
            timestamp: Timestamp::from_parts(
                u64::try_from(taken.seconds).unwrap_or(0),
                taken.nanoseconds,
            ),
            source: match taken.hardware {
                true => TimestampSource::RawHardware,
                false => TimestampSource::Software,
            },
        }))
    }

    /// The interface's name as passed on opening.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The link type of frames: [`LinkType::ETHERNET`], or [`LinkType::RAW`] for interfaces without
    /// a link-layer header.
    #[must_use]
    pub fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// Maximum length of a frame in bytes, without a VLAN tag and offloads.
    #[must_use]
    pub fn longest_frame(&self) -> usize {
        self.limits.plain
    }

    /// Hands over as many frames as the kernel accepts. If some are left, returns the reason.
    pub(crate) fn push(&mut self) -> Result<Option<Stall>, Error> {
        while self.path.pending() > 0 {
            let handed = self.path.hand_over(&self.socket);
            self.statistics.packets += handed.packets;
            self.statistics.bytes += handed.bytes;
            self.statistics.rejected += handed.skipped;
            self.handed += handed.packets + handed.skipped;
            if let Some(timestamps) = &mut self.timestamps {
                timestamps.taken(handed.packets);
            }
            let Some(error) = handed.error else {
                // A send ring reports no error if the device still has the frames of earlier calls.
                if handed.packets + handed.skipped == 0 {
                    return Ok(Some(Stall::Queue));
                }
                continue;
            };
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            match error.raw_os_error() {
                // The socket's memory for frames in flight is used up (SO_SNDBUF).
                _ if error.kind() == io::ErrorKind::WouldBlock => return Ok(Some(Stall::Buffer)),
                Some(ENOBUFS) => {
                    // The kernel counts a frame for its time stamps before the queue refuses it.
                    if let Some(timestamps) = &mut self.timestamps {
                        timestamps.refused();
                    }
                    // ENOBUFS means a full queue, but a driver that drops a frame it cannot send
                    // returns the same.
                    match self.hopeless() {
                        Some(errno) => self.reject(errno),
                        None => return Ok(Some(Stall::Queue)),
                    }
                }
                Some(ENXIO) => {
                    return Err(Error::InterfaceGone { interface: self.interface.clone() });
                }
                // These concern the frame itself and will not change, so the frame makes way for
                // those behind it.
                Some(errno @ (EMSGSIZE | EINVAL)) => self.reject(errno),
                _ => return Err(system("send packets")(error)),
            }
        }
        Ok(None)
    }

    /// Waits for a free slot.
    pub(crate) fn make_room(&mut self, timeout: Timeout) -> Result<bool, Error> {
        // A system call for each frame costs more than sending it; one for each batch is enough.
        if self.path.pending() >= self.batch {
            self.push()?;
        }
        if self.path.has_room() {
            return Ok(true);
        }
        self.wait_until(timeout, |injector| injector.path.has_room())
    }

    pub(crate) fn check_reservation(&self, len: usize) -> Result<(), Error> {
        let Limits { least, offloads, .. } = self.limits;
        let most = self.limits.tagged().max(if offloads { usize::from(u16::MAX) } else { 0 });
        if (least..=most).contains(&len) { Ok(()) } else { Err(self.wrong_length(len)) }
    }

    /// Checks the length of the frame in the next free slot.
    fn check_length(&mut self, len: usize, offload: Option<&Offload>) -> Result<(), Error> {
        let cut = offload.is_some_and(|offload| offload.segmentation.is_some());
        let Limits { least, plain, .. } = self.limits;
        // The kernel allows four bytes more for a VLAN tag and checks that they are one
        // (packet_snd in net/packet/af_packet.c).
        let fits = len <= plain
            || cut
            || len <= self.limits.tagged() && is_tagged(self.link_type, self.path.frame(len));
        if len >= least && fits { Ok(()) } else { Err(self.wrong_length(len)) }
    }

    #[cold]
    fn wrong_length(&self, len: usize) -> Error {
        let Limits { least, plain, .. } = self.limits;
        Error::FrameLength { interface: self.interface.clone(), len, least, limit: plain }
    }

    /// Called when the interface refused the oldest queued frame as if its queue were full. Returns
    /// an error if waiting will not help.
    #[cold]
    fn hopeless(&mut self) -> Option<i32> {
        let len = self.path.first_len() as usize;
        // A frame longer than any plain frame will be segmented, so its length does not matter.
        if len <= self.limits.tagged()
            && let Ok(mtu) = self.socket.mtu(&self.interface)
            && len > mtu as usize + self.limits.header + 4
        {
            return Some(EMSGSIZE);
        }
        // Each frame has its own patience: progress since the last refusal means that the queue
        // moves, and that the next frame is another one.
        match self.refused {
            Some((handed, since)) if handed == self.handed => {
                (since.elapsed() >= self.patience).then_some(ENOBUFS)
            }
            _ => {
                self.refused = Some((self.handed, Instant::now()));
                None
            }
        }
    }

    /// Gives up the oldest queued frame, which cannot be sent.
    #[cold]
    fn reject(&mut self, errno: i32) {
        let len = self.path.reject();
        self.handed += 1;
        self.statistics.rejected += 1;
        self.rejection = Some(Rejection { number: self.handed, len, errno });
    }

    #[cold]
    fn wait_until(
        &mut self,
        timeout: Timeout,
        done: impl Fn(&Self) -> bool,
    ) -> Result<bool, Error> {
        let deadline = Deadline::of(timeout);
        let mut wait = SHORTEST_WAIT;
        loop {
            let before = self.handed;
            let stall = self.push()?;
            if done(self) {
                return Ok(true);
            }
            if self.handed > before {
                wait = SHORTEST_WAIT;
            }
            let left = deadline.left();
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            // A full device queue raises no event for packet sockets, so this waits by time, a
            // little longer each time.
            let now = left.map_or(wait, |left| left.min(wait));
            let ready = match stall {
                Some(Stall::Buffer) => {
                    let longest = left.map_or(LONGEST_WAIT, |left| left.min(LONGEST_WAIT));
                    writable::wait(self.socket.as_fd(), Some(longest))
                        .map_err(system("wait for room to send"))?
                }
                _ => false,
            };
            if !ready {
                // Unread timestamps would end the other kind of wait at once.
                thread::sleep(now);
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

/// Packets are sent as they were on the wire. VLAN tags are reinserted, and checksums that were
/// left to an adapter are filled in. Coalesced segments are split to this interface's size, if the
/// injector was opened for [offloads](InjectorBuilder::offloads). Bytes that were not captured are
/// not sent.
impl PacketSink for Injector {
    type Error = Error;

    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.check_packet(packet)?;
        self.make_room(Timeout::Never)?;
        self.put(packet)
    }

    fn flush(&mut self) -> Result<(), Error> {
        Self::flush(self)
    }

    fn statistics(&self) -> SinkStatistics {
        self.statistics
    }
}

impl Injector {
    /// Checks if the packet can be queued.
    pub(crate) fn check_packet(&self, packet: &Packet<'_>) -> Result<(), Error> {
        let link_type = packet.link_type();
        if link_type != self.link_type {
            return Err(Error::SinkLinkType {
                interface: self.interface.clone(),
                packet: link_type,
                expected: self.link_type,
            });
        }
        self.check_reservation(packet.data().len() + TaggedBytes::of(packet).added())
    }

    /// Writes a packet that was [checked](Self::check_packet) into the next slot, which must be
    /// free.
    pub(crate) fn put(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        let bytes = TaggedBytes::of(packet);
        let len = packet.data().len() + bytes.added();
        let frame = self.path.frame(len);
        let mut at = 0;
        bytes.for_each(|piece| {
            frame[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        });
        let limit = self.limits.plain + bytes.added();
        let needs_work = packet.meta().checksum == ChecksumStatus::Partial || len > limit;
        let offload = match needs_work && self.limits.offloads && !packet.is_truncated() {
            true => Offload::of_frame(frame, self.link_type, limit),
            false => None,
        };
        self.check_length(len, offload.as_ref())?;
        self.path.commit(len, offload.as_ref());
        self.statistics.tags_lost += u64::from(bytes.is_tag_lost());
        Ok(())
    }
}

impl Limits {
    /// Maximum length of a frame with a VLAN tag.
    fn tagged(self) -> usize {
        self.plain + 4
    }
}

fn is_tagged(link_type: LinkType, frame: &[u8]) -> bool {
    link_type == LinkType::ETHERNET && frame.get(12..14) == Some(&[0x81, 0x00])
}

impl AsFd for Injector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Hands over as many frames as the kernel accepts without waiting. Errors are ignored here; call
/// [`flush`](Injector::flush) to get them.
impl Drop for Injector {
    fn drop(&mut self) {
        let _ = self.push();
    }
}

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injector")
            .field("interface", &self.interface)
            .field("path", &self.path)
            .field("statistics", &self.statistics)
            .finish_non_exhaustive()
    }
}
