//! `ringtap follow --write-dir`: files that nobody else can turn against the user.

mod folder;
mod packets;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use traffic::{Profile, Traffic};

use folder::Folder;
use packets::Host::{Client, Server};
use packets::{ACK, Packets};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Three conversations, with responses of several sizes.
fn capture(folder: &Folder) -> Result<PathBuf> {
    let path = folder.0.join("bulk.pcap");
    Traffic::new(Profile::BULK).connections(3).capture().write_pcap(File::create(&path)?)?;
    Ok(path)
}

fn follow(file: &Path, streams: &Path, options: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    command.args(["follow", "-r"]).arg(file).arg("-w").arg(streams).args(options);
    Ok(command.output()?)
}

/// Name and length of each file.
fn files(streams: &Path) -> Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(streams)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|_| "a name")?;
        files.push((name, entry.metadata()?.len()));
    }
    files.sort();
    Ok(files)
}

#[test]
fn planted_links_lead_nowhere() -> Result {
    let folder = Folder::new("planted")?;
    let file = capture(&folder)?;
    let (first, second) = (folder.0.join("first"), folder.0.join("second"));
    assert!(follow(&file, &first, &[])?.status.success());
    let expected = files(&first)?;
    assert_eq!(expected.len(), 6);

    // What an earlier run would have left is refused; what lies there beneath other names is not.
    let victim = folder.0.join("victim");
    fs::write(&victim, "precious")?;
    fs::create_dir(&second)?;
    fs::write(second.join("notes"), "of the user")?;
    symlink(&victim, second.join(&expected[0].0))?;
    fs::hard_link(&victim, second.join(&expected[1].0))?;
    mkfifo(&second.join(&expected[2].0), Mode::S_IRWXU)?;
    let refused = follow(&file, &second, &[])?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr)?.contains("--overwrite"));
    assert_eq!(files(&second)?.len(), 4, "nothing was written");

    let replaced = follow(&file, &second, &["--overwrite"])?;
    assert!(replaced.status.success(), "{replaced:?}");
    let mut found = files(&second)?;
    assert_eq!(found.pop(), Some(("notes".to_owned(), 11)));
    assert_eq!(found, expected);
    assert_eq!(fs::read_to_string(&victim)?, "precious");
    Ok(())
}

#[test]
fn a_fresh_run_replaces_an_old_one_on_request_alone() -> Result {
    let folder = Folder::new("old")?;
    let (file, streams) = (capture(&folder)?, folder.0.join("streams"));
    assert!(follow(&file, &streams, &[])?.status.success());
    // Files of conversations that the next run does not have.
    fs::write(streams.join("000007-192.0.2.1.1-192.0.2.2.2"), "old")?;
    let before = files(&streams)?;
    assert_eq!(follow(&file, &streams, &[])?.status.code(), Some(1));
    assert_eq!(files(&streams)?, before);
    assert!(follow(&file, &streams, &["--overwrite"])?.status.success());
    assert_eq!(files(&streams)?, before[..6]);
    Ok(())
}

#[test]
fn a_stream_that_is_too_long_for_a_file_ends_no_other() -> Result {
    let folder = Folder::new("too-long")?;
    let (file, whole) = (capture(&folder)?, folder.0.join("whole"));
    let streams = folder.0.join("streams");
    assert!(follow(&file, &whole, &[])?.status.success());
    let program = env!("CARGO_BIN_EXE_ringtap");
    let (from, to) = (file.display(), streams.display());
    // Blocks of 512 bytes, or of 1,024 in some shells.
    let line = format!("ulimit -f 1; exec {program} follow -r {from} -w {to}");
    let output = Command::new("sh").args(["-c", &line]).output()?;
    let errors = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let limit = files(&streams)?.iter().map(|file| file.1).max().ok_or("no files")?;
    let mut expected = files(&whole)?;
    let too_long = expected.iter().filter(|file| file.1 > limit).count();
    assert_eq!(errors.matches(": given up at byte ").count(), too_long, "{errors}");
    assert!((1..6).contains(&too_long), "{too_long}");
    expected.iter_mut().for_each(|file| file.1 = file.1.min(limit));
    assert_eq!(files(&streams)?, expected);
    let text = String::from_utf8(output.stdout)?;
    assert_eq!(text.lines().filter(|line| line.ends_with(" started")).count(), 3);
    Ok(())
}

#[test]
fn the_name_of_a_capture_file_is_no_folder() -> Result {
    let folder = Folder::new("no-folder")?;
    let file = capture(&folder)?;
    for name in ["out.pcap", "out.pcapng", "out.cap"] {
        let output = follow(&file, &folder.0.join(name), &[])?;
        let errors = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains("ringtap capture -w"), "{errors}");
        assert!(!folder.0.join(name).exists());
    }
    // A folder that is there has any name.
    fs::create_dir(folder.0.join("day.pcap"))?;
    assert!(follow(&file, &folder.0.join("day.pcap"), &[])?.status.success());
    Ok(())
}

/// Both ends of a connection can forge jumps, until no file system has files of that length.
#[test]
fn a_stream_beyond_every_file_ends_no_other() -> Result {
    const JUMP: u64 = 1_000_000_000;
    let folder = Folder::new("beyond")?;
    // Some file systems have such files.
    let longest = File::create(folder.0.join("longest"))?;
    let Some(jumps) =
        (1..20).map(|count| count * 1_000).find(|count| longest.set_len(count * JUMP).is_err())
    else {
        return Ok(());
    };
    let mut packets = Packets::ethernet().handshake();
    for jump in 0..=jumps {
        // Sequence numbers have 32 bits.
        let at = (jump * JUMP) as u32;
        // No link is so fast that the missing bytes could come in less time.
        packets = packets
            .tcp(Client, ACK, at, 0, b"x")
            .tcp(Server, ACK, 0, at.wrapping_add(1), b"")
            .after(25_000_000)
            .tcp(Server, ACK, 0, at.wrapping_add(JUMP as u32), b"");
    }
    let (file, streams) = (packets.write(&folder.0)?, folder.0.join("streams"));
    let output = follow(&file, &streams, &["-q"])?;
    let errors = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains(": given up at byte "), "{errors}");
    let last = "1 file in the folder of --write-dir is incomplete, as reported above\n";
    assert!(errors.ends_with(last), "{errors}");
    // All of the conversation is printed, as if there were no file.
    // The last acknowledgement shows what was sent, as nothing speaks against it.
    let sent = format!("{} of {} bytes sent", jumps + 1, (jumps + 1) * JUMP);
    let text = String::from_utf8(output.stdout)?;
    assert!(text.contains(&sent), "{}", text.lines().last().unwrap_or_default());
    Ok(())
}

#[test]
fn what_is_no_folder_is_left_as_it_is() -> Result {
    let folder = Folder::new("other-things")?;
    let file = capture(&folder)?;
    let other = folder.0.join("notes");
    fs::write(&other, "of the user")?;
    for name in [&other, Path::new("/dev/full"), Path::new("/dev/stdout"), Path::new("-")] {
        let output = follow(&file, name, &[])?;
        let errors = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{name:?}: {errors}");
        assert!(errors.contains("is none; to write packets: ringtap capture -w"), "{errors}");
        assert!(output.stdout.is_empty(), "{name:?}");
    }
    assert_eq!(fs::read_to_string(&other)?, "of the user");
    // A folder without room for names, as one below /proc is, ends the command with its error.
    let output = follow(&file, Path::new("/proc/self"), &[])?;
    let errors = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("/proc/self/0000") && !errors.contains("given up"), "{errors}");
    Ok(())
}
