//! Errors, with advice on what to do.

use std::{fmt, io, time::Duration};

use thiserror::Error;

/// Result type of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error type of this crate.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel or its configuration forbids namespaces to this process.
    #[error("{operation} is refused. {prohibition}")]
    Forbidden {
        /// The system call that was refused.
        operation: &'static str,
        /// The likely cause.
        prohibition: Prohibition,
        /// The kernel's error.
        source: io::Error,
    },
    /// A process with other threads tried to enter a user namespace.
    #[error(
        "{running} threads are running: enter the user namespace first thing in main, before any thread starts"
    )]
    Threads {
        /// Threads of this process, including the main thread.
        running: usize,
    },
    /// A system call or a netlink request failed.
    #[error("{operation} {object}")]
    System {
        /// The operation that failed.
        operation: &'static str,
        /// The link, address, file or program that the operation applied to.
        object: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// A link did not come up in time.
    #[error("link {link} has no carrier after {waited:?}; are both ends up?")]
    NotRunning {
        /// Name of the link.
        link: String,
        /// The time spent waiting.
        waited: Duration,
    },
    /// The kernel does not allow this offload of this link to be changed.
    #[error("link {link}: the kernel keeps {feature} as it is")]
    OffloadFixed {
        /// Name of the link.
        link: String,
        /// The kernel's name of the feature.
        feature: &'static str,
    },
    /// The kernel answered a netlink request in a form that its headers do not allow.
    #[error("{operation} {object}: the kernel's answer lacks {missing}")]
    Answer {
        /// The requested operation.
        operation: &'static str,
        /// The link that the request was about.
        object: String,
        /// The field that is missing.
        missing: &'static str,
    },
}

impl Error {
    pub(crate) fn system(
        operation: &'static str,
        object: impl ToString,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::System { operation, object: object.to_string(), source: source.into() }
    }
}

/// The cause that forbids namespaces to this process. Its text gives advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Prohibition {
    /// `kernel.unprivileged_userns_clone` is 0 (Debian and its relatives).
    UnprivilegedClone,
    /// `kernel.apparmor_restrict_unprivileged_userns` is 1 (Ubuntu since 23.10).
    AppArmor,
    /// `user.max_user_namespaces` is 0, or that number of them exists already.
    Limit,
    /// The kernel was built without user namespaces.
    NotBuilt,
    /// This process has no right to create network namespaces and is in no user namespace of its
    /// own.
    NotEntered,
    /// None of the known settings. Possible causes are a container's seccomp profile, a security
    /// module, or a chroot.
    Sandbox,
}

impl fmt::Display for Prohibition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnprivilegedClone => {
                "User namespaces are switched off for ordinary users: \
                 `sysctl -w kernel.unprivileged_userns_clone=1` as root, or run this as root"
            }
            Self::AppArmor => {
                "AppArmor takes every privilege from user namespaces: \
                 `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` as root, or run this as root"
            }
            Self::Limit => {
                "No more user namespaces may be made: \
                 `sysctl -w user.max_user_namespaces=15000` as root, or run this as root"
            }
            Self::NotBuilt => "This kernel has no user namespaces (CONFIG_USER_NS): run this as root",
            Self::NotEntered => {
                "Needs CAP_SYS_ADMIN: run this as root, or enter a user namespace first \
                 (netns::enter_user_namespace)"
            }
            Self::Sandbox => {
                "A sandbox forbids it (a container's seccomp profile, a security module or a chroot): \
                 run this outside, or start the container with `--security-opt seccomp=unconfined` \
                 or `--privileged`"
            }
        })
    }
}
