//! DNS messages over TCP: each after its length in two bytes (RFC 1035, section 4.2.2).

use std::mem;

use packet::Timestamp;

use super::message::judge;
use super::pairing::Pairing;
use super::{DnsMessage, Transport, report_lost};
use crate::identify::{Prefix, Verdict};
use crate::message::LostCause;
use crate::parser::{MessageSink, StreamParser};
use crate::side::{Side, Span};

/// The length of a header: no message is shorter.
const SHORTEST: usize = 12;

/// The parser of one conversation.
#[derive(Debug)]
pub(super) struct Parser {
    pairing: Pairing,
    halves: [Half; 2],
}

/// The stream of one side.
#[derive(Debug, Default)]
struct Half {
    /// The beginning of a message, with its length.
    buffer: Vec<u8>,
    /// The time of the buffer's first byte.
    since: Option<Timestamp>,
    /// The offset of the buffer in the stream.
    offset: u64,
    /// The rest of a message of which a part was not captured.
    skip: u64,
    /// `true` if it is not known where the next message begins.
    lost: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self { pairing: Pairing::new(Transport::Tcp), halves: Default::default() }
    }
}

impl StreamParser for Parser {
    fn data(&mut self, side: Side, time: Timestamp, bytes: &[u8], sink: &mut dyn MessageSink) {
        self.pairing.tick(time, sink);
        let half = &mut self.halves[side as usize];
        let skipped = usize::try_from(half.skip).unwrap_or(usize::MAX).min(bytes.len());
        half.skip -= skipped as u64;
        half.offset += skipped as u64;
        let bytes = &bytes[skipped..];

        let mut joined = mem::take(&mut half.buffer);
        let whole = joined.is_empty();
        if !whole {
            joined.extend_from_slice(bytes);
        }
        let input = if whole { bytes } else { &joined };
        let used = half.messages(side, time, input, &mut self.pairing, sink);
        half.offset += used as u64;
        half.buffer = if whole {
            bytes[used..].to_vec()
        } else {
            joined.drain(..used);
            joined
        };
        if used > 0 || half.since.is_none() {
            half.since = (!half.buffer.is_empty()).then_some(time);
        }
    }

    fn gap(&mut self, side: Side, time: Timestamp, len: u64, sink: &mut dyn MessageSink) {
        let half = &mut self.halves[side as usize];
        let buffered = half.buffer.len() as u64;
        // The length says where the next message begins, if it was captured.
        let missing = match half.buffer.first_chunk() {
            Some(&length) if !half.lost => {
                (2 + u64::from(u16::from_be_bytes(length))).saturating_sub(buffered)
            }
            _ => half.skip,
        };
        let lost_before = half.lost;
        half.offset += buffered + len;
        half.skip = missing.saturating_sub(len);
        half.lost |= len > missing;
        // A gap that ends with its message leaves the place known, but the message is missing.
        let report = !lost_before && (half.lost || buffered > 0);
        half.buffer = Vec::new();
        half.since = None;
        if report {
            let offset = half.offset - len;
            report_lost(side, time, offset, LostCause::Gap, sink);
        }
    }

    fn finish(&mut self, _side: Side, _time: Timestamp, _sink: &mut dyn MessageSink) {}

    fn end(&mut self, sink: &mut dyn MessageSink) {
        self.pairing.end(sink);
    }

    fn tick(&mut self, now: Timestamp, sink: &mut dyn MessageSink) {
        self.pairing.tick(now, sink);
    }

    fn memory(&self) -> usize {
        let buffers: usize = self.halves.iter().map(|half| half.buffer.capacity()).sum();
        size_of::<Self>() + buffers + self.pairing.memory()
    }
}

impl Half {
    /// Reads the messages at the beginning of `input`. Returns the number of bytes that are done.
    fn messages(
        &mut self,
        side: Side,
        time: Timestamp,
        input: &[u8],
        pairing: &mut Pairing,
        sink: &mut dyn MessageSink,
    ) -> usize {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let Some((&length, after)) = rest.split_first_chunk() else { return used };
            let length = usize::from(u16::from_be_bytes(length));
            if self.lost {
                match judge_frame(length, after) {
                    None => return used,
                    Some(false) => {
                        used += 1;
                        continue;
                    }
                    Some(true) => self.lost = false,
                }
            }
            if length >= SHORTEST && after.len() < length {
                return used;
            }
            let parsed = after.get(..length).and_then(|bytes| DnsMessage::parse(bytes, false));
            if let Some(message) = parsed {
                let first = if used == 0 { self.since.unwrap_or(time) } else { time };
                pairing.message(side, Span { first, last: time }, message, sink);
                used += 2 + length;
            } else {
                self.lost = true;
                report_lost(side, time, self.offset + used as u64, LostCause::Syntax, sink);
                used += 1;
            }
        }
    }
}

/// Judges the beginning of a conversation. Either side's first message decides.
pub(super) fn probe(prefix: &Prefix<'_>) -> Verdict {
    let judged = [prefix.initiator, prefix.responder].map(|bytes| {
        let (&length, after) = bytes.split_first_chunk()?;
        judge_frame(u16::from_be_bytes(length).into(), after)
    });
    match judged {
        [Some(false), _] | [_, Some(false)] => Verdict::No,
        [Some(true), _] | [_, Some(true)] => Verdict::Yes,
        [None, None] => Verdict::More,
    }
}

fn judge_frame(length: usize, after: &[u8]) -> Option<bool> {
    if length < SHORTEST { Some(false) } else { judge(after, length) }
}
