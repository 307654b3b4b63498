//! The parser of a connection.

use packet::Timestamp;

use super::Connection;
use super::crypto_stream::CryptoStream;
use super::keys::InitialKeys;
use super::packet::{Kind, Packet, crypto_frames};
use crate::message::{Content, Message};
use crate::parser::{DatagramParser, MessageSink};
use crate::reader::Reader;
use crate::side::{Side, Span, Times};
use crate::tls::{ClientHello, ServerHello};

/// Packets of a datagram that are looked at.
const MAX_PACKETS: usize = 16;

/// The parser of a connection.
#[derive(Debug, Default)]
pub(super) struct Parser {
    connection: Connection,
    /// The side that sent the first Initial packet that could be read, and the destination
    /// identifier from which the keys follow.
    client: Option<(Side, Vec<u8>)>,
    streams: [CryptoStream; 2],
    /// The highest packet number of each side.
    largest: [Option<u64>; 2],
    times: Times,
    done: bool,
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
        let mut rest = bytes;
        for _ in 0..MAX_PACKETS {
            // Padding of a datagram after its packets is zero.
            if rest.first().is_none_or(|first| first & 0x80 == 0) {
                break;
            }
            let Some((packet, after)) = Packet::parse(rest) else { break };
            rest = after;
            match packet.kind {
                Kind::Initial => self.initial(side, time, &packet, sink),
                Kind::Retry => self.connection.retry = true,
                Kind::VersionNegotiation => self.connection.version_negotiation = true,
                Kind::Other => {}
            }
        }
    }

    fn end(&mut self, sink: &mut dyn MessageSink) {
        if !self.done && self.client.is_some() {
            self.report(sink);
        }
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.streams.iter().map(CryptoStream::memory).sum::<usize>()
    }
}

impl Parser {
    fn initial(
        &mut self,
        side: Side,
        time: Timestamp,
        packet: &Packet<'_>,
        sink: &mut dyn MessageSink,
    ) {
        let frames = self.open(side, packet).or_else(|| self.begin(side, packet, sink));
        let Some(frames) = frames else {
            self.connection.undecrypted = self.connection.undecrypted.saturating_add(1);
            return;
        };
        if self.done {
            return;
        }
        let span = match side {
            Side::Initiator => &mut self.times.initiator,
            Side::Responder => &mut self.times.responder,
        };
        let is_client = self.client.as_ref().is_some_and(|(client, _)| *client == side);
        // Later packets of the client acknowledge the server's; they would hide its latency.
        if !(is_client && self.connection.client.is_some()) {
            span.get_or_insert(Span::at(time)).extend(time);
        }
        let stream = &mut self.streams[side as usize];
        // A frame that cannot be read takes nothing from those before it.
        let _ = crypto_frames(&frames, |offset, data| stream.insert(offset, data));
        let hello = message(stream.in_order());
        if is_client {
            self.connection.version = packet.version;
            if let Some((1, body)) = hello
                && self.connection.client.is_none()
            {
                self.connection.client = ClientHello::parse(body);
            }
        } else {
            self.connection.server_id.get_or_insert_with(|| packet.source_id.to_vec());
            if let Some((2, body)) = hello {
                self.connection.server = ServerHello::parse(body);
                self.report(sink);
            }
        }
    }

    /// Decrypts a packet of the connection that is known.
    fn open(&mut self, side: Side, packet: &Packet<'_>) -> Option<Vec<u8>> {
        let (client, id) = self.client.as_ref()?;
        let keys = InitialKeys::derive(packet.version, id);
        let keys = if *client == side { &keys.client } else { &keys.server };
        let largest = &mut self.largest[side as usize];
        let (number, frames) = packet.open(keys, *largest)?;
        *largest = Some(largest.map_or(number, |largest| largest.max(number)));
        Some(frames)
    }

    /// Decrypts the first packet of a connection: a new one, or one that begins again after a Retry
    /// (RFC 9001, section 5.2).
    fn begin(
        &mut self,
        side: Side,
        packet: &Packet<'_>,
        sink: &mut dyn MessageSink,
    ) -> Option<Vec<u8>> {
        let keys = InitialKeys::derive(packet.version, packet.destination_id);
        let (number, frames) = packet.open(&keys.client, None)?;
        let again = self.connection.retry || self.connection.version_negotiation;
        if self.client.is_some() && !(again && self.connection.server.is_none()) {
            self.end(sink);
            *self = Self::default();
        }
        self.streams = Default::default();
        self.largest = Default::default();
        self.largest[side as usize] = Some(number);
        if self.client.is_none() {
            self.connection.destination_id = packet.destination_id.to_vec();
        }
        self.connection.source_id = packet.source_id.to_vec();
        self.client = Some((side, packet.destination_id.to_vec()));
        Some(frames)
    }

    fn report(&mut self, sink: &mut dyn MessageSink) {
        self.done = true;
        let side = self.client.as_ref().map_or(Side::Initiator, |(side, _)| *side);
        let connection = Box::new(std::mem::take(&mut self.connection));
        sink.message(Message::new(side, self.times, Content::Quic(connection)));
        self.streams = Default::default();
    }
}

/// The type and the body of the first handshake message, if it is complete.
fn message(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut reader = Reader::new(bytes);
    Some((reader.u8()?, reader.vector24()?))
}
