//! Expressions on the command line: those that are refused, and what they mean for files.

mod folder;
mod packets;

use std::path::Path;
use std::process::{Command, Output};

use folder::Folder;
use packets::Host::{Client, Server};
use packets::{ACK, Packets};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn ringtap(arguments: &[&str], file: Option<&Path>) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    if let Some(file) = file {
        command.arg(arguments[0]).arg("-r").arg(file).args(&arguments[1..]);
    } else {
        command.args(arguments);
    }
    Ok(command.output()?)
}

fn count(file: &Path, expression: &str) -> Result<String> {
    let output = ringtap(&["capture", "--count", expression], Some(file))?;
    assert!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn an_expression_that_no_packet_can_pass_is_refused() -> Result {
    let folder = Folder::new("contradictions")?;
    let file = Packets::ethernet().exchange(b"ping", b"pong").write(&folder.0)?;
    for expression in [
        "icmp and tcp",
        "ip6 and tcp[tcpflags] & tcp-syn != 0",
        "port 80 and not port 80",
        "ip and host ::1",
        "greater 100 and less 50",
    ] {
        for command in ["capture", "follow", "flows"] {
            let output = ringtap(&[command, expression], Some(&file))?;
            let text = String::from_utf8(output.stderr)?;
            assert_eq!(output.status.code(), Some(2), "{command} {expression}: {text}");
            assert!(text.contains("rejects all packets"), "{command} {expression}: {text}");
            assert!(output.stdout.is_empty(), "{command} {expression}");
        }
    }
    assert_eq!(count(&file, "tcp or icmp")?, count(&file, "ip")?);
    assert_eq!(count(&file, "udp")?, "0 packets\n", "none is there, but one could be");
    Ok(())
}

#[test]
fn the_program_of_an_expression_needs_no_packets() -> Result {
    let output = ringtap(&["capture", "-d", "tcp port 80"], None)?;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout)?;
    assert!(text.starts_with("(000) ldh      [12]\n") && text.ends_with("ret      #0\n"), "{text}");
    // Of a file it is the program for its packets.
    let folder = Folder::new("program")?;
    let file = Packets::new(101).write(&folder.0)?;
    let output = ringtap(&["capture", "-d", "tcp port 80"], Some(&file))?;
    assert!(String::from_utf8(output.stdout)?.starts_with("(000) ldb      [0]\n"));
    let output = ringtap(&["capture", "tcp port 80"], None)?;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr)?.contains("--interface or --read"));
    Ok(())
}

#[test]
fn a_broadcast_needs_a_network_mask() -> Result {
    let folder = Folder::new("broadcast")?;
    let to = |end: u8| {
        let mut packet = vec![0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1];
        packet.extend([192, 0, 2, end]);
        packet
    };
    let packets = Packets::ethernet().frame(0x0800, &to(255)).frame(0x0800, &to(63));
    let file = packets.frame(0x0800, &to(9)).write(&folder.0)?;
    let output = ringtap(&["capture", "--count", "ip broadcast"], Some(&file))?;
    let text = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("--netmask") && !text.contains("::"), "{text}");
    for (mask, expected) in [("255.255.255.0", "1 packet\n"), ("255.255.255.192", "2 packets\n")] {
        let output =
            ringtap(&["capture", "--count", "--netmask", mask, "ip broadcast"], Some(&file))?;
        assert_eq!(String::from_utf8(output.stdout)?, expected, "{mask}");
    }
    Ok(())
}

/// The fragments of a packet over IPv4, cut at multiples of eight bytes of its payload.
fn fragments(packet: &[u8], id: u16, cuts: &[usize]) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let starts = [&[0][..], cuts].concat();
    let ends = [cuts, &[payload.len()][..]].concat();
    let piece = |(&start, &end): (&usize, &usize)| {
        let mut piece = [header, &payload[start..end]].concat();
        let field = (start / 8) as u16 | u16::from(end < payload.len()) << 13;
        piece[2..4].copy_from_slice(&(20 + (end - start) as u16).to_be_bytes());
        piece[4..6].copy_from_slice(&id.to_be_bytes());
        piece[6..8].copy_from_slice(&field.to_be_bytes());
        piece[10..12].fill(0);
        let sum = piece[..20].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
        let sum = sum.sum::<u32>();
        let sum = !((sum >> 16) + (sum & 0xffff)) as u16;
        piece[10..12].copy_from_slice(&sum.to_be_bytes());
        piece
    };
    starts.iter().zip(&ends).map(piece).collect()
}

#[test]
fn an_expression_with_ports_keeps_the_later_fragments() -> Result {
    let folder = Folder::new("fragments")?;
    let body: Vec<u8> = (0..4000u16).map(|at| (at / 7) as u8).collect();
    let len = body.len() as u32;
    for reversed in [false, true] {
        let mut packets = Packets::ethernet().handshake();
        for (from, id) in [(Client, 7), (Server, 8)] {
            let [at, ack] = if from == Client { [0, 0] } else { [0, len] };
            let segment = packets::tcp(from, ACK, at, ack, &body);
            let mut pieces = fragments(&packets::ipv4(from, 6, &segment), id, &[1480, 2960]);
            if reversed {
                pieces.reverse();
            }
            for piece in pieces {
                packets = packets.frame(0x0800, &piece);
            }
        }
        let file = packets.close(len, len).write(&folder.0)?;
        let digest = |expression: &str| -> Result<String> {
            let output = ringtap(&["follow", "--digest", expression], Some(&file))?;
            assert!(output.status.success(), "{output:?}");
            Ok(String::from_utf8(output.stdout)?)
        };
        let whole = digest("")?;
        assert_eq!(whole.matches("\"len\":4000").count(), 2, "{whole}");
        assert_eq!(digest("tcp port 8080")?, whole, "reversed: {reversed}");
        assert_eq!(count(&file, "tcp port 8080")?, count(&file, "")?);
        assert_eq!(count(&file, "tcp port 8081")?, "0 packets\n");
    }
    Ok(())
}

#[test]
fn ports_are_found_behind_extension_headers() -> Result {
    let folder = Folder::new("extension-headers")?;
    // Hop-by-hop options, as BIG TCP has them, then UDP.
    let datagram = [0x9c, 0x40, 0x1f, 0x90, 0, 12, 0, 0, 1, 2, 3, 4];
    let mut packet = vec![0x60, 0, 0, 0, 0, 20, 0, 64];
    packet.extend([[0xfd; 16], [0xfe; 16]].concat());
    packet.extend([17, 0, 1, 4, 0, 0, 0, 0]);
    packet.extend(datagram);
    let file = Packets::ethernet().frame(0x86dd, &packet).write(&folder.0)?;
    let flows = |further: &[&str]| -> Result<usize> {
        let output = ringtap(&[&["flows", "udp port 8080"], further].concat(), Some(&file))?;
        assert!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?.lines().count())
    };
    assert_eq!(flows(&[])?, 1);
    assert_eq!(flows(&["--extension-headers", "ignore"])?, 0);
    // As tcpdump, unless asked for.
    assert_eq!(count(&file, "udp port 8080")?, "0 packets\n");
    let further = ["capture", "--count", "--extension-headers", "follow", "udp port 8080"];
    assert_eq!(ringtap(&further, Some(&file))?.stdout, b"1 packet\n");
    Ok(())
}

/// Whatever is followed can be chosen.
#[test]
fn every_link_type_that_is_read_can_be_filtered() {
    use flow::{LinkType, Timestamp, Unparsed};
    let mut read = 0;
    for link_type in (0..=u16::MAX).map(LinkType) {
        let packet = flow::Packet::new(&[], Timestamp::default(), link_type);
        if matches!(flow::parse(&packet), Err(Unparsed::UnsupportedLinkType(_))) {
            continue;
        }
        let filtered =
            packet_filter::is_supported(link_type) || packet_filter::has_inner_link_type(link_type);
        assert!(filtered, "link type {link_type}");
        read += 1;
    }
    assert!(read > 50, "{read}");
}

#[test]
fn an_expression_that_matched_nothing_is_reported_with_the_number_of_packets() -> Result {
    let folder = Folder::new("nothing-matched")?;
    let file = Packets::ethernet().exchange(b"ping", b"pong").write(&folder.0)?;
    let all = count(&file, "")?;
    let all = all.trim();
    for command in [&["capture"][..], &["capture", "--count"], &["follow"], &["flows"]] {
        let text = |expression| -> Result<String> {
            let output = ringtap(&[command, &[expression]].concat(), Some(&file))?;
            assert!(output.status.success(), "{output:?}");
            Ok(String::from_utf8(output.stderr)?)
        };
        let text_of_none = text("tcp port 81")?;
        let line = format!("0 of {all} matched the expression\n");
        assert!(text_of_none.contains(&line), "{command:?}: {text_of_none}");
        assert!(!text("tcp")?.contains("matched"), "{command:?}");
    }
    Ok(())
}

/// A conversation whose beginning was not captured says so in every form.
#[test]
fn a_conversation_that_was_picked_up_midway_is_marked() -> Result {
    let folder = Folder::new("midway")?;
    let midway = Packets::ethernet()
        .tcp(Client, ACK, 0, 0, b"question")
        .tcp(Server, ACK, 0, 8, b"answer")
        .write(&folder.0)?;
    let other = Folder::new("from-the-start")?;
    let whole = Packets::ethernet().exchange(b"question", b"answer").write(&other.0)?;
    for (command, mark) in [
        (&["follow"][..], " picked up midway\n"),
        (&["follow", "-q"], " picked up midway\n"),
        (&["follow", "-o", "json"], "\"midway\":true"),
        (&["flows"], " midway\n"),
        (&["flows", "--json"], "\"midway\":true"),
    ] {
        let text = |file: &Path| -> Result<String> {
            Ok(String::from_utf8(ringtap(command, Some(file))?.stdout)?)
        };
        let (midway, whole) = (text(&midway)?, text(&whole)?);
        assert!(midway.contains(mark), "{command:?}: {midway}");
        assert!(!whole.contains("midway"), "{command:?}: {whole}");
    }
    Ok(())
}
