//! Bodies judged by tshark: `--objects` against `--export-objects http`.
//!
//! Of each file of the corpus, the bodies that both wrote are compared by length and SHA-256. A
//! body that tshark alone has must have one of these causes:
//!
//! - It is a part of one of ours: after lost packets tshark exports each packet of a body as an
//!   object of its own.
//! - Packets were cut off by the snap length, so that tshark's object has bytes of no body.
//! - One of [`EXPLAINED`].
//!
//! `RINGTAP_JUDGE_ALL` judges every file instead of every fourth.
//!
//! A body that is ours alone and complete must contain one of tshark's, or be in [`EXPLAINED`].
//! Bodies that are not complete are ours alone since tshark exports no such body.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use memchr::memmem;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Files in which bodies differ, and the reason.
const EXPLAINED: &[(&str, &str)] = &[
    (
        "PcapPlusPlus/ExamplesTest__pcap_examples__http-packets.pcap",
        "responses that began before the capture; tshark exports each of their packets",
    ),
    (
        "PcapPlusPlus/ExamplesTest__pcap_examples__many-protocols.pcap",
        "gzip whose packets came out of order, which tshark exports in pieces",
    ),
    (
        "PcapPlusPlus/Pcap++Test__PcapExamples__650HttpResponses.pcap",
        "a packet of a response whose beginning was not captured",
    ),
    (
        "PcapPlusPlus/Pcap++Test__PcapExamples__example.pcap",
        "two pictures behind packets that came out of order",
    ),
    (
        "tcpflow/samplePcaps__jpegs.cap",
        "six requests in a conversation of which only a later part was captured",
    ),
    ("tcpflow/test1-part2.pcap", "a packet of a response whose beginning was not captured"),
    ("tcpreplay/test__test.rewrite_efcs", "four bytes of a checksum are behind each packet"),
    ("tcpreplay/test__test2.rewrite_efcs", "four bytes of a checksum are behind each packet"),
    (
        "tcpreplay/test__test.rewrite_mtutrunc",
        "IP lengths are shorter than the TCP segments in them",
    ),
    (
        "tcpreplay/test__test2.rewrite_mtutrunc",
        "IP lengths are shorter than the TCP segments in them",
    ),
    ("tcptrace/input__first_seg_ooo.dmp", "text before the first response, which is no message"),
    ("tcptrace/input__http.dmp", "a packet of a response whose beginning was not captured"),
    ("wireshark/docbook__examples__test.cap", "a body without bytes"),
    ("zeek/dce-rpc__mapi.pcap", "a script whose request tshark does not join with it"),
    ("zeek/doc__traces__quickstart.pcap", "the answer to a method that tshark does not know"),
    ("zeek/http__206_example_b.pcap", "a part of a file whose packets came out of order"),
    ("zeek/http__261__variant-09-te_obs_fold.pcap", "tshark does not join folded lines"),
    ("zeek/http__261__variant-10-multi_value_te.pcap", "a transfer coding that hides the length"),
    ("zeek/http__connect-with-smtp.pcap", "bytes behind CONNECT, which are of another protocol"),
    ("zeek/http__curl_http_09.pcap", "HTTP/0.9, which has no header section"),
    ("zeek/http__http-09-content-length-confusion.pcap", "HTTP/0.9, which has no header section"),
    ("zeek/http__http-11-request-then-cruft.pcap", "bytes that are no message"),
    ("zeek/http__http-bad-request-with-version.pcap", "the answer to a malformed request"),
    (
        "zeek/http__http-lower-case-nonstandard-port.pcap",
        "a start line in lower case, which RFC 9112 does not allow",
    ),
    (
        "zeek/http__http-lower-case.pcap",
        "a start line in lower case, which RFC 9112 does not allow",
    ),
    ("zeek/http__methods.pcap", "answers to requests without a space behind the method"),
    ("zeek/http__putty-upload.pcap", "a body without bytes"),
    ("zeek/http__query-method-non-standard-port.pcap", "a method that tshark does not know"),
    ("zeek/http__query-method.pcap", "a method that tshark does not know"),
    ("zeek/mixed-vlan-mpls.pcap", "packets of responses whose beginning was not captured"),
    ("zeek/mpls-in-vlan.pcap", "a packet of a response whose beginning was not captured"),
    ("zeek/socks.pcap", "HTTP within SOCKS, which has no parser here"),
    ("zeek/tunnels__socks.pcap", "HTTP within SOCKS, which has no parser here"),
    ("zeek/ssh__ssh-on-port-80.pcap", "SSH, which tshark takes for HTTP by its port"),
    ("zeek/tcp__tcp-fast-open.pcap", "a body without bytes"),
    (
        "zeek/tunnels__gtp__gtp9_unknown_or_too_short_payload.pcap",
        "packets of responses whose beginning was not captured",
    ),
];

/// Contents, and the number of times that each occurs.
type Bodies = BTreeMap<Vec<u8>, usize>;

#[derive(Default)]
struct Outcome {
    expected: usize,
    equal: usize,
    parts: usize,
    wrong: Vec<String>,
}

#[test]
fn bodies_are_those_of_tshark() {
    let Some(corpus) = std::env::var_os("RINGTAP_CORPUS").map(PathBuf::from) else {
        eprintln!("SKIPPED: RINGTAP_CORPUS names no folder with captures");
        return;
    };
    let step = if std::env::var_os("RINGTAP_JUDGE_ALL").is_some() { 1 } else { 4 };
    let mut sum = Outcome::default();
    for name in super::files_with(&corpus, &["http"]).iter().step_by(step) {
        compare(&corpus, name, &mut sum);
    }
    let Outcome { expected, equal, parts, wrong } = sum;
    eprintln!("{equal} of {expected} bodies are equal, {parts} are parts of ours");
    assert!(wrong.is_empty(), "different:\n{}", wrong.join("\n"));
    assert!(equal > 400 && equal + parts <= expected, "{equal} {parts} {expected}");
}

fn compare(corpus: &Path, name: &str, sum: &mut Outcome) {
    let file = corpus.join(name);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("judged_objects");
    let _ = fs::remove_dir_all(&folder);
    let [theirs, ours] = ["theirs", "ours"].map(|of| folder.join(of));
    fs::create_dir_all(&theirs).expect("a folder");
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-Q", "--export-objects"]).arg(format!("http,{}", theirs.display()));
    tshark.arg("-r").arg(&file).output().expect("tshark is installed");
    let mut ringtap = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    ringtap.args(["messages", "--quiet", "--objects"]).arg(&ours).arg("--read").arg(&file);
    ringtap.output().expect("the command runs");

    let expected = read_all(&theirs);
    let (complete, incomplete) = indexed(&ours);
    let count = |bodies: &Bodies, body: &[u8]| bodies.get(body).copied().unwrap_or_default();
    let explained = EXPLAINED.iter().any(|(known, _)| *known == name) || is_cut(&file);
    let is_part = |small: &[u8], large: &[u8]| memmem::find(large, small).is_some();
    // Bodies without bytes are not written.
    for (body, &times) in expected.iter().filter(|(body, _)| !body.is_empty()) {
        let equal = times.min(count(&complete, body) + count(&incomplete, body));
        sum.expected += times;
        sum.equal += equal;
        if equal == times {
            continue;
        }
        if complete.keys().chain(incomplete.keys()).any(|own| is_part(body, own)) {
            sum.parts += times - equal;
        } else if !explained {
            sum.wrong.push(format!("{name}: {} bytes of tshark alone", body.len()));
        }
    }
    for (body, &times) in &complete {
        let alone = times > count(&expected, body);
        if alone && !explained && !expected.keys().any(|part| is_part(part, body)) {
            sum.wrong.push(format!("{name}: {} bytes of ours alone", body.len()));
        }
    }
    let _ = fs::remove_dir_all(&folder);
}

fn read_all(folder: &Path) -> Bodies {
    let mut bodies = Bodies::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let body = fs::read(entry.expect("an entry").path()).expect("a file");
        *bodies.entry(body).or_default() += 1;
    }
    bodies
}

/// The bodies that the index describes as complete, and the others. What it says of each file is
/// true.
fn indexed(folder: &Path) -> (Bodies, Bodies) {
    let (mut complete, mut incomplete) = (Bodies::new(), Bodies::new());
    let index = fs::read_to_string(folder.join("index.jsonl")).unwrap_or_default();
    for line in index.lines() {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let body = match line["file"].as_str() {
            Some(name) => fs::read(folder.join(name)).expect("the file is there"),
            None => Vec::new(),
        };
        if line["missing"].is_null() {
            assert_eq!(line["size"], body.len(), "{line}");
            let sum: String = Sha256::digest(&body).iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(line["sha256"], sum, "{line}");
        } else {
            assert!(line["sha256"].is_null() && line["complete"] == false, "{line}");
        }
        let bodies = if line["complete"] == true { &mut complete } else { &mut incomplete };
        *bodies.entry(body).or_default() += 1;
    }
    (complete, incomplete)
}

/// Returns `true` if packets were cut off.
fn is_cut(file: &Path) -> bool {
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-Y", "frame.len != frame.cap_len", "-c", "100000", "-r"]).arg(file);
    !tshark.output().expect("tshark is installed").stdout.is_empty()
}
