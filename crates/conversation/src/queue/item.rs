//! The contents of a queue.

use bytes::Bytes;
use flow::{FlowSide, Gap, Timestamp, UnplacedCause};

use crate::api::chunk::{Chunk, ChunkData, Conflict};
use crate::queue::run::Run;

/// The cost of an entry besides its bytes.
pub(crate) const ENTRY_COST: usize = size_of::<Entry>();

/// Something that a side has said, in its place.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) side: FlowSide,
    pub(crate) item: Item,
}

/// Something that the engine puts into a lane.
///
/// Items are moved a few times on their way. The tag has the size of a word so that all that is
/// moved are words: where a single byte is stored and the word around it loaded at once, a
/// processor waits.
#[derive(Debug)]
#[repr(u64)]
pub(crate) enum Item {
    Data(ChunkData),
    /// The same, copied.
    Run(Run),
    Gap(Gap),
    Late(ChunkData),
    /// Rare and large, so they lie outside.
    Unplaced(Box<Unplaced>),
    Conflict(Box<Conflict>),
    Finished {
        len: u64,
    },
    /// The sender of what follows had the other side's bytes up to this offset.
    Barrier {
        other: u64,
    },
}

/// Captured bytes without a place in the stream.
#[derive(Debug)]
pub(crate) struct Unplaced {
    pub(crate) bytes: Bytes,
    pub(crate) sequence: u32,
    pub(crate) cause: UnplacedCause,
    pub(crate) timestamp: Timestamp,
    pub(crate) packet_number: u64,
}

/// Totals of a side so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideTotals {
    /// Bytes captured and handed to the reader's queue.
    pub bytes: u64,
    /// Bytes missing, whatever the cause.
    pub gap_bytes: u64,
    /// Bytes of those that were captured but dropped because the reader was too slow.
    pub dropped_bytes: u64,
    /// Bytes captured that have no place in the stream, as far as they were handed to the reader's
    /// queue.
    pub unplaced_bytes: u64,
}

impl Item {
    /// The number of bytes that it brings.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Data(data) | Self::Late(data) => data.len(),
            Self::Run(run) => run.len(),
            Self::Unplaced(unplaced) => unplaced.bytes.len(),
            Self::Conflict(conflict) => conflict.kept.len() + conflict.discarded.len(),
            Self::Gap(_) | Self::Finished { .. } | Self::Barrier { .. } => 0,
        }
    }

    /// The memory that it takes outside the entry, or about that.
    ///
    /// A single byte takes much more than a byte. If it were counted as one, a limit of 64 MiB
    /// could mean 300 MiB of telnet.
    #[inline]
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Run(run) => run.len().max(Run::LEAST),
            Self::Unplaced(_) => self.len() + size_of::<Unplaced>(),
            Self::Conflict(_) => self.len() + size_of::<Conflict>(),
            _ => self.len(),
        }
    }

    #[inline]
    pub(crate) fn cost(&self) -> usize {
        ENTRY_COST + self.memory()
    }

    /// Its place in its side's stream.
    pub(crate) fn offset(&self) -> u64 {
        match self {
            Self::Data(data) | Self::Late(data) => data.offset(),
            Self::Run(run) => run.offset(),
            Self::Gap(Gap { offset, .. }) | Self::Finished { len: offset } => *offset,
            Self::Conflict(conflict) => conflict.offset,
            Self::Unplaced(_) | Self::Barrier { .. } => 0,
        }
    }

    /// The stream offset that a reader has reached once it has received this item.
    #[inline]
    pub(super) fn end(&self) -> Option<u64> {
        match self {
            Self::Data(data) => Some(data.offset() + data.len() as u64),
            Self::Run(run) => Some(run.offset() + run.len() as u64),
            Self::Gap(Gap { offset, len, .. }) => Some(offset + len),
            // A peer that has acknowledged more has acknowledged the FIN.
            Self::Finished { .. } => Some(u64::MAX),
            Self::Late(_) | Self::Unplaced(_) | Self::Conflict(_) | Self::Barrier { .. } => None,
        }
    }

    #[inline]
    pub(crate) fn into_chunk<K>(self, side: FlowSide) -> Option<Chunk<K>> {
        let data = |data| match side {
            FlowSide::Initiator => Chunk::Initiator(data),
            FlowSide::Responder => Chunk::Responder(data),
        };
        Some(match self {
            Self::Data(bytes) => data(bytes),
            Self::Run(run) => data(run.into_data()),
            Self::Gap(Gap { offset, len, cause, estimated, dropped, .. }) => {
                Chunk::Gap { side, offset, len, cause, estimated, dropped }
            }
            Self::Late(data) => Chunk::Late { side, data },
            Self::Unplaced(unplaced) => unplaced.into_chunk(side),
            Self::Conflict(conflict) => Chunk::Conflict { side, conflict },
            Self::Finished { len } => Chunk::Finished { side, len },
            Self::Barrier { .. } => return None,
        })
    }
}

impl Unplaced {
    fn into_chunk<K>(self, side: FlowSide) -> Chunk<K> {
        let Self { bytes: data, sequence, cause, timestamp, packet_number } = self;
        Chunk::Unplaced { side, data, sequence, cause, timestamp, packet_number }
    }
}

impl SideTotals {
    #[inline]
    pub(super) fn count(&mut self, item: &Item) {
        match item {
            Item::Data(_) | Item::Run(_) => self.bytes += item.len() as u64,
            Item::Gap(Gap { len, .. }) => self.gap_bytes += len,
            Item::Unplaced(_) => self.unplaced_bytes += item.len() as u64,
            Item::Late(_) | Item::Conflict(_) | Item::Finished { .. } | Item::Barrier { .. } => {}
        }
    }

    /// Takes back the count of an item that is not handed on.
    pub(super) fn discard(&mut self, item: &Item, dropped: &mut u64) {
        let len = item.len() as u64;
        *dropped += len;
        match item {
            Item::Data(_) | Item::Run(_) => {
                self.bytes -= len;
                self.gap_bytes += len;
                self.dropped_bytes += len;
            }
            Item::Unplaced(_) => self.unplaced_bytes -= len,
            _ => {}
        }
    }
}
