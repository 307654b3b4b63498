//! What can go wrong.

use std::io;
use std::path::PathBuf;

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
    /// A file could not be opened.
    #[error("{}: {source}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A capture file cannot be read on from some point. All packets before it have been delivered.
    #[error("damaged at byte {offset}: {damage}")]
    Damaged {
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
    #[error("not a capture file: it starts with {magic:02x?}, which is neither pcap nor pcapng")]
    UnknownFormat {
        /// Its first bytes, zero where it has fewer.
        magic: [u8; 8],
    },
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
