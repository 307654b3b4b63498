//! The end of a body.

use super::exchange::Framing;
use super::flags::Flags;
use super::head::{Head, Role};

/// Bytes of a line with the size of a chunk and its extensions.
const SIZE_LINE: u16 = 4 << 10;

/// The place in a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reader {
    /// As many bytes are left.
    Length(u64),
    Chunks(Chunks),
    Close,
}

/// The place between chunks (RFC 9112, 7.1).
#[derive(Clone, Copy, Debug)]
pub(super) enum Chunks {
    /// In the line with a chunk's size.
    Size { value: u64, digits: u8, part: SizePart, len: u16 },
    /// As many bytes of the chunk are left.
    Data(u64),
    /// Behind a chunk's bytes; `true` after the carriage return.
    End(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SizePart {
    Digits,
    /// White space, extensions, or nothing until the line ends.
    Rest,
    AfterCr,
}

/// The next part of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// As many bytes of content.
    Data(usize),
    /// As many bytes that mark chunks.
    Mark(usize),
    /// As many bytes that mark the last chunk; the trailer section follows.
    Trailers(usize),
    Lost(Loss),
}

/// The reason why the place in a body is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    Syntax,
    Limit,
}

impl Reader {
    pub(super) fn new(framing: Framing) -> Option<Self> {
        match framing {
            Framing::Length(len) if len > 0 => Some(Self::Length(len)),
            Framing::Chunked => Some(Self::Chunks(Chunks::START)),
            Framing::Close => Some(Self::Close),
            _ => None,
        }
    }

    /// Takes the next part of `bytes`, which are not empty.
    pub(super) fn step(&mut self, bytes: &[u8], flags: &mut Flags) -> Step {
        match self {
            Self::Close => Step::Data(bytes.len()),
            Self::Length(left) => Step::Data(take(left, bytes.len())),
            Self::Chunks(Chunks::Data(left)) => {
                let len = take(left, bytes.len());
                if *left == 0 {
                    *self = Self::Chunks(Chunks::End(false));
                }
                Step::Data(len)
            }
            Self::Chunks(chunks) => chunks.step(bytes, flags),
        }
    }

    /// Skips as many bytes. Returns `false` if they may hold the end of the body.
    pub(super) fn skip(&mut self, len: u64) -> bool {
        match self {
            Self::Close => true,
            Self::Length(left) if len <= *left => {
                *left -= len;
                true
            }
            Self::Chunks(chunks) => match chunks {
                Chunks::Data(left) if len <= *left => {
                    *left -= len;
                    if *left == 0 {
                        *chunks = Chunks::End(false);
                    }
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Bytes that are missing if the stream is lost here and the place of the body's end is known.
    pub(super) const fn left(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            _ => 0,
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self, Self::Length(0))
    }
}

impl Chunks {
    const START: Self = Self::Size { value: 0, digits: 0, part: SizePart::Digits, len: 0 };

    fn step(&mut self, bytes: &[u8], flags: &mut Flags) -> Step {
        for (index, &byte) in bytes.iter().enumerate() {
            match self {
                Self::End(after_cr) => match byte {
                    b'\r' if !*after_cr => *after_cr = true,
                    b'\n' => {
                        if !*after_cr {
                            *flags |= Flags::LOOSE_CHUNK;
                        }
                        *self = Self::START;
                        return Step::Mark(index + 1);
                    }
                    _ => return Step::Lost(Loss::Syntax),
                },
                Self::Size { value, digits, part, len } => {
                    *len += 1;
                    if *len > SIZE_LINE {
                        return Step::Lost(Loss::Limit);
                    }
                    let size = *value;
                    match (*part, byte) {
                        (_, b'\n') => {
                            if *digits == 0 {
                                return Step::Lost(Loss::Syntax);
                            }
                            if *part != SizePart::AfterCr {
                                *flags |= Flags::LOOSE_CHUNK;
                            }
                            *self = Self::Data(size);
                            return match size {
                                0 => Step::Trailers(index + 1),
                                _ => Step::Mark(index + 1),
                            };
                        }
                        (SizePart::AfterCr, _) => {
                            // A carriage return in the middle of the line.
                            *flags |= Flags::LOOSE_CHUNK;
                            *part = if byte == b'\r' { SizePart::AfterCr } else { SizePart::Rest };
                        }
                        (_, b'\r') => *part = SizePart::AfterCr,
                        (SizePart::Digits, _) if byte.is_ascii_hexdigit() => {
                            let digit = (byte as char).to_digit(16).unwrap_or_default();
                            let Some(sum) = value.checked_mul(16) else {
                                return Step::Lost(Loss::Syntax);
                            };
                            *value = sum | u64::from(digit);
                            *digits = digits.saturating_add(1);
                        }
                        (SizePart::Digits, b' ' | b'\t') if *digits == 0 => {
                            *flags |= Flags::LOOSE_CHUNK;
                        }
                        (SizePart::Digits, b' ' | b'\t' | b';') if *digits > 0 => {
                            if byte != b';' {
                                *flags |= Flags::LOOSE_CHUNK;
                            }
                            *part = SizePart::Rest;
                        }
                        (SizePart::Digits, _) => return Step::Lost(Loss::Syntax),
                        (SizePart::Rest, _) => {}
                    }
                }
                Self::Data(_) => return Step::Mark(index),
            }
        }
        Step::Mark(bytes.len())
    }
}

/// The framing of a request's body (RFC 9112, 6.3).
pub(super) fn of_request(head: &Head, flags: &mut Flags) -> Framing {
    match (codings(head, flags), length(head, flags)) {
        (Some(true), _) => Framing::Chunked,
        // The server cannot know either; it answers 400 and closes.
        (Some(false), _) | (None, Err(())) => Framing::Unknown,
        (None, Ok(Some(0) | None)) => Framing::None,
        (None, Ok(Some(len))) => Framing::Length(len),
    }
}

/// The framing of a response's body (RFC 9112, 6.3), if the request's method and the status do not
/// mean that there is no body.
pub(super) fn of_response(head: &Head, flags: &mut Flags) -> Framing {
    match (codings(head, flags), length(head, flags)) {
        (Some(true), _) => Framing::Chunked,
        (Some(false), _) | (None, Ok(None)) => Framing::Close,
        (None, Err(())) => Framing::Unknown,
        (None, Ok(Some(0))) => Framing::None,
        (None, Ok(Some(len))) => Framing::Length(len),
    }
}

/// Returns whether `chunked` is the last transfer coding; `None` without transfer codings.
fn codings(head: &Head, flags: &mut Flags) -> Option<bool> {
    let headers = head.headers();
    let last = headers.all("transfer-encoding").last()?;
    if head.minor_version() == 0 {
        *flags |= Flags::TRANSFER_ENCODING_IN_1_0;
    }
    if headers.get("content-length").is_some() {
        *flags |= Flags::BOTH_LENGTHS;
    }
    let coding = last.rsplit(|&byte| byte == b',').next().unwrap_or_default();
    let chunked = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    if !chunked {
        *flags |= Flags::NOT_CHUNKED;
    }
    Some(chunked)
}

/// The value of `Content-Length`, also from a list of equal ones.
fn length(head: &Head, flags: &mut Flags) -> Result<Option<u64>, ()> {
    let mut length = None;
    let headers = head.headers();
    let values = headers.all("content-length").flat_map(|value| value.split(|&byte| byte == b','));
    for value in values {
        let value = value.trim_ascii();
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let number = str::from_utf8(value).ok().and_then(|value| value.parse::<u64>().ok());
        let Some(number) = number.filter(|_| digits) else {
            *flags |= Flags::INVALID_LENGTH;
            return Err(());
        };
        match length {
            None => length = Some(number),
            Some(before) if before == number => *flags |= Flags::REPEATED_LENGTH,
            Some(_) => {
                *flags |= Flags::DIFFERENT_LENGTHS;
                return Err(());
            }
        }
    }
    Ok(length)
}

/// Flags of a head that do not concern its framing.
pub(super) fn other_flags(head: &Head, role: Role) -> Flags {
    let hosts = head.headers().all("host").take(2).count();
    if role == Role::Request && hosts > 1 { Flags::SEVERAL_HOSTS } else { Flags::default() }
}

fn take(left: &mut u64, len: usize) -> usize {
    let taken = (*left).min(len as u64);
    *left -= taken;
    taken as usize
}
