//! What a test needs and does not find.

use std::{env, error::Error, path::PathBuf};

use thiserror::Error;

/// Something that a test needs is not on this machine. Returned from a test, it skips the test loudly, or fails it
/// where `RINGTAP_REQUIRE_LIVE=1`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Missing {
    /// A program is not in the search path.
    #[error("{name} is not installed (Debian: apt-get install {package})")]
    Program {
        /// What the program is called.
        name: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// This process may not do something that the test does.
    #[error("{what} needs {privilege}: run this as root")]
    Privilege {
        /// What the test does.
        what: &'static str,
        /// What it takes.
        privilege: &'static str,
    },
    /// A file that the build or the caller should have made.
    #[error("{path} is not there: {remedy}")]
    File {
        /// Where it was looked for.
        path: String,
        /// How to make it.
        remedy: &'static str,
    },
    /// An environment variable names nothing.
    #[error("{name} is not set: {remedy}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What it should name.
        remedy: &'static str,
    },
}

/// Finds a program in `PATH`, or in the places of system programs that ordinary users' paths leave out.
///
/// # Errors
///
/// [`Missing::Program`] with the Debian package that has it.
pub fn program(name: &'static str, package: &'static str) -> Result<PathBuf, Missing> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or(Missing::Program { name, package })
}

/// The reason why a test that ended with `error` could not run at all, if that is what it says.
pub(crate) fn reason(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let forbidden = matches!(error.downcast_ref(), Some(netns::Error::Forbidden { .. }));
        if forbidden || error.is::<Missing>() {
            return Some(error.to_string());
        }
        cause = error.source();
    }
    None
}
