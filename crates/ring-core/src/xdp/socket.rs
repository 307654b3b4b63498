//! An AF_XDP socket on a queue of an interface.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::batch::Batch;
use super::builder::{Direction, SocketBuilder};
use super::endpoint::Endpoint;
use super::error::Error;
use super::frame::Frame;
use super::program::{Mode, Program};
use super::receiver::Receiver;
use super::sender::{SendRejected, Sender};
use super::umem::Umem;
use crate::{Interrupter, LinkType, Next, PacketSource, Statistics, Timeout};

/// An AF_XDP socket. It receives packets from one queue of an interface, sends them, or both,
/// bypassing the kernel's stack.
///
/// ```no_run
/// use ring_core::{Next, PacketBatch as _, PacketSource as _, Timeout, xdp};
///
/// let mut socket = xdp::Socket::open("eth0", 0)?;
/// while let Next::Batch(batch) = socket.next_batch(Timeout::Never)? {
///     for packet in batch.packets() {
///         println!("{} {} bytes", packet.timestamp(), packet.data().len());
///     }
/// } // dropping the batch returns its frames to the kernel
/// # Ok::<(), ring_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Socket {
    pub(crate) receiver: Option<Receiver>,
    pub(crate) sender: Option<Sender>,
}

/// The settings that an open socket actually has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// `true` if the device accesses the frames directly, without a copy.
    pub zero_copy: bool,
    /// `true` if packets may span frames.
    pub multi_buffer: bool,
    /// The mode in which the program runs. `None` without a program, and for one that was attached
    /// elsewhere.
    pub mode: Option<Mode>,
}

impl Socket {
    /// Opens a socket on a queue for receiving and sending, with the defaults of
    /// [`builder`](Self::builder).
    ///
    /// # Errors
    /// As [`SocketBuilder::open`].
    pub fn open(interface: &str, queue: u32) -> Result<Self, Error> {
        Self::builder(interface).queue(queue).open()
    }

    /// Returns the settings of a socket.
    pub fn builder(interface: &str) -> SocketBuilder {
        SocketBuilder::new(interface)
    }

    /// The settings that the socket actually has: zero-copy or not, the program's mode.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let endpoint = self.endpoint();
        Outcome {
            zero_copy: endpoint.zero_copy,
            multi_buffer: endpoint.multi_buffer,
            mode: self.program().and_then(Program::mode),
        }
    }

    /// The program that redirects packets to this socket.
    #[must_use]
    pub fn program(&self) -> Option<&Program> {
        self.endpoint().entry.as_ref().map(|entry| entry.program())
    }

    /// The queue, counted from 0.
    #[must_use]
    pub fn queue(&self) -> u32 {
        self.endpoint().queue
    }

    /// The interface's index.
    #[must_use]
    pub fn interface(&self) -> u32 {
        self.endpoint().index
    }

    /// The packet memory.
    #[must_use]
    pub fn umem(&self) -> Umem {
        Umem { shared: self.endpoint().umem.clone() }
    }

    /// The receiving half.
    ///
    /// # Errors
    /// [`Error::WrongDirection`] for a socket that only sends.
    pub fn receiver(&mut self) -> Result<&mut Receiver, Error> {
        self.receiver.as_mut().ok_or(Error::WrongDirection { direction: Direction::Receive })
    }

    /// The sending half.
    ///
    /// # Errors
    /// [`Error::WrongDirection`] for a socket that only receives.
    pub fn sender(&mut self) -> Result<&mut Sender, Error> {
        self.sender.as_mut().ok_or(Error::WrongDirection { direction: Direction::Send })
    }

    /// Both halves at once, for example to answer packets of a batch that is still borrowed.
    ///
    /// # Errors
    /// [`Error::WrongDirection`].
    pub fn halves(&mut self) -> Result<(&mut Receiver, &mut Sender), Error> {
        match (&mut self.receiver, &mut self.sender) {
            (Some(receiver), Some(sender)) => Ok((receiver, sender)),
            (None, _) => Err(Error::WrongDirection { direction: Direction::Receive }),
            (_, None) => Err(Error::WrongDirection { direction: Direction::Send }),
        }
    }

    /// Splits into the two halves, for two threads.
    #[must_use]
    pub fn split(self) -> (Option<Receiver>, Option<Sender>) {
        (self.receiver, self.sender)
    }

    /// Returns an empty frame to be filled and sent, as [`Sender::frame`].
    ///
    /// # Errors
    /// As [`Sender::frame`], and [`Error::WrongDirection`].
    pub fn frame(&mut self) -> Result<Option<Frame>, Error> {
        self.sender()?.frame()
    }

    /// Queues a packet, as [`Sender::send`].
    ///
    /// # Errors
    /// As [`Sender::send`], and [`Error::WrongDirection`].
    pub fn send(&mut self, frame: Frame) -> Result<(), SendRejected> {
        match &mut self.sender {
            Some(sender) => sender.send(frame),
            None => Err(SendRejected {
                frame,
                reason: super::sender::RejectReason::Refused(Error::WrongDirection {
                    direction: Direction::Send,
                }),
            }),
        }
    }

    /// Copies a packet into frames and queues it, as [`Sender::send_bytes`].
    ///
    /// # Errors
    /// As [`Sender::send_bytes`], and [`Error::WrongDirection`].
    pub fn send_bytes(&mut self, packet: &[u8]) -> Result<bool, Error> {
        self.sender()?.send_bytes(packet)
    }

    /// Hands queued packets to the kernel, as [`Sender::flush`].
    ///
    /// # Errors
    /// As [`Sender::flush`], and [`Error::WrongDirection`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.sender()?.flush()
    }

    /// Totals of received packets.
    ///
    /// # Errors
    /// If the kernel refuses to report them, and [`Error::WrongDirection`].
    pub fn statistics(&self) -> Result<Statistics, crate::Error> {
        let receiver = self
            .receiver
            .as_ref()
            .ok_or(Error::WrongDirection { direction: Direction::Receive })?;
        Ok(receiver.totals()?)
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        match (&self.receiver, &self.sender) {
            (Some(receiver), _) => &receiver.endpoint,
            (None, Some(sender)) => &sender.endpoint,
            (None, None) => unreachable!("a socket has one half at least"),
        }
    }
}

/// A socket that only sends returns [`Error::WrongDirection`]. Queued packets are flushed before
/// the wait.
impl PacketSource for Socket {
    type Batch<'a> = Batch<'a>;
    type Error = crate::Error;

    #[inline]
    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Batch<'_>>, crate::Error> {
        if let Some(sender) = &mut self.sender
            && sender.is_staged()
        {
            sender.flush()?;
        }
        match &mut self.receiver {
            Some(receiver) => receiver.next_batch(timeout),
            None => Err(Error::WrongDirection { direction: Direction::Receive }.into()),
        }
    }

    fn statistics(&mut self) -> Result<Statistics, crate::Error> {
        Self::statistics(self)
    }

    fn link_type(&self) -> Option<LinkType> {
        Some(self.endpoint().link_type)
    }

    fn is_live(&self) -> bool {
        true
    }

    fn interrupter(&self) -> Option<Interrupter> {
        self.receiver.as_ref()?.interrupter()
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        self.receiver.as_ref()?.readiness()
    }
}

/// The socket's own descriptor, for options that this crate does not offer. For waiting, use
/// [`readiness`](PacketSource::readiness).
impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.endpoint().descriptor() {
            Some(descriptor) => descriptor,
            None => unreachable!("only tests have no socket"),
        }
    }
}
