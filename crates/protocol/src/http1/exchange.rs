//! A request and its response.

use super::flags::Flags;
use super::head::{Head, Headers, Role};
use crate::body_head::BodyHead;
use crate::coding::Coding;
use crate::http2::Details;

/// A request and its response, of HTTP/1 or HTTP/2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchange {
    /// The request; `None` if it was not captured.
    pub request: Option<Request>,
    /// The response; `None` if there was none, or it was not captured.
    pub response: Option<Response>,
    /// Status codes of interim responses (1xx) before the response, eight at most.
    pub interim: Vec<u16>,
    /// Unusual properties.
    pub flags: Flags,
    /// The stream of HTTP/2 that the exchange was; `None` for HTTP/1.
    pub http2: Option<Box<Details>>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub(crate) head: Head,
    pub(crate) body: Body,
    pub(crate) number: u64,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub(crate) head: Head,
    pub(crate) body: Body,
    pub(crate) number: u64,
}

/// The known facts about a body. Its bytes go to [`MessageSink::body`](crate::MessageSink::body).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Body {
    /// The way in which its end is marked.
    pub framing: Framing,
    /// Bytes that were captured, without the marks of chunks, with content codings.
    pub captured: u64,
    /// Bytes that were not captured.
    pub missing: u64,
    /// `true` if the body came to its end.
    pub complete: bool,
    /// Trailer fields.
    pub trailers: Headers,
}

/// The way in which a body's end is marked (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// There is no body.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// The end of the connection.
    Close,
    /// The flag END_STREAM of a frame of HTTP/2.
    Frames,
    /// It is not known, since the lengths are invalid or contradict each other.
    Unknown,
}

impl Exchange {
    /// The bytes of memory that the exchange takes.
    pub(crate) fn memory(&self) -> usize {
        let Self { request, response, interim, http2, .. } = self;
        let request = request.as_ref().map_or(0, |it| it.head.memory() + it.body.trailers.memory());
        let response =
            response.as_ref().map_or(0, |it| it.head.memory() + it.body.trailers.memory());
        let http2 = http2.as_ref().map_or(0, |_| size_of::<Details>());
        size_of::<Self>() + request + response + interim.capacity() * size_of::<u16>() + http2
    }
}

impl Exchange {
    /// The facts about the body of the request or the response.
    pub(crate) fn body_head(&self, role: Role) -> Option<BodyHead> {
        let request = self.request.as_ref();
        let (headers, body) = match role {
            Role::Request => request.map(|it| (it.headers(), it.body()))?,
            Role::Response => self.response.as_ref().map(|it| (it.headers(), it.body()))?,
        };
        let codings = ["content-encoding", "transfer-encoding"];
        let codings = codings.iter().flat_map(|name| headers.all(name)).flat_map(Coding::list);
        Some(BodyHead {
            of_request: role == Role::Request,
            host: request.and_then(Request::host).map(Into::into),
            path: request.map(|request| request.path().into()),
            media_type: headers.get("content-type").map(Into::into),
            // One more than can be decoded.
            codings: codings.take(4).collect(),
            len: match body.framing {
                Framing::Length(len) => Some(len),
                _ => None,
            },
        })
    }
}

impl Request {
    /// The method, as it was sent; empty if it is not known, in HTTP/2 after lost bytes.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.head.first()
    }

    /// The target, as it was sent: usually a path with a query.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.head.second()
    }

    /// The path of the target, without host and query. `*` and the host and port of a `CONNECT` are
    /// returned as they are.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        let target = self.origin_form();
        target.split(|&byte| byte == b'?').next().unwrap_or_default()
    }

    /// The query of the target, without `?`.
    #[must_use]
    pub fn query(&self) -> Option<&[u8]> {
        let target = self.origin_form();
        let mark = target.iter().position(|&byte| byte == b'?')?;
        Some(&target[mark + 1..])
    }

    /// The host that is asked, with its port if one was sent: that of an absolute target, or else
    /// the field `Host` (RFC 9112, 3.2.2); in HTTP/2 `:authority` (RFC 9113, 8.3.1).
    #[must_use]
    pub fn host(&self) -> Option<&[u8]> {
        if let Some(authority) = self.head.authority() {
            return Some(authority);
        }
        match self.authority() {
            Some((authority, _)) => Some(authority),
            None if self.method() == b"CONNECT" => Some(self.target()),
            None => self.head.headers().get("host"),
        }
    }

    /// The version: `1.0`, `1.1` or `2`.
    #[must_use]
    pub fn version(&self) -> &'static str {
        self.head.version()
    }

    /// The minor version: 0 or 1.
    #[must_use]
    pub fn minor_version(&self) -> u8 {
        self.head.minor_version()
    }

    /// The header fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        self.head.headers()
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// The number of the request in its conversation, from 0: see
    /// [`BodyPiece`](crate::BodyPiece).
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The authority of a target in absolute form, and what follows it.
    fn authority(&self) -> Option<(&[u8], &[u8])> {
        let target = self.target();
        if target.first().is_none_or(|&byte| byte == b'/' || byte == b'*') {
            return None;
        }
        let scheme = target.windows(3).position(|three| three == b"://")?;
        let known =
            target[..scheme].iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b));
        let rest = known.then(|| &target[scheme + 3..])?;
        let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
        Some(rest.split_at(end))
    }

    fn origin_form(&self) -> &[u8] {
        match self.authority() {
            Some((_, b"")) => b"/",
            Some((_, rest)) => rest,
            None => self.target(),
        }
    }
}

impl Response {
    /// The status code, 0 to 999; 0 if it is not known, in HTTP/2 after lost bytes.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.first().iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
    }

    /// The reason phrase, as it was sent.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        self.head.second()
    }

    /// The version: `1.0`, `1.1` or `2`.
    #[must_use]
    pub fn version(&self) -> &'static str {
        self.head.version()
    }

    /// The minor version: 0 or 1.
    #[must_use]
    pub fn minor_version(&self) -> u8 {
        self.head.minor_version()
    }

    /// The header fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        self.head.headers()
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// The number of the response in its conversation, from 0, interim responses counted: see
    /// [`BodyPiece`](crate::BodyPiece).
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }
}

impl Body {
    pub(crate) fn new(framing: Framing) -> Self {
        let complete = framing == Framing::None;
        Self { framing, captured: 0, missing: 0, complete, trailers: Headers::default() }
    }

    /// The length in bytes, whether captured or not.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.captured.saturating_add(self.missing)
    }

    /// Returns `true` if there are no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
