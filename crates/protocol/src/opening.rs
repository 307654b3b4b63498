//! The first exchange of SMTP, IMAP, POP3, FTP, SSH, PostgreSQL and MySQL.
//!
//! One [`Opening`] is reported for a connection: the banner and the version, the names that both
//! sides give, and the first command or query. Then the session stops parsing. Where the client
//! requests TLS and the server agrees (`STARTTLS` and related commands), the connection goes on as
//! TLS. Passwords and other proofs of identity are not kept.
//!
//! | protocol | module of the rules | source |
//! |---|---|---|
//! | SMTP | lines | RFC 5321, RFC 3207 |
//! | FTP | lines | RFC 959, RFC 4217 |
//! | POP3 | lines | RFC 1939, RFC 2595 |
//! | IMAP | lines | RFC 9051 |
//! | SSH | lines | RFC 4253, section 4.2 |
//! | PostgreSQL | packets | PostgreSQL 17, "Frontend/Backend Protocol" |
//! | MySQL | packets | MySQL, "Client/Server Protocol", connection phase |
//!
//! | limit | what happens |
//! |---|---|
//! | 16 KiB of a side wait for the end of a line or packet, or for the other side's answer | the opening is reported as it is |
//! | 256 lines or packets | the opening is reported as it is |
//! | 512 bytes of a value | the text ends with `…` |

mod database;
mod fields;
mod lines;
mod parser;
#[cfg(test)]
mod tests;

use crate::parser::StreamParser;
use crate::registry::{Protocol, StreamProtocol};

pub(crate) use fields::TABLES;

/// The most bytes of a value that are kept.
const MAX_VALUE: usize = 512;

/// The first exchange of a connection, as far as it was not encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opening {
    /// The protocol.
    pub protocol: Protocol,
    /// The first line of the server, without its code; of SSH its identification.
    pub banner: Option<String>,
    /// The name by which the client introduces itself; of SSH its identification.
    pub client: Option<String>,
    /// The version of the server (MySQL) or of the protocol (PostgreSQL).
    pub version: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The database.
    pub database: Option<String>,
    /// The first command or query that is not part of the introduction.
    pub command: Option<String>,
    /// `true` if the connection goes on as TLS.
    pub starttls: bool,
}

impl Opening {
    const fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            banner: None,
            client: None,
            version: None,
            user: None,
            database: None,
            command: None,
            starttls: false,
        }
    }

    /// `true` if nothing was found.
    fn is_empty(&self) -> bool {
        *self == Self::new(self.protocol)
    }
}

/// Text of a value, cut at its limit.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.trim_ascii();
    match bytes.split_at_checked(MAX_VALUE) {
        Some((kept, rest)) if !rest.is_empty() => format!("{}…", String::from_utf8_lossy(kept)),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The protocols, for a registry.
#[must_use]
pub fn protocols() -> [StreamProtocol; 7] {
    [
        StreamProtocol::new(Protocol::SMTP, &[25, 587], lines::is_smtp, || made(Protocol::SMTP)),
        StreamProtocol::new(Protocol::FTP, &[21], lines::is_ftp, || made(Protocol::FTP)),
        StreamProtocol::new(Protocol::POP3, &[110], lines::is_pop3, || made(Protocol::POP3)),
        StreamProtocol::new(Protocol::IMAP, &[143], lines::is_imap, || made(Protocol::IMAP)),
        StreamProtocol::new(Protocol::SSH, &[22], lines::is_ssh, || made(Protocol::SSH)),
        StreamProtocol::new(Protocol::POSTGRESQL, &[5432], database::is_postgresql, || {
            made(Protocol::POSTGRESQL)
        }),
        StreamProtocol::new(Protocol::MYSQL, &[3306], database::is_mysql, || made(Protocol::MYSQL)),
    ]
}

/// Creates the parser of one of the protocols; `None` for any other.
#[must_use]
pub fn parser(protocol: Protocol) -> Option<Box<dyn StreamParser>> {
    let known = protocols().iter().any(|known| known.protocol() == protocol);
    known.then(|| made(protocol))
}

fn made(protocol: Protocol) -> Box<dyn StreamParser> {
    let dialect: Box<dyn parser::Dialect> = match protocol {
        Protocol::SMTP | Protocol::FTP => Box::new(lines::Replies::default()),
        Protocol::POP3 => Box::new(lines::Pop3::default()),
        Protocol::IMAP => Box::new(lines::Imap::default()),
        Protocol::POSTGRESQL => Box::new(database::Postgresql::default()),
        Protocol::MYSQL => Box::new(database::Mysql::default()),
        _ => Box::new(lines::Ssh),
    };
    Box::new(parser::Parser::new(protocol, dialect))
}
