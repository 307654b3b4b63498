//! Segments that are copied together.

use bytes::BytesMut;
use flow::{Data, Timestamp};

use crate::api::chunk::ChunkData;
use crate::queue::pool::Pool;

/// The largest length of a run.
const MOST: usize = 64 << 10;

/// Bytes of consecutive segments of a side.
#[derive(Debug)]
pub(crate) struct Run {
    bytes: BytesMut,
    offset: u64,
    timestamp: Timestamp,
    packet_number: u64,
}

impl Run {
    /// The minimum memory that it gets.
    pub(crate) const LEAST: usize = 256;

    /// Begins with a segment; `usual` is how long it is likely to become.
    #[inline]
    pub(crate) fn new(data: &Data<'_>, usual: usize, pool: &mut Pool) -> Self {
        let Data { bytes: copied, offset, timestamp, packet_number, .. } = *data;
        let mut bytes = pool.take(usual.max(Self::LEAST).max(copied.len()));
        bytes.extend_from_slice(copied);
        Self { bytes, offset, timestamp, packet_number }
    }

    /// Copies a segment to the end, if it follows, and was captured at most `span` nanoseconds
    /// after the first.
    #[inline]
    pub(crate) fn extend(&mut self, data: &Data<'_>, span: u64, pool: &mut Pool) -> bool {
        let len = self.bytes.len() + data.bytes.len();
        // One that waited behind a hole may be older than what filled that.
        let later = data.timestamp.as_nanos().wrapping_sub(self.timestamp.as_nanos());
        // A segment older than the first wraps to a huge difference, so it also begins another run.
        if self.offset + self.bytes.len() as u64 != data.offset || len > MOST || later > span {
            return false;
        }
        if len > self.bytes.capacity() {
            // Doubling bounds what all copies of a growing run cost to twice its length.
            let mut larger = pool.take(len.next_power_of_two());
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(data.bytes);
        true
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Position of the first byte in its side's stream.
    #[inline]
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    #[inline]
    pub(crate) fn into_data(self) -> ChunkData {
        ChunkData::new(self.bytes.freeze(), self.offset, self.timestamp, self.packet_number)
    }
}
