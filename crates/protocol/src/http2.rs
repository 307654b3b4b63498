//! HTTP/2 ([RFC 9113](https://www.rfc-editor.org/rfc/rfc9113)): with prior knowledge, after an
//! upgrade of HTTP/1 (`h2c`), and in plaintext that was made of TLS.
//!
//! Each stream is reported as an [`Exchange`](crate::http1::Exchange), like a request of HTTP/1
//! with its response. It is reported when both directions are over, when it was reset, or at the
//! end of the connection. [`Details`] has what only HTTP/2 knows, and the outcome of a call of
//! gRPC.
//!
//! A connection is recognized by its first bytes. One that was captured from the middle on is not.
//! After an upgrade, the request is reported with the response 101, and the response on stream 1
//! without a request.
//!
//! # Missing bytes
//!
//! Bytes that are missing from DATA are a gap in a body. If a header block is missing, or a part of
//! it, its fields are lost, and so are the entries of the compression table that it may have
//! changed: fields of later blocks that refer to older entries are left out, with the flag
//! [`UNKNOWN_FIELDS`](crate::http1::Flags::UNKNOWN_FIELDS). If it is not known where the next frame
//! begins, the parser [loses its place](crate::Lost) and searches for four frames that follow each
//! other.
//!
//! # Limits
//!
//! | limit | default | beyond it |
//! |---|---|---|
//! | [`head_bytes`](Limits::head_bytes): a header block with all its CONTINUATION frames | 64 KiB | the block is lost, reported as [`Lost`](crate::Lost) |
//! | the same: a section, decoded | 64 KiB | further fields are left out, with the flag [`LONG_HEAD`](crate::http1::Flags::LONG_HEAD) |
//! | [`headers`](Limits::headers): fields of a section | 1,024 | the same |
//! | [`table_bytes`](Limits::table_bytes): the compression table of a direction | 64 KiB | older entries are not known any more |
//! | [`streams`](Limits::streams): streams in progress | 1,024 | the oldest is reported as it is, with the flag [`UNPAIRED`](crate::http1::Flags::UNPAIRED); what comes of it later is ignored |
//! | [`stream_bytes`](Limits::stream_bytes): their heads | 1 MiB | the same |
//! | streams that are over and of which late frames are recognized | 256 | a late frame is reported as a response without a request |
//! | bytes that are searched for frames | 64 KiB | older ones are dropped |
//! | interim responses (1xx) of a stream | 8 | the last ones are dropped |
//!
//! Frames without content, such as PING, SETTINGS or empty CONTINUATION, take no memory, whatever
//! their number. A stream that is reset at once is reported at once. A conversation that is at all
//! limits takes less than 2 MiB.

mod frame;
mod grpc;
mod hpack;
mod huffman;
mod lane;
mod parser;
mod probe;
mod section;
mod static_table;
mod streams;

pub use parser::Parser;

use crate::registry::{Protocol, StreamProtocol};

/// The limits of what the parser holds. See the [table](self#limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a header block, and of the section that it decodes to.
    pub head_bytes: usize,
    /// Fields of a section.
    pub headers: usize,
    /// Bytes of the compression table of a direction.
    pub table_bytes: usize,
    /// Streams in progress.
    pub streams: usize,
    /// Bytes of the heads of streams in progress.
    pub stream_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 << 10,
            headers: 1024,
            table_bytes: 64 << 10,
            streams: 1024,
            stream_bytes: 1 << 20,
        }
    }
}

/// The facts about a stream that exchanges of HTTP/1 do not have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Details {
    /// The number of the stream.
    pub stream: u32,
    /// The error code of RST_STREAM, if one ended the stream (RFC 9113, section 7).
    pub reset: Option<u32>,
    /// `true` if the server promised the response without a request of the client.
    pub pushed: bool,
    /// The call of gRPC, if it is one.
    pub grpc: Option<Grpc>,
}

/// A call of gRPC. The path of the request is its method.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grpc {
    /// Messages of the client; `None` if bytes are missing from a place that the count depends on.
    pub request_messages: Option<u64>,
    /// Messages of the server; `None` likewise.
    pub response_messages: Option<u64>,
    /// The status code of the call, 0 for success; `None` if it was not captured.
    pub status: Option<u32>,
    /// The message of the status, percent-encoded as it was sent.
    pub message: Option<Box<[u8]>>,
}

/// Ports on which HTTP/2 is usual without TLS.
const PORTS: &[u16] = &[80, 8080, 50051];

/// The protocol, for a [`Registry`](crate::Registry).
#[must_use]
pub fn protocol(limits: Limits) -> StreamProtocol {
    StreamProtocol::new(Protocol::HTTP2, PORTS, probe::probe, move || Box::new(Parser::new(limits)))
}
