//! A file's bytes in reference-counted chunks.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::mem;

use bytes::{Bytes, BytesMut};

use crate::Error;

/// Size of the first chunk, and of all chunks for a pipe with little data.
const SMALLEST: usize = 64 << 10;
/// Maximum size of a chunk. Small enough that the bytes are still in the processor's cache when
/// they are parsed.
const LARGEST: usize = 256 << 10;
/// Maximum number of lent chunks to remember for reuse.
const REMEMBERED: usize = 32;
/// Alignment of reads, in memory and in the file. On some processors (AMD's Zen 3), the string
/// instructions with which the kernel copies are four times slower if the destination is a few
/// bytes further into its page than the source.
const PAGE: usize = 4096;

/// Reads into heap memory that can be retained. Carries an incomplete record over to the next
/// chunk.
///
/// A chunk that nobody retains is reused. One that is retained is replaced.
pub(crate) struct ChunkReader {
    source: Box<dyn Read + Send>,
    /// Chunks that were retained when the next one was needed, oldest first. Reusing them avoids a
    /// page fault per page of fresh memory.
    lent: VecDeque<Bytes>,
    /// The current chunk. The bytes in `parsed..filled` are read but not yet parsed.
    chunk: Bytes,
    filled: usize,
    parsed: usize,
    /// Position of the unparsed bytes in the file.
    position: u64,
    chunk_size: usize,
    ended: bool,
}

impl ChunkReader {
    pub(crate) fn new(source: Box<dyn Read + Send>) -> Self {
        Self {
            source,
            lent: VecDeque::new(),
            chunk: Bytes::new(),
            filled: 0,
            parsed: 0,
            position: 0,
            chunk_size: SMALLEST,
            ended: false,
        }
    }

    /// Bytes that are read but not yet parsed.
    #[inline]
    pub(crate) fn unread(&self) -> &[u8] {
        &self.chunk[self.parsed..self.filled]
    }

    /// The filled part of the chunk, and the offset of the unparsed bytes in it.
    #[inline]
    pub(crate) fn filled(&self) -> (&[u8], usize) {
        (&self.chunk[..self.filled], self.parsed)
    }

    /// Position of the unparsed bytes in the file.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Marks `len` bytes as parsed.
    #[inline]
    pub(crate) fn advance(&mut self, len: usize) {
        let len = len.min(self.filled - self.parsed);
        self.parsed += len;
        self.position += len as u64;
    }

    /// The memory that holds everything since the last [`read`](Self::read).
    pub(crate) fn chunk(&self) -> &Bytes {
        &self.chunk
    }

    /// Reads once, aiming at `needed` unparsed bytes in total, which must exceed those present.
    /// Returns `false` at the end of the file.
    ///
    /// A chunk grows no faster than bytes arrive, so a false length field cannot make it allocate
    /// much.
    pub(crate) fn read(&mut self, needed: usize) -> Result<bool, Error> {
        if self.ended {
            return Ok(false);
        }
        let kept = self.filled - self.parsed;
        let size = (needed.min(kept * 2).saturating_sub(kept)).max(self.chunk_size);
        let size = size.next_multiple_of(PAGE);
        let unread = self.parsed..self.filled;
        let (mut buffer, start) = match mem::take(&mut self.chunk).try_into_mut() {
            Ok(mut buffer) => match start(&buffer, kept, size) {
                Some(start) => {
                    buffer.copy_within(unread, start - kept);
                    (buffer, start)
                }
                None => self.moved(&buffer[unread], size),
            },
            Err(shared) => {
                let moved = self.moved(&shared[unread], size);
                self.lend(shared);
                moved
            }
        };
        let got = loop {
            match self.source.read(&mut buffer[start..start + size]) {
                Ok(got) => break Ok(got),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    break Err(Error::System { operation: "read the capture file", source });
                }
            }
        };
        self.chunk = buffer.freeze();
        (self.parsed, self.filled) = (start - kept, start);
        let got = got?;
        self.filled += got;
        self.ended = got == 0;
        if got == size {
            self.chunk_size = (self.chunk_size * 2).min(LARGEST);
        }
        Ok(got > 0)
    }

    /// A new chunk that starts with the unparsed bytes, with room for `size` more. Also returns the
    /// offset of that room.
    fn moved(&mut self, unread: &[u8], size: usize) -> (BytesMut, usize) {
        let kept = unread.len();
        let (mut buffer, start) = self.returned(kept, size).unwrap_or_else(|| {
            let buffer = BytesMut::zeroed(kept.next_multiple_of(PAGE) + PAGE + size);
            let start = start(&buffer, kept, size).unwrap_or(kept);
            (buffer, start)
        });
        buffer[start - kept..start].copy_from_slice(unread);
        (buffer, start)
    }

    /// Remembers a retained chunk.
    fn lend(&mut self, chunk: Bytes) {
        if self.lent.len() == REMEMBERED {
            self.lent.pop_front();
        }
        self.lent.push_back(chunk);
    }

    /// The newest remembered chunk that is no longer retained, if it is large enough, and the
    /// offset for a read into it. The newest is the most likely to be in a cache, and always
    /// choosing it keeps spare chunks out of the cache.
    fn returned(&mut self, kept: usize, size: usize) -> Option<(BytesMut, usize)> {
        let newest = self.lent.iter().rposition(Bytes::is_unique)?;
        let buffer = self.lent.remove(newest)?.try_into_mut().ok()?;
        start(&buffer, kept, size).map(|start| (buffer, start))
    }
}

/// The offset in `buffer` for a read of `size` bytes with room for `kept` bytes before it. `None`
/// if the buffer is too small.
fn start(buffer: &[u8], kept: usize, size: usize) -> Option<usize> {
    let address = buffer.as_ptr() as usize;
    let start = (address + kept).next_multiple_of(PAGE) - address;
    (start + size <= buffer.len()).then_some(start)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn chunks_are_used_again_though_somebody_keeps_one() {
        let mut reader = ChunkReader::new(Box::new(io::repeat(1).take(64 << 20)));
        let (mut first, mut before) = (None, None);
        let mut places = HashSet::new();
        while reader.read(1).unwrap() {
            let len = reader.unread().len();
            reader.advance(len);
            first = first.or_else(|| Some(reader.chunk().clone()));
            // Each chunk is retained until the next one is read.
            before = Some(reader.chunk().clone());
            places.insert(reader.chunk().as_ptr());
        }
        assert_eq!(reader.position(), 64 << 20);
        assert!(first.unwrap().iter().filter(|byte| **byte == 1).count() >= SMALLEST);
        drop(before);
        // Three sizes, with two alternating chunks of each.
        assert!(places.len() <= 8, "{} chunks", places.len());
    }
}
