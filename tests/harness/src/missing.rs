//! Requirements of a test that are not met.

use std::{env, error::Error, path::PathBuf};

use thiserror::Error;

/// A requirement of a test that this machine does not meet. Returned from a test, it skips the test
/// with a message, or fails it if `RINGTAP_REQUIRE_LIVE=1` is set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Missing {
    /// A program is not in the search path.
    #[error("{name} is not installed (Debian: apt-get install {package})")]
    Program {
        /// The name of the program.
        name: &'static str,
        /// The Debian package that contains it.
        package: &'static str,
    },
    /// This process lacks a privilege.
    #[error("{what} needs {privilege}: run this as root")]
    Privilege {
        /// The action that needs the privilege.
        what: &'static str,
        /// The missing privilege.
        privilege: &'static str,
    },
    /// A file that the build or the caller should have created.
    #[error("{path} is not there: {remedy}")]
    File {
        /// The path at which it was expected.
        path: String,
        /// The way to create it.
        remedy: &'static str,
    },
    /// An environment variable is not set.
    #[error("{name} is not set: {remedy}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// The meaning of its value.
        remedy: &'static str,
    },
}

/// Finds a program in `PATH`, or in the system directories that ordinary users' paths leave out.
///
/// # Errors
///
/// [`Missing::Program`] with the Debian package that contains it.
pub fn program(name: &'static str, package: &'static str) -> Result<PathBuf, Missing> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or(Missing::Program { name, package })
}

/// The reason why a test that ended with `error` could not run, if the error is of this kind.
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
