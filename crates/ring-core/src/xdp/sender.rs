//! The sending half of a socket.

use std::sync::Arc;
use std::time::Duration;

use ring_sys::errno;
use ring_sys::event::{self, FAILED, WRITABLE};
use ring_sys::xdp::abi::{
    XDP_PKT_CONTD, XDP_TX_METADATA, XDP_TXMD_FLAGS_CHECKSUM, XDP_TXMD_FLAGS_TIMESTAMP, XdpDesc,
    XskTxMetadata,
};

use super::completions::{SendTimestamp, tag};
use super::endpoint::{Endpoint, jumped};
use super::error::Error;
use super::frame::Frame;
use super::memory::Lease;
use super::ring::Ring;
use super::umem::Umem;
use crate::Timeout;
use crate::wait::Deadline;

/// The sending half of an AF_XDP socket.
///
/// Packets are queued first, and [`flush`](Self::flush) hands them to the kernel in batches. Frames
/// return to the memory automatically after they were sent.
#[derive(Debug)]
pub struct Sender {
    tx: Ring<XdpDesc>,
    /// A local cache of free frames, which saves accesses to the pool.
    free: Vec<Lease>,
    /// Entries written since the last flush.
    staged: u32,
    /// `true` if the last frame continues, so that the next belongs to the same packet.
    continues: bool,
    /// Length of the incomplete packet so far.
    open_len: usize,
    number: u64,
    pub(crate) statistics: SenderStatistics,
    pub(crate) tags_lost: u64,
    pub(crate) endpoint: Arc<Endpoint>,
}

/// The error of a frame that was not sent.
#[derive(Debug, thiserror::Error)]
#[error("not sent: {reason}")]
pub struct SendRejected {
    /// The frame, to be sent again or dropped.
    pub frame: Frame,
    /// The reason.
    pub reason: RejectReason,
}

/// The reason why a frame was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RejectReason {
    /// The send ring is full. Flush and try again.
    #[error("the send ring is full")]
    Full,
    /// This frame can never be sent on this socket; do not retry.
    #[error(transparent)]
    Refused(Error),
}

/// Options for a packet to be sent.
///
/// ```
/// use ring_core::xdp;
///
/// // UDP over IPv4 in Ethernet: the header starts at byte 34, with its checksum 6 bytes later.
/// let request = xdp::SendRequest::new().checksum(34, 6).timestamp();
/// assert_eq!(request.checksum, Some((34, 6)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendRequest {
    /// The checksum to compute: the offset of the covered bytes, and the offset of the checksum
    /// within them (34 and 6 for UDP over IPv4 in Ethernet). Its place must contain the sum of the
    /// pseudo-header, as for `CHECKSUM_PARTIAL` in the kernel.
    pub checksum: Option<(u16, u16)>,
    /// `true` to report the send time, see [`Sender::next_timestamp`].
    pub timestamp: bool,
}

/// Counters of a sender since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SenderStatistics {
    /// Packets queued for the kernel.
    pub sent: u64,
    /// Bytes of these packets.
    pub bytes: u64,
    /// Frames that the kernel is done with, for all sockets on the queue that share the memory.
    /// Includes frames of packets that were dropped later.
    pub completed: u64,
    /// Frames that the kernel refused and did not send.
    pub invalid: u64,
    /// Number of times that the send ring was full when a packet was queued.
    pub full: u64,
    /// Invalid entries of the completion ring.
    pub malformed: u64,
    /// Frames that the kernel has now, for all sockets on the queue that share the memory.
    pub in_flight: u64,
}

/// Maximum number of frames to take from the pool at a time. Less for a small memory, since other
/// sockets cannot use cached frames.
const HANDFUL: usize = 64;

/// Maximum number of frames per packet in copy mode; the kernel refuses more (`xsk_build_skb`: one,
/// and `MAX_SKB_FRAGS`).
const MOST_PIECES: usize = 18;

impl SendRequest {
    /// Requests nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { checksum: None, timestamp: false }
    }

    /// Requests a checksum of the bytes from `start` on, in bytes from the packet's start, to be
    /// written `offset` bytes after `start`; see the field of this name.
    #[must_use]
    pub const fn checksum(mut self, start: u16, offset: u16) -> Self {
        self.checksum = Some((start, offset));
        self
    }

    /// Requests a report of the send time, see [`Sender::next_timestamp`].
    #[must_use]
    pub const fn timestamp(mut self) -> Self {
        self.timestamp = true;
        self
    }
}

impl Sender {
    pub(crate) fn new(tx: Ring<XdpDesc>, endpoint: Arc<Endpoint>) -> Self {
        Self {
            tx,
            free: Vec::with_capacity(HANDFUL),
            staged: 0,
            continues: false,
            open_len: 0,
            number: 0,
            statistics: SenderStatistics::default(),
            tags_lost: 0,
            endpoint,
        }
    }

    /// Maximum length in bytes of a packet in one frame.
    #[must_use]
    pub fn frame_capacity(&self) -> usize {
        let memory = &self.endpoint.umem.memory;
        (memory.layout().frame_size - memory.send_start()) as usize
    }

    /// Returns an empty frame to be filled. `None` while all are in use.
    ///
    /// # Errors
    /// [`Error::RingIndex`].
    pub fn frame(&mut self) -> Result<Option<Frame>, Error> {
        let umem = self.endpoint.umem.clone();
        let start = umem.memory.send_start();
        Ok(self.lease()?.map(|lease| Frame::new(umem, lease, start, 0, false)))
    }

    /// Queues a packet, or a part of one that [continues](Frame::continues).
    ///
    /// # Errors
    /// [`SendRejected`] with the frame: if the ring is full, for a frame of another memory, for a
    /// packet longer than the interface sends, or for one that continues on a socket without
    /// `multi_buffer`.
    pub fn send(&mut self, frame: Frame) -> Result<(), SendRejected> {
        self.send_frame(frame, 0)
    }

    /// Queues a packet with options: a checksum, a send timestamp. Returns the packet's number,
    /// under which the timestamp is reported.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`Error::NoMetadata`] if the memory has no room for metadata.
    pub fn send_with(
        &mut self,
        mut frame: Frame,
        request: SendRequest,
    ) -> Result<u64, SendRejected> {
        let mut metadata = XskTxMetadata::default();
        if let Some((start, offset)) = request.checksum {
            metadata.flags |= XDP_TXMD_FLAGS_CHECKSUM;
            metadata.request_or_timestamp[..2].copy_from_slice(&start.to_ne_bytes());
            metadata.request_or_timestamp[2..4].copy_from_slice(&offset.to_ne_bytes());
        }
        // The number is taken before the packet is queued, because it is stored with the
        // request for the frame.
        let number = self.number + 1;
        if request.timestamp {
            metadata.flags |= XDP_TXMD_FLAGS_TIMESTAMP;
        }
        if metadata.flags == 0 {
            return self.send_frame(frame, 0).map(|()| number);
        }
        let stamped = if request.timestamp { tag(self.endpoint.ordinal, number) } else { 0 };
        let start = frame.start();
        let umem = frame.shared().clone();
        let written = frame
            .lease_mut()
            .is_some_and(|lease| umem.memory.request(lease, start, metadata, stamped));
        if !written {
            return Err(reject(frame, Error::NoMetadata));
        }
        self.send_frame(frame, XDP_TX_METADATA).map(|()| number)
    }

    /// Copies a packet into frames and queues it. `false` if there is no room for it now.
    ///
    /// # Errors
    /// [`Error::PacketTooLong`] for a packet longer than the interface sends, or longer than a
    /// frame on a socket without `multi_buffer`.
    pub fn send_bytes(&mut self, packet: &[u8]) -> Result<bool, Error> {
        self.send_pieces(packet.len(), |show| show(packet))
    }

    /// Like [`send_bytes`](Self::send_bytes), for a packet of `len` bytes in pieces. `pieces`
    /// passes them to a callback in order.
    pub(crate) fn send_pieces(
        &mut self,
        len: usize,
        pieces: impl FnOnce(&mut dyn FnMut(&[u8])),
    ) -> Result<bool, Error> {
        let room = self.frame_capacity();
        let endpoint = self.endpoint.clone();
        let limit = self.longest_packet(len);
        if len > limit {
            return Err(Error::PacketTooLong { len, limit });
        }
        if len == 0 {
            return Err(Error::EmptyPacket);
        }
        if self.continues {
            return Err(Error::IncompletePacket);
        }
        let frames = len.div_ceil(room);
        if self.tx_room(frames as u32)? < frames as u32 {
            return Ok(false);
        }
        if self.free.len() < frames {
            self.replenish(frames)?;
            if self.free.len() < frames {
                // The cached frames are too few here, but other sockets may use them.
                endpoint.umem.memory.give_all_back(self.free.drain(..));
                return Ok(false);
            }
        }
        let memory = &endpoint.umem.memory;
        let start = memory.send_start();
        let first = self.free.len() - frames;
        let mut at = 0;
        pieces(&mut |mut piece| {
            while !piece.is_empty() && at < len {
                let within = at % room;
                let part = piece.len().min(room - within);
                let lease = &mut self.free[first + at / room];
                let place = memory.bytes_mut(lease, start + within as u32, part as u32);
                place.copy_from_slice(&piece[..part]);
                piece = &piece[part..];
                at += part;
            }
        });
        let mut rest = at;
        if frames == 1 {
            if let Some(lease) = self.free.pop() {
                self.put(lease, start, rest as u32, 0);
            }
        } else {
            for lease in self.free.split_off(first) {
                let part = rest.min(room);
                rest -= part;
                self.put(lease, start, part as u32, if rest == 0 { 0 } else { XDP_PKT_CONTD });
            }
        }
        self.counted(len);
        Ok(true)
    }

    /// Hands queued packets to the kernel, and takes back sent frames. Packets that the kernel has
    /// no room for stay queued for the next call.
    ///
    /// # Errors
    /// [`Error::InterfaceGone`], [`Error::RingIndex`], [`Error::System`].
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.staged > 0 {
            // Counted before it is published: another thread may reap the first frame at once, and
            // its count must not fall below zero.
            self.endpoint.rings.completions.sent(self.staged);
            self.staged = 0;
            self.tx.publish();
        }
        let endpoint = self.endpoint.clone();
        let mut last = self.outstanding()?;
        // In copy mode one call sends at most 32 frames by default (`TX_BATCH_SIZE` of xsk.c), so
        // it is repeated while the kernel makes progress.
        while last > 0 && self.tx.needs_wakeup() {
            let Some(socket) = &endpoint.socket else { break };
            if let Err(source) = socket.wake_send() {
                match source.raw_os_error() {
                    // More is queued than the kernel sends per call, or there is no room somewhere.
                    Some(errno::EAGAIN | errno::EBUSY | errno::ENOBUFS) => {}
                    _ => return Err(endpoint.failure("send packets", source)),
                }
            }
            let now = self.outstanding()?;
            // The kernel stops sending while the completion ring is full.
            let reaped = self.reap()?;
            // No progress: the device's queue is full. Trying again without a wait would spin, so
            // the caller decides how to wait.
            if now == last && reaped == 0 {
                break;
            }
            last = now;
        }
        self.reap()?;
        Ok(())
    }

    /// Flushes, and waits until the kernel is done with all queued packets. `false` if the timeout
    /// expired.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn drain(&mut self, timeout: Timeout) -> Result<bool, Error> {
        let deadline = Deadline::of(timeout);
        let mut pause = Duration::from_micros(10);
        loop {
            self.flush()?;
            if self.endpoint.rings.completions.in_flight() == 0 {
                return Ok(true);
            }
            if deadline.is_over() {
                return Ok(false);
            }
            // The kernel has an event for room in the send ring, but not for completed frames.
            std::thread::sleep(pause);
            // Doubled, since a device either sends within microseconds or is held up for much
            // longer.
            pause = (pause * 2).min(Duration::from_millis(1));
        }
    }

    /// Waits until a packet can be queued. `false` if the timeout expired.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn wait_for_room(&mut self, timeout: Timeout) -> Result<bool, Error> {
        let deadline = Deadline::of(timeout);
        let mut pause = Duration::from_micros(10);
        loop {
            self.flush()?;
            let room = self.tx_room(1)? > 0;
            if room && let Some(lease) = self.lease()? {
                self.free.push(lease);
                return Ok(true);
            }
            if deadline.is_over() {
                return Ok(false);
            }
            let endpoint = self.endpoint.clone();
            match endpoint.descriptor() {
                // poll(2) reports room in the send ring only (`xsk_poll`). If a free frame is
                // missing instead, it would return at once, each time.
                Some(descriptor) if !room => {
                    let [ready] =
                        event::poll([(descriptor, WRITABLE)], Some(pause)).map_err(|source| {
                            Error::System { operation: "wait for an event", source }
                        })?;
                    if ready & FAILED != 0 {
                        endpoint.take_error()?;
                    }
                }
                _ => std::thread::sleep(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(1));
        }
    }

    /// Takes the oldest send timestamp that was requested. Also takes back sent frames.
    ///
    /// # Errors
    /// [`Error::RingIndex`].
    pub fn next_timestamp(&mut self) -> Result<Option<SendTimestamp>, Error> {
        self.reap()?;
        Ok(self.endpoint.rings.completions.stamp(self.endpoint.ordinal))
    }

    /// Returns the sender's counters.
    ///
    /// # Errors
    /// If the kernel refuses to report them.
    pub fn sender_statistics(&self) -> Result<SenderStatistics, Error> {
        let kernel = match &self.endpoint.socket {
            Some(socket) => socket.statistics().map_err(|source| Error::System {
                operation: "read the socket's statistics",
                source,
            })?,
            None => Default::default(),
        };
        Ok(SenderStatistics {
            invalid: kernel.tx_invalid_descs,
            completed: self.endpoint.rings.completions.completed(),
            malformed: self.endpoint.rings.completions.malformed(),
            in_flight: self.endpoint.rings.completions.in_flight().into(),
            ..self.statistics
        })
    }

    /// The socket's packet memory.
    #[must_use]
    pub fn umem(&self) -> Umem {
        Umem { shared: self.endpoint.umem.clone() }
    }

    /// `true` if the interface accepts a packet of `len` bytes in `frames` frames.
    pub(crate) fn can_send(&self, len: usize, frames: usize) -> bool {
        (1..=self.endpoint.longest_for(len)).contains(&len) && frames <= self.most_pieces()
    }

    /// Maximum length of a packet that can be copied into frames and sent. Checks the MTU again if
    /// `len` exceeds it.
    pub(crate) fn longest_packet(&self, len: usize) -> usize {
        self.endpoint.longest_for(len).min(self.frame_capacity() * self.most_pieces())
    }

    /// Maximum number of frames per packet. Limited by the entries of the ring, which could never
    /// hold more.
    fn most_pieces(&self) -> usize {
        if self.endpoint.multi_buffer { (self.tx.size() as usize).min(MOST_PIECES) } else { 1 }
    }

    /// `true` if the kernel has not taken all queued entries.
    pub(crate) fn is_behind(&mut self) -> Result<bool, Error> {
        Ok(self.outstanding()? > 0)
    }

    /// `true` if packets are queued but not handed to the kernel.
    pub(crate) fn is_staged(&self) -> bool {
        self.staged > 0
    }

    fn send_frame(&mut self, frame: Frame, options: u32) -> Result<(), SendRejected> {
        let endpoint = &self.endpoint;
        // A descriptor has only an offset. In another memory the offset names a frame that somebody
        // else may be writing.
        if !Arc::ptr_eq(frame.shared(), &endpoint.umem) {
            return Err(reject(frame, Error::ForeignFrame));
        }
        let len = self.open_len + frame.len();
        let limit = endpoint.longest_for(len);
        if len > limit {
            return Err(reject(frame, Error::PacketTooLong { len, limit }));
        }
        let continues = frame.continues();
        // Packets may span frames only on a socket bound with XDP_USE_SG ("Multi-Buffer Support" of
        // af_xdp.rst).
        if continues && !endpoint.multi_buffer {
            let limit = self.frame_capacity();
            return Err(reject(frame, Error::PacketTooLong { len: limit + 1, limit }));
        }
        match self.tx_room(1) {
            Ok(0) => return Err(SendRejected { frame, reason: RejectReason::Full }),
            Ok(_) => {}
            Err(error) => return Err(reject(frame, error)),
        }
        let (start, len) = (frame.start(), frame.len() as u32);
        // The kernel refuses an empty descriptor, and its frame would be lost.
        if len == 0 {
            return Err(reject(frame, Error::EmptyPacket));
        }
        if let Some(lease) = frame.into_lease() {
            let options = options | if continues { XDP_PKT_CONTD } else { 0 };
            self.put(lease, start, len, options);
            self.continues = continues;
            self.open_len += len as usize;
            if !continues {
                self.counted(self.open_len);
                self.open_len = 0;
            }
        }
        Ok(())
    }

    /// Writes an entry. The caller must have checked for room.
    #[inline]
    pub(crate) fn put(&mut self, lease: Lease, start: u32, len: u32, options: u32) {
        let endpoint = &self.endpoint;
        let addr =
            endpoint.umem.memory.lend(lease, endpoint.rings.send_holder()) + u64::from(start);
        self.tx.write(0, XdpDesc { addr, len, options });
        self.tx.advance(1);
        self.staged += 1;
    }

    fn counted(&mut self, len: usize) {
        self.number += 1;
        self.statistics.sent += 1;
        self.statistics.bytes += len as u64;
    }

    /// The number of entries that can be written to the send ring.
    pub(crate) fn tx_room(&mut self, wanted: u32) -> Result<u32, Error> {
        let size = self.tx.size();
        let room = self.tx.ready(wanted).map_err(|error| jumped("send", size, error))?;
        if room < wanted {
            self.statistics.full += 1;
        }
        Ok(room)
    }

    /// A free frame, from the local cache, the pool, or those that were sent.
    fn lease(&mut self) -> Result<Option<Lease>, Error> {
        if self.free.is_empty() {
            self.replenish(1)?;
        }
        Ok(self.free.pop())
    }

    /// Refills the local cache to at least `least` frames, if possible, from the pool and from sent
    /// frames.
    fn replenish(&mut self, least: usize) -> Result<(), Error> {
        let frames = self.endpoint.umem.memory.layout().frames as usize;
        // At most 1/16 of the memory: frames cached here are missing for receivers that share the
        // memory.
        let handful = HANDFUL.min(frames / 16).max(least);
        if self.endpoint.umem.memory.pooled() < handful {
            self.reap()?;
        }
        self.take_handful(handful);
        Ok(())
    }

    /// Takes frames from the pool until the local cache has `count`, or the pool is empty.
    fn take_handful(&mut self, count: usize) {
        let memory = &self.endpoint.umem.memory;
        let missing = count.saturating_sub(self.free.len());
        self.free.extend(std::iter::from_fn(|| memory.take()).take(missing));
    }

    /// Takes back sent frames.
    pub(crate) fn reap(&mut self) -> Result<u32, Error> {
        let endpoint = &self.endpoint;
        let memory = &endpoint.umem.memory;
        let reaped = endpoint.rings.completions.reap(memory, |lease| memory.give_back(lease));
        let count = reaped.map_err(|(error, size)| jumped("completion", size, error))?;
        Ok(count)
    }

    /// The number of entries that the kernel has not taken yet.
    fn outstanding(&mut self) -> Result<u32, Error> {
        let size = self.tx.size();
        self.tx.outstanding().map_err(|error| jumped("send", size, error))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // Queued packets are sent if possible, without waiting.
        if self.staged > 0 {
            let _ = self.flush();
        }
        self.endpoint.umem.memory.give_all_back(self.free.drain(..));
    }
}

fn reject(frame: Frame, error: Error) -> SendRejected {
    SendRejected { frame, reason: RejectReason::Refused(error) }
}
