//! Conditions that are display filters of Wireshark as well, judged by tshark.
//!
//! `RINGTAP_CORPUS` is a folder with captures. For each of a few files and each condition, the
//! flows that `flows --where` shows are those of which tshark's display filter passes a packet.
//!
//! Both mean the same for all conditions here, with these differences, which the lists below
//! respect: tshark tests packets, so that a source address is that of either side, and a payload
//! does not go on in the next packet; its `ip.addr` is IPv4 alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const FILES: &[&str] = &[
    "zeek/var-services-std-ports.pcap",
    "zeek/wikipedia.pcap",
    "joy/test__pcaps__firefox58.pcap",
    "zeek/http__methods.pcap",
];

/// Conditions that hold for a flow if they hold for one of its packets.
const ANY_PACKET: &[&str] = &[
    "tcp",
    "udp",
    "ip",
    "ipv6",
    "not tcp",
    "!udp",
    "ip and tcp",
    "ipv6 && udp",
    "ip or ipv6",
    "tcp.port == 80",
    "tcp.port == 443",
    "tcp.port != 80",
    "not tcp.port == 80",
    "tcp.port eq 22",
    "tcp.port ne 443",
    "udp.port == 53",
    "udp.port == 5353",
    "udp.port != 53",
    "!(udp.port == 53)",
    "udp.port in {53, 123, 5353}",
    "udp.port in {1..60}",
    "tcp.port in {20..23, 80, 443}",
    "tcp.port not in {80, 443}",
    "tcp.port < 100",
    "tcp.port <= 80",
    "tcp.port > 50000",
    "tcp.port >= 443",
    "tcp.port lt 1024",
    "tcp.port ge 1024 and tcp.port le 2048",
    "tcp.port === 80",
    "udp.port === 5353",
    "udp.port !== 53",
    "tcp.port !== 80",
    "ip.addr == 192.168.0.0/16",
    "ip.addr == 10.0.0.0/8",
    "ip.addr == 172.16.0.0/12",
    "ip.addr == 224.0.0.0/4",
    "ip.addr == 141.142.220.118",
    "ip and ip.addr != 192.168.0.0/16",
    "ip and not ip.addr == 141.142.0.0/16",
    "ip and ip.addr != 141.142.220.118",
    "ip.addr == 127.0.0.1 and tcp.port == 80",
    "ip.addr in {127.0.0.1, 192.168.1.1, 141.142.2.2}",
    "ipv6.addr == fe80::/10",
    "ipv6.addr == ff02::fb",
    "ipv6.addr == ff00::/8 and udp.port == 5353",
    "ip.addr == 127.0.0.1 or ipv6.addr == ::1",
    "ip.proto == 6",
    "ip.proto == 17 and udp.port == 53",
    "tcp.port == 80 and (ip.addr == 10.0.0.0/8 or ip.addr == 192.168.0.0/16)",
    "not (tcp.port == 80 or tcp.port == 443) and not udp.port == 53",
    "tcp.payload contains \"HTTP/1.1\"",
    "tcp.payload contains \"GET \"",
    "tcp.payload contains \"\\x16\\x03\\x01\"",
    "tcp.payload matches \"^POST \"",
    "tcp.payload matches \"host: [a-z.]*wikipedia\"",
    "tcp.payload matches \"user-agent: .*firefox\"",
    "tcp.payload matches \"(?-i)SSH-2.0\"",
    "udp.payload contains \"wikipedia\"",
    "udp.payload contains \"_tcp\\x05local\"",
    "udp.payload matches \"[a-z]{4}\\\\x03org\"",
    "tcp.payload contains \"200 OK\" and tcp.port == 80",
    "tcp and not tcp.payload contains \"nothing has this\"",
    "tcp.payload matches \"^SSH-[12]\" or udp.payload contains \"google\"",
];

/// Conditions on one side, which hold for a flow if they hold for its first packet.
const FIRST_PACKET: &[&str] = &[
    "tcp.dstport == 80",
    "tcp.srcport > 40000",
    "udp.dstport == 53",
    "ip.src == 192.168.0.0/16",
    "ip.dst == 224.0.0.251",
    "ip.src == 141.142.220.118 and tcp.dstport in {80, 443}",
    "ipv6.dst == ff02::/16",
    "ip and ip.src != 127.0.0.1 and udp.dstport != 53",
];

/// A flow: its protocol and its ends, the lesser first.
type Flow = (String, String, String);

/// The streams of a file as tshark numbers them.
type Streams = BTreeMap<String, Stream>;

struct Stream {
    flow: Flow,
    /// The number of its first packet.
    first: u64,
    /// `false` for a connection that was picked up midway, of which the initiator is a guess.
    is_whole: bool,
}

#[test]
fn conditions_select_the_flows_that_tshark_selects() {
    let Some(corpus) = std::env::var_os("RINGTAP_CORPUS") else {
        eprintln!("SKIPPED: RINGTAP_CORPUS names no folder with captures");
        return;
    };
    let (mut compared, mut selected, mut wrong) = (0, 0, Vec::new());
    for name in FILES {
        let file = Path::new(&corpus).join(name);
        let streams = streams(&file);
        assert!(streams.len() > 10, "{name} has few flows");
        for (conditions, first) in [(ANY_PACKET, false), (FIRST_PACKET, true)] {
            for condition in conditions {
                let mut expected = judged(&file, condition, &streams, first);
                let mut found = shown(&file, condition);
                if first {
                    for stream in streams.values().filter(|stream| !stream.is_whole) {
                        expected.remove(&stream.flow);
                        found.remove(&stream.flow);
                    }
                }
                compared += 1;
                selected += found.len();
                if found != expected {
                    let more: Vec<_> = found.difference(&expected).collect();
                    let less: Vec<_> = expected.difference(&found).collect();
                    wrong.push(format!("{name}: {condition}: too many {more:?}, missing {less:?}"));
                }
            }
        }
    }
    eprintln!("{compared} comparisons, {selected} flows selected");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ANY_PACKET.len() + FIRST_PACKET.len() >= 60 && selected > 500);
}

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

const TRANSPORT: &str = "(tcp || udp) && !icmp && !icmpv6";

fn streams(file: &Path) -> Streams {
    let fields = [
        "tcp.stream",
        "udp.stream",
        "frame.number",
        "ip.src",
        "ip.dst",
        "ipv6.src",
        "ipv6.dst",
        "tcp.srcport",
        "tcp.dstport",
        "udp.srcport",
        "udp.dstport",
        "tcp.flags",
    ];
    let mut streams = Streams::new();
    for row in tshark(file, TRANSPORT, &fields) {
        let end = |address: [usize; 2], port: [usize; 2]| {
            let first = |places: [usize; 2]| places.map(|place| row[place].as_str()).concat();
            let (address, port) = (first(address), first(port));
            if address.contains(':') {
                format!("[{address}]:{port}")
            } else {
                format!("{address}:{port}")
            }
        };
        let (a, b) = (end([3, 5], [7, 9]), end([4, 6], [8, 10]));
        let protocol = if row[0].is_empty() { "udp" } else { "tcp" };
        let number = row[2].parse().expect("a number");
        let is_whole = row[0].is_empty() || row[11].ends_with('2') && !row[11].contains("12");
        let flow = flow(protocol, a, b);
        streams.entry(stream(&row)).or_insert(Stream { flow, first: number, is_whole });
    }
    streams
}

fn stream(row: &[String]) -> String {
    format!("{} {}", row[0], row[1])
}

fn flow(protocol: &str, a: String, b: String) -> Flow {
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    (protocol.to_owned(), a, b)
}

/// The flows of which a display filter passes a packet, or the first one.
fn judged(file: &Path, filter: &str, streams: &Streams, first: bool) -> BTreeSet<Flow> {
    let filter = format!("{TRANSPORT} && ({filter})");
    let rows = tshark(file, &filter, &["tcp.stream", "udp.stream", "frame.number"]);
    let found = rows.iter().filter_map(|row| {
        let Stream { flow, first: number, .. } = &streams[&stream(row)];
        (!first || number.to_string() == row[2]).then(|| flow.clone())
    });
    found.collect()
}

/// The flows that the command shows.
fn shown(file: &Path, condition: &str) -> BTreeSet<Flow> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    command.args(["flows", "--json", "--where", condition, "--read"]).arg(file);
    let output = command.output().expect("the command runs");
    assert!(output.status.success(), "{condition}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    let flows = text.lines().filter_map(|line| {
        let value: Value = serde_json::from_str(line).expect("a line of JSON");
        let protocol = match value["protocol"].as_u64() {
            Some(6) => "tcp",
            Some(17) => "udp",
            _ => return None,
        };
        let end = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Some(flow(protocol, end("initiator"), end("responder")))
    });
    flows.collect()
}
