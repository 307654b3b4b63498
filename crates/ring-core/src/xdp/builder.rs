//! Settings of a socket. [`opening`](super::opening) opens it.

use std::time::Duration;

use super::error::Error;
use super::program::{Attach, Program, Wanted};
use super::steering::{Steering, SteeringFilter};
use super::umem::{Umem, UmemConfig};
use crate::wait::Wait;

/// The directions in which a socket passes packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both directions.
    #[default]
    Both,
    /// Receives only.
    Receive,
    /// Sends only. No program is attached.
    Send,
}

/// The use of zero-copy, in which the device accesses the frames directly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ZeroCopy {
    /// If the driver supports it; [`Outcome::zero_copy`](super::Outcome::zero_copy) shows the
    /// result.
    #[default]
    Wanted,
    /// Fails if the driver does not support it.
    Required,
    /// Always copies packets.
    Forbidden,
}

/// The use of multi-buffer packets, which span frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MultiBuffer {
    /// If packets longer than a frame are expected (by the MTU or in generic mode), the kernel
    /// supports it (Linux 6.6), and zero-copy is not required.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never. Packets longer than a frame are dropped and counted.
    Off,
}

/// Settings of a [`Socket`](super::Socket).
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `open`"]
pub struct SocketBuilder {
    pub(crate) interface: String,
    pub(crate) queue: u32,
    pub(crate) direction: Direction,
    pub(crate) ring_size: u32,
    pub(crate) fill_target: Option<u32>,
    pub(crate) memory: UmemConfig,
    pub(crate) umem: Option<Umem>,
    pub(crate) zero_copy: ZeroCopy,
    pub(crate) multi_buffer: MultiBuffer,
    pub(crate) need_wakeup: bool,
    pub(crate) busy_poll: Option<(Duration, u16)>,
    pub(crate) wait: Wait,
    pub(crate) busy_retry: Duration,
    pub(crate) program: Option<Program>,
    pub(crate) key: Option<u32>,
    pub(crate) wanted: Wanted,
    /// The filter for packets to redirect to the socket.
    steering: Option<SteeringFilter>,
    pub(crate) promiscuous: bool,
    pub(crate) reopen: bool,
}

impl SocketBuilder {
    pub(crate) fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            queue: 0,
            direction: Direction::Both,
            ring_size: 2048,
            fill_target: None,
            memory: UmemConfig::new(),
            umem: None,
            zero_copy: ZeroCopy::Wanted,
            multi_buffer: MultiBuffer::Auto,
            need_wakeup: true,
            busy_poll: None,
            wait: Wait::default(),
            busy_retry: Duration::from_millis(500),
            program: None,
            key: None,
            wanted: Wanted::default(),
            steering: None,
            promiscuous: false,
            reopen: false,
        }
    }

    /// Sets the queue (default: 0). The interface decides which queue a packet arrives on (`ethtool
    /// -x`). A queue that the interface does not have is [`Error::NoSuchQueue`] on opening.
    pub fn queue(mut self, queue: u32) -> Self {
        self.queue = queue;
        self
    }

    /// Sets the direction (default: both).
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// Sets the number of entries of each ring, a power of two (default: 2,048). The maximum is
    /// 1,048,576; any other number is [`Error::Geometry`] on opening.
    pub fn ring_size(mut self, entries: u32) -> Self {
        self.ring_size = entries;
        self
    }

    /// Sets how many frames the kernel should have for receiving. The maximum is the number of
    /// entries of the ring. Default: the maximum, or half of the memory's frames if that is less.
    /// 0, or a memory without free frames, is [`Error::TooFewFrames`] on opening.
    pub fn fill_target(mut self, frames: u32) -> Self {
        self.fill_target = Some(frames);
        self
    }

    /// Sets the configuration of the socket's own packet memory. Default: [`UmemConfig::new`].
    /// Replaces [`umem`](Self::umem).
    pub fn memory(mut self, config: UmemConfig) -> Self {
        self.memory = config;
        self.umem = None;
        self
    }

    /// Uses this packet memory, which other sockets may share: on the same queue, on other queues,
    /// on other interfaces. The first socket decides if packets are copied and may span frames.
    ///
    /// Sockets on one queue share its fill ring and its completion ring, which have the size that
    /// the first of them requested. Any number of them may send. Only one receives, unless a
    /// program of your own distributes the queue's packets; see [`key`](Self::key).
    pub fn umem(mut self, umem: &Umem) -> Self {
        self.umem = Some(umem.clone());
        self
    }

    /// Sets the use of zero-copy. Default: if the driver supports it. If it is required but
    /// missing, opening returns [`Error::NoDriverSupport`].
    pub fn zero_copy(mut self, zero_copy: ZeroCopy) -> Self {
        self.zero_copy = zero_copy;
        self
    }

    /// Sets the use of multi-buffer packets. Default: [`MultiBuffer::Auto`].
    pub fn multi_buffer(mut self, multi_buffer: MultiBuffer) -> Self {
        self.multi_buffer = multi_buffer;
        self
    }

    /// Makes the kernel report when it must be woken, which saves system calls (default: on).
    pub fn need_wakeup(mut self, need_wakeup: bool) -> Self {
        self.need_wakeup = need_wakeup;
        self
    }

    /// Enables busy polling: polls the device from this process instead of waiting for interrupts,
    /// for `time` at most and for at most `packets` packets. Needs Linux 5.11, and
    /// `napi_defer_hard_irqs` and `gro_flush_timeout` set on the interface (see
    /// `Documentation/networking/napi.rst`). Default: off. `time` is in whole microseconds. Needs
    /// `CAP_NET_ADMIN` ([`Error::Permission`]).
    pub fn busy_poll(mut self, time: Duration, packets: u16) -> Self {
        self.busy_poll = Some((time, packets));
        self
    }

    /// Sets the receiver's wait strategy. Default: [`Wait::Coalesce`] with 200 µs.
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// Sets for how long opening retries if the queue is taken (default: 500 ms). A closed socket
    /// keeps its queue for some milliseconds. After that, opening returns [`Error::QueueBusy`].
    pub fn busy_retry(mut self, time: Duration) -> Self {
        self.busy_retry = time;
        self
    }

    /// Enables promiscuous mode, to receive packets addressed to other hosts. The interface leaves
    /// the mode when the last socket that requested it is dropped. Default: off.
    pub fn promiscuous(mut self, promiscuous: bool) -> Self {
        self.promiscuous = promiscuous;
        self
    }

    /// In a [`Group`](super::Group) or a [`Tap`](super::Tap), reopens the sockets if the MTU of
    /// an interface was raised and packets no longer fit into their frames. The new frames are
    /// large enough. The change is noticed within half a second. Packets that arrive while the
    /// sockets are closed, for some milliseconds, go to the host. Reopening needs the privileges of
    /// opening, in a thread that is in the interface's network namespace. Without this setting, the
    /// kernel drops packets that are too long and counts them
    /// ([`Statistics::drops`](crate::Statistics::drops)). Default: off.
    pub fn reopen(mut self, reopen: bool) -> Self {
        self.reopen = reopen;
        self
    }

    /// Sets the mode in which the program is attached. Default: [`Attach::Auto`].
    pub fn attach(mut self, attach: Attach) -> Self {
        self.wanted.attach = attach;
        self
    }

    /// Redirects only packets that match this filter to the socket; all others go to the kernel's
    /// stack. The filter is part of the program, so all sockets of this process on the interface
    /// share it.
    ///
    /// The filter sees only the first part of a packet that spans frames, about a page. It sees
    /// VLAN tags only if they are in the frame, not if the adapter removes them.
    /// Accepts the text of an expression, such as `"udp port 53"`, or a parsed
    /// [`Filter`](crate::Filter); [`SteeringFilter::expression`] adds compile options. It is
    /// compiled when the socket is opened, for the link type that the interface has then. Default:
    /// all packets.
    pub fn steer(mut self, filter: impl Into<SteeringFilter>) -> Self {
        self.steering = Some(filter.into());
        self
    }

    /// The filter's code for an interface of this hardware type. `None` if every packet passes.
    pub(crate) fn steering(&self, hardware_type: u16) -> Result<Option<Steering>, Error> {
        let compiled = self.steering.as_ref().map(|filter| filter.compile(hardware_type));
        Ok(compiled.transpose()?.flatten())
    }

    /// Detaches an existing program from the interface. Without this setting, such a program is an
    /// error. Default: off ([`Error::ProgramPresent`]).
    pub fn replace_program(mut self, replace: bool) -> Self {
        self.wanted.replace = replace;
        self
    }

    /// Uses this program instead of the built-in one. It may come from another loader or from
    /// another socket.
    pub fn program(mut self, program: &Program) -> Self {
        self.program = Some(program.clone());
        self
    }

    /// Sets the socket's key in the program's map (default: the queue's number). Needed if a
    /// program of your own distributes one queue's packets over several sockets; the built-in
    /// program uses queue numbers only. If several sockets should receive from one queue, the first
    /// one opened on it needs such a key, too. A key beyond the map's entries is
    /// [`Error::KeyOutOfRange`], a taken one [`Error::QueueBusy`] on opening.
    pub fn key(mut self, key: u32) -> Self {
        self.key = Some(key);
        self
    }
}
