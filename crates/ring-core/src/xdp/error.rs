//! What can go wrong with AF_XDP.

use std::io;

use ring_sys::bpf::LoadError;

use super::program::XdpMode;

/// An error of AF_XDP.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XdpError {
    /// A system call failed.
    #[error("{operation}: {source}")]
    System {
        /// What was attempted.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The process lacks a privilege.
    #[error("{operation} needs {capabilities}: run as root, or `setcap {}=ep PROGRAM`", .capabilities.replace(" and ", ","))]
    MissingCapability {
        /// What was attempted.
        operation: &'static str,
        /// What it needs, as `setcap` takes it.
        capabilities: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel is older than what was asked for.
    #[error("{feature} needs Linux {needs}, and this is {have}")]
    KernelTooOld {
        /// What was asked for.
        feature: &'static str,
        /// The first version that has it.
        needs: KernelVersion,
        /// The version that runs.
        have: KernelVersion,
    },
    /// The kernel was built without AF_XDP.
    #[error("this kernel was built without AF_XDP (CONFIG_XDP_SOCKETS)")]
    NotBuilt,
    /// There is no such interface.
    #[error("{interface}: {source}")]
    NoSuchInterface {
        /// Its name.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The interface has fewer queues.
    #[error("{interface} has no queue {queue}, it has {queues} (`ethtool -l {interface}`)")]
    NoSuchQueue {
        /// The interface.
        interface: String,
        /// The queue that was asked for, counted from 0.
        queue: u32,
        /// How many it has.
        queues: u32,
    },
    /// Another socket has the queue.
    #[error(
        "queue {queue} of {interface} is taken by another AF_XDP socket; tried again for {waited:?}"
    )]
    QueueBusy {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
        /// For how long it was tried again: a socket that was just closed keeps its queue for some milliseconds.
        waited: std::time::Duration,
    },
    /// The interface's driver does not do what is required.
    #[error(
        "the driver of {interface} ({}) has no {what}; {hint}", driver.as_deref().unwrap_or("unknown")
    )]
    NoDriverSupport {
        /// The interface.
        interface: String,
        /// Its driver, where the kernel tells.
        driver: Option<String>,
        /// What it lacks.
        what: &'static str,
        /// What a person can do.
        hint: &'static str,
    },
    /// The MTU is larger than the driver takes with this program.
    #[error(
        "the MTU of {interface}, {mtu}, is too large for XDP in native mode: lower it, or use generic mode"
    )]
    MtuTooLarge {
        /// The interface.
        interface: String,
        /// Its MTU in bytes.
        mtu: u32,
    },
    /// The packet memory is more than the process may lock.
    #[error(
        "{needed} bytes of packet memory are more than may be locked ({}): raise `ulimit -l`, \
         give the program cap_ipc_lock, or take fewer frames",
        limit.map_or("no limit is set".to_owned(), |limit| format!("{limit} bytes"))
    )]
    LockedMemory {
        /// Bytes that are needed.
        needed: u64,
        /// `RLIMIT_MEMLOCK` in bytes, `None` if it is unlimited.
        limit: Option<u64>,
    },
    /// No huge pages for packet memory that was to have them.
    #[error("no huge pages for {needed} bytes: reserve some in /proc/sys/vm/nr_hugepages")]
    HugePages {
        /// Bytes that are needed.
        needed: u64,
        /// What the kernel said.
        source: io::Error,
    },
    /// Somebody else's program is attached to the interface; with
    /// [`replace_program`](super::XdpSocketBuilder::replace_program) it is taken off.
    #[error(
        "{interface} has an XDP program already ({mode}, number {id}, {name:?}): end the program that attached it, or \
         detach it with `ip link set dev {interface} xdp off`"
    )]
    ProgramPresent {
        /// The interface.
        interface: String,
        /// In which mode it is attached.
        mode: XdpMode,
        /// Its number.
        id: u32,
        /// Its name, empty where it may not be asked for.
        name: String,
    },
    /// This process has attached a program to the interface that does something else than the one asked for.
    #[error(
        "this process has a program on {interface} with another {difference}: sockets on one interface share one program"
    )]
    ProgramDiffers {
        /// The interface.
        interface: String,
        /// What is different.
        difference: &'static str,
    },
    /// The filter cannot be compiled into an XDP program.
    #[error("the filter as a part of an XDP program: {0}")]
    Filter(#[source] packet_filter::CompileError),
    /// The kernel does not take the program.
    #[error("loading the XDP program: {0}")]
    Program(#[source] LoadError),
    /// A number that cannot be.
    #[error("{what} of {value} is not possible: {rule}")]
    Geometry {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
        /// What it must be.
        rule: &'static str,
    },
    /// The memory has fewer frames left than the socket needs at least.
    #[error("the packet memory has {left} frames left, and the socket needs {needed}")]
    TooFewFrames {
        /// How many are left.
        left: usize,
        /// How many are needed.
        needed: usize,
    },
    /// So many queues have used one packet memory that there are no numbers left.
    #[error("a packet memory is good for {limit} queues, one after another")]
    TooManySockets {
        /// How many.
        limit: u16,
    },
    /// The kernel's index of a ring is none that it could be. The ring is not used any more.
    #[error(
        "the kernel's index of the {ring} ring is {theirs}, where ours is {ours} of {size} entries"
    )]
    RingIndex {
        /// Which ring.
        ring: &'static str,
        /// Our index.
        ours: u32,
        /// The kernel's.
        theirs: u32,
        /// Entries of the ring.
        size: u32,
    },
    /// The interface went away while the socket was open.
    #[error("{interface} has gone")]
    InterfaceGone {
        /// The interface.
        interface: String,
    },
    /// One interface was named for both sides.
    #[error("{interface} cannot be joined with itself")]
    SameInterface {
        /// The interface.
        interface: String,
    },
    /// A packet longer than can be sent.
    #[error("a packet of {len} bytes, where at most {limit} can be sent")]
    PacketTooLong {
        /// Its length in bytes.
        len: usize,
        /// The most, in bytes.
        limit: usize,
    },
    /// A frame of another packet memory than the socket's.
    #[error("the frame belongs to another packet memory than the socket's")]
    ForeignFrame,
    /// Metadata were asked for of a packet memory that has no room for them.
    #[error(
        "the packet memory was made without room for metadata, or the frame has none before its packet"
    )]
    NoMetadata,
    /// The socket was opened for the other direction alone.
    #[error("the socket does not {0}")]
    WrongDirection(&'static str),
}

/// A version of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelVersion {
    /// The first number.
    pub major: u16,
    /// The second number.
    pub minor: u16,
}

impl KernelVersion {
    pub(crate) const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// The version that runs, from `/proc/sys/kernel/osrelease`.
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

/// What stands behind an error of a system call, if it is a privilege or the kernel's age; the error itself otherwise.
pub(crate) fn explain(
    operation: &'static str,
    capabilities: &'static str,
    since: Option<(&'static str, KernelVersion)>,
    source: io::Error,
) -> XdpError {
    match source.raw_os_error() {
        Some(libc_errno::EPERM | libc_errno::EACCES) => {
            XdpError::MissingCapability { operation, capabilities, source }
        }
        _ => match (since, KernelVersion::running()) {
            (Some((feature, needs)), Ok(have)) if have < needs => {
                XdpError::KernelTooOld { feature, needs, have }
            }
            _ => XdpError::System { operation, source },
        },
    }
}

/// Numbers of errors (`asm-generic/errno-base.h`, `asm-generic/errno.h`), the same on all machines that Rust's Linux
/// targets have but MIPS and SPARC, which no AF_XDP driver runs on.
pub(crate) mod libc_errno {
    pub(crate) const EPERM: i32 = 1;
    pub(crate) const ENXIO: i32 = 6;
    pub(crate) const E2BIG: i32 = 7;
    pub(crate) const EAGAIN: i32 = 11;
    pub(crate) const ENOMEM: i32 = 12;
    pub(crate) const EACCES: i32 = 13;
    pub(crate) const EBUSY: i32 = 16;
    pub(crate) const EEXIST: i32 = 17;
    pub(crate) const ENODEV: i32 = 19;
    pub(crate) const EINVAL: i32 = 22;
    pub(crate) const ENOSPC: i32 = 28;
    pub(crate) const ERANGE: i32 = 34;
    pub(crate) const EOPNOTSUPP: i32 = 95;
    pub(crate) const EAFNOSUPPORT: i32 = 97;
    pub(crate) const ENETDOWN: i32 = 100;
    pub(crate) const ENOBUFS: i32 = 105;
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
        let explained = explain("bind", "cap_net_raw and cap_bpf", since, error(22));
        assert!(matches!(explained, XdpError::KernelTooOld { needs, .. } if needs == old));
        let explained = explain("bind", "cap_net_raw and cap_bpf", since, error(1));
        assert!(explained.to_string().contains("setcap cap_net_raw,cap_bpf=ep"), "{explained}");
        let explained = explain("bind", "cap_net_raw", None, error(22));
        assert!(matches!(explained, XdpError::System { .. }));
    }
}
