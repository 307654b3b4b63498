//! `ringtap messages` judged by tshark on captures of other people.
//!
//! `RINGTAP_CORPUS` is a folder with an `INDEX.tsv`, of which the columns `file` and `protocols`
//! are used. Of each file the messages that tshark dissects are held against ours, as multisets:
//! requests and responses of HTTP/1, queries and responses of DNS, hellos of TLS and QUIC.
//! `RINGTAP_JUDGE_ALL` judges every file instead of every third.
//!
//! At least 99.5 % of tshark's messages of each kind must be found. Those that are not judged have
//! one of these causes, which [`tshark`] recognizes:
//!
//! - The packet was cut off by the snap length. tshark reads the part as if it were all.
//! - None of the questions of a DNS message can be read, or it is shorter than a header.
//! - The message is quoted in an error of ICMP. It is not part of a conversation.
//! - tshark marks it as malformed, or it is a request without a version, which is no HTTP/1
//!   (RFC 9112, section 3).
//! - HTTP over UDP, which is SSDP, and HTTP that tshark decrypted with keys from the capture.
//! - SOME/IP, which tshark takes for DNS.
//! - The hello is in a protocol that has no parser here: see [`CARRIERS`].
//!
//! Messages that tshark does not have must be in the file literally, as often as they were found:
//! tshark dissects no response before it has all packets of it, nothing after lost packets, and
//! nothing on a port that it takes for another protocol's. [`EXPLAINED`] has the others, except in
//! files with messages of the same kind that are not judged.

mod objects;
mod ours;
mod tshark;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use memchr::memmem;

/// The kinds of messages, and their names in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Request,
    Host,
    Response,
    Dns,
    ClientHello,
    ServerHello,
    QuicHello,
}

/// The number of times that each message was found in a file.
type Messages = BTreeMap<(Kind, String), usize>;

/// The minimum part of tshark's messages, of a thousand.
const BAR: usize = 995;
/// Messages that are ours alone and are not in their file literally, and the reason.
const EXPLAINED: &[(&str, &str)] = &[
    (
        "zeek/tcp-http-with-padding.pcap: Request \"GET /\"",
        "typed by hand, one character a packet; tshark dissects only the response",
    ),
    (
        "zeek/tls__hrr.pcap: ServerHello \"772\"",
        "the second hello is in a packet that came out of order, which tshark does not reassemble",
    ),
];

/// Messages of each kind without which the comparison says nothing.
const ENOUGH: usize = 10;

#[derive(Default)]
struct Score {
    expected: usize,
    equal: usize,
    more: usize,
}

#[derive(Default)]
struct Report {
    scores: BTreeMap<Kind, Score>,
    missing: Vec<String>,
    invented: Vec<String>,
}

#[test]
fn messages_are_those_of_tshark() {
    let Some(corpus) = std::env::var_os("RINGTAP_CORPUS").map(PathBuf::from) else {
        eprintln!("SKIPPED: RINGTAP_CORPUS names no folder with captures");
        return;
    };
    let step = if std::env::var_os("RINGTAP_JUDGE_ALL").is_some() { 1 } else { 3 };
    let files: Vec<String> = files(&corpus).into_iter().step_by(step).collect();
    assert!(files.len() > 100, "{} files have messages", files.len());
    let (next, report) = (AtomicUsize::new(0), Mutex::new(Report::default()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(name) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let file = corpus.join(name);
                    let (judged, found) = (tshark::messages(&file), ours::messages(&file));
                    let mut bytes = std::fs::read(&file).expect("the file can be read");
                    bytes.make_ascii_lowercase();
                    report.lock().expect("no thread failed").add(name, &judged, &found, &bytes);
                }
            });
        }
    });
    let report = report.into_inner().expect("no thread failed");
    for line in &report.missing {
        eprintln!("missing {line}");
    }
    for (kind, Score { expected, equal, more }) in &report.scores {
        eprintln!("{kind:?}: {equal} of {expected} found, {more} more");
    }
    assert!(report.invented.is_empty(), "invented:\n{}", report.invented.join("\n"));
    for (kind, Score { expected, equal, .. }) in &report.scores {
        assert!(equal * 1000 >= expected * BAR, "{kind:?}: {equal} of {expected}");
        assert!(*expected >= ENOUGH, "{kind:?}: only {expected}");
    }
    assert_eq!(report.scores.len(), 7, "every kind occurs");
}

/// The files in which the index has a protocol whose messages are compared.
fn files(corpus: &Path) -> Vec<String> {
    files_with(corpus, &["http", "dns", "mdns", "llmnr", "tls", "quic"])
}

/// The files in which the index has one of these protocols.
fn files_with(corpus: &Path, known: &[&str]) -> Vec<String> {
    let index = std::fs::read_to_string(corpus.join("INDEX.tsv")).expect("the corpus has an index");
    let mut lines = index.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let columns = lines.next().expect("the index has a header");
    let column = |name| columns.iter().position(|column| *column == name).expect("a column");
    let (file, protocols) = (column("file"), column("protocols"));
    let wanted = lines.filter(|line| line[protocols].split(',').any(|name| known.contains(&name)));
    wanted.map(|line| line[file].to_owned()).collect()
}

impl Report {
    fn add(
        &mut self,
        name: &str,
        (expected, unjudged): &(Messages, BTreeSet<Kind>),
        found: &Messages,
        bytes: &[u8],
    ) {
        for (key @ (kind, message), &expected) in expected {
            let equal = expected.min(found.get(key).copied().unwrap_or_default());
            let score = self.scores.entry(*kind).or_default();
            score.expected += expected;
            score.equal += equal;
            if equal < expected {
                self.missing.push(format!("{name}: {kind:?} {message:?} × {}", expected - equal));
            }
        }
        for (key @ (kind, message), &found) in found {
            let expected = expected.get(key).copied().unwrap_or_default();
            if found <= expected {
                continue;
            }
            self.scores.entry(*kind).or_default().more += found - expected;
            let message_of_file = format!("{name}: {kind:?} {message:?}");
            let explained = unjudged.contains(kind)
                || EXPLAINED.iter().any(|(known, _)| *known == message_of_file)
                || occurrences(*kind, message, bytes) >= found;
            if !explained {
                self.invented.push(format!("{message_of_file} × {}", found - expected));
            }
        }
    }
}

/// The number of times that the bytes of a message are in a file, of which `lower` is the content
/// in lower case: of a name the first label, of a hello the server's name. A hello without one, and
/// a message without a question, must be tshark's.
fn occurrences(kind: Kind, message: &str, lower: &[u8]) -> usize {
    let count = |text: &str| match text {
        "" => 0,
        text => memmem::find_iter(lower, text.to_lowercase().as_bytes()).count(),
    };
    match kind {
        Kind::Response => ["0", "1"].iter().map(|v| count(&format!("HTTP/1.{v} {message}"))).sum(),
        Kind::Request | Kind::Host => count(message),
        // The name stands behind the direction and the code.
        Kind::Dns => count(message.split([' ', '.']).nth(2).unwrap_or_default()),
        Kind::ClientHello | Kind::QuicHello => count(message.split(' ').next().unwrap_or_default()),
        Kind::ServerHello => 0,
    }
}
