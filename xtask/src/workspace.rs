//! The workspace as cargo describes it.

use std::path::PathBuf;

use serde::Deserialize;

use crate::{command::Command, error::Result};

/// Packages and folders.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
}

/// A package of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) targets: Vec<Target>,
}

/// A target that a package builds.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn load() -> Result<Self> {
        let json = Command::cargo("metadata --no-deps --format-version 1").output()?;
        Ok(serde_json::from_slice(&json)?)
    }

    /// Names of the integration tests for which `wanted` holds, each once.
    pub(crate) fn integration_tests(&self, wanted: impl Fn(&str) -> bool) -> Vec<&str> {
        let targets = self.packages.iter().flat_map(|package| &package.targets);
        let mut names: Vec<_> = targets
            .filter(|target| target.is("test") && wanted(&target.name))
            .map(|target| &*target.name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The package called `name`.
    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The libraries and commands that are published: those under `crates`.
    pub(crate) fn crates(&self) -> impl Iterator<Item = &Package> {
        let folder = self.root.join("crates");
        self.packages.iter().filter(move |package| package.manifest_path.starts_with(&folder))
    }
}

impl Package {
    /// Returns `true` if it has a target of the kind `kind`.
    pub(crate) fn has(&self, kind: &str) -> bool {
        self.targets.iter().any(|target| target.is(kind))
    }
}

impl Target {
    fn is(&self, kind: &str) -> bool {
        self.kind.iter().any(|found| found == kind)
    }
}
