//! flowscope 0.26: its driver with its own reassemblers, fed with a capture in memory. In-order
//! bytes are taken out after each packet. Prints the nanoseconds of each of five runs and the
//! number of bytes.

#[allow(dead_code)]
#[path = "../../../src/traffic.rs"]
mod traffic;

use std::hint::black_box;
use std::time::Duration;

use flowscope::extract::FiveTuple;
use flowscope::reassembler::StreamChunks;
use flowscope::segment_reassembler::SegmentBufferReassemblerFactory;
use flowscope::{FlowDriver, FlowTrackerConfig, PacketView, Timestamp};
use nix::time::{ClockId, clock_gettime};

use self::traffic::{Capture, Mix};

const RUNS: usize = 5;

fn main() {
    let mix = match std::env::args().nth(1).as_deref() {
        Some("mixed") => Mix::MIXED,
        Some("bulk") => Mix::BULK,
        other => {
            eprintln!("no such capture: {other:?}");
            std::process::exit(2);
        }
    };
    let capture = mix.capture();
    // The first run does not count.
    let runs: Vec<(u128, usize)> = (0..=RUNS).map(|_| run(&capture)).skip(1).collect();
    let nanos: Vec<String> = runs.iter().map(|run| run.0.to_string()).collect();
    let bytes = runs.first().map_or(0, |run| run.1);
    println!("{{\"nanos\":[{}],\"bytes\":{bytes}}}", nanos.join(","));
}

fn run(capture: &Capture) -> (u128, usize) {
    let mut config = FlowTrackerConfig::default();
    config.max_flows = 1 << 20;
    let mut driver = FlowDriver::with_config(
        FiveTuple::bidirectional(),
        SegmentBufferReassemblerFactory::default(),
        config,
    );
    let mut chunks = StreamChunks::new();
    let mut bytes = 0;
    let start = thread_time();
    for packet in capture.packets() {
        let nanos = packet.timestamp().subsec_nanos();
        let at = Timestamp::new(packet.timestamp().seconds() as u32, nanos);
        let mut events = driver.track_pending(PacketView::new(packet.data(), at));
        if let Some((key, side)) = driver.last_packet().map(|last| (last.key, last.side)) {
            driver.drain_stream(&key, side, &mut chunks);
            bytes += black_box(&chunks).len();
            chunks.clear();
        }
        driver.finalize(events.as_mut_slice());
    }
    ((thread_time() - start).as_nanos(), bytes)
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has this clock").into()
}
