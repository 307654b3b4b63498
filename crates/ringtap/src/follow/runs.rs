//! Faults in a conversation's bytes: a line for many segments of a kind.

use conversation::{Chunk, Conflict};
use flow::{FlowSide, Timestamp, UnplacedCause};

use crate::names::{self, bytes};
use crate::text::escape::{QUOTED, Quoted};

/// Something about a side that a person should see, in one line.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) side: FlowSide,
    pub(super) time: Timestamp,
    pub(super) what: String,
}

/// Joins segments that follow each other, so that thousands of them are one notice. Small as long
/// as there is nothing to say: a command may follow a million conversations at once.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// By side.
    late: [Option<Box<Late>>; 2],
    unplaced: [Option<Box<Unplaced>>; 2],
    /// The latest time that anything brought.
    now: Timestamp,
}

/// Bytes that came late.
#[derive(Debug)]
struct Late {
    time: Timestamp,
    /// Negative before the first byte of a stream that was picked up midway.
    offset: i64,
    len: u64,
    segments: u64,
}

/// Bytes that have no place.
#[derive(Debug)]
struct Unplaced {
    time: Timestamp,
    cause: UnplacedCause,
    sequence: u32,
    len: u64,
    segments: u64,
    packet: u64,
    /// The first of them, one more than is shown.
    bytes: Vec<u8>,
}

impl Runs {
    /// Of a conversation that begins at this time.
    pub(super) fn new(started: Timestamp) -> Self {
        Self { now: started, ..Self::default() }
    }

    /// The latest time that anything brought, if nothing else is known.
    pub(super) fn rest(&self) -> Option<Timestamp> {
        let Self { late, unplaced, now } = self;
        let rests = late.iter().all(Option::is_none) && unplaced.iter().all(Option::is_none);
        rests.then_some(*now)
    }

    /// Takes note of the next step of a conversation, and returns what there is to say before it is
    /// shown.
    pub(super) fn chunk(&mut self, chunk: &Chunk) -> Vec<Notice> {
        let mut notices = Vec::new();
        let side = match chunk {
            Chunk::Initiator(data) => {
                self.now = self.now.max(data.timestamp());
                FlowSide::Initiator
            }
            Chunk::Responder(data) => {
                self.now = self.now.max(data.timestamp());
                FlowSide::Responder
            }
            Chunk::Gap { side, .. }
            | Chunk::Finished { side, .. }
            | Chunk::Overrun { side, .. } => *side,
            Chunk::Late { side, data, .. } => {
                let run = &mut self.late[*side as usize];
                let (offset, len) = (data.offset().cast_signed(), data.len() as u64);
                match run {
                    Some(run) if run.offset.wrapping_add_unsigned(run.len) == offset => {
                        run.len += len;
                        run.segments += 1;
                    }
                    _ => {
                        let time = data.timestamp();
                        let before = run.replace(Box::new(Late { time, offset, len, segments: 1 }));
                        notices.extend(before.map(|run| run.notice(*side)));
                    }
                }
                return notices;
            }
            Chunk::Unplaced { side, data, sequence, cause, timestamp, packet_number, .. } => {
                let run = &mut self.unplaced[*side as usize];
                let len = data.len() as u64;
                match run {
                    Some(run) if run.goes_on_at(*sequence, *cause) => {
                        run.len += len;
                        run.segments += 1;
                    }
                    _ => {
                        let before = run.replace(Box::new(Unplaced {
                            time: *timestamp,
                            cause: *cause,
                            sequence: *sequence,
                            len,
                            segments: 1,
                            packet: *packet_number,
                            bytes: data[..data.len().min(QUOTED + 1)].to_vec(),
                        }));
                        notices.extend(before.map(|run| run.notice(*side)));
                    }
                }
                return notices;
            }
            Chunk::Conflict { side, conflict, .. } => {
                self.end_of(*side, &mut notices);
                let (time, what) = (conflict.timestamp, versions(conflict));
                notices.push(Notice { side: *side, time, what });
                return notices;
            }
            _ => return self.end(),
        };
        self.end_of(side, &mut notices);
        let what = match chunk {
            Chunk::Gap { offset, len, cause, estimated, dropped, .. } => {
                let why = names::gap_in_words(*cause);
                let why = match len - dropped {
                    others if *dropped > 0 && others > 0 => {
                        format!("{} {why}; {} not captured", bytes(*dropped), bytes(others))
                    }
                    _ => why.to_owned(),
                };
                let what = format!("{} missing at {offset}: {why}", bytes(*len));
                match estimated {
                    false => what,
                    true => format!(
                        "about {what}; at least {}, and multiples of 4 GiB are uncertain",
                        bytes(*len & u64::from(u32::MAX))
                    ),
                }
            }
            Chunk::Overrun { offset, .. } => {
                format!("given up at {offset}: the output is too slow")
            }
            _ => return notices,
        };
        notices.push(Notice { side, time: self.now, what });
        notices
    }

    /// Returns what there is to say when nothing follows.
    pub(super) fn end(&mut self) -> Vec<Notice> {
        let mut notices = Vec::new();
        self.end_of(FlowSide::Initiator, &mut notices);
        self.end_of(FlowSide::Responder, &mut notices);
        notices
    }

    fn end_of(&mut self, side: FlowSide, notices: &mut Vec<Notice>) {
        notices.extend(self.late[side as usize].take().map(|run| run.notice(side)));
        notices.extend(self.unplaced[side as usize].take().map(|run| run.notice(side)));
    }
}

impl Late {
    fn notice(self, side: FlowSide) -> Notice {
        let Self { time, offset, len, segments } = self;
        let place = if offset < 0 {
            "before the first byte that was captured in order"
        } else {
            "after they had been reported as missing"
        };
        let (len, segments) = (bytes(len), names::count(segments, "segment", "segments"));
        let what = format!("{len} at {offset} came late, {place} ({segments})");
        Notice { side, time, what }
    }
}

impl Unplaced {
    /// `true` if a segment follows this run.
    fn goes_on_at(&self, sequence: u32, cause: UnplacedCause) -> bool {
        self.cause == cause && self.sequence.wrapping_add(self.len as u32) == sequence
    }

    fn notice(self, side: FlowSide) -> Notice {
        let Self { time, cause, sequence, len, segments, packet, bytes: first } = self;
        let (len, why) = (bytes(len), names::unplaced_in_words(cause));
        let segments = match segments {
            1 => format!("packet {packet}"),
            _ => format!("{segments} segments from packet {packet} on"),
        };
        let what = format!(
            "{len} seen but not placed: {why} ({segments}, sequence number {sequence}): {}",
            Quoted(&first)
        );
        Notice { side, time, what }
    }
}

/// Both versions of a conflict.
fn versions(conflict: &Conflict) -> String {
    let Conflict { offset, kept, discarded, kept_packet_number, discarded_packet_number, .. } =
        conflict;
    format!(
        "conflict: {} at {offset} are {} in packet {kept_packet_number} (kept) and {} in packet \
         {discarded_packet_number} (discarded)",
        bytes(kept.len() as u64),
        Quoted(kept),
        Quoted(discarded),
    )
}
