//! Connections come and go for minutes: the package `soak` in `tests/soak`.

use std::process::ExitCode;

use crate::{command::Command, error::Result};

/// Hands over to the soak program, whose exit status is 0 only if memory returned to where it was.
pub(crate) fn run(minutes: u64, connections: u64) -> Result<ExitCode> {
    Command::cargo("run --release --package soak -- --minutes")
        .argument(minutes.to_string())
        .words("--connections")
        .argument(connections.to_string())
        .run()?;
    Ok(ExitCode::SUCCESS)
}
