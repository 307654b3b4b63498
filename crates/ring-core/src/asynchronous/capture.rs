//! A capture whose waits are awaited.

use std::fmt;
use std::future::poll_fn;
use std::os::fd::{AsFd as _, OwnedFd};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::coop;

use super::stream::PacketStream;
use crate::capture::{Arrivals, Found, Taken};
use crate::error::system;
use crate::reactor;
use crate::{
    Block, Capture, CaptureBuilder, Error, Interrupter, IntoPacketSource, LinkType, Statistics,
};

/// A [`Capture`] whose waits are awaited.
///
/// It enters the reactor of the runtime in which it is first awaited, which needs I/O enabled
/// (`tokio::runtime::Builder::enable_io`). A busy link does not starve other tasks: each block counts against the
/// task's budget.
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

/// What the reactor waits for.
struct Reactor {
    arrivals: Arrivals,
    /// Second descriptors of the arrivals, and of what the capture waits with for all else.
    blocks: AsyncFd<OwnedFd>,
    others: AsyncFd<OwnedFd>,
}

impl AsyncCapture {
    /// Captures from an interface with the defaults; `any` is all interfaces.
    ///
    /// # Errors
    /// As [`CaptureBuilder::open`].
    pub fn open(interface: &str) -> Result<Self, Error> {
        Capture::open(interface).map(Self::from)
    }

    /// Sets up a capture, whose end is [`CaptureBuilder::open_async`].
    pub fn builder(interface: &str) -> CaptureBuilder {
        Capture::builder(interface)
    }

    /// Waits for the next block; `None` when an [`Interrupter`] ended the wait.
    ///
    /// Cancel-safe: where the future is dropped before it is ready, no block has been taken.
    ///
    /// # Errors
    /// As [`Capture::next_block`]; [`Error::NoRuntime`] outside a runtime.
    ///
    /// # Panics
    /// In a runtime whose I/O is not enabled.
    pub async fn next_block(&mut self) -> Result<Option<Block<'_>>, Error> {
        let found = poll_fn(|cx| self.poll_found(cx)).await?;
        Ok(found.map(|taken| self.lend(taken)))
    }

    /// The packets as a stream of packets that own their bytes.
    pub fn into_packets(self) -> PacketStream {
        PacketStream::new(self)
    }

    /// Leaves the reactor.
    #[must_use]
    pub fn into_capture(mut self) -> Capture {
        // An error would come again, and be told, where somebody waits for a block.
        let _ = self.capture.wait_alone();
        self.capture
    }

    /// The capture, for what is not awaited.
    #[must_use]
    pub fn capture(&self) -> &Capture {
        &self.capture
    }

    /// The link type of the packets, `None` where each has its own.
    #[must_use]
    pub fn link_type(&self) -> Option<LinkType> {
        crate::PacketSource::link_type(&self.capture)
    }

    /// Ends this capture's waits from other tasks and threads.
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

    /// Puts another filter in place of the present one.
    ///
    /// # Errors
    /// As [`Capture::set_filter`].
    pub fn set_filter(&mut self, filter: impl Into<crate::CaptureFilter>) -> Result<(), Error> {
        self.capture.set_filter(filter)
    }

    /// The block that [`poll_found`](Self::poll_found) found.
    pub(crate) fn lend(&mut self, taken: Taken) -> Block<'_> {
        self.capture.lend(taken)
    }

    /// Looks for a block, and has the task woken when there may be one. `None` for an interruption.
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
            let Reactor { arrivals, blocks, others } = match &mut self.reactor {
                Some(reactor) => reactor,
                none => none.insert(Reactor::enter(&mut self.capture)?),
            };
            // Both are cleared before the next look: what comes after it makes them ready again.
            if let Poll::Ready(ready) = blocks.poll_read_ready(cx) {
                ready.map_err(system("wait for packets"))?.clear_ready();
                arrivals.woke();
            } else if let Poll::Ready(ready) = others.poll_read_ready(cx) {
                ready.map_err(system("wait for packets"))?.clear_ready();
                self.capture.take_events()?;
            } else {
                let Some(taken) = self.capture.prepare_to_wait(arrivals)? else {
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
        let arrivals = capture.arrivals()?;
        let blocks = reactor::enter(arrivals.as_fd(), Interest::READABLE)?;
        let others = reactor::enter(capture.waiter(), Interest::READABLE)?;
        Ok(Self { arrivals, blocks, others })
    }
}

impl From<Capture> for AsyncCapture {
    fn from(capture: Capture) -> Self {
        Self { capture, reactor: None }
    }
}

/// Leaves the reactor: what takes the source over waits on its own.
impl IntoPacketSource for AsyncCapture {
    type Source = Capture;

    fn into_packet_source(self) -> Result<Capture, Error> {
        Ok(self.into_capture())
    }
}

impl CaptureBuilder {
    /// Opens the capture to be awaited.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_async(self) -> Result<AsyncCapture, Error> {
        self.open().map(AsyncCapture::from)
    }
}

impl fmt::Debug for AsyncCapture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncCapture").field(&self.capture).finish()
    }
}
