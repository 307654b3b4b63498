//! Opens and closes connections, generated in memory and live over a veth pair, while their
//! conversations are read. Memory must return to its initial level. The memory of the command must
//! stay within its limits.

mod churn;
mod commands;
mod generated;
mod live;
mod memory;
mod report;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::report::Report;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Churn of connections.
#[derive(Parser)]
struct Arguments {
    /// The number of connections of each kind, generated and live, 0 for none.
    #[arg(long, default_value_t = 1_000_000)]
    connections: u64,
    /// The time in minutes: half of it is the minimum for generated connections, half the maximum
    /// for live ones.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Run this command as well, live: `follow`, `flows` and `capture`, each for these minutes, but
    /// for three at least.
    #[arg(long, value_name = "PATH")]
    command: Option<PathBuf>,
    /// The number of packets a second that it gets.
    #[arg(long, default_value_t = 200_000)]
    rate: u64,
}

type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns `true` if all checks passed.
fn run(arguments: &Arguments) -> Result<bool> {
    // The namespace may hide it.
    let command = arguments.command.as_deref().map(commands::find).transpose()?;
    // Must precede the creation of threads.
    let namespaces = netns::enter_user_namespace();
    let duration = Duration::from_secs(60 * arguments.minutes / 2);
    let mut report = Report::default();
    if arguments.connections > 0 {
        generated::run(arguments.connections, duration, &mut report)?;
    }
    match namespaces {
        Ok(_) => {
            if arguments.connections > 0 {
                live::run(arguments.connections, duration, &mut report)?;
            }
            if let Some(command) = command {
                let time = Duration::from_secs(60 * arguments.minutes.max(3));
                commands::run(&command, arguments.rate, time, &mut report)?;
            }
        }
        Err(error @ netns::Error::Forbidden { .. }) => println!("live: SKIPPED: {error}"),
        Err(error) => return Err(error.into()),
    }
    Ok(report.holds())
}
