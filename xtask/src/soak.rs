//! Connections come and go for minutes: the package `soak` in `tests/soak`.

use std::process::ExitCode;

use crate::{command::Command, error::Result, workspace::Workspace};

/// Hands over to the soak program, whose exit status is 0 only if memory returned to where it was,
/// and that of the command stayed within its limits.
pub(crate) fn run(workspace: &Workspace, minutes: u64, connections: u64) -> Result<ExitCode> {
    Command::cargo("build --release --package ringtap").run()?;
    Command::cargo("run --release --package soak -- --minutes")
        .argument(minutes.to_string())
        .words("--connections")
        .argument(connections.to_string())
        .words("--command")
        .argument(workspace.target.join("release/ringtap"))
        .run()?;
    Ok(ExitCode::SUCCESS)
}
