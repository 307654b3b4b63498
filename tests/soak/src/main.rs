//! Connections come and go, generated in memory and live over a veth pair, while their conversations are read; memory
//! must return to where it was.

mod churn;
mod generated;
mod live;
mod memory;
mod report;
mod tally;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::report::Report;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Churn of connections.
#[derive(Parser)]
struct Arguments {
    /// Connections of each kind, generated and live.
    #[arg(long, default_value_t = 1_000_000)]
    connections: u64,
    /// Go on with more generated connections for so long, and give up live ones after so long.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
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

/// Whether all held.
fn run(arguments: &Arguments) -> Result<bool> {
    // Before there are threads.
    let namespaces = netns::enter_user_namespace();
    let duration = Duration::from_secs(60 * arguments.minutes / 2);
    let mut report = Report::default();
    generated::run(arguments.connections, duration, &mut report)?;
    match namespaces {
        Ok(_) => live::run(arguments.connections, duration, &mut report)?,
        Err(error @ netns::Error::Forbidden { .. }) => println!("live: SKIPPED: {error}"),
        Err(error) => return Err(error.into()),
    }
    Ok(report.holds())
}
