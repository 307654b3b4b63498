//! The command in a new user's first steps.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Command, Output},
};

use live::{Folder, ringtap};
use live_harness::Result;
use netns::Namespace;

/// The user without files of its own, on every Linux.
const NOBODY: u32 = 65534;

pub(crate) fn the_demonstration_works_for_an_ordinary_user() -> Result {
    let output = as_nobody(&["demo"])?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}{errors}", output.status);
    assert!(text.contains("byte for byte"), "{text}{errors}");
    Ok(())
}

pub(crate) fn without_privileges_the_command_says_what_to_do() -> Result {
    if !is_real_root()? {
        println!(
            "root of a user namespace holds every privilege over its own network: nothing to refuse"
        );
        return Ok(());
    }
    let output = as_nobody(&["follow", "--interface", "lo"])?;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("CAP_NET_RAW"), "{errors}");
    Ok(())
}

/// Runs the command in an empty namespace as a user without privileges, if this user namespace has
/// other users.
fn as_nobody(arguments: &[&str]) -> Result<Output> {
    let folder = Folder::new()?;
    // The build folder may be inaccessible to that user.
    let command = copy(&folder)?;
    let mut command = Command::new(command);
    command.args(arguments).current_dir("/");
    if is_real_root()? {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    Ok(Namespace::new()?.spawn(&mut command)?.output()?)
}

fn copy(folder: &Folder) -> Result<PathBuf> {
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let copy = folder.join("ringtap");
    fs::copy(ringtap()?, &copy)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    Ok(copy)
}

/// Returns `true` if other users exist in this user namespace; see user_namespaces(7).
fn is_real_root() -> Result<bool> {
    let map = fs::read_to_string("/proc/self/uid_map")?;
    let count = map.split_whitespace().nth(2).ok_or("no uid_map")?;
    Ok(count.parse::<u64>()? > 1)
}
