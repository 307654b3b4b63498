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

mod versions;

use std::time::Duration;

use flow::{
    Conflict, Data, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowRecord, FlowSide, FlowTable,
    Gap, LinkType, OverlapPolicy, Packet, Timestamp, Unplaced,
};

use crate::segments::{Client, Server, segment};
use versions::{Versions, byte};

/// The maximum length of a stream.
const LEN: usize = 1500;
/// The minimum number of gaps for which late bytes are reported.
const REMEMBERED_GAPS: usize = 60;

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

/// The state of a direction.
struct Stream {
    side: usize,
    /// Sequence number of the first byte.
    base: u32,
    /// The length of the stream.
    len: usize,
    /// The captured versions of each byte.
    captured: Vec<Versions>,
    /// The segment of the current operation, and the versions of its bytes captured before.
    present: (usize, Vec<u8>),
    before: Vec<Versions>,
    /// `true` for captured bytes that were reported as late.
    late: Vec<bool>,
    /// `true` for single bytes that looked like keep-alives: before any other byte of the stream,
    /// when the peer had acknowledged them or the sender had continued after them.
    keep_alives: Vec<bool>,
    /// The peer's last acknowledgement, and the position of the last segment without payload.
    acknowledged: Option<usize>,
    hint: Option<usize>,
    /// The position of stream offset 0, once it is known. 0 with a SYN.
    origin: Option<usize>,
    /// The start of the earliest segment so far.
    lowest: usize,
    /// The starts of segments of which no byte was captured.
    blank_starts: Vec<usize>,
    fin_sent: bool,
    /// The number of captured payload bytes, including copies and those of resets.
    captured_bytes: usize,
    compared: usize,
    gaps: usize,
}

#[derive(Default)]
struct Seen {
    sides: [SideSeen; 2],
    ended: Option<FlowRecord<FiveTupleKey>>,
    flows: usize,
}

#[derive(Default)]
struct SideSeen {
    events: Vec<Event>,
    next: u64,
}

enum Event {
    /// Offset, bytes, packet number and time.
    Data(u64, Vec<u8>, u64, u64),
    Gap(Gap),
    Late(i64, Vec<u8>),
    Repeat(u64, Vec<u8>),
    Conflict(Vec<u8>, Vec<u8>),
    Unplaced(Vec<u8>),
    Fin(u64),
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

impl Stream {
    fn new(side: usize, base: u32, len: usize) -> Self {
        Self {
            side,
            base,
            len,
            captured: vec![Versions::default(); len],
            present: (0, Vec::new()),
            before: Vec::new(),
            late: vec![false; len],
            keep_alives: vec![false; len],
            acknowledged: None,
            hint: None,
            origin: None,
            lowest: len,
            blank_starts: Vec::new(),
            fin_sent: false,
            captured_bytes: 0,
            compared: 0,
            gaps: 0,
        }
    }

    fn sequence(&self, position: usize) -> u32 {
        self.base.wrapping_add(position as u32)
    }

    /// Records these bytes as captured.
    fn capture(&mut self, start: usize, bytes: &[u8]) {
        self.present = (start, bytes.to_vec());
        self.before.clear();
        self.before.extend(&self.captured[start..start + bytes.len()]);
        for (at, version) in (start..).zip(bytes) {
            self.captured[at].push(at, *version);
        }
    }

    /// The end of the captured bytes.
    fn end(&self) -> usize {
        self.captured.iter().rposition(|versions| versions.count > 0).map_or(0, |last| last + 1)
    }

    /// Begins an operation.
    fn begin(&mut self) {
        self.before.clear();
        self.present = (0, Vec::new());
    }

    /// The versions captured before the current operation.
    fn before(&self, at: usize) -> Versions {
        let within = at.checked_sub(self.present.0).and_then(|at| self.before.get(at));
        *within.unwrap_or(&self.captured[at])
    }

    /// Returns `true` if a byte may be delivered at a position. For the simple policies, the chosen
    /// version is known. A pause may have released a byte before the current operation brought
    /// another version of it.
    fn may_be(&self, at: usize, byte: u8, policy: OverlapPolicy) -> bool {
        let (versions, before) = (self.captured[at], self.before(at));
        versions.count > 0
            && match policy {
                OverlapPolicy::First => versions.first == byte,
                OverlapPolicy::Last => {
                    versions.last == byte || (before.count > 0 && before.last == byte)
                }
                _ => versions.all & Versions::bit(at, byte) != 0,
            }
    }

    fn compare(&mut self, seen: &SideSeen, policy: OverlapPolicy, packets: &[(usize, usize, u64)]) {
        let side = self.side;
        for event in &seen.events[self.compared..] {
            match event {
                Event::Data(offset, bytes, number, time) => {
                    let (start, end, clock) = packets[*number as usize];
                    // A stream may begin within a packet if no byte of the earlier packet was
                    // captured, which may have begun anywhere in this one.
                    let fits = |from: usize| {
                        bytes.iter().zip(from..).all(|(byte, at)| self.may_be(at, *byte, policy))
                    };
                    let blank = self.blank_starts.iter().copied();
                    let first = [start, end - bytes.len()]
                        .into_iter()
                        .chain(blank.filter(|at| *at >= start && at + bytes.len() <= end))
                        .find(|from| fits(*from))
                        .unwrap_or(start);
                    let origin = *self.origin.get_or_insert_with(|| first - *offset as usize);
                    let from = origin + *offset as usize;
                    assert!(start <= from && from + bytes.len() <= end, "not of packet {number}");
                    assert_eq!(*time, clock * 1_000_000);
                    for (at, byte) in (from..).zip(bytes) {
                        let right = self.may_be(at, *byte, policy) || self.keep_alives[at];
                        assert!(right, "side {side} delivered at position {at}: {byte:#x}");
                    }
                }
                Event::Gap(gap) => {
                    self.gaps += 1;
                    // A stream may begin with a segment of which no byte was captured. If there
                    // were several, the events that follow show which one it was.
                    let blank = |at: &usize| self.before(*at).count == 0;
                    let first = (self.lowest..self.len).find(blank).unwrap_or(self.lowest);
                    if self.origin.is_none() && self.blank_starts.iter().any(|at| *at != first) {
                        continue;
                    }
                    let origin = *self.origin.get_or_insert(first);
                    let from = origin + gap.offset as usize;
                    for at in from..from + gap.len as usize {
                        assert_eq!(
                            self.before(at).count,
                            0,
                            "position {at} of side {side} is no gap"
                        );
                    }
                }
                Event::Late(offset, bytes) => {
                    // The stream began with a segment of which no byte was captured, or with a FIN.
                    let before = self.present.0 as i64 - offset;
                    let origin = *self.origin.get_or_insert(before as usize);
                    let from = origin.checked_add_signed(*offset as isize).expect("a position");
                    let skip = from - self.present.0;
                    assert_eq!(*bytes, self.present.1[skip..skip + bytes.len()]);
                    self.late[from..from + bytes.len()].fill(true);
                    // The rest of the gap may be two gaps.
                    self.gaps += 1;
                }
                Event::Repeat(offset, bytes) => {
                    // Delivered or held bytes arrive again, or the byte of a keep-alive. While a
                    // stream that is picked up midway has not begun, its offsets are unknown.
                    if bytes.len() == 1 || *offset >= 1 << 29 {
                        continue;
                    }
                    // A gap from one of several blank starts may have come before; see above.
                    if self.origin.is_none()
                        && self.blank_starts.iter().any(|at| *at != self.lowest)
                    {
                        continue;
                    }
                    let origin = self.origin.unwrap_or(self.lowest);
                    let from = origin + *offset as usize;
                    let known = |at: usize| self.keep_alives[at] || self.captured[at].count > 0;
                    let all = (from..from + bytes.len()).all(known);
                    assert!(all || self.gaps > REMEMBERED_GAPS, "nothing was there before");
                }
                Event::Unplaced(bytes) => {
                    assert!(!bytes.is_empty());
                }
                Event::Conflict(kept, discarded) => {
                    assert_eq!(kept.len(), discarded.len());
                    assert_ne!(kept, discarded);
                }
                Event::Fin(offset) => {
                    if !self.fin_sent {
                        // It was not captured, but the other side has closed and acknowledged it.
                        continue;
                    }
                    let origin = *self.origin.get_or_insert(self.len - *offset as usize);
                    assert_eq!(origin + *offset as usize, self.len);
                }
            }
        }
        self.compared = seen.events.len();
    }

    /// Checks that each captured byte was passed to the handler exactly once, by any callback.
    fn account(&self, seen: &SideSeen) {
        let bytes = seen.events.iter().map(|event| match event {
            Event::Data(_, bytes, ..)
            | Event::Late(_, bytes)
            | Event::Repeat(_, bytes)
            | Event::Conflict(_, bytes)
            | Event::Unplaced(bytes) => bytes.len(),
            Event::Gap(_) | Event::Fin(_) => 0,
        });
        let told: usize = bytes.sum();
        assert_eq!(told, self.captured_bytes, "bytes of side {} are unaccounted for", self.side);
    }

    /// The flow has ended while the capture continues. Checks that all captured bytes were
    /// reported.
    fn finish(&self, seen: &SideSeen) {
        let side = self.side;
        let Some(origin) = self.origin else {
            assert_eq!(self.end(), 0, "the stream of side {side} was swallowed");
            return;
        };
        let mut delivered = vec![false; self.len];
        for event in &seen.events {
            if let Event::Data(offset, bytes, ..) = event {
                let from = origin + *offset as usize;
                delivered[from..from + bytes.len()].fill(true);
            }
        }
        assert!(origin + seen.next as usize >= self.end(), "the stream of side {side} ends early");
        if self.gaps > REMEMBERED_GAPS {
            return;
        }
        for (at, delivered) in delivered.into_iter().enumerate() {
            let told = delivered || self.late[at] || self.captured[at].count == 0;
            // One byte right before the beginning also looks like a keep-alive.
            assert!(told || at + 1 == origin, "position {at} of side {side} was swallowed");
        }
    }
}

impl FlowHandler<FiveTupleKey> for Seen {
    fn on_start(&mut self, _: &Flow<'_, FiveTupleKey>) {
        self.flows += 1;
    }

    fn on_data(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        let seen = &mut self.sides[side as usize];
        assert_eq!(data.offset, seen.next, "data does not follow what came before");
        assert!(!data.bytes.is_empty());
        seen.next += data.bytes.len() as u64;
        let time = data.timestamp.as_nanos();
        seen.events.push(Event::Data(data.offset, data.bytes.to_vec(), data.packet_number, time));
    }

    fn on_gap(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, gap: Gap) {
        let seen = &mut self.sides[side as usize];
        assert_eq!(gap.offset, seen.next, "a gap does not follow what came before");
        assert!(gap.len > 0);
        seen.next += gap.len;
        seen.events.push(Event::Gap(gap));
    }

    fn on_late(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        let event = Event::Late(data.offset.cast_signed(), data.bytes.to_vec());
        self.sides[side as usize].events.push(event);
    }

    fn on_repeat(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        let event = Event::Repeat(data.offset, data.bytes.to_vec());
        self.sides[side as usize].events.push(event);
    }

    fn on_conflict(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, conflict: Conflict<'_>) {
        let event = Event::Conflict(conflict.kept.to_vec(), conflict.discarded.to_vec());
        self.sides[side as usize].events.push(event);
    }

    fn on_unplaced(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, unplaced: Unplaced<'_>) {
        let event = Event::Unplaced(unplaced.bytes.to_vec());
        self.sides[side as usize].events.push(event);
    }

    fn on_fin(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, offset: u64) {
        let seen = &mut self.sides[side as usize];
        assert_eq!(offset, seen.next);
        seen.events.push(Event::Fin(offset));
    }

    fn on_end(&mut self, _: &Flow<'_, FiveTupleKey>, record: &FlowRecord<FiveTupleKey>) {
        for (seen, side) in self.sides.iter().zip([FlowSide::Initiator, FlowSide::Responder]) {
            let bytes = |event: &Event| match event {
                Event::Data(_, bytes, ..) => bytes.len() as u64,
                _ => 0,
            };
            let bytes: u64 = seen.events.iter().map(bytes).sum();
            assert_eq!(record.side(side).delivered_bytes, bytes);
        }
        assert!(self.ended.replace(record.clone()).is_none(), "ended twice");
    }
}
