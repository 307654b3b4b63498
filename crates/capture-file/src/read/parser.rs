//! Detection of a file's format, and its parser.

use super::format::FileFormat;
use super::pcap::PcapParser;
use super::pcapng::PcapNgParser;
use super::reader::ChunkReader;
use super::{Found, Stop};
use crate::{Damage, Error, FileInterface, ForeignFormat, LinkType};

/// The parser of one format.
pub(crate) enum Parser {
    Pcap(PcapParser),
    PcapNg(PcapNgParser),
}

impl Parser {
    /// Detects the format and reads the file header. Reads no further than necessary.
    pub(crate) fn detect(reader: &mut ChunkReader) -> Result<Self, Error> {
        let mut magic = [0; 16];
        while reader.unread().len() < magic.len() && reader.read(magic.len())? {}
        let present = reader.unread().len().min(magic.len());
        magic[..present].copy_from_slice(&reader.unread()[..present]);

        if let Some(format) = foreign(&magic) {
            return Err(Error::ForeignFormat { format });
        }
        if magic.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
            return PcapNgParser::open(reader).map(Self::PcapNg);
        }
        if PcapParser::recognises(magic[..4].try_into().expect("four of sixteen")) {
            return PcapParser::open(reader).map(Self::Pcap);
        }
        if present == 0 {
            return Err(Error::Damaged {
                record: 0,
                offset: 0,
                damage: Damage::CutShort { present: 0, needed: 24 },
            });
        }
        Err(Error::UnknownFormat { magic: magic[..8].try_into().expect("eight of sixteen") })
    }

    /// Parses unread bytes until the batch is full.
    pub(crate) fn parse(
        &mut self,
        reader: &mut ChunkReader,
        found: &mut Found,
    ) -> Result<(), Stop> {
        match self {
            Self::Pcap(parser) => {
                each(reader, found, |chunk, at, found| parser.step(chunk, at, found))
            }
            Self::PcapNg(parser) => {
                each(reader, found, |chunk, at, found| parser.step(chunk, at, found))
            }
        }
    }

    pub(crate) fn format(&self) -> FileFormat {
        match self {
            Self::Pcap(parser) => parser.format(),
            Self::PcapNg(_) => FileFormat::PcapNg,
        }
    }

    /// Records that were parsed as part of the header, such as pcapng's first section header.
    pub(crate) fn header_records(&self) -> u64 {
        match self {
            Self::Pcap(_) => 0,
            Self::PcapNg(_) => 1,
        }
    }

    pub(crate) fn interfaces(&self) -> &[FileInterface] {
        match self {
            Self::Pcap(parser) => parser.interfaces(),
            Self::PcapNg(parser) => parser.interfaces(),
        }
    }

    pub(crate) fn link_type(&self) -> Option<LinkType> {
        match self {
            Self::Pcap(parser) => Some(parser.link_type()),
            Self::PcapNg(_) => None,
        }
    }

    pub(crate) fn drops(&self) -> u64 {
        self.interfaces().iter().map(|interface| interface.drops).fold(0, u64::saturating_add)
    }
}

/// Calls `step` repeatedly. Each call parses one record and moves the offset past it.
#[inline]
fn each(
    reader: &mut ChunkReader,
    found: &mut Found,
    mut step: impl FnMut(&[u8], &mut usize, &mut Found) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let (chunk, start) = reader.filled();
    let (mut at, mut parsed) = (start, 0);
    let stopped = loop {
        if found.is_full() {
            break Ok(());
        }
        if let Err(stop) = step(chunk, &mut at, found) {
            break Err(stop);
        }
        parsed += 1;
    };
    found.parsed += parsed;
    reader.advance(at - start);
    stopped
}

fn foreign(magic: &[u8; 16]) -> Option<ForeignFormat> {
    use ForeignFormat as F;
    let known: [(&[u8], F); 24] = [
        (b"\x1f\x8b", F::Gzip),
        (b"\x28\xb5\x2f\xfd", F::Zstd),
        (b"\x04\x22\x4d\x18", F::Lz4),
        (b"BZh", F::Bzip2),
        (b"\xfd7zXZ\0", F::Xz),
        (b"snoop\0\0\0", F::Snoop),
        (b"btsnoop\0", F::BtSnoop),
        (b"\x54\x52\0\x64\0", F::Nettl),
        (b"RTSS", F::NetworkMonitor),
        (b"GMBU", F::NetworkMonitor),
        (b"XCP\0", F::NetXray),
        (b"VL\0\0", F::NetXray),
        (b"TRSNIFF data", F::Sniffer),
        (b"iptrace 1.0", F::Iptrace),
        (b"iptrace 2.0", F::Iptrace),
        (b"\x01\x10\x4c\0\xffTrace", F::Lanalyzer),
        (b"\x01\x10\x43\0\xffTrace", F::Lanalyzer),
        (b"\x7fver", F::OmniPeek),
        (b"\x05VNF", F::VisualNetworks),
        (b"\0\0\x02\0\x12\x05\0\x10", F::K12),
        (b"\x1c\0\x01\xac", F::Ixia),
        (b"\x1c\0\x01\xab", F::Ixia),
        (b"\xac\x01\0\x1c", F::Ixia),
        (b"\xab\x01\0\x1c", F::Ixia),
    ];
    known.iter().find(|(start, _)| magic.starts_with(start)).map(|&(_, format)| format)
}
