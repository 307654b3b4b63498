//! Conversations for tests.

use std::sync::Arc;

use protocol::http1::{Exchange, Limits};
use protocol::{
    BodyPiece, Content, Lost, Message, MessageSink, Ports, Registry, Session, Side, Timestamp,
    http1,
};

/// A session and what came out of it.
pub(crate) struct Lab {
    session: Session,
    now: u64,
    pub(crate) out: Collected,
    /// The most that the session has held, in bytes.
    pub(crate) memory: usize,
}

/// The output of a session.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) messages: Vec<Message>,
    /// Bodies as they were streamed: side, number, bytes with `?` for missing ones, end.
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
        // A sender of HTTP/2 may use a number again, which RFC 9113 does not allow.
        let at = self.bodies.iter().rposition(|body| (body.0, body.1) == key && body.3.is_none());
        if let BodyPiece::Begin { .. } = piece {
            assert!(at.is_none(), "a body ends before another begins");
            return self.bodies.push((key.0, key.1, Vec::new(), None));
        }
        let body = &mut self.bodies[at.expect("a body has begun and not ended")];
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
        Self::with(Limits::default(), false)
    }

    pub(crate) fn midway() -> Self {
        Self::with(Limits::default(), true)
    }

    pub(crate) fn with(limits: Limits, midway: bool) -> Self {
        Self::of(Registry::empty().stream(http1::protocol(limits)), midway)
    }

    /// A session that may be of any protocol.
    pub(crate) fn any() -> Self {
        Self::of(Registry::default(), false)
    }

    fn of(registry: Registry, midway: bool) -> Self {
        let new = if midway { Session::midway } else { Session::new };
        let session = new(Arc::new(registry), Ports { initiator: 40_000, responder: 80 });
        Self { session, now: 0, out: Collected::default(), memory: 0 }
    }

    fn tick(&mut self) -> Timestamp {
        self.now += 1_000;
        Timestamp::from_nanos(self.now)
    }

    /// Sets the time of the next packet.
    pub(crate) fn at(&mut self, nanos: u64) -> &mut Self {
        self.now = nanos - 1_000;
        self
    }

    /// The initiator sends bytes.
    pub(crate) fn ask(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.send(Side::Initiator, bytes.as_ref())
    }

    /// The responder sends bytes.
    pub(crate) fn answer(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.send(Side::Responder, bytes.as_ref())
    }

    pub(crate) fn send(&mut self, side: Side, bytes: &[u8]) -> &mut Self {
        let time = self.tick();
        self.session.data(side, time, bytes, &mut self.out);
        self.memory = self.memory.max(self.session.memory());
        self
    }

    pub(crate) fn gap(&mut self, side: Side, len: u64) -> &mut Self {
        let time = self.tick();
        self.session.gap(side, time, len, &mut self.out);
        self
    }

    pub(crate) fn finish(&mut self, side: Side) -> &mut Self {
        let time = self.tick();
        self.session.finish(side, time, &mut self.out);
        self
    }

    pub(crate) fn end(&mut self) -> &mut Self {
        self.session.end(&mut self.out);
        self
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn exchanges(&self) -> Vec<&Exchange> {
        let messages = self.out.messages.iter();
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

    /// Each exchange as `GET /path 200 12`: method, target, status and the length of the response's
    /// body, `-` for what is missing. The number of a stream of HTTP/2 is in front of them.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.exchanges().into_iter().map(line).collect()
    }

    /// The body of the only message of a side that has one.
    pub(crate) fn body(&self, side: Side) -> &str {
        let mut bodies = self.out.bodies.iter().filter(|body| body.0 == side);
        let body = bodies.next().expect("a body");
        assert!(bodies.next().is_none(), "one body");
        str::from_utf8(&body.2).expect("text")
    }
}

pub(crate) fn line(exchange: &Exchange) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let request = exchange.request.as_ref();
    let response = exchange.response.as_ref();
    let or = |word: Option<String>| word.unwrap_or_else(|| "-".into());
    let stream = exchange.http2.as_ref().map(|details| format!("{} ", details.stream));
    format!(
        "{}{} {} {} {}",
        stream.unwrap_or_default(),
        or(request.map(|request| text(request.method()))),
        or(request.map(|request| text(request.target()))),
        or(response.map(|response| response.status().to_string())),
        or(response.map(|response| response.body().len().to_string())),
    )
}
