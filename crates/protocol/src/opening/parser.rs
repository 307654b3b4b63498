//! The parser: buffers, limits and the change to TLS. The rules of a protocol are its [`Dialect`].

use packet::Timestamp;

use super::Opening;
use crate::message::{Content, Lost, LostCause, Message};
use crate::parser::{MessageSink, Next, Pending, StreamParser, Switch};
use crate::registry::Protocol;
use crate::side::{Side, Span, Times};

/// The most bytes of a side that wait.
const WAITING: usize = 16 << 10;
/// The most lines or packets of an opening.
const MAX_STEPS: u32 = 256;

/// The rules of a protocol.
pub(super) trait Dialect: Send {
    /// Takes the first line or packet of what a side sent. Returns its length, which is not zero,
    /// and what follows from it; `None` if it is not complete, or the other side must answer first.
    fn step(&mut self, side: Side, bytes: &[u8], opening: &mut Opening) -> Option<(usize, Step)>;
}

/// The consequence of a line or packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next line or packet.
    Continue,
    /// These bytes say nothing. They may be a part of a packet, so they do not count as one.
    Skip,
    /// Both sides go on with TLS.
    Tls,
    /// The opening is complete.
    Done,
}

pub(super) struct Parser {
    opening: Opening,
    dialect: Box<dyn Dialect>,
    /// By side: bytes that wait, and the time of the latest of them.
    waiting: [(Vec<u8>, Timestamp); 2],
    offsets: [u64; 2],
    times: Times,
    steps: u32,
    switch: Option<Switch>,
    done: bool,
}

impl Parser {
    pub(super) fn new(protocol: Protocol, dialect: Box<dyn Dialect>) -> Self {
        Self {
            opening: Opening::new(protocol),
            dialect,
            waiting: Default::default(),
            offsets: [0; 2],
            times: Times::default(),
            steps: 0,
            switch: None,
            done: false,
        }
    }

    /// Takes what both sides have. An answer of one may be what the other waits for.
    fn run(&mut self, sink: &mut dyn MessageSink) {
        let mut idle = 0;
        let mut side = Side::Responder;
        while idle < 2 {
            let (bytes, _) = &mut self.waiting[side as usize];
            match self.dialect.step(side, bytes, &mut self.opening) {
                Some((used, step)) => {
                    bytes.drain(..used.min(bytes.len()));
                    self.steps += u32::from(step != Step::Skip);
                    idle = 0;
                    match step {
                        Step::Skip => {}
                        Step::Continue if self.steps < MAX_STEPS => {}
                        Step::Continue | Step::Done => return self.close(Next::Opaque, sink),
                        Step::Tls => {
                            self.opening.starttls = true;
                            return self.close(Next::Protocol(Protocol::TLS), sink);
                        }
                    }
                }
                None => {
                    idle += 1;
                    side = side.other();
                }
            }
        }
        if self.waiting.iter().any(|(bytes, _)| bytes.len() >= WAITING) {
            self.close(Next::Opaque, sink);
        }
    }

    fn close(&mut self, next: Next, sink: &mut dyn MessageSink) {
        self.report(sink);
        let mut pending = Vec::new();
        for side in [Side::Initiator, Side::Responder] {
            let (bytes, time) = std::mem::take(&mut self.waiting[side as usize]);
            if next != Next::Opaque && !bytes.is_empty() {
                pending.push(Pending::Data(side, time, bytes));
            }
        }
        self.switch = Some(Switch { next, pending });
    }

    fn report(&mut self, sink: &mut dyn MessageSink) {
        if std::mem::replace(&mut self.done, true) || self.opening.is_empty() {
            return;
        }
        let content = Content::Opening(Box::new(self.opening.clone()));
        sink.message(Message::new(Side::Initiator, self.times, content));
    }
}

impl StreamParser for Parser {
    fn data(&mut self, side: Side, time: Timestamp, bytes: &[u8], sink: &mut dyn MessageSink) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.done {
            let (waiting, latest) = &mut self.waiting[side as usize];
            let (now, later) = rest.split_at(rest.len().min(WAITING - waiting.len()));
            waiting.extend_from_slice(now);
            *latest = time;
            self.offsets[side as usize] += now.len() as u64;
            let span = match side {
                Side::Initiator => &mut self.times.initiator,
                Side::Responder => &mut self.times.responder,
            };
            span.get_or_insert(Span::at(time)).extend(time);
            rest = later;
            self.run(sink);
        }
        // What came in the same piece behind the change belongs to the next protocol.
        if let Some(Switch { next, pending }) = &mut self.switch
            && *next != Next::Opaque
            && !rest.is_empty()
        {
            pending.push(Pending::Data(side, time, rest.to_vec()));
        }
    }

    fn gap(&mut self, side: Side, time: Timestamp, _: u64, sink: &mut dyn MessageSink) {
        if self.done {
            return;
        }
        let (protocol, cause) = (self.opening.protocol, LostCause::Gap);
        let lost = Lost { protocol, offset: self.offsets[side as usize], cause };
        self.close(Next::Opaque, sink);
        let times = Times::of(side, Span::at(time));
        sink.message(Message::new(side, times, Content::Lost(lost)));
    }

    fn finish(&mut self, _: Side, _: Timestamp, _: &mut dyn MessageSink) {}

    fn end(&mut self, sink: &mut dyn MessageSink) {
        self.report(sink);
    }

    fn take_switch(&mut self) -> Option<Switch> {
        self.switch.take()
    }

    fn memory(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(|(bytes, _)| bytes.capacity()).sum();
        size_of::<Self>() + waiting + 8 * super::MAX_VALUE
    }
}
