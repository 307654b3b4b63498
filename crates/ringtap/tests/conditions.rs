//! Conditions on the command line: `--where`.

mod folder;
mod packets;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use folder::Folder;
use packets::Host::{Client, Server};
use packets::{ACK, Packets};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn ringtap(arguments: &[&str], file: Option<&Path>) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    command.args(arguments);
    if let Some(file) = file {
        command.arg("--read").arg(file);
    }
    Ok(command.output()?)
}

/// A conversation whose word is split between two segments, and a datagram.
fn file(folder: &Folder) -> Result<std::path::PathBuf> {
    let packets = Packets::ethernet()
        .handshake()
        .tcp(Client, ACK, 0, 0, b"the pass")
        .tcp(Client, ACK, 8, 0, b"word is secret")
        .tcp(Server, ACK, 0, 22, b"welcome")
        .close(22, 7)
        .udp(Client, b"the datagram");
    Ok(packets.write(&folder.0)?)
}

#[test]
fn flows_and_follow_show_what_meets_the_condition() -> Result {
    let folder = Folder::new("where")?;
    let file = file(&folder)?;
    for (condition, tcp, udp) in [
        ("payload contains \"password\"", 1, 0),
        ("payload contains \"the\"", 1, 1),
        ("bytes == 29", 1, 0),
        ("not tcp", 0, 1),
        ("end == fin and rtt < 1s", 1, 0),
        ("tcp.dstport == 8080 or udp.dstport == 8080", 1, 1),
        ("payload contains \"passwords\"", 0, 0),
    ] {
        let output = ringtap(&["flows", "--where", condition], Some(&file))?;
        let text = String::from_utf8(output.stdout)?;
        let count = |protocol: &str| text.lines().filter(|line| line.contains(protocol)).count();
        assert_eq!((count(" tcp "), count(" udp ")), (tcp, udp), "{condition}: {text}");
        let errors = String::from_utf8(output.stderr)?;
        let hidden = 2 - tcp - udp;
        assert_eq!(errors.contains(&format!("{hidden} flow")), hidden > 0, "{condition}: {errors}");

        let output = ringtap(&["follow", "--where", condition], Some(&file))?;
        let text = String::from_utf8(output.stdout)?;
        assert_eq!(text.contains("word is secret"), tcp == 1, "{condition}: {text}");
        assert_eq!(text.contains("the pass"), tcp == 1, "{condition}: {text}");
    }
    Ok(())
}

#[test]
fn conversations_beyond_the_memory_are_marked_or_dropped() -> Result {
    let folder = Folder::new("undecided")?;
    let letters = [b'x'; 1400];
    let mut packets = Packets::ethernet().handshake();
    for number in 0..60 {
        packets = packets.tcp(Client, ACK, number * 1400, 0, &letters);
    }
    let file = packets.close(60 * 1400, 0).write(&folder.0)?;
    let follow = |policy: &str| {
        let condition = "payload contains \"password\"";
        let limits = ["--undecided-memory", "1M", "--undecided", policy];
        ringtap(&[&["follow", "--where", condition][..], &limits].concat(), Some(&file))
    };
    for (policy, shows, says) in [
        ("show", true, "1 conversation shown although --where was undecided"),
        ("drop", false, "1 conversation dropped although --where was undecided"),
    ] {
        let output = follow(policy)?;
        let text = String::from_utf8(output.stdout)?;
        assert_eq!(text.matches('x').count() >= 60 * 1400, shows, "{policy}");
        let errors = String::from_utf8(output.stderr)?;
        assert!(errors.contains(says), "{policy}: {errors}");
    }
    Ok(())
}

#[test]
fn an_error_points_at_its_place() -> Result {
    let output = ringtap(&["flows", "--where", "tcp and prt == 80"], Some(Path::new("none")))?;
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr)?;
    assert!(errors.contains("column 9: unknown field \"prt\"; did you mean \"port\"?"), "{errors}");
    assert!(errors.contains("\n  tcp and prt == 80\n          ^^^"), "{errors}");
    let output = ringtap(&["flows", "--undecided", "drop"], Some(Path::new("none")))?;
    assert_eq!(output.status.code(), Some(2), "it needs a condition");
    Ok(())
}

#[test]
fn the_page_of_fields_is_that_of_the_command() -> Result {
    let output = ringtap(&["fields", "--output", "markdown"], None)?;
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/fields.md"))?;
    let printed = String::from_utf8(output.stdout)?;
    assert_eq!(printed, page, "print it: ringtap fields --output markdown > docs/fields.md");
    let output = ringtap(&["fields"], None)?;
    let text = String::from_utf8(output.stdout)?;
    assert!(text.lines().any(|line| line.starts_with("payload ")), "{text}");
    Ok(())
}
