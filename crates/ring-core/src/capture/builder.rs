//! Settings of a capture.

use std::io;
use std::time::Duration;

use ring_sys::capability::Capability;
use ring_sys::event::Event;
use ring_sys::interface;
use ring_sys::packet::PacketSocket;
use ring_sys::packet::abi::{ETH_P_ALL, TP_FT_REQ_FILL_RXHASH, TPACKET_V3, TpacketReq3};

use super::Capture;
use super::fanout::Fanout;
use super::filter::CaptureFilter;
use super::ring::Ring;
use super::socket::CaptureSocket;
use crate::error::{GeometryProblem, no_interface, privileged, system};
use crate::{Error, LinkType, TimestampSource, hardware};

/// The name of all interfaces.
const ANY: &str = "any";

/// `SOF_TIMESTAMPING_RAW_HARDWARE` of `linux/net_tstamp.h`.
const RAW_HARDWARE: u32 = 1 << 6;

/// The kernel requires a frame size, but version 3 packs packets of any size, so any valid value
/// will do.
const FRAME: usize = 2048;

/// More than what precedes a packet's bytes without headroom: the block's descriptor, the packet's
/// header, an address, and room for a link-layer header. Leaves some bytes for the packet itself.
const BEFORE_PACKET: usize = 512;

/// Settings of a [`Capture`]. [`open`](Self::open) opens it.
#[derive(Clone, Debug)]
#[must_use = "nothing is captured before `open`"]
pub struct CaptureBuilder {
    interface: String,
    geometry: RingGeometry,
    coalesce: Duration,
    filter: CaptureFilter,
    lock_filter: bool,
    snaplen: u32,
    promiscuous: bool,
    outgoing: Outgoing,
    fanout: Option<Fanout>,
    hash: bool,
    timestamps: TimestampSource,
    reserve: u32,
    lock_memory: bool,
    receive_buffer: Option<u32>,
    busy_poll: Option<Duration>,
    prefer_busy_poll: bool,
    busy_poll_budget: Option<u16>,
}

/// A capture whose filter drops all packets.
pub(crate) struct Closed {
    socket: CaptureSocket,
    ring: Ring,
    /// The number of its fanout group.
    pub(crate) group: Option<u16>,
    filter: CaptureFilter,
    lock_filter: bool,
    hash: bool,
    block_timeout: Duration,
    coalesce: Duration,
}

impl Closed {
    /// Attaches the requested filter.
    pub(crate) fn let_through(mut self) -> Result<Capture, Error> {
        self.socket.set_filter(&self.filter)?;
        let rest = self.socket.rest_of(&self.filter)?;
        if self.lock_filter {
            self.socket.socket.lock_filter().map_err(|source| Error::Filter { source })?;
            self.socket.locked = true;
        }
        Capture::new(self.socket, self.ring, self.hash, self.block_timeout, self.coalesce, rest)
    }
}

/// The shape of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingGeometry {
    /// Bytes per block, a multiple of the page size. Packets longer than a block less 130 bytes are
    /// truncated.
    pub block_size: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Time after which a block that is not full is handed over, in whole milliseconds, at least
    /// one.
    pub timeout: Duration,
}

/// Rings for common needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RingProfile {
    /// 32 blocks of 1 MiB, handed over after 20 ms. The default, for a laptop.
    #[default]
    Balanced,
    /// 64 blocks of 4 MiB, handed over after 60 ms. For a sensor. Full blocks may wait up to the
    /// timeout, so that one wake-up takes several ([`coalesce`](CaptureBuilder::coalesce)).
    Throughput,
    /// 64 blocks of 256 KiB, handed over after 1 ms.
    LowLatency,
    /// 16 blocks of 128 KiB, handed over after 20 ms. Large enough for segments of 64 KiB.
    LowMemory,
    /// 128 blocks of 2 MiB, handed over after 60 ms. For packets of 9,000 bytes and more. Full
    /// blocks may wait as with `Throughput`.
    Jumbo,
}

/// The treatment of packets that this host sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outgoing {
    /// Captures them, each packet once: on a loopback interface, where each packet is seen when
    /// sent and when received, the copy that is sent is left out.
    #[default]
    Once,
    /// Captures them, on loopback interfaces as well, where each packet is then captured twice.
    Always,
    /// Does not capture them (`PACKET_IGNORE_OUTGOING`).
    Never,
}

impl RingProfile {
    /// The profile's ring geometry.
    #[must_use]
    pub const fn geometry(self) -> RingGeometry {
        let (block_size, blocks, milliseconds) = match self {
            Self::Balanced => (1 << 20, 32, 20),
            Self::Throughput => (4 << 20, 64, 60),
            Self::LowLatency => (256 << 10, 64, 1),
            Self::LowMemory => (128 << 10, 16, 20),
            Self::Jumbo => (2 << 20, 128, 60),
        };
        RingGeometry { block_size, blocks, timeout: Duration::from_millis(milliseconds) }
    }
}

impl RingProfile {
    /// Maximum time that full blocks may wait; see [`CaptureBuilder::coalesce`].
    #[must_use]
    pub const fn coalesce(self) -> Duration {
        match self {
            Self::Throughput | Self::Jumbo => self.geometry().timeout,
            Self::Balanced | Self::LowLatency | Self::LowMemory => Duration::ZERO,
        }
    }
}

impl CaptureBuilder {
    pub(crate) fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            geometry: RingProfile::default().geometry(),
            coalesce: RingProfile::default().coalesce(),
            filter: CaptureFilter::everything(),
            lock_filter: false,
            snaplen: u32::MAX,
            promiscuous: false,
            outgoing: Outgoing::default(),
            fanout: None,
            hash: false,
            timestamps: TimestampSource::Software,
            reserve: 0,
            lock_memory: false,
            receive_buffer: None,
            busy_poll: None,
            prefer_busy_poll: false,
            busy_poll_budget: None,
        }
    }

    /// Sets the ring and `coalesce` by a profile. Default: [`RingProfile::Balanced`].
    pub fn profile(mut self, profile: RingProfile) -> Self {
        self.geometry = profile.geometry();
        self.coalesce = profile.coalesce();
        self
    }

    /// Sets the ring's geometry (`PACKET_RX_RING` of packet(7), `struct tpacket_req3` of
    /// `linux/if_packet.h`). Default: that of [`RingProfile::Balanced`]. A geometry that the kernel
    /// cannot have is [`Error::Geometry`] on opening.
    pub fn geometry(mut self, geometry: RingGeometry) -> Self {
        self.geometry = geometry;
        self
    }

    /// Sets the ring's size to about `bytes`, in blocks of the current size, at least two of them.
    /// The maximum is 4 GiB ([`Error::Geometry`]).
    pub fn memory(mut self, bytes: usize) -> Self {
        self.geometry.blocks = (bytes / self.geometry.block_size.max(1)).max(2);
        self
    }

    /// Sets the time after which a block that is not full is handed over, in whole milliseconds, at
    /// least one (`tp_retire_blk_tov` of `linux/if_packet.h`). Default: 20 ms, or as the profile
    /// says.
    pub fn block_timeout(mut self, timeout: Duration) -> Self {
        self.geometry.timeout = timeout;
        self
    }

    /// Sets the maximum time that a wait may leave full blocks unread, so that one wake-up takes
    /// several. This matters on virtual machines, where a wake-up costs as much as hundreds of
    /// packets. The wait is also limited by the block timeout and by the time in which four blocks
    /// or an eighth of the ring fill up, whichever is less. A block that is handed over by its
    /// timeout is taken immediately. Default: 0, or as the profile says; with 0, each block is
    /// taken as soon as it is full. Applies only to the capture's own waits: a wait with its
    /// [`readiness`](crate::PacketSource::readiness) ends at each block.
    pub fn coalesce(mut self, most: Duration) -> Self {
        self.coalesce = most;
        self
    }

    /// Selects the packets to capture (`SO_ATTACH_FILTER` and `SO_ATTACH_BPF` of socket(7);
    /// default: all): by the text of an expression, such as `"tcp port 80"`, by a parsed
    /// [`Filter`](crate::Filter), or by a program. Invalid text is [`Error::FilterSyntax`] on
    /// [opening](Self::open).
    pub fn filter(mut self, filter: impl Into<CaptureFilter>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Locks the filter, so that it can no longer be changed (`SO_LOCK_FILTER` of socket(7)).
    /// Default: off. A later [`Capture::set_filter`] returns [`Error::FilterLocked`].
    pub fn lock_filter(mut self, lock: bool) -> Self {
        self.lock_filter = lock;
        self
    }

    /// Sets the snap length, the maximum number of bytes to capture of a packet; 0 for no limit.
    /// The filter implements it by its return value (`Documentation/networking/filter.rst`).
    /// Default: no limit. With a filter that computes its own limit, opening returns
    /// [`Error::FilterSnaplen`].
    pub fn snaplen(mut self, bytes: u32) -> Self {
        self.snaplen = if bytes == 0 { u32::MAX } else { bytes };
        self
    }

    /// Enables promiscuous mode, to capture packets addressed to other hosts. The interface leaves
    /// the mode when the last capture that requested it is dropped (`PACKET_MR_PROMISC` of
    /// packet(7)). Has no effect on `any`. Default: off.
    pub fn promiscuous(mut self, promiscuous: bool) -> Self {
        self.promiscuous = promiscuous;
        self
    }

    /// Sets the treatment of packets that this host sends (`PACKET_IGNORE_OUTGOING` of packet(7);
    /// in a group `PACKET_FANOUT_FLAG_IGNORE_OUTGOING`). Default: [`Outgoing::Once`].
    pub fn outgoing(mut self, outgoing: Outgoing) -> Self {
        self.outgoing = outgoing;
        self
    }

    /// Shares the interface's packets with other captures (`PACKET_FANOUT` of packet(7)). Default:
    /// none. [`group`](Self::group) opens several members at once.
    pub fn fanout(mut self, fanout: Fanout) -> Self {
        self.fanout = Some(fanout);
        self
    }

    /// Requests a hash of each packet's flow (`TP_FT_REQ_FILL_RXHASH`). Computing it costs the
    /// kernel about 170 ns a packet, unless the adapter has done so. Default: off. The hash is in
    /// [`PacketMeta::hash`](crate::PacketMeta::hash).
    pub fn receive_hash(mut self, hash: bool) -> Self {
        self.hash = hash;
        self
    }

    /// Selects the clock of the timestamps (`PACKET_TIMESTAMP` of packet(7), `SIOCSHWTSTAMP` of
    /// `Documentation/networking/timestamping.rst`). [`TimestampSource::RawHardware`] enables the
    /// adapter's timestamps, for all users of the adapter; that needs `CAP_NET_ADMIN` unless they
    /// are enabled already. It is an error for adapters without timestamps and for `any`. Packets
    /// without a hardware timestamp, such as those sent by this host, get the kernel's; each
    /// packet's metadata says which. [`TimestampSource::Hardware`] counts as raw,
    /// [`TimestampSource::Recorded`] as software. Default: the kernel's clock. If they
    /// cannot be enabled, opening returns [`Error::NoHardwareTimestamps`] or [`Error::Permission`].
    pub fn timestamps(mut self, source: TimestampSource) -> Self {
        self.timestamps = source;
        self
    }

    /// Sets the number of bytes to leave free before each packet (`PACKET_RESERVE`). The maximum is
    /// the block size minus 512, but no more than 65,023. Default: 0. More is [`Error::Geometry`]
    /// on opening.
    pub fn headroom(mut self, bytes: u32) -> Self {
        self.reserve = bytes;
        self
    }

    /// Locks the ring into memory (mlock(2)). The kernel allocates the pages of a packet ring up
    /// front and never swaps them, so today this changes nothing. Default: off. Beyond
    /// `RLIMIT_MEMLOCK` it needs `CAP_IPC_LOCK`.
    pub fn lock_memory(mut self, lock: bool) -> Self {
        self.lock_memory = lock;
        self
    }

    /// Sets the size of the socket's receive buffer in bytes (`SO_RCVBUF`). The ring does not use
    /// it. Default: the system's (`net.core.rmem_default`).
    pub fn receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Sets how long to poll the adapter if no packet is there, in whole microseconds
    /// (`SO_BUSY_POLL` of socket(7)). Default: the system's (`net.core.busy_read`). An increase
    /// needs `CAP_NET_ADMIN` ([`Error::Permission`]).
    pub fn busy_poll(mut self, time: Duration) -> Self {
        self.busy_poll = Some(time);
        self
    }

    /// Prefers busy polling to the adapter's interrupts (`SO_PREFER_BUSY_POLL`). Default: off.
    /// Needs Linux 5.11 and `CAP_NET_ADMIN` ([`Error::Permission`]).
    pub fn prefer_busy_poll(mut self, prefer: bool) -> Self {
        self.prefer_busy_poll = prefer;
        self
    }

    /// Sets the maximum number of packets to take per busy poll (`SO_BUSY_POLL_BUDGET`). Default:
    /// the kernel's, 8. Setting it needs Linux 5.11 and `CAP_NET_ADMIN` ([`Error::Permission`]).
    pub fn busy_poll_budget(mut self, packets: u16) -> Self {
        self.busy_poll_budget = Some(packets);
        self
    }

    /// Opens the capture.
    ///
    /// No packet of another interface, and none that the filter drops, is ever delivered. The
    /// socket receives nothing before its ring is mapped, no packet passes before it has joined its
    /// fanout group, and then the filter takes effect in one step.
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_RAW`; [`Error::NoInterface`];
    /// [`Error::HardwareType`]; [`Error::Geometry`]; [`Error::Filter`] and related errors;
    /// [`Error::System`] for anything else that the kernel refuses.
    pub fn open(self) -> Result<Capture, Error> {
        self.open_closed()?.let_through()
    }

    /// Opens the capture with a filter that drops all packets.
    pub(crate) fn open_closed(self) -> Result<Closed, Error> {
        let (index, hardware_type) = self.find_interface()?;
        let link_type = self.link_type(hardware_type)?;
        let request = self.ring_request()?;
        let socket = PacketSocket::new()
            .map_err(privileged("open a packet socket", &[Capability::NetRaw]))?;

        socket.set_version(TPACKET_V3).map_err(system("choose version 3 of the packet ring"))?;
        if self.reserve > 0 {
            socket.set_reserve(self.reserve).map_err(system("reserve room before packets"))?;
        }
        let loopback = hardware_type == Some(interface::ARPHRD_LOOPBACK);
        let incoming_only =
            self.outgoing == Outgoing::Never || self.outgoing == Outgoing::Once && loopback;
        if incoming_only {
            socket.set_ignore_outgoing(true).map_err(system("ignore outgoing packets"))?;
        }
        self.set_timestamps(&socket)?;
        self.set_buffers(&socket)?;
        socket.set_rx_ring(&request).map_err(system("make the packet ring"))?;
        let RingGeometry { block_size, blocks, .. } = self.geometry;
        let mapping =
            socket.map_ring(block_size * blocks).map_err(system("map the packet ring"))?;
        if self.lock_memory {
            mapping
                .lock()
                .map_err(privileged("lock the packet ring into memory", &[Capability::IpcLock]))?;
        }
        let ring =
            Ring::new(mapping, block_size, blocks, Event::new().map_err(system("make an event"))?);

        let mut socket = CaptureSocket {
            socket,
            interface: self.interface.clone(),
            index,
            snaplen: self.snaplen,
            link_type,
            once_on_loopback: index == 0 && self.outgoing == Outgoing::Once,
            promiscuous: false,
            locked: false,
        };
        socket.drop_all().map_err(|source| Error::Filter { source })?;
        socket.socket.bind(index, ETH_P_ALL).map_err(system("bind to the interface"))?;
        // In a group, the group's option applies instead of the socket's.
        let fanout =
            self.fanout.map(|fanout| if incoming_only { fanout.ignore_outgoing() } else { fanout });
        let group = fanout.map(|fanout| fanout.join(&socket.socket)).transpose()?;
        if self.promiscuous && index != 0 {
            socket.join_promiscuous()?;
        }
        let Self { filter, lock_filter, hash, coalesce, .. } = self;
        let block_timeout = Duration::from_millis(request.tp_retire_blk_tov.into());
        Ok(Closed {
            socket,
            ring,
            group,
            filter,
            lock_filter,
            hash,
            block_timeout,
            // A full block must not wait longer than one that is not full.
            coalesce: coalesce.min(block_timeout),
        })
    }

    /// Index and hardware type; 0 and `None` for all interfaces.
    fn find_interface(&self) -> Result<(u32, Option<u16>), Error> {
        if self.interface == ANY {
            return Ok((0, None));
        }
        let missing = |error| no_interface(&self.interface, error);
        let index = interface::index(&self.interface).map_err(missing)?;
        let hardware_type = interface::hardware_type(&self.interface).map_err(missing)?;
        Ok((index, Some(hardware_type)))
    }

    fn link_type(&self, hardware_type: Option<u16>) -> Result<Option<LinkType>, Error> {
        let Some(hardware_type) = hardware_type else { return Ok(None) };
        match hardware::of_hardware(hardware_type) {
            LinkType::UNKNOWN => {
                Err(Error::HardwareType { interface: self.interface.clone(), hardware_type })
            }
            link_type => Ok(Some(link_type)),
        }
    }

    fn ring_request(&self) -> Result<TpacketReq3, Error> {
        const PAGE: usize = 4096;
        let RingGeometry { block_size, blocks, timeout } = self.geometry;
        let wrong = |problem| Err(Error::Geometry { block_size, blocks, problem });
        if !block_size.is_multiple_of(PAGE) || !(PAGE..=1 << 30).contains(&block_size) {
            return wrong(GeometryProblem::BlockSize);
        }
        if blocks < 2 {
            return wrong(GeometryProblem::BlockCount);
        }
        if block_size.checked_mul(blocks).is_none_or(|size| size > u32::MAX as usize) {
            return wrong(GeometryProblem::Size);
        }
        // The kernel stores a packet's offset in 16 bits and drops packets beyond that
        // (`tpacket_rcv` of af_packet.c).
        if self.reserve as usize > block_size.min(u16::MAX.into()) - BEFORE_PACKET {
            return wrong(GeometryProblem::Headroom);
        }
        let frame_size = (FRAME + self.reserve as usize).next_multiple_of(16).min(block_size);
        let hash = if self.hash { TP_FT_REQ_FILL_RXHASH } else { 0 };
        Ok(TpacketReq3 {
            tp_block_size: block_size as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: frame_size as u32,
            tp_frame_nr: (block_size / frame_size * blocks) as u32,
            // With 0, the kernel would choose.
            tp_retire_blk_tov: u32::try_from(timeout.as_millis())
                .unwrap_or(u32::MAX)
                .clamp(1, i32::MAX as u32),
            tp_sizeof_priv: 0,
            tp_feature_req_word: hash,
        })
    }

    fn set_timestamps(&self, socket: &PacketSocket) -> Result<(), Error> {
        if !matches!(self.timestamps, TimestampSource::RawHardware | TimestampSource::Hardware) {
            return Ok(());
        }
        interface::enable_hardware_timestamps(&self.interface).map_err(|source| {
            if source.kind() == io::ErrorKind::PermissionDenied {
                return privileged("switch hardware time stamps on", &[Capability::NetAdmin])(
                    source,
                );
            }
            Error::NoHardwareTimestamps { interface: self.interface.clone(), source }
        })?;
        socket.set_timestamping(RAW_HARDWARE).map_err(system("choose hardware time stamps"))
    }

    fn set_buffers(&self, socket: &PacketSocket) -> Result<(), Error> {
        let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        if let Some(bytes) = self.receive_buffer {
            socket.set_receive_buffer(int(bytes)).map_err(system("set the receive buffer"))?;
        }
        if let Some(time) = self.busy_poll {
            let microseconds = int(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
            let set = socket.set_busy_poll(microseconds);
            set.map_err(privileged("set busy polling", &[Capability::NetAdmin]))?;
        }
        if self.prefer_busy_poll {
            let set = socket.set_prefer_busy_poll(true);
            set.map_err(privileged("prefer busy polling", &[Capability::NetAdmin]))?;
        }
        if let Some(packets) = self.busy_poll_budget {
            let set = socket.set_busy_poll_budget(i32::from(packets));
            set.map_err(privileged("set the budget of busy polling", &[Capability::NetAdmin]))?;
        }
        Ok(())
    }
}
