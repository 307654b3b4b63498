//! The rows that a person sees on a terminal, which end where they end.

mod folder;
mod packets;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::pty::{Winsize, openpty};

use folder::Folder;
use packets::Host::Client;
use packets::{ACK, Packets};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The text that a terminal of `columns` columns gets from a command that reads a file, without its
/// colours.
fn shown(file: &Path, columns: u16, arguments: &[&str]) -> Result<String> {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    command.args(arguments).arg("-r").arg(file).arg("--utc").env("TERM", "dumb");
    let output = File::from(terminal.slave);
    let mut child = command.stderr(Stdio::from(output.try_clone()?)).stdout(output).spawn()?;
    // The command has copies of the terminal's end, which would keep it open here.
    drop(command);
    let mut text = Vec::new();
    // Reading from a terminal whose other end is closed is an error.
    let _ = File::from(terminal.master).read_to_end(&mut text);
    assert!(child.wait()?.success());
    Ok(String::from_utf8(text)?.replace("\r\n", "\n"))
}

#[test]
fn no_row_of_a_terminal_begins_with_what_was_captured() -> Result {
    let heading = "[2] 22:13:20.000000 192.0.2.1:1 > 192.0.2.2:2 started";
    let folder = Folder::new("rows")?;
    for columns in [80, 61, 40] {
        let long = format!("{}{heading}", "x".repeat(usize::from(columns) - 2)).repeat(3);
        // Bytes of which two versions come are quoted, and those without a place, too.
        let forged = format!("{heading:>48}").repeat(3);
        let packets = Packets::ethernet()
            .handshake()
            .tcp(Client, ACK, 0, 0, long.as_bytes())
            .tcp(Client, ACK, 0, 0, forged.as_bytes())
            .tcp(Client, ACK, 1 << 30, 0, forged.as_bytes())
            .close(long.len() as u32, 0);
        let file = packets.write(&folder.0)?;
        for output in [&["follow"][..], &["follow", "-q"], &["follow", "-o", "hex"]] {
            let text = shown(&file, columns, output)?;
            assert!(text.contains("[2]") || output.contains(&"hex"), "{text}");
            let rows = text.lines().filter(|row| !row.starts_with(['>', '<', '\t', ' ']));
            for row in rows.filter(|row| row.starts_with('[')) {
                assert!(row.starts_with("[1] "), "{row:?} of {text}");
            }
            for row in text.lines().filter(|row| row.starts_with(['[', '>', '\t', ' '])) {
                let tab = if row.starts_with('\t') { 7 } else { 0 };
                assert!(row.chars().count() + tab <= usize::from(columns), "{row:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_terminal_that_does_not_know_its_width_is_a_usual_one() -> Result {
    let folder = Folder::new("no-width")?;
    let file = Packets::ethernet().exchange(&[b'x'; 200], b"").write(&folder.0)?;
    let rows = [format!("> {}\n", "x".repeat(77)), format!(">+{}\n", "x".repeat(77))];
    let text = shown(&file, 0, &["follow"])?;
    assert!(text.contains(&rows.concat()), "{text}");
    // Programs get lines as they are.
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let output = command.args(["follow", "-r"]).arg(&file).output()?;
    assert!(String::from_utf8(output.stdout)?.contains(&format!("> {}\n", "x".repeat(200))));
    Ok(())
}
