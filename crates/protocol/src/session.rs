//! A conversation over two streams: identification, then parsers.

use std::fmt;
use std::sync::Arc;

use packet::Timestamp;

use crate::identify::{Identification, Outcome};
use crate::message::Message;
use crate::parser::{BodyPiece, MessageSink, Next, Pending, StreamParser, Switch};
use crate::registry::{Protocol, Registry};
use crate::side::{Ports, Side};

/// Changes of the protocol within a conversation. Each costs an identification.
const SWITCHES: u8 = 8;
/// Protocols inside each other's plaintext.
const DEPTH: u8 = 3;

/// The parsers of one conversation over two streams, such as a TCP connection.
///
/// It holds back the first bytes until a protocol of its [`Registry`] recognizes them, passes
/// everything to that protocol's parser, and changes to another one where the protocol says so. A
/// conversation that no protocol recognizes is unknown: nothing of it is kept.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use protocol::{Ports, Registry, Session, Side, Timestamp};
///
/// let registry = Arc::new(Registry::default());
/// let mut session = Session::new(registry, Ports::default());
/// let time = Timestamp::from_nanos(0);
/// let mut messages = Vec::new();
/// session.data(Side::Initiator, time, b"\x00\x00\x00\x00", &mut |message| messages.push(message));
/// assert!(session.is_unknown() && messages.is_empty());
/// ```
pub struct Session {
    registry: Arc<Registry>,
    ports: Ports,
    stage: Stage,
    switches: u8,
    depth: u8,
    /// The conversation in the plaintext that the parser makes.
    inner: Option<Box<Self>>,
}

enum Stage {
    Identifying(Box<Identification>),
    Parsing(Protocol, Box<dyn StreamParser>),
    Unknown,
}

impl Session {
    /// Creates the session of a conversation that was captured from its beginning.
    #[must_use]
    pub fn new(registry: Arc<Registry>, ports: Ports) -> Self {
        Self::with(registry, ports, false, 0)
    }

    /// Creates the session of a conversation whose beginning was not captured. It searches the
    /// first 4 MiB of each side for the beginning of a message.
    #[must_use]
    pub fn midway(registry: Arc<Registry>, ports: Ports) -> Self {
        Self::with(registry, ports, true, 0)
    }

    fn with(registry: Arc<Registry>, ports: Ports, midway: bool, depth: u8) -> Self {
        let stage = Stage::Identifying(Box::new(Identification::new(midway)));
        Self { registry, ports, stage, switches: 0, depth, inner: None }
    }

    /// Takes the next bytes of a side, from a packet captured at `time`.
    pub fn data(&mut self, side: Side, time: Timestamp, bytes: &[u8], sink: &mut dyn MessageSink) {
        if bytes.is_empty() {
            return;
        }
        if let Stage::Identifying(state) = &mut self.stage {
            match state.data(side, time, bytes, &self.registry, self.ports) {
                Outcome::Undecided => return,
                Outcome::Unknown => {
                    self.stage = Stage::Unknown;
                    return;
                }
                Outcome::Found(found) => {
                    let parsing = Stage::Parsing(found.protocol(), found.parser());
                    let before = std::mem::replace(&mut self.stage, parsing);
                    let Stage::Identifying(state) = before else { unreachable!("checked above") };
                    let pending = state.into_pending();
                    if !pending.is_empty() {
                        return self.replay(pending, sink);
                    }
                }
            }
        }
        self.parse(sink, |parser, sink| parser.data(side, time, bytes, sink));
    }

    /// Skips `len` bytes of a side that were not captured.
    pub fn gap(&mut self, side: Side, time: Timestamp, len: u64, sink: &mut dyn MessageSink) {
        match &mut self.stage {
            Stage::Identifying(state) => {
                if !state.gap(side, time, len) {
                    self.stage = Stage::Unknown;
                }
            }
            _ => self.parse(sink, |parser, sink| parser.gap(side, time, len, sink)),
        }
    }

    /// Takes notice that a side sends nothing more.
    pub fn finish(&mut self, side: Side, time: Timestamp, sink: &mut dyn MessageSink) {
        match &mut self.stage {
            Stage::Identifying(state) => state.finish(side, time),
            _ => self.parse(sink, |parser, sink| parser.finish(side, time, sink)),
        }
        self.inner(sink, |inner, sink| inner.finish(side, time, sink));
    }

    /// Takes notice that the conversation is over. Nothing may follow.
    pub fn end(&mut self, sink: &mut dyn MessageSink) {
        self.parse(sink, |parser, sink| parser.end(sink));
        self.inner(sink, |inner, sink| inner.end(sink));
        self.stage = Stage::Unknown;
        self.inner = None;
    }

    /// Takes notice that it is `now`. Call it about once a second.
    pub fn tick(&mut self, now: Timestamp, sink: &mut dyn MessageSink) {
        self.parse(sink, |parser, sink| parser.tick(now, sink));
        self.inner(sink, |inner, sink| inner.tick(now, sink));
    }

    /// The protocol, once it is known.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        match &self.stage {
            Stage::Parsing(protocol, _) => Some(*protocol),
            Stage::Identifying(_) | Stage::Unknown => None,
        }
    }

    /// The protocol inside the plaintext of this one, once it is known.
    #[must_use]
    pub fn inner_protocol(&self) -> Option<Protocol> {
        self.inner.as_ref()?.protocol()
    }

    /// Returns `true` if no protocol fits. The session ignores everything that follows.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self.stage, Stage::Unknown)
    }

    /// The bytes of memory that the session holds, itself included.
    #[must_use]
    pub fn memory(&self) -> usize {
        let stage = match &self.stage {
            Stage::Identifying(state) => size_of::<Identification>() + state.memory(),
            Stage::Parsing(_, parser) => parser.memory(),
            Stage::Unknown => 0,
        };
        size_of::<Self>() + stage + self.inner.as_ref().map_or(0, |inner| inner.memory())
    }

    /// Runs the parser, then what follows from it.
    fn parse(
        &mut self,
        sink: &mut dyn MessageSink,
        call: impl FnOnce(&mut dyn StreamParser, &mut dyn MessageSink),
    ) {
        let Stage::Parsing(protocol, parser) = &mut self.stage else { return };
        let mut nested = Nested {
            inner: &mut self.inner,
            registry: &self.registry,
            ports: self.ports,
            depth: self.depth,
            protocol: *protocol,
            sink,
        };
        call(&mut **parser, &mut nested);
        if let Some(switch) = parser.take_switch() {
            self.switch(switch, sink);
        }
    }

    fn switch(&mut self, switch: Switch, sink: &mut dyn MessageSink) {
        self.switches = self.switches.saturating_add(1);
        // The plaintext of the protocol that is over has no more bytes.
        self.inner(sink, |inner, sink| inner.end(sink));
        self.inner = None;
        let next = if self.switches > SWITCHES { Next::Opaque } else { switch.next };
        self.stage = match next {
            Next::Identify => Stage::Identifying(Box::default()),
            Next::Protocol(name) => {
                let found = self.registry.streams().iter().find(|own| own.protocol() == name);
                found.map_or(Stage::Unknown, |found| Stage::Parsing(name, found.parser()))
            }
            Next::Opaque => Stage::Unknown,
        };
        self.replay(switch.pending, sink);
    }

    fn replay(&mut self, pending: Vec<Pending>, sink: &mut dyn MessageSink) {
        for piece in pending {
            match piece {
                Pending::Data(side, time, bytes) => self.data(side, time, &bytes, sink),
                Pending::Gap(side, time, len) => self.gap(side, time, len, sink),
                Pending::Finish(side, time) => self.finish(side, time, sink),
            }
        }
    }

    fn inner(
        &mut self,
        sink: &mut dyn MessageSink,
        call: impl FnOnce(&mut Self, &mut dyn MessageSink),
    ) {
        let (Some(inner), Stage::Parsing(protocol, _)) = (&mut self.inner, &self.stage) else {
            return;
        };
        call(inner, &mut Within { protocol: *protocol, sink });
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("protocol", &self.protocol()).finish_non_exhaustive()
    }
}

/// The sink of a session's parser: plaintext is parsed, everything else passes.
struct Nested<'a> {
    inner: &'a mut Option<Box<Session>>,
    registry: &'a Arc<Registry>,
    ports: Ports,
    depth: u8,
    protocol: Protocol,
    sink: &'a mut dyn MessageSink,
}

impl MessageSink for Nested<'_> {
    fn message(&mut self, message: Message) {
        self.sink.message(message);
    }

    fn wants_bodies(&self) -> bool {
        self.sink.wants_bodies()
    }

    fn body(&mut self, piece: BodyPiece<'_>) {
        self.sink.body(piece);
    }

    fn plaintext(&mut self, side: Side, time: Timestamp, bytes: &[u8]) {
        if self.depth >= DEPTH {
            return self.sink.plaintext(side, time, bytes);
        }
        let inner = self.inner.get_or_insert_with(|| {
            let registry = Arc::clone(self.registry);
            Box::new(Session::with(registry, self.ports, false, self.depth + 1))
        });
        inner.data(side, time, bytes, &mut Within { protocol: self.protocol, sink: self.sink });
    }
}

/// Marks messages with the protocol that carried them.
struct Within<'a> {
    protocol: Protocol,
    sink: &'a mut dyn MessageSink,
}

impl MessageSink for Within<'_> {
    fn message(&mut self, mut message: Message) {
        message.within.get_or_insert(self.protocol);
        self.sink.message(message);
    }

    fn wants_bodies(&self) -> bool {
        self.sink.wants_bodies()
    }

    fn body(&mut self, piece: BodyPiece<'_>) {
        self.sink.body(piece);
    }

    fn plaintext(&mut self, side: Side, time: Timestamp, bytes: &[u8]) {
        self.sink.plaintext(side, time, bytes);
    }
}
