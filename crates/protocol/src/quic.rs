//! QUIC Initial packets of version 1 (RFC 9000, RFC 9001), version 2 (RFC 9369) and the drafts from
//! 23 on. Their keys follow from the client's first destination connection identifier, so everyone
//! with the first packet can read them; everything later is encrypted with keys of the two ends.
//!
//! One [`Connection`] is reported, as soon as the server's hello is complete, or when the
//! conversation is over.
//!
//! | limit | what happens |
//! |---|---|
//! | 64 KiB of CRYPTO frames of a side | what is beyond is ignored |
//! | 64 ranges of CRYPTO frames that wait for what is before them | further ones are ignored |
//! | 16 packets of a datagram | the others are ignored |
//! | 20 bytes for a connection identifier | the packet is ignored, as RFC 9000 demands |

mod connection;
mod crypto_stream;
mod fields;
mod keys;
mod packet;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::parser::DatagramParser;
use crate::registry::{DatagramProtocol, Protocol};
use crate::tls::{ClientHello, ServerHello};

pub(crate) use fields::FIELDS;

/// The visible part of a QUIC handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// The version of the client's last Initial packet that could be read.
    pub version: Version,
    /// The destination connection identifier of the client's first packet.
    pub destination_id: Vec<u8>,
    /// The client's own connection identifier.
    pub source_id: Vec<u8>,
    /// The server's own connection identifier; `None` if no Initial packet of it was captured.
    pub server_id: Option<Vec<u8>>,
    /// The client's hello; `None` if it was not captured as a whole.
    pub client: Option<ClientHello>,
    /// The server's hello; `None` if it was not captured as a whole.
    pub server: Option<ServerHello>,
    /// `true` if the server made the client prove its address (RFC 9000, section 8.1.2).
    pub retry: bool,
    /// `true` if the server refused the client's version (RFC 9000, section 6).
    pub version_negotiation: bool,
    /// Initial packets that could not be decrypted.
    pub undecrypted: u32,
}

/// A version of QUIC, by its number on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Version(pub u32);

impl Version {
    /// Version 1.
    pub const V1: Self = Self(1);
    /// Version 2.
    pub const V2: Self = Self(0x6b33_43cf);

    /// The number of the draft, if it is one whose keys are known here.
    #[must_use]
    pub const fn draft(self) -> Option<u8> {
        match self.0 {
            0xff00_0017..=0xff00_0022 => Some((self.0 & 0xff) as u8),
            _ => None,
        }
    }

    const fn is_known(self) -> bool {
        self.0 == Self::V1.0 || self.0 == Self::V2.0 || self.draft().is_some()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (*self, self.draft()) {
            (Self::V1, _) => f.pad("1"),
            (Self::V2, _) => f.pad("2"),
            (_, Some(draft)) => write!(f, "draft {draft}"),
            _ => write!(f, "0x{:08x}", self.0),
        }
    }
}

/// QUIC, for a registry.
#[must_use]
pub fn protocol() -> DatagramProtocol {
    DatagramProtocol::new(Protocol::QUIC, &[443], packet::is_initial, || parser())
}

/// Creates a parser of QUIC.
#[must_use]
pub fn parser() -> Box<dyn DatagramParser> {
    Box::new(connection::Parser::default())
}
