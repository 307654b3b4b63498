//! Tests that need no namespace.

use crate::{
    command::Command,
    error::Result,
    live,
    steps::{Done, Steps},
    tally::Tally,
    workspace::Workspace,
};

/// The number of random moments at which a signal comes in each mode of the command.
pub(crate) const MOMENTS: u32 = 50;
/// The number of changed captures that must be accounted for.
const MUTATIONS: u32 = 5_000;

pub(crate) fn all(workspace: &Workspace, steps: &mut Steps) {
    steps.count("tests", |tally| {
        // --no-fail-fast: one run tells all that is wrong.
        let mut command =
            Command::cargo("test --workspace --all-features --no-fail-fast --lib --bins");
        for name in workspace.integration_tests(|name| !live::is_live(name)) {
            command = command.words("--test").argument(name);
        }
        counted(command, tally)
    });
    steps.count("documentation tests", |tally| {
        counted(Command::cargo("test --workspace --all-features --no-fail-fast --doc"), tally)
    });
}

/// The model tests with many more cases, and signals at many more moments.
pub(crate) fn models(workspace: &Workspace, tally: &mut Tally) -> Result<Done> {
    let mut command =
        Command::cargo("test --release --workspace --all-features --no-fail-fast --lib --bins");
    for name in workspace.integration_tests(|name| !live::is_live(name)) {
        command = command.words("--test").argument(name);
    }
    let command = command.variable("PROPTEST_CASES", "100000");
    let command = command.variable("RINGTAP_MUTATIONS", MUTATIONS.to_string());
    counted(command.variable("RINGTAP_MOMENTS", MOMENTS.to_string()), tally)
}

fn counted(command: Command, tally: &mut Tally) -> Result<Done> {
    command.count_tests(tally)?;
    Ok(Done::Tests(*tally))
}
