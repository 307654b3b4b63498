//! The totals at the end count packets and bytes that were not shown.

mod folder;
mod packets;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use folder::Folder;
use packets::Host::{Client, Server};
use packets::{ACK, Packets, ipv4};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The totals of each subcommand on a file, as text and as JSON.
fn totals(file: &Path, expression: &[&str]) -> Result<[(String, Value); 3]> {
    let run = |subcommand: &str| -> Result<(String, Value)> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
        let totals = file.with_extension(subcommand);
        command.arg(subcommand).arg("--totals").arg(&totals);
        let output = command.arg("--read").arg(file).args(expression).output()?;
        assert!(output.status.success(), "{output:?}");
        let object = serde_json::from_str(&fs::read_to_string(totals)?)?;
        Ok((String::from_utf8(output.stderr)?, object))
    };
    Ok([run("follow")?, run("flows")?, run("capture")?])
}

#[test]
fn bytes_of_connections_that_have_ended_are_counted() -> Result {
    let folder = Folder::new("after-end")?;
    let packets = Packets::ethernet()
        .exchange(b"request", b"response")
        .after(1_000_000_000)
        .tcp(Client, ACK, 0, 9, b"request")
        .tcp(Server, ACK, 0, 8, b"response");
    let [followed, flows, _] = totals(&packets.write(&folder.0)?, &[])?;
    for (text, object) in [followed, flows] {
        assert_eq!(object["table"]["after_end_bytes"], 15, "{object}");
        assert!(text.contains("15 bytes not shown, since they came when"), "{text}");
    }
    Ok(())
}

#[test]
fn fragments_that_an_expression_cannot_decide_about_are_counted() -> Result {
    let folder = Folder::new("fragments")?;
    // The second half of a datagram of which the first was not captured.
    let mut fragment = ipv4(Client, 17, &[7; 16]);
    fragment[6..8].copy_from_slice(&[0, 1]);
    let packets = Packets::ethernet().exchange(b"a", b"b").frame(0x0800, &fragment);
    for (text, object) in totals(&packets.write(&folder.0)?, &["port", "8080"])? {
        assert_eq!(object["source"]["undecided_fragments"], 1);
        assert!(
            text.contains("1 IP fragment left out: the first fragment of the datagram"),
            "{text}"
        );
    }
    Ok(())
}

#[test]
fn packets_on_whose_link_type_an_expression_cannot_be_tested_are_counted() -> Result {
    let folder = Folder::new("link-types")?;
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let len = 12 + body.len() as u32;
        file.extend([kind.to_le_bytes(), len.to_le_bytes()].concat());
        file.extend(body);
        file.extend(len.to_le_bytes());
    };
    let section = [0x1a2b_3c4d_u32, 1, u32::MAX, u32::MAX];
    block(0x0a0d_0d0a, &section.map(u32::to_le_bytes).concat());
    // Ethernet, and one for private use.
    for link_type in [1_u32, 147] {
        block(1, &[link_type, 0].map(u32::to_le_bytes).concat());
    }
    for interface in [0_u32, 1, 1] {
        let mut body = [interface, 0, 1, 60, 60].map(u32::to_le_bytes).concat();
        body.extend([0; 12]);
        body.extend([8, 0]);
        body.extend([0; 46]);
        block(6, &body);
    }
    let path = folder.0.join("two.pcapng");
    fs::write(&path, file)?;
    for (text, object) in totals(&path, &["not", "tcp"])? {
        assert_eq!(object["source"]["untestable"], 2, "{object}");
        assert!(text.contains("2 packets left out: the expression cannot be tested"), "{text}");
    }
    Ok(())
}

#[test]
fn totals_do_not_replace_a_file() -> Result {
    let folder = Folder::new("totals-kept")?;
    let path = Packets::ethernet().exchange(b"a", b"b").write(&folder.0)?;
    let before = fs::read(&path)?;
    for subcommand in ["follow", "flows", "capture"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
        let output =
            command.arg(subcommand).arg("-r").arg(&path).arg("--totals").arg(&path).output()?;
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr)?.contains("the file is not empty"));
    }
    assert_eq!(fs::read(&path)?, before);
    Ok(())
}
