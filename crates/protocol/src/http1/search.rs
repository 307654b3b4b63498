//! Start lines: reading one, and finding the next one in a stream whose place was lost.

use memchr::{memchr, memmem};

use super::flags::Flags;
use super::head::{Place, Role, place_of};

/// Bytes before the version in a request line that is searched for.
pub(super) const LINE: usize = 8 << 10;

/// Methods that a request line is recognized by in the middle of a stream (RFC 9110, 4918, 3253,
/// 5789, 5323; UPnP). Elsewhere any token is a method.
const METHODS: &[&[u8]] = &[
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"CONNECT",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"REPORT",
    b"MERGE",
    b"CHECKOUT",
    b"MKACTIVITY",
    b"SEARCH",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"NOTIFY",
    b"M-SEARCH",
    b"PURGE",
    b"LINK",
    b"UNLINK",
];

/// A start line that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartLine {
    /// Method or status code.
    pub(super) first: Place,
    /// Target or reason.
    pub(super) second: Place,
    pub(super) minor_version: u8,
    pub(super) flags: Flags,
}

/// The beginning of a line as far as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    Request,
    Response,
    /// It may become either.
    Short,
    /// It is neither.
    Neither,
}

/// The outcome of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    At(usize, Role),
    /// Not yet. The next search may begin at this index.
    NotBefore(usize),
}

/// Reads a start line without its end, more tolerantly than RFC 9112, 3 and 4 write it.
pub(super) fn start_line(line: &[u8], role: Role) -> Option<StartLine> {
    let len = line.trim_ascii_end().len();
    let mut flags = Flags::default();
    let place = |from, to| place_of(from..to);
    match role {
        Role::Request => {
            let version = len.checked_sub(8)?;
            let minor_version = minor_version(&line[version..len])?;
            let method = line.iter().position(|&byte| !is_token(byte))?;
            if !(1..=32).contains(&method) || !is_space(line[method]) || version <= method {
                return None;
            }
            let between = &line[method..version];
            let (start, end) = (between.trim_ascii_start().len(), between.trim_ascii_end().len());
            let (from, to) = (version - start, method + end);
            if from >= to || to == version {
                return None;
            }
            if from != method + 1
                || to + 1 != version
                || line[from..to].iter().any(|&b| is_space(b))
            {
                flags |= Flags::LOOSE_START_LINE;
            }
            Some(StartLine {
                first: place(0, method),
                second: place(from, to),
                minor_version,
                flags,
            })
        }
        Role::Response => {
            let minor_version = minor_version(line.get(..8)?)?;
            let spaces = line[8..].iter().take_while(|&&byte| is_space(byte)).count();
            let code = 8 + spaces;
            let digits = line.get(code..code + 3)?;
            let after = line.get(code + 3).is_none_or(|&byte| is_space(byte) || byte == b'\r');
            if spaces == 0 || !digits.iter().all(u8::is_ascii_digit) || !after {
                return None;
            }
            if spaces != 1 {
                flags |= Flags::LOOSE_START_LINE;
            }
            let reason = (code + 4).min(len)..len.max((code + 4).min(len));
            let first = place(code, code + 3);
            Some(StartLine { first, second: place_of(reason), minor_version, flags })
        }
    }
}

/// Judges the beginning of a message. `bytes` begin with no line end.
pub(super) fn beginning(bytes: &[u8]) -> Beginning {
    const VERSION: &[u8] = b"HTTP/1.";
    let common = bytes.iter().zip(VERSION).take_while(|(a, b)| a == b).count();
    if common == VERSION.len() {
        return match bytes.get(common) {
            Some(byte) if byte.is_ascii_digit() => Beginning::Response,
            Some(_) => Beginning::Neither,
            None => Beginning::Short,
        };
    }
    if common == bytes.len() {
        return Beginning::Short;
    }
    let method = bytes.iter().position(|&byte| !is_token(byte)).unwrap_or(bytes.len());
    if method > 32 || method < bytes.len() && (method == 0 || !is_space(bytes[method])) {
        return Beginning::Neither;
    }
    // The line must have a version at its end, once there is an end.
    match memchr(b'\n', bytes) {
        Some(end) if start_line(&bytes[..end], Role::Request).is_none() => Beginning::Neither,
        Some(_) => Beginning::Request,
        // A request line that is recognized needs its version: what else has words in it?
        None => Beginning::Short,
    }
}

/// Finds the next message in the middle of a stream, from the index `from` on. It may begin
/// anywhere, since bodies end without a mark.
pub(super) fn find(bytes: &[u8], from: usize, role: Option<Role>) -> Found {
    let mut next = from;
    while let Some(at) = memmem::find(&bytes[next..], b"HTTP/1.").map(|at| next + at) {
        let after = &bytes[at + 7..];
        if role != Some(Role::Response) && at > 0 && bytes[at - 1] == b' ' {
            match after {
                [] | [_] | [_, b'\r'] => return Found::NotBefore(at),
                [digit, b'\n', ..] | [digit, b'\r', b'\n', ..] if digit.is_ascii_digit() => {
                    if let Some(start) = request_start(bytes, at - 1) {
                        return Found::At(start, Role::Request);
                    }
                }
                _ => {}
            }
        }
        if role != Some(Role::Request) {
            match after {
                [digit, b' ', a, b, c, end, ..]
                    if [digit, a, b, c].iter().all(|byte| byte.is_ascii_digit())
                        && (b'1'..=b'5').contains(a)
                        && matches!(end, b' ' | b'\r' | b'\n') =>
                {
                    return Found::At(at, Role::Response);
                }
                short if short.len() < 6 => return Found::NotBefore(at),
                _ => {}
            }
        }
        next = at + 7;
    }
    Found::NotBefore(next.max(bytes.len().saturating_sub(6)))
}

/// The beginning of a request line whose target ends at the space at `end`.
fn request_start(bytes: &[u8], end: usize) -> Option<usize> {
    let line = &bytes[end.saturating_sub(LINE)..end];
    let base = end - line.len();
    let space = line.iter().rposition(|&byte| byte <= b' ')?;
    if line[space] != b' ' || space + 1 == line.len() {
        return None;
    }
    let before = &line[..space];
    let method =
        METHODS.iter().filter(|method| before.ends_with(method)).max_by_key(|m| m.len())?;
    Some(base + space - method.len())
}

/// The minor version in `HTTP/1.1`. Versions above 1.1 are read as 1.1 (RFC 9110, 2.5).
fn minor_version(version: &[u8]) -> Option<u8> {
    let digit = version.strip_prefix(b"HTTP/1.")?;
    match digit {
        [digit] if digit.is_ascii_digit() => Some((digit - b'0').min(1)),
        _ => None,
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A character of a token (RFC 9110, 5.6.2).
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
