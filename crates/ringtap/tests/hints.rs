//! Command lines that are not quite right: the message says what would be.

mod folder;
mod packets;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use folder::Folder;
use packets::Packets;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn ringtap(folder: &Folder, line: &str) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    Ok(command.args(line.split(' ')).current_dir(&folder.0).output()?)
}

#[test]
fn a_wrong_command_line_is_answered_with_a_right_one() -> Result {
    let folder = Folder::new("hints")?;
    Packets::ethernet().handshake().write(&folder.0)?;
    for (line, answer) in [
        ("follow packets.pcap", "to read packets.pcap, write -r packets.pcap"),
        ("capture packets.pcap", "to read packets.pcap, write -r packets.pcap"),
        ("flows tcp", "give --interface or --read"),
        ("-i lo", "ringtap follow -i lo, or as tcpdump does: ringtap capture -i lo"),
        ("-r packets.pcap tcp", "ringtap follow -r packets.pcap tcp"),
        ("packets.pcap tcp", "ringtap capture -r packets.pcap tcp"),
        ("nothing", "unrecognized subcommand"),
        ("flows -r packets.pcap --max-flows 0", "1 or more, such as 5000, 64K or 1M"),
        ("flows -r packets.pcap --max-flows 1T", "1 or more, such as 5000, 64K or 1M"),
        ("follow -r packets.pcap --policy first --policy linux", "two policies, first and linux"),
        ("flows -r packets.pcap --policy ::/0=bsd,::/0=last", "::/0 have two policies"),
        ("capture -r packets.pcap -y NOTHING", "not a name of a link-layer header"),
        ("capture -r packets.pcap --relinquish-privileges", "--relinquish-privileges <USER>"),
    ] {
        let output = ringtap(&folder, line)?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        assert!(said.contains(answer), "{line}: {said}");
    }
    for line in [
        "flows -r packets.pcap --max-flows 1k",
        "flows -r packets.pcap --policy first,192.0.2.0/24=linux --policy 192.0.2.9/32=bsd",
    ] {
        assert!(ringtap(&folder, line)?.status.success(), "{line}");
    }
    Ok(())
}

#[test]
fn a_file_name_cannot_command_the_terminal() -> Result {
    let folder = Folder::new("hints_escaped")?;
    let file = Packets::ethernet().handshake().write(&folder.0)?;
    let name = "\u{1b}[2J\u{202e}.pcap";
    std::fs::rename(file, folder.0.join(name))?;
    for line in [format!("follow {name}"), name.to_owned(), format!("-r {name}")] {
        let said = String::from_utf8(ringtap(&folder, &line)?.stderr)?;
        assert!(said.contains(r"-r \x1b[2J\u{202e}.pcap"), "{said}");
        assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
    }
    Ok(())
}

#[test]
fn no_word_of_the_command_line_can_command_the_terminal() -> Result {
    for words in [
        &["capture", "--\u{1b}[31m\u{202e}"][..],
        &["follow", "-o", "\u{1b}[31m\u{202e}"],
        &["flows", "--max-flows=\u{1b}[31m\u{202e}"],
        &["\u{1b}[31m\u{202e}"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
        // A name that usage lines repeat.
        command.arg0("\u{1b}]0;title\u{7}").args(words);
        let output = command.output()?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(r"\x1b[31m\u{202e}"), "{words:?}: {said}");
        assert!(!said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{words:?}: {said:?}");
    }
    // Bytes that are no text, in a message that has only such words.
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let output = command.arg(OsStr::from_bytes(b"\x9b31m\xff")).output()?;
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains(r"\x9b31m\xff"), "{said}");
    Ok(())
}

/// The program that `-d` prints, or the error.
fn program(folder: &Folder, line: &str) -> Result<String> {
    let output = ringtap(folder, line)?;
    assert_eq!(output.status.success(), output.stderr.is_empty(), "{line}");
    Ok(String::from_utf8([output.stdout, output.stderr].concat())?)
}

#[test]
fn a_program_is_that_of_the_link_type() -> Result {
    let folder = Folder::new("hints_programs")?;
    // As tcpdump prints it.
    let raw =
        "(000) ldb      [0]\n(001) and      #0xf0\n(002) jeq      #0x40            jt 3\tjf 4\n";
    for line in ["capture -d -y RAW ip", "capture -d -y raw ip"] {
        assert!(program(&folder, line)?.starts_with(raw), "{line}");
    }
    let beacon = program(&folder, "capture -d -y IEEE802_11 type mgt subtype beacon")?;
    assert!(beacon.contains("jeq      #0x80 "), "{beacon}");
    let ethernet = program(&folder, "capture -d -y EN10MB ip")?;
    assert_eq!(program(&folder, "capture -d ip")?, ethernet);
    // Before a file's own link type.
    Packets::new(101).write(&folder.0)?;
    assert!(program(&folder, "capture -d -r packets.pcap ip")?.starts_with(raw));
    assert_eq!(program(&folder, "capture -d -y EN10MB -r packets.pcap ip")?, ethernet);

    Packets::new(192).write(&folder.0)?;
    for line in ["capture -d -r packets.pcap tcp", "capture -d -y PPI tcp"] {
        let said = program(&folder, line)?;
        assert!(said.contains("PPI names the link type of what follows"), "{said}");
        assert!(said.contains("-y EN10MB"), "{said}");
    }
    assert!(program(&folder, "capture -d -y LINUX_SLL2 type mgt")?.contains("cannot be tested"));
    Ok(())
}
