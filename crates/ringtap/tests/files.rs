//! Errors about the files that the command reads and writes.

mod folder;
mod packets;

use std::process::Command;

use folder::Folder;
use packets::Packets;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

#[test]
fn files_that_are_no_captures_are_called_what_they_are() -> Result {
    let folder = Folder::new("no-captures")?;
    for (content, expected) in [
        (&b""[..], "the file is empty"),
        (b"GET / HTTP/1.1\r\n", "looks like text, not like a capture (pcap or pcapng)"),
        (
            b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00",
            "not a capture file: it starts with 7f 45 4c 46 02 01 01 00, which is neither pcap nor pcapng",
        ),
    ] {
        let path = folder.0.join("file");
        std::fs::write(&path, content)?;
        for subcommand in ["follow", "flows", "capture"] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
            let output = command.arg(subcommand).arg("--read").arg(&path).output()?;
            assert_eq!(output.status.code(), Some(1));
            let errors = String::from_utf8(output.stderr)?;
            assert_eq!(
                errors,
                format!("ringtap: {}: {expected}\n", path.display()),
                "{subcommand}"
            );
        }
    }
    Ok(())
}

/// A user who looks for the damage needs its place, and the number of packets before it.
#[test]
fn damage_is_named_by_its_record_and_its_place() -> Result {
    let folder = Folder::new("damage")?;
    let path = Packets::ethernet().exchange(b"ping", b"pong").write(&folder.0)?;
    let whole = std::fs::read(&path)?;
    let third = 24 + 2 * (16 + 54);
    let mut long = whole.clone();
    long[third + 8..third + 12].copy_from_slice(&0x4000_0000_u32.to_le_bytes());
    let limit = "a packet of 1073741824 bytes, more than the 262144 that are possible";
    for (content, expected) in [
        (&long[..], format!("record 3 at byte {third}: {limit}")),
        (
            &whole[..third + 5],
            format!(
                "record 3 at byte {third}: the file was cut short: 5 of at least 16 bytes are there"
            ),
        ),
        (
            &whole[..10],
            "the header of the file: the file was cut short: 10 of at least 24 bytes are there"
                .to_owned(),
        ),
    ] {
        std::fs::write(&path, content)?;
        for arguments in [
            &["follow"][..],
            &["follow", "-o", "json"],
            &["follow", "--digest"],
            &["flows"],
            &["capture"],
            &["capture", "--count"],
            &["capture", "-w", "/dev/null"],
        ] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
            let output = command.args(arguments).arg("--read").arg(&path).output()?;
            let errors = String::from_utf8(output.stderr)?;
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
            let line = format!("ringtap: {}: {expected}\n", path.display());
            assert_eq!(errors, line, "{arguments:?}");
        }
    }
    Ok(())
}

#[test]
fn a_file_is_named_once() -> Result {
    let folder = Folder::new("named-once")?;
    let file = Packets::ethernet().exchange(b"ping", b"pong").write(&folder.0)?;
    let link = folder.0.join("link.pcap");
    std::os::unix::fs::symlink(&file, &link)?;
    for (name, to) in [
        ("no-folder", folder.0.join("no-folder/out.pcap")),
        ("packets.pcap", file.clone()),
        ("link.pcap", link),
        ("named-once: ", folder.0.clone()),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
        command.args(["capture", "-r"]).arg(&file).arg("-w").arg(&to);
        let output = command.output()?;
        let errors = String::from_utf8(output.stderr)?;
        assert_eq!((output.status.code(), errors.matches(name).count()), (Some(1), 1), "{errors}");
    }
    Ok(())
}
