//! The benchmarks: `cargo xtask bench [GROUP] [--json FILE] [--check]`.
//!
//! If the bar of a row is a ratio, its subject and its peer are measured in turns within one run,
//! so that changes in the machine's speed affect both. Only such ratios decide the exit status of
//! `--check`.

mod conversations;
mod flows;
mod hostile;
mod inject;
mod instructions;
mod measure;
mod memory;
mod page;
#[allow(dead_code, reason = "each group uses a part")]
mod peer;
mod processes;
mod reassembly;
mod records;
mod report;
mod retention;
mod ring;
mod role;
mod selection;
mod tracking;
mod traffic;
mod wire;
mod xdp;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::report::{Report, Row};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Measures the workspace's crates, with peers in the same run.
#[derive(Parser)]
struct Arguments {
    /// Only this group.
    group: Option<String>,
    /// Write the rows as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the table into a page, and leave its other groups unchanged.
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Exit with 1 if a bar is missed.
    #[arg(long)]
    check: bool,
    /// Only build the peers.
    #[arg(long)]
    build: bool,
    /// Only run this workload, for callgrind.
    #[arg(long, hide = true)]
    workload: Option<instructions::Workload>,
    /// The number of rounds.
    #[arg(long, hide = true, default_value_t = 1)]
    rounds: usize,
}

/// A group of rows, measured together.
type Group = (&'static str, fn() -> Vec<Row>);

const GROUPS: &[Group] = &[
    ("tracking", tracking::rows),
    ("memory", flows::rows),
    ("reassembly", reassembly::rows),
    ("hostile", hostile::rows),
    ("conversations", conversations::rows),
    ("retention", retention::rows),
    ("selection", selection::rows),
    ("ring", ring::rows),
    ("inject", inject::rows),
    ("record", records::rows),
    ("xdp", xdp::rows),
    ("instructions", instructions::rows),
];

fn main() -> ExitCode {
    if let Some(played) = conversations::play().or_else(reassembly::play).or_else(role::play) {
        return match played {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let arguments = Arguments::parse();
    if arguments.build {
        for missing in peer::build_all() {
            eprintln!("{missing}");
        }
        return ExitCode::SUCCESS;
    }
    if let Some(workload) = arguments.workload {
        workload.repeat(arguments.rounds);
        return ExitCode::SUCCESS;
    }
    let wanted = |name: &str| arguments.group.as_deref().is_none_or(|group| group == name);
    let groups: Vec<_> = GROUPS.iter().filter(|(name, _)| wanted(name)).collect();
    if groups.is_empty() {
        let names: Vec<_> = GROUPS.iter().map(|group| group.0).collect();
        eprintln!("no such group; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    let mut report = Report::default();
    let mut sections = Vec::new();
    for (name, rows) in groups {
        eprintln!("measuring {name} …");
        let rows = rows();
        sections.push((*name, rows.clone()));
        report.extend(rows);
    }
    print!("{report}");
    if let Some(path) = arguments.json
        && let Err(error) = report.write_json(&path)
    {
        eprintln!("cannot write {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if let Some(path) = arguments.markdown {
        let names: Vec<_> = GROUPS.iter().map(|group| group.0).collect();
        if let Err(error) = page::write(&path, &names, sections) {
            eprintln!("cannot write {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::from(u8::from(arguments.check && !report.holds()))
}
