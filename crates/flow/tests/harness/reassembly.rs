//! The model that reassembly is held against: an array of bytes.
//!
//! A script of bytes, random or from a fuzzer, is read as a list of operations on one connection: segments of the client's
//! stream cut anywhere (so that they split, repeat, overlap and contradict each other), cut short by the
//! capture, lost for good because no operation brings them, acknowledgements, keep-alives, FIN, RST, time passing.
//! After each operation everything that the table said is compared with the array.

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
    /// Where in the stream each packet began.
    starts: Vec<usize>,
    /// The first version of each byte that was captured.
    captured: Vec<Option<u8>>,
    /// What was captured before the present operation.
    before: Vec<Option<u8>>,
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
    Data(u64, Vec<u8>, u64),
    Gap(Gap),
    Late(i64, Vec<u8>),
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
        let limit = if flags & 2 == 0 { 64 << 10 } else { 1 << 20 };
        let table = FlowTable::builder(FiveTuple::bidirectional())
            .overlap_policy(OverlapPolicy::First)
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
            starts: vec![0],
            captured: vec![None; LEN],
            before: vec![None; LEN],
            present: (0, Vec::new()),
            late: vec![false; LEN],
            keep_alives: vec![false; LEN],
            acknowledged: None,
            hint: None,
            origin: None,
            lowest: LEN,
            fin_sent: false,
            compared: 0,
            gaps: 0,
        };
        if flags & 1 == 0 {
            model.origin = Some(0);
            model.put(0, &segment(Client, base.wrapping_sub(1), 0, "S", 65_535, b""), usize::MAX);
            model.put(0, &segment(Server, SERVER, base, "SA", 65_535, b""), usize::MAX);
        }
        model
    }

    fn put(&mut self, start: usize, frame: &[u8], snaplen: usize) {
        self.clock += 1;
        self.number += 1;
        self.starts.push(start);
        let now = Timestamp::from_nanos(self.clock * 1_000_000);
        let mut packet = Packet::new(frame, now, LinkType::IPV4);
        packet.number = self.number;
        packet.data = &frame[..frame.len().min(snaplen)];
        self.table.process([packet], &mut self.seen);
    }

    fn sequence(&self, position: usize) -> u32 {
        self.base.wrapping_add(position as u32)
    }

    fn step(&mut self, script: &mut Script<'_>) {
        self.before.clone_from(&self.captured);
        self.present = (0, Vec::new());
        match script.byte() % 16 {
            operation @ 0..=9 => self.send(operation, script),
            10 | 11 => {
                let position = script.word() % (LEN + 1);
                self.acknowledged = self.acknowledged.max(Some(position));
                let frame = segment(Server, SERVER + 1, self.sequence(position), "A", 65_535, b"");
                self.put(0, &frame, usize::MAX);
            }
            12 => {
                // A keep-alive at the highest byte sent.
                let position = self.captured.iter().rposition(Option::is_some).unwrap_or(0);
                self.hint = Some(position);
                let frame = segment(Client, self.sequence(position), SERVER + 1, "A", 65_535, b"");
                self.put(position, &frame, usize::MAX);
            }
            13 => {
                self.fin_sent = true;
                let frame = segment(Client, self.sequence(LEN), SERVER + 1, "FA", 65_535, b"");
                self.put(LEN, &frame, usize::MAX);
            }
            14 => {
                self.clock += [1, 90, 600, 40_000][usize::from(script.byte() % 4)];
                let now = Timestamp::from_nanos(self.clock * 1_000_000);
                self.table.advance(now, &mut self.seen);
            }
            _ => {
                // Anywhere, mostly where it is not believed.
                let position = script.word() % (LEN + 1);
                let frame = segment(Client, self.sequence(position), 0, "R", 0, b"reset");
                self.put(position, &frame, usize::MAX);
            }
        }
    }

    fn send(&mut self, operation: u8, script: &mut Script<'_>) {
        // Most segments begin near where the stream is, some anywhere.
        let near = self.captured.iter().position(Option::is_none).unwrap_or(0);
        let start = match operation {
            0..=4 => (near + usize::from(script.byte() % 64)).saturating_sub(32),
            5..=7 => near,
            _ => script.word(),
        } % LEN;
        let len = (1 + usize::from(script.byte())).min(LEN - start);
        let bytes = script.byte();
        let mut payload: Vec<u8> = (start..start + len).map(byte).collect();
        if bytes & 7 == 7 {
            payload.iter_mut().for_each(|byte| *byte ^= bytes);
        }
        let captured = if bytes & 0x18 == 0x18 { len / 2 } else { len };
        let acknowledgement = SERVER + 1;
        let frame = segment(Client, self.sequence(start), acknowledgement, "A", 65_535, &payload);
        payload.truncate(captured);
        let after = Some(start + 1);
        if self.origin.is_none() && len == 1 && [self.acknowledged, self.hint].contains(&after) {
            self.keep_alives[start] = true;
        } else {
            for (place, byte) in self.captured[start..].iter_mut().zip(&payload) {
                place.get_or_insert(*byte);
            }
        }
        self.present = (start, payload);
        self.lowest = self.lowest.min(start);
        self.put(start, &frame, 40 + captured);
    }

    /// Holds what the table said since the last time against the array.
    fn compare(&mut self) {
        for event in &self.seen.events[self.compared..] {
            match event {
                Event::Data(offset, bytes, number) => {
                    let origin = *self.origin.get_or_insert(self.starts[*number as usize]);
                    for (at, byte) in (origin + *offset as usize..).zip(bytes) {
                        let right = self.captured[at] == Some(*byte) || self.keep_alives[at];
                        assert!(right, "delivered at position {at}: {byte:#x}");
                    }
                }
                Event::Gap(gap) => {
                    self.gaps += 1;
                    // A stream may begin with a segment of which nothing was captured.
                    let origin = *self.origin.get_or_insert(self.lowest);
                    for at in origin + gap.offset as usize..origin + (gap.offset + gap.len) as usize
                    {
                        assert_eq!(self.before[at], None, "position {at} is no gap");
                    }
                }
                Event::Late(offset, bytes) => {
                    let origin = self.origin.expect("late bytes before the first byte");
                    let from = origin.checked_add_signed(*offset as isize).expect("a position");
                    let skip = from - self.present.0;
                    assert_eq!(*bytes, self.present.1[skip..skip + bytes.len()]);
                    self.late[from..from + bytes.len()].fill(true);
                }
                Event::Conflict(kept, discarded) => {
                    assert_eq!(kept.len(), discarded.len());
                    assert_ne!(kept, discarded);
                }
                Event::Fin(offset) => {
                    assert!(self.fin_sent);
                    let origin = *self.origin.get_or_insert(LEN - *offset as usize);
                    assert_eq!(origin + *offset as usize, LEN);
                }
            }
        }
        self.compared = self.seen.events.len();
    }

    fn finish(&mut self) {
        let ended = self.seen.ended.is_some();
        self.before.clone_from(&self.captured);
        self.present = (0, Vec::new());
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
            assert!(self.captured.iter().all(Option::is_none), "the stream was swallowed");
            return;
        };
        let mut delivered = vec![false; LEN];
        for event in &self.seen.events {
            if let Event::Data(offset, bytes, _) = event {
                let from = origin + *offset as usize;
                delivered[from..from + bytes.len()].fill(true);
            }
        }
        let end = self.captured.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        assert!(origin + self.seen.next as usize >= end, "the stream ends early");
        if self.gaps > REMEMBERED_GAPS {
            return;
        }
        for (at, delivered) in delivered.into_iter().enumerate() {
            let told = delivered || self.late[at] || self.captured[at].is_none();
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
        self.events.push(Event::Data(data.offset, data.bytes.to_vec(), data.packet_number));
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
            .map(|event| if let Event::Data(_, bytes, _) = event { bytes.len() as u64 } else { 0 })
            .sum();
        assert_eq!(record.initiator.delivered_bytes, bytes);
        assert!(self.ended.replace(record.clone()).is_none(), "ended twice");
    }
}
