//! An injector whose waits are awaited.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::coop;

use super::{
    Injector, InjectorBuilder, LONGEST_WAIT, Rejection, SHORTEST_WAIT, SentTimestamp, Slot, Stall,
};
use crate::error::system;
use crate::{Error, LinkType, Packet, SinkStatistics, Timeout, reactor};

/// An [`Injector`] whose waits are awaited.
///
/// It enters the reactor of the runtime in which it first has to wait, which needs I/O and time enabled. An interface
/// that takes everything does not starve other tasks: each frame counts against the task's budget. Nothing is allocated
/// per frame.
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
    /// A second descriptor of the socket.
    reactor: Option<AsyncFd<OwnedFd>>,
}

impl AsyncInjector {
    /// Sends through an interface with the defaults.
    ///
    /// # Errors
    /// As [`InjectorBuilder::open`].
    pub fn open(interface: &str) -> Result<Self, Error> {
        Injector::open(interface).map(Self::from)
    }

    /// Sets up an injector, whose end is [`InjectorBuilder::open_async`].
    pub fn builder(interface: &str) -> InjectorBuilder {
        Injector::builder(interface)
    }

    /// A place for a frame of `len` bytes, once there is one.
    ///
    /// Cancel-safe: where the future is dropped before it is ready, nothing was put in line.
    ///
    /// # Errors
    /// As [`Injector::reserve`]; [`Error::NoRuntime`] outside a runtime.
    ///
    /// # Panics
    /// In a runtime whose I/O or time is not enabled.
    pub async fn reserve(&mut self, len: usize) -> Result<Slot<'_>, Error> {
        self.injector.check_reservation(len)?;
        self.room().await?;
        Ok(Slot::new(&mut self.injector, len))
    }

    /// Puts a copy of a frame in line, once there is room.
    ///
    /// Cancel-safe: where the future is dropped before it is ready, the frame is not in line.
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

    /// Puts a packet in line, once there is room, as [`PacketSink::send`](crate::PacketSink::send) of [`Injector`] does.
    /// Cancel-safe as [`send_frame`](Self::send_frame).
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

    /// Hands everything in line to the kernel.
    ///
    /// Cancel-safe: where the future is dropped before it is ready, what was not handed over is still in line.
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

    /// The injector, for what is not awaited.
    #[must_use]
    pub fn injector(&self) -> &Injector {
        &self.injector
    }

    /// Leaves the reactor.
    #[must_use]
    pub fn into_injector(self) -> Injector {
        self.injector
    }

    /// Frames in line: committed, and not yet taken by the kernel.
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

    /// Takes the oldest time stamp of a frame that was sent: see [`Injector::take_timestamp`].
    ///
    /// # Errors
    /// As there.
    pub fn take_timestamp(&mut self) -> Result<Option<SentTimestamp>, Error> {
        self.injector.take_timestamp()
    }

    /// What frames start with.
    #[must_use]
    pub fn link_type(&self) -> LinkType {
        self.injector.link_type()
    }

    /// Waits for a free place.
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

    /// Waits until the socket says that there is room. It may have said so before the kernel was asked last, and then says
    /// nothing more: so not for ever.
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

impl From<Injector> for AsyncInjector {
    fn from(injector: Injector) -> Self {
        Self { injector, reactor: None }
    }
}

impl InjectorBuilder {
    /// Opens the injector to be awaited.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_async(self) -> Result<AsyncInjector, Error> {
        self.open().map(AsyncInjector::from)
    }
}
