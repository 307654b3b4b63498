//! Fuzz targets: `crates/*/fuzz`, run by cargo-fuzz.

use std::{fs, path::PathBuf};

use crate::{
    command::Command,
    error::{Error, Result},
    steps::Done,
    workspace::Workspace,
};

/// A run of fuzz targets.
#[derive(Clone, Debug)]
pub(crate) struct Fuzzing {
    /// One target; all if `None`.
    pub(crate) target: Option<String>,
    /// Seconds for each.
    pub(crate) seconds: u64,
    /// `true` if missing tools are a failure.
    pub(crate) required: bool,
    /// The seed of the fuzzer's random numbers; a different one each time if `None`.
    pub(crate) seed: Option<u32>,
}

impl Fuzzing {
    /// A little of each, where the tools are there. The same inputs each time, so that a change
    /// that fails did break something; looking for new ones is for longer runs.
    pub(crate) fn smoke() -> Self {
        Self { target: None, seconds: 10, required: false, seed: Some(1) }
    }

    pub(crate) fn run(&self, workspace: &Workspace) -> Result<Done> {
        let targets = self.targets(workspace);
        if targets.is_empty() {
            let what = self.target.clone().unwrap_or_else(|| "a fuzz target".into());
            return self.cannot(what, "targets are files in crates/*/fuzz/fuzz_targets");
        }
        if !Command::nightly("--version").succeeds() {
            return self.cannot("a nightly toolchain".into(), "rustup toolchain install nightly");
        }
        if !Command::nightly("fuzz --version").succeeds() {
            return self.cannot("cargo-fuzz".into(), "cargo install cargo-fuzz --locked");
        }
        let mut failed = Vec::new();
        // One for all folders, so that each crate and libFuzzer itself is compiled once.
        let shared = workspace.root.join("target/fuzz");
        for (folder, target) in &targets {
            let mut command = Command::nightly("fuzz run --fuzz-dir")
                .argument(folder)
                .argument("--target-dir")
                .argument(&shared)
                .argument(target)
                .folder(&workspace.root);
            // The first folder gets what the fuzzer finds, the second is only read.
            command = command.argument(folder.join("corpus").join(target));
            let seeds = folder.join("seeds").join(target);
            if seeds.is_dir() {
                command = command.argument(seeds);
            }
            let corpus = folder.join("corpus").join(target);
            fs::create_dir_all(&corpus).map_err(|source| Error::File { path: corpus, source })?;
            let limits = format!(
                "-- -max_total_time={} -timeout=20 -rss_limit_mb=2048 -seed={}",
                self.seconds,
                // To libFuzzer, 0 is a random seed.
                self.seed.unwrap_or(0),
            );
            if let Err(error) = command.words(&limits).run_quietly() {
                eprintln!("xtask: {error}");
                failed.push(target.as_str());
            }
        }
        if failed.is_empty() {
            return Ok(Done::Well);
        }
        Err(Error::Some { count: failed.len(), of: targets.len(), names: failed.join(", ") })
    }

    fn cannot(&self, what: String, remedy: &'static str) -> Result<Done> {
        if self.required || self.target.is_some() {
            return Err(Error::NotThere { what, remedy });
        }
        Ok(Done::Skipped(format!("{what} is not there: {remedy}")))
    }

    /// Fuzz folder and name of each target, in order.
    fn targets(&self, workspace: &Workspace) -> Vec<(PathBuf, String)> {
        let mut targets = Vec::new();
        for package in workspace.crates() {
            let folder = package.manifest_path.with_file_name("fuzz");
            for file in fs::read_dir(folder.join("fuzz_targets")).into_iter().flatten().flatten() {
                let path = file.path();
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let wanted = self.target.as_ref().is_none_or(|target| *target == name);
                if wanted && path.extension().is_some_and(|extension| extension == "rs") {
                    targets.push((folder.clone(), name));
                }
            }
        }
        targets.sort_unstable();
        targets
    }
}
