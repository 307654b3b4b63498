//! Benches against peers: the package `bench` in `tests/bench`.

use std::process::ExitCode;

use crate::{
    command::Command,
    error::{Error, Result},
    workspace::Workspace,
};

/// Hands over to the bench program, whose exit status is 0 only if what was asked holds.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    if workspace.package("bench").is_none_or(|package| !package.has("bin")) {
        return Err(Error::NotThere {
            what: "the package bench".into(),
            remedy: "it belongs in tests/bench",
        });
    }
    let command = Command::cargo("run --profile bench --package bench --");
    arguments.iter().fold(command, Command::argument).run()?;
    Ok(ExitCode::SUCCESS)
}
