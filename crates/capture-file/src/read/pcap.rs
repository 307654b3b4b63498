//! The pcap format (draft-ietf-opsawg-pcap).

use packet::StoredPacket;

use super::format::{self, FileFormat, words};
use super::reader::ChunkReader;
use super::{Found, Stop};
use crate::{Damage, Error, FileInterface, LinkType, PacketMeta, Timestamp};

const HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// In the modified form, the interface index, the protocol, the packet type and padding follow the
/// record header.
const MODIFIED_RECORD_HEADER: usize = 24;

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;

pub(crate) struct PcapParser {
    format: FileFormat,
    big_endian: bool,
    record_header: usize,
    /// The first record is still to show the length of its header.
    guesses: bool,
    /// Nanoseconds per unit of a record's second time field.
    unit: u32,
    lengths: Lengths,
    longest: u32,
    interface: [FileInterface; 1],
}

/// The header of a record.
struct Record {
    seconds: u32,
    /// In the file's units.
    fraction: u32,
    captured: u32,
    wire: u32,
}

/// Records of one file are not further apart, in seconds: ten years.
const FAR: u32 = 10 * 365 * 24 * 3600;

/// The order of a record's two length fields. Writers before version 2.4 swapped them.
#[derive(Clone, Copy)]
enum Lengths {
    CapturedFirst,
    WireFirst,
    /// Version 2.3 files have either order, so the smaller value is the captured length.
    SmallerIsCaptured,
}

impl PcapParser {
    pub(crate) fn recognises(magic: [u8; 4]) -> bool {
        flavour(u32::from_le_bytes(magic)).or_else(|| flavour(u32::from_be_bytes(magic))).is_some()
    }

    /// Reads the file header. [`recognises`](Self::recognises) has checked its magic number.
    pub(crate) fn open(reader: &mut ChunkReader) -> Result<Self, Error> {
        while reader.unread().len() < HEADER {
            if !reader.read(HEADER)? {
                let present = reader.unread().len() as u64;
                let damage = Damage::CutShort { present, needed: HEADER as u64 };
                return Err(Error::Damaged { record: 0, offset: 0, damage });
            }
        }
        let header: [u8; HEADER] =
            reader.unread()[..HEADER].try_into().expect("at least as many are there");
        let damaged = |damage| Error::Damaged { record: 0, offset: 0, damage };
        let parser = Self::new(&header).map_err(damaged)?;
        reader.advance(HEADER);
        Ok(parser)
    }

    fn new(header: &[u8; HEADER]) -> Result<Self, Damage> {
        let [magic] = words(header, false);
        let big_endian = flavour(magic).is_none();
        let [ordered, version, _, _, snaplen, link_type] = words(header, big_endian);
        let (format, unit, record_header) = flavour(ordered).ok_or(Damage::ByteOrder(magic))?;
        // Two 16-bit numbers. The major version is in the upper half in big-endian files.
        let version = if big_endian { version.rotate_left(16) } else { version };
        let (major, minor) = (version as u16, (version >> 16) as u16);
        let lengths = match (major, minor) {
            (2, 4..) => Lengths::CapturedFirst,
            (2, 3) => Lengths::SmallerIsCaptured,
            (2, ..3) => Lengths::WireFirst,
            // A tcpdump that wrote its own version number, with the old order of lengths.
            (543, _) => Lengths::WireFirst,
            _ => return Err(Damage::Version { major, minor }),
        };
        let fcs_len = format::fcs_len(link_type);
        let link_type = format::link_type(link_type);
        Ok(Self {
            format,
            big_endian,
            record_header,
            guesses: format == FileFormat::PcapMicroseconds,
            unit,
            lengths,
            longest: format::longest_packet(link_type),
            interface: [FileInterface { link_type, snaplen, name: None, drops: 0, fcs_len }],
        })
    }

    /// Parses one record and moves `at` past it.
    #[inline]
    pub(crate) fn step(
        &mut self,
        chunk: &[u8],
        at: &mut usize,
        found: &mut Found,
    ) -> Result<(), Stop> {
        let bytes = &chunk[*at..];
        let Some(header) = bytes.first_chunk::<RECORD_HEADER>() else {
            return Err(Stop::Need(self.record_header));
        };
        let Record { seconds, fraction, captured, wire } = self.record(header);
        if self.guesses && bytes.len() >= RECORD_HEADER + captured as usize {
            self.guesses = false;
            if self.is_modified(bytes) {
                self.format = FileFormat::PcapModified;
                self.record_header = MODIFIED_RECORD_HEADER;
            }
        }
        if captured > self.longest {
            return Err(Damage::PacketLength { length: captured, limit: self.longest }.into());
        }
        let total = self.record_header + captured as usize;
        if bytes.len() < total {
            return Err(Stop::Need(total));
        }
        let time = Timestamp::from_parts(u64::from(seconds), 0);
        let fraction = u64::from(fraction) * u64::from(self.unit);
        let timestamp = Timestamp::from_nanos(time.as_nanos() + fraction);
        let mut meta = PacketMeta::new(0, timestamp, self.interface[0].link_type);
        (meta.wire_len, meta.fcs_len) = (wire, self.interface[0].fcs_len);
        let start = *at + self.record_header;
        found.packet(StoredPacket { start, len: captured as usize, meta });
        *at += total;
        Ok(())
    }

    fn record(&self, header: &[u8; RECORD_HEADER]) -> Record {
        let [seconds, fraction, first, second] = words(header, self.big_endian);
        let (captured, wire) = match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::WireFirst => (second, first),
            Lengths::SmallerIsCaptured => (first.min(second), first.max(second)),
        };
        Record { seconds, fraction, captured, wire }
    }

    /// Returns `true` if records have the header of the modified form under the usual magic number,
    /// as Red Hat Linux 6.1 wrote them: the second record can only begin behind such a header. The
    /// bytes are those of the first record and what is present of the next.
    fn is_modified(&self, bytes: &[u8]) -> bool {
        let record = |at: usize| Some(self.record(bytes.get(at..)?.first_chunk()?));
        let Some(first) = record(0) else { return false };
        let follows = |next: Record| {
            next.captured <= self.longest
                && next.captured <= next.wire
                && next.fraction < 1_000_000
                && next.seconds.abs_diff(first.seconds) < FAR
        };
        let captured = first.captured as usize;
        let usual = record(RECORD_HEADER + captured);
        let modified = record(MODIFIED_RECORD_HEADER + captured);
        usual.is_some_and(|next| !follows(next)) && modified.is_some_and(follows)
    }

    pub(crate) fn format(&self) -> FileFormat {
        self.format
    }

    pub(crate) fn link_type(&self) -> LinkType {
        self.interface[0].link_type
    }

    pub(crate) fn interfaces(&self) -> &[FileInterface] {
        &self.interface
    }
}

/// The meaning of a magic number: format, nanoseconds per unit, length of a record header.
fn flavour(magic: u32) -> Option<(FileFormat, u32, usize)> {
    match magic {
        MICROSECONDS => Some((FileFormat::PcapMicroseconds, 1_000, RECORD_HEADER)),
        NANOSECONDS => Some((FileFormat::PcapNanoseconds, 1, RECORD_HEADER)),
        MODIFIED => Some((FileFormat::PcapModified, 1_000, MODIFIED_RECORD_HEADER)),
        _ => None,
    }
}
