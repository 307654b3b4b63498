//! The user as which a command goes on once everything is open that needs privileges.

use std::ffi::CString;
use std::io;

use nix::errno::Errno;
use nix::unistd::{Uid, User, geteuid, getuid, initgroups, setgid, setuid};

use crate::Error;

/// The option for it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Privileges {
    /// If started as root, change to this user and its groups once the interface or file is open,
    /// and before anything is written.
    #[arg(short = 'Z', long = "relinquish-privileges", value_name = "USER")]
    user: Option<String>,
}

impl Privileges {
    /// `true` if the user changes after the source was opened.
    pub(crate) fn are_dropped(&self) -> bool {
        self.user.is_some()
    }

    /// Changes to the user. Without privileges there are none to drop, as in tcpdump.
    pub(crate) fn drop(&self) -> Result<(), Error> {
        let Some(name) = &self.user else { return Ok(()) };
        if !getuid().is_root() && !geteuid().is_root() {
            return Ok(());
        }
        change(name).map_err(|source| Error::User { name: name.clone(), source })
    }
}

/// The groups first: a user other than root cannot change them.
fn change(name: &str) -> io::Result<()> {
    let unknown = || io::Error::new(io::ErrorKind::NotFound, "there is no such user");
    let user = User::from_name(name)?.ok_or_else(unknown)?;
    let name = CString::new(name).map_err(|_| unknown())?;
    initgroups(&name, user.gid)?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    // With this, root's identity is really gone, also the saved one.
    let is_back = !user.uid.is_root() && setuid(Uid::from_raw(0)) != Err(Errno::EPERM);
    if is_back { Err(io::Error::other("the privileges of root remain")) } else { Ok(()) }
}
