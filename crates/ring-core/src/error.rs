//! What can go wrong.

use std::fmt;
use std::io;
use std::path::PathBuf;

use ring_sys::capability::Capability;

use crate::xdp::libc_errno;
use crate::{LinkType, Timestamp, XdpError};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("{operation}: {source}")]
    System {
        /// What was attempted.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A system call was refused for want of a capability.
    #[error("{operation}: needs {}; run as root, or `setcap {}+ep PROGRAM`, or in a user namespace of your own (`unshare -rn`), which sees only its own traffic",
        needs.name().to_uppercase(), needs.name())]
    Permission {
        /// What was attempted.
        operation: &'static str,
        /// The capability that it takes.
        needs: Capability,
    },
    /// There is no interface of this name in this network namespace.
    #[error("there is no interface {name:?}; `ip link` lists those of this network namespace")]
    NoInterface {
        /// The name.
        name: String,
    },
    /// The interface was deleted while packets were captured from it.
    #[error("the interface {name} was deleted")]
    InterfaceGone {
        /// Its name.
        name: String,
    },
    /// The interface's packets start with a header that has no link type here.
    #[error(
        "packets of {name} are of hardware type {hardware_type} (linux/if_arp.h), which has no link type here"
    )]
    HardwareType {
        /// The interface.
        name: String,
        /// `ARPHRD_*`.
        hardware_type: u16,
    },
    /// Time stamps of the adapter were asked for, which it does not have for what it receives. Those of
    /// [`TimestampSource::Software`](crate::TimestampSource::Software) are always there.
    #[error(
        "{name} has no hardware time stamps for received packets: {source}; those of the kernel's clock are possible"
    )]
    NoHardwareTimestamps {
        /// The interface.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A ring geometry that the kernel cannot have.
    #[error("a ring of {blocks} blocks of {block_size} bytes: {problem}")]
    Geometry {
        /// Bytes in a block.
        block_size: usize,
        /// How many blocks.
        blocks: usize,
        /// What is wrong with it.
        problem: GeometryProblem,
    },
    /// The kernel did not take the filter.
    #[error("set the packet filter: {source}")]
    Filter {
        /// What the kernel said.
        source: io::Error,
    },
    /// The filter expression cannot be compiled for the packets.
    #[error("filter for packets of link type {}: {source}", link_type.0)]
    Compile {
        /// The link type of the packets.
        link_type: LinkType,
        /// What stands against it.
        source: packet_filter::CompileError,
    },
    /// There are no filter expressions for packets of this link type.
    #[error("packets of link type {} cannot be filtered by an expression", link_type.0)]
    FilterLinkType {
        /// The link type.
        link_type: LinkType,
    },
    /// A classic filter program breaks the kernel's rules.
    #[error("filter program: {0}")]
    FilterProgram(#[from] packet_filter::ProgramError),
    /// The filter was locked when the capture was opened.
    #[error("the filter is locked: it was asked for when the capture was opened")]
    FilterLocked,
    /// A filter program is longer than the kernel takes.
    #[error("a filter of {len} instructions, where the kernel takes at most {limit}")]
    FilterLength {
        /// How many it has.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// A limit on captured bytes cannot be combined with a filter that computes its own, or that is an eBPF program.
    #[error("a snap length cannot be put on a filter that decides itself how many bytes to keep")]
    FilterSnaplen,
    /// AF_XDP cannot do what is asked of it. What is the same for every backend, as an interface that is not there, has
    /// the variants of its own above.
    #[error(transparent)]
    Xdp(XdpError),
    /// Something was awaited outside a tokio runtime, or in one whose `Builder` was not given `enable_io`.
    #[error(
        "awaited outside a tokio runtime with input and output enabled: enable them, or use the form that waits itself"
    )]
    NoRuntime,
    /// A file could not be opened.
    #[error("{}: {source}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A capture file cannot be read on from some point. All packets before it have been delivered.
    #[error("{}: {damage}", Place { record: *record, offset: *offset })]
    Damaged {
        /// The damaged record: a packet of a pcap file, a block of a pcapng file, counted from 1. 0 is the header of a
        /// pcap file, or of a file too short to tell.
        record: u64,
        /// Where the damaged record starts, in bytes from the start of the file.
        offset: u64,
        /// What is wrong there.
        damage: Damage,
    },
    /// A capture file of a known format that this crate does not read.
    #[error("{format} files are not read; {}", format.hint())]
    ForeignFormat {
        /// Which format.
        format: ForeignFormat,
    },
    /// A file that is no capture file of a known format.
    #[error("not a capture file: it starts with {}, which is neither pcap nor pcapng", hex(magic))]
    UnknownFormat {
        /// Its first bytes, zero where it has fewer.
        magic: [u8; 8],
    },
    /// A frame that is too long or too short for the interface. It was not taken.
    #[error("a frame of {len} bytes, where {interface} takes {least} to {limit}")]
    FrameLength {
        /// The interface.
        interface: String,
        /// The frame's length in bytes.
        len: usize,
        /// The shortest: the link-layer header.
        least: usize,
        /// The longest: the MTU and the link-layer header, a VLAN tag not counted.
        limit: usize,
    },
    /// A packet that starts with another header than the interface's packets.
    #[error("a packet of link type {}, where {interface} sends such of link type {}", packet.0, expected.0)]
    SinkLinkType {
        /// The interface.
        interface: String,
        /// The packet's.
        packet: LinkType,
        /// The interface's.
        expected: LinkType,
    },
    /// A bridge from an interface to itself.
    #[error("{name} cannot be bridged with itself")]
    SameInterface {
        /// The interface.
        name: String,
    },
    /// An offload was asked of an injector that was not opened for it, with
    /// [`InjectorBuilder::offloads`](crate::InjectorBuilder::offloads).
    #[error("offloads need an injector that was opened for them")]
    NoOffloads,
    /// A capture file cannot hold what it was given to write. Nothing of it was written.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
}

/// What a capture file cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unwritable {
    /// A packet of another link type than the file's, in a format that has one for all packets.
    #[error(
        "a packet of link type {} in a pcap file of link type {}; write pcapng, which holds several", packet.0, file.0
    )]
    LinkType {
        /// The file's.
        file: LinkType,
        /// The packet's.
        packet: LinkType,
    },
    /// A time that the seconds of pcap are too short for: they end in the year 2106.
    #[error("the time stamp {0} is later than pcap can tell; write pcapng")]
    Time(Timestamp),
    /// More interfaces than readers take.
    #[error("more than {limit} interfaces")]
    TooManyInterfaces {
        /// The limit.
        limit: u32,
    },
    /// A name, a comment or another text that is too long.
    #[error("a text of {length} bytes, where {limit} are possible")]
    TextLength {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The "modified" pcap format, which is read but not written.
    #[error("modified pcap is not written; write pcap or pcapng")]
    ModifiedPcap,
    /// A file's name, with the time filled in, that is empty or too long.
    #[error("{} with the time filled in is no file name", name.display())]
    FileName {
        /// The name as it was given.
        name: PathBuf,
    },
    /// All intervals of a capture in several files are over.
    #[error("the last interval of the capture is over")]
    Complete,
    /// The file that packets are read from.
    #[error("{} is the file that is read, and would be lost; write to another file", path.display())]
    Input {
        /// The name that leads to it.
        path: PathBuf,
    },
}

/// What is wrong with a ring's geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryProblem {
    /// Blocks are whole pages, 4 KiB to 1 GiB of them.
    #[error("blocks have whole pages, from 4 KiB to 1 GiB")]
    BlockSize,
    /// A ring that lends needs another block to go on with.
    #[error("a ring has at least two blocks")]
    BlockCount,
    /// More than 4 GiB.
    #[error("a ring has at most 4 GiB")]
    Size,
    /// So much room before each packet leaves none for the packet.
    #[error("room before packets leaves 512 bytes of a block, and of 64 KiB, for the rest")]
    Headroom,
}

/// Bytes as a person reads them: `0a 0d 0d 0a`.
fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

/// The error of looking for an interface: that there is none, or that the question failed.
pub(crate) fn no_interface(name: &str, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound => Error::NoInterface { name: name.to_owned() },
        _ if source.raw_os_error() == Some(libc_errno::ENODEV) => {
            Error::NoInterface { name: name.to_owned() }
        }
        _ => Error::System { operation: "look for the interface", source },
    }
}

/// The error of a system call, by what was attempted.
pub(crate) fn system(operation: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::System { operation, source }
}

/// The error of a system call that takes a capability, by what was attempted.
pub(crate) fn privileged(
    operation: &'static str,
    needs: Capability,
) -> impl FnOnce(io::Error) -> Error {
    move |source| match source.kind() {
        io::ErrorKind::PermissionDenied => Error::Permission { operation, needs },
        _ => Error::System { operation, source },
    }
}

/// A record of a capture file.
struct Place {
    record: u64,
    offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { record: 0, .. } => f.write_str("the header of the file"),
            Self { record, offset } => write!(f, "record {record} at byte {offset}"),
        }
    }
}

/// What is wrong with a record of a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file ends within the record.
    #[error("the file was cut short: {present} of at least {needed} bytes are there")]
    CutShort {
        /// Bytes of the record that are there.
        present: u64,
        /// Bytes that the record has at least.
        needed: u64,
    },
    /// A packet says that more of it was captured than a capture holds.
    #[error("a packet of {length} bytes, more than the {limit} that are possible")]
    PacketLength {
        /// What it says.
        length: u32,
        /// The limit for this link type.
        limit: u32,
    },
    /// A pcapng block is shorter than its type needs or longer than the limit.
    #[error(
        "a block of type {block_type:#x} with {length} bytes, where {least} to {limit} are possible"
    )]
    BlockLength {
        /// The block's type.
        block_type: u32,
        /// What it says.
        length: u32,
        /// The least for its type.
        least: u32,
        /// The most.
        limit: u32,
    },
    /// The length at the end of a pcapng block is not that of its start.
    #[error("a block whose length is {first} at its start and {last} at its end")]
    BlockEnd {
        /// The length at the start.
        first: u32,
        /// The length at the end.
        last: u32,
    },
    /// A packet in a pcapng block is longer than the block has room for.
    #[error("a packet of {length} bytes in a block with room for {room}")]
    PacketInBlock {
        /// What the packet says.
        length: u32,
        /// What there is room for.
        room: u32,
    },
    /// The byte-order magic of a pcapng section is none.
    #[error("a section with the byte-order magic {0:#010x}")]
    ByteOrder(u32),
    /// A version that this crate does not know how to read.
    #[error("version {major}.{minor} of the format")]
    Version {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// A packet of an interface that the section has not described.
    #[error("a packet of interface {index}, where {known} are described")]
    UnknownInterface {
        /// The interface's number in its section.
        index: u32,
        /// How many the section has described so far.
        known: u32,
    },
    /// More interfaces than the limit.
    #[error("more than {limit} interfaces")]
    TooManyInterfaces {
        /// The limit.
        limit: u32,
    },
}

/// Formats that are recognised in order to be refused by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignFormat {
    /// Compressed with gzip.
    #[error("gzip-compressed")]
    Gzip,
    /// Compressed with Zstandard.
    #[error("zstd-compressed")]
    Zstd,
    /// Compressed with LZ4.
    #[error("lz4-compressed")]
    Lz4,
    /// Compressed with bzip2.
    #[error("bzip2-compressed")]
    Bzip2,
    /// Compressed with xz.
    #[error("xz-compressed")]
    Xz,
    /// Solaris snoop, RFC 1761.
    #[error("snoop")]
    Snoop,
    /// Bluetooth snoop, of Android among others.
    #[error("btsnoop")]
    BtSnoop,
    /// nettl of HP-UX.
    #[error("nettl")]
    Nettl,
    /// Microsoft Network Monitor.
    #[error("Network Monitor")]
    NetworkMonitor,
    /// NetXRay and Windows Sniffer.
    #[error("NetXRay")]
    NetXray,
    /// DOS Sniffer.
    #[error("Sniffer")]
    Sniffer,
    /// iptrace of AIX.
    #[error("iptrace")]
    Iptrace,
    /// LANalyzer of Novell.
    #[error("LANalyzer")]
    Lanalyzer,
    /// OmniPeek and EtherPeek, tagged.
    #[error("OmniPeek")]
    OmniPeek,
    /// Visual Networks.
    #[error("Visual Networks")]
    VisualNetworks,
    /// K12 of Tektronix.
    #[error("K12")]
    K12,
    /// pcap in the dialect of Ixia.
    #[error("Ixia lcap")]
    Ixia,
}

impl From<XdpError> for Error {
    fn from(error: XdpError) -> Self {
        match error {
            XdpError::NoSuchInterface { interface, source }
                if source.raw_os_error() == Some(libc_errno::ENODEV) =>
            {
                Self::NoInterface { name: interface }
            }
            XdpError::InterfaceGone { interface } => Self::InterfaceGone { name: interface },
            XdpError::SameInterface { interface } => Self::SameInterface { name: interface },
            error => Self::Xdp(error),
        }
    }
}

impl ForeignFormat {
    /// What a person can do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Gzip => "decompress it first: zcat FILE | … --read -",
            Self::Zstd => "decompress it first: zstdcat FILE | … --read -",
            Self::Lz4 => "decompress it first: lz4cat FILE | … --read -",
            Self::Bzip2 => "decompress it first: bzcat FILE | … --read -",
            Self::Xz => "decompress it first: xzcat FILE | … --read -",
            _ => "convert it first: editcap -F pcapng FILE NEW",
        }
    }
}
