//! Privileges for an ordinary user: a user namespace for this process.

use std::{fs, io};

use nix::{
    sched::{CloneFlags, unshare},
    sys::prctl,
    unistd::{Gid, Uid},
};

use ring_sys::capability::Capability;

use crate::{
    error::{Error, Prohibition, Result},
    namespace::Namespace,
};

/// The source of this process's right to create network namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Privilege {
    /// The process had the right already, as root or in a user namespace that it entered before.
    /// Nothing was changed.
    Held,
    /// The process moved into a user namespace, where it is root over its own network namespaces,
    /// and into a first network namespace there. There is no way back.
    UserNamespace,
}

/// Gives this process the right to create network namespaces.
///
/// A process that has `CAP_SYS_ADMIN`, `CAP_NET_ADMIN` and `CAP_NET_RAW` is left as it is. Any
/// other process moves into a new user namespace in which its user is mapped to root, and into a
/// network namespace with only a loopback interface; see user_namespaces(7). Programs that it
/// starts are inside as well. There is no way back. A program that also needs the host's network
/// should run the part that does not need it in a second process.
///
/// Call it at the start of `main`: the kernel refuses it to a process with more than one thread.
///
/// # Errors
///
/// [`Error::Threads`] if other threads are running. [`Error::Forbidden`], with advice, if the
/// kernel, its configuration or a sandbox forbids user namespaces. After an error the process may
/// be inside a user namespace without privileges, so it should report the error and exit.
///
/// # Examples
///
/// ```no_run
/// fn main() -> Result<(), netns::Error> {
///     netns::enter_user_namespace()?;
///     let host = netns::Namespace::new()?;
///     // …
///     Ok(())
/// }
/// ```
pub fn enter_user_namespace() -> Result<Privilege> {
    if holds_privileges() {
        return Ok(Privilege::Held);
    }
    let running = fs::read_dir("/proc/self/task")
        .map_err(|source| Error::system("list", "/proc/self/task", source))?
        .count();
    if running > 1 {
        return Err(Error::Threads { running });
    }
    let (user, group) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER)
        .map_err(|errno| forbidden("unshare(CLONE_NEWUSER)", errno.into()))?;
    // If this executable has file capabilities, the files below belong to root. This makes them the
    // user's again.
    prctl::set_dumpable(true).map_err(|errno| Error::system("prctl", "PR_SET_DUMPABLE", errno))?;
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("0 {user} 1"))?;
    write("/proc/self/gid_map", &format!("0 {group} 1"))?;
    // Under AppArmor's restriction of user namespaces, this is the first call to fail.
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|errno| forbidden("unshare(CLONE_NEWNET)", errno.into()))?;
    Namespace::current()?.link("lo")?.up()?;
    Ok(Privilege::UserNamespace)
}

/// `true` if the effective set has the capabilities that network namespaces and packet sockets
/// need.
fn holds_privileges() -> bool {
    const NEEDED: [Capability; 3] =
        [Capability::NetAdmin, Capability::NetRaw, Capability::SysAdmin];
    Capability::all_effective(&NEEDED).unwrap_or(false)
}

fn write(path: &'static str, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|source| match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => forbidden(path, source),
        _ => Error::system("write", path, source),
    })
}

fn forbidden(operation: &'static str, source: io::Error) -> Error {
    Error::Forbidden { operation, prohibition: prohibition(&source, &sysctl), source }
}

/// The likely cause of `source`. `sysctl` reads the kernel's settings.
fn prohibition(source: &io::Error, sysctl: &dyn Fn(&str) -> Option<u64>) -> Prohibition {
    match source.raw_os_error() {
        Some(libc::EINVAL | libc::ENOSYS) => Prohibition::NotBuilt,
        Some(libc::ENOSPC | libc::EUSERS) => Prohibition::Limit,
        _ if sysctl("kernel/unprivileged_userns_clone") == Some(0) => {
            Prohibition::UnprivilegedClone
        }
        _ if sysctl("user/max_user_namespaces") == Some(0) => Prohibition::Limit,
        _ if sysctl("kernel/apparmor_restrict_unprivileged_userns").is_some_and(|on| on != 0) => {
            Prohibition::AppArmor
        }
        _ => Prohibition::Sandbox,
    }
}

fn sysctl(name: &str) -> Option<u64> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(errno: i32, switches: &[(&str, u64)]) -> Prohibition {
        prohibition(&io::Error::from_raw_os_error(errno), &|name| {
            switches.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
        })
    }

    #[test]
    fn the_switch_that_forbids_is_named() {
        let clone = ("kernel/unprivileged_userns_clone", 0);
        let armor = ("kernel/apparmor_restrict_unprivileged_userns", 1);
        let limit = ("user/max_user_namespaces", 0);
        assert_eq!(found(libc::EPERM, &[clone]), Prohibition::UnprivilegedClone);
        assert_eq!(found(libc::EPERM, &[armor]), Prohibition::AppArmor);
        assert_eq!(found(libc::EACCES, &[armor]), Prohibition::AppArmor);
        assert_eq!(found(libc::EPERM, &[limit, armor]), Prohibition::Limit);
        assert_eq!(found(libc::ENOSPC, &[]), Prohibition::Limit);
        assert_eq!(found(libc::EINVAL, &[]), Prohibition::NotBuilt);
        assert_eq!(found(libc::EPERM, &[]), Prohibition::Sandbox);
    }

    #[test]
    fn a_process_with_threads_is_told_so() {
        if holds_privileges() {
            assert_eq!(enter_user_namespace().unwrap(), Privilege::Held);
            return;
        }
        // The test harness has its own thread in addition to this one.
        assert!(matches!(enter_user_namespace(), Err(Error::Threads { running: 2.. })));
    }
}
