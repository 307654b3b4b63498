//! The receiving half of a socket.

use std::cell::OnceCell;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use ring_sys::xdp::abi::{XDP_PKT_CONTD, XdpDesc};

use super::batch::{Batch, Piece, Record};
use super::cursor::Jumped;
use super::endpoint::{Endpoint, jumped};
use super::error::Error;
use super::fill::Fill;
use super::memory::{Lease, Refused};
use super::poll::Watch;
use super::ring::Ring;
use crate::interruption::Interruption;
use crate::wait::{FrameWaiter, PacketCoalescing, SpinTime, Wait};
use crate::{Interrupter, LinkType, Next, PacketSource, Statistics, Timeout, Timestamp};

/// Maximum number of pieces of a packet; more are invalid. The kernel's own packets have at most
/// 18.
const MOST_PIECES: usize = 64;
/// Maximum number of bytes of multi-frame packets to join in one batch.
const JOINED_IN_A_BATCH: usize = 1 << 20;
/// Default for the maximum number of packets in a batch.
const BATCH: u32 = 64;

/// The receiving half of an AF_XDP socket, a [`PacketSource`].
///
/// Batches are lent, and dropping one returns its frames to the kernel. To keep packets, take their
/// frames ([`Batch::into_frames`]) or their bytes
/// ([`PacketBatch::retain_packet`](crate::PacketBatch::retain_packet)).
#[derive(Debug)]
pub struct Receiver {
    pub(crate) rx: Ring<XdpDesc>,
    /// The pieces of recent batches: first those of finished batches, less than a portion, which
    /// wait to be returned to the kernel, then those of the current batch.
    pub(crate) pieces: Vec<Piece>,
    /// The number of pieces of finished batches.
    pub(crate) over: usize,
    /// The packets of the current batch. Empty if each piece is a packet.
    pub(crate) records: Vec<Record>,
    pub(crate) joined: Vec<u8>,
    /// The pieces of a packet that is not complete yet.
    open: Vec<Piece>,
    /// `true` while skipping the rest of a packet with too many pieces.
    skipping: bool,
    /// The number of frames that the kernel should have for this socket.
    share: u32,
    /// Frames taken from the kernel that the fill ring has not counted yet.
    claimed: u32,
    batch_size: u32,
    /// The number of the next packet.
    pub(crate) number: u64,
    delivered: u64,
    malformed: u64,
    starved: u64,
    pub(crate) starving: bool,
    /// An invalid index of the receive ring, which is no longer used then.
    broken: Option<Jumped>,
    pub(crate) spin: SpinTime,
    pub(crate) coalescing: PacketCoalescing,
    pub(crate) interruption: Interruption,
    pub(crate) waiter: Arc<FrameWaiter>,
    pub(crate) poller: OnceCell<Watch>,
    pub(crate) endpoint: Arc<Endpoint>,
}

/// Counters of a receiver since it was opened. They never decrease, except for the last two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiverStatistics {
    /// Packets delivered.
    pub delivered: u64,
    /// Packets dropped by the kernel because they are longer than a frame or because it had no
    /// frame.
    pub dropped: u64,
    /// Packets dropped by the kernel because the receive ring was full.
    pub ring_full: u64,
    /// Number of times that the kernel found the fill ring empty.
    pub fill_empty: u64,
    /// Frames in the fill ring that the kernel refused.
    pub invalid: u64,
    /// Invalid descriptors from the kernel, and packets with too many pieces.
    pub malformed: u64,
    /// Number of times that the kernel had no frames left and none were free.
    pub starved: u64,
    /// Frames that the kernel has now, to be filled.
    pub filled: u64,
    /// Frames of the memory that users hold now.
    pub held: u64,
}

impl Receiver {
    /// Creates a receiver from its ring and the number of frames that the fill ring's target was
    /// raised by.
    pub(crate) fn new(
        rx: Ring<XdpDesc>,
        share: u32,
        wait: Wait,
        endpoint: Arc<Endpoint>,
        waiter: Arc<FrameWaiter>,
        interruption: Interruption,
    ) -> Self {
        Self {
            rx,
            share,
            claimed: 0,
            pieces: Vec::with_capacity(2 * BATCH as usize),
            over: 0,
            records: Vec::new(),
            joined: Vec::new(),
            open: Vec::new(),
            skipping: false,
            batch_size: BATCH,
            number: 1,
            delivered: 0,
            malformed: 0,
            starved: 0,
            starving: false,
            broken: None,
            spin: SpinTime::new(wait),
            coalescing: PacketCoalescing::new(wait),
            interruption,
            waiter,
            poller: OnceCell::new(),
            endpoint,
        }
    }

    /// Sets the maximum number of packets in a batch (default: 64).
    pub fn set_batch_size(&mut self, packets: u32) {
        self.batch_size = packets.max(1);
    }

    /// Returns the receiver's counters.
    ///
    /// # Errors
    /// If the kernel refuses to report them.
    pub fn receiver_statistics(&self) -> Result<ReceiverStatistics, Error> {
        let kernel = match &self.endpoint.socket {
            Some(socket) => socket.statistics().map_err(|source| Error::System {
                operation: "read the socket's statistics",
                source,
            })?,
            None => Default::default(),
        };
        // Drops may be due to a raised MTU, so check it.
        self.endpoint.mtu.look(&self.endpoint.interface);
        Ok(ReceiverStatistics {
            delivered: self.delivered,
            dropped: kernel.rx_dropped,
            ring_full: kernel.rx_ring_full,
            fill_empty: kernel.rx_fill_ring_empty_descs,
            invalid: kernel.rx_invalid_descs,
            malformed: self.malformed + self.fill().malformed(),
            starved: self.starved,
            filled: self.fill().filled().into(),
            held: self.umem().held_frames() as u64,
        })
    }

    /// The totals in the form common to all sources.
    pub(crate) fn totals(&self) -> Result<Statistics, Error> {
        let counted = self.receiver_statistics()?;
        let drops = counted.dropped + counted.ring_full;
        let mut totals = Statistics::default();
        totals.packets = counted.delivered + drops;
        totals.drops = drops;
        totals.freezes = counted.fill_empty;
        totals.malformed = counted.malformed;
        totals.ring_exhausted = counted.starved;
        totals.blocks_on_loan = counted.held;
        Ok(totals)
    }

    /// The socket's packet memory.
    #[must_use]
    pub fn umem(&self) -> super::umem::Umem {
        super::umem::Umem { shared: self.endpoint.umem.clone() }
    }

    /// The queue's fill ring.
    #[inline]
    pub(crate) fn fill(&self) -> &Fill {
        &self.endpoint.rings.fill
    }

    /// Passes frames to the kernel up to its target, if it lacks at least a portion.
    #[inline]
    pub(crate) fn refill(&mut self) -> Result<(), Error> {
        let fill = self.fill();
        let lacking = fill.target().saturating_sub(fill.filled());
        if lacking < fill.portion() { Ok(()) } else { self.fill_up() }
    }

    fn fill_up(&mut self) -> Result<(), Error> {
        self.give_over(true)?;
        if self.fill().filled() == 0 { self.find_frames() } else { Ok(()) }
    }

    /// Called when the kernel has no frames left and none are free.
    #[cold]
    fn find_frames(&mut self) -> Result<(), Error> {
        let umem = &self.endpoint.umem;
        // No other socket may be about to collect sent frames.
        umem.reap_all(|lease| umem.memory.give_back(lease));
        if umem.memory.pooled() == 0 && !self.open.is_empty() {
            // A packet that never ends has taken all frames.
            self.malformed += 1;
            self.skip(true);
        }
        self.give_over(true)?;
        if self.fill().filled() == 0 && !self.starving {
            self.starved += 1;
            self.starving = true;
        }
        Ok(())
    }

    /// Ends the current batch.
    #[inline]
    pub(crate) fn end_batch(&mut self) {
        self.records.clear();
        self.over = self.pieces.len();
        // Frames of a small batch wait for the next ones. Passing them on writes to a line of the
        // fill ring that the kernel reads on another processor, at a price that does not depend on
        // their number.
        if self.over >= self.fill().portion() as usize {
            // An error is ignored here; the next call returns it.
            let _ = self.give_over(false);
        }
    }

    /// Passes the frames of finished batches to the kernel and, if `more` is set, frames of the
    /// pool up to its target. Frames that the kernel does not take go to the pool.
    fn give_over(&mut self, more: bool) -> Result<(), Error> {
        let (memory, rings) = (&self.endpoint.umem.memory, &self.endpoint.rings);
        let mut leases = self.pieces.drain(..self.over).filter_map(|piece| piece.lease);
        self.over = 0;
        let mut given = Ok(0);
        if more || self.broken.is_none() {
            let next = || leases.next().or_else(|| if more { memory.take() } else { None });
            given = rings.fill.give(memory, rings.fill_holder(), next);
        }
        let mut rest = leases.peekable();
        if rest.peek().is_some() {
            memory.give_all_back(rest);
        }
        if given? > 0 {
            self.starving = false;
        }
        Ok(())
    }

    /// Returns frames of packets that are not delivered to the kernel. Frames that it does not take
    /// go to the pool.
    #[cold]
    fn recycle(&mut self, mut leases: impl Iterator<Item = Lease>) {
        let (memory, rings) = (&self.endpoint.umem.memory, &self.endpoint.rings);
        if self.broken.is_none() {
            // An error is ignored here; the next call returns it.
            let _ = rings.fill.give(memory, rings.fill_holder(), || leases.next());
        }
        memory.give_all_back(leases);
    }

    /// Receives at most a batch. `false` if nothing was received.
    pub(crate) fn take_received(&mut self) -> Result<bool, Error> {
        if self.pieces.len() > self.over {
            self.forget();
        }
        self.joined.clear();
        let ready = match (self.broken, self.rx.ready(1)) {
            (None, Ok(ready)) => ready,
            (Some(error), _) => return Err(jumped("receive", self.rx.size(), error)),
            (None, Err(error)) => {
                self.malformed += 1;
                // What the kernel has written is unknown from here on, so the ring is never read
                // again and each call reports the error.
                self.broken = Some(error);
                return Err(jumped("receive", self.rx.size(), error));
            }
        };
        if ready == 0 {
            return Ok(false);
        }
        let (mut taken, odd) = self.take_whole(ready.min(self.batch_size));
        if let Some(descriptor) = odd {
            taken += 1;
            self.take_piece(descriptor);
        }
        while taken < ready
            && self.packets() < self.batch_size as usize
            && self.joined.len() < JOINED_IN_A_BATCH
        {
            let descriptor = self.rx.read(taken);
            taken += 1;
            self.take_piece(descriptor);
        }
        self.rx.advance(taken);
        // The entries go back before the batch is read. They only name frames, which the leases own
        // from here, and the kernel can deliver more packets meanwhile.
        self.rx.publish();
        let claimed = std::mem::take(&mut self.claimed);
        // Counted once per batch: other sockets of the queue write the counter as well.
        self.fill().took(claimed);
        let packets = self.packets();
        self.delivered += packets as u64;
        Ok(packets > 0)
    }

    /// Called if a batch was forgotten instead of dropped. Bytes of its packets may still be in
    /// use, so its frames are lost for good, like all forgotten memory.
    #[cold]
    fn forget(&mut self) {
        self.pieces.drain(self.over..).for_each(std::mem::forget);
        self.records.clear();
    }

    /// Takes up to `most` packets of one piece each, the common case. Returns their number and the
    /// first descriptor that is something else.
    #[inline]
    fn take_whole(&mut self, most: u32) -> (u32, Option<XdpDesc>) {
        if self.skipping || !self.open.is_empty() {
            return (0, None);
        }
        let (memory, claims) = (&self.endpoint.umem.memory, self.endpoint.claims());
        let mut taken = 0;
        let mut odd = None;
        while taken < most {
            let descriptor = self.rx.read(taken);
            let XdpDesc { addr, len, options } = descriptor;
            // A part of a longer packet leaves this loop even if its descriptor is valid:
            // `take_piece` joins it.
            let claimed =
                if options & XDP_PKT_CONTD == 0 { claims.claim(addr, len) } else { Err(Refused) };
            let Ok((lease, start)) = claimed else {
                odd = Some(descriptor);
                break;
            };
            memory.prefetch(&lease, start);
            self.pieces.push(Piece { lease: Some(lease), start, len, continues: false });
            taken += 1;
        }
        self.claimed += taken;
        (taken, odd)
    }

    fn take_piece(&mut self, descriptor: XdpDesc) {
        let XdpDesc { addr, len, options } = descriptor;
        let continues = options & XDP_PKT_CONTD != 0;
        let claimed = self.endpoint.claims().claim(addr, len);
        let Ok((lease, start)) = claimed else {
            // The rest of the packet is lost as well.
            self.malformed += 1;
            self.skip(continues);
            return;
        };
        self.endpoint.umem.memory.prefetch(&lease, start);
        self.claimed += 1;
        if self.skipping {
            self.recycle(std::iter::once(lease));
            self.skipping = continues;
        } else if !continues && self.open.is_empty() {
            if !self.records.is_empty() {
                self.records.push(Record::single(self.lent().len() as u32, len));
            }
            self.pieces.push(Piece { lease: Some(lease), start, len, continues });
        } else {
            self.join(Piece { lease: Some(lease), start, len, continues });
        }
    }

    /// Adds a piece to a packet of several pieces, and joins them after the last one.
    #[cold]
    fn join(&mut self, piece: Piece) {
        let continues = piece.continues;
        self.open.push(piece);
        if continues {
            // Bounds what a packet without an end can take: these frames are missing from the fill
            // ring.
            if self.open.len() == MOST_PIECES {
                self.malformed += 1;
                self.skip(true);
            }
            return;
        }
        if self.records.is_empty() {
            // Until now each piece was a packet and needed no record.
            let before = self.pieces[self.over..].iter().zip(0..);
            self.records.extend(before.map(|(piece, at)| Record::single(at, piece.len)));
        }
        let (first, joined) = (self.lent().len() as u32, self.joined.len());
        let memory = &self.endpoint.umem.memory;
        for piece in &self.open {
            self.joined.extend_from_slice(piece.data(memory));
        }
        self.records.push(Record {
            first,
            count: self.open.len() as u32,
            joined: joined as u32,
            len: (self.joined.len() - joined) as u32,
        });
        self.pieces.append(&mut self.open);
    }

    #[cold]
    fn skip(&mut self, continues: bool) {
        self.skipping = continues;
        let open = std::mem::take(&mut self.open);
        self.recycle(open.into_iter().filter_map(|piece| piece.lease));
    }

    /// The number of packets taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.delivered
    }

    /// `true` if the kernel has so few frames that a wait should also end when a frame is returned.
    pub(crate) fn wants_frames(&self) -> bool {
        self.fill().filled() < self.fill().target().div_ceil(2)
    }

    /// `true` if frames should not be retained: none is free, and the kernel has less than half of
    /// its target.
    pub(crate) fn runs_short(&self) -> bool {
        // The frames of the current batch count, since they go back to the kernel.
        let filled = self.fill().filled() as usize + self.pieces.len();
        self.endpoint.umem.memory.pooled() == 0 && filled < self.fill().target() as usize / 2
    }

    /// The number of packets in the current batch.
    #[inline]
    pub(crate) fn packets(&self) -> usize {
        if self.records.is_empty() { self.lent().len() } else { self.records.len() }
    }

    /// The pieces of the current batch.
    #[inline]
    pub(crate) fn lent(&self) -> &[Piece] {
        self.pieces.get(self.over..).unwrap_or_default()
    }

    /// Lends the packets that [`take_received`](Self::take_received) took.
    pub(crate) fn lend(&mut self) -> Batch<'_> {
        // One time for the batch. The kernel writes none, unless a driver offers it to a program of
        // its own (`xdp_metadata_ops`), and reading the clock for each packet would cost about as
        // much as receiving it.
        let timestamp = Timestamp::from_nanos(ring_sys::clock::wall());
        let number = self.number;
        self.number += self.packets() as u64;
        Batch::new(self, number, timestamp)
    }
}

impl PacketSource for Receiver {
    type Batch<'a> = Batch<'a>;
    type Error = crate::Error;

    #[inline]
    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Batch<'_>>, crate::Error> {
        Ok(self.receive(timeout)?)
    }

    /// `drops` are packets that the kernel dropped because there was no frame, because the receive
    /// ring was full, or because they were longer than a frame. `ring_exhausted` counts how often
    /// no frame was free. `blocks_on_loan` is the number of frames that users hold.
    fn statistics(&mut self) -> Result<Statistics, crate::Error> {
        Ok(self.totals()?)
    }

    fn link_type(&self) -> Option<LinkType> {
        Some(self.endpoint.link_type)
    }

    fn is_live(&self) -> bool {
        true
    }

    fn interrupter(&self) -> Option<Interrupter> {
        Some(self.interruption.interrupter())
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        self.poller().ok().map(|poller| poller.as_fd())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Stops redirection to this socket, while the sending half may stay in use.
        // The kernel drops what is redirected to a socket that nobody reads (`rx_ring_full`).
        // Without the entry the packets reach the host.
        if let Some(entry) = &self.endpoint.entry {
            entry.remove();
        }
        self.fill().want_less(self.share);
        self.endpoint.rings.receiver_left();
        let memory = &self.endpoint.umem.memory;
        let pieces = self.open.drain(..).chain(self.pieces.drain(..self.over));
        memory.give_all_back(pieces.filter_map(|piece| piece.lease));
        memory.returns.leave(&self.waiter);
    }
}
