//! What can go wrong, and what to do about it.

use std::{fmt, io, time::Duration};

use thiserror::Error;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a namespace, a link or a process could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel or its configuration forbids what namespaces need.
    #[error("{operation}: {source}. {prohibition}")]
    Forbidden {
        /// The system call that was refused.
        operation: &'static str,
        /// What forbids it, as far as can be found out.
        prohibition: Prohibition,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A user namespace was asked for by a process that has threads already.
    #[error(
        "{running} threads are running: enter the user namespace first thing in main, before any thread starts"
    )]
    Threads {
        /// Threads of this process, the main one included.
        running: usize,
    },
    /// A system call or a netlink request failed.
    #[error("{operation} {object}: {source}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// The link, address, file or program that it was tried on.
        object: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A link did not come up within the time given.
    #[error("link {link} has no carrier after {waited:?}; are both ends up?")]
    NotRunning {
        /// Name of the link.
        link: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The kernel does not let this offload of this link be changed.
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
        /// What was asked for.
        operation: &'static str,
        /// The link that it was asked of.
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

/// What forbids namespaces to this process. Its text says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Prohibition {
    /// `kernel.unprivileged_userns_clone` is 0 (Debian and its relatives).
    UnprivilegedClone,
    /// `kernel.apparmor_restrict_unprivileged_userns` is 1 (Ubuntu since 23.10).
    AppArmor,
    /// `user.max_user_namespaces` is 0, or so many exist already.
    Limit,
    /// The kernel was built without user namespaces.
    NotBuilt,
    /// This process has no right to make network namespaces and is in no user namespace of its own.
    NotEntered,
    /// None of the known switches: a container's seccomp profile, a security module, a chroot.
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
