//! Captures written by other programs, with random mutations: each captured byte of a TCP flow must
//! be accounted for.
//!
//! `RINGTAP_CORPUS` names a folder with an `INDEX.tsv`, of which the columns `file`, `size` and
//! `tcp_streams` are used. `RINGTAP_MUTATIONS` sets the number of cases.

mod mutation;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use capture_file::{CaptureFile, Next, PacketBatch as _, PacketSource as _, Timeout};
use flow::{FiveTuple, FiveTupleKey, FlowHandler, FlowTable, Parsed, Scope};
use flow_testkit::ledger;
use traffic::Random;

use ledger::Ledger;
use mutation::{Frame, mutate};

/// The maximum size of a capture, in bytes.
const LARGEST: u64 = 2_000_000;
/// The maximum number of packets taken from a capture.
const PACKETS: usize = 400;
/// The 802.11 link types. A frame may contain several packets, and the parser returns only the
/// first.
const WIRELESS: [u16; 5] = [105, 119, 127, 163, 192];

#[test]
fn each_captured_byte_is_told_once() {
    let Some(corpus) = std::env::var_os("RINGTAP_CORPUS").map(PathBuf::from) else {
        eprintln!(
            "SKIPPED: RINGTAP_CORPUS is not set; it names a folder of captures with an INDEX.tsv"
        );
        return;
    };
    let index = match std::fs::read_to_string(corpus.join("INDEX.tsv")) {
        Ok(index) => index,
        Err(error) => {
            let required =
                std::env::var_os("RINGTAP_REQUIRE_LIVE").is_some_and(|value| value == "1");
            assert!(!required, "{} has no index: {error}", corpus.display());
            eprintln!("SKIPPED: {} has no index: {error}", corpus.display());
            return;
        }
    };
    let files = files(&index);
    assert!(!files.is_empty(), "the index names no captures with TCP");
    let (mut bytes, mut wrong) = (0, Vec::new());
    for number in 0..cases() {
        let case = Case::new(number, &corpus, &files);
        match case.bytes() {
            Ok(more) => bytes += more,
            Err(message) => {
                wrong.push(format!("case {number}: {message}\n{}", case.minimal()));
            }
        }
    }
    eprintln!("{} cases, {bytes} bytes of payload", cases());
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(bytes > 1_000 * u64::from(cases()), "there is something to account for");
}

fn cases() -> u32 {
    std::env::var("RINGTAP_MUTATIONS").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200)
}

/// A mutated capture, determined by its number.
#[derive(Clone)]
struct Case {
    options: u8,
    frames: Vec<Frame>,
}

impl Case {
    fn new(number: u32, corpus: &Path, files: &[&str]) -> Self {
        let mut random = Random::new(u64::from(number));
        let mut frames = Vec::new();
        // Two concatenated captures sometimes share addresses.
        for _ in 0..1 + u8::from(random.one_of(4)) {
            let file = files[random.below(files.len() as u64) as usize];
            frames.extend(part(read(&corpus.join(file)), &mut random));
        }
        for _ in 0..random.logarithmic(40) {
            mutate(&mut frames, &mut random);
        }
        Self { options: random.any() as u8, frames }
    }

    /// The number of payload bytes that must be accounted for.
    fn bytes(&self) -> Result<u64, String> {
        let run = || {
            let mut ledger = Ledger::new(self.options);
            for frame in &self.frames {
                // A mutation may make a packet look like a fragment.
                if !is_fragment(frame) {
                    ledger.pass(frame.packet());
                }
            }
            ledger.finish()
        };
        catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref().map(|text: &&str| (*text).to_owned()))
                .unwrap_or_default()
        })
    }

    /// The packets that still cause the failure after as many as possible were left out.
    fn minimal(&self) -> String {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let mut least = self.clone();
        let mut step = least.frames.len().div_ceil(2);
        while step > 0 {
            let mut at = 0;
            while at < least.frames.len() {
                let mut less = least.clone();
                less.frames.drain(at..(at + step).min(less.frames.len()));
                if less.bytes().is_err() {
                    least = less;
                } else {
                    at += step;
                }
            }
            step = if step == 1 { 0 } else { step.div_ceil(2) };
        }
        let message = least.bytes().err().unwrap_or_default();
        std::panic::set_hook(hook);
        let lines: Vec<_> = least.frames.iter().map(line).collect();
        format!("  options {}: {message}\n{}", least.options, lines.join("\n"))
    }
}

/// The captures with TCP up to the maximum size.
fn files(index: &str) -> Vec<&str> {
    let mut lines = index.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let column = |name| names.iter().position(|column| *column == name);
    let (Some(file), Some(size), Some(streams)) =
        (column("file"), column("size"), column("tcp_streams"))
    else {
        return Vec::new();
    };
    lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
            (number(streams)? > 0 && number(size)? <= LARGEST).then_some(fields[file])
        })
        .collect()
}

/// The packets up to the end or to the damage.
fn read(path: &Path) -> Vec<Frame> {
    let mut frames = Vec::new();
    let Ok(mut source) = CaptureFile::open(path) else { return frames };
    while let Ok(Next::Batch(batch)) = source.next_batch(Timeout::Never) {
        for packet in batch.packets() {
            let packet = packet.without_fcs();
            let frame = Frame {
                data: packet.data().to_vec(),
                wire_len: packet.wire_len(),
                time: packet.timestamp().as_nanos(),
                link_type: packet.link_type(),
                vlan: packet.vlan(),
            };
            if !WIRELESS.contains(&frame.link_type.0)
                && frame.tcp().is_some()
                && !is_aggregate(&frame)
            {
                frames.push(frame);
            }
        }
    }
    frames
}

/// At most the maximum number of packets, from the beginning or from a random position.
fn part(mut frames: Vec<Frame>, random: &mut Random) -> Vec<Frame> {
    let spare = frames.len().saturating_sub(PACKETS);
    let from = if random.one_of(2) { 0 } else { random.below(spare as u64 + 1) as usize };
    frames.drain(..from);
    frames.truncate(PACKETS);
    frames
}

/// `true` if a frame in a tunnel contains several packets, as 802.11 frames do: the table reads
/// more of it than the parser.
fn is_aggregate(frame: &Frame) -> bool {
    struct Nothing;
    impl FlowHandler<FiveTupleKey> for Nothing {}

    let Some(headers) = frame.tcp().filter(|headers| headers.scope != Scope::NONE) else {
        return false;
    };
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
    table.process([frame.packet()], &mut Nothing);
    table.finish(&mut Nothing);
    let statistics = table.statistics();
    let read = statistics.delivered_bytes + statistics.repeated_bytes + statistics.unplaced_bytes;
    read > u64::from(headers.payload_len)
}

fn is_fragment(frame: &Frame) -> bool {
    matches!(flow::parse(&frame.packet()), Ok(Parsed::Fragment(_) | Parsed::FrameFragment(_)))
}

fn line(frame: &Frame) -> String {
    let Some(h) = frame.tcp() else { return format!("    {} no TCP", frame.time) };
    format!(
        "    {} {}:{} > {}:{} seq {} ack {} win {} flags {:02x} len {} of {}",
        frame.time,
        h.source,
        h.source_port,
        h.destination,
        h.destination_port,
        h.tcp.sequence,
        h.tcp.acknowledgement,
        h.tcp.window,
        h.tcp.flags.0,
        h.payload_len,
        h.payload_wire_len
    )
}
