//! Flows in the formats of other programs.

mod folder;
mod packets;
mod shown;

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Output};
use std::time::Duration;

use folder::Folder;
use packets::Packets;
use shown::{objects, shown};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn exchange() -> Packets {
    Packets::ethernet().exchange(b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n")
}

/// `ringtap flows` of the exchange, with a message sink.
fn exported(folder: &Folder, to: &str) -> Result<Output> {
    let file = exchange().write(&folder.0)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    command.args(["flows", "--ipfix", to, "--read"]).arg(file);
    Ok(command.output()?)
}

/// The number of a message's version, and its length by its header.
fn header(message: &[u8]) -> (u16, usize) {
    let half = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    (half(0), usize::from(half(2)))
}

/// Fails unless the bytes are messages, one after another.
fn assert_whole(bytes: &[u8]) {
    assert!(!bytes.is_empty());
    let mut rest = bytes;
    while !rest.is_empty() {
        let (version, len) = header(rest);
        assert_eq!(version, 10);
        rest = &rest[len..];
    }
}

#[test]
fn each_form_has_the_flow() -> Result {
    let (text, _) = shown("forms", &exchange(), &["flows", "--output", "csv"])?;
    let lines: Vec<_> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("start,duration,protocol,initiator_address,initiator_port,"));
    assert!(lines[1].starts_with("2023-11-14 22:13:20.000000000,"), "{text}");
    let (text, _) = shown("forms", &exchange(), &["flows", "-o", "zeek"])?;
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[4], "#path\tconn");
    let values: Vec<_> = lines[8].split('\t').collect();
    assert_eq!(values[2..7], ["192.0.2.10", "40000", "198.51.100.20", "8080", "tcp"]);
    assert_eq!(values[9..12], ["18", "17", "SF"]);
    assert!(lines[9].starts_with("#close\t"));
    let (text, _) = shown("forms", &exchange(), &["flows", "-o", "zeek-json"])?;
    assert_eq!(objects(&text)?[0]["conn_state"], "SF");
    let (text, _) = shown("forms", &exchange(), &["flows", "-o", "eve"])?;
    let event = &objects(&text)?[0];
    assert_eq!(event["flow"]["state"], "closed");
    let (json, _) = shown("forms", &exchange(), &["flows", "-o", "json"])?;
    let flow = &objects(&json)?[0];
    assert_eq!(event["flow"]["bytes_toserver"], flow["initiator_wire_bytes"]);
    assert_eq!(event["flow"]["pkts_toclient"], flow["responder_packets"]);
    assert_eq!(flow["schema"], 1);
    let (alias, _) = shown("forms", &exchange(), &["flows", "--json"])?;
    assert_eq!(alias, json);
    Ok(())
}

#[test]
fn a_parquet_file_is_whole() -> Result {
    let folder = Folder::new("parquet")?;
    let file = exchange().write(&folder.0)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let output = command.args(["flows", "-o", "parquet", "--read"]).arg(file).output()?;
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"PAR1") && output.stdout.ends_with(b"PAR1"));
    Ok(())
}

#[test]
fn a_collector_gets_messages_over_udp_and_tcp_and_in_a_file() -> Result {
    let folder = Folder::new("ipfix")?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let to = format!("udp://{}", socket.local_addr()?);
    assert!(exported(&folder, &to)?.status.success());
    let mut message = [0; 4096];
    let len = socket.recv(&mut message)?;
    assert_eq!(header(&message), (10, len));
    assert!(len <= 1232);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let to = format!("tcp://{}", listener.local_addr()?);
    let reader = std::thread::spawn(move || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut listener.accept()?.0, &mut bytes)?;
        Ok(bytes)
    });
    assert!(exported(&folder, &to)?.status.success());
    let bytes = reader.join().map_err(|_| "the reader panicked")??;
    assert_whole(&bytes);
    let path = folder.0.join("flows.ipfix");
    assert!(exported(&folder, &format!("file:{}", path.display()))?.status.success());
    assert_whole(&fs::read(&path)?);
    Ok(())
}

#[test]
fn a_collector_that_is_not_there_is_an_error() -> Result {
    let folder = Folder::new("no-collector")?;
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let output = exported(&folder, &format!("tcp://{closed}"))?;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr)?;
    assert!(text.contains(&format!("tcp://{closed}: ")), "{text}");
    let output = exported(&folder, "udp://nowhere")?;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr)?.contains("a host and a port are needed"));
    Ok(())
}
