//! `ringtap grep`: matches in streams, and exit statuses.

mod folder;
mod packets;

use std::path::Path;
use std::process::{Command, Output};

use folder::Folder;
use packets::Host::{Client, Server};
use packets::{ACK, Packets};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn grep(arguments: &[&str], file: &Path) -> Result<(Output, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let output = command.arg("grep").args(arguments).arg("--read").arg(file).output()?;
    let text = String::from_utf8(output.stdout.clone())?;
    Ok((output, text))
}

#[test]
fn a_pattern_is_found_however_it_is_split() -> Result {
    let folder = Folder::new("grep-split")?;
    let text = b"user=x&password=secret&z";
    for at in 1..text.len() as u32 {
        let (first, second) = text.split_at(at as usize);
        let in_order = || {
            Packets::ethernet()
                .handshake()
                .tcp(Client, ACK, 0, 0, first)
                .tcp(Client, ACK, at, 0, second)
        };
        let repeated = in_order().tcp(Client, ACK, 0, 0, text).tcp(Client, ACK, at, 0, second);
        let swapped = Packets::ethernet()
            .handshake()
            .tcp(Client, ACK, at, 0, second)
            .tcp(Client, ACK, 0, 0, first);
        for packets in [in_order(), repeated, swapped] {
            let file = packets.close(text.len() as u32, 0).write(&folder.0)?;
            let (output, text) = grep(&["password=[a-z]+", "-C", "3"], &file)?;
            assert_eq!(output.status.code(), Some(0));
            let line = "192.0.2.10:40000 > 198.51.100.20:8080 at 7: =x&password=secret&z\n";
            assert_eq!(text.lines().count(), 1, "split at {at}: {text}");
            assert!(text.starts_with("[1] ") && text.ends_with(line), "split at {at}: {text}");
        }
    }
    Ok(())
}

#[test]
fn no_match_extends_over_a_gap() -> Result {
    let folder = Folder::new("grep-gap")?;
    // The server acknowledges four bytes that were not captured.
    let packets = Packets::ethernet()
        .handshake()
        .tcp(Client, ACK, 0, 0, b"a pass")
        .tcp(Client, ACK, 10, 0, b"word, and a password")
        .tcp(Server, ACK, 0, 30, b"fine")
        .close(30, 4);
    let file = packets.write(&folder.0)?;
    let (_, text) = grep(&["password", "-C", "0"], &file)?;
    assert!(text.ends_with(" at 22: password\n") && text.lines().count() == 1, "{text}");
    let (output, _) = grep(&["pass.*word, and"], &file)?;
    assert_eq!(output.status.code(), Some(1));
    Ok(())
}

#[test]
fn exit_statuses_are_those_of_grep() -> Result {
    let folder = Folder::new("grep-status")?;
    let file = Packets::ethernet()
        .exchange(b"request", b"response request")
        .udp(Client, b"a request")
        .write(&folder.0)?;
    for (arguments, status, expected) in [
        (&["request", "-c"][..], 0, "3\n"),
        (&["request", "-q"], 0, ""),
        (&["reqest", "-c"], 1, "0\n"),
        (&["reqest"], 1, ""),
        (&["REQUEST", "-q"], 1, ""),
        (&["(?i)REQUEST", "-c", "--where", "tcp"], 0, "2\n"),
        (&["request", "-c", "udp"], 0, "1\n"),
        (&["request", "-c", "--where", "responder.payload contains \"nothing\""], 1, "0\n"),
        (&["(", "-q"], 2, ""),
    ] {
        let (output, text) = grep(arguments, &file)?;
        assert_eq!((output.status.code(), &*text), (Some(status), expected), "{arguments:?}");
    }
    let (output, _) = grep(&["x"], Path::new("/does/not/exist"))?;
    assert_eq!(output.status.code(), Some(2));
    Ok(())
}

#[test]
fn matches_cannot_act_on_a_terminal() -> Result {
    let folder = Folder::new("grep-escape")?;
    let file =
        Packets::ethernet().exchange(b"one\x1b[2Jmatch\nnext\xff line", b"").write(&folder.0)?;
    let (_, text) = grep(&["ma.*"], &file)?;
    assert!(text.ends_with(": one\\x1b[2Jmatch\\nnext\\xff line\n"), "{text:?}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    let (_, text) = grep(&["match", "--hex"], &file)?;
    assert!(text.contains("0x000000:  6f6e 651b"), "{text}");
    Ok(())
}
