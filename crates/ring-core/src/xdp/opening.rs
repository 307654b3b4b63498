//! Opening sockets.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring_sys::capability::Capability;
use ring_sys::errno;
use ring_sys::interface::{self, Interface};
use ring_sys::packet::PacketSocket;
use ring_sys::xdp;
use ring_sys::xdp::abi::{
    XDP_COPY, XDP_OPTIONS_ZEROCOPY, XDP_USE_NEED_WAKEUP, XDP_USE_SG, XDP_ZEROCOPY, XdpDesc,
    XdpRingOffset,
};

use super::builder::{Direction, MultiBuffer, SocketBuilder, ZeroCopy};
use super::completions::Completions;
use super::cursor::RingSide;
use super::endpoint::{Endpoint, Promiscuous};
use super::error::{DriverFeature, Error, GeometryProblem, KernelVersion, explain, no_interface};
use super::fill::Fill;
use super::memory::Holder;
use super::mtu::Mtu;
use super::program::{Mode, Place, Program, Wanted, find};
use super::queue::{QueuePlace, QueueRings};
use super::receiver::Receiver;
use super::ring::Ring;
use super::sender::Sender;
use super::socket::Socket;
use super::steering::link_type;
use super::umem::{Umem, check};
use crate::LinkType;
use crate::interruption::Interruption;

/// A bound socket and its rings. If opening fails half-way, dropping this undoes everything. The
/// fields are dropped in order: the rings, which keep the socket alive, then the socket, then the
/// rings of the queue.
struct Bound {
    rx: Option<Ring<XdpDesc>>,
    tx: Option<Ring<XdpDesc>>,
    socket: Arc<xdp::Socket>,
    rings: Arc<QueueRings>,
    /// The number of frames that the kernel should have for this socket.
    share: u32,
    multi_buffer: bool,
}

impl SocketBuilder {
    /// Opens the socket. Packets arrive from now on.
    ///
    /// # Errors
    /// [`Error`], which names what is missing: a privilege, support by the driver, a newer
    /// kernel, a free queue, or memory that may be locked.
    pub fn open(self) -> Result<Socket, Error> {
        let index = find(&self.interface)?;
        let found = interface::find(&self.interface).map_err(no_interface(&self.interface))?;
        let queues = found.queues.0.max(found.queues.1);
        // If the number of queues is unknown, the kernel checks the queue.
        if self.queue >= queues && queues > 0 {
            let interface = self.interface.clone();
            return Err(Error::NoSuchQueue { interface, queue: self.queue, queues });
        }
        let fits = self.ring_size.is_power_of_two() && self.ring_size <= 1 << 20;
        check(GeometryProblem::RingSize, self.ring_size, fits)?;
        let umem = match &self.umem {
            Some(umem) => umem.clone(),
            None => self.memory.allocate_for(Some(found.mtu))?,
        };
        if umem.shared.memory.layout().unaligned && self.zero_copy == ZeroCopy::Required {
            return Err(Error::UnalignedZeroCopy);
        }
        let receives = self.direction != Direction::Send;
        let fill_target = if receives { self.fill(&umem)? } else { 0 };
        // The program is attached first, because its mode decides if packets may be longer than a
        // frame.
        let program = match (&self.program, receives) {
            (_, false) => None,
            (Some(program), true) => Some(program.clone()),
            (None, true) => {
                let steering = self.steering(found.hardware_type)?;
                let wanted = Wanted { steering, ..self.wanted.clone() };
                Some(Program::shared(&self.interface, index, &wanted)?)
            }
        };
        let multi_buffer = self.takes_multi_buffer(&umem, found.mtu, program.as_ref());
        let bound = self.bound(&umem, index, fill_target, multi_buffer)?;
        // Read back after the bind: with neither flag the kernel tries zero-copy and falls back to
        // copying without an error (`xp_assign_dev`).
        let zero_copy =
            bound.socket.options().is_ok_and(|options| options.flags & XDP_OPTIONS_ZEROCOPY != 0);
        if zero_copy {
            bound.rings.set_zero_copy();
        }
        let interruption = Interruption::new()
            .map_err(|source| Error::System { operation: "make an event", source })?;
        let promiscuous = if self.promiscuous { Some(Promiscuous::join(index)?) } else { None };
        let control = PacketSocket::new().map_err(|source| {
            explain("open a packet socket", &[Capability::NetRaw], None, source)
        })?;
        // Entered last. The kernel drops packets that are redirected to a socket which is not bound
        // yet (`xsk_rcv_check`), while without an entry they reach the host.
        let entry = match &program {
            Some(program) => Some(self.enter(program, &bound.socket)?),
            None => None,
        };
        let waiter = umem
            .shared
            .memory
            .returns
            .join()
            .map_err(|source| Error::System { operation: "make an event", source })?;
        if receives && !bound.rings.receiver_came() {
            umem.shared.memory.returns.leave(&waiter);
            bound.rings.fill.want_less(bound.share);
            return Err(Error::QueueBusy {
                interface: self.interface.clone(),
                queue: self.queue,
                waited: Duration::ZERO,
            });
        }
        let Bound { rx, tx, socket, rings, share, multi_buffer } = bound;
        let endpoint = Arc::new(Endpoint {
            entry,
            socket: Some(socket),
            umem: umem.shared.clone(),
            ordinal: rings.ordinal(),
            rings,
            interface: self.interface.as_str().into(),
            index,
            queue: self.queue,
            link_type: link_type(found.hardware_type),
            mtu: Mtu::new(found.mtu, header(&found), Some(control)),
            zero_copy,
            multi_buffer,
            busy_poll: self.busy_poll.is_some(),
            _promiscuous: promiscuous,
        });
        let receiver = match rx {
            Some(rx) => {
                let endpoint = endpoint.clone();
                Some(Receiver::new(rx, share, self.wait, endpoint, waiter, interruption))
            }
            None => {
                umem.shared.memory.returns.leave(&waiter);
                None
            }
        };
        Ok(Socket { receiver, sender: tx.map(|tx| Sender::new(tx, endpoint)) })
    }

    /// Creates a socket on the queue, with rings of its own or those of another socket of the same
    /// memory.
    fn bound(
        &self,
        umem: &Umem,
        index: u32,
        fill_target: u32,
        multi_buffer: bool,
    ) -> Result<Bound, Error> {
        let place = QueuePlace { interface: Place::here(index)?, queue: self.queue };
        let shared = &umem.shared;
        // Serialises sockets that are opened at the same time.
        let _opening = shared.opening();
        let living = shared.queues();
        let same = living.iter().find(|rings| rings.place == place);
        let socket = Arc::new(self.open_socket()?);
        let since = Some(("the layout of the rings", KernelVersion::new(5, 4)));
        // For a second socket on the same queue and memory the kernel uses the first one's fill and
        // completion rings and refuses new ones (`xsk_bind`: EINVAL if `fq_tmp` or `cq_tmp` is
        // set).
        self.make_rings(&socket, same.is_none())?;
        let offsets = socket
            .offsets()
            .map_err(|source| explain("make the rings", &[Capability::NetRaw], since, source))?;
        let map_used = |used: bool, ring, offsets: &XdpRingOffset, side| {
            used.then(|| map::<XdpDesc>(&socket, ring, offsets, side, self.ring_size)).transpose()
        };
        let rx = map_used(self.receives(), xdp::Ring::Rx, &offsets.rx, RingSide::Consumer)?;
        let tx = map_used(self.sends(), xdp::Ring::Tx, &offsets.tx, RingSide::Producer)?;
        let memory = &shared.memory;
        let unaligned = memory.layout().unaligned;
        let fill = |rings: &QueueRings| -> Result<u32, Error> {
            let share = rings.fill.want(fill_target);
            rings.fill.give(memory, rings.fill_holder(), || memory.take())?;
            Ok(share)
        };
        if let Some(rings) = same {
            let multi_buffer = shared.is_multi_buffer();
            self.bind(&socket, rings.owner.as_deref(), index, multi_buffer, unaligned)?;
            let share = fill(rings)?;
            return Ok(Bound { rx, tx, socket, rings: rings.clone(), share, multi_buffer });
        }
        let [fill_size, completion_size] = self.queue_ring_sizes();
        let (producer, consumer) = (RingSide::Producer, RingSide::Consumer);
        let fill_ring = map(&socket, xdp::Ring::Fill, &offsets.fr, producer, fill_size)?;
        let completion =
            map(&socket, xdp::Ring::Completion, &offsets.cr, consumer, completion_size)?;
        let number = shared.number()?;
        let completions = Completions::new(completion, Holder::Send(number));
        let (both, owner) = ((Fill::new(fill_ring), completions), Some(socket.clone()));
        let rings = Arc::new(QueueRings::new(
            shared.clone(),
            number,
            place,
            both,
            owner,
            self.key.is_some(),
        ));
        let mut bound = Bound { rx, tx, socket, rings, share: 0, multi_buffer };
        // Filled before the socket is bound, because some drivers expect frames then.
        bound.share = fill(&bound.rings)?;
        let owner = living.iter().find_map(|rings| rings.owner.as_deref());
        // Registered once per memory. Later sockets name one that is bound already
        // (`XDP_SHARED_UMEM`), since each registration would pin and account the pages again.
        if owner.is_none() {
            shared.register(&bound.socket)?;
        }
        self.bind(&bound.socket, owner, index, multi_buffer, unaligned)?;
        if owner.is_none() {
            shared.set_multi_buffer(multi_buffer);
        }
        bound.multi_buffer = shared.is_multi_buffer();
        shared.add(&bound.rings);
        Ok(bound)
    }

    fn receives(&self) -> bool {
        self.direction != Direction::Send
    }

    fn sends(&self) -> bool {
        self.direction != Direction::Receive
    }

    fn enter(
        &self,
        program: &Program,
        socket: &xdp::Socket,
    ) -> Result<super::program::Entry, Error> {
        let key = self.key.unwrap_or(self.queue);
        program.enter(key, socket.as_fd()).map_err(|source| match source.raw_os_error() {
            // An entry is never replaced, since its socket would lose its packets without notice.
            Some(errno::EEXIST) => Error::QueueBusy {
                interface: self.interface.clone(),
                queue: self.queue,
                waited: Duration::ZERO,
            },
            Some(errno::E2BIG) => Error::KeyOutOfRange { key },
            _ => Error::System { operation: "enter the socket into the map", source },
        })
    }

    /// The numbers of entries of the fill ring and the completion ring. The kernel requires both.
    /// If other sockets may join the queue, they must suffice for those as well.
    fn queue_ring_sizes(&self) -> [u32; 2] {
        const UNUSED: u32 = 64;
        let shared = self.umem.is_some();
        let size = |used| if used || shared { self.ring_size } else { UNUSED };
        [size(self.receives()), size(self.sends())]
    }

    /// Creates the socket's rings, and those of the queue if it is the first on it.
    fn make_rings(&self, socket: &xdp::Socket, first: bool) -> Result<(), Error> {
        let system = |source| Error::System { operation: "make the rings", source };
        if first {
            let [fill, completion] = self.queue_ring_sizes();
            socket.set_ring(xdp::Ring::Fill, fill).map_err(system)?;
            socket.set_ring(xdp::Ring::Completion, completion).map_err(system)?;
        }
        if self.receives() {
            socket.set_ring(xdp::Ring::Rx, self.ring_size).map_err(system)?;
        }
        if self.sends() {
            socket.set_ring(xdp::Ring::Tx, self.ring_size).map_err(system)?;
        }
        Ok(())
    }

    fn open_socket(&self) -> Result<xdp::Socket, Error> {
        let socket = xdp::Socket::new().map_err(|source| match source.raw_os_error() {
            // The kernel has the same error for a build without AF_XDP and for a version before it.
            Some(errno::EAFNOSUPPORT) => {
                match (KernelVersion::running(), KernelVersion::new(4, 18)) {
                    (Ok(have), needs) if have < needs => {
                        Error::KernelTooOld { feature: "AF_XDP", needs, have }
                    }
                    _ => Error::NotBuilt,
                }
            }
            _ => explain("open an AF_XDP socket", &[Capability::NetRaw], None, source),
        })?;
        if let Some((time, packets)) = self.busy_poll {
            let microseconds = i32::try_from(time.as_micros()).unwrap_or(i32::MAX);
            let since = Some(("preferred busy polling", KernelVersion::new(5, 11)));
            socket.set_busy_poll(microseconds, packets.into()).map_err(|source| {
                explain("set busy polling", &[Capability::NetAdmin], since, source)
            })?;
        }
        Ok(socket)
    }

    /// The number of frames that the kernel should have.
    fn fill(&self, umem: &Umem) -> Result<u32, Error> {
        let left = umem.free_frames();
        let target = self
            .fill_target
            .unwrap_or_else(|| u32::try_from(left.div_ceil(2)).unwrap_or(u32::MAX))
            .min(self.ring_size);
        if target == 0 || left == 0 {
            return Err(Error::TooFewFrames { left, needed: 1 });
        }
        Ok(target)
    }

    fn takes_multi_buffer(&self, umem: &Umem, mtu: u32, program: Option<&Program>) -> bool {
        match self.multi_buffer {
            MultiBuffer::On => true,
            MultiBuffer::Off => false,
            MultiBuffer::Auto => {
                let longest = mtu.saturating_add(LINK_HEADER);
                // In generic mode GRO has joined segments before the program runs, so packets are
                // longer than the MTU.
                let generic = program.and_then(Program::mode) == Some(Mode::Generic);
                (generic || longest > umem.shared.memory.receive_room())
                    && self.zero_copy != ZeroCopy::Required
                    && KernelVersion::running().is_ok_and(|version| version >= MULTI_BUFFER.1)
            }
        }
    }

    /// Binds the socket, and retries while the queue's previous socket is closing.
    fn bind(
        &self,
        socket: &xdp::Socket,
        owner: Option<&xdp::Socket>,
        index: u32,
        multi_buffer: bool,
        unaligned: bool,
    ) -> Result<(), Error> {
        let mut flags = match self.zero_copy {
            ZeroCopy::Wanted if !unaligned => 0,
            ZeroCopy::Required => XDP_ZEROCOPY,
            ZeroCopy::Wanted | ZeroCopy::Forbidden => XDP_COPY,
        };
        flags |= if self.need_wakeup { XDP_USE_NEED_WAKEUP } else { 0 };
        flags |= if multi_buffer { XDP_USE_SG } else { 0 };
        let started = Instant::now();
        loop {
            let bound = match owner {
                // No flags here: a shared socket inherits copying, wake-ups and multi-buffer from
                // the first, and the kernel refuses flags beside XDP_SHARED_UMEM.
                Some(owner) => socket.bind_shared(index, self.queue, owner.as_fd()),
                None => socket.bind(index, self.queue, flags),
            };
            match bound {
                Ok(()) => return Ok(()),
                // The kernel releases a closed socket's queue in a work item, some milliseconds
                // after close(2), and has no event for it.
                Err(error) if error.raw_os_error() == Some(errno::EBUSY) => {
                    let waited = started.elapsed();
                    if waited >= self.busy_retry {
                        let (interface, queue) = (self.interface.clone(), self.queue);
                        return Err(Error::QueueBusy { interface, queue, waited });
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(self.refused(error, owner.is_some(), multi_buffer)),
            }
        }
    }

    /// The number of queues, as the interface reports it.
    fn queues(&self) -> Option<u32> {
        let found = interface::find(&self.interface).ok()?;
        Some(found.queues.0.max(found.queues.1))
    }

    /// Explains an error of bind(2).
    fn refused(&self, source: io::Error, shared: bool, multi_buffer: bool) -> Error {
        let driver = || interface::find(&self.interface).ok().and_then(|found| found.driver);
        match source.raw_os_error() {
            Some(errno::EOPNOTSUPP | errno::EINVAL) if self.zero_copy == ZeroCopy::Required => {
                Error::NoDriverSupport {
                    interface: self.interface.clone(),
                    driver: driver(),
                    feature: DriverFeature::ZeroCopy,
                }
            }
            // bind(2) returns EINVAL for a queue that does not exist, among other causes. An
            // interface that reports no queues has one.
            Some(errno::EINVAL) if self.queue > 0 && self.queues() == Some(0) => {
                let (interface, queue) = (self.interface.clone(), self.queue);
                Error::NoSuchQueue { interface, queue, queues: 1 }
            }
            Some(errno::ENETDOWN) => {
                Error::System { operation: "bind the socket (the interface is down)", source }
            }
            _ => {
                let since = if shared {
                    Some(("packet memory shared across queues", KernelVersion::new(5, 10)))
                } else if multi_buffer {
                    Some(MULTI_BUFFER)
                } else {
                    self.need_wakeup.then_some(("XDP_USE_NEED_WAKEUP", KernelVersion::new(5, 4)))
                };
                explain("bind the socket", &[Capability::NetRaw], since, source)
            }
        }
    }
}

const MULTI_BUFFER: (&str, KernelVersion) = ("packets that span frames", KernelVersion::new(6, 6));
/// Ethernet header and a VLAN tag.
const LINK_HEADER: u32 = 14 + 4;

fn map<T: Copy>(
    socket: &xdp::Socket,
    which: xdp::Ring,
    offsets: &XdpRingOffset,
    side: RingSide,
    size: u32,
) -> Result<Ring<T>, Error> {
    let failed = |source| Error::System { operation: "map a ring", source };
    let mapping = socket.map_ring(which, Ring::<T>::len(offsets, size)).map_err(failed)?;
    // The kernel never returns offsets outside of the mapping.
    Ring::new(mapping, offsets, side, size).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))
}

/// Maximum length of an interface's headers, which its MTU does not include.
fn header(found: &Interface) -> u32 {
    if link_type(found.hardware_type) == LinkType::RAW { 0 } else { LINK_HEADER }
}
