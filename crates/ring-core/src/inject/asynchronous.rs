//! Asynchronous injectors.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::coop;

use super::{Injector, LONGEST_WAIT, Rejection, SHORTEST_WAIT, SentTimestamp, Slot, Stall};
use crate::error::system;
use crate::{AsyncInjectorBuilder, Error, LinkType, Packet, SinkStatistics, Timeout, reactor};

/// An [`Injector`] with asynchronous waits.
///
/// It registers with the reactor of the runtime in which it first has to wait, which needs I/O and
/// time enabled. An interface that accepts everything does not starve other tasks, since each frame
/// counts against the task's budget. Sending a frame allocates nothing.
///
/// ```no_run
/// use ring_core::AsyncInjector;
///
/// # async fn example(frame: &[u8]) -> Result<(), ring_core::Error> {
/// let mut injector = AsyncInjector::open("eth0")?;
/// for _ in 0..1_000 {
///     injector.send_frame(frame).await?;
/// }
/// injector.flush().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncInjector {
    injector: Injector,
    /// A duplicate of the socket's descriptor.
    reactor: Option<AsyncFd<OwnedFd>>,
}

impl AsyncInjector {
    /// Sends through an interface with the defaults. Blocks the calling thread for some
    /// milliseconds; [`builder`](Self::builder) opens without blocking.
    ///
    /// # Errors
    /// As [`InjectorBuilder::open`](super::InjectorBuilder::open).
    pub fn open(interface: &str) -> Result<Self, Error> {
        Injector::open(interface).map(Self::from)
    }

    /// Returns the settings of an asynchronous injector.
    pub fn builder(interface: &str) -> AsyncInjectorBuilder {
        Injector::builder(interface).into()
    }

    /// Waits for room and returns a slot for a frame of `len` bytes.
    ///
    /// Cancel-safe: if the future is dropped before it is ready, nothing was queued.
    ///
    /// # Errors
    /// As [`Injector::reserve`]; [`Error::NoRuntime`] outside a runtime.
    ///
    /// # Panics
    /// In a runtime without I/O and time enabled.
    pub async fn reserve(&mut self, len: usize) -> Result<Slot<'_>, Error> {
        self.injector.check_reservation(len)?;
        self.room().await?;
        Ok(Slot::new(&mut self.injector, len))
    }

    /// Waits for room and queues a copy of a frame.
    ///
    /// Cancel-safe: if the future is dropped before it is ready, the frame was not queued.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve) and [`Slot::commit`].
    ///
    /// # Panics
    /// As [`reserve`](Self::reserve).
    pub async fn send_frame(&mut self, frame: &[u8]) -> Result<(), Error> {
        let mut slot = self.reserve(frame.len()).await?;
        slot.copy_from_slice(frame);
        slot.commit()
    }

    /// Waits for room and queues a packet, as [`PacketSink::send`](crate::PacketSink::send) of
    /// [`Injector`] does. Cancel-safe as [`send_frame`](Self::send_frame).
    ///
    /// # Errors
    /// As [`send_frame`](Self::send_frame), and [`Error::SinkLinkType`].
    ///
    /// # Panics
    /// As [`reserve`](Self::reserve).
    pub async fn send(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.injector.check_packet(packet)?;
        self.room().await?;
        self.injector.put(packet)
    }

    /// Hands all queued frames to the kernel.
    ///
    /// Cancel-safe: if the future is dropped before it is ready, the remaining frames are still
    /// queued.
    ///
    /// # Errors
    /// As [`Injector::flush`].
    ///
    /// # Panics
    /// As [`reserve`](Self::reserve).
    pub async fn flush(&mut self) -> Result<(), Error> {
        coop::consume_budget().await;
        self.wait_until(|injector| injector.pending() == 0).await
    }

    /// The blocking injector, for operations that do not wait.
    #[must_use]
    pub fn injector(&self) -> &Injector {
        &self.injector
    }

    /// Leaves the reactor and returns the blocking injector.
    #[must_use]
    pub fn into_injector(self) -> Injector {
        self.injector
    }

    /// The number of queued frames: committed, but not yet accepted by the kernel.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.injector.pending()
    }

    /// Totals since the injector was opened.
    #[must_use]
    pub fn statistics(&self) -> SinkStatistics {
        self.injector.statistics()
    }

    /// The frame that the kernel refused last.
    #[must_use]
    pub fn rejection(&self) -> Option<Rejection> {
        self.injector.rejection()
    }

    /// Takes the oldest timestamp of a sent frame; see [`Injector::take_timestamp`].
    ///
    /// # Errors
    /// As [`Injector::take_timestamp`].
    pub fn take_timestamp(&mut self) -> Result<Option<SentTimestamp>, Error> {
        self.injector.take_timestamp()
    }

    /// The link type of frames.
    #[must_use]
    pub fn link_type(&self) -> LinkType {
        self.injector.link_type()
    }

    /// Waits for a free slot.
    async fn room(&mut self) -> Result<(), Error> {
        coop::consume_budget().await;
        if self.injector.make_room(Timeout::Now)? {
            return Ok(());
        }
        self.wait_until(|injector| injector.path.has_room()).await
    }

    async fn wait_until(&mut self, done: impl Fn(&Injector) -> bool) -> Result<(), Error> {
        let mut wait = SHORTEST_WAIT;
        loop {
            let before = self.injector.handed;
            let stall = self.injector.push()?;
            if done(&self.injector) {
                return Ok(());
            }
            if self.injector.handed > before {
                wait = SHORTEST_WAIT;
            }
            if stall == Some(Stall::Buffer) {
                self.writable(wait).await?;
            } else {
                self.reactor()?;
                tokio::time::sleep(wait).await;
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Waits until the socket reports room, at most `longest`. The event may have happened before
    /// the kernel was last called and is then not repeated, so an unlimited wait could hang.
    async fn writable(&mut self, longest: Duration) -> Result<(), Error> {
        let ready = tokio::time::timeout(longest, self.reactor()?.writable()).await;
        if let Ok(ready) = ready {
            ready.map_err(system("wait for room to send"))?.clear_ready();
        }
        Ok(())
    }

    fn reactor(&mut self) -> Result<&AsyncFd<OwnedFd>, Error> {
        let reactor = match self.reactor.take() {
            Some(reactor) => reactor,
            None => reactor::enter(self.injector.as_fd(), Interest::WRITABLE)?,
        };
        Ok(self.reactor.insert(reactor))
    }
}

impl AsFd for AsyncInjector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.injector.as_fd()
    }
}

impl From<Injector> for AsyncInjector {
    fn from(injector: Injector) -> Self {
        Self { injector, reactor: None }
    }
}
