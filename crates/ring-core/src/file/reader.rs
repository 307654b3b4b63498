//! A file's bytes in chunks that can be kept.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::mem;

use bytes::{Bytes, BytesMut};

use crate::Error;

/// The first chunk, and the least that a pipe of few packets is given.
const SMALLEST: usize = 64 << 10;
/// What the chunks of a file that fills them grow to.
const LARGEST: usize = 1 << 20;
/// How many chunks that somebody keeps are remembered, to be used again when they come back.
const REMEMBERED: usize = 8;

/// Reads into heap memory, hands it out for keeping, and carries an unfinished record over to the next chunk.
///
/// While nobody keeps a chunk its memory is used again; one that is kept is replaced by another.
pub(crate) struct ChunkReader {
    source: Box<dyn Read + Send>,
    /// Chunks that were in use when the next was needed, oldest first: fresh memory costs a page fault for every page.
    lent: VecDeque<Bytes>,
    /// The chunk; only `..filled` has been read.
    chunk: Bytes,
    filled: usize,
    parsed: usize,
    /// Where the chunk's first byte lies in the file.
    offset: u64,
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
            offset: 0,
            chunk_size: SMALLEST,
            ended: false,
        }
    }

    /// What was read and not yet parsed.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.chunk[self.parsed..self.filled]
    }

    /// Where in the chunk the unread bytes start.
    pub(crate) fn parsed(&self) -> usize {
        self.parsed
    }

    /// Where in the file the unread bytes start.
    pub(crate) fn position(&self) -> u64 {
        self.offset + self.parsed as u64
    }

    /// Marks so many of the unread bytes as parsed.
    pub(crate) fn advance(&mut self, len: usize) {
        self.parsed = (self.parsed + len).min(self.filled);
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
        let size = needed.min(kept * 2).max(self.chunk_size);
        let mut buffer = match mem::take(&mut self.chunk).try_into_mut() {
            Ok(mut buffer) if buffer.len() >= size => {
                buffer.copy_within(self.parsed..self.filled, 0);
                buffer
            }
            Ok(buffer) => self.moved(&buffer, size),
            Err(shared) => {
                let buffer = self.moved(&shared, size);
                self.lend(shared);
                buffer
            }
        };
        self.offset += self.parsed as u64;
        self.parsed = 0;
        let got = loop {
            match self.source.read(&mut buffer[kept..]) {
                Ok(got) => break Ok(got),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    break Err(Error::System { operation: "read the capture file", source });
                }
            }
        };
        let room = buffer.len() - kept;
        self.chunk = buffer.freeze();
        self.filled = kept;
        let got = got?;
        self.filled += got;
        self.ended = got == 0;
        if got == room {
            self.chunk_size = (self.chunk_size * 2).min(LARGEST);
        }
        Ok(got > 0)
    }

    /// Another chunk that starts with the unread bytes of the old.
    fn moved(&mut self, old: &[u8], size: usize) -> BytesMut {
        let mut buffer = self.returned(size).unwrap_or_else(|| BytesMut::zeroed(size));
        let unread = &old[self.parsed..self.filled];
        buffer[..unread.len()].copy_from_slice(unread);
        buffer
    }

    /// Remembers a chunk that somebody keeps.
    fn lend(&mut self, chunk: Bytes) {
        if self.lent.len() == REMEMBERED {
            self.lent.pop_front();
        }
        self.lent.push_back(chunk);
    }

    /// The oldest remembered chunk, if nobody keeps it any more and it is large enough.
    fn returned(&mut self, size: usize) -> Option<BytesMut> {
        match self.lent.pop_front()?.try_into_mut() {
            Ok(buffer) => (buffer.len() >= size).then_some(buffer),
            Err(kept) => {
                self.lent.push_front(kept);
                None
            }
        }
    }
}
