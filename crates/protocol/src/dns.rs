//! DNS over UDP and TCP (RFC 1035, RFC 7766), multicast DNS (RFC 6762) and LLMNR (RFC 4795).
//!
//! Queries are paired with their responses by identification and question. The parser of a
//! conversation sees both only if they are in one conversation: a multicast query is answered from
//! another address, so queries and responses of multicast DNS and LLMNR are messages of their own.
//!
//! | limit | what happens |
//! |---|---|
//! | 128 queries, or 64 KiB of them, wait for their responses | the oldest is reported without one |
//! | a query waits for 30 seconds | it is reported without a response |
//! | 64 answers and 64 questions of a message are kept | the others are counted |
//! | 1,024 bytes of text for the data of a record | the text ends with `…` |
//! | 65,535 bytes of a message over TCP | the length that the protocol can express |
//!
//! Messages are read here and not by a crate, because the crates that were looked at
//! (`simple-dns`, `hickory-proto`) reject a message as a whole when one record in it is damaged,
//! cut off by the capture, or of a type whose data they check. A reader of captures must show the
//! question of such a message.

mod datagram;
mod fields;
mod message;
mod name;
mod pairing;
mod record;
mod stream;
#[cfg(test)]
mod tests;
mod types;

use std::fmt;

use packet::Timestamp;

use crate::message::{Content, Lost, LostCause, Message};
use crate::parser::{DatagramParser, MessageSink, StreamParser};
use crate::registry::{DatagramProtocol, Protocol, StreamProtocol};
use crate::side::{Side, Span, Times};

pub(crate) use fields::FIELDS;
pub use message::{DnsMessage, Edns, MAX_ANSWERS, Question, is_plausible};
pub use record::{MAX_DATA_TEXT, Record};
pub use types::{RecordClass, RecordType, rcode_name};

/// A query and its response, or one of them alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchange {
    /// The transport, which is also the variety of the protocol.
    pub transport: Transport,
    /// The query; `None` if it was not captured, or there was none.
    pub query: Option<DnsMessage>,
    /// The response; `None` if it was not captured, or there was none.
    pub response: Option<DnsMessage>,
    /// The number of times that the query was sent again before the response.
    pub retransmissions: u32,
}

impl Exchange {
    /// The first question of the query, or of the response if there is no query.
    #[must_use]
    pub fn question(&self) -> Option<&Question> {
        let messages = self.query.iter().chain(&self.response);
        messages.filter_map(DnsMessage::question).next()
    }

    /// The response, or the query if no response was captured.
    #[must_use]
    pub fn last(&self) -> Option<&DnsMessage> {
        self.response.as_ref().or(self.query.as_ref())
    }
}

/// The way in which DNS messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP, with a length before each message.
    Tcp,
    /// Multicast DNS.
    Multicast,
    /// Link-local multicast name resolution.
    Llmnr,
}

impl Transport {
    /// The transport as a word for programs: `udp`, `tcp`, `mdns`, `llmnr`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Multicast => "mdns",
            Self::Llmnr => "llmnr",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// DNS over TCP, for a registry.
#[must_use]
pub fn stream_protocol() -> StreamProtocol {
    StreamProtocol::new(Protocol::DNS, &[53], stream::probe, || stream_parser())
}

/// DNS over UDP, for a registry.
#[must_use]
pub fn datagram_protocol() -> DatagramProtocol {
    let parser = || datagram_parser(Transport::Udp);
    DatagramProtocol::new(Protocol::DNS, &[53], is_plausible, parser)
}

/// Multicast DNS, for a registry. Its messages have the protocol [`Protocol::DNS`].
#[must_use]
pub fn multicast_protocol() -> DatagramProtocol {
    let parser = || datagram_parser(Transport::Multicast);
    DatagramProtocol::new(Protocol::custom("mdns"), &[5353], is_plausible, parser)
}

/// LLMNR, for a registry. Its messages have the protocol [`Protocol::DNS`].
#[must_use]
pub fn llmnr_protocol() -> DatagramProtocol {
    let parser = || datagram_parser(Transport::Llmnr);
    DatagramProtocol::new(Protocol::custom("llmnr"), &[5355], is_plausible, parser)
}

/// Creates a parser of DNS over TCP.
#[must_use]
pub fn stream_parser() -> Box<dyn StreamParser> {
    Box::new(stream::Parser::default())
}

/// Creates a parser of DNS in datagrams.
#[must_use]
pub fn datagram_parser(transport: Transport) -> Box<dyn DatagramParser> {
    Box::new(datagram::Parser::new(transport))
}

fn report_lost(
    side: Side,
    time: Timestamp,
    offset: u64,
    cause: LostCause,
    sink: &mut dyn MessageSink,
) {
    let lost = Lost { protocol: Protocol::DNS, offset, cause };
    sink.message(Message::new(side, Times::of(side, Span::at(time)), Content::Lost(lost)));
}
