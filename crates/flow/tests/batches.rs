//! Packets in batches of any size. The events must not depend on the size.

use flow::{
    Conflict, Data, Datagram, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowRecord, FlowSide,
    FlowTable, Gap, LinkType, Packet, Timestamp,
};
use flow_testkit::{frame, segments};

use self::frame::Frame;
use self::segments::{Client, Server, segment};

/// All events, as text.
#[derive(Default)]
struct Diary(Vec<String>);

type Key = FiveTupleKey;

impl FlowHandler<Key> for Diary {
    fn on_start(&mut self, flow: &Flow<'_, Key>) {
        self.0.push(format!("{flow:?} starts"));
    }
    fn on_data(&mut self, flow: &Flow<'_, Key>, side: FlowSide, data: Data<'_>) {
        self.0.push(format!("{flow:?} {side:?} {data:?}"));
    }
    fn on_gap(&mut self, flow: &Flow<'_, Key>, side: FlowSide, gap: Gap) {
        self.0.push(format!("{flow:?} {side:?} {gap:?}"));
    }
    fn on_late(&mut self, flow: &Flow<'_, Key>, side: FlowSide, data: Data<'_>) {
        self.0.push(format!("{flow:?} {side:?} late {data:?}"));
    }
    fn on_conflict(&mut self, flow: &Flow<'_, Key>, side: FlowSide, conflict: Conflict<'_>) {
        self.0.push(format!("{flow:?} {side:?} {conflict:?}"));
    }
    fn on_fin(&mut self, flow: &Flow<'_, Key>, side: FlowSide, offset: u64) {
        self.0.push(format!("{flow:?} {side:?} ends at {offset}"));
    }
    fn on_datagram(&mut self, flow: &Flow<'_, Key>, side: FlowSide, datagram: Datagram<'_>) {
        self.0.push(format!("{flow:?} {side:?} {datagram:?}"));
    }
    fn on_end(&mut self, flow: &Flow<'_, Key>, record: &FlowRecord<Key>) {
        self.0.push(format!("{flow:?} {record:?}"));
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// Frames of a few connections that begin, end and begin again, in random order. Among them are
/// tagged frames, datagrams, IPv6 and fragments.
fn traffic(random: &mut Random, count: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while frames.len() < count {
        let payload = &b"abcdefghij"[..random.below(10) as usize];
        let host = random.one_of(&[Client, Server]);
        let flags = random.one_of(&["A", "A", "A", "A", "AP", "S", "SA", "AF", "R", "RA"]);
        let (sequence, acknowledgement) = (random.below(40) as u32, random.below(40) as u32);
        let mut packet = segment(host, sequence, acknowledgement, flags, 60_000, payload);
        let port = if host == Client { 21 } else { 23 };
        packet[port] = random.below(24) as u8;
        let datagram = Frame::new(payload).udp(4_000 + random.below(4) as u16, 5_000);
        let id = frames.len() as u16;
        let frame = match random.below(16) {
            0 | 4 => {
                let vlan = random.one_of(&[7, 8]);
                Frame(packet).within(&[0x00, vlan, 0x08, 0x00]).ethernet(0x8100).0
            }
            1 => datagram.ipv4(17).ethernet(0x0800).0,
            2 => datagram.ipv6(17).ethernet(0x86dd).0,
            3 => {
                let whole = Frame::new(&[7; 24]).udp(4_000, 5_000).0;
                let piece = |bytes: &[u8], word| {
                    Frame::new(bytes).ipv4_with(17, &[], id, word).ethernet(0x0800).0
                };
                frames.push(piece(&whole[..16], 0x2000));
                piece(&whole[16..], 2)
            }
            _ => Frame(packet).ethernet(0x0800).0,
        };
        frames.push(frame);
    }
    frames
}

fn packets(frames: &[Vec<u8>]) -> Vec<Packet<'_>> {
    frames
        .iter()
        .zip(1_u64..)
        .map(|(frame, number)| {
            let time = Timestamp::from_nanos(1_700_000_000_000_000_000 + number * 7_000_000);
            let mut packet = Packet::new(frame, time, LinkType::ETHERNET);
            packet.meta_mut().number = number;
            packet
        })
        .collect()
}

fn told(packets: &[Packet<'_>], batch: impl FnMut() -> usize) -> Vec<String> {
    told_and_joined(packets, batch).0
}

/// Returns the events, and the number of directions that were joined across scopes.
fn told_and_joined(packets: &[Packet<'_>], mut batch: impl FnMut() -> usize) -> (Vec<String>, u64) {
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).max_flows(20).build();
    let mut diary = Diary::default();
    let mut rest = packets;
    while !rest.is_empty() {
        let (now, then) = rest.split_at(batch().min(rest.len()));
        table.process(now.iter().copied(), &mut diary);
        rest = then;
    }
    assert_eq!(table.statistics().packets, packets.len() as u64);
    table.finish(&mut diary);
    (diary.0, table.statistics().scopes_joined)
}

#[test]
fn events_do_not_depend_on_how_packets_are_batched() {
    let mut joins = 0;
    for seed in 1..40 {
        let mut random = Random(seed);
        let frames = traffic(&mut random, 1_500);
        let packets = packets(&frames);
        let (one_by_one, joined) = told_and_joined(&packets, || 1);
        joins += joined;
        assert!(one_by_one.len() > 1_000);
        let at_once = told(&packets, || packets.len());
        let at_random = told(&packets, || 1 + random.below(200) as usize);
        for other in [at_once, at_random] {
            let differs = one_by_one.iter().zip(&other).position(|(a, b)| a != b);
            if let Some(at) = differs {
                panic!("seed {seed}: {} but {}", one_by_one[at], other[at]);
            }
            assert_eq!(one_by_one.len(), other.len(), "seed {seed}");
        }
    }
    assert!(joins > 10, "{joins}");
}

/// The per-packet counters have half the width of the reported ones.
#[test]
fn counters_hold_more_than_32_bits() {
    #[derive(Default)]
    struct Last(Vec<FlowRecord<Key>>);
    impl FlowHandler<Key> for Last {
        fn on_end(&mut self, _: &Flow<'_, Key>, record: &FlowRecord<Key>) {
            self.0.push(record.clone());
        }
    }
    let frames: Vec<_> = [("S", 9, 0), ("SA", 29, 10), ("A", 10, 30), ("A", 10, 30), ("A", 10, 30)]
        .into_iter()
        .map(|(flags, sequence, acknowledgement)| {
            let host = if flags == "SA" { Server } else { Client };
            let packet = segment(host, sequence, acknowledgement, flags, 60_000, b"");
            Frame(packet).ethernet(0x0800).0
        })
        .chain([Frame::new(b"datagram").udp(4_000, 5_000).ipv4(17).ethernet(0x0800).0])
        .collect();
    let mut packets = packets(&frames);
    packets.push(packets[5]);
    for packet in &mut packets {
        packet.meta_mut().wire_len = u32::MAX - 1;
    }
    let mut last = Last::default();
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
    // Twice, so that the second round starts without remains of the first flows.
    for _ in 0..2 {
        last.0.clear();
        table.process(packets.iter().copied(), &mut last);
        table.finish(&mut last);
        last.0.sort_by_key(|record| record.key.protocol);
        let sides: Vec<_> =
            last.0.iter().flat_map(|record| [record.initiator, record.responder]).collect();
        let counted: Vec<_> = sides.iter().map(|side| (side.packets, side.wire_bytes)).collect();
        let each = u64::from(u32::MAX - 1);
        assert_eq!(counted, [(4, 4 * each), (1, each), (2, 2 * each), (0, 0)]);
        assert_eq!(sides[2].payload_bytes, 16);
    }
}

#[test]
fn flows_are_expected_before_their_payload_comes() {
    #[derive(Default)]
    struct Memory {
        expected: Vec<usize>,
        surprises: usize,
        data: usize,
    }
    impl FlowHandler<Key> for Memory {
        fn prefetch_hint(&mut self, slot: usize) {
            self.expected.push(slot);
        }
        fn on_data(&mut self, flow: &Flow<'_, Key>, _: FlowSide, _: Data<'_>) {
            self.data += 1;
            let expected = self.expected.iter().position(|slot| *slot == flow.id.slot());
            match expected {
                Some(at) => drop(self.expected.remove(at)),
                None => self.surprises += 1,
            }
        }
    }
    let frame = |number: u8, flags, sequence, payload: &[u8]| {
        let mut packet = segment(Client, sequence, 0, flags, 60_000, payload);
        packet[21] = number;
        Frame(packet).ethernet(0x0800).0
    };
    let begun: Vec<_> = (0..40).map(|number| frame(number, "S", 9, b"")).collect();
    let go_on: Vec<_> = (0..40).map(|number| frame(number, "A", 10, b"payload")).collect();
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
    let mut memory = Memory::default();
    table.process(packets(&begun), &mut memory);
    table.process(packets(&go_on), &mut memory);
    assert_eq!((memory.data, memory.expected.len()), (40, 0));
    assert!(memory.surprises < 10, "{} of 40 came unexpected", memory.surprises);
}
