//! Capture files as packet sources.

mod format;
mod parser;
mod pcap;
mod pcapng;
mod reader;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::Read;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use packet::{StoredBatch, StoredPacket};

pub use self::format::FileFormat;
pub(crate) use self::format::longest_packet;
use self::parser::Parser;
use self::reader::ChunkReader;
use crate::error::system;
use crate::system::{PipeWait, Waited, standard_input};
use crate::{
    Damage, Error, FileBatch, FileInterface, Interrupter, LinkType, Next, PacketSource, Statistics,
    Timeout,
};

/// Maximum number of packets in a batch. Enough to amortise the cost of a batch, yet few enough
/// that their records are still in the processor's cache when they are used.
const BATCH: usize = 512;

/// A capture file. Reads pcap in both byte orders, with timestamps in microseconds or nanoseconds,
/// including the "modified" form (also under the usual magic number), and pcapng with any number of
/// sections and interfaces.
///
/// The file is read, not mapped: if it is truncated while it is read, it ends early instead of
/// killing the process. Packets are stored in chunks of 256 KiB, or larger for a larger packet.
/// [`retain`](crate::PacketBatch::retain) keeps a chunk without a copy.
///
/// A damaged file returns all packets before the damage, then one [`Error::Damaged`], then
/// [`Next::End`].
///
/// ```
/// use capture_file::{CaptureFile, Next, PacketBatch as _, PacketSource as _, Timeout};
///
/// # fn main() -> Result<(), capture_file::Error> {
/// // A pcap file of one packet with four bytes: a header of 24 bytes, a record header of 16.
/// let mut file: Vec<u8> = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
/// file.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]);
/// file.extend([1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 60, 0, 0, 0]);
/// file.extend(b"data");
///
/// let mut source = CaptureFile::from_reader(std::io::Cursor::new(file))?;
/// while let Next::Batch(batch) = source.next_batch(Timeout::Never)? {
///     for packet in batch.packets() {
///         println!("{} {}: {:?}", packet.number(), packet.timestamp(), packet.data());
///         # assert_eq!(packet.data(), b"data");
///         # assert_eq!(packet.timestamp().as_nanos(), 1_000_002_000);
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct CaptureFile {
    /// Waits for input, if reading can block.
    pipe: Option<PipeWait>,
    /// `true` if reading never blocks, as for a regular file.
    ready: bool,
    reader: ChunkReader,
    parser: Parser,
    found: Found,
    finished: bool,
}

/// The result of reading and parsing further.
enum Filled {
    Packets,
    TimedOut,
    Interrupted,
    End,
}

/// The output of the parsers.
#[derive(Default)]
pub(crate) struct Found {
    /// The packets of a batch, as positions in the chunk.
    records: Vec<StoredPacket>,
    /// The number of the last frame. Not every frame is a packet.
    frames: u64,
    /// The number of parsed records: packets of pcap, blocks of pcapng.
    parsed: u64,
    statistics: Statistics,
}

/// The reason why a parser stopped.
pub(crate) enum Stop {
    /// This number of unread bytes is needed to continue.
    Need(usize),
    Damaged(Damage),
}

impl CaptureFile {
    /// Opens a file and reads its header; `-` is standard input.
    ///
    /// # Errors
    /// [`Error::Open`]. [`Error::ForeignFormat`] and [`Error::UnknownFormat`] for unsupported
    /// formats. [`Error::Damaged`] for an invalid header.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        if path.as_os_str() == "-" {
            return Self::from_file(standard_input().map_err(system("duplicate standard input"))?);
        }
        let file =
            File::open(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
        Self::from_file(file)
    }

    /// Reads a capture from an open file, a pipe or a socket.
    ///
    /// On Linux, reads from pipes and sockets wait no longer than the timeout, and an
    /// [`Interrupter`] ends the wait. Only reading the header always waits. On other systems, a
    /// read from a pipe waits until something arrives, whatever the timeout.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_file(file: File) -> Result<Self, Error> {
        let (pipe, ready) = PipeWait::new(&file)?;
        Ok(Self { pipe, ready, ..Self::from_reader(file)? })
    }

    /// Reads a capture from any reader, preferably an unbuffered one. A read that blocks cannot be
    /// interrupted; use [`from_file`](Self::from_file) for anything that has a descriptor.
    ///
    /// Data from a pipe is delivered as it arrives, before a chunk is full.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::System`] if reading fails.
    pub fn from_reader(reader: impl Read + Send + 'static) -> Result<Self, Error> {
        let mut reader = ChunkReader::new(Box::new(reader));
        let parser = Parser::detect(&mut reader)?;
        let found = Found { parsed: parser.header_records(), ..Found::new() };
        Ok(Self { pipe: None, ready: false, reader, parser, found, finished: false })
    }

    /// The format that was detected.
    #[must_use]
    pub fn format(&self) -> FileFormat {
        self.parser.format()
    }

    /// The interfaces described so far, indexed by
    /// [`PacketMeta::interface`](crate::PacketMeta::interface). pcap has one; pcapng has those of
    /// all sections read so far.
    #[must_use]
    pub fn interfaces(&self) -> &[FileInterface] {
        self.parser.interfaces()
    }

    /// The number of the last frame, counted as in Wireshark. Custom blocks and journal entries of
    /// a pcapng file are not delivered as packets, but they have frame numbers.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.found.frames
    }

    /// The number of bytes of the file delivered or skipped so far, for progress displays.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.reader.position()
    }

    /// Parses the next packets into `self.found`.
    fn fill(&mut self, timeout: Timeout) -> Result<Filled, Error> {
        self.found.records.clear();
        while let Err(stop) = self.parser.parse(&mut self.reader, &mut self.found) {
            // Deliver the packets before the end or the damage first; the next call gets the same
            // result again.
            if !self.found.records.is_empty() {
                break;
            }
            let needed = match stop {
                Stop::Need(needed) => needed,
                Stop::Damaged(damage) => return Err(self.damaged(damage)),
            };
            let present = self.reader.unread().len();
            match self.pipe.as_ref().map_or(Ok(Waited::Readable), |pipe| pipe.wait(timeout))? {
                Waited::Readable => {}
                Waited::TimedOut => return Ok(Filled::TimedOut),
                Waited::Interrupted => return Ok(Filled::Interrupted),
            }
            if !self.reader.read(needed)? {
                if present == 0 {
                    return Ok(Filled::End);
                }
                let (present, needed) = (present as u64, needed as u64);
                return Err(self.damaged(Damage::CutShort { present, needed }));
            }
        }
        self.found.statistics.packets += self.found.records.len() as u64;
        Ok(Filled::Packets)
    }

    fn damaged(&mut self, damage: Damage) -> Error {
        self.found.statistics.malformed += 1;
        let (record, offset) = (self.found.parsed + 1, self.reader.position());
        Error::Damaged { record, offset, damage }
    }
}

impl PacketSource for CaptureFile {
    type Batch<'a> = FileBatch<'a>;
    type Error = Error;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<FileBatch<'_>>, Error> {
        if self.finished {
            return Ok(Next::End);
        }
        if self.pipe.as_ref().is_some_and(PipeWait::take_interruption) {
            return Ok(Next::Interrupted);
        }
        let filled = self.fill(timeout);
        self.finished = matches!(filled, Ok(Filled::End) | Err(_));
        Ok(match filled? {
            Filled::Packets => {
                let (memory, records) = (self.reader.chunk(), &self.found.records);
                let packets = StoredBatch::new(memory, records);
                Next::Batch(FileBatch::new(packets, self.parser.interfaces()))
            }
            Filled::TimedOut => Next::TimedOut,
            Filled::Interrupted => Next::Interrupted,
            Filled::End => Next::End,
        })
    }

    /// Totals of the packets delivered so far. `drops` are those in a pcapng file's own statistics.
    fn statistics(&mut self) -> Result<Statistics, Error> {
        let mut statistics = self.found.statistics;
        statistics.drops = self.parser.drops();
        Ok(statistics)
    }

    fn link_type(&self) -> Option<LinkType> {
        self.parser.link_type()
    }

    fn is_live(&self) -> bool {
        false
    }

    fn never_waits(&self) -> bool {
        self.ready
    }

    fn interrupter(&self) -> Option<Interrupter> {
        self.pipe.as_ref().map(PipeWait::interrupter)
    }

    #[cfg(target_os = "linux")]
    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(PipeWait::as_fd)
    }
}

impl fmt::Debug for CaptureFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureFile")
            .field("format", &self.format())
            .field("packets", &self.found.statistics.packets)
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

impl Found {
    fn new() -> Self {
        Self { records: Vec::with_capacity(BATCH), ..Self::default() }
    }

    /// Full at the allocated capacity, so that the vector never grows.
    #[inline]
    fn is_full(&self) -> bool {
        self.records.len() == self.records.capacity()
    }

    /// Adds a packet, which gets the next frame number.
    #[inline]
    fn packet(&mut self, mut record: StoredPacket) {
        self.frames += 1;
        self.statistics.truncated += u64::from(record.meta.wire_len as usize > record.len);
        self.statistics.losing += u64::from(record.meta.losing);
        record.meta.number = self.frames;
        self.records.push(record);
    }
}

impl From<Damage> for Stop {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}
