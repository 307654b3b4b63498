//! One direction of a connection.

use packet::Timestamp;

use super::frame::{self, Frame, HEADER};
use super::hpack::Decoder;
use crate::message::LostCause;
use crate::side::Span;

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) state: State,
    /// The payload of a frame that must be complete, or bytes that are searched.
    pub(super) buffer: Vec<u8>,
    /// Index into `buffer`: no frame begins before it.
    pub(super) searched: usize,
    /// The header block in progress.
    pub(super) block: Option<Block>,
    /// The position of its first frame.
    pub(super) block_offset: u64,
    pub(super) hpack: Decoder,
    /// The longest payload that this side may send.
    pub(super) max_len: u32,
    /// Position behind the last byte that was received.
    pub(super) position: u64,
}

#[derive(Debug)]
pub(super) enum State {
    /// Before the first byte.
    Start,
    /// In the preface, behind as many bytes.
    Preface(usize),
    /// In the header of a frame: the bytes so far, their number, and the time of the first.
    Header([u8; HEADER], usize, Timestamp),
    Payload(Payload),
    /// The place is lost.
    Search,
}

/// The payload of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload {
    pub(super) frame: Frame,
    /// Bytes that are left.
    pub(super) left: u32,
    pub(super) stage: Stage,
    /// The time of the header.
    pub(super) began: Timestamp,
    /// Bytes of it were not captured.
    pub(super) gap: bool,
}

/// The meaning of the next bytes of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The length of the padding of DATA.
    Pad,
    /// As many bytes of a body.
    Content(u32),
    /// They wait until all are there.
    Collect,
    /// They have no use.
    Skip,
}

/// A header block in progress.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) promised: Option<u32>,
    pub(super) end_stream: bool,
    pub(super) bytes: Vec<u8>,
    pub(super) span: Span,
    /// The reason why it cannot be decoded.
    pub(super) lost: Option<LostCause>,
}

impl State {
    pub(super) const BETWEEN: Self = Self::Header([0; HEADER], 0, Timestamp::from_nanos(0));
}

impl Stage {
    /// The stage of a body with as many bytes left; padding may follow.
    pub(super) const fn content(left: u32) -> Self {
        if left == 0 { Self::Skip } else { Self::Content(left) }
    }
}

impl Lane {
    pub(super) const fn new(table: usize) -> Self {
        Self {
            state: State::Start,
            buffer: Vec::new(),
            searched: 0,
            block: None,
            block_offset: 0,
            hpack: Decoder::new(table),
            max_len: frame::DEFAULT_LEN,
            position: 0,
        }
    }

    /// Takes the payload of a frame of a header block, which is in the buffer unless it is `lost`.
    pub(super) fn fragment(
        &mut self,
        frame: &Frame,
        span: Span,
        lost: Option<LostCause>,
        limit: usize,
    ) {
        let parsed = frame.fragment(&self.buffer);
        let (fragment, promised) = parsed.unwrap_or_default();
        let lost = lost.or_else(|| parsed.is_none().then_some(LostCause::Syntax));
        let block = self.block.get_or_insert_with(|| Block {
            stream: frame.stream,
            promised,
            end_stream: frame.kind == frame::HEADERS && frame.has(frame::END_STREAM),
            bytes: Vec::new(),
            span,
            lost,
        });
        block.span.extend(span.last);
        block.lost = block.lost.or(lost);
        if block.bytes.len() + fragment.len() > limit {
            block.lost.get_or_insert(LostCause::Limit);
        }
        if block.lost.is_some() {
            block.bytes = Vec::new();
        } else {
            block.bytes.extend_from_slice(fragment);
        }
        self.clear();
    }

    /// The time of the frame in progress.
    pub(super) const fn span(&self) -> Option<Span> {
        match &self.state {
            State::Header(_, 1.., time) => Some(Span::at(*time)),
            State::Payload(payload) => Some(Span::at(payload.began)),
            _ => None,
        }
    }

    /// Empties the buffer. Memory of unusual size is released.
    pub(super) fn clear(&mut self) {
        self.searched = 0;
        self.buffer.clear();
        self.buffer.shrink_to(1 << 10);
    }

    pub(super) fn memory(&self) -> usize {
        let block = self.block.as_ref().map_or(0, |block| block.bytes.capacity());
        self.buffer.capacity() + block + self.hpack.memory()
    }
}
