//! `ringtap capture -z`: a command for each file that another one follows.

mod folder;
mod packets;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use folder::Folder;
use packets::Packets;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs `ringtap capture -r FROM -w TO` with these further arguments.
fn capture(from: &Path, to: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    Ok(command.args(["capture", "-r"]).arg(from).arg("-w").arg(to).args(arguments).output()?)
}

/// Two and a half million bytes in ten seconds.
fn large(folder: &Folder) -> Result<PathBuf> {
    let one = |all: Packets, _| all.after(39_000_000).frame(0x88b5, &[0; 9_970]);
    Ok((0..250).fold(Packets::ethernet(), one).write(&folder.0)?)
}

/// A program that notes the file, whether it can be read to its end, and its own nice value.
fn program(folder: &Folder) -> Result<String> {
    let path = folder.0.join("note.sh");
    let log = folder.0.join("log");
    let text = format!(
        "#!/bin/sh\necho \"$# $1 $(stat -c %s \"$1\") $(nice) $(cat | wc -c)\" >> '{}'\n",
        log.display()
    );
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path.to_str().ok_or("a path")?.to_owned())
}

/// The notes, once there are this many, and no more a moment later.
fn notes(folder: &Folder, count: usize) -> Result<Vec<String>> {
    let read = || fs::read_to_string(folder.0.join("log")).unwrap_or_default();
    let since = Instant::now();
    while read().lines().count() < count && since.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(200));
    let mut all: Vec<String> = read().lines().map(str::to_owned).collect();
    all.sort();
    Ok(all)
}

fn expected(to: &Path, suffixes: &[&str]) -> Result<Vec<String>> {
    let line = |suffix: &&str| {
        let file = format!("{}{suffix}", to.display());
        // The lowest priority, and nothing to read.
        Ok(format!("1 {file} {} 19 0", fs::metadata(&file)?.len()))
    };
    suffixes.iter().map(line).collect()
}

#[test]
fn a_command_runs_for_each_file_but_the_last() -> Result {
    let folder = Folder::new("postrotate_size")?;
    let (from, program) = (large(&folder)?, program(&folder)?);
    let to = folder.0.join("to a.pcap");
    let output = capture(&from, &to, &["-C", "1", "-z", &program])?;
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(folder.0.join("to a.pcap2").exists());
    assert_eq!(notes(&folder, 2)?, expected(&to, &["", "1"])?);
    Ok(())
}

#[test]
fn after_the_last_of_a_number_of_intervals_it_runs_as_well() -> Result {
    let folder = Folder::new("postrotate_time")?;
    let (from, program) = (large(&folder)?, program(&folder)?);
    let to = folder.0.join("to.pcap");
    let output = capture(&from, &to, &["-G", "3", "-W", "2", "-z", &program])?;
    assert!(output.status.success(), "{output:?}");
    assert!(!folder.0.join("to.pcap2").exists());
    assert_eq!(notes(&folder, 2)?, expected(&to, &["", "1"])?);
    Ok(())
}

#[test]
fn a_command_that_fails_is_reported_and_harms_nothing() -> Result {
    let folder = Folder::new("postrotate_fails")?;
    let from = large(&folder)?;
    let to = folder.0.join("to\x1b[2J.pcap");
    let output = capture(&from, &to, &["-C", "1", "-z", "/nowhere/at all"])?;
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(said.lines().count(), 2, "{said}");
    let beginning = "ringtap: -z /nowhere/at all ";
    let end = "\\x1b[2J.pcap: No such file or directory (os error 2)";
    let first = said.lines().next().ok_or("a line")?;
    assert!(first.starts_with(beginning) && first.ends_with(end), "{said}");
    assert!(folder.0.join("to\x1b[2J.pcap2").exists());

    let output = capture(&from, &to, &["-C", "1", "-c", "240", "-z", "false"])?;
    assert!(output.status.success(), "{output:?}");
    Ok(())
}

#[test]
fn without_rotation_it_would_never_run() -> Result {
    let folder = Folder::new("postrotate_never")?;
    let from = large(&folder)?;
    let to = folder.0.join("to.pcap");
    let output = capture(&from, &to, &["-z", "gzip"])?;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8(output.stderr)?.contains("(-z)"));
    assert!(!to.exists());
    Ok(())
}
