//! Fingerprints of hellos: JA3, JA3S and JA4.
//!
//! JA4 is published under the BSD licence. Its relatives for other messages are not, and are left
//! out.

use std::fmt::Write as _;

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::{ClientHello, ServerHello, is_grease};

/// Version, ciphers, extensions, groups and point formats in decimal, without the values of
/// RFC 8701.
pub(super) fn ja3_string(hello: &ClientHello) -> String {
    let formats: Vec<u16> = hello.point_formats.iter().map(|&format| format.into()).collect();
    let mut text = hello.legacy_version.0.to_string();
    for list in [&hello.ciphers, &hello.extensions, &hello.groups, &formats] {
        text.push(',');
        join(&mut text, list);
    }
    text
}

/// Version, cipher and extensions in decimal.
pub(super) fn ja3s_string(hello: &ServerHello) -> String {
    let mut text = format!("{},{},", hello.legacy_version.0, hello.cipher);
    join(&mut text, &hello.extensions);
    text
}

fn join(text: &mut String, numbers: &[u16]) {
    for (index, number) in numbers.iter().filter(|number| !is_grease(**number)).enumerate() {
        if index > 0 {
            text.push('-');
        }
        let _ = write!(text, "{number}");
    }
}

pub(super) fn md5_hex(text: &str) -> String {
    hex(&Md5::digest(text))
}

/// The JA4 fingerprint; `transport` is `t` for TCP and `q` for QUIC.
pub(super) fn ja4(hello: &ClientHello, transport: char) -> String {
    let known = |numbers: &[u16]| -> Vec<u16> {
        numbers.iter().copied().filter(|number| !is_grease(*number)).collect()
    };
    let mut ciphers = known(&hello.ciphers);
    let extensions = known(&hello.extensions);
    let version = match hello.best_version().0 {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    };
    let name = if extensions.contains(&0) { 'd' } else { 'i' };
    let (first, last) = alpn(hello);
    let mut text = format!(
        "{transport}{version}{name}{:02}{:02}{first}{last}_",
        ciphers.len().min(99),
        extensions.len().min(99)
    );
    ciphers.sort_unstable();
    text.push_str(&short_hash(&hex_list(&ciphers)));
    text.push('_');

    // The server name and ALPN vary with the destination.
    let mut sorted: Vec<u16> =
        extensions.into_iter().filter(|extension| !matches!(extension, 0 | 16)).collect();
    sorted.sort_unstable();
    let mut list = hex_list(&sorted);
    let algorithms = known(&hello.signature_algorithms);
    if !list.is_empty() && !algorithms.is_empty() {
        list.push('_');
        list.push_str(&hex_list(&algorithms));
    }
    text.push_str(&short_hash(&list));
    text
}

/// The first and the last character of the first protocol. If one of them is not alphanumeric, they
/// are those of its hexadecimal form.
fn alpn(hello: &ClientHello) -> (char, char) {
    let bytes = hello.alpn.first().map_or(&[][..], |protocol| protocol.as_bytes());
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return ('0', '0') };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return (first.into(), last.into());
    }
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    (digit(first >> 4), digit(last & 0xf))
}

fn hex_list(numbers: &[u16]) -> String {
    let mut text = String::with_capacity(numbers.len() * 5);
    for (index, number) in numbers.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let _ = write!(text, "{number:04x}");
    }
    text
}

fn short_hash(list: &str) -> String {
    if list.is_empty() {
        return "000000000000".into();
    }
    hex(&Sha256::digest(list)[..6])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
