//! Asynchronous bridges.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::coop;

use super::{Bridge, BridgeStatistics, STALLED, Transit, Verdict};
use crate::asynchronous::AsyncBridgeBuilder;
use crate::error::system;
use crate::{Error, Interrupter, Next, reactor};

/// A [`Bridge`] with asynchronous waits. The task that awaits it forwards the packets. A busy link
/// does not starve other tasks, since each round counts against the task's budget.
///
/// It registers with the reactor of the runtime in which it is first awaited, which needs I/O and
/// time enabled.
///
/// ```no_run
/// use ring_core::{AsyncBridge, Verdict};
///
/// # async fn example() -> Result<(), ring_core::Error> {
/// let mut bridge = AsyncBridge::open("eth0", "eth1")?;
/// bridge.run(|_| Verdict::Forward).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncBridge {
    bridge: Bridge,
    /// A duplicate of the descriptor that the bridge waits with.
    reactor: Option<AsyncFd<OwnedFd>>,
}

impl AsyncBridge {
    /// Joins two interfaces with the defaults. Blocks the calling thread for some milliseconds;
    /// [`builder`](Self::builder) opens without blocking.
    ///
    /// # Errors
    /// As [`BridgeBuilder::open`](super::BridgeBuilder::open).
    pub fn open(left: &str, right: &str) -> Result<Self, Error> {
        Bridge::open(left, right).map(Self::from)
    }

    /// Returns the settings of an asynchronous bridge.
    pub fn builder(left: &str, right: &str) -> AsyncBridgeBuilder {
        Bridge::builder(left, right).into()
    }

    /// Forwards until an [`Interrupter`] ends it. Cancel-safe: each packet is either forwarded or
    /// still in the receive ring.
    ///
    /// # Errors
    /// As [`Bridge::run`]; [`Error::NoRuntime`] outside a runtime.
    ///
    /// # Panics
    /// In a runtime without I/O and time enabled.
    pub async fn run(
        &mut self,
        mut verdict: impl FnMut(&mut Transit<'_>) -> Verdict,
    ) -> Result<BridgeStatistics, Error> {
        while !matches!(self.forward(&mut verdict).await?, Next::Interrupted) {}
        self.bridge.statistics()
    }

    /// Waits for packets and forwards them once, as [`Bridge::forward`]. Cancel-safe.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub async fn forward(
        &mut self,
        mut verdict: impl FnMut(&mut Transit<'_>) -> Verdict,
    ) -> Result<Next<u64>, Error> {
        loop {
            coop::consume_budget().await;
            if self.bridge.interruption.take() {
                return Ok(Next::Interrupted);
            }
            let packets = self.bridge.pump(&mut verdict)?;
            if packets > 0 {
                return Ok(Next::Batch(packets));
            }
            if self.bridge.stalled {
                tokio::time::sleep(STALLED).await;
                continue;
            }
            let mut ready = self.reactor()?.readable().await.map_err(system("wait for packets"))?;
            // Cleared before the events are taken and the rings examined, so any later event makes
            // it ready again.
            ready.clear_ready();
            let poller = &self.bridge.poller;
            poller.wait(Some(Duration::ZERO), |_| {}).map_err(system("wait for packets"))?;
        }
    }

    /// Totals since the bridge was opened.
    ///
    /// # Errors
    /// As [`Bridge::statistics`].
    pub fn statistics(&mut self) -> Result<BridgeStatistics, Error> {
        self.bridge.statistics()
    }

    /// A handle that ends [`run`](Self::run) and [`forward`](Self::forward) from other tasks and
    /// threads.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.bridge.interrupter()
    }

    /// Leaves the reactor and returns the blocking bridge.
    #[must_use]
    pub fn into_bridge(self) -> Bridge {
        self.bridge
    }

    fn reactor(&mut self) -> Result<&AsyncFd<OwnedFd>, Error> {
        let reactor = match self.reactor.take() {
            Some(reactor) => reactor,
            None => reactor::enter(self.bridge.poller.as_fd(), Interest::READABLE)?,
        };
        Ok(self.reactor.insert(reactor))
    }
}

impl From<Bridge> for AsyncBridge {
    fn from(bridge: Bridge) -> Self {
        Self { bridge, reactor: None }
    }
}
