//! Asynchronous AF_XDP sockets.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::coop;

use super::batch::Batch;
use super::builder::Direction;
use super::error::Error;
use super::poll::Woken;
use super::sender::Sender;
use super::socket::Socket;
use crate::asynchronous::AsyncSocketBuilder;
use crate::error::system;
use crate::{Interrupter, IntoPacketSource, PacketSource as _, Statistics, Timeout, reactor};

/// An [`Socket`] with asynchronous waits.
///
/// It registers with the reactor of the runtime in which it is first awaited, which needs I/O
/// enabled. A busy link does not starve other tasks, since each batch counts against the task's
/// budget.
///
/// ```no_run
/// use ring_core::{PacketBatch as _, xdp};
///
/// # async fn example() -> Result<(), ring_core::Error> {
/// let mut socket = xdp::AsyncSocket::builder("eth0").open().await?;
/// while let Some(batch) = socket.next_batch().await? {
///     for packet in batch.packets() {
///         println!("{} {} bytes", packet.timestamp(), packet.data().len());
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncSocket {
    socket: Socket,
    /// A duplicate of the descriptor that the socket waits with.
    reactor: Option<AsyncFd<OwnedFd>>,
}

impl AsyncSocket {
    /// Returns the settings of an asynchronous socket.
    pub fn builder(interface: &str) -> AsyncSocketBuilder {
        Socket::builder(interface).into()
    }

    /// Waits for the next batch. `None` if an [`Interrupter`] ended the wait.
    ///
    /// Cancel-safe: if the future is dropped before it is ready, no packet was taken. Queued
    /// packets are flushed before the wait.
    ///
    /// # Errors
    /// As [`PacketSource::next_batch`](crate::PacketSource::next_batch);
    /// [`Error::NoRuntime`](crate::Error::NoRuntime) outside a runtime.
    ///
    /// # Panics
    /// In a runtime without I/O enabled.
    pub async fn next_batch(&mut self) -> Result<Option<Batch<'_>>, crate::Error> {
        if let Some(sender) = &mut self.socket.sender
            && sender.is_staged()
        {
            sender.flush()?;
        }
        let found = poll_fn(|cx| self.poll_taken(cx)).await?;
        if !found {
            return Ok(None);
        }
        Ok(Some(self.socket.receiver()?.lend()))
    }

    /// The sending half. Its calls do not wait, except for those that take a timeout.
    ///
    /// # Errors
    /// [`Error::WrongDirection`].
    pub fn sender(&mut self) -> Result<&mut Sender, Error> {
        self.socket.sender()
    }

    /// The blocking socket, for operations that do not wait.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Leaves the reactor and returns the blocking socket.
    #[must_use]
    pub fn into_socket(self) -> Socket {
        self.socket
    }

    /// A handle that ends this socket's waits from other tasks and threads. `None` for a socket
    /// that only sends.
    #[must_use]
    pub fn interrupter(&self) -> Option<Interrupter> {
        self.socket.interrupter()
    }

    /// Totals since the socket was opened.
    ///
    /// # Errors
    /// As [`PacketSource::statistics`](crate::PacketSource::statistics).
    pub fn statistics(&self) -> Result<Statistics, crate::Error> {
        self.socket.statistics()
    }

    /// Receives packets and registers the task to be woken when there may be some. `false` if
    /// interrupted.
    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, crate::Error>> {
        let budget = ready!(coop::poll_proceed(cx));
        loop {
            // Done first, so that the socket knows that its descriptor is waited for.
            self.reactor()?;
            match self.socket.receiver()?.take(Timeout::Now)? {
                Woken::Packets => {
                    budget.made_progress();
                    return Poll::Ready(Ok(true));
                }
                Woken::Interrupted => return Poll::Ready(Ok(false)),
                Woken::TimedOut => {}
            }
            // Readiness is cleared before the next look, which takes all events, so any later event
            // makes it ready again.
            ready!(self.reactor()?.poll_read_ready(cx))
                .map_err(system("wait for packets"))?
                .clear_ready();
        }
    }

    fn reactor(&mut self) -> Result<&AsyncFd<OwnedFd>, crate::Error> {
        let reactor = match self.reactor.take() {
            Some(reactor) => reactor,
            None => {
                let descriptor = self
                    .socket
                    .readiness()
                    .ok_or(Error::WrongDirection { direction: Direction::Receive })?;
                reactor::enter(descriptor, Interest::READABLE)?
            }
        };
        Ok(self.reactor.insert(reactor))
    }
}

impl From<Socket> for AsyncSocket {
    fn from(socket: Socket) -> Self {
        Self { socket, reactor: None }
    }
}

/// Leaves the reactor; the new owner of the source waits by itself.
impl IntoPacketSource for AsyncSocket {
    type Source = Socket;

    fn into_packet_source(self) -> Result<Socket, crate::Error> {
        Ok(self.into_socket())
    }
}
