//! Connections for tests.

use std::sync::Arc;

use protocol::http1::Exchange;
use protocol::{
    BodyPiece, Content, Lost, Message, MessageSink, Ports, Registry, Session, Side, Timestamp,
};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const PRIORITY: u8 = 0x20;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A block of fields that are not added to the table.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(0, name, value)).collect()
}

/// A block of fields that are added to the table.
pub(crate) fn adding(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(0x40, name, value)).collect()
}

fn literal(mark: u8, name: &str, value: &str) -> Vec<u8> {
    let string = |text: &str| [&integer(text.len()), text.as_bytes()].concat();
    [vec![mark], string(name), string(value)].concat()
}

fn integer(number: usize) -> Vec<u8> {
    if number < 127 {
        return vec![number as u8];
    }
    let (mut rest, mut bytes) = (number - 127, vec![127]);
    while rest >= 128 {
        bytes.push(rest as u8 | 128);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let fields =
        [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "x.example")];
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&fields))
}

pub(crate) fn ok(stream: u32, body: &str) -> Vec<u8> {
    let head = frame(HEADERS, END_HEADERS, stream, &block(&[(":status", "200")]));
    [head, frame(DATA, END_STREAM, stream, body.as_bytes())].concat()
}

/// A session and what came out of it.
pub(crate) struct Lab {
    session: Session,
    now: u64,
    pub(crate) out: Collected,
    pub(crate) memory: usize,
}

/// The output of a session.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) messages: Vec<Message>,
    /// Side, number, bytes with `?` for missing ones, and the end.
    pub(crate) bodies: Vec<(Side, u64, Vec<u8>, Option<bool>)>,
}

impl MessageSink for Collected {
    fn message(&mut self, message: Message) {
        self.messages.push(message);
    }

    fn wants_bodies(&self) -> bool {
        true
    }

    fn body(&mut self, piece: BodyPiece<'_>) {
        let key = (piece.side(), piece.message());
        // A sender may use a number again, which RFC 9113 does not allow.
        let at = self.bodies.iter().rposition(|body| (body.0, body.1) == key && body.3.is_none());
        if let BodyPiece::Begin { .. } = piece {
            assert!(at.is_none(), "a body ends before another begins");
            return self.bodies.push((key.0, key.1, Vec::new(), None));
        }
        let body = &mut self.bodies[at.expect("a body has begun")];
        match piece {
            BodyPiece::Data { bytes, .. } => body.2.extend(bytes),
            BodyPiece::Gap { len, .. } => body.2.resize(body.2.len() + len as usize, b'?'),
            BodyPiece::End { complete, .. } => body.3 = Some(complete),
            _ => panic!("another piece"),
        }
    }
}

impl Lab {
    pub(crate) fn new() -> Self {
        let ports = Ports { initiator: 40_000, responder: 80 };
        let session = Session::new(Arc::new(Registry::default()), ports);
        Self { session, now: 0, out: Collected::default(), memory: 0 }
    }

    /// A connection whose preface and settings were sent.
    pub(crate) fn open() -> Self {
        let mut lab = Self::new();
        lab.ask(PREFACE).ask(frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]));
        lab.answer(frame(SETTINGS, 0, 0, &[])).answer(frame(SETTINGS, 1, 0, &[]));
        lab
    }

    pub(crate) fn ask(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.send(Side::Initiator, bytes.as_ref())
    }

    pub(crate) fn answer(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.send(Side::Responder, bytes.as_ref())
    }

    pub(crate) fn send(&mut self, side: Side, bytes: &[u8]) -> &mut Self {
        self.now += 1_000;
        self.session.data(side, Timestamp::from_nanos(self.now), bytes, &mut self.out);
        self.memory = self.memory.max(self.session.memory());
        self
    }

    pub(crate) fn gap(&mut self, side: Side, len: u64) -> &mut Self {
        self.session.gap(side, Timestamp::from_nanos(self.now), len, &mut self.out);
        self
    }

    pub(crate) fn end(&mut self) -> &mut Self {
        self.session.end(&mut self.out);
        self
    }

    pub(crate) fn exchanges(&self) -> Vec<&Exchange> {
        let of = |message: &'_ Message| matches!(message.content, Content::Http(_));
        let messages = self.out.messages.iter().filter(|message| of(message));
        messages
            .filter_map(|message| match &message.content {
                Content::Http(exchange) => Some(&**exchange),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn lost(&self) -> Vec<(Side, Lost)> {
        let messages = self.out.messages.iter();
        messages
            .filter_map(|message| match message.content {
                Content::Lost(lost) => Some((message.side, lost)),
                _ => None,
            })
            .collect()
    }

    /// Each exchange as `1 GET /path 200 12`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.exchanges().into_iter().map(line).collect()
    }
}

pub(crate) fn line(exchange: &Exchange) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let or = |word: Option<String>| word.unwrap_or_else(|| "-".into());
    let (request, response) = (exchange.request.as_ref(), exchange.response.as_ref());
    format!(
        "{} {} {} {} {}",
        or(exchange.http2.as_ref().map(|details| details.stream.to_string())),
        or(request.map(|request| text(request.method()))),
        or(request.map(|request| text(request.target()))),
        or(response.map(|response| response.status().to_string())),
        or(response.map(|response| response.body().len().to_string())),
    )
}
