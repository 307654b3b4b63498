//! The public interfaces of the libraries, held against `docs/api`.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use public_api::Builder;

use crate::{
    command::Command,
    error::{Error, Result},
    steps::Done,
    workspace::Workspace,
};

/// Crates of which a list is kept: all libraries that are published.
const CRATES: [&str; 11] = [
    "packet",
    "ring-sys",
    "ring-core",
    "capture-file",
    "packet-filter",
    "flow",
    "flow-filter",
    "protocol",
    "record",
    "conversation",
    "netns",
];

/// The treatment of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is a failure; without a nightly toolchain nothing can be said.
    Check,
    /// The lists become what the crates are.
    Bless,
}

/// Compares what each crate offers, all features on, with the list that is kept of it, one item a
/// line.
pub(crate) fn run(workspace: &Workspace, mode: Mode) -> Result<Done> {
    // rustdoc writes what this reads only there.
    if !Command::nightly("--version").succeeds() {
        let (what, remedy) = ("a nightly toolchain", "rustup toolchain install nightly");
        return match mode {
            Mode::Check => Ok(Done::Skipped(format!("{what} is not there: {remedy}"))),
            Mode::Bless => Err(Error::NotThere { what: what.into(), remedy }),
        };
    }
    let mut changed = Vec::new();
    for name in CRATES {
        let list = list(workspace, name)?;
        let path = kept(workspace, name);
        if mode == Mode::Bless {
            write(&path, &list)?;
            continue;
        }
        let before = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|source| Error::File { path, source })?,
        };
        if before != list {
            changed.push(name);
            eprintln!("{name}:");
            show(&before, &list);
        }
    }
    if changed.is_empty() {
        return Ok(Done::Well);
    }
    Err(Error::Interface { crates: changed.join(", ") })
}

fn kept(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.root.join("docs/api").join(name).with_extension("txt")
}

fn list(workspace: &Workspace, name: &str) -> Result<String> {
    let folder = workspace.target.join("api");
    Command::nightly("rustdoc --quiet --lib --all-features --package")
        .argument(name)
        .words("--target-dir")
        .argument(&folder)
        .words("-- -Z unstable-options --output-format json --cap-lints allow")
        .run()?;
    let json = folder.join("doc").join(name.replace('-', "_")).with_extension("json");
    let interface = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    Ok(interface.to_string())
}

fn write(path: &Path, list: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, list))
        .map_err(|source| Error::File { path: path.to_owned(), source })
}

/// Lines that went and lines that came.
fn show(before: &str, after: &str) {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) =
        (before.lines().collect(), after.lines().collect());
    old.difference(&new).for_each(|line| eprintln!("- {line}"));
    new.difference(&old).for_each(|line| eprintln!("+ {line}"));
}
