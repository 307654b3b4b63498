//! An AF_XDP socket on a queue of an interface.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::batch::XdpBatch;
use super::builder::XdpSocketBuilder;
use super::endpoint::Endpoint;
use super::error::XdpError;
use super::frame::XdpFrame;
use super::program::{XdpMode, XdpProgram};
use super::receiver::XdpReceiver;
use super::sender::{SendRejected, XdpSender};
use super::umem::Umem;
use crate::{Error, Interrupter, LinkType, Next, PacketSource, Statistics, Timeout};

/// An AF_XDP socket. It receives packets from one queue of an interface, sends them, or both,
/// bypassing the kernel's stack.
///
/// ```no_run
/// use ring_core::{Next, PacketBatch as _, PacketSource as _, Timeout, XdpSocket};
///
/// let mut socket = XdpSocket::open("eth0", 0)?;
/// while let Next::Batch(batch) = socket.next_batch(Timeout::Never)? {
///     for packet in batch.packets() {
///         println!("{} {} bytes", packet.timestamp(), packet.data().len());
///     }
/// } // dropping the batch returns its frames to the kernel
/// # Ok::<(), ring_core::Error>(())
/// ```
#[derive(Debug)]
pub struct XdpSocket {
    pub(crate) receiver: Option<XdpReceiver>,
    pub(crate) sender: Option<XdpSender>,
}

/// The settings that an open socket actually has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct XdpOutcome {
    /// `true` if the device accesses the frames directly, without a copy.
    pub zero_copy: bool,
    /// `true` if packets may span frames.
    pub multi_buffer: bool,
    /// The mode in which the program runs. `None` without a program, and for one that was attached
    /// elsewhere.
    pub mode: Option<XdpMode>,
}

impl XdpSocket {
    /// Opens a socket on a queue for receiving and sending, with the defaults of
    /// [`builder`](Self::builder).
    ///
    /// # Errors
    /// As [`XdpSocketBuilder::open`].
    pub fn open(interface: &str, queue: u32) -> Result<Self, XdpError> {
        Self::builder(interface).queue(queue).open()
    }

    /// Returns the settings of a socket.
    pub fn builder(interface: &str) -> XdpSocketBuilder {
        XdpSocketBuilder::new(interface)
    }

    /// The settings that the socket actually has: zero-copy or not, the program's mode.
    #[must_use]
    pub fn outcome(&self) -> XdpOutcome {
        let endpoint = self.endpoint();
        XdpOutcome {
            zero_copy: endpoint.zero_copy,
            multi_buffer: endpoint.multi_buffer,
            mode: self.program().and_then(XdpProgram::mode),
        }
    }

    /// The program that redirects packets to this socket.
    #[must_use]
    pub fn program(&self) -> Option<&XdpProgram> {
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
    /// [`XdpError::WrongDirection`] for a socket that only sends.
    pub fn receiver(&mut self) -> Result<&mut XdpReceiver, XdpError> {
        self.receiver.as_mut().ok_or(XdpError::WrongDirection("receive"))
    }

    /// The sending half.
    ///
    /// # Errors
    /// [`XdpError::WrongDirection`] for a socket that only receives.
    pub fn sender(&mut self) -> Result<&mut XdpSender, XdpError> {
        self.sender.as_mut().ok_or(XdpError::WrongDirection("send"))
    }

    /// Both halves at once, for example to answer packets of a batch that is still borrowed.
    ///
    /// # Errors
    /// [`XdpError::WrongDirection`].
    pub fn halves(&mut self) -> Result<(&mut XdpReceiver, &mut XdpSender), XdpError> {
        match (&mut self.receiver, &mut self.sender) {
            (Some(receiver), Some(sender)) => Ok((receiver, sender)),
            (None, _) => Err(XdpError::WrongDirection("receive")),
            (_, None) => Err(XdpError::WrongDirection("send")),
        }
    }

    /// Splits into the two halves, for two threads.
    #[must_use]
    pub fn split(self) -> (Option<XdpReceiver>, Option<XdpSender>) {
        (self.receiver, self.sender)
    }

    /// Returns an empty frame to be filled and sent, as [`XdpSender::frame`].
    ///
    /// # Errors
    /// As [`XdpSender::frame`], and [`XdpError::WrongDirection`].
    pub fn frame(&mut self) -> Result<Option<XdpFrame>, XdpError> {
        self.sender()?.frame()
    }

    /// Queues a packet, as [`XdpSender::send`].
    ///
    /// # Errors
    /// As [`XdpSender::send`], and [`XdpError::WrongDirection`].
    pub fn send(&mut self, frame: XdpFrame) -> Result<(), SendRejected> {
        match &mut self.sender {
            Some(sender) => sender.send(frame),
            None => Err(SendRejected {
                frame,
                reason: super::sender::RejectReason::Refused(XdpError::WrongDirection("send")),
            }),
        }
    }

    /// Copies a packet into frames and queues it, as [`XdpSender::send_bytes`].
    ///
    /// # Errors
    /// As [`XdpSender::send_bytes`], and [`XdpError::WrongDirection`].
    pub fn send_bytes(&mut self, packet: &[u8]) -> Result<bool, XdpError> {
        self.sender()?.send_bytes(packet)
    }

    /// Hands queued packets to the kernel, as [`XdpSender::flush`].
    ///
    /// # Errors
    /// As [`XdpSender::flush`], and [`XdpError::WrongDirection`].
    pub fn flush(&mut self) -> Result<(), XdpError> {
        self.sender()?.flush()
    }

    /// Totals of received packets.
    ///
    /// # Errors
    /// If the kernel refuses to report them, and [`XdpError::WrongDirection`].
    pub fn statistics(&self) -> Result<Statistics, Error> {
        let receiver = self.receiver.as_ref().ok_or(XdpError::WrongDirection("receive"))?;
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

/// A socket that only sends returns [`XdpError::WrongDirection`]. Queued packets are flushed before
/// the wait.
impl PacketSource for XdpSocket {
    type Batch<'a> = XdpBatch<'a>;

    #[inline]
    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<XdpBatch<'_>>, Error> {
        if let Some(sender) = &mut self.sender
            && sender.is_staged()
        {
            sender.flush()?;
        }
        match &mut self.receiver {
            Some(receiver) => receiver.next_batch(timeout),
            None => Err(XdpError::WrongDirection("receive").into()),
        }
    }

    fn statistics(&mut self) -> Result<Statistics, Error> {
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
impl AsFd for XdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.endpoint().descriptor() {
            Some(descriptor) => descriptor,
            None => unreachable!("only tests have no socket"),
        }
    }
}
