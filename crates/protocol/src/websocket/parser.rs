//! The parser.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};
use packet::Timestamp;

use super::WebSocketMessage;
use crate::message::{Content, Lost, LostCause, Message};
use crate::parser::{MessageSink, StreamParser};
use crate::registry::Protocol;
use crate::side::{Side, Span, Times};

/// Bytes of a message that are kept.
const KEPT: usize = 1 << 10;
/// Decompressed bytes of a message that may have any ratio.
const FREE: u64 = 1 << 20;
/// Decompressed bytes for each compressed one.
const RATIO: u64 = 200;
/// Bytes that are decompressed at a time.
const OUTPUT: usize = 4 << 10;
/// The end of each compressed message, which is not sent (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// The window and the tables of a decompressor.
const DECOMPRESSOR: usize = 44 << 10;
/// The longest header of a frame: two bytes, a length of eight, and a key of four.
const HEADER: usize = 14;

/// A parser of WebSocket.
#[derive(Debug, Default)]
pub struct Parser {
    lanes: [Lane; 2],
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    header: [u8; HEADER],
    header_len: usize,
    /// The time of the header's first byte.
    began: Timestamp,
    frame: Option<Frame>,
    /// The message whose fragments are coming.
    message: Option<Building>,
    /// The control frame that came between them.
    control: Option<Building>,
    inflate: Inflate,
    position: u64,
    lost: bool,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    last: bool,
    control: bool,
    left: u64,
    key: [u8; 4],
    /// Bytes of the payload so far, which the mask depends on.
    at: u64,
}

#[derive(Debug)]
struct Building {
    message: WebSocketMessage,
    beginning: Vec<u8>,
    span: Span,
    /// Its payload is whole so far.
    whole: bool,
}

/// The decompressor of a direction, which goes on from message to message.
#[derive(Default)]
enum Inflate {
    #[default]
    New,
    Running(Box<Decompress>),
    /// A part of what it needs is missing, or it met a limit.
    Failed,
}

impl Parser {
    /// Creates a parser.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl StreamParser for Parser {
    fn data(&mut self, side: Side, time: Timestamp, bytes: &[u8], sink: &mut dyn MessageSink) {
        let lane = &mut self.lanes[side as usize];
        lane.position += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() && !lane.lost {
            if let Some(frame) = &mut lane.frame {
                let len = rest.len().min(usize::try_from(frame.left).unwrap_or(usize::MAX));
                let (payload, after) = rest.split_at(len);
                rest = after;
                lane.payload(payload, time);
            } else {
                if lane.header_len == 0 {
                    lane.began = time;
                }
                lane.header[lane.header_len] = rest[0];
                lane.header_len += 1;
                rest = &rest[1..];
                if let Err(cause) = lane.begin() {
                    let offset = lane.position - rest.len() as u64 - lane.header_len as u64;
                    lane.lose(side, offset, cause, sink);
                }
            }
            lane.end_frame(side, time, sink);
        }
    }

    fn gap(&mut self, side: Side, time: Timestamp, len: u64, sink: &mut dyn MessageSink) {
        let lane = &mut self.lanes[side as usize];
        let offset = lane.position;
        lane.position = lane.position.saturating_add(len);
        if lane.lost || len == 0 {
            return;
        }
        let known = lane.frame.as_ref().map_or(0, |frame| frame.left.min(len));
        lane.skip(known);
        lane.end_frame(side, time, sink);
        if known < len {
            lane.lose(side, offset + known, LostCause::Gap, sink);
        }
    }

    fn finish(&mut self, _side: Side, _time: Timestamp, _sink: &mut dyn MessageSink) {}

    fn end(&mut self, sink: &mut dyn MessageSink) {
        for side in [Side::Initiator, Side::Responder] {
            self.lanes[side as usize].abandon(side, sink);
        }
    }

    fn memory(&self) -> usize {
        let lane = |lane: &Lane| {
            let kept = [&lane.message, &lane.control].into_iter().flatten();
            let kept: usize = kept.map(|it| it.beginning.capacity()).sum();
            kept + if matches!(lane.inflate, Inflate::Running(_)) { DECOMPRESSOR } else { 0 }
        };
        size_of::<Self>() + self.lanes.iter().map(lane).sum::<usize>()
    }
}

impl Lane {
    /// Takes a header, if it is complete.
    fn begin(&mut self) -> Result<(), LostCause> {
        let [first, second, rest @ ..] = self.header;
        if self.header_len < 2 {
            return Ok(());
        }
        let (opcode, last) = (first & 15, first & 0x80 != 0);
        let control = opcode & 8 != 0;
        let short = second & 0x7f;
        let masked = second & 0x80 != 0;
        let known = matches!(opcode, 0..=2 | 8..=10);
        let continues = opcode == 0;
        // Only the bit of permessage-deflate has a meaning, at the beginning of a message.
        let compressed = first & 0x40 != 0;
        let reserved = first & 0x30 != 0 || compressed && (control || continues);
        if !known
            || reserved
            || control && (!last || short > 125)
            || !control && continues != self.message.is_some()
        {
            return Err(LostCause::Syntax);
        }
        let len = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.header_len < 2 + len + if masked { 4 } else { 0 } {
            return Ok(());
        }
        let left = match len {
            0 => u64::from(short),
            _ => rest[..len].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        if left >> 63 != 0 {
            return Err(LostCause::Syntax);
        }
        let mut key = [0; 4];
        if masked {
            key.copy_from_slice(&rest[len..len + 4]);
        }
        self.header_len = 0;
        self.frame = Some(Frame { last, control, left, key, at: 0 });
        let slot = if control { &mut self.control } else { &mut self.message };
        let building = slot.get_or_insert_with(|| Building::new(opcode, compressed, self.began));
        building.message.frames += 1;
        building.message.bytes = building.message.bytes.saturating_add(left);
        Ok(())
    }

    fn payload(&mut self, payload: &[u8], time: Timestamp) {
        let Some(frame) = &mut self.frame else { return };
        let slot = if frame.control { &mut self.control } else { &mut self.message };
        let Some(building) = slot else { return };
        building.span.extend(time);
        let mut buffer = [0; OUTPUT];
        for part in payload.chunks(OUTPUT) {
            let plain = &mut buffer[..part.len()];
            for (index, (out, byte)) in plain.iter_mut().zip(part).enumerate() {
                *out = byte ^ frame.key[(frame.at as usize).wrapping_add(index) % 4];
            }
            frame.at += part.len() as u64;
            frame.left -= part.len() as u64;
            building.take(plain, &mut self.inflate);
        }
    }

    fn skip(&mut self, len: u64) {
        let Some(frame) = self.frame.as_mut().filter(|_| len > 0) else { return };
        frame.at += len;
        frame.left -= len;
        let slot = if frame.control { &mut self.control } else { &mut self.message };
        if let Some(building) = slot {
            building.message.missing = building.message.missing.saturating_add(len);
            building.whole = false;
            if building.message.compressed {
                self.inflate = Inflate::Failed;
            }
        }
    }

    /// Reports the message in progress, if all of it was received.
    fn end_frame(&mut self, side: Side, time: Timestamp, sink: &mut dyn MessageSink) {
        let Some(frame) = self.frame.take_if(|frame| frame.left == 0) else { return };
        if !frame.last {
            return;
        }
        let slot = if frame.control { &mut self.control } else { &mut self.message };
        let Some(mut building) = slot.take() else { return };
        building.span.extend(time);
        building.message.complete = true;
        if building.message.compressed {
            building.take(&TAIL, &mut self.inflate);
        }
        building.report(side, sink);
    }

    /// Reports what is not complete.
    fn abandon(&mut self, side: Side, sink: &mut dyn MessageSink) {
        for building in [self.message.take(), self.control.take()].into_iter().flatten() {
            building.report(side, sink);
        }
        self.frame = None;
    }

    fn lose(&mut self, side: Side, offset: u64, cause: LostCause, sink: &mut dyn MessageSink) {
        self.abandon(side, sink);
        self.lost = true;
        self.inflate = Inflate::Failed;
        let lost = Lost { protocol: Protocol::WEBSOCKET, offset, cause };
        sink.message(Message::new(side, Times::default(), Content::Lost(lost)));
    }
}

impl Building {
    fn new(opcode: u8, compressed: bool, time: Timestamp) -> Self {
        let message = WebSocketMessage {
            opcode,
            frames: 0,
            bytes: 0,
            missing: 0,
            compressed,
            len: Some(0),
            beginning: Box::default(),
            complete: false,
        };
        Self { message, beginning: Vec::new(), span: Span::at(time), whole: true }
    }

    /// Takes bytes of the payload.
    fn take(&mut self, plain: &[u8], inflate: &mut Inflate) {
        if !self.message.compressed {
            return self.keep(plain);
        }
        if matches!(inflate, Inflate::New) {
            *inflate = Inflate::Running(Box::new(Decompress::new(false)));
        }
        let mut used = 0;
        while let Inflate::Running(running) = inflate {
            let mut output = [0; OUTPUT];
            let before = (running.total_in(), running.total_out());
            let status = running.decompress(&plain[used..], &mut output, FlushDecompress::None);
            let taken = (running.total_in() - before.0) as usize;
            let made = (running.total_out() - before.1) as usize;
            used += taken;
            self.keep(&output[..made]);
            let len = self.message.len.unwrap_or_default();
            let bomb = len > FREE && len > self.message.bytes.saturating_mul(RATIO);
            if matches!(status, Ok(Status::StreamEnd)) {
                // A new stream follows (RFC 7692, section 7.2.3.4).
                running.reset(false);
            }
            if status.is_err() || bomb {
                *inflate = Inflate::Failed;
            } else if taken == 0 && made == 0 {
                return;
            }
        }
        self.message.len = None;
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Some(len) = &mut self.message.len {
            *len = len.saturating_add(bytes.len() as u64);
        }
        if self.whole {
            let room = KEPT - self.beginning.len();
            self.beginning.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    fn report(mut self, side: Side, sink: &mut dyn MessageSink) {
        self.message.beginning = self.beginning.into();
        if self.message.missing > 0 && self.message.compressed {
            self.message.len = None;
        } else if let Some(len) = &mut self.message.len {
            *len = len.saturating_add(self.message.missing);
        }
        let content = Content::WebSocket(Box::new(self.message));
        sink.message(Message::new(side, Times::of(side, self.span), content));
    }
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "New",
            Self::Running(_) => "Running",
            Self::Failed => "Failed",
        })
    }
}
