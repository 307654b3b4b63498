//! Capture files as packet sources.

mod format;
mod pcap;
mod pcapng;
mod pipe;
mod reader;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

pub use self::format::FileFormat;
use self::format::Parser;
pub(crate) use self::format::longest_packet;
use self::pipe::{PipeWait, Waited};
use self::reader::ChunkReader;
use crate::error::system;
use crate::stored::Record;
use crate::{
    Damage, Error, FileInterface, Interrupter, LinkType, Next, PacketSource, Statistics,
    StoredBatch, Timeout,
};

/// Packets a batch has at most: enough to spread the cost of a batch, few enough that their records stay in the
/// processor's cache between being parsed and being used.
const BATCH: usize = 512;

/// A capture file: pcap in both byte orders, with time stamps of microseconds or nanoseconds, and in the "modified"
/// form; pcapng with any number of sections and interfaces.
///
/// The file is read, never mapped: one that is truncated while it is read ends early instead of killing the process.
/// Packets lie in chunks of 256 KiB, or what a larger packet needs, that [`retain`](crate::PacketBatch::retain) keeps
/// without a copy.
///
/// A damaged file gives all packets before the damage, then one [`Error::Damaged`], then [`Next::End`].
///
/// ```
/// use ring_core::{CaptureFile, Next, PacketBatch as _, PacketSource as _, Timeout};
///
/// # fn main() -> Result<(), ring_core::Error> {
/// // A pcap file of one packet with four bytes: a header of 24 bytes, a record header of 16.
/// let mut file: Vec<u8> = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
/// file.extend([1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 60, 0, 0, 0]);
/// file.extend(b"data");
///
/// let mut source = CaptureFile::from_reader(std::io::Cursor::new(file))?;
/// while let Next::Batch(batch) = source.next_batch(Timeout::Never)? {
///     for packet in batch.packets() {
///         println!("{} {}: {:?} of {} bytes", packet.number(), packet.timestamp(), packet.data(), packet.wire_len());
///         # assert_eq!((packet.data(), packet.timestamp().as_nanos()), (&b"data"[..], 1_000_002_000));
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct CaptureFile {
    /// For what has to be waited for, unlike a file on a disk.
    pipe: Option<PipeWait>,
    /// It is a file on a disk, or something else that is always ready.
    ready: bool,
    reader: ChunkReader,
    parser: Parser,
    found: Found,
    finished: bool,
}

/// What came of reading on.
enum Filled {
    Packets,
    TimedOut,
    Interrupted,
    End,
}

/// What parsers find.
#[derive(Default)]
pub(crate) struct Found {
    /// The packets of a batch, where they lie in the chunk.
    records: Vec<Record>,
    /// The number of the last frame, which need not be a packet.
    frames: u64,
    /// Records parsed: packets of pcap, blocks of pcapng.
    parsed: u64,
    statistics: Statistics,
}

/// Why a parser gets no further.
pub(crate) enum Stop {
    /// So many unread bytes must be there before anything can be said.
    Need(usize),
    Damaged(Damage),
}

impl CaptureFile {
    /// Opens a file and reads its header; `-` is standard input.
    ///
    /// # Errors
    /// [`Error::Open`]; [`Error::ForeignFormat`] and [`Error::UnknownFormat`] for what is not read;
    /// [`Error::Damaged`] for a header that makes no sense.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        if path.as_os_str() == "-" {
            let input = std::io::stdin().as_fd().try_clone_to_owned();
            return Self::from_file(input.map_err(system("duplicate standard input"))?.into());
        }
        let file =
            File::open(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
        Self::from_file(file)
    }

    /// Reads a capture from an open file, a pipe or a socket. The latter two are waited for as the timeout says, and
    /// have an [`Interrupter`]; only the header is waited for in any case.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_file(file: File) -> Result<Self, Error> {
        let pipe = PipeWait::new(&file)?;
        let ready = pipe.is_none();
        Ok(Self { pipe, ready, ..Self::from_reader(file)? })
    }

    /// Reads a capture from anything that can be read, best without a buffer of its own. Where it has to be waited for,
    /// the wait cannot be ended: see [`from_file`](Self::from_file) for what has a descriptor.
    ///
    /// What a pipe has so far is delivered at once: nothing waits for a chunk to fill.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::System`] when reading fails.
    pub fn from_reader(reader: impl Read + Send + 'static) -> Result<Self, Error> {
        let mut reader = ChunkReader::new(Box::new(reader));
        let parser = Parser::detect(&mut reader)?;
        let found = Found { parsed: parser.header_records(), ..Found::new() };
        Ok(Self { pipe: None, ready: false, reader, parser, found, finished: false })
    }

    /// Which format was found.
    #[must_use]
    pub fn format(&self) -> FileFormat {
        self.parser.format()
    }

    /// The interfaces described so far: one for pcap; for pcapng those of all sections read, at the index that
    /// [`PacketMeta::interface`](crate::PacketMeta::interface) has.
    #[must_use]
    pub fn interfaces(&self) -> &[FileInterface] {
        self.parser.interfaces()
    }

    /// The frame number that was given last, as Wireshark counts: custom blocks and journal entries of a pcapng file
    /// are no packets and are not delivered, but they take a number.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.found.frames
    }

    /// How many bytes of the file have been delivered or skipped, for a progress display.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.reader.position()
    }

    /// Parses the next packets into `self.found`.
    fn fill(&mut self, timeout: Timeout) -> Result<Filled, Error> {
        self.found.records.clear();
        while let Err(stop) = self.parser.parse(&mut self.reader, &mut self.found) {
            // What comes before the end or the damage first: the next call finds the same again.
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
    type Batch<'a> = StoredBatch<'a>;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<StoredBatch<'_>>, Error> {
        if self.finished {
            return Ok(Next::End);
        }
        if self.pipe.as_ref().is_some_and(|pipe| pipe.interrupter.take()) {
            return Ok(Next::Interrupted);
        }
        let filled = self.fill(timeout);
        self.finished = matches!(filled, Ok(Filled::End) | Err(_));
        Ok(match filled? {
            Filled::Packets => {
                let (memory, records) = (self.reader.chunk(), &self.found.records);
                Next::Batch(StoredBatch::new(memory, records, self.parser.interfaces()))
            }
            Filled::TimedOut => Next::TimedOut,
            Filled::Interrupted => Next::Interrupted,
            Filled::End => Next::End,
        })
    }

    /// Packets delivered so far; `drops` are those that a pcapng file's own statistics report.
    fn statistics(&mut self) -> Result<Statistics, Error> {
        Ok(Statistics { drops: self.parser.drops(), ..self.found.statistics })
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
        self.pipe.as_ref().map(|pipe| pipe.interrupter.clone())
    }

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

    /// The records never outgrow the memory that they were given.
    #[inline]
    fn is_full(&self) -> bool {
        self.records.len() == self.records.capacity()
    }

    /// A packet, which gets the next frame's number.
    #[inline]
    fn packet(&mut self, mut record: Record) {
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
