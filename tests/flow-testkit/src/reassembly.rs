//! The reference model of reassembly: an array of bytes for each direction.
//!
//! A script of bytes, random or from a fuzzer, is interpreted as a list of operations on one
//! connection:
//!
//! - a SYN with or without data, or none at all;
//! - segments of both streams with arbitrary boundaries, so that they split, repeat, overlap and
//!   contradict each other, possibly truncated by the capture;
//! - bytes that are lost because no operation contains them;
//! - acknowledgements, keep-alives, a FIN alone or with data, a RST, and pauses.
//!
//! Every overlap policy is used. After each operation, all events of the table are compared with
//! the arrays.

mod seen;
mod stream;
mod versions;

use std::time::Duration;

use flow::{FiveTuple, FlowTable, LinkType, OverlapPolicy, Packet, Timestamp};

use crate::segments::{Client, Server, segment};
use seen::Seen;
use stream::Stream;
use versions::{Versions, byte};

/// The maximum length of a stream.
const LEN: usize = 1500;

/// Runs a script. Panics if the table and the model disagree.
pub fn check(script: &[u8]) {
    let mut script = Script(script);
    let mut model = Model::new(&mut script);
    while !script.0.is_empty() && model.seen.ended.is_none() {
        model.step(&mut script);
        model.compare();
    }
    model.finish();
}

/// The bytes that operations are read from, followed by zeros.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn word(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }
}

struct Model {
    table: FlowTable<FiveTuple>,
    seen: Seen,
    policy: OverlapPolicy,
    /// The client's and the server's stream.
    streams: [Stream; 2],
    /// `true` if the server sends more than acknowledgements.
    two_way: bool,
    clock: u64,
    /// The start, the end and the time of each packet.
    packets: Vec<(usize, usize, u64)>,
}

impl Model {
    fn new(script: &mut Script<'_>) -> Self {
        let flags = script.byte();
        let base = u32::try_from(script.word() << 16 | script.word()).unwrap_or(0);
        let choice = script.byte();
        let policies = [
            OverlapPolicy::First,
            OverlapPolicy::Last,
            OverlapPolicy::Bsd,
            OverlapPolicy::BsdRight,
            OverlapPolicy::Linux,
            OverlapPolicy::Solaris,
            OverlapPolicy::First,
            OverlapPolicy::Last,
        ];
        let policy = policies[usize::from(choice & 7)];
        let len = LEN - usize::from(choice >> 4) * 90;
        let limit = if flags & 2 == 0 { 64 << 10 } else { 1 << 20 };
        let table = FlowTable::builder(FiveTuple::bidirectional())
            .overlap_policy(policy)
            .grace(u32::from(flags >> 4), Duration::from_millis(500))
            .pickup_grace(u32::from(flags >> 5), Duration::from_millis(100))
            .direction_limit(limit, 40)
            .hole_timeout(Duration::from_secs(30))
            .idle_expiry(false)
            .build();
        let mut model = Self {
            table,
            seen: Seen::default(),
            policy,
            streams: [Stream::new(0, base, len), Stream::new(1, !base.rotate_left(8), len)],
            two_way: choice & 8 != 0,
            clock: 1_000_000,
            packets: vec![(0, 0, 0)],
        };
        if flags & 1 == 0 {
            // A SYN may carry data (RFC 7413), and its answer need not acknowledge it.
            let early = if flags & 8 == 0 { 0 } else { usize::from(script.byte() % 64) };
            let [client, server] = [0, 1].map(|side| model.streams[side].base.wrapping_sub(1));
            let payload: Vec<u8> = (0..early).map(byte).collect();
            model.streams[0].origin = Some(0);
            model.streams[0].capture(0, &payload);
            model.streams[0].captured_bytes += early;
            model.put((0, early), &segment(Client, client, 0, "S", 65_535, &payload), usize::MAX);
            model.compare();
            model.streams[1].origin = Some(0);
            let taken = if flags & 4 == 0 { early } else { 0 };
            if taken < early {
                // The client has to retransmit them.
                model.streams[0].captured.fill(Versions::default());
            }
            let acknowledgement = client.wrapping_add(1 + taken as u32);
            let answer = segment(Server, server, acknowledgement, "SA", 65_535, b"");
            model.streams[0].acknowledged = Some(taken);
            model.put((0, 0), &answer, usize::MAX);
        }
        model
    }

    fn put(&mut self, range: (usize, usize), frame: &[u8], snaplen: usize) {
        self.clock += 1;
        let now = Timestamp::from_nanos(self.clock * 1_000_000);
        let mut packet = Packet::new(frame, now, LinkType::IPV4);
        packet.meta_mut().number = self.packets.len() as u64;
        packet = packet.with_data(&frame[..frame.len().min(snaplen)]);
        self.packets.push((range.0, range.1, self.clock));
        self.table.process([packet], &mut self.seen);
    }

    fn step(&mut self, script: &mut Script<'_>) {
        self.streams.iter_mut().for_each(Stream::begin);
        let code = script.byte();
        let side = usize::from(self.two_way && code & 0x10 != 0);
        match code % 16 {
            operation @ 0..=9 => {
                let stream = &self.streams[side];
                // Most segments begin near the end of the stream, some anywhere.
                let near =
                    stream.captured.iter().position(|versions| versions.count == 0).unwrap_or(0);
                let start = match operation {
                    0..=4 => (near + usize::from(script.byte() % 64)).saturating_sub(32),
                    5..=7 => near,
                    _ => script.word(),
                } % stream.len;
                let len = (1 + usize::from(script.byte())).min(stream.len - start);
                self.send(side, start, len, script.byte(), "A");
            }
            10 | 11 => {
                // By the other side: of captured bytes, of others, and of the FIN.
                let stream = &mut self.streams[side];
                let position = script.word() % (stream.len + 1 + usize::from(stream.fin_sent));
                stream.acknowledged = stream.acknowledged.max(Some(position));
                let at = self.streams[1 - side].end();
                self.streams[1 - side].hint = Some(at);
                self.bare(1 - side, at, position, "A");
            }
            12 => {
                // A keep-alive at the highest byte sent.
                let position = self.streams[side].end().saturating_sub(1);
                self.streams[side].hint = Some(position);
                let acknowledged = self.acknowledge(side);
                self.bare(side, position, acknowledged, "A");
            }
            13 => {
                // With data, or alone.
                let end = self.streams[side].len;
                let len = usize::from(script.byte() % 8);
                self.send(side, end - len, len, 0, "FA");
                self.streams[side].fin_sent = true;
            }
            14 => {
                self.clock += [1, 90, 600, 40_000][usize::from(script.byte() % 4)];
                let now = Timestamp::from_nanos(self.clock * 1_000_000);
                self.table.advance(now, &mut self.seen);
            }
            _ => {
                // Anywhere, mostly at a sequence number that is not accepted.
                let position = script.word() % (self.streams[side].len + 1);
                self.bare(side, position, 0, "R");
            }
        }
    }

    /// The acknowledgement number in a segment of a side: that of its last acknowledgement.
    fn acknowledge(&mut self, side: usize) -> usize {
        *self.streams[1 - side].acknowledged.get_or_insert(0)
    }

    /// A segment without payload that the model counts. A RST has some, which is not data.
    fn bare(&mut self, side: usize, position: usize, acknowledged: usize, flags: &str) {
        let host = [Client, Server][side];
        let sequence = self.streams[side].sequence(position);
        let acknowledgement = self.streams[1 - side].sequence(acknowledged);
        let payload: &[u8] = if flags == "R" { b"reset" } else { b"" };
        self.streams[side].captured_bytes += payload.len();
        let frame = segment(host, sequence, acknowledgement, flags, 65_535, payload);
        self.put((position, position), &frame, usize::MAX);
        if self.seen.flows == 0 {
            // A reset without a flow does not open one.
            self.streams[side].captured_bytes = 0;
        }
    }

    /// Sends a segment with payload. `twist` selects if its bytes are wrong, and if they are
    /// truncated.
    fn send(&mut self, side: usize, start: usize, len: usize, twist: u8, flags: &str) {
        let acknowledged = self.acknowledge(side);
        let acknowledgement = self.streams[1 - side].sequence(acknowledged);
        let stream = &mut self.streams[side];
        let mut payload: Vec<u8> = (start..start + len).map(byte).collect();
        if twist & 7 == 7 {
            payload.iter_mut().for_each(|byte| *byte ^= twist);
        }
        let captured = if twist & 0x18 == 0x18 { len / 2 } else { len };
        let host = [Client, Server][side];
        let sequence = stream.sequence(start);
        let frame = segment(host, sequence, acknowledgement, flags, 65_535, &payload);
        payload.truncate(captured);
        stream.captured_bytes += captured;
        let after = Some(start + 1);
        // One byte right before the acknowledged position is a keep-alive. A FIN is not.
        let keep_alive =
            stream.acknowledged == after || stream.hint == after && stream.origin.is_none();
        if len == 1 && flags == "A" && keep_alive {
            stream.keep_alives[start] = true;
            stream.present = (start, payload);
            // No stream begins with it, unless other bytes of the stream arrived before and the
            // peer has not acknowledged it.
            let comes_first = stream.lowest == stream.len && !stream.fin_sent;
            if !comes_first && stream.acknowledged != after {
                stream.lowest = stream.lowest.min(start);
            }
        } else {
            stream.capture(start, &payload);
            stream.lowest = stream.lowest.min(start);
            if captured == 0 {
                stream.blank_starts.push(start);
            }
        }
        self.put((start, start + len), &frame, 40 + captured);
    }

    /// Compares the events since the last operation with the arrays.
    fn compare(&mut self) {
        for (stream, seen) in self.streams.iter_mut().zip(&self.seen.sides) {
            stream.compare(seen, self.policy, &self.packets);
        }
    }

    fn finish(&mut self) {
        let ended = self.seen.ended.is_some();
        self.streams.iter_mut().for_each(Stream::begin);
        self.table.finish(&mut self.seen);
        self.compare();
        assert_eq!(self.table.statistics().pending_bytes, 0);
        assert!(self.seen.flows <= 1, "one connection became several flows");
        assert_eq!(self.seen.flows == 1, self.seen.ended.is_some());
        for (stream, seen) in self.streams.iter().zip(&self.seen.sides) {
            stream.account(seen);
        }
        // If the flow ended before, its grace period was over, or both sides had closed, before the
        // last segment.
        if !ended {
            for (stream, seen) in self.streams.iter().zip(&self.seen.sides) {
                stream.finish(seen);
            }
        }
    }
}
