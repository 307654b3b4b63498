//! Redis ([RESP 2 and 3](https://redis.io/docs/latest/develop/reference/protocol-spec/)): commands
//! with their replies.
//!
//! Of a command its name, its first argument and the number of arguments are kept; of a reply its
//! type and the text of an error. The arguments of `AUTH` and `HELLO` are not kept. Commands that a
//! person types without the array form are not recognized.
//!
//! After `SUBSCRIBE`, `MONITOR` and related commands the server sends without being asked: from
//! then on commands are reported without replies.
//!
//! If bytes are missing, the parser loses its place unless they are within a string, and searches
//! for the next command, or for the next line that may begin a reply.
//!
//! # Limits
//!
//! | limit | value | beyond it |
//! |---|---|---|
//! | a line with a number or a status | 64 KiB | the parser [loses its place](crate::Lost) |
//! | bytes of a line, a name or a first argument that are kept | 256 | the rest is only counted |
//! | arrays within arrays | 32 | the parser loses its place |
//! | commands without a reply | 256 | the oldest is reported without its reply, and no further reply is paired |
//!
//! A conversation takes less than 256 KiB.

mod fields;
mod parser;
mod reply;
#[cfg(test)]
mod tests;

pub(crate) use fields::FIELDS;
pub use parser::Parser;

use crate::identify::{Prefix, Verdict};
use crate::registry::{Protocol, StreamProtocol};
use crate::side::Side;

/// A command and its reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Command {
    /// The name, as it was sent; up to 256 bytes.
    pub name: Box<[u8]>,
    /// The first argument, usually a key; up to 256 bytes.
    pub key: Option<Box<[u8]>>,
    /// The number of arguments.
    pub arguments: u64,
    /// Bytes of the command.
    pub request_bytes: u64,
    /// The reply; `None` if there was none, or it was not captured.
    pub reply: Option<Reply>,
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// Its type.
    pub kind: ReplyKind,
    /// The text of a status or an error, up to 256 bytes.
    pub text: Option<Box<[u8]>>,
    /// Bytes of the reply.
    pub bytes: u64,
}

/// The type of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyKind {
    /// A line, such as `OK`.
    Status,
    /// An error.
    Error,
    /// An integer, a double, a big number or a boolean.
    Number,
    /// A string.
    String,
    /// An array, a set or a map.
    Array,
    /// No value.
    Null,
}

impl ReplyKind {
    /// The type as a word: `status`, `error`, `number`, `string`, `array`, `null`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Error => "error",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Null => "null",
        }
    }
}

/// The protocol, for a [`Registry`](crate::Registry).
#[must_use]
pub fn protocol() -> StreamProtocol {
    let parser = || -> Box<dyn crate::StreamParser> { Box::new(Parser::new()) };
    StreamProtocol::new(Protocol::REDIS, &[6379], probe, parser)
}

/// An array of strings from the initiator: `*2\r\n$4\r\n`.
fn probe(prefix: &Prefix<'_>) -> Verdict {
    let [asked, answered] = [Side::Initiator, Side::Responder].map(|side| prefix.side(side));
    // A server says nothing before it is asked.
    if asked.is_empty() && !answered.is_empty() || !prefix.anchored {
        return Verdict::No;
    }
    let mut rest = asked;
    for mark in *b"*$" {
        let Some((&first, after)) = rest.split_first() else { return Verdict::More };
        let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if first != mark || digits > 8 || digits == 0 && !after.is_empty() {
            return Verdict::No;
        }
        let end = &after[digits..];
        if !b"\r\n".starts_with(&end[..end.len().min(2)]) {
            return Verdict::No;
        }
        if end.len() < 2 {
            return Verdict::More;
        }
        rest = &end[2..];
    }
    Verdict::Yes
}
