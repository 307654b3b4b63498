//! WebSocket ([RFC 6455](https://www.rfc-editor.org/rfc/rfc6455)) with permessage-deflate
//! ([RFC 7692](https://www.rfc-editor.org/rfc/rfc7692)), after an upgrade of HTTP.
//!
//! A [`WebSocketMessage`] is a message of either side with all its fragments, or a control frame.
//! Nothing pairs them.
//!
//! If bytes are missing from a payload, the message is marked, and the next frame is still known;
//! compressed messages behind it cannot be decompressed any more. If it is not known where the next
//! frame begins, the parser loses its place, and the rest of that direction is not parsed: frames
//! have nothing to search for.
//!
//! # Limits
//!
//! | limit | value | beyond it |
//! |---|---|---|
//! | bytes of a message that are kept | 1 KiB | the rest is only counted |
//! | decompressed bytes for each compressed one, behind the first MiB of a message | 200 | decompression of this direction stops |
//!
//! A conversation takes less than 130 KiB, and less than 4 KiB if nothing is compressed.

mod fields;
mod parser;
#[cfg(test)]
mod tests;

pub(crate) use fields::FIELDS;
pub use parser::Parser;

use crate::identify::Verdict;
use crate::registry::{Protocol, StreamProtocol};

/// A message of one side, or a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketMessage {
    /// The opcode of its first frame: 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// Frames that it came in.
    pub frames: u64,
    /// Bytes of its payload, as they were sent, missing ones counted.
    pub bytes: u64,
    /// Bytes that were not captured.
    pub missing: u64,
    /// It was sent compressed.
    pub compressed: bool,
    /// Bytes of its payload, decompressed; `None` if that was not possible.
    pub len: Option<u64>,
    /// The first bytes of its payload, unmasked and decompressed, up to the first gap.
    pub beginning: Box<[u8]>,
    /// It came to its end.
    pub complete: bool,
}

impl WebSocketMessage {
    /// The meaning of the opcode: `text`, `binary`, `close`, `ping`, `pong`, `continuation` or
    /// `other`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.opcode {
            0 => "continuation",
            1 => "text",
            2 => "binary",
            8 => "close",
            9 => "ping",
            10 => "pong",
            _ => "other",
        }
    }

    /// The status code of a close frame.
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        let code = self.beginning.first_chunk().filter(|_| self.opcode == 8)?;
        Some(u16::from_be_bytes(*code))
    }
}

/// The protocol, for a [`Registry`](crate::Registry). Its frames cannot be recognized: it is used
/// after an upgrade alone.
#[must_use]
pub fn protocol() -> StreamProtocol {
    let parser = || -> Box<dyn crate::StreamParser> { Box::new(Parser::new()) };
    StreamProtocol::new(Protocol::WEBSOCKET, &[], |_| Verdict::No, parser)
}
