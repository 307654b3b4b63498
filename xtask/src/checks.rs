//! Checks that run nothing of ours.

use crate::{
    command::Command,
    error::Result,
    steps::{Done, Steps},
    workspace::Workspace,
};

pub(crate) fn all(workspace: &Workspace, steps: &mut Steps) {
    steps.run("format", || well(Command::cargo("fmt --all --check")));
    steps.run("clippy", || {
        well(Command::cargo("clippy --workspace --all-targets --all-features -- -D warnings"))
    });
    steps.run("each crate alone", || alone(workspace));
    steps.run("documentation", || {
        well(
            Command::cargo("doc --workspace --all-features --no-deps")
                .variable("RUSTDOCFLAGS", "-D warnings"),
        )
    });
}

/// In a build of the workspace each crate gets the features that any other one asked for. Alone it must do with its own.
fn alone(workspace: &Workspace) -> Result<Done> {
    for package in workspace.crates() {
        Command::cargo("check --quiet --no-default-features -p").argument(&package.name).run()?;
    }
    Ok(Done::Well)
}

fn well(command: Command) -> Result<Done> {
    command.run()?;
    Ok(Done::Well)
}
