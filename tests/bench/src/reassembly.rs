//! Tracking and exact reassembly of whole captures, in memory, and from a file for comparison with
//! programs that do nothing else.

mod reader;

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use etherparse::SlicedPacket;
use flow::{Data, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowSide, FlowTable};
use flowscope::{
    FlowTracker, FlowTrackerConfig, PacketView, Reassembler, extract::FiveTuple as Theirs,
    segment_reassembler::SegmentBufferReassembler,
};
use serde::Deserialize;

pub(crate) use reader::play;

use crate::measure::{Spread, in_turns, time};
use crate::memory;
use crate::peer::{self, Place, Unavailable};
use crate::processes::{Contents, Files};
use crate::report::{Bar, Row};
use crate::traffic::{Capture, Connection, Mix, bits};

/// Counts bytes without reading them.
#[derive(Default)]
struct Counter {
    bytes: u64,
}

impl FlowHandler<FiveTupleKey> for Counter {
    #[inline]
    fn on_data(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        self.bytes += black_box(data.bytes).len() as u64;
    }
}

/// Reads every byte.
#[derive(Default)]
struct Reader {
    sum: u64,
}

impl FlowHandler<FiveTupleKey> for Reader {
    #[inline]
    fn on_data(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        let (words, rest) = data.bytes.as_chunks::<8>();
        let words = words.iter().fold(0, |sum, word| sum ^ u64::from_ne_bytes(*word));
        self.sum ^= rest.iter().fold(words, |sum, byte| sum ^ u64::from(*byte));
    }
}

/// Copies every byte into a buffer, over and over.
struct Copier {
    buffer: Vec<u8>,
}

impl FlowHandler<FiveTupleKey> for Copier {
    #[inline]
    fn on_data(&mut self, _: &Flow<'_, FiveTupleKey>, _: FlowSide, data: Data<'_>) {
        self.buffer[..data.bytes.len()].copy_from_slice(data.bytes);
        black_box(&mut self.buffer);
    }
}

/// Without loss, because tcpflow fills gaps with zeroes.
const FILES: [(&str, Mix); 2] = [
    ("mixed", Mix { connections: 24_000, lost: 0, ..Mix::MIXED }),
    ("bulk", Mix { connections: 200, ..Mix::BULK }),
];

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = of_capture("mixed", &Mix::MIXED.capture(), Some(12.0), 0.6);
    rows.extend(of_capture("bulk", &Mix::BULK.capture(), None, 0.8));
    rows.push(against_memcpy());
    for (name, mix) in FILES {
        match of_file(name, &mix) {
            Ok(of_file) => rows.extend(of_file),
            Err(reason) => eprintln!("{name}: {reason}"),
        }
    }
    rows
}

/// Ours is a process that hashes every byte. tcpflow writes them to files.
fn of_file(name: &str, mix: &Mix) -> Result<[Row; 2], Unavailable> {
    let files = Files::new(&format!("reassembly-{name}"), mix)?;
    let ours = peer::this(reader::ROLE)?;
    let contents: Contents = ours.run(Place::default(), &[files.capture.as_os_str()])?;
    let megabytes = contents.bytes / 1_000_000;
    let case = format!("{name} capture file, {} packets, {megabytes} MB hashed,", contents.packets);
    Ok(files.rows(("reassembly", &case), contents, (&ours, &[]), [None, None]))
}

fn of_capture(name: &str, capture: &Capture, driver: Option<f64>, headers_only: f64) -> Vec<Row> {
    let packets = capture.len();
    let mut delivered = 0;
    let mut allocations = 0;
    let times = in_turns(
        5,
        &mut [
            &mut || {
                let mut counter = Counter::default();
                let before = memory::allocations();
                let time = run(capture, &mut counter);
                allocations = memory::allocations() - before;
                delivered = counter.bytes;
                time
            },
            &mut || {
                let mut reader = Reader::default();
                let time = run(capture, &mut reader);
                black_box(reader.sum);
                time
            },
            &mut || headers(capture),
            &mut || flowscope(capture),
        ],
    );
    let size = capture.bytes() as f64 / packets as f64;
    let gigabits = |spread: &Spread| spread.median * size * 8.0 / 1e3;
    let ours = Spread::millions(&times[0], packets);
    let reading = Spread::millions(&times[1], packets);
    let sliced = Spread::millions(&times[2], packets);
    let theirs = Spread::millions(&times[3], packets);
    assert!(delivered > 0);
    let case = |what: &str, spread: &Spread| {
        format!("{name}, {size:.0} bytes a packet: {what} ({:.1} Gbit/s)", gigabits(spread))
    };
    let row = |case, subject, peer, bar| Row {
        group: "reassembly",
        case,
        unit: "Mpps",
        subject,
        peer,
        bar,
    };
    vec![
        row(
            case("every byte delivered", &ours),
            ours,
            Some(("etherparse, headers only".into(), sliced)),
            Some(Bar::RatioAtLeast(headers_only)),
        ),
        row(
            case("every byte delivered", &ours),
            ours,
            Some(("flowscope 0.22, segment reassembler".into(), theirs)),
            None,
        ),
        row(
            case("every byte delivered", &ours),
            ours,
            Some(peer::figure("flowscope 0.26, its driver", flowscope_driver(name, packets))),
            driver.map(Bar::RatioAtLeast),
        ),
        row(case("every byte delivered and read", &reading), reading, None, None),
        Row {
            unit: "",
            ..row(
                format!("{name}: allocations a packet, new flows and reordering included"),
                Spread::single(allocations as f64 / packets as f64),
                None,
                None,
            )
        },
    ]
}

fn run(capture: &Capture, handler: &mut impl FlowHandler<FiveTupleKey>) -> Duration {
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
    time(|| table.process(capture.packets(), handler))
}

fn headers(capture: &Capture) -> Duration {
    time(|| {
        for frame in capture.frames() {
            let _ = black_box(SlicedPacket::from_ethernet(frame));
        }
    })
}

fn flowscope(capture: &Capture) -> Duration {
    let mut config = FlowTrackerConfig::default();
    config.max_flows = 1 << 20;
    let mut tracker: FlowTracker<Theirs, ()> =
        FlowTracker::with_config(Theirs::bidirectional(), config);
    let mut streams: HashMap<_, SegmentBufferReassembler, ahash::RandomState> = HashMap::default();
    let mut bytes = 0;
    let elapsed = time(|| {
        for packet in capture.packets() {
            let nanos = packet.timestamp().subsec_nanos();
            let at = flowscope::Timestamp::new(packet.timestamp().seconds() as u32, nanos);
            let view = PacketView::new(packet.data(), at);
            tracker.track_with_payload(view, |key, side, sequence, payload| {
                let stream = streams.entry((*key, side)).or_default();
                stream.segment(sequence, payload, at);
                bytes += black_box(stream.take()).len();
            });
        }
    });
    black_box(bytes);
    elapsed
}

/// flowscope's driver with its own reassemblers, in a separate process.
fn flowscope_driver(capture: &str, packets: usize) -> Result<Spread, Unavailable> {
    #[derive(Deserialize)]
    struct Runs {
        nanos: Vec<u64>,
    }
    let runs: Runs = peer::rust("flowscope-driver")?.run(Place::default(), &[capture])?;
    let times: Vec<_> = runs.nanos.into_iter().map(Duration::from_nanos).collect();
    Ok(Spread::millions(&times, packets))
}

/// One connection that sends full segments in order. Each byte is copied once, as with a plain
/// `memcpy`.
fn against_memcpy() -> Row {
    let mut capture = Capture::with_pace(1_000);
    let mut connection = Connection::new(1);
    connection.send(&mut capture, 0, bits::SYN, 0);
    connection.send(&mut capture, 1, bits::SYN | bits::ACK, 0);
    for number in 0..200_000 {
        connection.send(&mut capture, 1, bits::ACK, 1460);
        if number % 2 == 0 {
            connection.send(&mut capture, 0, bits::ACK, 0);
        }
    }
    let mut copier = Copier { buffer: vec![0; 1 << 16] };
    let mut buffer = vec![0_u8; 1 << 16];
    let payloads: Vec<&[u8]> =
        capture.frames().filter(|frame| frame.len() > 60).map(|frame| &frame[54..]).collect();
    let times = in_turns(
        7,
        &mut [&mut || run(&capture, &mut copier), &mut || {
            time(|| {
                for payload in &payloads {
                    buffer[..payload.len()].copy_from_slice(payload);
                    black_box(&mut buffer);
                }
            })
        }],
    );
    let megabytes = payloads.len() * 1460;
    Row {
        group: "reassembly",
        case: "full-size segments in order, copied once by the handler".into(),
        unit: "MB/s",
        subject: Spread::millions(&times[0], megabytes),
        peer: Some(("memcpy of the payloads".into(), Spread::millions(&times[1], megabytes))),
        bar: Some(Bar::RatioAtLeast(0.5)),
    }
}
