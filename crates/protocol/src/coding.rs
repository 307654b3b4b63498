//! Content codings of bodies: gzip, deflate, br and zstd
//! ([RFC 9110, section 8.4](https://www.rfc-editor.org/rfc/rfc9110#section-8.4)).
//!
//! Parsers stream bodies as they were sent. A [`BodyDecoder`] decodes one of them, piece by piece.
//!
//! # Limits
//!
//! | limit | default | beyond it |
//! |---|---|---|
//! | [`ratio`](DecodeLimits::ratio): decoded bytes for one coded byte, behind the first [`free`](DecodeLimits::free) bytes | 200, 4 MiB | decoding stops with [`Decoded::Ratio`] |
//! | [`size`](DecodeLimits::size): decoded bytes of a body | 256 MiB | decoding stops with [`Decoded::Size`] |
//! | window of zstd ([RFC 9659](https://www.rfc-editor.org/rfc/rfc9659)) | 8 MiB | decoding stops with [`Decoded::Corrupt`] |
//! | window of br | 16 MiB | the same |
//! | codings of one body | 3 | the bytes stay as they are, with [`Decoded::Unsupported`] |
//!
//! A decoder takes less than 100 KiB for gzip and deflate, less than 9 MiB for zstd and less than
//! 17 MiB for br; [`BodyDecoder::memory`] returns the size for the window that was announced.

mod brotli;
mod inflate;
#[cfg(test)]
mod tests;
mod zstd;

use std::fmt;

use self::brotli::Brotli;
use self::inflate::Inflate;
use self::zstd::Zstd;

/// Codings of one body.
const CODINGS: usize = 3;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coding {
    /// `gzip`, also as `x-gzip`.
    Gzip,
    /// `deflate`: the zlib format, or deflate without it, as some servers send it.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
    /// Another one, which is not decoded.
    Other,
}

/// The limits of decoding. See the [table](self#limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeLimits {
    /// Decoded bytes for one coded byte.
    pub ratio: u64,
    /// Decoded bytes of a body that may have any ratio.
    pub free: u64,
    /// Decoded bytes of a body.
    pub size: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { ratio: 200, free: 4 << 20, size: 256 << 20 }
    }
}

/// The outcome of decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Decoded {
    /// All of the body was decoded, and the coding's checksum fits if it has one. A body without a
    /// coding is complete.
    Complete,
    /// The coded bytes ended too early.
    Truncated,
    /// Bytes were not captured. Nothing behind them can be decoded.
    Gap,
    /// The bytes are not of the coding.
    Corrupt,
    /// More decoded bytes for each coded one than the limit allows.
    Ratio,
    /// More decoded bytes than the limit allows.
    Size,
    /// The coding is not known. The bytes are as they were sent.
    Unsupported,
}

/// A decoder of one body.
///
/// # Examples
///
/// ```
/// use protocol::coding::{BodyDecoder, Coding, DecodeLimits, Decoded};
///
/// let mut decoder = BodyDecoder::new(&[Coding::Deflate], DecodeLimits::default());
/// let mut text = Vec::new();
/// // A block that is stored as it is, without compression.
/// decoder.data(b"\x01\x02\x00\xfd\xffhi", &mut |bytes| text.extend_from_slice(bytes));
/// assert_eq!((decoder.finish(), &text[..]), (Decoded::Complete, &b"hi"[..]));
/// ```
pub struct BodyDecoder {
    /// In the order of decoding.
    stages: Vec<Stage>,
    limits: DecodeLimits,
    unsupported: bool,
    /// Coded bytes that were received.
    coded: u64,
    /// Bytes that stages returned. With several codings each counts, since each takes time.
    decoded: u64,
    stopped: Option<Decoded>,
}

/// A decoder of one coding.
enum Stage {
    Inflate(Box<Inflate>),
    Brotli(Box<Brotli>),
    Zstd(Box<Zstd>),
}

/// The receiver of decoded bytes. It returns an error to stop.
type Out<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), Decoded>;

impl Coding {
    /// Returns the codings that a field `Content-Encoding` or `Transfer-Encoding` lists, in the
    /// order in which they were applied, without `identity` and `chunked`. Of more than four, the
    /// rest is left out: such a body is not decoded anyway.
    pub fn list(value: &[u8]) -> impl Iterator<Item = Self> {
        let names = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        let codes = |name: &&[u8]| {
            !name.is_empty()
                && !name.eq_ignore_ascii_case(b"identity")
                && !name.eq_ignore_ascii_case(b"chunked")
        };
        names.filter(codes).map(Self::named).take(CODINGS + 1)
    }

    /// The name: `gzip`, `deflate`, `br`, `zstd` or `other`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Other => "other",
        }
    }

    fn named(name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match () {
            () if is("gzip") || is("x-gzip") => Self::Gzip,
            () if is("deflate") => Self::Deflate,
            () if is("br") => Self::Brotli,
            () if is("zstd") => Self::Zstd,
            () => Self::Other,
        }
    }
}

impl Decoded {
    /// The outcome as a word for programs: `complete`, `truncated`, `gap`, `corrupt`, `ratio`,
    /// `size`, `unsupported`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Truncated => "truncated",
            Self::Gap => "gap",
            Self::Corrupt => "corrupt",
            Self::Ratio => "ratio",
            Self::Size => "size",
            Self::Unsupported => "unsupported",
        }
    }
}

impl BodyDecoder {
    /// Creates a decoder. `codings` are in the order in which they were applied.
    #[must_use]
    pub fn new(codings: &[Coding], limits: DecodeLimits) -> Self {
        let stages: Option<Vec<Stage>> = codings.iter().rev().map(|&it| Stage::new(it)).collect();
        let stages = stages.filter(|stages| stages.len() <= CODINGS);
        let unsupported = stages.is_none();
        let stages = stages.unwrap_or_default();
        Self { stages, limits, unsupported, coded: 0, decoded: 0, stopped: None }
    }

    /// Decodes the next bytes of the body, and calls `out` with what they decode to.
    pub fn data(&mut self, bytes: &[u8], out: &mut dyn FnMut(&[u8])) {
        if self.stopped.is_some() {
            return;
        }
        if self.stages.is_empty() {
            return out(bytes);
        }
        let mut budget =
            Budget { limits: self.limits, coded: &mut self.coded, decoded: self.decoded };
        // The ratio is that of the bytes so far, so a long piece must not count before it is used.
        for part in bytes.chunks(PART) {
            *budget.coded += part.len() as u64;
            if let Err(stopped) = feed(&mut self.stages, part, &mut budget, out) {
                // The memory serves others.
                self.stages = Vec::new();
                self.stopped = Some(stopped);
                break;
            }
        }
        self.decoded = budget.decoded;
    }

    /// Takes notice that the next bytes were not captured.
    pub fn gap(&mut self) {
        if !self.stages.is_empty() {
            self.stages = Vec::new();
            self.stopped.get_or_insert(Decoded::Gap);
        }
    }

    /// Takes notice that the body is over. Returns the outcome.
    #[must_use]
    pub fn finish(&mut self) -> Decoded {
        if self.unsupported {
            return Decoded::Unsupported;
        }
        let ended = self.stages.iter().all(Stage::is_ended);
        // A body without bytes, such as that of an answer to HEAD, has nothing to decode.
        let none = self.coded == 0;
        let outcome = if ended || none { Decoded::Complete } else { Decoded::Truncated };
        self.stopped.unwrap_or(outcome)
    }

    /// Returns `true` if nothing more is decoded, since decoding has failed or met a limit.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// The bytes of memory that the decoder holds, itself included.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.stages.iter().map(Stage::memory).sum::<usize>()
    }
}

impl fmt::Debug for BodyDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyDecoder")
            .field("coded", &self.coded)
            .field("decoded", &self.decoded)
            .field("stopped", &self.stopped)
            .finish_non_exhaustive()
    }
}

/// Coded bytes that are decoded before their ratio is compared.
const PART: usize = 4 << 10;

struct Budget<'a> {
    limits: DecodeLimits,
    coded: &'a mut u64,
    decoded: u64,
}

impl Budget<'_> {
    fn take(&mut self, bytes: usize) -> Result<(), Decoded> {
        let DecodeLimits { ratio, free, size } = self.limits;
        let sum = self.decoded.saturating_add(bytes as u64);
        if sum > size {
            return Err(Decoded::Size);
        }
        if sum > free && sum > self.coded.saturating_mul(ratio) {
            return Err(Decoded::Ratio);
        }
        self.decoded = sum;
        Ok(())
    }
}

/// Passes bytes through the stages, one behind the other.
fn feed(
    stages: &mut [Stage],
    bytes: &[u8],
    budget: &mut Budget<'_>,
    out: &mut dyn FnMut(&[u8]),
) -> Result<(), Decoded> {
    let Some((first, rest)) = stages.split_first_mut() else {
        out(bytes);
        return Ok(());
    };
    first.data(bytes, &mut |decoded| {
        budget.take(decoded.len())?;
        feed(rest, decoded, budget, out)
    })
}

impl Stage {
    fn new(coding: Coding) -> Option<Self> {
        Some(match coding {
            Coding::Gzip => Self::Inflate(Box::new(Inflate::gzip())),
            Coding::Deflate => Self::Inflate(Box::new(Inflate::deflate())),
            Coding::Brotli => Self::Brotli(Box::new(Brotli::new())),
            Coding::Zstd => Self::Zstd(Box::new(Zstd::new())),
            Coding::Other => return None,
        })
    }

    fn data(&mut self, bytes: &[u8], out: Out<'_>) -> Result<(), Decoded> {
        match self {
            Self::Inflate(stage) => stage.data(bytes, out),
            Self::Brotli(stage) => stage.data(bytes, out),
            Self::Zstd(stage) => stage.data(bytes, out),
        }
    }

    fn is_ended(&self) -> bool {
        match self {
            Self::Inflate(stage) => stage.is_ended(),
            Self::Brotli(stage) => stage.is_ended(),
            Self::Zstd(stage) => stage.is_ended(),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Self::Inflate(_) => size_of::<Inflate>() + inflate::MEMORY,
            Self::Brotli(stage) => stage.memory(),
            Self::Zstd(stage) => stage.memory(),
        }
    }
}
