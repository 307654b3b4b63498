//! Frames (RFC 9113, section 4.1).

/// The length of a frame's header.
pub(super) const HEADER: usize = 9;
/// The longest payload that a sender may use before it is allowed more.
pub(super) const DEFAULT_LEN: u32 = 16 << 10;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
const WITH_PRIORITY: u8 = 0x20;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) len: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Frame {
    pub(super) fn parse(header: &[u8; HEADER]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = *header;
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        Self { len: u32::from_be_bytes([0, a, b, c]), kind, flags, stream }
    }

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Returns `true` if a frame of its type may have this length and this stream. Frames of
    /// unknown types may have any (RFC 9113, section 5.5).
    pub(super) const fn is_valid(&self) -> bool {
        let of_stream = self.stream != 0;
        match self.kind {
            DATA | HEADERS | PUSH_PROMISE | CONTINUATION => of_stream,
            PRIORITY => of_stream && self.len == 5,
            RST_STREAM => of_stream && self.len == 4,
            SETTINGS if self.has(ACK) => !of_stream && self.len == 0,
            SETTINGS => !of_stream && self.len.is_multiple_of(6),
            PING => !of_stream && self.len == 8,
            GOAWAY => !of_stream && self.len >= 8,
            WINDOW_UPDATE => self.len == 4,
            _ => true,
        }
    }

    /// Returns `true` if bytes in the middle of a stream may be this frame: of a known type, with
    /// the flags of that type alone.
    pub(super) const fn is_plausible(&self) -> bool {
        let flags = match self.kind {
            DATA => END_STREAM | PADDED,
            HEADERS => END_STREAM | END_HEADERS | PADDED | WITH_PRIORITY,
            SETTINGS | PING => ACK,
            PUSH_PROMISE => END_HEADERS | PADDED,
            CONTINUATION => END_HEADERS,
            PRIORITY | RST_STREAM | GOAWAY | WINDOW_UPDATE => 0,
            _ => return false,
        };
        self.is_valid() && self.flags & !flags == 0 && self.len <= DEFAULT_LEN
    }

    /// The fragment of a header block in the payload of HEADERS, PUSH_PROMISE or CONTINUATION, and
    /// the stream that PUSH_PROMISE promises.
    pub(super) fn fragment<'a>(&self, mut payload: &'a [u8]) -> Option<(&'a [u8], Option<u32>)> {
        if self.kind == CONTINUATION {
            return Some((payload, None));
        }
        if self.has(PADDED) {
            let (&padding, rest) = payload.split_first()?;
            payload = &rest[..rest.len().checked_sub(usize::from(padding))?];
        }
        if self.kind == PUSH_PROMISE {
            let (promised, rest) = payload.split_first_chunk()?;
            return Some((rest, Some(u32::from_be_bytes(*promised) & 0x7fff_ffff)));
        }
        let skipped = if self.has(WITH_PRIORITY) { 5 } else { 0 };
        Some((payload.get(skipped..)?, None))
    }
}

/// The outcome of a search for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    At(usize),
    /// Nowhere before this index.
    NotBefore(usize),
}

/// Frames that follow each other at a place that is believed.
const CHAIN: usize = 4;

/// Searches for frames that follow each other. Random bytes look like four in one of 10^15 cases.
pub(super) fn find(bytes: &[u8]) -> Found {
    for start in 0..bytes.len() {
        let mut at = start;
        for count in 0.. {
            if count == CHAIN {
                return Found::At(start);
            }
            let Some(header) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
                return Found::NotBefore(start);
            };
            let frame = Frame::parse(header);
            let reserved = header[5] & 0x80 != 0;
            if reserved || !frame.is_plausible() {
                break;
            }
            at += HEADER + frame.len as usize;
        }
    }
    Found::NotBefore(bytes.len())
}
