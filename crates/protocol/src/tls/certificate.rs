//! Certificates (RFC 5280).

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509Name};

use crate::reader::Reader;

/// The most certificates of a chain.
const MAX_CHAIN: usize = 16;
/// The most alternative names of a certificate.
const MAX_NAMES: usize = 64;
/// The longest text of a name, in bytes.
const MAX_TEXT: usize = 512;

/// A certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// The distinguished name of the holder, such as `C=DE, O=Example, CN=example.org`.
    pub subject: String,
    /// The distinguished name of the authority that issued it.
    pub issuer: String,
    /// The serial number in hexadecimal.
    pub serial: String,
    /// The first second in which it is valid, since the Unix epoch.
    pub not_before: i64,
    /// The last second in which it is valid, since the Unix epoch.
    pub not_after: i64,
    /// The alternative names: host names, addresses, mail addresses and URIs; at most 64.
    pub names: Vec<String>,
    /// The SHA-256 of the certificate in hexadecimal.
    pub sha256: String,
    /// `true` if it could not be read. Only the hash is valid then.
    pub malformed: bool,
}

impl Certificate {
    /// Reads a certificate in DER.
    #[must_use]
    pub fn parse(der: &[u8]) -> Self {
        let sha256 = hex(&Sha256::digest(der));
        let Ok((_, parsed)) = X509Certificate::from_der(der) else {
            return Self { sha256, malformed: true, ..Self::default() };
        };
        let names = match parsed.subject_alternative_name() {
            Ok(Some(extension)) => {
                extension.value.general_names.iter().filter_map(name).take(MAX_NAMES).collect()
            }
            _ => Vec::new(),
        };
        Self {
            subject: distinguished(parsed.subject()),
            issuer: distinguished(parsed.issuer()),
            serial: hex(parsed.raw_serial()),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            names,
            sha256,
            malformed: false,
        }
    }
}

/// Reads the body of a Certificate message up to TLS 1.2 (RFC 5246, section 7.4.2). Returns the
/// certificates and their number.
pub(super) fn chain(body: &[u8]) -> (Vec<Certificate>, u32) {
    let mut certificates = Vec::new();
    let mut count = 0;
    let mut list = Reader::new(Reader::new(body).vector24().unwrap_or_default());
    while let Some(der) = list.vector24() {
        count += 1;
        if certificates.len() < MAX_CHAIN {
            certificates.push(Certificate::parse(der));
        }
    }
    (certificates, count)
}

fn distinguished(name: &X509Name<'_>) -> String {
    shortened(name.to_string())
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    Some(shortened(match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            (*text).to_owned()
        }
        GeneralName::IPAddress(bytes) => {
            if let Ok(bytes) = <[u8; 4]>::try_from(*bytes) {
                Ipv4Addr::from(bytes).to_string()
            } else {
                Ipv6Addr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()
            }
        }
        GeneralName::DirectoryName(name) => name.to_string(),
        _ => return None,
    }))
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let mut end = MAX_TEXT - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(64).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
