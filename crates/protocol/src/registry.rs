//! The protocols that a program wants parsed.

use std::fmt;
use std::sync::Arc;

use crate::dns;
use crate::http1;
use crate::http2;
use crate::identify::{Prefix, Verdict};
use crate::opening;
use crate::parser::{DatagramParser, StreamParser};
use crate::quic;
use crate::redis;
use crate::tls;
use crate::websocket;

/// The name of a protocol: lower case, as it begins the names of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(&'static str);

impl Protocol {
    /// HTTP.
    pub const HTTP: Self = Self("http");
    /// HTTP/2, whose messages are of the protocol [`HTTP`](Self::HTTP).
    pub const HTTP2: Self = Self("http2");
    /// WebSocket.
    pub const WEBSOCKET: Self = Self("websocket");
    /// TLS.
    pub const TLS: Self = Self("tls");
    /// DNS.
    pub const DNS: Self = Self("dns");
    /// QUIC.
    pub const QUIC: Self = Self("quic");
    /// SMTP.
    pub const SMTP: Self = Self("smtp");
    /// FTP.
    pub const FTP: Self = Self("ftp");
    /// POP3.
    pub const POP3: Self = Self("pop3");
    /// IMAP.
    pub const IMAP: Self = Self("imap");
    /// SSH.
    pub const SSH: Self = Self("ssh");
    /// PostgreSQL.
    pub const POSTGRESQL: Self = Self("postgresql");
    /// Redis.
    pub const REDIS: Self = Self("redis");
    /// MySQL and MariaDB.
    pub const MYSQL: Self = Self("mysql");

    /// Creates the name of a protocol that is not part of this crate.
    #[must_use]
    pub const fn custom(name: &'static str) -> Self {
        Self(name)
    }

    /// Returns `true` for a protocol whose connections can go on as TLS, such as SMTP. A registry
    /// from which it is removed finds no TLS there.
    #[must_use]
    pub fn starts_tls(self) -> bool {
        [Self::SMTP, Self::FTP, Self::POP3, Self::IMAP, Self::POSTGRESQL, Self::MYSQL]
            .contains(&self)
    }

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// A protocol over streams: the way to recognize it and to make its parsers.
#[derive(Clone)]
pub struct StreamProtocol {
    protocol: Protocol,
    ports: &'static [u16],
    probe: fn(&Prefix<'_>) -> Verdict,
    parser: Arc<dyn Fn() -> Box<dyn StreamParser> + Send + Sync>,
}

impl StreamProtocol {
    /// Creates a protocol. `ports` decide only between protocols whose `probe` accepts the same
    /// bytes.
    pub fn new(
        protocol: Protocol,
        ports: &'static [u16],
        probe: fn(&Prefix<'_>) -> Verdict,
        parser: impl Fn() -> Box<dyn StreamParser> + Send + Sync + 'static,
    ) -> Self {
        Self { protocol, ports, probe, parser: Arc::new(parser) }
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The ports on which it is usual.
    #[must_use]
    pub const fn ports(&self) -> &'static [u16] {
        self.ports
    }

    /// Judges the beginning of a conversation.
    #[must_use]
    pub fn probe(&self, prefix: &Prefix<'_>) -> Verdict {
        (self.probe)(prefix)
    }

    /// Makes a parser.
    #[must_use]
    pub fn parser(&self) -> Box<dyn StreamParser> {
        (self.parser)()
    }
}

impl fmt::Debug for StreamProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StreamProtocol").field(&self.protocol).finish()
    }
}

/// A protocol in datagrams: the way to recognize it and to make its parsers.
#[derive(Clone)]
pub struct DatagramProtocol {
    protocol: Protocol,
    ports: &'static [u16],
    probe: fn(&[u8]) -> bool,
    parser: Arc<dyn Fn() -> Box<dyn DatagramParser> + Send + Sync>,
}

impl DatagramProtocol {
    /// Creates a protocol. `probe` judges one datagram. `ports` decide only between protocols whose
    /// `probe` accepts the same datagram.
    pub fn new(
        protocol: Protocol,
        ports: &'static [u16],
        probe: fn(&[u8]) -> bool,
        parser: impl Fn() -> Box<dyn DatagramParser> + Send + Sync + 'static,
    ) -> Self {
        Self { protocol, ports, probe, parser: Arc::new(parser) }
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The ports on which it is usual.
    #[must_use]
    pub const fn ports(&self) -> &'static [u16] {
        self.ports
    }

    /// Returns `true` if a datagram is one of the protocol.
    #[must_use]
    pub fn probe(&self, datagram: &[u8]) -> bool {
        (self.probe)(datagram)
    }

    /// Makes a parser.
    #[must_use]
    pub fn parser(&self) -> Box<dyn DatagramParser> {
        (self.parser)()
    }
}

impl fmt::Debug for DatagramProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatagramProtocol").field(&self.protocol).finish()
    }
}

/// The protocols that sessions look for. All sessions of a program share one.
///
/// [`Registry::default`] has all of this crate with their default limits.
#[derive(Clone, Debug)]
pub struct Registry {
    streams: Vec<StreamProtocol>,
    datagrams: Vec<DatagramProtocol>,
}

impl Registry {
    /// Creates a registry without protocols.
    #[must_use]
    pub const fn empty() -> Self {
        Self { streams: Vec::new(), datagrams: Vec::new() }
    }

    /// Adds a protocol over streams, in place of the one of the same name if there is one.
    #[must_use]
    pub fn stream(mut self, protocol: StreamProtocol) -> Self {
        self.streams.retain(|other| other.protocol != protocol.protocol);
        self.streams.push(protocol);
        self
    }

    /// Adds a protocol in datagrams, in place of the one of the same name if there is one.
    #[must_use]
    pub fn datagram(mut self, protocol: DatagramProtocol) -> Self {
        self.datagrams.retain(|other| other.protocol != protocol.protocol);
        self.datagrams.push(protocol);
        self
    }

    /// Keeps the protocols for which `keep` returns `true`.
    pub fn retain(&mut self, mut keep: impl FnMut(Protocol) -> bool) {
        self.streams.retain(|own| keep(own.protocol));
        self.datagrams.retain(|own| keep(own.protocol));
    }

    /// The protocols over streams.
    #[must_use]
    pub fn streams(&self) -> &[StreamProtocol] {
        &self.streams
    }

    /// The protocols in datagrams.
    #[must_use]
    pub fn datagrams(&self) -> &[DatagramProtocol] {
        &self.datagrams
    }
}

impl Default for Registry {
    fn default() -> Self {
        let streams = Self::empty()
            .stream(http1::protocol(http1::Limits::default()))
            .stream(http2::protocol(http2::Limits::default()))
            .stream(tls::protocol())
            .stream(dns::stream_protocol())
            .stream(websocket::protocol())
            .stream(redis::protocol());
        opening::protocols()
            .into_iter()
            .fold(streams, Self::stream)
            .datagram(quic::protocol())
            .datagram(dns::datagram_protocol())
            .datagram(dns::multicast_protocol())
            .datagram(dns::llmnr_protocol())
    }
}
