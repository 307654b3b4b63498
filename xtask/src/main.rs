//! Tasks of this workspace: `cargo xtask help`.

#![forbid(unsafe_code)]

mod api;
mod asan;
mod bench;
mod checks;
mod command;
mod corpus;
mod error;
mod fuzz;
mod live;
mod loom;
mod soak;
mod steps;
mod tally;
mod tests;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    error::Result, fuzz::Fuzzing, live::Live, loom::Depth, steps::Steps, workspace::Workspace,
};

/// Tasks of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the tests: unit and documentation tests, then the live ones where the kernel allows
    /// namespaces.
    Test,
    /// Run the tests that need network namespaces, as root or inside a user namespace; at least one
    /// must run.
    NetnsTest {
        /// Run only tests whose name contains this.
        filter: Option<String>,
        /// Everything after `--` goes to the test programs, as in `-- --nocapture`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Everything that must hold before a change goes in.
    Ci,
    /// Run what takes long: fuzzing, models and the sanitizer, at length.
    Nightly {
        /// Seconds for each fuzz target.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
    },
    /// Compare the public interfaces of the published libraries with docs/api (needs a nightly
    /// toolchain).
    Api {
        /// Accept what they are now.
        #[arg(long)]
        bless: bool,
    },
    /// Run the tests of the crates with unsafe code under AddressSanitizer (needs a nightly
    /// toolchain).
    Asan,
    /// Explore the interleavings of what crosses threads with loom.
    Loom {
        /// Explore more, for minutes to hours.
        #[arg(long)]
        long: bool,
    },
    /// Fuzz all targets or one (needs a nightly toolchain and cargo-fuzz).
    Fuzz {
        /// The target; all if left out.
        target: Option<String>,
        /// Seconds for each.
        #[arg(default_value_t = 60)]
        seconds: u64,
    },
    /// Measure against peers; what follows goes to the bench program as it is, `--help` too.
    #[command(disable_help_flag = true)]
    Bench {
        /// Group, `--json FILE`, `--check`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Let a million connections come and go, generated and live, and see that memory returns to
    /// where it was.
    Soak {
        /// Connections of each kind.
        #[arg(long, default_value_t = 1_000_000)]
        connections: u64,
        /// Minutes of live traffic.
        #[arg(long, default_value_t = 5)]
        minutes: u64,
    },
    /// Check the language of comments and documents against xtask/tidy.txt.
    Tidy,
    /// Compare `ringtap follow` with the expectations in the folder that RINGTAP_CORPUS names.
    Corpus,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let workspace = Workspace::load()?;
    let mut steps = Steps::default();
    match task {
        Task::Test => {
            tests::all(&workspace, &mut steps);
            steps.count("live tests", |tally| Live::default().run_where_allowed(&workspace, tally));
        }
        Task::NetnsTest { filter, arguments } => {
            steps.count("live tests", |tally| {
                Live { filter, arguments, ..Live::default() }.run(&workspace, tally)
            });
        }
        Task::Ci => {
            checks::all(&workspace, &mut steps);
            tests::all(&workspace, &mut steps);
            steps.run("corpus", || corpus::judge(&workspace));
            steps.count("loom", |tally| loom::explore(&workspace, Depth::Smoke, tally));
            steps.run("fuzz", || Fuzzing::smoke().run(&workspace));
            // Last, since from then on this process may be in a namespace without a network.
            steps.count("live tests", |tally| {
                Live { required: true, ..Live::default() }.run(&workspace, tally)
            });
        }
        Task::Nightly { seconds } => {
            steps.count("models, at length", |tally| tests::models(&workspace, tally));
            steps.count("loom, at length", |tally| loom::explore(&workspace, Depth::Long, tally));
            steps.count("AddressSanitizer", |tally| asan::run(&workspace, tally));
            steps.run("fuzz, at length", || {
                Fuzzing { target: None, seconds, required: true, seed: None }.run(&workspace)
            });
            // Last, as in `ci`.
            steps.count("signals at many moments", |tally| {
                let filter = Some("a_signal_at_any_moment".to_owned());
                let moments = Some(tests::MOMENTS);
                Live { filter, moments, required: true, ..Live::default() }.run(&workspace, tally)
            });
        }
        Task::Api { bless } => {
            let mode = if bless { api::Mode::Bless } else { api::Mode::Check };
            steps.run("public interfaces", || api::run(&workspace, mode));
        }
        Task::Asan => steps.count("AddressSanitizer", |tally| asan::run(&workspace, tally)),
        Task::Loom { long } => {
            let depth = if long { Depth::Long } else { Depth::Smoke };
            steps.count("loom", |tally| loom::explore(&workspace, depth, tally));
        }
        Task::Fuzz { target, seconds } => {
            steps.run("fuzz", || {
                Fuzzing { target, seconds, required: true, seed: None }.run(&workspace)
            });
        }
        Task::Bench { arguments } => return bench::run(&workspace, &arguments),
        Task::Soak { connections, minutes } => return soak::run(&workspace, minutes, connections),
        Task::Tidy => steps.run("tidy", || tidy::check(&workspace)),
        Task::Corpus => steps.run("corpus", || corpus::required(&workspace)),
    }
    Ok(steps.finish())
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn the_bench_program_gets_its_arguments_as_they_are() {
        for line in ["", "ring --check --json out.json", "--json out.json --check ring", "--help"] {
            let given: Vec<_> = line.split_whitespace().collect();
            for before in [&["xtask", "bench"][..], &["xtask", "bench", "--"]] {
                let all = before.iter().chain(&given);
                let Task::Bench { arguments } = Arguments::try_parse_from(all).unwrap().task else {
                    panic!("another task");
                };
                assert_eq!(arguments, given);
            }
        }
    }
}
