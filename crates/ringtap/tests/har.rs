//! `ringtap messages --output har`: an archive as the format HAR 1.2 has it.

mod folder;
mod packets;

use std::process::Command;

use serde_json::{Value, json};

use folder::Folder;
use packets::{Host, Packets};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// `hello, hello, hello` as gzip.
const HELLO: &[u8] = include_bytes!("objects/hello.gz");

fn archive(test: &str, packets: &Packets) -> Result<(Value, String)> {
    let folder = Folder::new(test)?;
    let path = packets.write(&folder.0)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let output = command.args(["messages", "-o", "har", "-r"]).arg(path).output()?;
    assert!(output.status.success(), "{output:?}");
    Ok((serde_json::from_slice(&output.stdout)?, String::from_utf8(output.stderr)?))
}

/// Fails unless `value` has exactly these members, besides additions, whose names begin with `_`.
fn has(value: &Value, names: &[&str]) {
    let members = value.as_object().expect("an object").keys().map(String::as_str);
    let mut members: Vec<&str> = members.filter(|name| !name.starts_with('_')).collect();
    let mut names = names.to_vec();
    members.sort_unstable();
    names.sort_unstable();
    assert_eq!(members, names);
}

fn check_structure(archive: &Value) {
    has(archive, &["log"]);
    has(&archive["log"], &["version", "creator", "entries"]);
    assert_eq!(archive["log"]["version"], "1.2");
    has(&archive["log"]["creator"], &["name", "version"]);
    for entry in archive["log"]["entries"].as_array().expect("a list") {
        has(
            entry,
            &[
                "startedDateTime",
                "time",
                "request",
                "response",
                "cache",
                "timings",
                "serverIPAddress",
                "connection",
            ],
        );
        has(
            &entry["request"],
            &[
                "method",
                "url",
                "httpVersion",
                "cookies",
                "headers",
                "queryString",
                "headersSize",
                "bodySize",
            ],
        );
        has(
            &entry["response"],
            &[
                "status",
                "statusText",
                "httpVersion",
                "cookies",
                "headers",
                "content",
                "redirectURL",
                "headersSize",
                "bodySize",
            ],
        );
        has(&entry["timings"], &["send", "wait", "receive"]);
        let timings = entry["timings"].as_object().expect("an object").values();
        let sum: f64 = timings.map(|time| time.as_f64().expect("a number")).sum();
        assert!((entry["time"].as_f64().expect("a number") - sum).abs() < 1e-9);
    }
}

#[test]
fn an_entry_has_what_was_asked_and_answered() -> Result {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type: text/plain\r\n\
         Content-Encoding: gzip\r\nSet-Cookie: s=1; Path=/\r\n\r\n",
        HELLO.len()
    );
    let (archive, _) = archive(
        "har_entry",
        &Packets::conversation(&[
            (
                Host::Client,
                b"GET /a b?q=%41+c&d HTTP/1.1\r\nHost: x.example\r\nCookie: a=b; c=d\r\n\r\n",
            ),
            (Host::Server, &[head.as_bytes(), HELLO].concat()),
            (Host::Client, b"GET /none HTTP/1.1\r\nHost: x.example\r\n\r\n"),
        ]),
    )?;
    check_structure(&archive);
    let [first, second] = &archive["log"]["entries"].as_array().ok_or("entries")?[..] else {
        panic!("two entries: {archive}")
    };
    assert_eq!(first["startedDateTime"], "2023-11-14T22:13:20.003Z");
    assert_eq!(first["timings"], json!({ "send": 0.0, "wait": 1.0, "receive": 0.0 }));
    let request = &first["request"];
    assert_eq!(request["url"], "http://x.example/a%20b?q=%41+c&d");
    assert_eq!((&request["method"], &request["httpVersion"]), (&"GET".into(), &"HTTP/1.1".into()));
    assert_eq!(
        request["queryString"],
        json!([{ "name": "q", "value": "A c" }, { "name": "d", "value": "" }])
    );
    assert_eq!(
        request["cookies"],
        json!([{ "name": "a", "value": "b" }, { "name": "c", "value": "d" }])
    );
    let response = &first["response"];
    assert_eq!((&response["status"], &response["statusText"]), (&200.into(), &"OK".into()));
    assert_eq!(response["cookies"], json!([{ "name": "s", "value": "1" }]));
    assert_eq!(response["bodySize"], HELLO.len());
    assert_eq!(response["content"]["size"], 19, "decoded");
    assert_eq!(response["content"]["mimeType"], "text/plain");
    assert_eq!(second["response"]["status"], 0);
    assert_eq!(second["_complete"], false);
    Ok(())
}

#[test]
fn an_archive_without_entries_is_one() -> Result {
    let (empty, report) = archive(
        "har_empty",
        &Packets::conversation(&[(Host::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]),
    )?;
    check_structure(&empty);
    assert_eq!(empty["log"]["entries"], json!([]));
    assert!(report.contains("1 response is not in the archive"), "{report}");
    Ok(())
}
