//! Models of what crosses threads, explored by loom.
//!
//! A package that has some names loom under `[target.'cfg(loom)'.dev-dependencies]`, so that the
//! lock files of its users do not contain loom. Its models are unit tests in modules called `loom`,
//! or integration tests whose names begin so.

use std::fs;

use crate::{
    command::Command,
    error::{Error, Result},
    steps::Done,
    tally::Tally,
    workspace::{Package, Workspace},
};

/// The extent of the exploration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Seconds.
    Smoke,
    /// As much as an hour allows.
    Long,
}

pub(crate) fn explore(workspace: &Workspace, depth: Depth, tally: &mut Tally) -> Result<Done> {
    let mut none = true;
    for package in workspace.crates() {
        if !has_models(package)? {
            continue;
        }
        none = false;
        // Flags of its own would have everything else built again: so a target folder of its own.
        let base = || {
            Command::cargo("test --release --package")
                .argument(&package.name)
                .words("--target-dir")
                .argument(workspace.target.join("loom"))
                .variable("RUSTFLAGS", "--cfg loom")
                .variable("LOOM_MAX_PREEMPTIONS", if depth == Depth::Smoke { "2" } else { "4" })
                .variable("LOOM_MAX_DURATION", if depth == Depth::Smoke { "20" } else { "1200" })
        };
        base().words("--lib loom").count_tests(tally)?;
        if package.targets.iter().any(|target| target.name.starts_with("loom")) {
            base().words("--test loom*").count_tests(tally)?;
        }
    }
    if none {
        return Ok(Done::Skipped("no package has models".into()));
    }
    Ok(Done::Tests(*tally))
}

fn has_models(package: &Package) -> Result<bool> {
    let manifest = fs::read_to_string(&package.manifest_path)
        .map_err(|source| Error::File { path: package.manifest_path.clone(), source })?;
    Ok(manifest.contains("cfg(loom)"))
}
