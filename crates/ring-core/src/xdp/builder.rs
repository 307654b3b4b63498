//! Opening sockets.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use packet_filter::Filter;
use ring_sys::interface;
use ring_sys::xdp::abi::{
    XDP_COPY, XDP_OPTIONS_ZEROCOPY, XDP_USE_NEED_WAKEUP, XDP_USE_SG, XDP_ZEROCOPY, XdpDesc,
    XdpRingOffset,
};
use ring_sys::xdp::{self, Socket};

use super::completions::Completions;
use super::cursor::Side;
use super::endpoint::Endpoint;
use super::error::{KernelVersion, XdpError, explain, libc_errno};
use super::memory::{Holder, Memory};
use super::program::{Wanted, XdpAttach, XdpMode, XdpProgram, find};
use super::receiver::XdpReceiver;
use super::ring::Ring;
use super::sender::XdpSender;
use super::socket::XdpSocket;
use super::steering::Steering;
use super::umem::{Umem, UmemConfig, check};
use super::waiting::XdpWait;
use crate::{Interrupter, LinkType};

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

/// Everything that can be chosen of an [`XdpSocket`].
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
    pub(crate) wanted: Wanted,
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
            wanted: Wanted::default(),
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

    /// Uses this packet memory, which other sockets may use as well: on other queues, on other interfaces. Whether
    /// packets are copied and may span frames is then decided by the first of them.
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
    pub fn steer(mut self, filter: &Filter) -> Result<Self, XdpError> {
        self.wanted.steering = Steering::new(filter)?;
        Ok(self)
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

    /// Opens the socket: packets come from now on.
    ///
    /// # Errors
    /// [`XdpError`], which says what is lacking: a privilege, the driver's support, a newer kernel, a free queue,
    /// memory that may be locked.
    pub fn open(&self) -> Result<XdpSocket, XdpError> {
        let index = find(&self.interface)?;
        let found = interface::find(&self.interface).map_err(|source| {
            XdpError::NoSuchInterface { interface: self.interface.clone(), source }
        })?;
        let queues = found.queues.0.max(found.queues.1);
        // Where nobody tells how many there are, the kernel will.
        if self.queue >= queues && queues > 0 {
            let interface = self.interface.clone();
            return Err(XdpError::NoSuchQueue { interface, queue: self.queue, queues });
        }
        check("a number of ring entries", self.ring_size.into(), {
            let fits = self.ring_size.is_power_of_two() && self.ring_size <= 1 << 20;
            fits.then_some(()).ok_or("a power of two up to 1048576")
        })?;
        let umem = match &self.umem {
            Some(umem) => umem.clone(),
            None => self.memory.allocate_for(Some(found.mtu))?,
        };
        let receives = self.direction != XdpDirection::Send;
        let fill_target = if receives { self.fill(&umem)? } else { 0 };
        // The program first: whether packets may be longer than a frame depends on its mode.
        let program = match (&self.program, receives) {
            (_, false) => None,
            (Some(program), true) => Some(program.clone()),
            (None, true) => Some(XdpProgram::shared(&self.interface, index, &self.wanted)?),
        };
        let multi_buffer = self.takes_multi_buffer(&umem, found.mtu, program.as_ref());
        let socket = Arc::new(self.open_socket()?);
        let number = umem.shared.number()?;
        let Rings { rx, tx, mut fill, completion } = self.rings(&socket)?;
        let memory = &umem.shared.memory;
        // Before the socket is bound: some drivers want to find frames then.
        let filled = prefill(&mut fill, memory, Holder::Fill(number), fill_target);
        let completions = Arc::new(Completions::new(completion, Holder::Send(number)));
        let bound = umem.shared.join(&socket, &completions, multi_buffer, |owner| {
            self.bind(&socket, owner, index, multi_buffer)
        });
        let multi_buffer = match bound {
            Ok(multi_buffer) => multi_buffer,
            Err(error) => {
                drop((fill, rx, tx, completions, socket));
                // The kernel never used them.
                memory.reclaim(Holder::Fill(number));
                return Err(error);
            }
        };
        let zero_copy =
            socket.options().is_ok_and(|options| options.flags & XDP_OPTIONS_ZEROCOPY != 0);
        let descriptor = socket.clone();
        let mut endpoint = Endpoint {
            entry: None,
            socket: Some(socket),
            umem: umem.shared.clone(),
            completions,
            number,
            interface: self.interface.as_str().into(),
            index,
            queue: self.queue,
            link_type: match found.hardware_type {
                interface::ARPHRD_NONE => LinkType::RAW,
                _ => LinkType::ETHERNET,
            },
            longest: longest(&found),
            zero_copy,
            multi_buffer,
            busy_poll: self.busy_poll.is_some(),
        };
        if let Some(program) = &program {
            endpoint.entry = Some(program.enter(self.queue, descriptor.as_fd())?);
        }
        drop(descriptor);
        let endpoint = Arc::new(endpoint);
        let system = |operation| move |source| XdpError::System { operation, source };
        let receiver = match rx {
            Some(rx) => {
                let waiter = memory.returns.join().map_err(system("eventfd"))?;
                let interrupter = Interrupter::new().map_err(system("eventfd"))?;
                let (endpoint, rings) = (endpoint.clone(), (rx, fill));
                let filling = (fill_target, filled);
                Some(XdpReceiver::new(rings, filling, self.wait, endpoint, waiter, interrupter))
            }
            None => None,
        };
        let sender = tx.map(|tx| XdpSender::new(tx, endpoint));
        Ok(XdpSocket { receiver, sender })
    }

    fn open_socket(&self) -> Result<Socket, XdpError> {
        let socket = Socket::new().map_err(|source| match source.raw_os_error() {
            Some(libc_errno::EAFNOSUPPORT) => {
                match (KernelVersion::running(), KernelVersion::new(4, 18)) {
                    (Ok(have), needs) if have < needs => {
                        XdpError::KernelTooOld { feature: "AF_XDP", needs, have }
                    }
                    _ => XdpError::NotBuilt,
                }
            }
            _ => explain("opening an AF_XDP socket", "cap_net_raw", None, source),
        })?;
        if let Some((time, packets)) = self.busy_poll {
            let microseconds = i32::try_from(time.as_micros()).unwrap_or(i32::MAX);
            let since = Some(("preferred busy polling", KernelVersion::new(5, 11)));
            socket
                .set_busy_poll(microseconds, packets.into())
                .map_err(|source| explain("busy polling", "cap_net_admin", since, source))?;
        }
        Ok(socket)
    }

    /// Makes and maps the rings. The kernel wants a fill and a completion ring in any case.
    fn rings(&self, socket: &Socket) -> Result<Rings, XdpError> {
        const UNUSED: u32 = 64;
        let operation = "making the rings";
        let system = |source| XdpError::System { operation, source };
        let receives = self.direction != XdpDirection::Send;
        let sends = self.direction != XdpDirection::Receive;
        let size = |used| if used { self.ring_size } else { UNUSED };
        socket.set_ring(xdp::Ring::Fill, size(receives)).map_err(system)?;
        socket.set_ring(xdp::Ring::Completion, size(sends)).map_err(system)?;
        if receives {
            socket.set_ring(xdp::Ring::Rx, self.ring_size).map_err(system)?;
        }
        if sends {
            socket.set_ring(xdp::Ring::Tx, self.ring_size).map_err(system)?;
        }
        let since = Some(("the layout of the rings", KernelVersion::new(5, 4)));
        let offsets =
            socket.offsets().map_err(|source| explain(operation, "cap_net_raw", since, source))?;
        let (rx, tx) = (xdp::Ring::Rx, xdp::Ring::Tx);
        let (producer, consumer) = (Side::Producer, Side::Consumer);
        let map = map::<XdpDesc>;
        Ok(Rings {
            rx: receives
                .then(|| map(socket, rx, &offsets.rx, consumer, self.ring_size))
                .transpose()?,
            tx: sends
                .then(|| map(socket, tx, &offsets.tx, producer, self.ring_size))
                .transpose()?,
            fill: self::map(socket, xdp::Ring::Fill, &offsets.fr, producer, size(receives))?,
            completion: self::map(
                socket,
                xdp::Ring::Completion,
                &offsets.cr,
                consumer,
                size(sends),
            )?,
        })
    }

    /// How many frames the kernel is to have.
    fn fill(&self, umem: &Umem) -> Result<u32, XdpError> {
        let left = umem.free_frames();
        let target = self
            .fill_target
            .unwrap_or_else(|| u32::try_from(left.div_ceil(2)).unwrap_or(u32::MAX))
            .min(self.ring_size);
        if target == 0 || left == 0 {
            return Err(XdpError::TooFewFrames { left, needed: 1 });
        }
        Ok(target)
    }

    fn takes_multi_buffer(&self, umem: &Umem, mtu: u32, program: Option<&XdpProgram>) -> bool {
        match self.multi_buffer {
            MultiBuffer::On => true,
            MultiBuffer::Off => false,
            MultiBuffer::Auto => {
                let longest = mtu.saturating_add(LINK_HEADER);
                let generic = program.and_then(XdpProgram::mode) == Some(XdpMode::Generic);
                (generic || longest > umem.shared.memory.receive_room())
                    && self.zero_copy != ZeroCopy::Required
                    && KernelVersion::running().is_ok_and(|version| version >= MULTI_BUFFER.1)
            }
        }
    }

    /// Binds the socket, and waits for a queue that somebody is just giving up.
    fn bind(
        &self,
        socket: &Socket,
        owner: Option<&Socket>,
        index: u32,
        multi_buffer: bool,
    ) -> Result<(), XdpError> {
        let mut flags = match self.zero_copy {
            ZeroCopy::Wanted => 0,
            ZeroCopy::Required => XDP_ZEROCOPY,
            ZeroCopy::Forbidden => XDP_COPY,
        };
        flags |= if self.need_wakeup { XDP_USE_NEED_WAKEUP } else { 0 };
        flags |= if multi_buffer { XDP_USE_SG } else { 0 };
        let started = Instant::now();
        loop {
            let bound = match owner {
                Some(owner) => socket.bind_shared(index, self.queue, owner.as_fd()),
                None => socket.bind(index, self.queue, flags),
            };
            match bound {
                Ok(()) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc_errno::EBUSY) => {
                    let waited = started.elapsed();
                    if waited >= self.busy_retry {
                        let (interface, queue) = (self.interface.clone(), self.queue);
                        return Err(XdpError::QueueBusy { interface, queue, waited });
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(self.refused(error, owner.is_some(), multi_buffer)),
            }
        }
    }

    /// How many queues the interface has by its own account.
    fn queues(&self) -> Option<u32> {
        let found = interface::find(&self.interface).ok()?;
        Some(found.queues.0.max(found.queues.1))
    }

    /// What stands behind an error of bind(2).
    fn refused(&self, source: io::Error, shared: bool, multi_buffer: bool) -> XdpError {
        let driver = || interface::find(&self.interface).ok().and_then(|found| found.driver);
        match source.raw_os_error() {
            Some(libc_errno::EOPNOTSUPP | libc_errno::EINVAL)
                if self.zero_copy == ZeroCopy::Required =>
            {
                XdpError::NoDriverSupport {
                    interface: self.interface.clone(),
                    driver: driver(),
                    what: "AF_XDP without copying",
                    hint: "let packets be copied (`ZeroCopy::Wanted`)",
                }
            }
            Some(libc_errno::EINVAL) if self.queue > 0 && self.queues() == Some(0) => {
                let (interface, queue) = (self.interface.clone(), self.queue);
                XdpError::NoSuchQueue { interface, queue, queues: 1 }
            }
            Some(libc_errno::ENETDOWN) => {
                XdpError::System { operation: "binding the socket (the interface is down)", source }
            }
            _ => {
                let since = if shared {
                    Some(("packet memory shared across queues", KernelVersion::new(5, 10)))
                } else if multi_buffer {
                    Some(MULTI_BUFFER)
                } else {
                    self.need_wakeup.then_some(("XDP_USE_NEED_WAKEUP", KernelVersion::new(5, 4)))
                };
                explain("binding the socket", "cap_net_raw", since, source)
            }
        }
    }
}

const MULTI_BUFFER: (&str, KernelVersion) = ("packets that span frames", KernelVersion::new(6, 6));
/// Ethernet header and a VLAN tag.
const LINK_HEADER: u32 = 14 + 4;

struct Rings {
    rx: Option<Ring<XdpDesc>>,
    tx: Option<Ring<XdpDesc>>,
    fill: Ring<u64>,
    completion: Ring<u64>,
}

fn map<T: Copy>(
    socket: &Socket,
    which: xdp::Ring,
    offsets: &XdpRingOffset,
    side: Side,
    size: u32,
) -> Result<Ring<T>, XdpError> {
    let failed = |source| XdpError::System { operation: "mapping a ring", source };
    let mapping = socket.map_ring(which, Ring::<T>::len(offsets, size)).map_err(failed)?;
    // Offsets that lead out of the mapping are none that a kernel gives.
    Ring::new(mapping, offsets, side, size).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))
}

/// Gives the kernel its first frames; how many.
fn prefill(ring: &mut Ring<u64>, memory: &Memory, holder: Holder, target: u32) -> u32 {
    let room = ring.ready(target).unwrap_or(0).min(target);
    let mut count = 0;
    while count < room
        && let Some(lease) = memory.take()
    {
        ring.write(count, memory.lend(lease, holder));
        count += 1;
    }
    ring.advance(count);
    ring.publish();
    count
}

/// The longest packet that an interface sends, link-layer header included.
fn longest(found: &interface::Interface) -> u32 {
    let header = if found.hardware_type == interface::ARPHRD_NONE { 0 } else { LINK_HEADER };
    found.mtu.saturating_add(header)
}
