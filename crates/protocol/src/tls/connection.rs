//! The parser of a connection.

use packet::Timestamp;

use super::messages::{Handshakes, Kind};
use super::record::{ContentType, HEADER, Record};
use super::{Alert, ClientHello, Handshake, ServerHello, certificate, ssl2};
use crate::message::{Content, Lost, LostCause, Message};
use crate::parser::{MessageSink, Next, StreamParser, Switch};
use crate::registry::Protocol;
use crate::side::{Side, Span, Times};

/// Alerts that are kept.
const MAX_ALERTS: usize = 8;
/// Encrypted records of one side after which the other side is not waited for.
const PATIENCE: u32 = 64;
/// The longest message of SSL 2.0 that is assembled, in bytes.
const MAX_SSL_2: usize = 32 << 10;

/// The parser of a connection.
#[derive(Debug, Default)]
pub(super) struct Parser {
    halves: [Half; 2],
    handshake: Handshake,
    /// The side that sent the client's hello, or that did not send the server's.
    client: Option<Side>,
    times: Times,
    done: bool,
}

/// The stream of one side.
#[derive(Debug, Default)]
struct Half {
    /// The header of the next record, as far as it was received.
    header: [u8; HEADER],
    header_len: usize,
    record: ContentType,
    /// The rest of the record's body.
    remaining: usize,
    /// The time of the record's first byte.
    since: Timestamp,
    /// The offset in the stream.
    offset: u64,
    /// `true` if it is not known where the next record begins.
    lost: bool,
    handshakes: Handshakes,
    /// The message of SSL 2.0 that is being received.
    ssl2: Vec<u8>,
    alert: Option<u8>,
    /// `true` if this side has announced that it will encrypt. In TLS 1.3 this means nothing.
    changed_cipher: bool,
    /// Records that are certainly encrypted.
    encrypted: u32,
    /// The time of the first record that is encrypted.
    encrypted_since: Option<Timestamp>,
}

impl StreamParser for Parser {
    fn data(&mut self, side: Side, time: Timestamp, mut bytes: &[u8], sink: &mut dyn MessageSink) {
        while !bytes.is_empty() && !self.done {
            let half = &mut self.halves[side as usize];
            if half.remaining > 0 {
                let taken = half.remaining.min(bytes.len());
                let (fragment, rest) = bytes.split_at(taken);
                half.remaining -= taken;
                half.offset += taken as u64;
                bytes = rest;
                self.fragment(side, time, fragment);
                self.settle(sink);
            } else {
                if half.header_len == 0 {
                    half.since = time;
                }
                half.header[half.header_len] = bytes[0];
                half.header_len += 1;
                half.offset += 1;
                bytes = &bytes[1..];
                if half.header_len == HEADER {
                    self.header(side, time, sink);
                    self.settle(sink);
                }
            }
        }
    }

    fn gap(&mut self, side: Side, time: Timestamp, len: u64, sink: &mut dyn MessageSink) {
        if self.done {
            return;
        }
        let half = &mut self.halves[side as usize];
        let offset = half.offset - half.header_len as u64;
        half.offset += len;
        let within = half.remaining.min(usize::try_from(len).unwrap_or(usize::MAX));
        half.remaining -= within;
        let beyond = len > within as u64 || half.header_len > 0;
        match half.record {
            ContentType::HANDSHAKE if within > 0 => half.handshakes.gap(within),
            ContentType::SSL_2 if within > 0 => half.ssl2 = Vec::new(),
            _ => {}
        }
        half.alert = None;
        if beyond {
            half.handshakes.gap(usize::MAX);
        }
        // A gap within application data hides nothing that is looked for.
        let hidden = beyond || half.record != ContentType::APPLICATION_DATA;
        if hidden && !half.lost {
            report_lost(side, time, offset, LostCause::Gap, sink);
        }
        if beyond {
            half.lost = true;
            half.header_len = 0;
        }
    }

    fn finish(&mut self, _: Side, _: Timestamp, _: &mut dyn MessageSink) {}

    fn end(&mut self, sink: &mut dyn MessageSink) {
        if !self.done {
            self.read_incomplete();
            self.report(sink);
        }
    }

    fn take_switch(&mut self) -> Option<Switch> {
        self.done.then(|| Switch { next: Next::Opaque, pending: Vec::new() })
    }

    fn memory(&self) -> usize {
        let buffers = |half: &Half| half.handshakes.memory() + half.ssl2.capacity();
        size_of::<Self>() + self.halves.iter().map(buffers).sum::<usize>() + self.handshake.memory()
    }
}

impl Parser {
    /// Reads the header of a record.
    fn header(&mut self, side: Side, time: Timestamp, sink: &mut dyn MessageSink) {
        let half = &mut self.halves[side as usize];
        // Only the first message of a side may have the format of SSL 2.0.
        let first = half.offset == HEADER as u64;
        if let Some(record) = Record::parse(half.header) {
            half.header_len = 0;
            half.lost = false;
            half.record = record.kind;
            half.remaining = record.length;
            half.alert = None;
            self.record(side, record);
        } else if first && half.header[0] & 0x80 != 0 && matches!(half.header[2], 1 | 4) {
            let length = ssl2::length([half.header[0], half.header[1]]);
            half.header_len = 0;
            half.record = ContentType::SSL_2;
            half.ssl2 = half.header[ssl2::HEADER..].to_vec();
            half.remaining = length.saturating_sub(half.ssl2.len());
        } else {
            if !half.lost {
                half.lost = true;
                half.handshakes.gap(usize::MAX);
                let offset = half.offset - HEADER as u64;
                report_lost(side, time, offset, LostCause::Syntax, sink);
            }
            // The next record may begin at any byte.
            half.header.copy_within(1.., 0);
            half.header_len = HEADER - 1;
            half.since = time;
        }
    }

    /// Takes notice that a record begins.
    fn record(&mut self, side: Side, record: Record) {
        let is_1_3 = self.handshake.server.as_ref().is_some_and(|hello| hello.version().is_1_3());
        let half = &mut self.halves[side as usize];
        let encrypted = match record.kind {
            ContentType::APPLICATION_DATA => true,
            // TLS 1.3 sends a change for the sake of middleboxes, and a second hello after it.
            ContentType::HANDSHAKE | ContentType::ALERT => half.changed_cipher && !is_1_3,
            _ => false,
        };
        if record.kind == ContentType::HANDSHAKE {
            half.handshakes.record();
        }
        if encrypted {
            half.encrypted = half.encrypted.saturating_add(1);
            half.encrypted_since.get_or_insert(half.since);
        }
    }

    fn fragment(&mut self, side: Side, time: Timestamp, fragment: &[u8]) {
        let half = &mut self.halves[side as usize];
        if half.encrypted > 0 {
            return;
        }
        match half.record {
            ContentType::CHANGE_CIPHER_SPEC => half.changed_cipher = true,
            ContentType::ALERT => {
                for &byte in fragment {
                    if let Some(level) = half.alert.take() {
                        if self.handshake.alerts.len() < MAX_ALERTS {
                            let alert = Alert::new(side, level, byte);
                            self.handshake.alerts.push(alert);
                            // Nothing of the connection follows, whatever else the record holds.
                            if ends_connection(alert) {
                                break;
                            }
                        }
                    } else {
                        half.alert = Some(byte);
                    }
                }
            }
            ContentType::HANDSHAKE => {
                let since = half.since;
                let mut handshakes = std::mem::take(&mut half.handshakes);
                handshakes.data(fragment, |kind, body| self.message(side, since, time, kind, body));
                self.halves[side as usize].handshakes = handshakes;
            }
            ContentType::SSL_2 => {
                if half.ssl2.len() + fragment.len() <= MAX_SSL_2 {
                    half.ssl2.extend_from_slice(fragment);
                }
                if half.remaining == 0 {
                    let message = std::mem::take(&mut half.ssl2);
                    let since = half.since;
                    self.ssl2(side, since, time, &message);
                }
            }
            _ => {}
        }
    }

    /// Takes a handshake message.
    fn message(&mut self, side: Side, since: Timestamp, time: Timestamp, kind: Kind, body: &[u8]) {
        match kind {
            Kind::CLIENT_HELLO => {
                if let Some(hello) = ClientHello::parse(body) {
                    self.client_hello(side, since, time, hello);
                }
            }
            Kind::SERVER_HELLO => {
                if let Some(hello) = ServerHello::parse(body) {
                    self.server_hello(side, since, hello);
                }
            }
            Kind::CERTIFICATE => {
                let (chain, count) = certificate::chain(body);
                if self.client == Some(side) {
                    self.handshake.client_certificates = chain;
                } else {
                    self.handshake.certificates = chain;
                    self.handshake.certificate_count = count;
                }
            }
            Kind::CERTIFICATE_REQUEST => self.handshake.certificate_requested = true,
            _ => {}
        }
        // The client's later messages answer the server's; their times would hide its latency.
        if self.client == Some(side.other()) {
            self.extend(side, since, time);
        }
    }

    fn client_hello(&mut self, side: Side, since: Timestamp, time: Timestamp, hello: ClientHello) {
        if self.handshake.client.is_none() {
            self.client = Some(side);
            self.handshake.client = Some(hello);
            self.extend(side, since, time);
        }
    }

    fn server_hello(&mut self, side: Side, since: Timestamp, hello: ServerHello) {
        self.client.get_or_insert(side.other());
        self.extend(side, since, since);
        if hello.is_retry() {
            self.handshake.hello_retry = true;
        }
        // The hello after a request to retry is the one that counts.
        let replace = self.handshake.server.as_ref().is_none_or(ServerHello::is_retry);
        if replace {
            self.handshake.server = Some(hello);
        }
    }

    fn ssl2(&mut self, side: Side, since: Timestamp, time: Timestamp, message: &[u8]) {
        if let Some(hello) = ssl2::client_hello(message) {
            self.client_hello(side, since, time, hello);
        } else if let Some((hello, certificate)) = ssl2::server_hello(message) {
            self.handshake.certificate_count = certificate.is_some().into();
            self.handshake.certificates = certificate.into_iter().collect();
            self.server_hello(side, since, hello);
            // SSL 2.0 has no types of records: nothing more can be read.
            for half in &mut self.halves {
                half.encrypted = 1;
                half.encrypted_since = Some(time);
            }
        }
    }

    fn extend(&mut self, side: Side, since: Timestamp, time: Timestamp) {
        let span = match side {
            Side::Initiator => &mut self.times.initiator,
            Side::Responder => &mut self.times.responder,
        };
        span.get_or_insert(Span::at(since)).extend(time);
    }

    /// Reports the handshake if nothing more of it will be visible.
    fn settle(&mut self, sink: &mut dyn MessageSink) {
        let [a, b] = self.halves.each_ref().map(|half| half.encrypted);
        let ended = self.handshake.alerts.last().copied().is_some_and(ends_connection);
        if !self.done && ((a > 0 && b > 0) || a.max(b) >= PATIENCE || ended) {
            self.report(sink);
        }
    }

    /// Reads what is there of a hello that the capture cut off: its name is often at the front.
    fn read_incomplete(&mut self) {
        for side in [Side::Initiator, Side::Responder] {
            let half = &self.halves[side as usize];
            let Some((kind, body)) = half.handshakes.incomplete() else { continue };
            if matches!(kind, Kind::CLIENT_HELLO | Kind::SERVER_HELLO) {
                let (body, since) = (body.to_vec(), half.since);
                self.message(side, since, since, kind, &body);
            }
        }
    }

    fn report(&mut self, sink: &mut dyn MessageSink) {
        self.done = true;
        let mut handshake = std::mem::take(&mut self.handshake);
        handshake.established = self.halves.iter().all(|half| half.encrypted > 0);
        handshake.oversized = self.halves.iter().map(|half| half.handshakes.oversized()).sum();
        handshake.resumed = is_resumed(&handshake);
        let [a, b] = self.halves.each_ref().map(|half| half.encrypted_since);
        if let (Some(a), Some(b), Some(first)) = (a, b, self.times.first()) {
            handshake.duration = Some(a.max(b).saturating_duration_since(first));
        }
        let nothing = handshake.client.is_none()
            && handshake.server.is_none()
            && handshake.alerts.is_empty()
            && handshake.certificates.is_empty();
        if !nothing {
            let side = self.client.unwrap_or(Side::Initiator);
            let content = Content::Tls(Box::new(handshake));
            sink.message(Message::new(side, self.times, content));
        }
    }
}

impl Handshake {
    fn memory(&self) -> usize {
        let lists = self.client.as_ref().map_or(0, |hello| {
            2 * (hello.ciphers.capacity() + hello.extensions.capacity() + hello.groups.capacity())
        });
        let certificate = |one: &super::Certificate| {
            size_of_val(one)
                + one.subject.capacity()
                + one.issuer.capacity()
                + one.names.iter().map(String::capacity).sum::<usize>()
        };
        lists
            + self
                .certificates
                .iter()
                .chain(&self.client_certificates)
                .map(certificate)
                .sum::<usize>()
    }
}

/// Up to TLS 1.2 a server that resumes repeats the client's session identifier and sends no
/// certificate (RFC 5246, section 7.3; RFC 5077, section 3.4).
fn is_resumed(handshake: &Handshake) -> bool {
    let (Some(client), Some(server)) = (&handshake.client, &handshake.server) else { return false };
    if server.version().is_1_3() {
        return server.pre_shared_key;
    }
    !server.session_id.is_empty()
        && server.session_id == client.session_id
        && handshake.certificate_count == 0
}

fn report_lost(
    side: Side,
    time: Timestamp,
    offset: u64,
    cause: LostCause,
    sink: &mut dyn MessageSink,
) {
    let lost = Lost { protocol: Protocol::TLS, offset, cause };
    sink.message(Message::new(side, Times::of(side, Span::at(time)), Content::Lost(lost)));
}

/// Returns `true` for a fatal alert and for `close_notify` (RFC 8446, section 6).
const fn ends_connection(alert: Alert) -> bool {
    alert.fatal || alert.description == 0
}
