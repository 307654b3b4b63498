//! The model that reassembly is held against: an array of bytes.
//!
//! A script of bytes, random or from a fuzzer, is read as a list of operations on one connection: a SYN with or without
//! data, or none at all; segments of the client's stream cut anywhere (so that they split, repeat, overlap and contradict
//! each other), cut short by the capture, lost for good because no operation brings them, acknowledgements,
//! keep-alives, FIN alone or with data, RST, time passing; under any overlap policy. After each operation everything that
//! the table said is compared with the array.

use std::time::Duration;

use flow::{
    Conflict, Data, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowRecord, FlowSide, FlowTable,
    Gap, LinkType, OverlapPolicy, Packet, Timestamp,
};

use super::segments::{Client, Server, segment};

/// How long the client's stream is.
const LEN: usize = 1500;
const SERVER: u32 = 77;
/// Gaps of which late bytes are told, at least.
const REMEMBERED_GAPS: usize = 60;

/// Runs a script. Panics where the table and the model disagree.
pub fn check(script: &[u8]) {
    let mut script = Script(script);
    let mut model = Model::new(&mut script);
    while !script.0.is_empty() && model.seen.ended.is_none() {
        model.step(&mut script);
        model.compare();
    }
    model.finish();
}

/// The bytes that operations are read from; zeros at the end.
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
    base: u32,
    clock: u64,
    number: u64,
    policy: OverlapPolicy,
    /// Where the stream ends.
    len: usize,
    /// Where in the stream each packet began and ended, and when it came.
    packets: Vec<(usize, usize, u64)>,
    /// The versions of each byte that were captured, in the order in which they came.
    captured: Vec<Vec<u8>>,
    /// How many there were before the present operation.
    before: Vec<usize>,
    /// The segment of the present operation.
    present: (usize, Vec<u8>),
    /// Captured bytes that were told as late.
    late: Vec<bool>,
    /// Single bytes that looked like keep-alives: before anything else of the stream came, the server had acknowledged
    /// them, or the client had gone on behind them.
    keep_alives: Vec<bool>,
    /// What the server acknowledged last, and where the client's last segment without payload stood.
    acknowledged: Option<usize>,
    hint: Option<usize>,
    /// The position of stream offset 0, once it is known: 0 with a SYN.
    origin: Option<usize>,
    /// Where the earliest segment so far began.
    lowest: usize,
    fin_sent: bool,
    compared: usize,
    gaps: usize,
}

#[derive(Default)]
struct Seen {
    events: Vec<Event>,
    next: u64,
    ended: Option<FlowRecord<FiveTupleKey>>,
    flows: usize,
}

enum Event {
    /// Offset, bytes, packet number and time.
    Data(u64, Vec<u8>, u64, u64),
    Gap(Gap),
    Late(i64, Vec<u8>),
    Repeat(u64, Vec<u8>),
    Conflict(Vec<u8>, Vec<u8>),
    Fin(u64),
}

/// The sender's byte at a position.
fn byte(position: usize) -> u8 {
    (position.wrapping_mul(2_654_435_761) >> 7) as u8
}

impl Model {
    fn new(script: &mut Script<'_>) -> Self {
        let flags = script.byte();
        let base = u32::try_from(script.word() << 16 | script.word()).unwrap_or(0);
        let policies = [
            OverlapPolicy::First,
            OverlapPolicy::Last,
            OverlapPolicy::First,
            OverlapPolicy::Bsd,
            OverlapPolicy::BsdRight,
            OverlapPolicy::Linux,
            OverlapPolicy::Solaris,
            OverlapPolicy::Last,
        ];
        let choice = script.byte();
        let policy = policies[usize::from(choice & 7)];
        let len = LEN - usize::from(choice >> 3) * 40;
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
            base,
            clock: 1_000_000,
            number: 0,
            policy,
            len,
            packets: vec![(0, 0, 0)],
            captured: vec![Vec::new(); len],
            before: vec![0; len],
            present: (0, Vec::new()),
            late: vec![false; len],
            keep_alives: vec![false; len],
            acknowledged: None,
            hint: None,
            origin: None,
            lowest: len,
            fin_sent: false,
            compared: 0,
            gaps: 0,
        };
        if flags & 1 == 0 {
            model.origin = Some(0);
            // A SYN may bring data (RFC 7413), and its answer need not acknowledge it.
            let early = if flags & 8 == 0 { 0 } else { usize::from(script.byte() % 64) };
            let payload: Vec<u8> = (0..early).map(byte).collect();
            model.capture(0, &payload);
            let syn = segment(Client, base.wrapping_sub(1), 0, "S", 65_535, &payload);
            model.put((0, early), &syn, usize::MAX);
            model.compare();
            model.put((0, 0), &segment(Server, SERVER, base, "SA", 65_535, b""), usize::MAX);
        }
        model
    }

    fn put(&mut self, range: (usize, usize), frame: &[u8], snaplen: usize) {
        self.clock += 1;
        self.number += 1;
        self.packets.push((range.0, range.1, self.clock));
        let now = Timestamp::from_nanos(self.clock * 1_000_000);
        let mut packet = Packet::new(frame, now, LinkType::IPV4);
        packet.number = self.number;
        packet.data = &frame[..frame.len().min(snaplen)];
        self.table.process([packet], &mut self.seen);
    }

    fn sequence(&self, position: usize) -> u32 {
        self.base.wrapping_add(position as u32)
    }

    /// The capture has these bytes.
    fn capture(&mut self, start: usize, bytes: &[u8]) {
        self.present = (start, bytes.to_vec());
        for (place, byte) in self.captured[start..].iter_mut().zip(bytes) {
            place.push(*byte);
        }
    }

    /// Up to where something was captured.
    fn end(&self) -> usize {
        self.captured.iter().rposition(|versions| !versions.is_empty()).map_or(0, |last| last + 1)
    }

    /// An operation begins.
    fn begin(&mut self) {
        self.before.clear();
        self.before.extend(self.captured.iter().map(Vec::len));
        self.present = (0, Vec::new());
    }

    fn step(&mut self, script: &mut Script<'_>) {
        self.begin();
        match script.byte() % 16 {
            operation @ 0..=9 => self.send(operation, script),
            10 | 11 => {
                let position = script.word() % (self.len + 1);
                self.acknowledged = self.acknowledged.max(Some(position));
                let frame = segment(Server, SERVER + 1, self.sequence(position), "A", 65_535, b"");
                self.put((0, 0), &frame, usize::MAX);
            }
            12 => {
                // A keep-alive at the highest byte sent.
                let position = self.end().saturating_sub(1);
                self.hint = Some(position);
                let frame = segment(Client, self.sequence(position), SERVER + 1, "A", 65_535, b"");
                self.put((position, position), &frame, usize::MAX);
            }
            13 => {
                // With data, or alone.
                let len = usize::from(script.byte() % 8).min(self.len);
                self.segment(self.len - len, len, 0, "FA");
                self.fin_sent = true;
            }
            14 => {
                self.clock += [1, 90, 600, 40_000][usize::from(script.byte() % 4)];
                let now = Timestamp::from_nanos(self.clock * 1_000_000);
                self.table.advance(now, &mut self.seen);
            }
            _ => {
                // Anywhere, mostly where it is not believed.
                let position = script.word() % (self.len + 1);
                let frame = segment(Client, self.sequence(position), 0, "R", 0, b"reset");
                self.put((position, position), &frame, usize::MAX);
            }
        }
    }

    fn send(&mut self, operation: u8, script: &mut Script<'_>) {
        // Most segments begin near where the stream is, some anywhere.
        let near = self.captured.iter().position(Vec::is_empty).unwrap_or(0);
        let start = match operation {
            0..=4 => (near + usize::from(script.byte() % 64)).saturating_sub(32),
            5..=7 => near,
            _ => script.word(),
        } % self.len;
        let len = (1 + usize::from(script.byte())).min(self.len - start);
        self.segment(start, len, script.byte(), "A");
    }

    /// Puts a segment of the client's on the wire. `twist` says whether its bytes are wrong, and whether they are cut.
    fn segment(&mut self, start: usize, len: usize, twist: u8, flags: &str) {
        let mut payload: Vec<u8> = (start..start + len).map(byte).collect();
        if twist & 7 == 7 {
            payload.iter_mut().for_each(|byte| *byte ^= twist);
        }
        let captured = if twist & 0x18 == 0x18 { len / 2 } else { len };
        let acknowledgement = SERVER + 1;
        let frame = segment(Client, self.sequence(start), acknowledgement, flags, 65_535, &payload);
        payload.truncate(captured);
        let after = Some(start + 1);
        if self.origin.is_none() && len == 1 && [self.acknowledged, self.hint].contains(&after) {
            self.keep_alives[start] = true;
            self.present = (start, payload);
        } else {
            self.capture(start, &payload);
        }
        self.lowest = self.lowest.min(start);
        self.put((start, start + len), &frame, 40 + captured);
    }

    /// Whether a byte may be delivered at a position: which of the versions the policy chooses is known for the simple
    /// ones. Time may have let a byte go before the present operation brought another version of it.
    fn may_be(&self, at: usize, byte: u8) -> bool {
        let (versions, before) = (&self.captured[at], self.before[at]);
        match self.policy {
            OverlapPolicy::First => versions.first() == Some(&byte),
            OverlapPolicy::Last => {
                versions.last() == Some(&byte) || versions[..before].last() == Some(&byte)
            }
            _ => versions.contains(&byte),
        }
    }

    /// Holds what the table said since the last time against the array.
    fn compare(&mut self) {
        for event in &self.seen.events[self.compared..] {
            match event {
                Event::Data(offset, bytes, number, time) => {
                    let (start, end, clock) = self.packets[*number as usize];
                    let origin = *self.origin.get_or_insert(start);
                    let from = origin + *offset as usize;
                    assert!(start <= from && from + bytes.len() <= end, "not of packet {number}");
                    assert_eq!(*time, clock * 1_000_000);
                    for (at, byte) in (from..).zip(bytes) {
                        let right = self.may_be(at, *byte) || self.keep_alives[at];
                        assert!(right, "delivered at position {at}: {byte:#x}");
                    }
                }
                Event::Gap(gap) => {
                    self.gaps += 1;
                    // A stream may begin with a segment of which nothing was captured.
                    let origin = *self.origin.get_or_insert(self.lowest);
                    for at in origin + gap.offset as usize..origin + (gap.offset + gap.len) as usize
                    {
                        assert_eq!(self.before[at], 0, "position {at} is no gap");
                    }
                }
                Event::Late(offset, bytes) => {
                    let origin = self.origin.expect("late bytes before the first byte");
                    let from = origin.checked_add_signed(*offset as isize).expect("a position");
                    let skip = from - self.present.0;
                    assert_eq!(*bytes, self.present.1[skip..skip + bytes.len()]);
                    self.late[from..from + bytes.len()].fill(true);
                }
                Event::Repeat(offset, bytes) => {
                    // Only what was handed out before comes again.
                    let from =
                        self.origin.expect("repeated before the first byte") + *offset as usize;
                    let skip = from - self.present.0;
                    assert_eq!(*bytes, self.present.1[skip..skip + bytes.len()]);
                    assert!(*offset + bytes.len() as u64 <= self.seen.next);
                    assert!(
                        (from..from + bytes.len())
                            .all(|at| self.keep_alives[at] || self.before[at] > 0)
                    );
                }
                Event::Conflict(kept, discarded) => {
                    assert_eq!(kept.len(), discarded.len());
                    assert_ne!(kept, discarded);
                }
                Event::Fin(offset) => {
                    assert!(self.fin_sent);
                    let origin = *self.origin.get_or_insert(self.len - *offset as usize);
                    assert_eq!(origin + *offset as usize, self.len);
                }
            }
        }
        self.compared = self.seen.events.len();
    }

    fn finish(&mut self) {
        let ended = self.seen.ended.is_some();
        self.begin();
        self.table.finish(&mut self.seen);
        self.compare();
        assert_eq!(self.table.statistics().pending_bytes, 0);
        assert!(self.seen.flows <= 1, "one connection became several flows");
        assert_eq!(self.seen.flows == 1, self.seen.ended.is_some());
        if ended {
            // It was reset, and its grace was over before the last segment.
            return;
        }
        let Some(origin) = self.origin else {
            assert_eq!(self.end(), 0, "the stream was swallowed");
            return;
        };
        let mut delivered = vec![false; self.len];
        for event in &self.seen.events {
            if let Event::Data(offset, bytes, ..) = event {
                let from = origin + *offset as usize;
                delivered[from..from + bytes.len()].fill(true);
            }
        }
        assert!(origin + self.seen.next as usize >= self.end(), "the stream ends early");
        if self.gaps > REMEMBERED_GAPS {
            return;
        }
        for (at, delivered) in delivered.into_iter().enumerate() {
            let told = delivered || self.late[at] || self.captured[at].is_empty();
            // One byte right before the beginning looks like a keep-alive, too.
            assert!(told || at + 1 == origin, "position {at} was swallowed");
        }
    }
}

impl FlowHandler<FiveTupleKey> for Seen {
    fn on_start(&mut self, _: &Flow<'_, FiveTupleKey>) {
        self.flows += 1;
    }

    fn on_data(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        assert_eq!(side, FlowSide::Initiator);
        assert_eq!(data.offset, self.next, "data does not follow what came before");
        assert!(!data.bytes.is_empty());
        self.next += data.bytes.len() as u64;
        let time = data.timestamp.as_nanos();
        self.events.push(Event::Data(data.offset, data.bytes.to_vec(), data.packet_number, time));
    }

    fn on_gap(&mut self, _: &Flow<'_, FiveTupleKey>, side: FlowSide, gap: Gap) {
        assert_eq!(side, FlowSide::Initiator);
        assert_eq!(gap.offset, self.next, "a gap does not follow what came before");
        assert!(gap.len > 0);
        self.next += gap.len;
        self.events.push(Event::Gap(gap));
    }

    fn on_late(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        self.events.push(Event::Late(data.offset.cast_signed(), data.bytes.to_vec()));
    }

    fn on_repeat(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        self.events.push(Event::Repeat(data.offset, data.bytes.to_vec()));
    }

    fn on_conflict(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowSide, conflict: Conflict<'_>) {
        let (kept, discarded) = (conflict.kept.to_vec(), conflict.discarded.to_vec());
        self.events.push(Event::Conflict(kept, discarded));
    }

    fn on_fin(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowSide, offset: u64) {
        assert_eq!(offset, self.next);
        self.events.push(Event::Fin(offset));
    }

    fn on_end(&mut self, _: &Flow<'_, FiveTupleKey>, record: &FlowRecord<FiveTupleKey>) {
        let bytes: u64 = self
            .events
            .iter()
            .map(|event| if let Event::Data(_, bytes, ..) = event { bytes.len() as u64 } else { 0 })
            .sum();
        assert_eq!(record.initiator.delivered_bytes, bytes);
        assert!(self.ended.replace(record.clone()).is_none(), "ended twice");
    }
}
