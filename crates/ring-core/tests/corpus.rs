//! Captures that others wrote, counted against what tshark counts in them.
//!
//! `RINGTAP_CORPUS` names a folder with an `INDEX.tsv` whose columns `file` and `packets` are used.

#![cfg(feature = "pcap")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ring_core::{CaptureFile, Error, Next, PacketBatch as _, PacketSource as _, Timeout};

#[test]
fn every_file_has_as_many_packets_as_tshark_counts() {
    let Some(corpus) = std::env::var_os("RINGTAP_CORPUS").map(PathBuf::from) else {
        eprintln!(
            "SKIPPED: RINGTAP_CORPUS is not set; it names a folder of captures with an INDEX.tsv"
        );
        return;
    };
    let index = std::fs::read_to_string(corpus.join("INDEX.tsv")).expect("the corpus has an index");
    let mut lines = index.lines();
    let columns: HashMap<&str, usize> = lines
        .next()
        .expect("a heading")
        .split('\t')
        .enumerate()
        .map(|(at, name)| (name, at))
        .collect();
    let (mut files, mut wrong, mut damaged) = (0, Vec::new(), 0);
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        // tshark counts nothing in files of link types that it does not know.
        if fields[columns["packets"]] == "0" {
            continue;
        }
        let name = fields[columns["file"]];
        let expected: u64 = fields[columns["packets"]].parse().unwrap_or(0);
        files += 1;
        let (counted, ended) = count(&corpus.join(name));
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
