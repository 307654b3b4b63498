//! The cost that an attacker can cause in the table.
//!
//! Each row compares the time per packet for many packets with that for fewer of the same kind.
//! Under n log n it grows by at most a quarter, plus the effect of caches. A linear search would
//! show up as the ratio of the counts itself.

use std::time::Duration;

use flow::{FiveTuple, FiveTupleKey, FlowHandler, FlowTable, FlowTableBuilder};

use crate::measure::{Spread, in_turns, time};
use crate::memory;
use crate::report::{Bar, Row};
use crate::traffic::{Capture, Random};

struct Nobody;
impl FlowHandler<FiveTupleKey> for Nobody {}

const MIB: f64 = (1 << 20) as f64;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(
        Attack {
            what: "one-byte segments out of order",
            counts: [8 << 10, 64 << 10],
            packets: segments,
            table: |_, builder| builder,
            growth: 2.0,
            limit: Some(("default limit of a direction", 8.0)),
        }
        .rows(),
    );
    // Far beyond the limit, so that each segment turns the oldest hole into a gap.
    rows.extend(
        Attack {
            what: "one-byte segments out of order, beyond the limit",
            counts: [125_000, 500_000],
            packets: segments,
            table: |_, builder| builder,
            growth: 2.0,
            limit: Some(("default limit of a direction", 8.0)),
        }
        .rows(),
    );
    rows.extend(
        Attack {
            what: "SYNs without an answer, each a flow",
            counts: [64 << 10, 1 << 20],
            packets: |count| synchronise(count, scattered),
            table: |_, builder| builder,
            growth: 3.5,
            limit: Some(("288 bytes a flow", 288.0)),
        }
        .rows(),
    );
    rows.extend(
        Attack {
            what: "SYNs without an answer, four for each place in the table",
            counts: [64 << 10, 1 << 20],
            packets: |count| synchronise(count, scattered),
            table: |count, builder| builder.max_flows(count / 4),
            growth: 3.5,
            limit: Some(("288 bytes a flow, 256 k flows", 72.0)),
        }
        .rows(),
    );
    rows.extend(
        Attack {
            what: "holes that nobody fills, each in a flow of its own",
            counts: [64 << 10, 1 << 20],
            packets: holes,
            table: |_, builder| builder,
            growth: 3.5,
            // 288 bytes for the flow, 256 for the direction with the hole, and the table's limit.
            limit: Some(("544 bytes a flow and the default limit of the table", 544.0)),
        }
        .rows(),
    );
    rows.extend(
        Attack {
            what: "fragments that never complete, each of another datagram",
            counts: [64 << 10, 1 << 20],
            packets: |count| fragments(count, 1),
            table: |_, builder| builder,
            growth: 2.0,
            limit: Some(("default limit of fragments", 16.0)),
        }
        .rows(),
    );
    rows.extend(
        Attack {
            what: "fragments of 8 bytes, all but the last of each datagram",
            counts: [64 << 10, 1 << 20],
            packets: |count| fragments(count, 8000),
            table: |_, builder| builder,
            growth: 2.0,
            limit: Some(("default limit of fragments", 16.0)),
        }
        .rows(),
    );
    rows.push(chosen_addresses());
    rows
}

/// Packets of one kind, in two numbers.
struct Attack {
    what: &'static str,
    counts: [usize; 2],
    packets: fn(usize) -> Capture,
    table: fn(usize, FlowTableBuilder<FiveTuple>) -> FlowTableBuilder<FiveTuple>,
    /// The maximum ratio of the times per packet.
    growth: f64,
    /// The stated limit, and its value in MiB.
    limit: Option<(&'static str, f64)>,
}

impl Attack {
    fn rows(&self) -> Vec<Row> {
        let [small, large] = self.counts.map(self.packets);
        let mut used = 0;
        let times = in_turns(
            3,
            &mut [&mut || self.run(0, &small).0, &mut || {
                let (time, bytes) = self.run(1, &large);
                used = bytes;
                time
            }],
        );
        let [few, many] = [(0, &small), (1, &large)]
            .map(|(at, capture)| Spread::nanos_each(&times[at], capture.len()));
        let mut rows = vec![Row {
            group: "hostile",
            case: format!("{}: {} of them", self.what, count(self.counts[1])),
            unit: "ns a packet",
            subject: many,
            peer: Some((format!("{} of them", count(self.counts[0])), few)),
            bar: Some(Bar::RatioAtMost(self.growth)),
        }];
        if let Some((name, limit)) = self.limit {
            rows.push(Row {
                group: "hostile",
                case: format!("the same: memory in the end ({name}: {limit:.0} MiB)"),
                unit: "MiB",
                subject: Spread::single(used as f64 / MIB),
                peer: None,
                bar: Some(Bar::AtMost(limit)),
            });
        }
        rows
    }

    /// Returns the time, and the table's memory at the end.
    fn run(&self, at: usize, capture: &Capture) -> (Duration, u64) {
        let before = memory::bytes();
        let builder = FlowTable::builder(FiveTuple::bidirectional());
        let mut table = (self.table)(self.counts[at], builder).build();
        let time = time(|| table.process(capture.packets(), &mut Nobody));
        (time, memory::bytes() - before)
    }
}

fn count(count: usize) -> String {
    match count {
        count if count >= 1 << 20 => format!("{} M", count >> 20),
        count if count.is_multiple_of(1 << 10) => format!("{} k", count >> 10),
        count => format!("{} k", count / 1000),
    }
}

/// A SYN, then every other byte of a stream in scattered order, without the first one.
fn segments(count: usize) -> Capture {
    let mut capture = Capture::with_pace(1_000);
    let ends = ([10, 0, 0, 1], 40_000, [10, 0, 0, 2], 80);
    capture.push(&packet(ends, 1000, 2, &[]));
    // A prime that divides no count, so that this is a permutation.
    for number in 0..count {
        let offset = 1 + 2 * (number * 7919 % count) as u32;
        capture.push(&packet(ends, 1001 + offset, 16, b"x"));
    }
    capture
}

/// A SYN, then a byte that is not the first, of each connection.
fn holes(count: usize) -> Capture {
    let mut capture = Capture::with_pace(100);
    for number in 0..count as u32 / 2 {
        capture.push(&packet(scattered(number), number, 2, &[]));
        capture.push(&packet(scattered(number), number.wrapping_add(2), 16, b"x"));
    }
    capture
}

type Ends = ([u8; 4], u16, [u8; 4], u16);

fn synchronise(count: usize, ends: fn(u32) -> Ends) -> Capture {
    let mut capture = Capture::with_pace(100);
    for number in 0..count as u32 {
        capture.push(&packet(ends(number), number, 2, &[]));
    }
    capture
}

/// Arbitrary addresses and ports of the Internet.
fn scattered(number: u32) -> Ends {
    let mix = number.wrapping_mul(0x9e37_79b1);
    (mix.to_be_bytes(), 1024 + (number % 60_000) as u16, [10, 0, 0, 2], 80)
}

/// Addresses and ports whose sums and exclusive ors, alone and together, are all equal.
fn chosen(number: u32) -> Ends {
    let [a, b, c, d] = number.to_be_bytes();
    let low = u16::from_be_bytes([c, d]);
    ([10, a, b, 7], low, [200, !a, !b, 7], !low)
}

/// Compares keys that would collide in a hash table without a seed with scattered keys.
fn chosen_addresses() -> Row {
    const COUNT: usize = 1 << 20;
    let captures = [synchronise(COUNT, chosen), synchronise(COUNT, scattered)];
    let run = |capture: &Capture| {
        let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
        let time = time(|| table.process(capture.packets(), &mut Nobody));
        assert_eq!(table.len(), COUNT);
        time
    };
    let times = in_turns(3, &mut [&mut || run(&captures[0]), &mut || run(&captures[1])]);
    Row {
        group: "hostile",
        case: "1 M flows whose addresses and ports have the same sum and exclusive or".into(),
        unit: "ns a packet",
        subject: Spread::nanos_each(&times[0], COUNT),
        peer: Some(("scattered addresses".into(), Spread::nanos_each(&times[1], COUNT))),
        bar: Some(Bar::RatioAtMost(1.5)),
    }
}

/// The given number of fragments of a datagram, without the last one, then the same of the next
/// datagram.
fn fragments(count: usize, pieces: usize) -> Capture {
    let mut random = Random::new(3);
    let mut capture = Capture::with_pace(100);
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 0, 10, 0, 0, 2]);
    frame.extend([0; 26]);
    for number in 0..count {
        let datagram = (number / pieces) as u32;
        // Scattered, so that no fragment joins its neighbour.
        let piece = (number % pieces * 4099) % pieces;
        frame[18..20].copy_from_slice(&(datagram as u16).to_be_bytes());
        frame[28] = (datagram >> 16) as u8;
        frame[20..22].copy_from_slice(&(0x2000 | piece as u16).to_be_bytes());
        frame[34] = random.next() as u8;
        capture.push(&frame);
    }
    capture
}

/// A TCP segment over IPv4 over Ethernet.
fn packet(
    (source, source_port, destination, destination_port): Ends,
    sequence: u32,
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    frame.extend((40 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(source);
    frame.extend(destination);
    frame.extend(source_port.to_be_bytes());
    frame.extend(destination_port.to_be_bytes());
    frame.extend(sequence.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}
