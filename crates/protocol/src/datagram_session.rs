//! A conversation in datagrams: identification, then a parser.

use std::fmt;
use std::sync::Arc;

use packet::Timestamp;

use crate::parser::{DatagramParser, MessageSink};
use crate::registry::{DatagramProtocol, Protocol, Registry};
use crate::side::{Ports, Side};

/// Datagrams that are looked at before a conversation is unknown.
const TRIED: u8 = 8;

/// The parser of one conversation in datagrams, such as a flow of UDP.
///
/// The first datagram that a protocol of its [`Registry`] recognizes decides. After eight that none
/// recognizes, the conversation is unknown.
pub struct DatagramSession {
    registry: Arc<Registry>,
    ports: Ports,
    stage: Stage,
}

enum Stage {
    /// The number of datagrams that were not recognized.
    Identifying(u8),
    Parsing(Protocol, Box<dyn DatagramParser>),
    Unknown,
}

impl DatagramSession {
    /// Creates the session of a conversation.
    #[must_use]
    pub const fn new(registry: Arc<Registry>, ports: Ports) -> Self {
        Self { registry, ports, stage: Stage::Identifying(0) }
    }

    /// Takes a datagram of a side, captured at `time`. `wire_len` is its length on the wire, which
    /// is more than that of `bytes` if the capture cut it off.
    pub fn datagram(
        &mut self,
        side: Side,
        time: Timestamp,
        bytes: &[u8],
        wire_len: usize,
        sink: &mut dyn MessageSink,
    ) {
        if let Stage::Identifying(tried) = self.stage {
            let fits = self.registry.datagrams().iter().filter(|own| own.probe(bytes));
            let usual = |own: &&DatagramProtocol| self.ports.match_any(own.ports());
            // The first of those whose ports fit, or else the first.
            let found = fits.min_by_key(|own| !usual(own));
            self.stage = match found {
                Some(found) => Stage::Parsing(found.protocol(), found.parser()),
                None if tried + 1 < TRIED => Stage::Identifying(tried + 1),
                None => Stage::Unknown,
            };
        }
        if let Stage::Parsing(_, parser) = &mut self.stage {
            parser.datagram(side, time, bytes, wire_len, sink);
        }
    }

    /// Takes notice that the conversation is over. Nothing may follow.
    pub fn end(&mut self, sink: &mut dyn MessageSink) {
        if let Stage::Parsing(_, parser) = &mut self.stage {
            parser.end(sink);
        }
        self.stage = Stage::Unknown;
    }

    /// Takes notice that it is `now`. Call it about once a second.
    pub fn tick(&mut self, now: Timestamp, sink: &mut dyn MessageSink) {
        if let Stage::Parsing(_, parser) = &mut self.stage {
            parser.tick(now, sink);
        }
    }

    /// The protocol, once it is known.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        match &self.stage {
            Stage::Parsing(protocol, _) => Some(*protocol),
            Stage::Identifying(_) | Stage::Unknown => None,
        }
    }

    /// Returns `true` if no protocol fits. The session ignores everything that follows.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self.stage, Stage::Unknown)
    }

    /// The bytes of memory that the session holds, itself included.
    #[must_use]
    pub fn memory(&self) -> usize {
        let parser = match &self.stage {
            Stage::Parsing(_, parser) => parser.memory(),
            Stage::Identifying(_) | Stage::Unknown => 0,
        };
        size_of::<Self>() + parser
    }
}

impl fmt::Debug for DatagramSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramSession")
            .field("protocol", &self.protocol())
            .finish_non_exhaustive()
    }
}
