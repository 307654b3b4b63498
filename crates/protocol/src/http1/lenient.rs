//! Heads that are not as RFC 9112 wants them, read as it says that a tolerant recipient does.

use super::Limits;
use super::flags::Flags;
use super::head::{Defect, Head, Headers, Place, Role, place_of};
use super::search::{is_token, start_line};

/// Reads a head whose last line is empty.
pub(super) fn head(bytes: &[u8], role: Role, limits: &Limits) -> Result<(Head, Flags), Defect> {
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or(Defect::Syntax)?;
    let line = start_line(&bytes[..end], role).ok_or(Defect::Syntax)?;
    let mut flags = line.flags;
    if !bytes[..end].ends_with(b"\r") {
        flags |= Flags::BARE_LF;
    }
    let (headers, more) = fields(bytes, end + 1, limits)?;
    Ok((Head::new(line.first, line.second, 10 + line.minor_version, headers), flags | more))
}

/// Reads a trailer section whose last line is empty.
pub(super) fn trailers(bytes: &[u8], limits: &Limits) -> Result<(Headers, Flags), Defect> {
    fields(bytes, 0, limits)
}

/// Reads the fields from the index `start` on. They are changed in place, so that every index
/// stays.
fn fields(bytes: &[u8], start: usize, limits: &Limits) -> Result<(Headers, Flags), Defect> {
    let mut text = bytes.to_vec();
    let mut flags = Flags::default();
    let mut fields: Vec<(Place, Place)> = Vec::new();
    // `true` if the line before was a field, which a folded line continues.
    let mut continues = false;
    let mut from = start;
    while let Some(len) = memchr::memchr(b'\n', &text[from..]) {
        let (line, next) = (from..from + len, from + len + 1);
        let end = if text[line.clone()].ends_with(b"\r") {
            line.end - 1
        } else {
            flags |= Flags::BARE_LF;
            line.end
        };
        from = next;
        let start = line.start;
        for byte in &mut text[start..end] {
            if matches!(byte, b'\r' | 0) {
                *byte = b' ';
                flags |= Flags::BARE_CR;
            }
        }
        if start == end {
            continue;
        }
        if matches!(text[start], b' ' | b'\t') {
            match fields.last_mut() {
                Some((_, value)) if continues => {
                    flags |= Flags::OBS_FOLD;
                    // The line end before it, and nothing else, is between the two parts.
                    text[value.1 as usize..start].fill(b' ');
                    *value = trimmed(&text, value.0 as usize, end);
                }
                Some(_) => {}
                None => flags |= Flags::SPACE_BEFORE_FIELDS,
            }
            continue;
        }
        continues = false;
        let Some(colon) = text[start..end].iter().position(|&byte| byte == b':') else {
            flags |= Flags::INVALID_FIELD;
            continue;
        };
        let name = text[start..start + colon].trim_ascii_end().len();
        if name == 0 || !text[start..start + name].iter().all(|&byte| is_token(byte)) {
            flags |= Flags::INVALID_FIELD;
            continue;
        }
        if name < colon {
            flags |= Flags::SPACE_BEFORE_COLON;
        }
        if fields.len() >= limits.headers {
            return Err(Defect::TooManyHeaders);
        }
        let value = trimmed(&text, start + colon + 1, end);
        fields.push((place_of(start..start + name), value));
        continues = true;
    }
    Ok((Headers::new(text, fields), flags))
}

/// The place of a value without white space around it.
fn trimmed(text: &[u8], from: usize, to: usize) -> Place {
    let value = &text[from..to];
    let start = to - value.trim_ascii_start().len();
    place_of(start..start.max(from + value.trim_ascii_end().len()))
}
