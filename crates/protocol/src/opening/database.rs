//! Protocols of packets: PostgreSQL, MySQL.

use super::parser::{Dialect, Step};
use super::{Opening, text};
use crate::identify::{Prefix, Verdict};
use crate::reader::Reader;
use crate::side::Side;

/// The longest packet of a start, in bytes: what a PostgreSQL server accepts.
const MAX_START: usize = 10_000;
/// The longest query of which the text is kept; of a longer one it is the beginning.
const MAX_QUERY: usize = 8 << 10;

/// The codes in place of a version: a request for TLS, for GSSAPI, and to cancel a query.
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// PostgreSQL.
#[derive(Debug, Default)]
pub(super) struct Postgresql {
    /// The request that the server answers with one byte.
    asked: Option<u32>,
    started: bool,
}

impl Dialect for Postgresql {
    fn step(&mut self, side: Side, bytes: &[u8], opening: &mut Opening) -> Option<(usize, Step)> {
        if side == Side::Responder {
            let &answer = bytes.first()?;
            let Some(asked) = self.asked.take() else {
                // The server's packets say nothing that is looked for.
                return self.started.then_some((bytes.len(), Step::Skip));
            };
            return Some(match (answer, asked) {
                (b'S', SSL_REQUEST) => (1, Step::Tls),
                (b'G', GSS_REQUEST) => (1, Step::Done),
                (b'N', _) => (1, Step::Continue),
                // An error in the format of a packet; the client will begin again.
                _ => (bytes.len(), Step::Done),
            });
        }
        if self.asked.is_some() {
            return None;
        }
        if !self.started {
            return self.start(bytes, opening);
        }
        let (&kind, rest) = bytes.split_first()?;
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let body = &rest[4..];
        if length < 4 {
            return Some((bytes.len(), Step::Done));
        }
        let available = body.get(..length - 4);
        if !matches!(kind, b'Q' | b'P') {
            // A proof of identity, whose content is nobody's business.
            return available.map(|body| (5 + body.len(), Step::Continue));
        }
        let body = match available {
            Some(body) => body,
            None if body.len() >= MAX_QUERY => body,
            None => return None,
        };
        // A statement that is prepared has a name before its text.
        let mut parts = body.split(|byte| *byte == 0);
        let query = if kind == b'P' { parts.nth(1) } else { parts.next() };
        opening.command = query.map(text);
        Some((bytes.len(), Step::Done))
    }
}

impl Postgresql {
    fn start(&mut self, bytes: &[u8], opening: &mut Opening) -> Option<(usize, Step)> {
        let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        if !(8..=MAX_START).contains(&length) {
            return Some((bytes.len(), Step::Done));
        }
        let mut reader = Reader::new(bytes.get(4..length)?);
        match reader.u32()? {
            code @ (SSL_REQUEST | GSS_REQUEST) => self.asked = Some(code),
            CANCEL_REQUEST => {
                opening.command = Some("CancelRequest".into());
                return Some((length, Step::Done));
            }
            version => {
                self.started = true;
                opening.version = Some(format!("{}.{}", version >> 16, version & 0xffff));
                let mut words = reader.rest().split(|byte| *byte == 0);
                while let (Some(name @ [_, ..]), Some(value)) = (words.next(), words.next()) {
                    match name {
                        b"user" => opening.user = Some(text(value)),
                        b"database" => opening.database = Some(text(value)),
                        b"application_name" => opening.client = Some(text(value)),
                        _ => {}
                    }
                }
            }
        }
        Some((length, Step::Continue))
    }
}

/// Judges the first packet of a client: a request for encryption, or a start of version 3.
pub(super) fn is_postgresql(prefix: &Prefix<'_>) -> Verdict {
    if !prefix.anchored || prefix.initiator.is_empty() && !prefix.responder.is_empty() {
        return Verdict::No;
    }
    let mut reader = Reader::new(prefix.initiator);
    let Some(length) = reader.u32() else {
        // The length has two bytes that are zero.
        let zero = prefix.initiator.iter().take(2).all(|byte| *byte == 0);
        return if zero { Verdict::More } else { Verdict::No };
    };
    let Some(code) = reader.u32() else {
        return if (8..=MAX_START as u32).contains(&length) { Verdict::More } else { Verdict::No };
    };
    let fits = match code {
        SSL_REQUEST | GSS_REQUEST => length == 8,
        CANCEL_REQUEST => (16..=268).contains(&length),
        version => version >> 16 == 3 && (9..=MAX_START as u32).contains(&length),
    };
    if fits { Verdict::Yes } else { Verdict::No }
}

/// The capability bits of MySQL that matter here.
const CLIENT_CONNECT_WITH_DB: u32 = 1 << 3;
const CLIENT_PROTOCOL_41: u32 = 1 << 9;
const CLIENT_SSL: u32 = 1 << 11;
const CLIENT_SECURE_CONNECTION: u32 = 1 << 15;
const CLIENT_PLUGIN_AUTH_LENENC: u32 = 1 << 21;

/// The header of a packet: its length in three bytes, the lowest first, and a number.
const HEADER: usize = 4;

/// MySQL and MariaDB.
#[derive(Debug, Default)]
pub(super) struct Mysql {
    greeted: bool,
    authenticating: bool,
}

impl Dialect for Mysql {
    fn step(&mut self, side: Side, bytes: &[u8], opening: &mut Opening) -> Option<(usize, Step)> {
        if side == Side::Responder && self.greeted {
            return (!bytes.is_empty()).then_some((bytes.len(), Step::Skip));
        }
        let &[a, b, c, number] = bytes.first_chunk()?;
        let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
        let available = bytes.get(HEADER..HEADER + length);
        if side == Side::Responder {
            let body = available?;
            self.greeted = true;
            let version = body.get(1..)?.split(|byte| *byte == 0).next()?;
            opening.version = Some(text(version));
            return Some((HEADER + length, Step::Continue));
        }
        if number == 0 && self.authenticating {
            let body = match available {
                Some(body) => body,
                None if bytes.len() >= MAX_QUERY => &bytes[HEADER..],
                None => return None,
            };
            opening.command = Some(match body.split_first() {
                // COM_QUERY and COM_STMT_PREPARE have the text of a query.
                Some((3 | 22, query)) => text(query),
                Some((1, _)) => "COM_QUIT".into(),
                Some((2, name)) => format!("COM_INIT_DB {}", text(name)),
                Some((14, _)) => "COM_PING".into(),
                Some((code, _)) => format!("command {code}"),
                None => String::new(),
            });
            return Some((bytes.len(), Step::Done));
        }
        let body = available?;
        if !self.authenticating {
            if login(body, opening)? {
                return Some((HEADER + length, Step::Tls));
            }
            self.authenticating = true;
        }
        // What proves the identity may follow, in packets with other numbers.
        Some((HEADER + length, Step::Continue))
    }
}

/// Reads the client's answer to the greeting. Returns `true` if it requests TLS: such a request is
/// the part of the answer that stands before the user's name.
fn login(body: &[u8], opening: &mut Opening) -> Option<bool> {
    let capabilities = u32::from_le_bytes(*body.first_chunk().unwrap_or(&[0; 4]));
    if body.len() == 32 && capabilities & CLIENT_SSL != 0 {
        return Some(true);
    }
    let Some(rest) = body.get(32..).filter(|_| capabilities & CLIENT_PROTOCOL_41 != 0) else {
        return Some(false);
    };
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    opening.user = Some(text(&rest[..end]));
    let mut reader = Reader::new(rest.get(end + 1..).unwrap_or_default());
    // The proof has its length in front of it. One of 251 bytes or more does not occur.
    let lengths = CLIENT_PLUGIN_AUTH_LENENC | CLIENT_SECURE_CONNECTION;
    let skipped = capabilities & lengths != 0 && reader.vector8().is_some();
    if capabilities & CLIENT_CONNECT_WITH_DB != 0 && skipped {
        let name = reader.rest().split(|byte| *byte == 0).next().unwrap_or_default();
        opening.database = Some(text(name));
    }
    Some(false)
}

/// Judges the greeting of a server: a packet of version 10 with the text of its version.
pub(super) fn is_mysql(prefix: &Prefix<'_>) -> Verdict {
    let bytes = prefix.responder;
    if !prefix.anchored || bytes.is_empty() && !prefix.initiator.is_empty() {
        return Verdict::No;
    }
    let fits = |index: usize, byte: u8| match index {
        1 => byte <= 1,
        2 | 3 => byte == 0,
        4 => byte == 10,
        5 => byte.is_ascii_digit(),
        _ => true,
    };
    if !bytes.iter().take(6).enumerate().all(|(index, byte)| fits(index, *byte)) {
        return Verdict::No;
    }
    let Some(version) = bytes.get(5..) else { return Verdict::More };
    match version.iter().take(64).position(|byte| *byte == 0) {
        Some(end) if version[..end].iter().all(|byte| (b' '..=b'~').contains(byte)) => Verdict::Yes,
        None if version.len() < 64 => Verdict::More,
        _ => Verdict::No,
    }
}
