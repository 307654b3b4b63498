//! VLANs in what the command prints.

mod folder;
mod packets;
mod shown;

use serde_json::Value;

use packets::Host::{Client, Server};
use packets::{ACK, CLIENT, Packets, SERVER};
use shown::{objects, shown};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Source, VLANs and length of each line of `--digest`.
fn digests(test: &str, packets: &Packets) -> Result<Vec<(String, String, u64)>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (lines, _) = shown(test, packets, &["follow", "--digest"])?;
    let line = |line: &Value| {
        assert_eq!(line["gaps"], Value::Array(Vec::new()));
        (text(&line["src"]), text(&line["scope"]), line["len"].as_u64().unwrap_or(0))
    };
    Ok(objects(&lines)?.iter().map(line).collect())
}

fn line(source: &str, scope: &str, len: u64) -> (String, String, u64) {
    (source.to_owned(), scope.to_owned(), len)
}

/// Two connections with the same addresses and ports, packet by packet.
fn in_two_vlans() -> Packets {
    let mut packets = Packets::ethernet().tagged(&[5], &[5]).handshake();
    packets = packets.tagged(&[6], &[6]).shifted(90_000).handshake();
    for (tag, shift, question, answer) in
        [(5, 0, &b"question"[..], &b"an answer"[..]), (6, 90_000, b"a question", b"another one")]
    {
        packets = packets
            .tagged(&[tag], &[tag])
            .shifted(shift)
            .tcp(Client, ACK, 0, 0, question)
            .tcp(Server, ACK, 0, question.len() as u32, answer);
    }
    let packets = packets.tagged(&[5], &[5]).shifted(0).close(8, 9);
    packets.tagged(&[6], &[6]).shifted(90_000).close(10, 11)
}

#[test]
fn two_conversations_with_the_same_addresses_are_both_there() -> Result {
    let packets = in_two_vlans();
    let expected = [
        line(CLIENT, "vlan 5", 8),
        line(SERVER, "vlan 5", 9),
        line(CLIENT, "vlan 6", 10),
        line(SERVER, "vlan 6", 11),
    ];
    assert_eq!(digests("both-digest", &packets)?, expected);
    let (text, _) = shown("both-text", &packets, &["follow", "--quiet"])?;
    for vlan in ["vlan 5", "vlan 6"] {
        assert!(text.contains(&format!("{CLIENT} > {SERVER} {vlan} started")), "{text}");
    }
    let (text, _) = shown("both-flows", &packets, &["flows"])?;
    assert!(text.contains(&format!(" tcp {CLIENT} > {SERVER} vlan 6 ")), "{text}");
    let (text, _) = shown("both-json", &packets, &["flows", "--json"])?;
    let scopes: Vec<_> = objects(&text)?.iter().map(|flow| flow["scope"].clone()).collect();
    assert_eq!(scopes, ["vlan 5", "vlan 6"]);
    assert!(!text.contains("responder_scope"));
    // Asked for, they are one, whatever comes of it.
    let (text, _) = shown("both-ignored", &packets, &["flows", "--ignore-scope", "--json"])?;
    assert!(objects(&text)?.iter().all(|flow| flow["scope"].is_null()));
    Ok(())
}

#[test]
fn directions_in_two_vlans_are_one_conversation() -> Result {
    let packets = Packets::ethernet().tagged(&[5, 7], &[]).exchange(b"question", b"an answer");
    let expected = [line(CLIENT, "vlan 5 vlan 7", 8), line(SERVER, "", 9)];
    assert_eq!(digests("one-digest", &packets)?, expected);
    let (text, _) = shown("one-flows", &packets, &["flows", "--json"])?;
    let flows = objects(&text)?;
    assert_eq!(flows.len(), 1);
    assert_eq!((&flows[0]["end"], &flows[0]["missing_bytes"]), (&"fin".into(), &0.into()));
    assert_eq!(flows[0]["initiator_scope"], "vlan 5 vlan 7");
    assert_eq!(flows[0]["responder_scope"], "");
    let packets = Packets::ethernet().tagged(&[5], &[6]).exchange(b"question", b"an answer");
    let (text, _) = shown("one-text", &packets, &["follow"])?;
    assert_eq!(text.matches(" started\n").count(), 1);
    assert!(text.contains(&format!("{SERVER} > {CLIENT} this direction was captured in vlan 6\n")));
    assert!(text.ends_with("closed: 8 bytes sent, 9 bytes received\n"), "{text}");
    let (text, _) = shown("one-json", &packets, &["follow", "--output", "json"])?;
    let events = objects(&text)?;
    assert_eq!(events[0]["scope"], "vlan 5");
    assert_eq!(events[events.len() - 1]["responder_scope"], "vlan 6");
    Ok(())
}

/// Both sides of a router were mirrored.
#[test]
fn a_digest_has_an_exact_copy_once() -> Result {
    let twice = |other: &[u8], shift| {
        let packets = Packets::ethernet().tagged(&[5], &[5]).exchange(b"question", b"an answer");
        packets.tagged(&[6], &[6]).shifted(shift).exchange(b"question", other)
    };
    let (text, errors) = shown("copy", &twice(b"an answer", 0), &["follow", "--digest"])?;
    assert_eq!(text.lines().count(), 2);
    assert_eq!(
        errors,
        "ringtap: 1 conversation is left out: an exact copy, captured in another VLAN or tunnel, is printed\n"
    );
    // The same bytes with other numbers are another conversation, and so are other bytes with the
    // same numbers.
    for (name, packets) in [("numbers", twice(b"an answer", 1)), ("bytes", twice(b"an ANSWER", 0))]
    {
        let (text, errors) = shown(name, &packets, &["follow", "--digest"])?;
        assert_eq!((text.lines().count(), &errors[..]), (4, ""), "{name}");
    }
    // Nothing is left out elsewhere.
    let (text, _) = shown("copy-text", &twice(b"an answer", 0), &["follow"])?;
    assert_eq!(text.matches(" started\n").count(), 2);
    Ok(())
}
