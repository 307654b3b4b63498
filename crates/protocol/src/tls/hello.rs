//! The hellos (RFC 8446, sections 4.1.2 and 4.1.3).

use super::{Version, fingerprint, is_grease};
use crate::reader::Reader;

/// The random bytes by which a hello requests another one: the SHA-256 of `HelloRetryRequest`
/// (RFC 8446, section 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The most protocols of ALPN that are kept.
const MAX_ALPN: usize = 32;

/// The numbers of extensions (the IANA registry "TLS ExtensionType Values").
mod extension {
    pub(super) const SERVER_NAME: u16 = 0;
    pub(super) const GROUPS: u16 = 10;
    pub(super) const POINT_FORMATS: u16 = 11;
    pub(super) const SIGNATURE_ALGORITHMS: u16 = 13;
    pub(super) const ALPN: u16 = 16;
    pub(super) const SESSION_TICKET: u16 = 35;
    pub(super) const PRE_SHARED_KEY: u16 = 41;
    pub(super) const EARLY_DATA: u16 = 42;
    pub(super) const SUPPORTED_VERSIONS: u16 = 43;
    pub(super) const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
}

/// A client's hello.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientHello {
    /// The version field, which stays at TLS 1.2 for later versions.
    pub legacy_version: Version,
    /// The random bytes, by which key logs name the connection.
    pub random: [u8; 32],
    /// The session identifier.
    pub session_id: Vec<u8>,
    /// The cipher suites, in the client's order.
    pub ciphers: Vec<u16>,
    /// The numbers of the extensions, in the order in which they were sent.
    pub extensions: Vec<u16>,
    /// The name of the server that the client wants (SNI).
    pub server_name: Option<String>,
    /// The application protocols that the client offers, in its order; at most 32.
    pub alpn: Vec<String>,
    /// The versions of the `supported_versions` extension.
    pub versions: Vec<Version>,
    /// The groups for the key exchange.
    pub groups: Vec<u16>,
    /// The formats of points of elliptic curves.
    pub point_formats: Vec<u8>,
    /// The signature algorithms.
    pub signature_algorithms: Vec<u16>,
    /// `true` if the hello has an encrypted one inside, or pretends to (ECH). The server name is
    /// then that of the provider.
    pub encrypted_hello: bool,
    /// `true` if the client offers a ticket of an earlier session (RFC 5077).
    pub ticket: bool,
    /// `true` if the client offers a pre-shared key, usually from an earlier session.
    pub pre_shared_key: bool,
    /// `true` if the client sends data before the handshake is complete.
    pub early_data: bool,
    /// `true` if the hello has the format of SSL 2.0.
    pub ssl2_format: bool,
    /// `true` if the hello could not be read to its end.
    pub malformed: bool,
}

/// A server's hello.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerHello {
    /// The version field, which stays at TLS 1.2 for later versions.
    pub legacy_version: Version,
    /// The random bytes.
    pub random: [u8; 32],
    /// The session identifier.
    pub session_id: Vec<u8>,
    /// The cipher suite that the server selected.
    pub cipher: u16,
    /// The numbers of the extensions, in the order in which they were sent.
    pub extensions: Vec<u16>,
    /// The application protocol that the server selected. TLS 1.3 encrypts it.
    pub alpn: Option<String>,
    /// The version of the `supported_versions` extension.
    pub selected_version: Option<Version>,
    /// `true` if the server has accepted a pre-shared key.
    pub pre_shared_key: bool,
}

impl ClientHello {
    /// Reads the body of a hello, without the header of the handshake message. Returns `None` if
    /// it is not one; what the extensions lack is marked as malformed.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let mut hello = Self {
            legacy_version: Version(reader.u16()?),
            random: reader.take(32)?.try_into().ok()?,
            session_id: reader.vector8()?.to_vec(),
            ..Self::default()
        };
        hello.ciphers = numbers(reader.vector16()?);
        reader.vector8()?;
        if !reader.is_empty() {
            hello.malformed = hello.read_extensions(reader).is_none();
        }
        Some(hello)
    }

    /// The highest version that the client offers.
    #[must_use]
    pub fn best_version(&self) -> Version {
        let offered = self.versions.iter().copied().filter(|version| !is_grease(version.0));
        offered.max_by_key(|version| (version.is_1_3(), *version)).unwrap_or(self.legacy_version)
    }

    /// The JA3 string, of which JA3 is the MD5.
    #[must_use]
    pub fn ja3_string(&self) -> String {
        fingerprint::ja3_string(self)
    }

    /// The JA3 fingerprint: 32 hexadecimal digits.
    #[must_use]
    pub fn ja3(&self) -> String {
        fingerprint::md5_hex(&self.ja3_string())
    }

    /// The JA4 fingerprint of a hello over TCP.
    #[must_use]
    pub fn ja4(&self) -> String {
        fingerprint::ja4(self, 't')
    }

    /// The JA4 fingerprint of a hello in QUIC.
    #[must_use]
    pub fn ja4_quic(&self) -> String {
        fingerprint::ja4(self, 'q')
    }

    fn read_extensions(&mut self, mut reader: Reader<'_>) -> Option<()> {
        let announced = usize::from(reader.u16()?);
        let mut list = Reader::new(&reader.rest()[..announced.min(reader.rest().len())]);
        while !list.is_empty() {
            let (number, data) = (list.u16()?, list.vector16()?);
            self.extensions.push(number);
            self.read_extension(number, Reader::new(data))?;
        }
        (announced <= reader.rest().len()).then_some(())
    }

    fn read_extension(&mut self, number: u16, mut data: Reader<'_>) -> Option<()> {
        match number {
            extension::SERVER_NAME if !data.is_empty() => {
                let mut names = Reader::new(data.vector16()?);
                while let (Some(kind), Some(name)) = (names.u8(), names.vector16()) {
                    if kind == 0 && self.server_name.is_none() {
                        self.server_name = Some(String::from_utf8_lossy(name).into_owned());
                    }
                }
            }
            extension::GROUPS => self.groups = numbers(data.vector16()?),
            extension::POINT_FORMATS => self.point_formats = data.vector8()?.to_vec(),
            extension::SIGNATURE_ALGORITHMS => {
                self.signature_algorithms = numbers(data.vector16()?);
            }
            extension::ALPN => self.alpn = protocols(data)?,
            extension::SESSION_TICKET => self.ticket = !data.is_empty(),
            extension::PRE_SHARED_KEY => self.pre_shared_key = true,
            extension::EARLY_DATA => self.early_data = true,
            extension::SUPPORTED_VERSIONS => {
                self.versions = numbers(data.vector8()?).into_iter().map(Version).collect();
            }
            extension::ENCRYPTED_CLIENT_HELLO => self.encrypted_hello = true,
            _ => {}
        }
        Some(())
    }
}

impl ServerHello {
    /// Reads the body of a hello, without the header of the handshake message.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let mut hello = Self {
            legacy_version: Version(reader.u16()?),
            random: reader.take(32)?.try_into().ok()?,
            ..Self::default()
        };
        // The drafts of TLS 1.3 up to 21 had neither session identifier nor compression.
        let draft = (0x7f00..0x7f16).contains(&hello.legacy_version.0);
        if !draft {
            hello.session_id = reader.vector8()?.to_vec();
        }
        hello.cipher = reader.u16()?;
        if !draft {
            reader.u8()?;
        }
        if !reader.is_empty() {
            // An extension that cannot be read takes nothing from what stands before it.
            let _ = hello.read_extensions(reader);
        }
        Some(hello)
    }

    /// The version that the server selected.
    #[must_use]
    pub fn version(&self) -> Version {
        self.selected_version.unwrap_or(self.legacy_version)
    }

    /// Returns `true` if this is a request for another hello.
    #[must_use]
    pub fn is_retry(&self) -> bool {
        self.random == RETRY
    }

    /// The JA3S string, of which JA3S is the MD5.
    #[must_use]
    pub fn ja3s_string(&self) -> String {
        fingerprint::ja3s_string(self)
    }

    /// The JA3S fingerprint: 32 hexadecimal digits.
    #[must_use]
    pub fn ja3s(&self) -> String {
        fingerprint::md5_hex(&self.ja3s_string())
    }

    fn read_extensions(&mut self, mut reader: Reader<'_>) -> Option<()> {
        let mut list = Reader::new(reader.vector16()?);
        while !list.is_empty() {
            let (number, data) = (list.u16()?, list.vector16()?);
            self.extensions.push(number);
            let mut data = Reader::new(data);
            match number {
                extension::ALPN => self.alpn = protocols(data)?.into_iter().next(),
                extension::SUPPORTED_VERSIONS => self.selected_version = data.u16().map(Version),
                extension::PRE_SHARED_KEY => self.pre_shared_key = true,
                _ => {}
            }
        }
        Some(())
    }
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    bytes.as_chunks().0.iter().map(|number| u16::from_be_bytes(*number)).collect()
}

fn protocols(mut data: Reader<'_>) -> Option<Vec<String>> {
    let mut list = Reader::new(data.vector16()?);
    let mut protocols = Vec::new();
    while !list.is_empty() && protocols.len() < MAX_ALPN {
        protocols.push(String::from_utf8_lossy(list.vector8()?).into_owned());
    }
    Some(protocols)
}
