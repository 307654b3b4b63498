//! `ringtap messages --objects`: bodies as files, and their index.

mod folder;
mod packets;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use folder::Folder;
use packets::{ACK, Host, Packets};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// `hello, hello, hello` as gzip.
const HELLO: &[u8] = include_bytes!("objects/hello.gz");

fn objects(packets: &Packets, folder: &Folder, options: &[&str]) -> Result<Output> {
    let path = packets.write(&folder.0)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    command.args(["messages", "-q", "--objects"]).arg(folder.0.join("objects"));
    Ok(command.arg("-r").arg(path).args(options).output()?)
}

fn index(folder: &Folder) -> Result<Vec<Value>> {
    let text = fs::read_to_string(folder.0.join("objects/index.jsonl"))?;
    Ok(text.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?)
}

/// The response to a request for `target`, in pieces of 100 bytes.
fn response(target: &str, head: &str, body: &[u8]) -> Packets {
    response_without(0, target, head, body)
}

/// The same without one packet, counted from 1.
fn response_without(lost: u64, target: &str, head: &str, body: &[u8]) -> Packets {
    let request = format!("GET {target} HTTP/1.1\r\nHost: x.example\r\n\r\n");
    let bytes = [format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes(), body].concat();
    let packets = Packets::ethernet().without(lost).handshake();
    let mut packets = packets.tcp(Host::Client, ACK, 0, 0, request.as_bytes());
    let mut at = 0;
    for piece in bytes.chunks(100) {
        packets = packets.tcp(Host::Server, ACK, at, request.len() as u32, piece);
        at += piece.len() as u32;
    }
    packets
}

fn with_length(body: &[u8], more: &str) -> String {
    format!("Content-Length: {}\r\nContent-Type: text/plain{more}", body.len())
}

#[test]
fn a_body_is_decoded_and_described() -> Result {
    let folder = Folder::new("objects_decoded")?;
    let head = with_length(HELLO, "\r\nContent-Encoding: gzip");
    let output = objects(&response("/a/b.txt?c", &head, HELLO), &folder, &[])?;
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let [line] = &index(&folder)?[..] else { panic!("one body") };
    for (name, value) in [
        ("file", Value::from("000001-response0-b.txt")),
        ("host", "x.example".into()),
        ("path", "/a/b.txt".into()),
        ("name", "b.txt".into()),
        ("type", "text/plain".into()),
        ("of", "response".into()),
        ("size", 19.into()),
        ("decoded", "complete".into()),
        ("complete", true.into()),
        ("conversation", 1.into()),
        ("sha256", "9cc63fd6c02e19e14784a389b3cda6c1012296268b0f4a9f30b34710ba9807a7".into()),
    ] {
        assert_eq!(line[name], value, "{name}");
    }
    let body = fs::read(folder.0.join("objects/000001-response0-b.txt"))?;
    assert_eq!(body, b"hello, hello, hello");
    Ok(())
}

#[test]
fn a_lost_segment_is_a_hole_and_ends_decoding() -> Result {
    let body: Vec<u8> = (0..1000_u32).map(|i| b'a' + (i % 26) as u8).collect();
    let folder = Folder::new("objects_hole")?;
    // Three packets are the handshake, one the request, one the head.
    let packets = response_without(8, "/x", &with_length(&body, ""), &body);
    let output = objects(&packets, &folder, &[])?;
    assert!(output.status.success(), "{output:?}");
    let [line] = &index(&folder)?[..] else { panic!("one body") };
    assert_eq!((&line["size"], &line["missing"]), (&1000.into(), &100.into()));
    assert_eq!((&line["complete"], &line["sha256"]), (&false.into(), &Value::Null));
    let file = fs::read(folder.0.join("objects/000001-response0-x"))?;
    let zeros = file.iter().position(|&byte| byte == 0).ok_or("a hole")?;
    assert!(file[zeros..zeros + 100].iter().all(|&byte| byte == 0));
    assert_eq!((&file[..zeros], &file[zeros + 100..]), (&body[..zeros], &body[zeros + 100..]));

    let folder = Folder::new("objects_hole_coded")?;
    let head = with_length(&body, "\r\nContent-Encoding: gzip");
    let coded = [HELLO, &body[HELLO.len()..]].concat();
    objects(&response_without(6, "/x", &head, &coded), &folder, &[])?;
    let [line] = &index(&folder)?[..] else { panic!("one body") };
    assert_eq!((&line["decoded"], &line["complete"]), (&"gap".into(), &false.into()));
    assert!(line["file"].is_null() || line["size"].as_u64() <= Some(19), "{line}");
    Ok(())
}

#[test]
fn hostile_names_stay_within_the_folder() -> Result {
    let long = format!("/{}", "n".repeat(5000));
    let names =
        ["/..", "/../../etc/passwd", "/a\\..\\b", "/-rf", "/%2e%2e%2f", "/a\u{1b}[2J", &long, "/"];
    for (number, target) in names.into_iter().enumerate() {
        let folder = Folder::new(&format!("objects_names{number}"))?;
        objects(&response(target, &with_length(b"body", ""), b"body"), &folder, &[])?;
        let [line] = &index(&folder)?[..] else { panic!("one body of {target}") };
        let file = line["file"].as_str().ok_or("a file")?;
        assert!(file.starts_with("000001-response0-") && file.len() < 100, "{file}");
        assert!(file.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)), "{file}");
        let objects = folder.0.join("objects");
        assert_eq!(fs::read(objects.join(file))?, b"body");
        assert_eq!(fs::read_dir(&objects)?.count(), 2, "the file and the index");
    }
    Ok(())
}

#[test]
fn planted_links_are_not_followed() -> Result {
    let folder = Folder::new("objects_links")?;
    let (victim, objects_folder) = (folder.0.join("victim"), folder.0.join("objects"));
    fs::write(&victim, "precious")?;
    fs::create_dir(&objects_folder)?;
    symlink(&victim, objects_folder.join("000001-response0-x"))?;
    let packets = response("/x", &with_length(b"body", ""), b"body");
    let refused = objects(&packets, &folder, &[])?;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let replaced = objects(&packets, &folder, &["--overwrite"])?;
    assert!(replaced.status.success(), "{replaced:?}");
    assert_eq!(fs::read(Path::new(&victim))?, b"precious");
    assert_eq!(fs::read(objects_folder.join("000001-response0-x"))?, b"body");
    Ok(())
}

#[test]
fn a_bomb_is_stopped_and_named() -> Result {
    let folder = Folder::new("objects_bomb")?;
    // 32 MiB of zeros.
    let bomb = include_bytes!("objects/zeros.gz");
    let head = with_length(bomb, "\r\nContent-Encoding: gzip");
    let output = objects(&response("/bomb", &head, bomb), &folder, &[])?;
    assert!(output.status.success(), "{output:?}");
    let [line] = &index(&folder)?[..] else { panic!("one body") };
    assert_eq!((&line["decoded"], &line["complete"]), (&"ratio".into(), &false.into()));
    let size = line["size"].as_u64().ok_or("a size")?;
    assert!(size < 8 << 20, "{size}");
    Ok(())
}
