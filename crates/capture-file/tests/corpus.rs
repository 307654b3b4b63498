//! Captures from other programs: packet counts are compared with those of tshark and libpcap.
//!
//! `RINGTAP_CORPUS` is a folder with an `INDEX.tsv`, of which the columns `file` and `packets` are
//! used.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use capture_file::{CaptureFile, Error, Next, PacketBatch as _, PacketSource as _, Timeout};

#[test]
fn every_file_has_as_many_packets_as_tshark_counts() {
    let Some(corpus) = corpus() else { return };
    let (mut files, mut wrong, mut damaged) = (0, Vec::new(), 0);
    for (name, expected) in listed(&corpus) {
        // tshark counts no packets in files of link types that it does not know.
        if expected == 0 {
            continue;
        }
        files += 1;
        let (counted, ended) = count(&corpus.join(&name));
        damaged += usize::from(ended.is_some());
        if counted != expected {
            wrong.push(format!("{name}: {counted} packets, tshark has {expected}; {ended:?}"));
        }
    }
    eprintln!(
        "{files} files, {damaged} ended in an error, {} counted otherwise:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(files > 0, "the index names no file");
    assert!(wrong.is_empty(), "the files above are counted otherwise");
}

/// If tshark counts no packets, libpcap decides. A file that neither can read may have any result.
#[test]
fn where_tshark_counts_none_there_are_as_many_as_libpcap_counts() {
    let Some(corpus) = corpus() else { return };
    let (mut judged, mut wrong) = (0, Vec::new());
    for (name, _) in listed(&corpus).into_iter().filter(|&(_, packets)| packets == 0) {
        let path = corpus.join(&name);
        let output = match Command::new("tcpdump").args(["-n", "--count", "-r"]).arg(&path).output()
        {
            Ok(output) => output,
            Err(error) => {
                let required = std::env::var_os("RINGTAP_REQUIRE_LIVE").is_some_and(|v| v == "1");
                assert!(!required, "tcpdump is needed (Debian: apt-get install tcpdump): {error}");
                eprintln!("SKIPPED: tcpdump is not installed (Debian: apt-get install tcpdump)");
                return;
            }
        };
        if !output.status.success() {
            continue;
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let expected = said.split_whitespace().next().and_then(|count| count.parse().ok());
        let expected: u64 = expected.unwrap_or_else(|| panic!("{name}: tcpdump said {said:?}"));
        judged += 1;
        let (counted, ended) = count(&path);
        if counted != expected || ended.is_some() {
            wrong.push(format!("{name}: {counted} packets, libpcap has {expected}; {ended:?}"));
        }
    }
    eprintln!("{judged} files judged by libpcap, {} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(wrong.is_empty(), "the files above are counted otherwise");
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

/// Files of the corpus with tshark's packet count.
fn listed(corpus: &Path) -> Vec<(String, u64)> {
    let index = std::fs::read_to_string(corpus.join("INDEX.tsv")).expect("the corpus has an index");
    let mut lines = index.lines();
    let heading = lines.next().expect("a heading");
    let columns: HashMap<&str, usize> =
        heading.split('\t').enumerate().map(|(at, name)| (name, at)).collect();
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let name = fields[columns["file"]].to_owned();
            (name, fields[columns["packets"]].parse().expect("a number of packets"))
        })
        .collect()
}

fn count(path: &Path) -> (u64, Option<Error>) {
    let mut source = match CaptureFile::open(path) {
        Ok(source) => source,
        Err(error) => return (0, Some(error)),
    };
    let mut last = 0;
    loop {
        match source.next_batch(Timeout::Never) {
            Ok(Next::Batch(batch)) => {
                for packet in batch.packets() {
                    assert!(packet.number() > last, "{}", path.display());
                    last = packet.number();
                }
            }
            Ok(_) => return (source.frames(), None),
            Err(error) => return (source.frames(), Some(error)),
        }
    }
}
