//! A sample of the corpus: one small capture for each combination of link type and encapsulations.
//! The program `parse-judge` runs over all captures.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parse_judge::{Reference, ReferenceError, judge};

/// The maximum size of a capture in the sample, in bytes.
const LARGEST: u64 = 300_000;
/// The minimum number of packets in a thousand TCP packets on which the parser must agree with
/// tshark. The causes of the rest are known: jumbo packets and pseudowires that tshark does not
/// decode, and addresses in routing headers that it does not follow.
const AGREED_PERMILLE: u64 = 990;

#[test]
fn parser_and_tshark_see_the_same() {
    let required = std::env::var_os("RINGTAP_REQUIRE_LIVE").is_some_and(|value| value == "1");
    let Some(corpus) = std::env::var_os("RINGTAP_CORPUS").map(PathBuf::from) else {
        eprintln!(
            "SKIPPED: RINGTAP_CORPUS is not set; it names a folder of captures with INDEX.tsv"
        );
        return;
    };
    let index = std::fs::read_to_string(corpus.join("INDEX.tsv")).expect("the corpus has an index");
    let sample = sample(&index);
    assert!(!sample.is_empty(), "the index names captures with TCP");
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let judged = thread::scope(|scope| {
        let work = || {
            let mut judged = Vec::new();
            while let Some(name) = sample.get(next.fetch_add(1, Ordering::Relaxed)) {
                let path = corpus.join(name);
                let reference = Reference::of(&path, None, name)?;
                // A file that cannot be opened has nothing to compare.
                judged.extend(judge(&path, &reference).ok().map(|judgement| (*name, judgement)));
            }
            Ok::<_, ReferenceError>(judged)
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect::<Vec<_>>()
    });
    let (mut packets, mut agreed) = (0, 0);
    for judged in judged {
        let judged: Vec<_> = match judged {
            Ok(judged) => judged,
            Err(error) if !required => {
                eprintln!("SKIPPED: {error}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        for (name, judgement) in judged {
            packets += judgement.tcp;
            agreed += judgement.tcp_agreed;
            for difference in judgement.differences.iter().filter(|difference| difference.tcp) {
                eprintln!("{name}#{}: {difference}", difference.frame);
            }
        }
    }
    eprintln!("{agreed} of {packets} packets with TCP in {} captures", sample.len());
    assert!(packets > 100, "there is something to compare");
    assert!(agreed * 1000 >= packets * AGREED_PERMILLE, "see the differences above");
}

/// The first capture of each kind that contains TCP.
fn sample(index: &str) -> Vec<&str> {
    let mut lines = index.lines();
    let columns: HashMap<&str, usize> = lines
        .next()
        .unwrap_or_default()
        .split('\t')
        .enumerate()
        .map(|(at, name)| (name, at))
        .collect();
    let mut kinds = BTreeMap::new();
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let field = |name| columns.get(name).and_then(|at| fields.get(*at)).copied();
        let number = |name| field(name).and_then(|text| text.parse().ok()).unwrap_or(0_u64);
        if number("tcp_streams") == 0 || number("size") > LARGEST {
            continue;
        }
        let features: Vec<&str> = field("link_ip_features")
            .unwrap_or_default()
            .split(' ')
            .filter_map(|feature| feature.split(':').next())
            .collect();
        let kind = (field("linktype").unwrap_or_default(), features);
        kinds.entry(kind).or_insert(fields[0]);
    }
    kinds.into_values().collect()
}
