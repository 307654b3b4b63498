//! HTTP/1.0 and HTTP/1.1 ([RFC 9112](https://www.rfc-editor.org/rfc/rfc9112)).
//!
//! An [`Exchange`] is a request and its response, reported when both are complete, or when nothing
//! more can come of them.
//!
//! # Limits
//!
//! | limit | default | beyond it |
//! |---|---|---|
//! | [`head_bytes`](Limits::head_bytes): start line and header section, or trailer section | 128 KiB | the parser [loses its place](crate::Lost) and searches for the next message |
//! | [`headers`](Limits::headers): fields of a section | 1,024 | the same |
//! | [`pending`](Limits::pending): requests without a response | 256 | a request is reported without its response, with the flag [`UNPAIRED`](Flags::UNPAIRED), and so is the response |
//! | [`pending_bytes`](Limits::pending_bytes): their heads | 512 KiB | the same |
//! | [`held_bytes`](Limits::held_bytes): bytes behind a `CONNECT` or an upgrade that is not answered yet | 64 KiB | they become a gap |
//! | a line with the size of a chunk and its extensions | 4 KiB | the parser loses its place |
//! | a start line that is searched for | 8 KiB | it is not recognized |
//! | responses whose requests have not come | 16, and 128 KiB | the oldest is reported alone |
//! | interim responses (1xx) of an exchange | 8 | the last ones are only counted |
//!
//! A conversation that is at all limits at once takes less than 1.5 MiB. A usual one takes less
//! than 2 KiB between messages.

mod body;
mod exchange;
mod fields;
mod flags;
mod head;
mod lane;
mod lenient;
mod pairing;
mod parser;
mod probe;
mod progress;
mod search;

pub use exchange::{Body, Exchange, Framing, Request, Response};
pub(crate) use fields::FIELDS;
pub use flags::Flags;
pub use head::{Head, Headers};
pub(crate) use head::{Place, Role, place_of};
pub use parser::Parser;

use crate::registry::{Protocol, StreamProtocol};

/// The limits of what the parser holds. See the [table](self#limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a start line with its header section, or of a trailer section.
    pub head_bytes: usize,
    /// Fields of a header or trailer section.
    pub headers: usize,
    /// Requests that wait for their response.
    pub pending: usize,
    /// Bytes of the heads of requests that wait for their response.
    pub pending_bytes: usize,
    /// Bytes that wait for the answer to a `CONNECT` or an upgrade.
    pub held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 128 << 10,
            headers: 1024,
            pending: 256,
            pending_bytes: 512 << 10,
            held_bytes: 64 << 10,
        }
    }
}

/// Ports on which HTTP is usual.
const PORTS: &[u16] = &[80, 8080, 8000, 8008, 8888, 3128, 631];

/// The protocol, for a [`Registry`](crate::Registry).
#[must_use]
pub fn protocol(limits: Limits) -> StreamProtocol {
    StreamProtocol::new(Protocol::HTTP, PORTS, probe::probe, move || Box::new(Parser::new(limits)))
}
