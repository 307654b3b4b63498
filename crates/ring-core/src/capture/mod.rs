//! Capturing from an interface through a TPACKET_V3 ring.

mod block;
mod builder;
mod counts;
mod fanout;
mod filter;
mod group;
mod loans;
mod ring;
mod socket;
#[cfg(test)]
mod tests;
#[cfg(feature = "tokio")]
mod wakeup;
mod walk;

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use packet_filter::Program;
use ring_sys::packet::abi::TP_STATUS_USER;

pub(crate) use self::block::Taken;
pub use self::block::{Block, SharedBlock};
pub use self::builder::{CaptureBuilder, Outgoing, RingGeometry, RingProfile};
pub use self::fanout::{Fanout, FanoutMode};
pub use self::filter::{CaptureFilter, Instruction, RawFilter};
pub(crate) use self::filter::{ancillary, not_compiled};
pub use self::group::{CaptureGroup, CaptureGroupBuilder};
use self::ring::Ring;
use self::socket::CaptureSocket;
#[cfg(feature = "tokio")]
pub(crate) use self::wakeup::BlockWakeups;
pub use self::walk::Packets;
use self::walk::Walk;
use crate::error::system;
use crate::wait::{BlockCoalescing, BlockWaiter, Deadline};
use crate::{Error, Interrupter, LinkType, Next, Packet, PacketSource, Statistics, Timeout};

/// Number of packets after which to read the kernel's counters, since they have only 32 bits.
const READ_COUNTERS: u64 = 1 << 30;

/// Captures packets of an interface through a ring shared with the kernel: `AF_PACKET` with
/// `TPACKET_V3` (`Documentation/networking/packet_mmap.rst`).
///
/// The kernel collects packets in blocks. It hands over a block when it is full or after a timeout.
/// The capture lends the block, and dropping it returns it to the kernel. [`Block::share`] keeps a
/// block longer, on any thread.
///
/// ```no_run
/// use std::time::Duration;
/// use ring_core::{Capture, RingProfile, Timeout};
///
/// # fn main() -> Result<(), ring_core::Error> {
/// let mut capture = Capture::builder("eth0").profile(RingProfile::Throughput).open()?;
/// while let Some(block) = capture.next_block(Timeout::After(Duration::from_millis(100)))? {
///     for packet in &block {
///         println!("{} {} bytes", packet.timestamp(), packet.data().len());
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # What happens when
///
/// | event | outcome |
/// |---|---|
/// | a signal arrives during a wait | the wait continues for the rest of its time |
/// | the interface goes down | the wait continues; packets arrive again once it is up |
/// | the interface is deleted | all captured packets, then [`Error::InterfaceGone`] at each call |
/// | the MTU changes | nothing; packets longer than a block are truncated and counted |
/// | the process forks | the child has no ring (`MADV_DONTFORK`) and may close its descriptors |
/// | all blocks are full | the kernel drops and counts packets, and marks the next as [losing] |
/// | the next block is on loan | the wait continues; [`Statistics::ring_exhausted`] counts it |
///
/// [losing]: crate::PacketMeta::losing
pub struct Capture {
    socket: CaptureSocket,
    waiter: BlockWaiter,
    ring: Arc<Ring>,
    /// Index of the next block.
    cursor: usize,
    /// The rest of the current block, for [`next_packet`](Self::next_packet).
    open: Option<Taken>,
    link_type: Option<LinkType>,
    hash: bool,
    next_number: u64,
    statistics: Statistics,
    /// The number of next blocks that may hold packets of an earlier filter, and the filter for
    /// them.
    stale: usize,
    program: Option<Arc<Program>>,
    /// A filter to apply to every block, for what the kernel's filter cannot do.
    rest: Option<Arc<Program>>,
    block_timeout: Duration,
    coalescing: BlockCoalescing,
    /// `true` if the socket reported an error that is not handled yet.
    failed: bool,
    /// Set once the interface went down: until this time, a block may have been started before
    /// that.
    old_until: Option<Instant>,
    /// The number of packets delivered when the kernel's counters were last read.
    counted_at: u64,
    /// `true` if the kernel dropped packets and no packet is marked for it yet.
    lost: bool,
}

/// Counters of packets passed to another member of a fanout group (`PACKET_ROLLOVER_STATS` of
/// packet(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rollovers {
    /// Packets for which the selected member had no room.
    pub all: u64,
    /// Of these, packets of flows that fill the ring alone.
    pub huge: u64,
    /// Packets for which no member had room.
    pub failed: u64,
}

/// The result of looking for a block.
#[derive(Debug)]
pub(crate) enum Found {
    Block(Taken),
    TimedOut,
    Interrupted,
}

impl Capture {
    /// Captures from an interface with the defaults; `any` means all interfaces.
    ///
    /// # Errors
    /// As [`CaptureBuilder::open`].
    pub fn open(interface: &str) -> Result<Self, Error> {
        Self::builder(interface).open()
    }

    /// Returns the settings of a capture from an interface; `any` means all interfaces.
    pub fn builder(interface: &str) -> CaptureBuilder {
        CaptureBuilder::new(interface)
    }

    fn new(
        socket: CaptureSocket,
        ring: Ring,
        hash: bool,
        block_timeout: Duration,
        coalesce: Duration,
        rest: Option<Program>,
    ) -> Result<Self, Error> {
        let link_type = socket.link_type;
        let coalescing = BlockCoalescing::new(coalesce, ring.block_count());
        let waiter = BlockWaiter::new(&socket.socket, &ring.returned)?;
        Ok(Self {
            socket,
            waiter,
            ring: Arc::new(ring),
            cursor: 0,
            open: None,
            link_type,
            hash,
            next_number: 1,
            statistics: Statistics::default(),
            stale: 0,
            program: None,
            rest: rest.map(Arc::new),
            block_timeout,
            coalescing,
            failed: false,
            old_until: None,
            counted_at: 0,
            lost: false,
        })
    }

    /// Waits for the next block. `None` if the timeout expired or an [`Interrupter`] ended the
    /// wait.
    ///
    /// # Errors
    /// [`Error::InterfaceGone`]; [`Error::System`] if the kernel refuses to wait.
    pub fn next_block(&mut self, timeout: Timeout) -> Result<Option<Block<'_>>, Error> {
        match self.find(timeout)? {
            Found::Block(taken) => Ok(Some(self.lend(taken))),
            Found::TimedOut | Found::Interrupted => Ok(None),
        }
    }

    /// Waits for the next packet. `None` as for [`next_block`](Self::next_block). A call of
    /// `next_block` in between continues with the rest of the current block.
    ///
    /// ```compile_fail
    /// # use ring_core::{Capture, Error};
    /// # fn a_packet_outlives_the_next(capture: &mut Capture) -> Result<(), Error> {
    /// let first = capture.next_packet(ring_core::Timeout::Never)?;
    /// let second = capture.next_packet(ring_core::Timeout::Never)?;
    /// println!("{first:?}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`next_block`](Self::next_block).
    pub fn next_packet(&mut self, timeout: Timeout) -> Result<Option<Packet<'_>>, Error> {
        loop {
            // An exhausted block is returned before waiting for the next one.
            if self.open.as_ref().is_some_and(|taken| taken.walk.left() == 0) {
                self.close();
            }
            if self.open.is_none() {
                match self.find(timeout)? {
                    Found::Block(taken) => self.open = Some(taken),
                    Found::TimedOut | Found::Interrupted => return Ok(None),
                }
            }
            let Some(Taken { extent, walk, filter }) = &mut self.open else { continue };
            // SAFETY: the block was taken. Returning it needs exclusive access to `self`, which the
            // packet borrows.
            let data = unsafe { self.ring.data(extent) };
            if let Some(packet) =
                walk.next(&self.ring.counts, extent.index, data, filter.as_deref())
            {
                return Ok(Some(packet));
            }
        }
    }

    /// The interface's name as passed on opening.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.socket.interface
    }

    /// The interface's index when the capture was opened, 0 for `any`.
    pub(crate) fn interface_index(&self) -> u32 {
        self.socket.index
    }

    /// The number of blocks in the ring.
    #[must_use]
    pub fn block_count(&self) -> usize {
        self.ring.block_count()
    }

    /// The number of consecutive blocks that the kernel can fill before it reaches one on loan.
    #[must_use]
    pub fn free_blocks(&self) -> usize {
        self.ring.loans.free_from(self.cursor)
    }

    /// A handle that ends this capture's waits from other threads.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.waiter.interruption.interrupter()
    }

    /// Totals since the capture was opened.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel refuses to report them.
    pub fn statistics(&mut self) -> Result<Statistics, Error> {
        self.read_counters()?;
        // Totals must never decrease.
        self.statistics.truncated = self.statistics.truncated.max(self.ring.counts.truncated());
        let mut statistics = self.statistics;
        statistics.malformed = self.ring.counts.malformed();
        statistics.blocks_on_loan = self.ring.loans.count() as u64;
        Ok(statistics)
    }

    /// The number of packets that this member of a group with rollover passed on, by cause.
    ///
    /// # Errors
    /// [`Error::System`] if the capture is in no such group.
    pub fn rollovers(&self) -> Result<Rollovers, Error> {
        let counted = self
            .socket
            .socket
            .rollover_statistics()
            .map_err(system("read the rollover statistics"))?;
        Ok(Rollovers { all: counted.tp_all, huge: counted.tp_huge, failed: counted.tp_failed })
    }

    /// Replaces the filter. From then on only packets that pass it are delivered. Packets that are
    /// in the ring already, captured under the old filter, are filtered again in this process.
    ///
    /// With an expression or a classic program, no packet that passes both filters is lost. An eBPF
    /// program cannot run on packets in the ring, so the ring is emptied first, which takes twice
    /// the block timeout; [`Statistics::discarded`] counts the discarded packets. A classic program
    /// that reads a packet's processor, queue or mark gets 0 for packets in the ring, because the
    /// kernel does not record them.
    ///
    /// # Errors
    /// [`Error::Filter`] if the kernel refuses the filter; the old one then stays in place, or, if
    /// the new one is an eBPF program, no packet passes. [`Error::FilterLocked`],
    /// [`Error::Compile`] and related errors, which leave the old filter in place.
    pub fn set_filter(&mut self, filter: impl Into<CaptureFilter>) -> Result<(), Error> {
        let filter = filter.into();
        if filter.is_descriptor() {
            // Check everything possible before any packet is discarded.
            self.socket.check_filter(&filter)?;
            self.socket.drop_all().map_err(|source| Error::Filter { source })?;
            self.discard()?;
        }
        let program = self.socket.set_filter(&filter)?.map(Arc::new);
        self.rest = self.socket.rest_of(&filter)?.map(Arc::new);
        let blocks = self.ring.block_count();
        let full = (0..blocks).take_while(|&ahead| {
            let index = (self.cursor + ahead) % blocks;
            self.ring.loans.is_free(index) && self.ring.status(index) & TP_STATUS_USER != 0
        });
        // Blocks that were captured under the old filter: the closed ones, the one being filled,
        // and one more in case that was just closed. Filtering a block of the new filter again does
        // no harm.
        self.stale = if program.is_some() { full.count() + 2 } else { 0 };
        if let Some(open) = &mut self.open {
            open.filter.clone_from(&program);
        }
        self.program = program;
        Ok(())
    }

    /// Discards all captured packets.
    fn discard(&mut self) -> Result<(), Error> {
        let waited = Instant::now() + self.held_back();
        self.close();
        loop {
            while let Some(taken) = self.ready()? {
                self.statistics.discarded += u64::from(taken.extent.packets);
                self.ring.give_back(taken.extent.index);
            }
            let left = waited.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.failed |= self.waiter.wait(&self.ring.returned, Some(left))?;
        }
    }

    /// The filter for a block that may have been captured under an earlier one.
    #[cold]
    fn refilter(&mut self) -> Option<Arc<Program>> {
        self.stale -= 1;
        let program = self.program.clone();
        if self.stale == 0 {
            self.program = None;
        }
        program
    }

    /// Lends the block that [`find`](Self::find) found.
    #[inline]
    pub(crate) fn lend(&mut self, taken: Taken) -> Block<'_> {
        Block::new(&self.ring, taken)
    }

    /// The descriptor that becomes readable when there may be a block.
    pub(crate) fn waiter(&self) -> BorrowedFd<'_> {
        self.waiter.as_fd()
    }

    /// Waits for a block.
    pub(crate) fn find(&mut self, timeout: Timeout) -> Result<Found, Error> {
        match self.look()? {
            Found::TimedOut => self.wait(timeout),
            found => Ok(found),
        }
    }

    /// Looks for a block without a system call.
    #[inline]
    pub(crate) fn look(&mut self) -> Result<Found, Error> {
        if let Some(taken) = self.open.take() {
            if taken.walk.left() != 0 {
                return Ok(Found::Block(taken));
            }
            self.ring.give_back(taken.extent.index);
        }
        if self.waiter.interruption.take() {
            return Ok(Found::Interrupted);
        }
        Ok(self.ready()?.map_or(Found::TimedOut, Found::Block))
    }

    #[cold]
    fn wait(&mut self, timeout: Timeout) -> Result<Found, Error> {
        let deadline = Deadline::of(timeout);
        #[cfg(feature = "tokio")]
        self.wait_alone()?;
        if !self.ring.loans.is_free(self.cursor) {
            self.statistics.ring_exhausted += 1;
        } else if timeout != Timeout::Now
            && let Some(pause) = self.coalescing.pause()
        {
            let left = deadline.left();
            self.waiter.sleep(&self.ring.returned, left.map_or(pause, |left| left.min(pause)))?;
        }
        loop {
            let left = deadline.left();
            if let Some(taken) = self.about_to_wait()? {
                return Ok(Found::Block(taken));
            }
            self.failed |= self.waiter.wait(&self.ring.returned, left)?;
            if self.waiter.interruption.take() {
                return Ok(Found::Interrupted);
            }
            if let Some(taken) = self.ready()? {
                self.seems_up()?;
                return Ok(Found::Block(taken));
            }
            self.check_failure()?;
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Found::TimedOut);
            }
        }
    }

    /// Announces a wait: from now on a returned block raises the event. Returns a block that was
    /// returned just before.
    fn about_to_wait(&mut self) -> Result<Option<Taken>, Error> {
        if !self.ring.loans.want(self.cursor)
            && let Some(taken) = self.ready()?
        {
            return Ok(Some(taken));
        }
        self.check_failure()?;
        Ok(None)
    }

    /// Takes the next block if the kernel has handed it over and it is not on loan.
    #[inline]
    fn ready(&mut self) -> Result<Option<Taken>, Error> {
        loop {
            let index = self.cursor;
            if !self.ring.loans.is_free(index) {
                return Ok(None);
            }
            let status = self.ring.status(index);
            if status & TP_STATUS_USER == 0 {
                return Ok(None);
            }
            self.cursor = if index + 1 == self.ring.block_count() { 0 } else { index + 1 };
            let Some(mut extent) = self.ring.take(index, status) else { continue };
            if extent.packets == 0 {
                self.ring.give_back(index);
                continue;
            }
            if self.coalescing.is_on() {
                self.coalescing.filled_in(self.ring.filling(index, status));
            }
            // After a loss, the kernel marks all blocks until its counters are read.
            if extent.losing || self.next_number - self.counted_at >= READ_COUNTERS {
                self.read_counters()?;
            }
            // So one block is marked for each loss, by the counters instead of by the kernel's
            // mark.
            extent.losing = std::mem::take(&mut self.lost);
            self.statistics.losing += u64::from(extent.losing);
            let walk = Walk::new(&extent, self.next_number, self.link_type, self.hash);
            self.next_number += u64::from(extent.packets);
            let filter = if self.stale > 0 { self.refilter() } else { self.rest.clone() };
            return Ok(Some(Taken { extent, walk, filter }));
        }
    }

    fn close(&mut self) {
        if let Some(taken) = self.open.take() {
            self.ring.give_back(taken.extent.index);
        }
    }

    fn read_counters(&mut self) -> Result<(), Error> {
        let counted = self.socket.take_statistics()?;
        self.statistics.packets += u64::from(counted.tp_packets);
        self.statistics.drops += u64::from(counted.tp_drops);
        self.statistics.freezes += u64::from(counted.tp_freeze_q_cnt);
        self.lost |= counted.tp_drops > 0;
        self.counted_at = self.next_number;
        Ok(())
    }

    #[inline]
    fn check_failure(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.failed) { self.look_into_failure() } else { Ok(()) }
    }

    /// Handles an error of the socket. An interface that went down may come back; a deleted one
    /// will not. In both cases the block being filled still arrives, closed by its timeout, before
    /// the error is returned.
    #[cold]
    fn look_into_failure(&mut self) -> Result<(), Error> {
        let gone = match self.socket.is_down() {
            Ok(false) => return Ok(()),
            Ok(true) => None,
            Err(gone @ Error::InterfaceGone { .. }) => Some(gone),
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        let until = now + self.held_back();
        match gone {
            Some(gone) if now >= *self.old_until.get_or_insert(until) => {
                // The kernel reports the error only once, but later calls must return it, too.
                self.failed = true;
                return Err(gone);
            }
            Some(_) => {}
            None => self.old_until = Some(until),
        }
        self.waiter.set_down(true)
    }

    /// Called when a block arrived. If it must have been started after the interface went down, the
    /// interface is up again.
    #[inline]
    fn seems_up(&mut self) -> Result<(), Error> {
        if self.old_until.is_some_and(|until| Instant::now() >= until) {
            self.old_until = None;
            self.waiter.set_down(false)?;
        }
        Ok(())
    }
}

impl PacketSource for Capture {
    type Batch<'a> = Block<'a>;
    type Error = Error;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Block<'_>>, Error> {
        Ok(match self.find(timeout)? {
            Found::Block(taken) => Next::Batch(self.lend(taken)),
            Found::TimedOut => Next::TimedOut,
            Found::Interrupted => Next::Interrupted,
        })
    }

    fn statistics(&mut self) -> Result<Statistics, Error> {
        Self::statistics(self)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.link_type
    }

    fn is_live(&self) -> bool {
        true
    }

    fn held_back(&self) -> Duration {
        // The timeout closes the block being filled. Before Linux 6.18 the kernel checks it only
        // once per timeout, so it may take twice as long.
        self.block_timeout * 2 + Duration::from_millis(5)
    }

    fn interrupter(&self) -> Option<Interrupter> {
        Some(Self::interrupter(self))
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.waiter())
    }
}

/// The descriptor of [`readiness`](PacketSource::readiness), not that of the socket, which must not
/// be polled: it is readable for as long as its newest block is kept.
impl AsFd for Capture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waiter()
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("interface", &self.interface())
            .field("blocks", &self.block_count())
            .field("link_type", &self.link_type)
            .finish_non_exhaustive()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.close();
        if self.ring.loans.count() > 0 {
            // Blocks on loan keep the mapping and so the socket, which must stop collecting
            // packets.
            self.socket.silence();
        }
    }
}
