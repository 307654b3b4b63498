//! Conversations for a program to read: one JSON object a line for each thing that happens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conversation::{Chunk, ChunkData};
use flow::{FlowSide, Timestamp};
use serde::Serialize;

use super::view::{Rest, Talk, View};
use crate::names;
use crate::output::Output;

/// Writes a conversation, each object with its number.
#[derive(Debug)]
pub(super) struct Json {
    talk: Talk,
    output: Output,
    /// The latest time that anything brought.
    now: Timestamp,
    late_bytes: u64,
    unplaced_bytes: u64,
    conflicts: u64,
}

/// The events. Times are strings of seconds since 1970 with nine decimals, since a JSON number
/// loses nanoseconds in most programs; offsets and lengths are bytes.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    Start {
        conversation: u64,
        time: String,
        initiator: String,
        responder: String,
        /// The VLANs and tunnels around the conversation, from the outside in.
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
        /// The beginning was not captured.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        midway: bool,
    },
    Data {
        conversation: u64,
        time: String,
        /// The packet that brought the first byte, counted from 1.
        packet: u64,
        from: &'static str,
        offset: u64,
        len: usize,
        /// Base64.
        data: String,
    },
    Late {
        conversation: u64,
        time: String,
        packet: u64,
        from: &'static str,
        /// Negative before the first byte of a stream that was picked up midway.
        offset: i64,
        len: usize,
        data: String,
    },
    Gap {
        conversation: u64,
        /// Of the packet before the gap.
        time: String,
        from: &'static str,
        offset: u64,
        len: u64,
        cause: &'static str,
        /// The length is an estimate: another multiple of 4 GiB is possible.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        estimated: bool,
        /// Those of the bytes that were captured; the output was too slow for them.
        #[serde(skip_serializing_if = "super::digest::is_none")]
        dropped: u64,
    },
    /// Captured bytes that have no place in the stream.
    Unplaced {
        conversation: u64,
        time: String,
        packet: u64,
        from: &'static str,
        /// TCP sequence number of the first byte.
        sequence: u32,
        len: usize,
        cause: &'static str,
        data: String,
    },
    /// Two versions of the same bytes. The kept one is part of the stream.
    Conflict {
        conversation: u64,
        /// Of the packet that came second.
        time: String,
        from: &'static str,
        offset: u64,
        len: usize,
        kept_packet: u64,
        kept: String,
        discarded_packet: u64,
        discarded: String,
    },
    Finished {
        conversation: u64,
        from: &'static str,
        len: u64,
    },
    End {
        conversation: u64,
        time: String,
        reason: &'static str,
        initiator_bytes: u64,
        responder_bytes: u64,
        missing_bytes: u64,
        late_bytes: u64,
        unplaced_bytes: u64,
        conflicts: u64,
        history: &'a str,
        /// The VLANs and tunnels of each direction, if they differ; `""` for none.
        #[serde(skip_serializing_if = "Option::is_none")]
        initiator_scope: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        responder_scope: Option<String>,
    },
}

/// Prints that a conversation begins.
pub(super) fn begin(talk: &Talk, midway: bool, output: &Output) {
    let event = Event::Start {
        conversation: talk.number,
        time: talk.started.to_string(),
        initiator: talk.initiator.to_string(),
        responder: talk.responder.to_string(),
        scope: names::scope(talk.scope),
        midway,
    };
    write(output, &event);
}

fn write(output: &Output, event: &Event<'_>) {
    output.write(|w| {
        serde_json::to_writer(&mut *w, event)?;
        w.write_all(b"\n")
    });
}

impl Json {
    pub(super) fn new(talk: Talk, output: Output, Rest { now, .. }: Rest) -> Self {
        Self { talk, output, now, late_bytes: 0, unplaced_bytes: 0, conflicts: 0 }
    }

    fn write(&self, event: &Event<'_>) {
        write(&self.output, event);
    }

    fn count(&mut self, chunk: &Chunk) {
        match chunk {
            Chunk::Initiator(data) | Chunk::Responder(data) => {
                self.now = self.now.max(data.timestamp());
            }
            Chunk::Late { data, .. } => self.late_bytes += data.len() as u64,
            Chunk::Unplaced { data, .. } => self.unplaced_bytes += data.len() as u64,
            Chunk::Conflict { .. } => self.conflicts += 1,
            _ => {}
        }
    }

    fn data(&self, side: FlowSide, data: &ChunkData) {
        self.write(&Event::Data {
            conversation: self.talk.number,
            time: data.timestamp().to_string(),
            packet: data.packet_number(),
            from: name(side),
            offset: data.offset(),
            len: data.len(),
            data: STANDARD.encode(data),
        });
    }
}

impl View for Json {
    fn rest(&self) -> Option<(Talk, Rest)> {
        let rests = self.late_bytes == 0 && self.unplaced_bytes == 0 && self.conflicts == 0;
        rests.then_some((self.talk, Rest { now: self.now, day: 0 }))
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn chunk(&mut self, chunk: &Chunk) {
        let conversation = self.talk.number;
        self.count(chunk);
        match chunk {
            Chunk::Initiator(data) => self.data(FlowSide::Initiator, data),
            Chunk::Responder(data) => self.data(FlowSide::Responder, data),
            Chunk::Late { side, data, .. } => self.write(&Event::Late {
                conversation,
                time: data.timestamp().to_string(),
                packet: data.packet_number(),
                from: name(*side),
                offset: data.offset().cast_signed(),
                len: data.len(),
                data: STANDARD.encode(data),
            }),
            Chunk::Gap { side, offset, len, cause, estimated, dropped, .. } => {
                self.write(&Event::Gap {
                    conversation,
                    time: self.now.to_string(),
                    from: name(*side),
                    offset: *offset,
                    len: *len,
                    cause: names::gap(*cause),
                    estimated: *estimated,
                    dropped: *dropped,
                });
            }
            Chunk::Unplaced { side, data, sequence, cause, timestamp, packet_number, .. } => {
                self.write(&Event::Unplaced {
                    conversation,
                    time: timestamp.to_string(),
                    packet: *packet_number,
                    from: name(*side),
                    sequence: *sequence,
                    len: data.len(),
                    cause: names::unplaced(*cause),
                    data: STANDARD.encode(data),
                });
            }
            Chunk::Conflict { side, conflict, .. } => self.write(&Event::Conflict {
                conversation,
                time: conflict.timestamp.to_string(),
                from: name(*side),
                offset: conflict.offset,
                len: conflict.kept.len(),
                kept_packet: conflict.kept_packet_number,
                kept: STANDARD.encode(&conflict.kept),
                discarded_packet: conflict.discarded_packet_number,
                discarded: STANDARD.encode(&conflict.discarded),
            }),
            Chunk::Finished { side, len, .. } => {
                self.write(&Event::Finished { conversation, from: name(*side), len: *len });
            }
            Chunk::Closed { record, .. } => {
                let (initiator_scope, responder_scope) = names::joined(record);
                self.write(&Event::End {
                    conversation,
                    time: record.ended.to_string(),
                    reason: names::end(record.reason),
                    initiator_bytes: record.initiator.delivered_bytes,
                    responder_bytes: record.responder.delivered_bytes,
                    missing_bytes: record.initiator.gap_bytes + record.responder.gap_bytes,
                    late_bytes: self.late_bytes,
                    unplaced_bytes: self.unplaced_bytes,
                    conflicts: self.conflicts,
                    history: &record.history,
                    initiator_scope,
                    responder_scope,
                });
            }
            _ => {}
        }
    }
}

fn name(side: FlowSide) -> &'static str {
    match side {
        FlowSide::Initiator => "initiator",
        FlowSide::Responder => "responder",
    }
}
