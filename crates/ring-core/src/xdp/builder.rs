//! What can be chosen of a socket. How it is then opened is in [`opening`](super::opening).

use std::time::Duration;

use packet_filter::{Filter, Options};

use super::error::XdpError;
use super::program::{Wanted, XdpAttach, XdpProgram};
use super::steering::{Steering, hardware_type};
use super::umem::{Umem, UmemConfig};
use super::waiting::XdpWait;

/// Which way packets go through a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum XdpDirection {
    /// Both ways.
    #[default]
    Both,
    /// From the interface only.
    Receive,
    /// To the interface only: no program is attached.
    Send,
}

/// Whether the device reads and writes the frames itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ZeroCopy {
    /// Where the driver can; [`XdpOutcome::zero_copy`](super::XdpOutcome::zero_copy) tells.
    #[default]
    Wanted,
    /// An error where the driver cannot.
    Required,
    /// Packets are copied, whatever the driver can.
    Forbidden,
}

/// Whether packets may span frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MultiBuffer {
    /// Where packets longer than a frame are to be expected (the MTU, generic mode), the kernel can (Linux 6.6) and
    /// zero-copy is not required.
    #[default]
    Auto,
    /// Yes.
    On,
    /// No: packets longer than a frame are dropped, and counted.
    Off,
}

/// Everything that can be chosen of an [`XdpSocket`](super::XdpSocket).
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `open`"]
pub struct XdpSocketBuilder {
    pub(crate) interface: String,
    pub(crate) queue: u32,
    pub(crate) direction: XdpDirection,
    pub(crate) ring_size: u32,
    pub(crate) fill_target: Option<u32>,
    pub(crate) memory: UmemConfig,
    pub(crate) umem: Option<Umem>,
    pub(crate) zero_copy: ZeroCopy,
    pub(crate) multi_buffer: MultiBuffer,
    pub(crate) need_wakeup: bool,
    pub(crate) busy_poll: Option<(Duration, u16)>,
    pub(crate) wait: XdpWait,
    pub(crate) busy_retry: Duration,
    pub(crate) program: Option<XdpProgram>,
    pub(crate) key: Option<u32>,
    pub(crate) wanted: Wanted,
    /// What is steered to the socket, as it was written.
    steering: Option<(Filter, Options)>,
    pub(crate) promiscuous: bool,
    pub(crate) reopen: bool,
}

impl XdpSocketBuilder {
    pub(crate) fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            queue: 0,
            direction: XdpDirection::Both,
            ring_size: 2048,
            fill_target: None,
            memory: UmemConfig::new(),
            umem: None,
            zero_copy: ZeroCopy::Wanted,
            multi_buffer: MultiBuffer::Auto,
            need_wakeup: true,
            busy_poll: None,
            wait: XdpWait::default(),
            busy_retry: Duration::from_millis(500),
            program: None,
            key: None,
            wanted: Wanted::default(),
            steering: None,
            promiscuous: false,
            reopen: false,
        }
    }

    /// The queue, 0 at first. Which packets come on which queue is up to the interface (`ethtool -x`).
    pub fn queue(mut self, queue: u32) -> Self {
        self.queue = queue;
        self
    }

    /// Which way packets go, both at first.
    pub fn direction(mut self, direction: XdpDirection) -> Self {
        self.direction = direction;
        self
    }

    /// Entries of each ring, a power of two; 2,048 at first.
    pub fn ring_size(mut self, entries: u32) -> Self {
        self.ring_size = entries;
        self
    }

    /// How many frames the kernel is to have for receiving, at most as many as the ring has entries. At first that
    /// many, or half of the memory's frames if those are fewer.
    pub fn fill_target(mut self, frames: u32) -> Self {
        self.fill_target = Some(frames);
        self
    }

    /// How the socket's own packet memory is made.
    pub fn memory(mut self, config: UmemConfig) -> Self {
        self.memory = config;
        self.umem = None;
        self
    }

    /// Uses this packet memory, which other sockets may use as well: on the same queue, on other queues, on other
    /// interfaces. Whether packets are copied and may span frames is then decided by the first of them.
    ///
    /// Sockets on one queue have its fill ring and its completion ring in common, which are as long as the first of them
    /// wanted. Any number may send. Only one receives, unless a program of your own spreads the queue's packets: see
    /// [`key`](Self::key).
    pub fn umem(mut self, umem: &Umem) -> Self {
        self.umem = Some(umem.clone());
        self
    }

    /// Whether the device reads and writes the frames itself.
    pub fn zero_copy(mut self, zero_copy: ZeroCopy) -> Self {
        self.zero_copy = zero_copy;
        self
    }

    /// Whether packets may span frames.
    pub fn multi_buffer(mut self, multi_buffer: MultiBuffer) -> Self {
        self.multi_buffer = multi_buffer;
        self
    }

    /// Whether the kernel says when it must be woken, which saves system calls; yes at first.
    pub fn need_wakeup(mut self, need_wakeup: bool) -> Self {
        self.need_wakeup = need_wakeup;
        self
    }

    /// Polls the device from this process instead of waiting for interrupts: for so long at a time, so many packets at
    /// most. It needs `napi_defer_hard_irqs` and `gro_flush_timeout` of the interface to be set (see
    /// `Documentation/networking/napi.rst`), and Linux 5.11.
    pub fn busy_poll(mut self, time: Duration, packets: u16) -> Self {
        self.busy_poll = Some((time, packets));
        self
    }

    /// How the receiver waits.
    pub fn wait(mut self, wait: XdpWait) -> Self {
        self.wait = wait;
        self
    }

    /// For how long a queue that is taken is tried again, 500 ms at first: a socket that was closed keeps its queue for
    /// some milliseconds.
    pub fn busy_retry(mut self, time: Duration) -> Self {
        self.busy_retry = time;
        self
    }

    /// Takes what is addressed to others, too. The interface stays in promiscuous mode until the last socket that wants it
    /// so is dropped.
    pub fn promiscuous(mut self, promiscuous: bool) -> Self {
        self.promiscuous = promiscuous;
        self
    }

    /// In an [`XdpGroup`](super::XdpGroup) or an [`XdpTap`](super::XdpTap): opens the sockets again when the MTU of an
    /// interface was raised and they have no room for the packets of now, with frames that have. It is noticed within half
    /// a second; what comes in the milliseconds in between goes to the host. It takes the privileges of opening, in a thread
    /// that is in the interface's network namespace. Without this the kernel drops packets that are too long, and counts
    /// them ([`Statistics::drops`](crate::Statistics::drops)).
    pub fn reopen(mut self, reopen: bool) -> Self {
        self.reopen = reopen;
        self
    }

    /// In which mode the program is attached.
    pub fn attach(mut self, attach: XdpAttach) -> Self {
        self.wanted.attach = attach;
        self
    }

    /// Only packets that pass this filter come to the socket; all others go on to the kernel's stack. It is part of the
    /// program, and so the same for all sockets of this process on the interface.
    ///
    /// It sees the first part of a packet that spans frames (a page or so), and VLAN tags as they are in the frame: an
    /// adapter that takes them off hides them from it.
    ///
    /// # Errors
    /// [`XdpError::Filter`] for what cannot be said in an XDP program.
    pub fn steer(self, filter: &Filter) -> Result<Self, XdpError> {
        self.steer_with(filter, Options::file())
    }

    /// As [`steer`](Self::steer), with settings of the compilation. The filter is compiled when the socket is opened, for
    /// the link type that the interface has then.
    ///
    /// # Errors
    /// As [`steer`](Self::steer), for the link type that the interface has now.
    pub fn steer_with(mut self, filter: &Filter, options: Options) -> Result<Self, XdpError> {
        self.steering = filter.expression().is_some().then(|| (filter.clone(), options));
        self.steering(hardware_type(&self.interface))?;
        Ok(self)
    }

    /// The code of the filter for an interface of this hardware type; `None` if every packet passes.
    pub(crate) fn steering(&self, hardware_type: u16) -> Result<Option<Steering>, XdpError> {
        let compile = |(filter, options)| Steering::new(filter, options, hardware_type);
        self.steering.as_ref().map(|(filter, options)| (filter, options)).map(compile).transpose()
    }

    /// Takes off somebody else's program that is on the interface. Without this such a program is an error.
    pub fn replace_program(mut self, replace: bool) -> Self {
        self.wanted.replace = replace;
        self
    }

    /// Uses this program instead of one of our own: somebody else's, or that of another socket.
    pub fn program(mut self, program: &XdpProgram) -> Self {
        self.program = Some(program.clone());
        self
    }

    /// Under which number the socket stands in the map of the program, that of its queue at first. To be chosen where
    /// somebody else's program tells the sockets of one queue apart; our own knows queues alone. Where several are to
    /// receive from one queue, the first that is opened on it must have such a number, too.
    pub fn key(mut self, key: u32) -> Self {
        self.key = Some(key);
        self
    }
}
