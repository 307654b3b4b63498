//! Errors.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::{LinkType, Timestamp};

/// The error type of this crate.
///
/// The text of an error does not repeat its cause, which is its
/// [`source`](std::error::Error::source): print the chain of both.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("{operation}")]
    System {
        /// The operation that failed.
        operation: &'static str,
        /// The operating system's error.
        source: io::Error,
    },
    /// A file could not be opened.
    #[error("open {}", path.display())]
    Open {
        /// The file's path.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A capture file is damaged. All packets before the damage have been delivered.
    #[error("{}: {damage}", Place { record: *record, offset: *offset })]
    Damaged {
        /// The damaged record, counted from 1: a packet of a pcap file or a block of a pcapng file.
        /// 0 is the header of a pcap file, or of a file that is too short to recognise.
        record: u64,
        /// Offset of the damaged record in the file, in bytes.
        offset: u64,
        /// The kind of damage.
        damage: Damage,
    },
    /// A capture file of a known format that this crate does not support.
    #[error("{format} files are not read; {}", format.hint())]
    ForeignFormat {
        /// The format.
        format: ForeignFormat,
    },
    /// A file of an unknown format.
    #[error("not a capture file: it starts with {}, which is neither pcap nor pcapng", hex(magic))]
    UnknownFormat {
        /// The first bytes of the file, padded with zeroes.
        magic: [u8; 8],
    },
    /// A capture file cannot hold the given data. Nothing of it was written.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
}

/// Data or settings that a capture file cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unwritable {
    /// The packet's link type differs from the file's, and the format allows only one.
    #[error(
        "a packet of link type {} in a pcap file of link type {}; write pcapng, which holds several", packet.0, file.0
    )]
    LinkType {
        /// The file's link type.
        file: LinkType,
        /// The packet's link type.
        packet: LinkType,
    },
    /// The time exceeds the range of pcap, which ends in the year 2106.
    #[error("the time stamp {0} is later than pcap can tell; write pcapng")]
    Time(Timestamp),
    /// There are more interfaces than readers accept.
    #[error("more than {limit} interfaces")]
    TooManyInterfaces {
        /// The maximum.
        limit: u32,
    },
    /// A name, a comment or another text is too long.
    #[error("a text of {length} bytes, where {limit} are possible")]
    TextLength {
        /// The text's length in bytes.
        length: usize,
        /// The maximum.
        limit: usize,
    },
    /// The "modified" pcap format, which can be read but not written.
    #[error("modified pcap is not written; write pcap or pcapng")]
    ModifiedPcap,
    /// The file's name, with the time filled in, is empty or too long.
    #[error("{} with the time filled in is no file name", name.display())]
    FileName {
        /// The name before the time is filled in.
        name: PathBuf,
    },
    /// The file's name contains a time, but local time is known only on Linux.
    #[error("{}: the time in a file name is filled in only on Linux; use a name without %", name.display())]
    LocalTime {
        /// The name before the time is filled in.
        name: PathBuf,
    },
    /// All intervals of a rotated capture are over.
    #[error("the last interval of the capture is over")]
    Complete,
    /// The output is the file that packets are read from.
    #[error("{} is the file that is read, and would be lost; write to another file", path.display())]
    Input {
        /// The path of the output.
        path: PathBuf,
    },
}

/// The kind of damage of a record in a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file ends within the record.
    #[error("the file was cut short: {present} of at least {needed} bytes are there")]
    CutShort {
        /// Bytes of the record that are present.
        present: u64,
        /// Minimum length of the record in bytes.
        needed: u64,
    },
    /// A packet's captured length exceeds the maximum.
    #[error("a packet of {length} bytes, more than the {limit} that are possible")]
    PacketLength {
        /// The packet's captured length.
        length: u32,
        /// The maximum for this link type.
        limit: u32,
    },
    /// A pcapng block is shorter than the minimum of its type or longer than the maximum.
    #[error(
        "a block of type {block_type:#x} with {length} bytes, where {least} to {limit} are possible"
    )]
    BlockLength {
        /// The block's type.
        block_type: u32,
        /// The block's length.
        length: u32,
        /// The minimum for its type.
        least: u32,
        /// The maximum.
        limit: u32,
    },
    /// The two length fields of a pcapng block differ.
    #[error("a block whose length is {first} at its start and {last} at its end")]
    BlockEnd {
        /// The length at the start of the block.
        first: u32,
        /// The length at the end of the block.
        last: u32,
    },
    /// A packet in a pcapng block is longer than the block's room for it.
    #[error("a packet of {length} bytes in a block with room for {room}")]
    PacketInBlock {
        /// The packet's captured length.
        length: u32,
        /// The room in the block.
        room: u32,
    },
    /// A pcapng section has an invalid byte-order magic.
    #[error("a section with the byte-order magic {0:#010x}")]
    ByteOrder(u32),
    /// The format version is not supported.
    #[error("version {major}.{minor} of the format")]
    Version {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// A packet belongs to an interface that the section has not described.
    #[error("a packet of interface {index}, where {known} are described")]
    UnknownInterface {
        /// The interface's index in its section.
        index: u32,
        /// Number of interfaces that the section has described so far.
        known: u32,
    },
    /// The file has more interfaces than the maximum.
    #[error("more than {limit} interfaces")]
    TooManyInterfaces {
        /// The maximum.
        limit: u32,
    },
}

/// Unsupported formats that are recognised, to name them in the error.
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
    /// Bluetooth snoop, used by Android and others.
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
    /// The pcap variant of Ixia.
    #[error("Ixia lcap")]
    Ixia,
}

impl ForeignFormat {
    /// Advice on how to read such a file.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Gzip => "decompress it first, for example with `zcat FILE`",
            Self::Zstd => "decompress it first, for example with `zstdcat FILE`",
            Self::Lz4 => "decompress it first, for example with `lz4cat FILE`",
            Self::Bzip2 => "decompress it first, for example with `bzcat FILE`",
            Self::Xz => "decompress it first, for example with `xzcat FILE`",
            _ => "convert it first with `editcap -F pcapng FILE NEW`",
        }
    }
}

/// The error of a system call for an operation.
pub(crate) fn system(operation: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::System { operation, source }
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

/// Formats bytes in hexadecimal: `0a 0d 0d 0a`.
fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}
