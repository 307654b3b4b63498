//! The sending half of a socket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ring_sys::event::{self, FAILED, WRITABLE};
use ring_sys::xdp::abi::{
    XDP_PKT_CONTD, XDP_TX_METADATA, XDP_TXMD_FLAGS_CHECKSUM, XDP_TXMD_FLAGS_TIMESTAMP, XdpDesc,
    XskTxMetadata,
};

use super::completions::{SendTimestamp, tag};
use super::endpoint::{Endpoint, jumped};
use super::error::{XdpError, libc_errno};
use super::frame::XdpFrame;
use super::memory::Lease;
use super::ring::Ring;
use super::umem::Umem;
use crate::Timeout;

/// The sending half of an AF_XDP socket.
///
/// Packets are queued first and handed to the kernel by [`flush`](Self::flush), in batches. Frames come back by
/// themselves after they were sent.
#[derive(Debug)]
pub struct XdpSender {
    tx: Ring<XdpDesc>,
    /// Frames at hand, so that not each comes from the pool.
    free: Vec<Lease>,
    /// Entries written since the last flush.
    staged: u32,
    /// The last frame sent continues: the next belongs to the same packet.
    continues: bool,
    /// Bytes of the packet so far whose last frame has not been sent.
    open_len: usize,
    number: u64,
    pub(crate) statistics: XdpSenderStatistics,
    pub(crate) tags_lost: u64,
    pub(crate) endpoint: Arc<Endpoint>,
}

/// A frame that was not sent, and why.
#[derive(Debug, thiserror::Error)]
#[error("not sent: {reason}")]
pub struct SendRejected {
    /// The frame, to be sent again or dropped.
    pub frame: XdpFrame,
    /// Why.
    pub reason: RejectReason,
}

/// Why a frame was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RejectReason {
    /// The send ring is full: flush, and try again.
    #[error("the send ring is full")]
    Full,
    /// It never will be.
    #[error(transparent)]
    Refused(XdpError),
}

/// What is asked for with a packet to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendRequest {
    /// The checksum to be computed: where the bytes that it covers start, and where it goes, counted from there (for
    /// UDP over IPv4 in Ethernet 34 and 6). The sum of the pseudo header must be in its place, as for
    /// `CHECKSUM_PARTIAL` in the kernel.
    pub checksum: Option<(u16, u16)>,
    /// Whether to report when the packet was sent: see [`XdpSender::next_timestamp`].
    pub timestamp: bool,
}

/// Counts of a sender since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct XdpSenderStatistics {
    /// Packets queued for the kernel.
    pub sent: u64,
    /// Bytes of these packets.
    pub bytes: u64,
    /// Frames that the kernel is done with, of all sockets on the queue that share the memory. What became of the
    /// packets is not known to it.
    pub completed: u64,
    /// Frames that the kernel refused: they were not sent.
    pub invalid: u64,
    /// How often the send ring was full when a packet was to be queued.
    pub full: u64,
    /// Entries of the completion ring that could not be.
    pub malformed: u64,
    /// Frames that the kernel has at this moment, of all sockets on the queue that share the memory.
    pub in_flight: u64,
}

/// The most frames to take from the pool at a time. Of a small memory it is less: what is at hand here is not to be had
/// elsewhere.
const HANDFUL: usize = 64;

/// A packet in more frames is refused by the kernel where it copies (`xsk_build_skb`: one, and `MAX_SKB_FRAGS`).
const MOST_PIECES: usize = 18;

impl XdpSender {
    pub(crate) fn new(tx: Ring<XdpDesc>, endpoint: Arc<Endpoint>) -> Self {
        Self {
            tx,
            free: Vec::with_capacity(HANDFUL),
            staged: 0,
            continues: false,
            open_len: 0,
            number: 0,
            statistics: XdpSenderStatistics::default(),
            tags_lost: 0,
            endpoint,
        }
    }

    /// The longest packet that can be sent in one frame, in bytes.
    #[must_use]
    pub fn frame_capacity(&self) -> usize {
        let memory = &self.endpoint.umem.memory;
        (memory.layout().frame_size - memory.send_start()) as usize
    }

    /// An empty frame to be filled, `None` while all are in use.
    ///
    /// # Errors
    /// [`XdpError::RingIndex`].
    pub fn frame(&mut self) -> Result<Option<XdpFrame>, XdpError> {
        let umem = self.endpoint.umem.clone();
        let start = umem.memory.send_start();
        Ok(self.lease()?.map(|lease| XdpFrame::new(umem, lease, start, 0, false)))
    }

    /// Queues a packet, or a part of one that [continues](XdpFrame::continues).
    ///
    /// # Errors
    /// [`SendRejected`] with the frame: while the ring is full, for a frame of another memory, for a packet longer than
    /// the interface sends, for one that continues on a socket without `multi_buffer`.
    pub fn send(&mut self, frame: XdpFrame) -> Result<(), SendRejected> {
        self.send_frame(frame, 0)
    }

    /// Queues a packet and asks for more: a checksum, the time of sending. The packet's number, by which the time is
    /// reported.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`XdpError::NoMetadata`] where the memory has no room for the request.
    pub fn send_with(
        &mut self,
        mut frame: XdpFrame,
        request: SendRequest,
    ) -> Result<u64, SendRejected> {
        let mut metadata = XskTxMetadata::default();
        if let Some((start, offset)) = request.checksum {
            metadata.flags |= XDP_TXMD_FLAGS_CHECKSUM;
            metadata.request_or_timestamp[..2].copy_from_slice(&start.to_ne_bytes());
            metadata.request_or_timestamp[2..4].copy_from_slice(&offset.to_ne_bytes());
        }
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
            return Err(reject(frame, XdpError::NoMetadata));
        }
        self.send_frame(frame, XDP_TX_METADATA).map(|()| number)
    }

    /// Copies a packet into frames and queues it; `false` while there is no room for it.
    ///
    /// # Errors
    /// [`XdpError::PacketTooLong`] for a packet longer than the interface sends, or longer than a frame on a socket
    /// without `multi_buffer`.
    pub fn send_bytes(&mut self, packet: &[u8]) -> Result<bool, XdpError> {
        self.send_pieces(packet.len(), |show| show(packet))
    }

    /// The same for a packet of `len` bytes in pieces, which `pieces` shows one after another.
    pub(crate) fn send_pieces(
        &mut self,
        len: usize,
        pieces: impl FnOnce(&mut dyn FnMut(&[u8])),
    ) -> Result<bool, XdpError> {
        let room = self.frame_capacity();
        let endpoint = self.endpoint.clone();
        let limit = self.longest_packet(len);
        if len > limit {
            return Err(XdpError::PacketTooLong { len, limit });
        }
        if len == 0 || self.continues {
            let rule = "at least 1 byte, and not within another packet";
            return Err(XdpError::Geometry { what: "a packet", value: len as u64, rule });
        }
        let frames = len.div_ceil(room);
        if self.tx_room(frames as u32)? < frames as u32 {
            return Ok(false);
        }
        if self.free.len() < frames {
            self.replenish(frames)?;
            if self.free.len() < frames {
                // What does not suffice here may elsewhere.
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

    /// Hands what was queued to the kernel, and takes back what it is done with. What it has no room for at the moment
    /// stays queued: the next call goes on.
    ///
    /// # Errors
    /// [`XdpError::InterfaceGone`], [`XdpError::RingIndex`], [`XdpError::System`].
    pub fn flush(&mut self) -> Result<(), XdpError> {
        if self.staged > 0 {
            self.endpoint.rings.completions.sent(self.staged);
            self.staged = 0;
            self.tx.publish();
        }
        let endpoint = self.endpoint.clone();
        let mut last = self.outstanding()?;
        while last > 0 && self.tx.needs_wakeup() {
            let Some(socket) = &endpoint.socket else { break };
            if let Err(source) = socket.wake_send() {
                match source.raw_os_error() {
                    // More to send than goes at once, or no room somewhere on the way.
                    Some(libc_errno::EAGAIN | libc_errno::EBUSY | libc_errno::ENOBUFS) => {}
                    _ => return Err(endpoint.failure("sending", source)),
                }
            }
            let now = self.outstanding()?;
            // Without room for what was sent nothing more is sent.
            let reaped = self.reap()?;
            if now == last && reaped == 0 {
                break;
            }
            last = now;
        }
        self.reap()?;
        Ok(())
    }

    /// Flushes, and waits until the kernel is done with everything that was sent; `false` when the time is over.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn drain(&mut self, timeout: Timeout) -> Result<bool, XdpError> {
        let deadline = deadline(timeout);
        let mut nap = Duration::from_micros(10);
        loop {
            self.flush()?;
            if self.endpoint.rings.completions.in_flight() == 0 {
                return Ok(true);
            }
            if is_over(deadline) {
                return Ok(false);
            }
            // The kernel tells of room in the send ring, not of frames that it is done with.
            std::thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(1));
        }
    }

    /// Waits until a packet can be queued; `false` when the time is over.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn wait_for_room(&mut self, timeout: Timeout) -> Result<bool, XdpError> {
        let deadline = deadline(timeout);
        let mut nap = Duration::from_micros(10);
        loop {
            self.flush()?;
            let room = self.tx_room(1)? > 0;
            if room && let Some(lease) = self.lease()? {
                self.free.push(lease);
                return Ok(true);
            }
            if is_over(deadline) {
                return Ok(false);
            }
            let endpoint = self.endpoint.clone();
            match endpoint.descriptor() {
                Some(descriptor) if !room => {
                    let [ready] = event::poll([(descriptor, WRITABLE)], Some(nap))
                        .map_err(|source| XdpError::System { operation: "poll", source })?;
                    if ready & FAILED != 0 {
                        endpoint.take_error()?;
                    }
                }
                _ => std::thread::sleep(nap),
            }
            nap = (nap * 2).min(Duration::from_millis(1));
        }
    }

    /// When a packet was sent for which that was asked, the oldest first. Takes back what the kernel is done with.
    ///
    /// # Errors
    /// [`XdpError::RingIndex`].
    pub fn next_timestamp(&mut self) -> Result<Option<SendTimestamp>, XdpError> {
        self.reap()?;
        Ok(self.endpoint.rings.completions.stamp(self.endpoint.ordinal))
    }

    /// What was counted.
    ///
    /// # Errors
    /// When the kernel refuses to tell.
    pub fn sender_statistics(&self) -> Result<XdpSenderStatistics, XdpError> {
        let kernel = match &self.endpoint.socket {
            Some(socket) => socket
                .statistics()
                .map_err(|source| XdpError::System { operation: "XDP_STATISTICS", source })?,
            None => Default::default(),
        };
        Ok(XdpSenderStatistics {
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

    /// Whether the interface takes a packet of so many bytes in so many frames.
    pub(crate) fn can_send(&self, len: usize, frames: usize) -> bool {
        (1..=self.endpoint.longest_for(len)).contains(&len) && frames <= self.most_pieces()
    }

    /// The longest packet that can be copied into frames and sent, where one of `len` bytes is to be.
    pub(crate) fn longest_packet(&self, len: usize) -> usize {
        self.endpoint.longest_for(len).min(self.frame_capacity() * self.most_pieces())
    }

    /// In how many frames a packet can be: no more than the ring has entries, or it would never have room.
    fn most_pieces(&self) -> usize {
        if self.endpoint.multi_buffer { (self.tx.size() as usize).min(MOST_PIECES) } else { 1 }
    }

    /// Whether the kernel has not taken all that was queued.
    pub(crate) fn is_behind(&mut self) -> Result<bool, XdpError> {
        Ok(self.outstanding()? > 0)
    }

    /// Packets that were queued and not handed to the kernel.
    pub(crate) fn is_staged(&self) -> bool {
        self.staged > 0
    }

    fn send_frame(&mut self, frame: XdpFrame, options: u32) -> Result<(), SendRejected> {
        let endpoint = &self.endpoint;
        if !Arc::ptr_eq(frame.shared(), &endpoint.umem) {
            return Err(reject(frame, XdpError::ForeignFrame));
        }
        let len = self.open_len + frame.len();
        let limit = endpoint.longest_for(len);
        if len > limit {
            return Err(reject(frame, XdpError::PacketTooLong { len, limit }));
        }
        let continues = frame.continues();
        if continues && !endpoint.multi_buffer {
            let limit = self.frame_capacity();
            return Err(reject(frame, XdpError::PacketTooLong { len: limit + 1, limit }));
        }
        match self.tx_room(1) {
            Ok(0) => return Err(SendRejected { frame, reason: RejectReason::Full }),
            Ok(_) => {}
            Err(error) => return Err(reject(frame, error)),
        }
        let (start, len) = (frame.start(), frame.len() as u32);
        // Not sending an empty descriptor: the kernel refuses it, and the frame would be lost to its ring.
        if len == 0 {
            let error = XdpError::Geometry { what: "a packet", value: 0, rule: "at least 1 byte" };
            return Err(reject(frame, error));
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

    /// Writes an entry, for which there must be room.
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

    /// Room in the send ring for new entries.
    pub(crate) fn tx_room(&mut self, wanted: u32) -> Result<u32, XdpError> {
        let size = self.tx.size();
        let room = self.tx.ready(wanted).map_err(|error| jumped("send", size, error))?;
        if room < wanted {
            self.statistics.full += 1;
        }
        Ok(room)
    }

    /// A frame at hand, from the pool, or of those that were sent.
    fn lease(&mut self) -> Result<Option<Lease>, XdpError> {
        if self.free.is_empty() {
            self.replenish(1)?;
        }
        Ok(self.free.pop())
    }

    /// Takes frames from the pool, and of those that were sent, until at least so many are at hand, as far as there are any.
    fn replenish(&mut self, least: usize) -> Result<(), XdpError> {
        let frames = self.endpoint.umem.memory.layout().frames as usize;
        let handful = HANDFUL.min(frames / 16).max(least);
        if self.endpoint.umem.memory.pooled() < handful {
            self.reap()?;
        }
        self.take_handful(handful);
        Ok(())
    }

    /// Takes frames from the pool until so many are at hand, or none is left.
    fn take_handful(&mut self, count: usize) {
        let memory = &self.endpoint.umem.memory;
        let missing = count.saturating_sub(self.free.len());
        self.free.extend(std::iter::from_fn(|| memory.take()).take(missing));
    }

    /// Takes back what the kernel is done with.
    pub(crate) fn reap(&mut self) -> Result<u32, XdpError> {
        let endpoint = &self.endpoint;
        let memory = &endpoint.umem.memory;
        let reaped = endpoint.rings.completions.reap(memory, |lease| memory.give_back(lease));
        let count = reaped.map_err(|(error, size)| jumped("completion", size, error))?;
        Ok(count)
    }

    /// How many entries the kernel has not taken yet.
    fn outstanding(&mut self) -> Result<u32, XdpError> {
        let size = self.tx.size();
        self.tx.outstanding().map_err(|error| jumped("send", size, error))
    }
}

impl Drop for XdpSender {
    fn drop(&mut self) {
        // What was queued is sent if it can be, without waiting.
        if self.staged > 0 {
            let _ = self.flush();
        }
        self.endpoint.umem.memory.give_all_back(self.free.drain(..));
    }
}

fn reject(frame: XdpFrame, error: XdpError) -> SendRejected {
    SendRejected { frame, reason: RejectReason::Refused(error) }
}

/// `None` for never.
fn deadline(timeout: Timeout) -> Option<Instant> {
    match timeout {
        Timeout::Now => Some(Instant::now()),
        Timeout::After(time) => Instant::now().checked_add(time),
        Timeout::Never => None,
    }
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|at| Instant::now() >= at)
}
