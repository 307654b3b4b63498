//! Resource records, with their data as text.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::name;
use super::types::{RecordClass, RecordType};
use crate::reader::Reader;

/// The longest text of a record's data, in bytes. Longer texts end with `…`.
pub const MAX_DATA_TEXT: usize = 1024;

/// A resource record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The name that the record belongs to, as text without the final dot.
    pub name: String,
    /// The type.
    pub rtype: RecordType,
    /// The class.
    pub class: RecordClass,
    /// `true` if receivers of multicast DNS replace what they have cached (RFC 6762, section 10.2).
    pub cache_flush: bool,
    /// The time for which the record may be kept, in seconds.
    pub ttl: u32,
    /// The data in presentation form: an address, a name, quoted strings; types that are not known
    /// here as `\# LENGTH HEX` (RFC 3597, section 5). At most [`MAX_DATA_TEXT`] bytes.
    pub data: String,
}

/// The fixed fields of a record, and where its data and the next record are.
pub(super) struct Frame {
    pub(super) rtype: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    data: usize,
    pub(super) after: usize,
}

/// Reads the fields of the record at `at`, without its name and data.
pub(super) fn frame(message: &[u8], at: usize) -> Option<Frame> {
    let after_name = name::skip(message, at)?;
    let mut reader = Reader::new(message.get(after_name..)?);
    let (rtype, class, ttl) = (reader.u16()?, reader.u16()?, reader.u32()?);
    let length = reader.vector16()?.len();
    let data = after_name + 10;
    Some(Frame { rtype, class, ttl, data, after: data + length })
}

/// Reads the record at `at`. Returns it and the offset after it.
pub(super) fn read(message: &[u8], at: usize, multicast: bool) -> Option<(Record, usize)> {
    let (name, _) = name::read(message, at)?;
    let frame = frame(message, at)?;
    // Dynamic updates delete by records without data (RFC 2136, section 2.5).
    let data = if frame.data == frame.after {
        String::new()
    } else {
        text(message, &frame).unwrap_or_else(|| unknown(&message[frame.data..frame.after]))
    };
    let record = Record {
        name,
        rtype: RecordType(frame.rtype),
        class: RecordClass::from_wire(frame.class, multicast),
        cache_flush: multicast && frame.class & 0x8000 != 0,
        ttl: frame.ttl,
        data: shortened(data),
    };
    Some((record, frame.after))
}

/// The data of the types that people look for, in presentation form.
fn text(message: &[u8], frame: &Frame) -> Option<String> {
    let data = &message[frame.data..frame.after];
    let name_at = |offset| name::read(message, frame.data + offset).map(|(name, _)| name);
    let mut reader = Reader::new(data);
    Some(match RecordType(frame.rtype) {
        RecordType::A => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).to_string(),
        RecordType::AAAA => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).to_string(),
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => name_at(0)?,
        RecordType::MX => format!("{} {}", reader.u16()?, name_at(2)?),
        RecordType::SRV => {
            let [priority, weight, port] = [reader.u16()?, reader.u16()?, reader.u16()?];
            format!("{priority} {weight} {port} {}", name_at(6)?)
        }
        RecordType::SOA => {
            let (server, after) = name::read(message, frame.data)?;
            let (mailbox, after) = name::read(message, after)?;
            let mut numbers = Reader::new(message.get(after..frame.after)?);
            let mut text = format!("{server} {mailbox}");
            for _ in 0..5 {
                write!(text, " {}", numbers.u32()?).ok()?;
            }
            text
        }
        RecordType::TXT | RecordType::SPF => strings(reader)?,
        RecordType::CAA => {
            let flags = reader.u8()?;
            let tag = reader.vector8()?;
            let mut text = format!("{flags} {} ", String::from_utf8_lossy(tag));
            quote(&mut text, reader.rest());
            text
        }
        RecordType::SVCB | RecordType::HTTPS => service(message, frame)?,
        _ => return None,
    })
}

fn strings(mut reader: Reader<'_>) -> Option<String> {
    let mut text = String::new();
    while !reader.is_empty() && text.len() <= MAX_DATA_TEXT {
        if !text.is_empty() {
            text.push(' ');
        }
        quote(&mut text, reader.vector8()?);
    }
    Some(text)
}

/// A service binding (RFC 9460, section 2.1); keys are written with the names of section 14.3.2.
fn service(message: &[u8], frame: &Frame) -> Option<String> {
    let priority = Reader::new(&message[frame.data..frame.after]).u16()?;
    let (target, after) = name::read(message, frame.data + 2)?;
    let mut text = format!("{priority} {target}");
    let mut reader = Reader::new(message.get(after..frame.after)?);
    while !reader.is_empty() && text.len() <= MAX_DATA_TEXT {
        let (key, value) = (reader.u16()?, reader.vector16()?);
        let mut value = Reader::new(value);
        let mut items = Vec::new();
        let name = match key {
            1 => {
                while let Some(protocol) = value.vector8() {
                    items.push(String::from_utf8_lossy(protocol).into_owned());
                }
                "alpn"
            }
            2 => "no-default-alpn",
            3 => {
                items.push(value.u16()?.to_string());
                "port"
            }
            4 => {
                while let Some(address) = value.u32() {
                    items.push(Ipv4Addr::from(address).to_string());
                }
                "ipv4hint"
            }
            5 => "ech",
            6 => {
                while let Some(address) = value.take(16) {
                    items.push(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?).to_string());
                }
                "ipv6hint"
            }
            _ => {
                write!(text, " key{key}").ok()?;
                continue;
            }
        };
        write!(text, " {name}").ok()?;
        if !items.is_empty() {
            write!(text, "={}", items.join(",")).ok()?;
        }
    }
    Some(text)
}

fn quote(text: &mut String, bytes: &[u8]) {
    text.push('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', byte.into()]),
            0x20..=0x7e => text.push(byte.into()),
            _ => {
                let _ = write!(text, "\\{byte:03}");
            }
        }
    }
    text.push('"');
}

fn unknown(data: &[u8]) -> String {
    let mut text = format!("\\# {}", data.len());
    if !data.is_empty() {
        text.push(' ');
    }
    for byte in data.iter().take(MAX_DATA_TEXT / 2) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_DATA_TEXT {
        let mut end = MAX_DATA_TEXT - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
