//! Errors of AF_XDP.

use std::io;

use ring_sys::bpf::LoadError;
use ring_sys::capability::Capability;
use ring_sys::errno;

use super::builder::Direction;
use super::program::Mode;
use crate::privilege::Needs;

/// The error type of AF_XDP operations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("{operation}")]
    System {
        /// The operation that failed.
        operation: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// A system call was refused because a capability is missing.
    #[error("{operation}: needs {}", Needs(needs))]
    Permission {
        /// The operation that failed.
        operation: &'static str,
        /// The capabilities that it needs.
        needs: &'static [Capability],
    },
    /// The kernel is too old for a requested feature.
    #[error("{feature} needs Linux {needs}, and this is {have}")]
    KernelTooOld {
        /// The feature.
        feature: &'static str,
        /// The first version with the feature.
        needs: KernelVersion,
        /// The running version.
        have: KernelVersion,
    },
    /// The kernel was built without AF_XDP.
    #[error("this kernel was built without AF_XDP (CONFIG_XDP_SOCKETS)")]
    NotBuilt,
    /// There is no interface of this name in this network namespace.
    #[error("there is no interface {interface:?}; `ip link` lists those of this network namespace")]
    NoInterface {
        /// The requested name.
        interface: String,
    },
    /// The interface has no such queue.
    #[error("{interface} has no queue {queue}, it has {queues} (`ethtool -l {interface}`)")]
    NoSuchQueue {
        /// The interface's name.
        interface: String,
        /// The requested queue, counted from 0.
        queue: u32,
        /// The number of the interface's queues.
        queues: u32,
    },
    /// Another socket uses the queue.
    #[error(
        "queue {queue} of {interface} is taken by another AF_XDP socket; tried again for {waited:?}"
    )]
    QueueBusy {
        /// The interface's name.
        interface: String,
        /// The queue.
        queue: u32,
        /// The time spent on retries. A socket that was just closed keeps its queue for some
        /// milliseconds.
        waited: std::time::Duration,
    },
    /// The interface's driver does not support a required feature.
    #[error(
        "the driver of {interface} ({}) has no {feature}; {}",
        driver.as_deref().unwrap_or("unknown"),
        feature.advice()
    )]
    NoDriverSupport {
        /// The interface's name.
        interface: String,
        /// The driver's name, if the kernel reports it.
        driver: Option<String>,
        /// The missing feature.
        feature: DriverFeature,
    },
    /// The MTU is too large for the driver with this program.
    #[error(
        "the MTU of {interface}, {mtu}, is too large for XDP in native mode: lower it, or use generic mode"
    )]
    MtuTooLarge {
        /// The interface's name.
        interface: String,
        /// The MTU in bytes.
        mtu: u32,
    },
    /// The packet memory exceeds what is left of the limit of locked memory. The limit is for all
    /// programs of a user together, and memory of sockets that were closed counts for a moment.
    #[error(
        "{needed} bytes of packet memory cannot be locked (this user may lock {} in all): raise \
         `ulimit -l`, give the program cap_ipc_lock, or take fewer frames",
        limit.map_or("as much as there is".to_owned(), |limit| format!("{limit} bytes"))
    )]
    LockedMemory {
        /// The needed number of bytes.
        needed: u64,
        /// `RLIMIT_MEMLOCK` in bytes, `None` if it is unlimited.
        limit: Option<u64>,
    },
    /// Huge pages were required for packet memory, but are not available.
    #[error("no huge pages for {needed} bytes: reserve some in /proc/sys/vm/nr_hugepages")]
    HugePages {
        /// The needed number of bytes.
        needed: u64,
        /// The kernel's error.
        source: io::Error,
    },
    /// Another program is attached to the interface.
    /// [`replace_program`](super::SocketBuilder::replace_program) detaches it.
    #[error(
        "{interface} has an XDP program already ({mode}, number {id}, {name:?}): end the program that attached it, or \
         detach it with `ip link set dev {interface} xdp off`"
    )]
    ProgramPresent {
        /// The interface's name.
        interface: String,
        /// The mode in which it is attached.
        mode: Mode,
        /// The program's ID.
        id: u32,
        /// The program's name, empty if this process lacks the privilege to read it.
        name: String,
    },
    /// This process has attached a program to the interface that differs from the requested one.
    #[error(
        "this process has a program on {interface} with another {difference}; sockets on one interface share one program"
    )]
    ProgramDiffers {
        /// The interface's name.
        interface: String,
        /// The difference.
        difference: ProgramDifference,
    },
    /// The text of a filter expression is invalid.
    #[error("parse the filter expression")]
    FilterSyntax(#[source] packet_filter::ParseError),
    /// The filter cannot be compiled into an XDP program.
    #[error("compile the filter into an XDP program")]
    Filter(#[source] packet_filter::CompileError),
    /// The kernel refused the program.
    #[error("load the XDP program")]
    Program(#[source] LoadError),
    /// A size or a number of a ring or of packet memory is invalid.
    #[error("{problem}, not {value}")]
    Geometry {
        /// The invalid value.
        value: u64,
        /// The number that has the value, and the valid ones.
        problem: GeometryProblem,
    },
    /// Zero-copy was required with [unaligned](super::UmemConfig::unaligned) frames.
    #[error("unaligned frames are always copied, so zero-copy cannot be required")]
    UnalignedZeroCopy,
    /// A socket's [`key`](super::SocketBuilder::key) exceeds the map of sockets.
    #[error("the map of sockets has no entry {key}: keys are below its number of entries")]
    KeyOutOfRange {
        /// The requested key.
        key: u32,
    },
    /// The map given for sockets has another type than `XSKMAP`.
    #[error("the map of sockets has another type than XSKMAP")]
    NotASocketMap,
    /// The memory has fewer frames left than the socket needs.
    #[error("the packet memory has {left} frames left, and the socket needs {needed}")]
    TooFewFrames {
        /// Number of frames left.
        left: usize,
        /// Number of frames needed.
        needed: usize,
    },
    /// Too many queues have used one packet memory.
    #[error("a packet memory can be used by {limit} queues in all, one after another")]
    TooManySockets {
        /// The maximum.
        limit: u16,
    },
    /// The kernel's index of a ring is invalid. The ring is no longer used.
    #[error(
        "the kernel's index of the {ring} ring is {theirs}, where ours is {ours} of {size} entries"
    )]
    RingIndex {
        /// The name of the ring.
        ring: &'static str,
        /// The index of this process.
        ours: u32,
        /// The kernel's index.
        theirs: u32,
        /// Entries of the ring.
        size: u32,
    },
    /// The interface was deleted while it was in use.
    #[error("the interface {interface} was deleted")]
    InterfaceGone {
        /// The interface's name.
        interface: String,
    },
    /// Both sides are the same interface.
    #[error("{interface} cannot be joined with itself")]
    SameInterface {
        /// The interface's name.
        interface: String,
    },
    /// A packet is too long to be sent.
    #[error("the packet has {len} bytes, and at most {limit} can be sent")]
    PacketTooLong {
        /// Its length in bytes.
        len: usize,
        /// The maximum in bytes.
        limit: usize,
    },
    /// A packet without bytes cannot be sent.
    #[error("the packet is empty")]
    EmptyPacket,
    /// A packet was to be sent before the last frame of the previous one.
    #[error("the previous packet is incomplete: its last frame continues")]
    IncompletePacket,
    /// A frame belongs to another packet memory than the socket's.
    #[error("the frame belongs to another packet memory than the socket's")]
    ForeignFrame,
    /// Metadata were requested, but the packet memory has no room for them.
    #[error(
        "the packet memory was made without room for metadata, or the frame has none before its packet"
    )]
    NoMetadata,
    /// The socket was opened only for the other direction.
    #[error("the socket does not {}", if *direction == Direction::Send { "send" } else { "receive" })]
    WrongDirection {
        /// The direction that is missing.
        direction: Direction,
    },
}

/// A number that is invalid, and the valid ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryProblem {
    /// The number of entries of a ring.
    #[error("the number of ring entries must be a power of two up to 1048576")]
    RingSize,
    /// The number of frames of a packet memory.
    #[error("the number of frames must be from 1 to 16777216")]
    Frames,
    /// The size of aligned frames.
    #[error("the frame size must be 2048 or 4096 bytes")]
    FrameSize,
    /// The size of [unaligned](super::UmemConfig::unaligned) frames.
    #[error("the frame size must be a multiple of 64 from 2048 to 4096 bytes")]
    UnalignedFrameSize,
    /// The headroom of a frame.
    #[error("the headroom must leave 320 bytes of a frame")]
    Headroom,
}

/// A feature that a driver may not support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DriverFeature {
    /// Programs in the driver.
    #[error("XDP in native mode")]
    NativeMode,
    /// Programs in the driver with the current number of receive queues.
    #[error("XDP in native mode with so few receive queues")]
    NativeQueues,
    /// Sockets whose frames the device accesses directly.
    #[error("AF_XDP without copying")]
    ZeroCopy,
}

impl DriverFeature {
    /// The way to do without the feature.
    const fn advice(self) -> &'static str {
        match self {
            Self::NativeMode => "attach the program in generic mode or automatically",
            Self::NativeQueues => {
                "give it as many as its peer sends with (`ethtool -L`), or attach the program in generic mode or automatically"
            }
            Self::ZeroCopy => "let packets be copied",
        }
    }
}

/// The difference between an attached program and a requested one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramDifference {
    /// It redirects other packets.
    #[error("filter")]
    Filter,
    /// It runs in another mode.
    #[error("mode")]
    Mode,
}

/// A version of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelVersion {
    /// The major version.
    pub major: u16,
    /// The minor version.
    pub minor: u16,
}

impl KernelVersion {
    pub(crate) const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// The running version, from `/proc/sys/kernel/osrelease`.
    pub(crate) fn running() -> io::Result<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        Self::parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|letter: char| !letter.is_ascii_digit());
        let mut next = || numbers.next()?.parse().ok();
        Some(Self { major: next()?, minor: next()? })
    }
}

impl std::fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The error of looking up an interface: it does not exist, or the lookup failed.
pub(crate) fn no_interface(name: &str) -> impl FnOnce(io::Error) -> Error {
    move |source| match source.raw_os_error() {
        Some(errno::ENODEV) => Error::NoInterface { interface: name.to_owned() },
        _ if source.kind() == io::ErrorKind::NotFound => {
            Error::NoInterface { interface: name.to_owned() }
        }
        _ => Error::System { operation: "find the interface", source },
    }
}

/// Converts an error of a system call. Recognises a missing privilege and a kernel that is too old.
pub(crate) fn explain(
    operation: &'static str,
    needs: &'static [Capability],
    since: Option<(&'static str, KernelVersion)>,
    source: io::Error,
) -> Error {
    match source.raw_os_error() {
        Some(errno::EPERM | errno::EACCES) => Error::Permission { operation, needs },
        _ => match (since, KernelVersion::running()) {
            (Some((feature, needs)), Ok(have)) if have < needs => {
                Error::KernelTooOld { feature, needs, have }
            }
            _ => Error::System { operation, source },
        },
    }
}

/// `None` if the interface is down.
pub(crate) fn unless_down<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::System { source, .. }) if source.raw_os_error() == Some(errno::ENETDOWN) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(KernelVersion::parse("6.18.44-fc-v657\n"), Some(KernelVersion::new(6, 18)));
        assert_eq!(KernelVersion::parse("5.4"), Some(KernelVersion::new(5, 4)));
        assert_eq!(KernelVersion::parse("x"), None);
        assert!(KernelVersion::new(5, 10) > KernelVersion::new(5, 9));
        assert!(KernelVersion::running().is_ok());
    }

    #[test]
    fn the_reason_behind_an_error_is_named() {
        let error = |number| io::Error::from_raw_os_error(number);
        let old = KernelVersion::new(u16::MAX, 0);
        let since = Some(("time travel", old));
        let needs = &[Capability::NetRaw, Capability::Bpf];
        let explained = explain("bind", needs, since, error(22));
        assert!(matches!(explained, Error::KernelTooOld { needs, .. } if needs == old));
        let explained = explain("bind", needs, since, error(1));
        assert!(explained.to_string().contains("setcap cap_net_raw,cap_bpf+ep"), "{explained}");
        let explained = explain("bind", needs, None, error(22));
        assert!(matches!(explained, Error::System { .. }));
    }
}
