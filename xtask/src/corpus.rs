//! Captures of other people's, and what other programs found in them.

use std::path::Path;

use crate::{
    command::Command,
    error::{Error, Result},
    steps::Done,
    workspace::Workspace,
};

const REMEDY: &str = "set it to a folder with judge.py, EXPECTED.tsv and captures";

/// Holds `ringtap follow --read` against the expectations, if there are any.
pub(crate) fn judge(workspace: &Workspace) -> Result<Done> {
    let Some(folder) = std::env::var_os("RINGTAP_CORPUS") else {
        return Ok(Done::Skipped(format!("RINGTAP_CORPUS is not set: {REMEDY}")));
    };
    Command::cargo("build --release --package ringtap").run()?;
    Command::program("python3")
        .argument(Path::new(&folder).join("judge.py"))
        .words("--ringtap")
        .argument(workspace.target.join("release/ringtap"))
        .words("--min 95")
        .run()?;
    Ok(Done::Well)
}

/// The same, for somebody who asked for it.
pub(crate) fn required(workspace: &Workspace) -> Result<Done> {
    match judge(workspace)? {
        Done::Skipped(_) => Err(Error::NotThere { what: "RINGTAP_CORPUS".into(), remedy: REMEDY }),
        done => Ok(done),
    }
}
