//! TLS 1.0 to 1.3 (RFC 2246 to RFC 8446) and SSL 3.0, as far as it is not encrypted.
//!
//! One [`Handshake`] is reported for a connection, as soon as both sides encrypt, one of them ends
//! the handshake with an alert, or the conversation is over. It has what the hellos say, the
//! certificates up to TLS 1.2, and alerts. Everything after it is opaque: the session stops
//! parsing, so encrypted bytes cost nothing.
//!
//! | limit | what happens |
//! |---|---|
//! | 128 KiB for a handshake message | it is skipped and counted |
//! | 16 certificates of a chain, 64 names of a certificate | the others are counted |
//! | 512 bytes for a distinguished name | the text ends with `…` |
//! | 8 alerts | later ones are ignored |
//! | 64 records that are encrypted, all of one side | the handshake is reported without the other |
//!
//! Hellos are read here and not by a crate, since fingerprints need the numbers of all extensions
//! in their order, known or not, and a hello that the capture cut off should show its server name.
//! Certificates are read by `x509-parser`.

mod alert;
mod certificate;
mod cipher;
mod connection;
mod fields;
mod fingerprint;
mod hello;
mod messages;
mod record;
mod ssl2;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use crate::parser::StreamParser;
use crate::registry::{Protocol, StreamProtocol};

pub use alert::Alert;
pub use certificate::Certificate;
pub use cipher::cipher_name;
pub(crate) use fields::FIELDS;
pub use hello::{ClientHello, ServerHello};

/// The visible part of a TLS handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Handshake {
    /// The client's hello; `None` if it was not captured. After a request to retry it is the first.
    pub client: Option<ClientHello>,
    /// The server's hello; `None` if it was not captured, or there was none.
    pub server: Option<ServerHello>,
    /// `true` if the server has requested another hello (RFC 8446, section 4.1.4).
    pub hello_retry: bool,
    /// The server's certificates, its own first. TLS 1.3 encrypts them.
    pub certificates: Vec<Certificate>,
    /// The client's certificates, its own first. TLS 1.3 encrypts them.
    pub client_certificates: Vec<Certificate>,
    /// The number of certificates that the server sent, including those beyond the limit.
    pub certificate_count: u32,
    /// `true` if the server has requested a certificate of the client. TLS 1.3 encrypts that.
    pub certificate_requested: bool,
    /// The alerts that were not encrypted.
    pub alerts: Vec<Alert>,
    /// `true` if both sides have come to encrypt.
    pub established: bool,
    /// `true` if the connection was resumed: the server accepted the client's session identifier or
    /// ticket (up to TLS 1.2), or its pre-shared key (TLS 1.3).
    pub resumed: bool,
    /// The time from the first byte of the client's hello to the first encrypted record of the side
    /// that began to encrypt last; `None` if it did not come so far.
    pub duration: Option<Duration>,
    /// The number of handshake messages that were longer than the limit.
    pub oversized: u32,
}

impl Handshake {
    /// The version that the server selected, or the best that the client offers if there is no
    /// server's hello.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.server
            .as_ref()
            .map(ServerHello::version)
            .or_else(|| self.client.as_ref().map(ClientHello::best_version))
    }

    /// The server's name that the client requested. With Encrypted Client Hello it is that of the
    /// outer hello.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.client.as_ref()?.server_name.as_deref()
    }
}

/// A version of SSL or TLS, by its number on the wire. `Display` writes `TLS 1.3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16);

impl Version {
    /// SSL 2.0.
    pub const SSL_2: Self = Self(0x0002);
    /// TLS 1.2.
    pub const TLS_1_2: Self = Self(0x0303);
    /// TLS 1.3.
    pub const TLS_1_3: Self = Self(0x0304);

    /// Returns `true` for TLS 1.3 and its drafts.
    #[must_use]
    pub const fn is_1_3(self) -> bool {
        self.0 == 0x0304 || self.0 >> 8 == 0x7f
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self.0 {
            0x0002 => "SSL 2.0",
            0x0300 => "SSL 3.0",
            0x0301 => "TLS 1.0",
            0x0302 => "TLS 1.1",
            0x0303 => "TLS 1.2",
            0x0304 => "TLS 1.3",
            number if number >> 8 == 0x7f => {
                return write!(f, "TLS 1.3 draft {}", number & 0xff);
            }
            number => return write!(f, "0x{number:04x}"),
        })
    }
}

/// Returns `true` for the values that clients mix in to keep servers tolerant (RFC 8701).
#[must_use]
pub const fn is_grease(number: u16) -> bool {
    number & 0x0f0f == 0x0a0a && number >> 8 == number & 0xff
}

/// TLS, for a registry.
#[must_use]
pub fn protocol() -> StreamProtocol {
    StreamProtocol::new(Protocol::TLS, &[443], record::probe, || parser())
}

/// Creates a parser of TLS.
#[must_use]
pub fn parser() -> Box<dyn StreamParser> {
    Box::new(connection::Parser::default())
}
