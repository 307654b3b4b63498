//! `ringtap follow` on files: what it prints and writes, and its exit status.

mod folder;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use traffic::{Profile, Traffic};

use folder::Folder;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Bytes of a pcap file's header, and of a packet's.
const HEADER: usize = 24;
const RECORD: usize = 16;

impl Folder {
    /// A capture of three connections; each packet through `change`, which may drop it.
    fn capture(&self, keep: impl Fn(usize) -> bool) -> Result<PathBuf> {
        let mut file = Vec::new();
        let profile = Profile { reorder_one_of: 0, repeat_one_of: 0, ..Profile::MIXED };
        Traffic::new(profile).connections(3).capture().write_pcap(&mut file)?;
        let mut kept = file[..HEADER].to_vec();
        let mut rest = &file[HEADER..];
        let mut number = 0;
        while let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = *rest {
            number += 1;
            let len = RECORD + u32::from_le_bytes([a, b, c, d]) as usize;
            if keep(number) {
                kept.extend(&rest[..len]);
            }
            rest = &rest[len..];
        }
        let path = self.0.join("capture.pcap");
        fs::write(&path, kept)?;
        Ok(path)
    }
}

fn follow(file: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    Ok(command.arg("follow").arg("--read").arg(file).args(arguments).output()?)
}

/// The JSON values in the lines of standard output.
fn objects(output: &Output) -> Result<Vec<Value>> {
    let text = std::str::from_utf8(&output.stdout)?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Length and SHA-256 of each direction by source and destination, from `--digest`.
fn digests(file: &Path) -> Result<BTreeMap<(String, String), (u64, String)>> {
    let output = follow(file, &["--digest"])?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entry = |object: &Value| {
        let (len, sha256) = (object["len"].as_u64().unwrap_or(0), text(&object["sha256"]));
        ((text(&object["src"]), text(&object["dst"])), (len, sha256))
    };
    Ok(objects(&output)?.iter().map(entry).collect())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn json_has_every_byte_in_its_place() -> Result {
    let folder = Folder::new("json")?;
    let capture = folder.capture(|_| true)?;
    let output = follow(&capture, &["--output", "json"])?;
    assert!(output.status.success());
    let mut ends = BTreeMap::new();
    let mut streams: BTreeMap<(u64, String), Vec<u8>> = BTreeMap::new();
    let mut reasons = Vec::new();
    for object in objects(&output)? {
        let number = object["conversation"].as_u64().ok_or("no number")?;
        let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
        match text("event").as_str() {
            "start" => {
                ends.insert(number, [text("initiator"), text("responder")]);
            }
            "data" => {
                let stream = streams.entry((number, text("from"))).or_default();
                assert_eq!(object["offset"], stream.len());
                stream.extend(STANDARD.decode(text("data"))?);
                assert!(object["packet"].as_u64() > Some(0));
            }
            "end" => reasons.push(text("reason")),
            "finished" => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(reasons, ["fin"; 3]);
    let mut found = BTreeMap::new();
    for ((number, from), bytes) in streams {
        let [initiator, responder] = ends[&number].clone();
        let key = if from == "initiator" { (initiator, responder) } else { (responder, initiator) };
        found.insert(key, (bytes.len() as u64, sha256(&bytes)));
    }
    assert_eq!(found.len(), 6);
    assert_eq!(found, digests(&capture)?);
    Ok(())
}

#[test]
fn files_have_what_the_digests_say() -> Result {
    let folder = Folder::new("files")?;
    let capture = folder.capture(|_| true)?;
    let streams = folder.0.join("streams");
    let output = follow(&capture, &["--write-dir", streams.to_str().ok_or("path")?])?;
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout)?;
    assert_eq!(text.lines().filter(|line| line.ends_with(" started")).count(), 3);
    assert_eq!(text.lines().filter(|line| line.contains(" closed: ")).count(), 3);
    assert!(!text.contains(" bytes at "), "bytes are shown, though nobody asked");
    let mut found = Vec::new();
    for file in fs::read_dir(&streams)? {
        let file = file?;
        let bytes = fs::read(file.path())?;
        found.push((bytes.len() as u64, sha256(&bytes)));
        let name = file.file_name().into_string().map_err(|_| "a name")?;
        let parts: Vec<_> = name.split('-').collect();
        assert!(matches!(parts[..], [number, _, _] if number.len() == 6), "{name}");
    }
    let mut expected: Vec<_> = digests(&capture)?.into_values().collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    Ok(())
}

#[test]
fn a_hole_stays_one_in_every_form() -> Result {
    let folder = Folder::new("hole")?;
    let whole = folder.capture(|_| true)?;
    let json = objects(&follow(&whole, &["--output", "json"])?)?;
    // A packet amid a response of several.
    let lost = json
        .windows(3)
        .find(|three| three.iter().all(|object| object["from"] == "responder"))
        .and_then(|three| three[1]["packet"].as_u64())
        .ok_or("no long response")?;
    let capture = folder.capture(|number| number as u64 != lost)?;
    let objects = objects(&follow(&capture, &["-o", "json"])?)?;
    let gap = objects.iter().find(|object| object["event"] == "gap").ok_or("no gap")?;
    assert_eq!((&gap["from"], &gap["cause"]), (&"responder".into(), &"acknowledged".into()));
    let (offset, len) = (gap["offset"].as_u64().ok_or("")?, gap["len"].as_u64().ok_or("")?);

    let streams = folder.0.join("streams");
    let printed = follow(&capture, &["-w", streams.to_str().ok_or("path")?, "-o", "hex"])?;
    let text = String::from_utf8(printed.stdout)?;
    assert!(
        text.contains(&format!(
            " {len} bytes missing at {offset}: not captured (the receiver acknowledged them)"
        )),
        "{text}"
    );
    let hole = (offset as usize)..(offset + len) as usize;
    let mut with_hole = 0;
    for file in fs::read_dir(&streams)? {
        let bytes = fs::read(file?.path())?;
        with_hole +=
            usize::from(bytes.get(hole.clone()).is_some_and(|hole| hole.iter().all(|b| *b == 0)));
    }
    assert_eq!(with_hole, 1);
    Ok(())
}

#[test]
fn a_damaged_file_is_read_up_to_the_damage() -> Result {
    let folder = Folder::new("damaged")?;
    let capture = folder.capture(|_| true)?;
    let bytes = fs::read(&capture)?;
    fs::write(&capture, &bytes[..bytes.len() - 7])?;
    let output = follow(&capture, &["--digest"])?;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(objects(&output)?.len(), 6, "what came before is told");
    let errors = String::from_utf8(output.stderr)?;
    assert!(errors.starts_with("ringtap: ") && errors.contains("capture.pcap"), "{errors}");
    Ok(())
}

#[test]
fn a_wrong_command_line_is_told_from_a_wrong_file() -> Result {
    let folder = Folder::new("usage")?;
    let capture = folder.capture(|_| true)?;
    for arguments in [&["--output", "yaml"][..], &["--digest", "--output", "hex"], &["-i", "lo"]] {
        assert_eq!(follow(&capture, arguments)?.status.code(), Some(2), "{arguments:?}");
    }
    let output = follow(&capture, &["tcp", "prot", "80"])?;
    assert_eq!(output.status.code(), Some(2), "an expression that is none");
    assert!(String::from_utf8(output.stderr)?.contains("tcp prot 80"));
    let missing = folder.0.join("missing.pcap");
    let output = follow(&missing, &[])?;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr)?.matches("missing.pcap").count(), 1);
    Ok(())
}

#[test]
fn colours_are_for_terminals_unless_asked_for() -> Result {
    let folder = Folder::new("colours")?;
    let capture = folder.capture(|_| true)?;
    let plain = follow(&capture, &[])?.stdout;
    assert!(!plain.contains(&0x1b));
    let coloured = String::from_utf8(follow(&capture, &["--color", "always"])?.stdout)?;
    // Red for the initiator, blue for the responder.
    assert!(coloured.contains("\u{1b}[31m") && coloured.contains("\u{1b}[34m"));
    Ok(())
}

#[test]
fn an_expression_chooses_among_the_packets_of_a_file() -> Result {
    let folder = Folder::new("expression")?;
    let capture = folder.capture(|_| true)?;
    let all = digests(&capture)?;
    let (source, _) = all.keys().next().ok_or("no direction")?;
    let (host, port) = source.rsplit_once(':').ok_or("no port")?;
    let expression = format!("host {host} and port {port}");
    let output = follow(&capture, &["--digest", &expression])?;
    let expected = all.keys().filter(|(src, dst)| src == source || dst == source).count();
    assert_eq!(objects(&output)?.len(), expected);
    Ok(())
}
