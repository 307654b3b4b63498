//! Bytes as the hosts of the capture took them.

mod folder;
mod packets;
mod shown;

use std::process::Command;

use packets::ACK;
use packets::Host::{Client, Server};
use packets::Packets;
use shown::{objects, shown};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Returns the raw bytes that `ringtap follow` shows.
fn bytes(test: &str, packets: &Packets, arguments: &[&str]) -> Result<String> {
    let (bytes, _) = shown(test, packets, &[&["follow", "--output", "raw"], arguments].concat())?;
    Ok(bytes)
}

#[test]
fn overlaps_are_resolved_as_the_receiver_does() -> Result {
    let packets = Packets::ethernet()
        .handshake()
        .tcp(Client, ACK, 2, 0, b"cd")
        .tcp(Client, ACK, 1, 0, b"BCD")
        .tcp(Client, ACK, 0, 0, b"a")
        .tcp(Server, ACK, 0, 4, b"")
        .close(4, 0);
    for (arguments, expected) in [
        (&[][..], "aBcd"),
        (&["--policy", "linux"], "aBCD"),
        (&["--policy", "192.0.2.0/24=linux"], "aBcd"),
        (&["--policy", "first,198.51.100.0/24=linux"], "aBCD"),
        (&["--policy", "linux", "--policy", "198.51.100.20=first"], "aBcd"),
    ] {
        assert_eq!(bytes("overlaps", &packets, arguments)?, expected, "{arguments:?}");
    }
    Ok(())
}

#[test]
fn damaged_segments_are_dropped_on_request() -> Result {
    let packets = Packets::ethernet()
        .handshake()
        .damaged_tcp(Client, ACK, 0, 0, b"EVIL")
        .tcp(Client, ACK, 0, 0, b"good")
        .tcp(Server, ACK, 0, 4, b"")
        .close(4, 0);
    assert_eq!(bytes("damaged", &packets, &[])?, "EVIL");
    assert_eq!(bytes("damaged", &packets, &["--verify-checksums"])?, "good");
    assert_eq!(bytes("damaged", &packets, &["--verify-checksums=always"])?, "good");
    // Two right segments of the client are not enough.
    assert_eq!(bytes("damaged", &packets, &["--verify-checksums=auto"])?, "EVIL");
    let longer = Packets::ethernet()
        .handshake()
        .tcp(Client, ACK, 0, 0, b"12")
        .tcp(Client, ACK, 2, 0, b"3")
        .damaged_tcp(Client, ACK, 3, 0, b"X")
        .tcp(Client, ACK, 3, 0, b"4")
        .close(4, 0);
    assert_eq!(bytes("damaged", &longer, &["--verify-checksums=auto"])?, "1234");
    Ok(())
}

/// A reader that saw the forged segment first gets both versions and their packets.
#[test]
fn a_segment_that_only_the_capture_got_is_announced() -> Result {
    let packets = Packets::ethernet()
        .handshake()
        .tcp(Client, ACK, 0, 0, b"EVIL")
        .tcp(Client, ACK, 0, 0, b"good")
        .tcp(Server, ACK, 0, 4, b"")
        .close(4, 0);
    let (text, _) = shown("announced", &packets, &["follow", "--output", "json"])?;
    let events = objects(&text)?;
    let conflict = events.iter().find(|event| event["event"] == "conflict").ok_or("no conflict")?;
    assert_eq!(conflict["offset"], 0);
    // Base64 of both.
    assert_eq!(
        (&conflict["kept"], &conflict["discarded"]),
        (&"RVZJTA==".into(), &"Z29vZA==".into())
    );
    assert_eq!((&conflict["kept_packet"], &conflict["discarded_packet"]), (&4.into(), &5.into()));
    Ok(())
}

#[test]
fn a_policy_that_does_not_exist_is_named() -> Result {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let output = command.args(["follow", "-r", "-", "--policy", "10.0.0.0/8=beos"]).output()?;
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr)?;
    assert!(message.contains("beos: not a policy; one of first, last, bsd"), "{message}");
    Ok(())
}

#[test]
fn esp_is_read_on_request() -> Result {
    // A segment of 24 bytes, two bytes of padding, their number, TCP, and a check value.
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    packet.extend([0x45, 0, 0, 72, 0, 1, 0, 0, 64, 50, 0, 0, 192, 0, 2, 10, 198, 51, 100, 20]);
    packet.extend([0, 0, 16, 1, 0, 0, 0, 1]);
    packet.extend([0x9c, 0x40, 0x1f, 0x90, 0, 0, 3, 232, 0, 0, 19, 137, 0x50, 0x18, 250, 240]);
    packet.extend([0, 0, 0, 0, b'o', b'p', b'e', b'n']);
    packet.extend([1, 2, 2, 6]);
    packet.extend([0xa5; 16]);
    let packets = Packets::ethernet().packet(&packet);
    assert_eq!(bytes("esp", &packets, &["--esp-null"])?, "open");
    assert_eq!(bytes("esp", &packets, &[])?, "");
    Ok(())
}
