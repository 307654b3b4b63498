//! The error of a task.

use std::{io, path::PathBuf, process::ExitStatus};

use thiserror::Error;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error("cannot start {program}: {source}")]
    Start { program: String, source: io::Error },
    #[error("{command}: {status}")]
    Failed { command: String, status: ExitStatus },
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cargo metadata: {0}")]
    Metadata(#[from] serde_json::Error),
    #[error("ring-core with its default features brings {package} along")]
    Unwanted { package: String },
    #[error("what rustdoc wrote: {0}; the list is made with the nightly toolchain of May 2026")]
    Rustdoc(#[from] public_api::Error),
    #[error(
        "the public interface of {crates} is another than in docs/api: `cargo xtask api --bless` if that is meant"
    )]
    Interface { crates: String },
    #[error(transparent)]
    Namespace(#[from] netns::Error),
    #[error("no live test ran: {0}")]
    NoneRan(NoneRan),
    #[error("{count} of {of} failed: {names}")]
    Some { count: usize, of: usize, names: String },
    #[error(
        "tidy.txt, line {line}: \"{text}\" is neither `phrase TEXT => INSTEAD` nor `limit NAME NUMBER`"
    )]
    Rule { line: usize, text: String },
    #[error("more than xtask/tidy.txt allows: {kinds}")]
    Untidy { kinds: String },
    #[error("{what} is not there: {remedy}")]
    NotThere { what: String, remedy: &'static str },
}

/// The reason that a run of the live tests was empty.
#[derive(Clone, Copy, Debug, Error)]
pub(crate) enum NoneRan {
    #[error("no name contains the filter")]
    Filtered,
    #[error("each lacks something, see above")]
    Skipped,
}
