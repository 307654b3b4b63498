//! Asynchronous captures.

use std::fmt;
use std::future::poll_fn;
use std::os::fd::{AsFd as _, OwnedFd};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::coop;

use crate::capture::{BlockWakeups, Found, Taken};
use crate::error::system;
use crate::reactor;
use crate::{
    AsyncCaptureBuilder, Block, Capture, Error, Interrupter, IntoPacketSource, LinkType, Statistics,
};

/// A [`Capture`] with asynchronous waits.
///
/// It registers with the reactor of the runtime in which it is first awaited. The runtime needs I/O
/// enabled (`tokio::runtime::Builder::enable_io`). A busy link does not starve other tasks, since
/// each block counts against the task's budget.
///
/// ```no_run
/// use ring_core::AsyncCapture;
///
/// # async fn example() -> Result<(), ring_core::Error> {
/// let mut capture = AsyncCapture::open("eth0")?;
/// while let Some(block) = capture.next_block().await? {
///     for packet in &block {
///         println!("{} {} bytes", packet.timestamp(), packet.data().len());
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct AsyncCapture {
    capture: Capture,
    reactor: Option<Reactor>,
}

/// The capture's registration with the reactor.
struct Reactor {
    wakeups: BlockWakeups,
    /// Duplicates of two descriptors: that of the wakeups, and that of all other events.
    blocks: AsyncFd<OwnedFd>,
    others: AsyncFd<OwnedFd>,
}

impl AsyncCapture {
    /// Captures from an interface with the defaults; `any` means all interfaces. Blocks the calling
    /// thread for some milliseconds; [`builder`](Self::builder) opens without blocking.
    ///
    /// # Errors
    /// As [`CaptureBuilder::open`](crate::CaptureBuilder::open).
    pub fn open(interface: &str) -> Result<Self, Error> {
        Capture::open(interface).map(Self::from)
    }

    /// Returns the settings of an asynchronous capture; `any` means all interfaces.
    pub fn builder(interface: &str) -> AsyncCaptureBuilder {
        Capture::builder(interface).into()
    }

    /// Waits for the next block. `None` if an [`Interrupter`] ended the wait.
    ///
    /// Cancel-safe: if the future is dropped before it is ready, no block was taken.
    ///
    /// # Errors
    /// As [`Capture::next_block`]; [`Error::NoRuntime`] outside a runtime.
    ///
    /// # Panics
    /// In a runtime without I/O enabled.
    pub async fn next_block(&mut self) -> Result<Option<Block<'_>>, Error> {
        let found = poll_fn(|cx| self.poll_found(cx)).await?;
        Ok(found.map(|taken| self.lend(taken)))
    }

    /// Leaves the reactor and returns the blocking capture.
    #[must_use]
    pub fn into_capture(mut self) -> Capture {
        // An error is ignored here; the next wait for a block returns it again.
        let _ = self.capture.wait_alone();
        self.capture
    }

    /// The blocking capture, for operations that do not wait.
    #[must_use]
    pub fn capture(&self) -> &Capture {
        &self.capture
    }

    /// The link type of the packets. `None` if each packet has its own.
    #[must_use]
    pub fn link_type(&self) -> Option<LinkType> {
        crate::PacketSource::link_type(&self.capture)
    }

    /// A handle that ends this capture's waits from other tasks and threads.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.capture.interrupter()
    }

    /// Totals since the capture was opened.
    ///
    /// # Errors
    /// As [`Capture::statistics`].
    pub fn statistics(&mut self) -> Result<Statistics, Error> {
        self.capture.statistics()
    }

    /// Replaces the filter.
    ///
    /// # Errors
    /// As [`Capture::set_filter`].
    pub fn set_filter(&mut self, filter: impl Into<crate::CaptureFilter>) -> Result<(), Error> {
        self.capture.set_filter(filter)
    }

    /// Returns the block that [`poll_found`](Self::poll_found) found.
    pub(crate) fn lend(&mut self, taken: Taken) -> Block<'_> {
        self.capture.lend(taken)
    }

    /// Looks for a block and registers the task to be woken when there may be one. `None` if
    /// interrupted.
    pub(crate) fn poll_found(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Taken>, Error>> {
        let budget = ready!(coop::poll_proceed(cx));
        loop {
            match self.capture.look()? {
                Found::Block(taken) => {
                    budget.made_progress();
                    return Poll::Ready(Ok(Some(taken)));
                }
                Found::Interrupted => return Poll::Ready(Ok(None)),
                Found::TimedOut => {}
            }
            let Reactor { wakeups, blocks, others } = match &mut self.reactor {
                Some(reactor) => reactor,
                none => none.insert(Reactor::enter(&mut self.capture)?),
            };
            // Both are cleared before the next look, so any later event makes them ready again.
            if let Poll::Ready(ready) = blocks.poll_read_ready(cx) {
                ready.map_err(system("wait for packets"))?.clear_ready();
                wakeups.woke();
            } else if let Poll::Ready(ready) = others.poll_read_ready(cx) {
                ready.map_err(system("wait for packets"))?.clear_ready();
                self.capture.take_events()?;
            } else {
                let Some(taken) = self.capture.prepare_to_wait(wakeups)? else {
                    return Poll::Pending;
                };
                budget.made_progress();
                return Poll::Ready(Ok(Some(taken)));
            }
        }
    }
}

impl Reactor {
    fn enter(capture: &mut Capture) -> Result<Self, Error> {
        let wakeups = capture.wakeups()?;
        let blocks = reactor::enter(wakeups.as_fd(), Interest::READABLE)?;
        let others = reactor::enter(capture.waiter(), Interest::READABLE)?;
        Ok(Self { wakeups, blocks, others })
    }
}

impl From<Capture> for AsyncCapture {
    fn from(capture: Capture) -> Self {
        Self { capture, reactor: None }
    }
}

/// Leaves the reactor; the new owner of the source waits by itself.
impl IntoPacketSource for AsyncCapture {
    type Source = Capture;

    fn into_packet_source(self) -> Result<Capture, Error> {
        Ok(self.into_capture())
    }
}

impl fmt::Debug for AsyncCapture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncCapture").field(&self.capture).finish()
    }
}
