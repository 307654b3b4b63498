//! The steps of the parser through the messages of a side.

use packet::Timestamp;

use super::body::{Loss, Reader, Step};
use super::exchange::{Body, Framing};
use super::flags::Flags;
use super::head::{Defect, Head, Role};
use super::lane::{End, Held, State, empty_lines, head_end, role_of, section_end};
use super::lenient;
use super::pairing::Answer;
use super::parser::{Left, Parser};
use super::search::{Found, LINE, find};
use crate::message::{Content, Lost, LostCause, Message};
use crate::parser::{BodyPiece, MessageSink, Next, Pending, Switch};
use crate::registry::Protocol;
use crate::side::{Side, Span, Times};

/// Bytes that a search keeps before it drops those that cannot be part of a start line.
const SEARCHED: usize = 64 << 10;

impl Parser {
    /// Collects a head.
    pub(super) fn head(
        &mut self,
        side: Side,
        time: Timestamp,
        bytes: &[u8],
        sink: &mut dyn MessageSink,
    ) -> Left {
        let role = self.role(side);
        let limit = self.limits.head_bytes;
        let lane = &mut self.lanes[side as usize];
        if lane.buffer.is_empty() {
            let empty = empty_lines(bytes);
            if empty > 0 {
                return Left::Used(empty);
            }
            lane.span = None;
        }
        lane.saw(time);
        // Most heads are within one packet: no copy is made then.
        if lane.buffer.is_empty()
            && let (End::At(end), Some(role), _) = head_end(bytes, role, 0)
            && end <= limit
        {
            self.message(side, &bytes[..end], role, bytes.len() as u64, sink);
            return Left::Used(end);
        }
        lane.buffer.extend_from_slice(bytes);
        let (end, role, scanned) = head_end(&lane.buffer, role, lane.scanned);
        lane.scanned = scanned;
        let len = lane.buffer.len();
        match (end, role) {
            (End::At(end), Some(role)) if end <= limit => {
                let mut head = std::mem::take(&mut lane.buffer);
                let rest = head.split_off(end);
                lane.clear();
                self.message(side, &head, role, len as u64, sink);
                Left::Other(rest)
            }
            (End::Later, _) if len <= limit => Left::Used(bytes.len()),
            (End::Never, _) => {
                // The next message may begin anywhere behind the first byte.
                let buffer = std::mem::take(&mut lane.buffer);
                self.lose(side, LostCause::Syntax, len as u64, sink);
                Left::Other(buffer[1..].to_vec())
            }
            _ => {
                self.partial(side, sink);
                let buffer = std::mem::take(&mut self.lanes[side as usize].buffer);
                self.lose(side, LostCause::Limit, len as u64, sink);
                Left::Other(buffer.get(limit..).unwrap_or_default().to_vec())
            }
        }
    }

    /// Takes the next part of a body.
    pub(super) fn body(
        &mut self,
        side: Side,
        time: Timestamp,
        bytes: &[u8],
        sink: &mut dyn MessageSink,
    ) -> Left {
        let mut flags = Flags::default();
        let lane = &mut self.lanes[side as usize];
        let State::Body(reader) = &mut lane.state else { return Left::Used(bytes.len()) };
        let step = reader.step(bytes, &mut flags);
        let done = reader.is_done();
        lane.saw(time);
        let message = lane.messages.saturating_sub(1);
        let used = match step {
            Step::Data(used) | Step::Mark(used) | Step::Trailers(used) => used,
            Step::Lost(_) => 0,
        };
        if let Some((body, of_exchange)) = self.current(side) {
            *of_exchange |= flags;
            if matches!(step, Step::Data(_)) {
                body.captured = body.captured.saturating_add(used as u64);
            }
        }
        match step {
            Step::Data(_) => {
                if sink.wants_bodies() {
                    self.announce_body(side, sink);
                    sink.body(BodyPiece::Data { side, message, bytes: &bytes[..used] });
                }
                if done {
                    self.done(side, true, sink);
                }
            }
            Step::Mark(_) => {}
            Step::Trailers(_) => self.lanes[side as usize].state = State::Trailers,
            Step::Lost(loss) => self.lose(side, loss.into(), bytes.len() as u64, sink),
        }
        Left::Used(used)
    }

    /// Notes bytes of a body that were not captured.
    pub(super) fn skip_body(&mut self, side: Side, len: u64, sink: &mut dyn MessageSink) {
        if len == 0 {
            return;
        }
        let message = self.lanes[side as usize].messages.saturating_sub(1);
        if let Some((body, _)) = self.current(side) {
            body.missing = body.missing.saturating_add(len);
        }
        if sink.wants_bodies() {
            self.announce_body(side, sink);
            sink.body(BodyPiece::Gap { side, message, len });
        }
    }

    /// Collects a trailer section (RFC 9112, 7.1.2).
    pub(super) fn trailers(
        &mut self,
        side: Side,
        time: Timestamp,
        bytes: &[u8],
        sink: &mut dyn MessageSink,
    ) -> Left {
        let limits = self.limits;
        let lane = &mut self.lanes[side as usize];
        lane.saw(time);
        lane.buffer.extend_from_slice(bytes);
        let (end, scanned) = match lane.buffer[..] {
            [b'\n', ..] => (End::At(1), 0),
            [b'\r', b'\n', ..] => (End::At(2), 0),
            _ => section_end(&lane.buffer, lane.scanned),
        };
        lane.scanned = scanned;
        let len = lane.buffer.len();
        match end {
            End::At(end) if end <= limits.head_bytes => {
                let mut section = std::mem::take(&mut lane.buffer);
                let rest = section.split_off(end);
                lane.clear();
                match lenient::trailers(&section, &limits) {
                    Ok((trailers, flags)) => {
                        if let Some((body, of_exchange)) = self.current(side) {
                            body.trailers = trailers;
                            *of_exchange |= flags;
                        }
                        self.done(side, true, sink);
                    }
                    Err(defect) => self.lose(side, defect.into(), len as u64, sink),
                }
                Left::Other(rest)
            }
            End::Later if len <= limits.head_bytes => Left::Used(bytes.len()),
            _ => {
                let buffer = std::mem::take(&mut lane.buffer);
                self.lose(side, LostCause::Limit, len as u64, sink);
                Left::Other(buffer.get(limits.head_bytes..).unwrap_or_default().to_vec())
            }
        }
    }

    /// Searches for the next message.
    pub(super) fn search(&mut self, side: Side, bytes: &[u8]) -> Left {
        let role = self.role(side);
        let lane = &mut self.lanes[side as usize];
        lane.buffer.extend_from_slice(bytes);
        match find(&lane.buffer, lane.scanned, role) {
            Found::At(at, _) => {
                let rest = lane.buffer.split_off(at);
                lane.clear();
                lane.state = State::Head;
                Left::Other(rest)
            }
            Found::NotBefore(next) => {
                lane.scanned = next;
                if lane.buffer.len() > SEARCHED {
                    let dropped = next.saturating_sub(LINE);
                    lane.buffer.drain(..dropped);
                    lane.scanned -= dropped;
                }
                Left::Used(bytes.len())
            }
        }
    }

    /// Takes notice that a message is over.
    pub(super) fn done(&mut self, side: Side, complete: bool, sink: &mut dyn MessageSink) {
        let captured = self.current(side).is_some_and(|(body, _)| body.missing == 0);
        self.end_body(side, complete && captured, sink);
        let lane = &mut self.lanes[side as usize];
        lane.clear();
        let span = lane.span.take();
        let mut report = self.report(side, sink);
        let state = if self.role(side) == Some(Role::Request) {
            self.pairing.request_done(complete, span, &mut report);
            match complete && self.pairing.may_switch() {
                true => State::Held(Held::default()),
                false => State::Head,
            }
        } else {
            self.pairing.response_done(complete, span, &mut report);
            State::Head
        };
        self.lanes[side as usize].state = state;
    }

    /// Reports the beginning of a side's body before its first bytes.
    fn announce_body(&mut self, side: Side, sink: &mut dyn MessageSink) {
        let Some(role) = self.role(side) else { return };
        let lane = &mut self.lanes[side as usize];
        if !std::mem::replace(&mut lane.announced, true)
            && let Some(head) = self.pairing.current(role).and_then(|it| it.body_head(role))
        {
            let message = lane.messages.saturating_sub(1);
            sink.body(BodyPiece::Begin { side, message, head: &head });
        }
    }

    /// Reports the end of a side's body, if one was announced.
    fn end_body(&mut self, side: Side, complete: bool, sink: &mut dyn MessageSink) {
        let lane = &mut self.lanes[side as usize];
        if std::mem::take(&mut lane.announced) {
            let message = lane.messages.saturating_sub(1);
            sink.body(BodyPiece::End { side, message, complete });
        }
    }

    /// Reports that the place in a side's stream is lost, as many bytes before the last one that
    /// was received, and begins to search.
    pub(super) fn lose(
        &mut self,
        side: Side,
        cause: LostCause,
        back: u64,
        sink: &mut dyn MessageSink,
    ) {
        if matches!(self.lanes[side as usize].state, State::Body(_) | State::Trailers) {
            self.done(side, false, sink);
        }
        let mut report = self.report(side, sink);
        match self.role(side) {
            Some(Role::Request) => self.pairing.lose_requests(&mut report),
            Some(Role::Response) => self.pairing.lose_responses(&mut report),
            None => {}
        }
        let lane = &mut self.lanes[side as usize];
        lane.clear();
        lane.state = State::Search;
        let offset = lane.position.saturating_sub(back);
        let times = lane.span.take().map_or(Times::default(), |span| Times::of(side, span));
        let lost = Lost { protocol: Protocol::HTTP, offset, cause };
        sink.message(Message::new(side, times, Content::Lost(lost)));
    }

    /// Reports the beginning of a head whose end is not known, if its start line is there.
    pub(super) fn partial(&mut self, side: Side, sink: &mut dyn MessageSink) {
        let role = self.role(side);
        let lane = &mut self.lanes[side as usize];
        let buffer = std::mem::take(&mut lane.buffer);
        lane.clear();
        let role = role.or_else(|| role_of(&buffer));
        let (Some(role), Some(first)) = (role, memchr::memchr(b'\n', &buffer)) else { return };
        let last = memchr::memrchr(b'\n', &buffer).unwrap_or(first);
        let whole = |end: usize| [&buffer[..=end], b"\r\n"].concat();
        let parsed = Head::parse(&whole(last), role, &self.limits)
            .or_else(|_| Head::parse(&whole(first), role, &self.limits));
        if let Ok((head, flags)) = parsed {
            let _ = self.start(side, head, flags | Flags::INCOMPLETE_HEAD, role, sink);
            self.done(side, false, sink);
        }
    }

    /// Takes a complete head, `received` bytes from its first byte to the last that was received.
    fn message(
        &mut self,
        side: Side,
        head: &[u8],
        role: Role,
        received: u64,
        sink: &mut dyn MessageSink,
    ) {
        match Head::parse(head, role, &self.limits) {
            Ok((parsed, flags)) => {
                if let Err(cause) = self.start(side, parsed, flags, role, sink) {
                    self.lose(side, cause, received - head.len() as u64, sink);
                }
            }
            Err(defect) => self.lose(side, defect.into(), received, sink),
        }
    }

    /// Takes a parsed head, and prepares for what follows it.
    fn start(
        &mut self,
        side: Side,
        head: Head,
        flags: Flags,
        role: Role,
        sink: &mut dyn MessageSink,
    ) -> Result<(), LostCause> {
        self.set_role(side, role);
        let mut report = self.report(side, sink);
        let lane = &mut self.lanes[side as usize];
        let number = lane.messages;
        lane.messages += 1;
        let span = lane.span.unwrap_or(Span::at(Timestamp::default()));
        let framing = match role {
            Role::Request => self.pairing.request(head, flags, number, span, &self.limits),
            Role::Response => match self.pairing.response(head, flags, number, span, &mut report) {
                Answer::Interim => {
                    lane.span = None;
                    return Ok(());
                }
                Answer::Body(framing) => framing,
                Answer::Switch(next) => {
                    self.pairing.end(&mut report);
                    self.end_body(side.other(), false, sink);
                    self.hand_over(side, next);
                    return Ok(());
                }
            },
        };
        if flags.contains(Flags::INCOMPLETE_HEAD) {
            return Ok(());
        }
        match Reader::new(framing) {
            Some(reader) => self.lanes[side as usize].state = State::Body(reader),
            None if framing == Framing::Unknown => return Err(LostCause::Ambiguous),
            None => self.done(side, true, sink),
        }
        Ok(())
    }

    /// Hands the conversation over to another protocol.
    fn hand_over(&mut self, server: Side, next: Next) {
        let client = server.other();
        let lane = &mut self.lanes[client as usize];
        let time = lane.span.map_or(Timestamp::default(), |span| span.first);
        let mut pending = match std::mem::replace(&mut lane.state, State::Head) {
            State::Held(held) => held.pieces,
            _ => Vec::new(),
        };
        if !lane.buffer.is_empty() {
            pending.push(Pending::Data(client, time, std::mem::take(&mut lane.buffer)));
        }
        if lane.finished && !pending.iter().any(|piece| matches!(piece, Pending::Finish(..))) {
            pending.push(Pending::Finish(client, time));
        }
        self.switch = Some(Switch { next, pending });
        self.over = true;
    }

    /// The body in progress of a side, and the flags of its exchange.
    fn current(&mut self, side: Side) -> Option<(&mut Body, &mut Flags)> {
        match self.role(side)? {
            Role::Request => self.pairing.request_body(),
            Role::Response => self.pairing.response_body(),
        }
    }

    fn set_role(&mut self, side: Side, role: Role) {
        self.client.get_or_insert(if role == Role::Request { side } else { side.other() });
    }
}

impl From<Loss> for LostCause {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::Syntax => Self::Syntax,
            Loss::Limit => Self::Limit,
        }
    }
}

impl From<Defect> for LostCause {
    fn from(defect: Defect) -> Self {
        match defect {
            Defect::Syntax => Self::Syntax,
            Defect::TooManyHeaders => Self::Limit,
        }
    }
}
