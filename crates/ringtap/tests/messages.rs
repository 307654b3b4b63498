//! `ringtap messages` on files: what it prints, and its exit status.

mod folder;
mod packets;

use std::process::{Command, Output};

use serde_json::Value;

use folder::Folder;
use packets::{CLIENT, Host, Packets, SERVER};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn messages(folder: &Folder, packets: &Packets, arguments: &[&str]) -> Result<Output> {
    let path = packets.write(&folder.0)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    Ok(command.args(["messages", "--utc", "-r"]).arg(path).args(arguments).output()?)
}

/// Two exchanges; the second has a path with an escape sequence, and two lengths.
fn exchanges() -> Packets {
    let post = b"POST /\x1b[2J HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\
        Content-Length: 3\r\n\r\n0\r\n\r\n";
    Packets::conversation(&[
        (Host::Client, b"GET /a?b=c HTTP/1.1\r\nHost: x.example\r\n\r\n"),
        (Host::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Type: t\r\n\r\nbody"),
        (Host::Client, post),
        (Host::Server, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
    ])
}

#[test]
fn a_line_has_method_status_latency_lengths_and_address() -> Result {
    let folder = Folder::new("messages_line")?;
    let output = messages(&folder, &exchanges(), &[])?;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout)?;
    let lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0], ["2023-11-14"]);
    assert_eq!(lines[1][1..4], [CLIENT, ">", SERVER]);
    assert_eq!(lines[1][4..], ["GET", "200", "1.00", "ms", "0", "B", "4", "B", "x.example/a?b=c"]);
    // What the sender wrote does not reach the terminal as it is, and what is unusual is named.
    assert!(!text.contains('\x1b'), "{text:?}");
    assert!(text.contains("[both-lengths]"), "{text}");
    // The columns are aligned.
    let column = |line: &str, word: &str| line.find(word);
    let all: Vec<&str> = text.lines().collect();
    assert_eq!(column(all[1], "GET"), column(all[2], "POST"));
    assert_eq!(column(all[1], "x.example/a"), column(all[2], "x/"));
    Ok(())
}

#[test]
fn json_nests_the_names_of_fields() -> Result {
    let folder = Folder::new("messages_json")?;
    let output = messages(&folder, &exchanges(), &["--output", "json"])?;
    let text = String::from_utf8(output.stdout)?;
    let objects: Vec<Value> =
        text.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?;
    let [first, second] = &objects[..] else { panic!("two: {text}") };
    assert_eq!(first["conversation"], 1);
    assert_eq!((&first["client"], &first["server"]), (&CLIENT.into(), &SERVER.into()));
    assert_eq!(first["latency"], 0.001);
    let http = &first["http"];
    for (name, value) in [
        ("method", Value::from("GET")),
        ("host", "x.example".into()),
        ("path", "/a".into()),
        ("query", "b=c".into()),
        ("status", 200.into()),
        ("content_type", "t".into()),
        ("response_bytes", 4.into()),
        ("complete", true.into()),
    ] {
        assert_eq!(http[name], value, "{name}");
    }
    assert_eq!(http["request_header"], serde_json::json!(["Host: x.example"]));
    assert_eq!(second["http"]["flags"], serde_json::json!(["both-lengths"]));
    // Times are strings with all nanoseconds.
    assert!(
        first["time"]
            .as_str()
            .is_some_and(|time| time.split_once('.').is_some_and(|t| t.1.len() == 9))
    );
    assert!(first["sent"]["first"].as_str() <= first["received"]["last"].as_str());
    Ok(())
}

#[test]
fn protocols_are_chosen_by_name() -> Result {
    let folder = Folder::new("messages_proto")?;
    let output = messages(&folder, &exchanges(), &["--proto", "http", "--output", "json"])?;
    assert_eq!(String::from_utf8(output.stdout)?.lines().count(), 2);
    let output = messages(&folder, &exchanges(), &["--proto", "nonsense"])?;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr)?.contains("no such protocol; there are: "));
    Ok(())
}

#[test]
fn an_expression_selects_packets() -> Result {
    let folder = Folder::new("messages_expression")?;
    let output = messages(&folder, &exchanges(), &["port", "9"])?;
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    Ok(())
}

#[test]
fn a_lost_place_is_reported() -> Result {
    let folder = Folder::new("messages_lost")?;
    let packets = Packets::conversation(&[
        (Host::Client, b"GET /a HTTP/1.1\r\n\r\n"),
        (Host::Client, b"\x01nonsense"),
        (Host::Client, b"GET /b HTTP/1.1\r\n\r\n"),
    ]);
    let text = String::from_utf8(messages(&folder, &packets, &[])?.stdout)?;
    assert!(
        text.contains("http: place lost at byte 19 of the initiator: this is no message"),
        "{text}"
    );
    assert!(text.contains("/b"), "{text}");
    let text = String::from_utf8(messages(&folder, &packets, &["--output", "json"])?.stdout)?;
    assert!(text.contains(r#""lost":{"cause":"syntax","from":"initiator","offset":19}"#), "{text}");
    Ok(())
}
