//! DNS messages in datagrams.

use packet::Timestamp;

use super::pairing::Pairing;
use super::{DnsMessage, Transport, report_lost};
use crate::message::LostCause;
use crate::parser::{DatagramParser, MessageSink};
use crate::side::{Side, Span};

/// The parser of one conversation.
#[derive(Debug)]
pub(super) struct Parser {
    pairing: Pairing,
    /// The bytes of each side so far.
    offsets: [u64; 2],
}

impl Parser {
    pub(super) const fn new(transport: Transport) -> Self {
        Self { pairing: Pairing::new(transport), offsets: [0; 2] }
    }
}

impl DatagramParser for Parser {
    fn datagram(
        &mut self,
        side: Side,
        time: Timestamp,
        bytes: &[u8],
        _wire_len: usize,
        sink: &mut dyn MessageSink,
    ) {
        self.pairing.tick(time, sink);
        let multicast = self.pairing.transport() == Transport::Multicast;
        let offset = &mut self.offsets[side as usize];
        if let Some(message) = DnsMessage::parse(bytes, multicast) {
            self.pairing.message(side, Span::at(time), message, sink);
        } else {
            report_lost(side, time, *offset, LostCause::Syntax, sink);
        }
        *offset += bytes.len() as u64;
    }

    fn end(&mut self, sink: &mut dyn MessageSink) {
        self.pairing.end(sink);
    }

    fn tick(&mut self, now: Timestamp, sink: &mut dyn MessageSink) {
        self.pairing.tick(now, sink);
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.pairing.memory()
    }
}
