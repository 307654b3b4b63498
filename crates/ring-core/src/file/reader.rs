//! A file's bytes in chunks that can be kept.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::mem;

use bytes::{Bytes, BytesMut};

use crate::Error;

/// The first chunk, and the least that a pipe of few packets is given.
const SMALLEST: usize = 64 << 10;
/// What the chunks of a file that fills them grow to: they should still be in a processor's own cache when they have been
/// read and are parsed.
const LARGEST: usize = 256 << 10;
/// How many chunks that somebody keeps are remembered, to be used again when they come back.
const REMEMBERED: usize = 32;
/// Where reads begin, in memory as in the file. The string instructions with which kernels copy are four times slower on some
/// processors (AMD's Zen 3) where the target lies a few bytes further within its page than the source.
const PAGE: usize = 4096;

/// Reads into heap memory, hands it out for keeping, and carries an unfinished record over to the next chunk.
///
/// While nobody keeps a chunk its memory is used again; one that is kept is replaced by another.
pub(crate) struct ChunkReader {
    source: Box<dyn Read + Send>,
    /// Chunks that were in use when the next was needed, oldest first: fresh memory costs a page fault for every page.
    lent: VecDeque<Bytes>,
    /// The chunk; only `parsed..filled` has been read and not yet been parsed.
    chunk: Bytes,
    filled: usize,
    parsed: usize,
    /// Where in the file the unread bytes start.
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

    /// What was read and not yet parsed.
    #[inline]
    pub(crate) fn unread(&self) -> &[u8] {
        &self.chunk[self.parsed..self.filled]
    }

    /// The chunk as far as it was read, and where in it the unread bytes start.
    #[inline]
    pub(crate) fn filled(&self) -> (&[u8], usize) {
        (&self.chunk[..self.filled], self.parsed)
    }

    /// Where in the file the unread bytes start.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Marks so many of the unread bytes as parsed.
    #[inline]
    pub(crate) fn advance(&mut self, len: usize) {
        let len = len.min(self.filled - self.parsed);
        self.parsed += len;
        self.position += len as u64;
    }

    /// The memory in which everything since the last [`read`](Self::read) lies.
    pub(crate) fn chunk(&self) -> &Bytes {
        &self.chunk
    }

    /// Reads once more towards `needed` unread bytes, which must be more than there are; false at the end of the file.
    ///
    /// A chunk grows no faster than bytes arrive, so that a length that lies costs no memory.
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

    /// Another chunk with room for so many bytes behind the unread bytes of the old, and where that begins.
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

    /// Remembers a chunk that somebody keeps.
    fn lend(&mut self, chunk: Bytes) {
        if self.lent.len() == REMEMBERED {
            self.lent.pop_front();
        }
        self.lent.push_back(chunk);
    }

    /// The newest remembered chunk that nobody keeps any more, if it is large enough, and where a read into it begins: of all
    /// of them it is the most likely to be in a cache yet, and those that are never needed stay out of it.
    fn returned(&mut self, kept: usize, size: usize) -> Option<(BytesMut, usize)> {
        let newest = self.lent.iter().rposition(Bytes::is_unique)?;
        let buffer = self.lent.remove(newest)?.try_into_mut().ok()?;
        start(&buffer, kept, size).map(|start| (buffer, start))
    }
}

/// Where in a buffer a read of `size` bytes begins so that there is room for `kept` before it; `None` where that is too
/// much.
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
            // The newest is kept until the next has come.
            before = Some(reader.chunk().clone());
            places.insert(reader.chunk().as_ptr());
        }
        assert_eq!(reader.position(), 64 << 20);
        assert!(first.unwrap().iter().filter(|byte| **byte == 1).count() >= SMALLEST);
        drop(before);
        // Three sizes, and two of each that take turns.
        assert!(places.len() <= 8, "{} chunks", places.len());
    }
}
