//! Packets that `capture --where` writes, judged by tshark.
//!
//! `RINGTAP_CORPUS` is a folder with captures. For each of a few files and conditions, the frames
//! that are written are those of the streams of which tshark's display filter passes a packet, in
//! the same order and with the same bytes, times and lengths.
//!
//! Differences of streams, which the comparison leaves out by name:
//!
//! - An ICMP error, which tshark counts to the stream that it is about. It is not a packet of it.
//! - Fragments other than the last: tshark names the stream in the packet that completes the
//!   datagram alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const FILES: &[&str] = &[
    "zeek/var-services-std-ports.pcap",
    "zeek/wikipedia.pcap",
    "joy/test__pcaps__firefox58.pcap",
    "zeek/http__methods.pcap",
];

/// Conditions that mean the same in tshark for a stream of which one packet passes.
const CONDITIONS: &[&str] = &[
    "tcp",
    "udp",
    "tcp.port == 80",
    "tcp.port == 443 or udp.port == 53",
    "tcp.payload contains \"HTTP/1.1\"",
    "tcp.payload contains \"200 OK\" and tcp.port == 80",
    "udp.payload contains \"wikipedia\"",
    "ip.addr == 192.168.0.0/16",
    "tcp.payload contains \"\\x16\\x03\\x01\"",
];

const TRANSPORT: &str = "(tcp || udp) && !icmp && !icmpv6";

fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-2", "-T", "fields", "-E", "occurrence=f", "-r"]).arg(file);
    command.args(["-Y", filter]);
    fields.iter().for_each(|field| {
        command.args(["-e", field]);
    });
    let output = command.output().expect("tshark is installed (Debian: apt-get install tshark)");
    assert!(output.status.success(), "{filter}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// The frames of a file with their time, lengths and MD5, and the number of each.
fn frames(file: &Path) -> BTreeMap<u64, String> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-o", "frame.generate_md5_hash:TRUE", "-T", "fields", "-r"]).arg(file);
    let fields =
        ["frame.number", "frame.time_epoch", "frame.len", "frame.cap_len", "frame.md5_hash"];
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark is installed (Debian: apt-get install tshark)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let frame = |line: &str| {
        let (number, rest) = line.split_once('\t').expect("a number");
        (number.parse().expect("a number"), rest.to_owned())
    };
    text.lines().map(frame).collect()
}

/// The frames of the streams of which a packet passes a display filter.
fn judged(file: &Path, filter: &str, streams: &[Vec<String>]) -> BTreeSet<u64> {
    let passes = tshark(file, &format!("{TRANSPORT} && ({filter})"), &["tcp.stream", "udp.stream"]);
    let passes: BTreeSet<_> = passes.into_iter().collect();
    let of = |row: &&Vec<String>| passes.contains(&row[1..3]);
    streams.iter().filter(of).map(|row| row[0].parse().expect("a number")).collect()
}

#[test]
fn written_frames_are_those_of_tsharks_streams() {
    let Some(corpus) = std::env::var_os("RINGTAP_CORPUS") else {
        eprintln!("SKIPPED: RINGTAP_CORPUS names no folder with captures");
        return;
    };
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("capture-judge.pcapng");
    let (mut written, mut wrong) = (0, Vec::new());
    for name in FILES {
        let file = Path::new(&corpus).join(name);
        let all = frames(&file);
        let streams = tshark(&file, TRANSPORT, &["frame.number", "tcp.stream", "udp.stream"]);
        let known: BTreeSet<u64> =
            streams.iter().map(|row| row[0].parse().expect("a number")).collect();
        // Frames without a stream in tshark, by the causes above.
        let unknown: BTreeSet<&String> =
            all.iter().filter(|(number, _)| !known.contains(number)).map(|(_, one)| one).collect();
        for condition in CONDITIONS {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
            command.args(["capture", "--where", condition, "--read"]).arg(&file);
            let output = command.arg("-w").arg(&target).output().expect("the command runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let expected = judged(&file, condition, &streams);
            let is_expected = |(number, _): &(&u64, &String)| expected.contains(number);
            let expected: Vec<&String> =
                all.iter().filter(is_expected).map(|(_, one)| one).collect();
            let found = frames(&target);
            let found: Vec<&String> =
                found.values().filter(|frame| !unknown.contains(frame)).collect();
            written += found.len();
            if found != expected {
                let same = found.iter().zip(&expected).take_while(|(a, b)| a == b).count();
                wrong.push(format!(
                    "{name}: {condition}: {} frames instead of {}, same up to {same}: {:?}, {:?}",
                    found.len(),
                    expected.len(),
                    found.get(same),
                    expected.get(same),
                ));
            }
        }
    }
    let _ = std::fs::remove_file(&target);
    eprintln!("{written} frames compared");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(written > 1_000, "{written}");
}
