//! The parser.

use packet::Timestamp;

use super::Limits;
use super::frame::{self, Found, Frame, HEADER};
use super::lane::{Block, Lane, Payload, Stage, State};
use super::section::Section;
use super::streams::{Arrived, Report, Streams};
use crate::http1::Role;
use crate::message::{Content, Lost, LostCause, Message};
use crate::parser::{MessageSink, StreamParser};
use crate::registry::Protocol;
use crate::side::{Side, Span, Times};

/// The first bytes of a client (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes that a search keeps before it drops those that begin no frame. The frames that are
/// searched for are within as many.
const SEARCHED: usize = 4 * (frame::DEFAULT_LEN as usize + HEADER);
/// Bytes of SETTINGS that are read.
const SETTINGS: u32 = 1 << 10;
/// The setting for the longest payload (RFC 9113, section 6.5.2).
const MAX_FRAME_SIZE: u16 = 5;

/// A parser of HTTP/2 over the two streams of a conversation, from its beginning on.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    /// The side that sends requests, once it is known.
    client: Option<Side>,
    lanes: [Lane; 2],
    streams: Streams,
}

impl Parser {
    /// Creates a parser.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let lane = || Lane::new(limits.table_bytes);
        Self { limits, client: None, lanes: [lane(), lane()], streams: Streams::default() }
    }

    fn role(&self, side: Side) -> Role {
        if self.client == Some(side) { Role::Request } else { Role::Response }
    }

    fn parts<'a>(
        &mut self,
        side: Side,
        sink: &'a mut dyn MessageSink,
    ) -> (&mut Lane, &mut Streams, Report<'a>) {
        let client = self.client.unwrap_or(side);
        (&mut self.lanes[side as usize], &mut self.streams, Report { sink, client })
    }

    /// Takes the next part of `bytes`, which are not empty. Returns its length.
    fn step(
        &mut self,
        side: Side,
        time: Timestamp,
        bytes: &[u8],
        sink: &mut dyn MessageSink,
    ) -> usize {
        let lane = &mut self.lanes[side as usize];
        match &mut lane.state {
            State::Start => {
                let is_client = bytes[0] == PREFACE[0];
                lane.state = if is_client { State::Preface(0) } else { State::BETWEEN };
                self.client.get_or_insert(if is_client { side } else { side.other() });
                0
            }
            State::Preface(len) => {
                let expected = &PREFACE[*len..];
                let common = expected.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                *len += common;
                if *len == PREFACE.len() {
                    lane.state = State::BETWEEN;
                } else if common < bytes.len() {
                    self.lose(side, LostCause::Syntax, bytes.len() - common, sink);
                }
                common
            }
            State::Header(header, len, began) => {
                if *len == 0 {
                    *began = time;
                }
                let taken = bytes.len().min(HEADER - *len);
                header[*len..*len + taken].copy_from_slice(&bytes[..taken]);
                *len += taken;
                if *len == HEADER {
                    let (frame, began) = (Frame::parse(header), *began);
                    self.begin(side, frame, began, bytes.len() - taken, time, sink);
                }
                taken
            }
            State::Payload(payload) => {
                let taken = match payload.stage {
                    Stage::Pad => {
                        payload.left -= 1;
                        let Some(content) = payload.left.checked_sub(bytes[0].into()) else {
                            self.lose(side, LostCause::Syntax, bytes.len(), sink);
                            return 0;
                        };
                        payload.stage = Stage::content(content);
                        1
                    }
                    Stage::Content(left) => {
                        let taken = bytes.len().min(left as usize);
                        payload.left -= taken as u32;
                        payload.stage = Stage::content(left - taken as u32);
                        let stream = payload.frame.stream;
                        let role = self.role(side);
                        let (_, streams, mut report) = self.parts(side, sink);
                        streams.data((stream, role), time, &bytes[..taken], &mut report);
                        taken
                    }
                    Stage::Collect | Stage::Skip => {
                        let taken = bytes.len().min(payload.left as usize);
                        payload.left -= taken as u32;
                        if payload.stage == Stage::Collect {
                            lane.buffer.extend_from_slice(&bytes[..taken]);
                        }
                        taken
                    }
                };
                self.end_frame(side, time, sink);
                taken
            }
            State::Search => {
                lane.buffer.extend_from_slice(bytes);
                bytes.len()
            }
        }
    }

    /// Takes the header of a frame. `left` bytes behind it were received.
    fn begin(
        &mut self,
        side: Side,
        frame: Frame,
        began: Timestamp,
        left: usize,
        time: Timestamp,
        sink: &mut dyn MessageSink,
    ) {
        let lane = &mut self.lanes[side as usize];
        let offset = lane.position.saturating_sub((left + HEADER) as u64);
        let follows = match &lane.block {
            // Nothing may come between the frames of a block (RFC 9113, section 6.10).
            Some(block) => frame.kind == frame::CONTINUATION && frame.stream == block.stream,
            None => frame.kind != frame::CONTINUATION,
        };
        let padding = frame.kind == frame::DATA && frame.has(frame::PADDED);
        if !frame.is_valid() || frame.len > lane.max_len || !follows || padding && frame.len == 0 {
            return self.lose(side, LostCause::Syntax, left + HEADER, sink);
        }
        let stage = match frame.kind {
            frame::DATA if padding => Stage::Pad,
            frame::DATA => Stage::content(frame.len),
            frame::SETTINGS if frame.len <= SETTINGS => Stage::Collect,
            frame::RST_STREAM => Stage::Collect,
            frame::HEADERS | frame::PUSH_PROMISE | frame::CONTINUATION
                if frame.len as usize <= self.limits.head_bytes =>
            {
                Stage::Collect
            }
            _ => Stage::Skip,
        };
        if lane.block.is_none() {
            lane.block_offset = offset;
        }
        lane.buffer.clear();
        lane.state = State::Payload(Payload { frame, left: frame.len, stage, began, gap: false });
        self.end_frame(side, time, sink);
    }

    /// Takes the frame in progress, if all of it was received.
    fn end_frame(&mut self, side: Side, time: Timestamp, sink: &mut dyn MessageSink) {
        let role = self.role(side);
        let lane = &mut self.lanes[side as usize];
        let State::Payload(Payload { frame, left: 0, stage, began, gap }) = lane.state else {
            return;
        };
        lane.state = State::BETWEEN;
        let collected = stage == Stage::Collect;
        match frame.kind {
            frame::DATA if frame.has(frame::END_STREAM) => {
                let (_, streams, mut report) = self.parts(side, sink);
                streams.end_stream(frame.stream, role, &mut report);
            }
            frame::RST_STREAM if collected => {
                if let Some(code) = lane.buffer.first_chunk() {
                    let code = u32::from_be_bytes(*code);
                    let (_, streams, mut report) = self.parts(side, sink);
                    streams.reset(frame.stream, code, &mut report);
                }
            }
            frame::SETTINGS if collected => {
                let mut longest = lane.buffer.chunks_exact(6).filter_map(|setting| {
                    let (id, value) = setting.split_first_chunk()?;
                    let value = u32::from_be_bytes(*value.first_chunk()?);
                    (u16::from_be_bytes(*id) == MAX_FRAME_SIZE).then_some(value)
                });
                if let Some(longest) = longest.next_back() {
                    // It is for what the other side sends.
                    let other = &mut self.lanes[side.other() as usize];
                    other.max_len = longest.clamp(frame::DEFAULT_LEN, (1 << 24) - 1);
                }
            }
            frame::HEADERS | frame::PUSH_PROMISE | frame::CONTINUATION => {
                let span = Span { first: began, last: time };
                let cause = if gap { LostCause::Gap } else { LostCause::Limit };
                lane.fragment(&frame, span, (!collected).then_some(cause), self.limits.head_bytes);
                if frame.has(frame::END_HEADERS) {
                    self.end_block(side, sink);
                }
            }
            _ => {}
        }
    }

    /// Takes a header block that is complete.
    fn end_block(&mut self, side: Side, sink: &mut dyn MessageSink) {
        let (role, limits) = (self.role(side), self.limits);
        let (lane, streams, mut report) = self.parts(side, sink);
        let Some(Block { stream, promised, end_stream, bytes, mut span, mut lost }) =
            lane.block.take()
        else {
            return;
        };
        let mut section = Section::default();
        if lost.is_none() {
            let each = &mut |name: Option<&[u8]>, value: Option<&[u8]>| {
                section.field(name, value, &limits);
            };
            if lane.hpack.decode(&bytes, each).is_err() {
                lost = Some(LostCause::Syntax);
            }
        }
        span.last = span.last.max(span.first);
        let arrived = Arrived { stream, role, span, end_stream };
        match (lost, promised) {
            (None, None) => streams.section(&arrived, section, &limits, &mut report),
            (None, Some(promised)) if role == Role::Response => {
                streams.promise(promised, section, &limits, &mut report);
            }
            (None, Some(_)) => {}
            (Some(cause), promised) => {
                // The frames are still known, but not what the next blocks refer to.
                lane.hpack.lose();
                let offset = lane.block_offset;
                if promised.is_none() {
                    streams.lost_section(&arrived, &limits, &mut report);
                }
                lost_at(side, span, offset, cause, report.sink);
            }
        }
    }

    /// Reports that the place in a side's stream is lost, as many bytes before the last one that
    /// was received, and begins to search.
    fn lose(&mut self, side: Side, cause: LostCause, back: usize, sink: &mut dyn MessageSink) {
        let role = self.role(side);
        let (lane, streams, mut report) = self.parts(side, sink);
        let offset = lane.position.saturating_sub(back as u64);
        let span = lane.span();
        lane.block = None;
        lane.hpack.lose();
        lane.clear();
        lane.state = State::Search;
        streams.lose(role, &mut report);
        let times = span.map_or(Times::default(), |span| Times::of(side, span));
        let lost = Lost { protocol: Protocol::HTTP2, offset, cause };
        report.sink.message(Message::new(side, times, Content::Lost(lost)));
    }

    /// Searches what was collected for frames. Returns the bytes from the first one on.
    fn search(&mut self, side: Side) -> Option<Vec<u8>> {
        let lane = &mut self.lanes[side as usize];
        match frame::find(&lane.buffer[lane.searched..]) {
            Found::At(at) => {
                let rest = lane.buffer.split_off(lane.searched + at);
                lane.clear();
                lane.state = State::BETWEEN;
                Some(rest)
            }
            Found::NotBefore(next) => {
                lane.searched += next;
                if lane.buffer.len() > SEARCHED {
                    lane.buffer.drain(..lane.searched);
                    lane.searched = 0;
                }
                None
            }
        }
    }
}

fn lost_at(side: Side, span: Span, offset: u64, cause: LostCause, sink: &mut dyn MessageSink) {
    let lost = Lost { protocol: Protocol::HTTP2, offset, cause };
    sink.message(Message::new(side, Times::of(side, span), Content::Lost(lost)));
}

impl StreamParser for Parser {
    fn data(&mut self, side: Side, time: Timestamp, bytes: &[u8], sink: &mut dyn MessageSink) {
        self.lanes[side as usize].position += bytes.len() as u64;
        let mut own: Vec<u8>;
        let mut rest = bytes;
        while !rest.is_empty() {
            let lane = &mut self.lanes[side as usize];
            if matches!(lane.state, State::Search)
                && lane.buffer.is_empty()
                && let Found::At(at) = frame::find(rest)
            {
                // Without a copy: a sender can make the place be lost with every frame.
                lane.state = State::BETWEEN;
                rest = &rest[at..];
            }
            let used = self.step(side, time, rest, sink);
            rest = &rest[used..];
            if rest.is_empty()
                && matches!(self.lanes[side as usize].state, State::Search)
                && let Some(found) = self.search(side)
            {
                own = found;
                rest = &own;
            }
        }
    }

    fn gap(&mut self, side: Side, time: Timestamp, len: u64, sink: &mut dyn MessageSink) {
        if len == 0 {
            return;
        }
        let role = self.role(side);
        let lane = &mut self.lanes[side as usize];
        lane.position = lane.position.saturating_add(len);
        match &mut lane.state {
            State::Search => return lane.clear(),
            State::Payload(payload) if payload.stage != Stage::Pad => {
                let frame = payload.frame;
                let known = u32::try_from(len).unwrap_or(u32::MAX).min(payload.left);
                payload.left -= known;
                let mut missing = 0;
                if let Stage::Content(left) = payload.stage {
                    missing = known.min(left);
                    payload.stage = Stage::content(left - missing);
                } else {
                    payload.stage = Stage::Skip;
                    payload.gap = true;
                }
                let within = u64::from(known) == len;
                if missing > 0 {
                    let (_, streams, mut report) = self.parts(side, sink);
                    streams.gap((frame.stream, role), missing.into(), &mut report);
                }
                self.end_frame(side, time, sink);
                if within {
                    return;
                }
            }
            _ => {}
        }
        let back = usize::try_from(len).unwrap_or(usize::MAX);
        self.lose(side, LostCause::Gap, back, sink);
    }

    fn finish(&mut self, _side: Side, _time: Timestamp, _sink: &mut dyn MessageSink) {}

    fn end(&mut self, sink: &mut dyn MessageSink) {
        let (_, streams, mut report) = self.parts(Side::Initiator, sink);
        streams.end(&mut report);
    }

    fn memory(&self) -> usize {
        let lanes: usize = self.lanes.iter().map(Lane::memory).sum();
        size_of::<Self>() + lanes + self.streams.memory()
    }
}
