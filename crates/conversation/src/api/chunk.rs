//! The steps of a conversation.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use flow::{
    EndReason, FiveTupleKey, FlowRecord, FlowSide, Gap, GapCause, Timestamp, UnplacedCause,
};

/// One step of a conversation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Chunk<K = FiveTupleKey> {
    /// The next bytes from the side that opened the connection.
    Initiator(ChunkData),
    /// The next bytes from the other side.
    Responder(ChunkData),
    /// The next bytes of a side are missing.
    #[non_exhaustive]
    Gap {
        /// The side that sent the bytes.
        side: FlowSide,
        /// Position of the first missing byte in the side's stream.
        offset: u64,
        /// The number of bytes.
        len: u64,
        /// The reason that they are missing.
        cause: GapCause,
        /// `true` if `len` is an estimate: another multiple of 4 GiB is possible, see
        /// [`flow::Gap::estimated`].
        estimated: bool,
        /// Those of the bytes that were captured, and dropped because the reader was too slow; the
        /// others were not captured. 0 unless the cause is [`GapCause::SlowReader`].
        dropped: u64,
    },
    /// Bytes that came when their place had already been declared a gap, or that lie before the
    /// first byte of a stream picked up midway.
    #[non_exhaustive]
    Late {
        /// The side that sent the bytes.
        side: FlowSide,
        /// The bytes with their offset.
        data: ChunkData,
    },
    /// Captured bytes that have no place in the side's stream. They are no part of the ordered
    /// bytes, and no gap stands for them.
    #[non_exhaustive]
    Unplaced {
        /// The side that sent the bytes.
        side: FlowSide,
        /// The bytes.
        data: Bytes,
        /// TCP sequence number of the first byte.
        sequence: u32,
        /// The reason.
        cause: UnplacedCause,
        /// Time stamp of the packet that brought them.
        timestamp: Timestamp,
        /// Number of that packet, counted from 1 in its source.
        packet_number: u64,
    },
    /// Two packets disagree about bytes of a side. The version that was kept is part of the ordered
    /// bytes, before or after this.
    #[non_exhaustive]
    Conflict {
        /// The side that sent the bytes.
        side: FlowSide,
        /// Both versions.
        conflict: Box<Conflict>,
    },
    /// A side has no more to say: all its bytes up to its FIN came before this.
    #[non_exhaustive]
    Finished {
        /// The side.
        side: FlowSide,
        /// The length of its stream in bytes, gaps counted.
        len: u64,
    },
    /// The reader was too slow and the conversation was given up, as
    /// [`Overflow::Close`](crate::Overflow::Close) says; nothing follows. All that was queued
    /// before came before this.
    #[non_exhaustive]
    Overrun {
        /// The side whose bytes found no room.
        side: FlowSide,
        /// Position of the first of them in the side's stream.
        offset: u64,
    },
    /// The conversation is over; nothing follows.
    ///
    /// If the capture missed the end, for example because the kernel dropped the FIN, this chunk
    /// follows once the flow has been silent for its timeout: by default an hour for an open
    /// connection (see [`FlowStreamBuilder::table`](crate::FlowStreamBuilder::table)).
    #[non_exhaustive]
    Closed {
        /// The reason for the end.
        reason: EndReason,
        /// The summary of the flow.
        record: Box<FlowRecord<K>>,
    },
}

/// Bytes of a conversation, with the place they came from.
///
/// They may have come in several packets, which then follow each other within a
/// [millisecond](crate::FlowStreamBuilder::chunk_span).
///
/// It derefs to the bytes; [`bytes`](Self::bytes) shares them without a copy.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkData {
    bytes: Bytes,
    offset: u64,
    timestamp: Timestamp,
    packet_number: u64,
}

/// Two versions of the same bytes of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// Position of the first byte in its side's stream.
    pub offset: u64,
    /// The bytes that are part of the stream.
    pub kept: Bytes,
    /// The bytes that are not, as many.
    pub discarded: Bytes,
    /// Number of the packet that brought the kept version, counted from 1 in its source.
    pub kept_packet_number: u64,
    /// Number of the packet that brought the other.
    pub discarded_packet_number: u64,
    /// Time stamp of the packet that brought the second version.
    pub timestamp: Timestamp,
    /// Number of that packet, counted from 1 in its source.
    pub packet_number: u64,
}

impl ChunkData {
    pub(crate) fn new(bytes: Bytes, offset: u64, timestamp: Timestamp, packet_number: u64) -> Self {
        Self { bytes, offset, timestamp, packet_number }
    }

    /// The bytes, to be shared without a copy.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes, owned.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Position of the first byte in its side's stream, gaps counted; the first byte after the SYN
    /// is 0.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Time stamp of the packet that brought the first byte.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Number of the packet that brought the first byte, counted from 1 in its source.
    #[must_use]
    pub fn packet_number(&self) -> u64 {
        self.packet_number
    }

    /// Takes the first `count` bytes off.
    pub(crate) fn advance(&mut self, count: usize) {
        self.bytes = self.bytes.slice(count..);
        self.offset += count as u64;
    }
}

impl Deref for ChunkData {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for ChunkData {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for ChunkData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkData")
            .field("offset", &self.offset)
            .field("len", &self.bytes.len())
            .field("timestamp", &self.timestamp)
            .field("packet_number", &self.packet_number)
            .finish()
    }
}

/// Captured bytes for which the reader was too slow.
pub(crate) fn dropped(offset: u64, len: u64) -> Gap {
    let mut gap = Gap::new(offset, len, GapCause::SlowReader);
    gap.dropped = len;
    gap
}

/// Appends a gap that begins where the one before it ends.
pub(crate) fn extend(gap: &mut Gap, next: &Gap) {
    gap.len += next.len;
    gap.dropped += next.dropped;
    gap.estimated |= next.estimated;
    // Of two causes, report the one that the reader can do something about.
    if next.cause == GapCause::SlowReader {
        gap.cause = next.cause;
    }
}
