//! `parse-judge FOLDER`: compares the packet parser with tshark over the folder's captures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;
use parse_judge::{Judgement, Reference, judge};

/// Compares the packet parser with tshark, packet by packet.
#[derive(clap::Parser)]
struct Arguments {
    /// A folder of captures with an INDEX.tsv that lists their names in the first column.
    corpus: PathBuf,
    /// Only files whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Cache tshark's results in this folder, and reuse those that exist.
    #[arg(long)]
    cache: Option<PathBuf>,
    /// The number of examples to show for each kind of difference.
    #[arg(long, default_value_t = 3)]
    show: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parse-judge: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let index = std::fs::read_to_string(arguments.corpus.join("INDEX.tsv"))?;
    let mut total = Judgement::default();
    let mut kinds: BTreeMap<(bool, String), (u64, Vec<String>)> = BTreeMap::new();
    for line in index.lines().skip(1) {
        let name = line.split('\t').next().unwrap_or_default();
        if arguments.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let path = arguments.corpus.join(name);
        let one = match one(&path, arguments.cache.as_deref(), name) {
            Ok(one) => one,
            Err(error) => {
                eprintln!("{name}: {error}");
                continue;
            }
        };
        total.tcp += one.tcp;
        total.tcp_agreed += one.tcp_agreed;
        total.udp += one.udp;
        total.udp_agreed += one.udp_agreed;
        total.fragments += one.fragments;
        for difference in one.differences {
            let stack = difference.expected.as_ref().map_or("-", |seen| seen.stack.as_str());
            let found = match &difference.found {
                Ok(headers) => format!("protocol {}", headers.protocol),
                Err(reason) => format!("{reason:?}"),
            };
            let kind = kinds.entry((difference.tcp, format!("{stack} / {found}"))).or_default();
            kind.0 += 1;
            if kind.1.len() < arguments.show {
                kind.1.push(format!("{name}#{}: {difference}", difference.frame));
            }
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(kind, (count, _))| (!kind.0, std::cmp::Reverse(*count)));
    for ((tcp, kind), (count, examples)) in kinds {
        println!("{count} {} {kind}", if tcp { "TCP" } else { "UDP" });
        for example in examples {
            println!("    {example}");
        }
    }
    println!(
        "TCP: {} of {} packets agree; UDP: {} of {}; {} fragments left apart",
        total.tcp_agreed, total.tcp, total.udp_agreed, total.udp, total.fragments
    );
    Ok(())
}

fn one(
    path: &Path,
    cache: Option<&Path>,
    name: &str,
) -> Result<Judgement, Box<dyn std::error::Error>> {
    let reference = Reference::of(path, cache, name)?;
    Ok(judge(path, &reference)?)
}
