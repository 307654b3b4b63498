//! Captures from other programs: lengths and times of packets are compared with capinfos and
//! tshark.
//!
//! `RINGTAP_CORPUS` is a folder with an `INDEX.tsv`, of which the column `file` is used.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use capture_file::{
    CaptureFile, LinkType, Next, Packet, PacketBatch as _, PacketSource as _, Timeout, Timestamp,
};

/// tshark is slow to start, so it only gets one file out of this many.
const SHOWN_TO_TSHARK: usize = 100;

/// Wireshark does not count the four-byte header of these packets as part of them.
const SUN_ATM: LinkType = LinkType(123);

/// Totals of a file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    packets: u64,
    wire_bytes: u64,
    /// Timestamps of the earliest and the latest packet, in microseconds since the Unix epoch.
    times: Option<(u64, u64)>,
}

#[test]
fn lengths_and_times_are_those_that_capinfos_finds() {
    let Some(corpus) = corpus() else { return };
    let files = files(&corpus);
    let mut wrong = Vec::new();
    let (mut judged, mut odd_ones) = (0, 0);
    for files in files.chunks(200) {
        // For a file that ends within a packet, the exit status is 1, and the table has all earlier
        // packets.
        let Some(table) = run("capinfos", &["-TMQr", "-cdSaeK"], files, &corpus) else { return };
        for row in table.lines() {
            let fields: Vec<&str> = row.split('\t').map(|field| field.trim_matches('"')).collect();
            let &[name, packets, wire_bytes, first, last] = &fields[..] else {
                panic!("not a row of five: {row}");
            };
            let number = |text: &str| text.parse().expect("a number");
            let expected = Totals {
                packets: number(packets),
                wire_bytes: number(wire_bytes),
                times: micros(first).zip(micros(last)),
            };
            judged += 1;
            let path = corpus.join(name);
            let (mut found, mut timed) = (Totals::default(), true);
            let mut odd = has_odd_records(&path);
            read(&path, |packet| {
                found.packets += 1;
                found.wire_bytes += u64::from(packet.wire_len());
                let time = packet.timestamp();
                timed &= time != Timestamp::default();
                odd |= time.seconds() >= 1 << 31 || packet.link_type() == SUN_ATM;
                let time = time.as_nanos() / 1_000;
                let (first, last) = found.times.unwrap_or((time, time));
                found.times = Some((first.min(time), last.max(time)));
            });
            if odd {
                odd_ones += 1;
                assert_eq!(found.packets, expected.packets, "{name}");
                continue;
            }
            // capinfos reports no times if a packet has none, such as those in simple packet
            // blocks.
            if expected.times.is_none() || !timed {
                found.times = expected.times;
            }
            if found != expected {
                wrong.push(format!("{name}: {found:?}, capinfos has {expected:?}"));
            }
        }
    }
    eprintln!(
        "{judged} files judged, {odd_ones} of them by the number of packets alone, {} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(odd_ones * 50 < judged, "too many odd files for a judgement");
    assert!(judged * 10 > files.len() * 9, "capinfos opened few of {} files", files.len());
    assert!(wrong.is_empty(), "the files above differ");
}

#[test]
fn each_packet_is_as_tshark_has_it() {
    let Some(corpus) = corpus() else { return };
    let mut judged = 0;
    for name in files(&corpus).into_iter().step_by(SHOWN_TO_TSHARK) {
        let mut options = vec!["-n", "-T", "fields", "-r", &name];
        for field in ["number", "len", "cap_len", "time_epoch"] {
            options.extend(["-e", &*format!("frame.{field}").leak()]);
        }
        let Some(table) = run("tshark", &options, &[], &corpus) else { return };
        let mut found = String::new();
        read(&corpus.join(&name), |packet| {
            found += &format!(
                "{}\t{}\t{}\t{}\n",
                packet.number(),
                packet.wire_len(),
                packet.data().len(),
                packet.timestamp()
            );
        });
        // Frames that are not packets have a number but no bytes, and are not delivered.
        let expected: Vec<&str> = table.lines().filter(|line| !line.ends_with('\t')).collect();
        assert_eq!(found.lines().collect::<Vec<_>>(), expected, "{name}");
        judged += 1;
    }
    assert!(judged > 0, "the index names no file");
}

fn corpus() -> Option<PathBuf> {
    let corpus = std::env::var_os("RINGTAP_CORPUS").map(PathBuf::from);
    if corpus.is_none() {
        eprintln!(
            "SKIPPED: RINGTAP_CORPUS is not set; it names a folder of captures with an INDEX.tsv"
        );
    }
    corpus
}

fn files(corpus: &Path) -> Vec<String> {
    let index = std::fs::read_to_string(corpus.join("INDEX.tsv")).expect("the corpus has an index");
    let mut lines = index.lines();
    let heading = lines.next().expect("a heading");
    let column = heading.split('\t').position(|name| name == "file").expect("a column `file`");
    lines.filter_map(|line| line.split('\t').nth(column)).map(str::to_owned).collect()
}

/// Standard output of a judge. `None` if it is not installed and not required.
fn run(program: &str, options: &[&str], files: &[String], folder: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.args(options).args(files).current_dir(folder).stderr(Stdio::null());
    match command.output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            assert!(
                std::env::var_os("RINGTAP_REQUIRE_LIVE").is_none_or(|value| value != "1"),
                "{program} is needed (Debian: apt-get install tshark): {error}"
            );
            eprintln!("SKIPPED: {program} is not installed (Debian: apt-get install tshark)");
            None
        }
    }
}

/// `true` if a pcap file has contradictory records, which each reader interprets differently: a
/// wire length below the captured length, which the reader raises, or more than a million
/// microseconds (Wireshark's sum overflows).
fn has_odd_records(path: &Path) -> bool {
    let bytes = std::fs::read(path).expect("readable");
    let Some(magic) = bytes.first_chunk() else { return false };
    let big_endian = match u32::from_le_bytes(*magic) {
        0xa1b2_c3d4 => false,
        0xd4c3_b2a1 => true,
        _ => return false,
    };
    let mut at = 24;
    while let Some(record) = bytes.get(at..at + 16) {
        let field = |at: usize| {
            let bytes = [record[at], record[at + 1], record[at + 2], record[at + 3]];
            if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        };
        let (fraction, captured, wire) = (field(4), field(8), field(12));
        if wire < captured || fraction >= 1_000_000 {
            return true;
        }
        at += 16 + captured as usize;
    }
    false
}

fn micros(seconds: &str) -> Option<u64> {
    let (whole, fraction) = seconds.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 1_000_000 + fraction.get(..6)?.parse::<u64>().ok()?)
}

/// Passes packets to `show` up to the end or the damage.
fn read(path: &Path, mut show: impl FnMut(&Packet<'_>)) {
    let Ok(mut source) = CaptureFile::open(path) else { return };
    while let Ok(Next::Batch(batch)) = source.next_batch(Timeout::Never) {
        batch.packets().for_each(|packet| show(&packet));
    }
}
