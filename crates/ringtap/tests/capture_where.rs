//! `capture --where`: the packets of conversations that meet a condition, byte for byte.

mod folder;
mod packets;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use capture_file::CaptureFile;
use ring_core::{Next, PacketBatch as _, PacketSource as _, Timeout};

use folder::Folder;
use packets::Host::{Client, Server};
use packets::{ACK, FIN, Packets, SYN, ipv4, tcp};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn capture(file: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    Ok(command.args(["capture", "--read"]).arg(file).args(arguments).output()?)
}

/// The packets of a pcap file, with their headers.
fn records(file: &Path) -> Result<Vec<Vec<u8>>> {
    let bytes = fs::read(file)?;
    let (mut rest, mut records) = (&bytes[24..], Vec::new());
    while !rest.is_empty() {
        let len = 16 + u32::from_le_bytes(rest[8..12].try_into()?) as usize;
        records.push(rest[..len].to_vec());
        rest = &rest[len..];
    }
    Ok(records)
}

/// Captures with a condition, and checks that exactly these packets, counted from 1, were written.
fn check(file: &Path, arguments: &[&str], expected: &[usize]) -> Result<String> {
    let (written, errors) = write(file, arguments)?;
    assert!(written == expected, "{arguments:?}: {errors}\n{written:?}");
    Ok(errors)
}

/// The packets that are written, counted from 1, and what the command prints.
fn write(file: &Path, arguments: &[&str]) -> Result<(Vec<usize>, String)> {
    let path = file.with_file_name("out.pcap");
    let all = records(file)?;
    let target = path.to_str().ok_or("path")?;
    let output = capture(file, &[&["--nano", "-w", target], arguments].concat())?;
    let errors = String::from_utf8(output.stderr)?;
    assert!(output.status.success(), "{errors}");
    let written: Vec<_> = records(&path)?
        .iter()
        .map(|record| all.iter().position(|one| one == record).map_or(0, |at| at + 1))
        .collect();
    Ok((written, errors))
}

/// The same segment on another port of the client.
fn other(mut segment: Vec<u8>, from: packets::Host) -> Vec<u8> {
    let at = if from == Client { 0 } else { 2 };
    segment[at..at + 2].copy_from_slice(&50_000_u16.to_be_bytes());
    segment
}

trait Other {
    /// A segment of a second connection.
    fn other(self, from: packets::Host, flags: u8, at: u32, ack: u32, payload: &[u8]) -> Self;
}

impl Other for Packets {
    fn other(self, from: packets::Host, flags: u8, at: u32, ack: u32, payload: &[u8]) -> Self {
        let segment = other(tcp(from, flags, at, ack, payload), from);
        self.frame(0x0800, &ipv4(from, 6, &segment))
    }
}

/// Two connections that take turns, and a datagram: 1, 3, 5, 7, 9, 12, 13, 14, 17 of the first; 2,
/// 4, 6, 8, 11, 15, 16 of the second.
fn two() -> Packets {
    let start = u32::MAX;
    Packets::ethernet()
        .tcp(Client, SYN, start, start, b"")
        .other(Client, SYN, start, start, b"")
        .tcp(Server, SYN | ACK, start, 0, b"")
        .other(Server, SYN | ACK, start, 0, b"")
        .tcp(Client, ACK, 0, 0, b"")
        .other(Client, ACK, 0, 0, b"")
        .tcp(Client, ACK, 0, 0, b"the pass")
        .other(Client, ACK, 0, 0, b"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n")
        .tcp(Client, ACK, 8, 0, b"word is secret")
        .udp(Client, b"the datagram")
        .other(Server, ACK, 0, 35, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .tcp(Client, FIN | ACK, 22, 0, b"")
        .tcp(Server, FIN | ACK, 0, 23, b"")
        .tcp(Client, ACK, 23, 1, b"")
        .other(Client, FIN | ACK, 35, 40, b"")
        .other(Server, FIN | ACK, 40, 36, b"")
        .tcp(Server, FIN | ACK, 0, 23, b"") // again, after the end
}

const FIRST: &[usize] = &[1, 3, 5, 7, 9, 12, 13, 14, 17];
const SECOND: &[usize] = &[2, 4, 6, 8, 11, 15, 16];

#[test]
fn packets_are_those_of_the_conversations_in_the_order_of_the_file() -> Result {
    let folder = Folder::new("capture-where")?;
    let file = two().write(&folder.0)?;
    let both: Vec<usize> = (1..=17).filter(|number| *number != 10).collect();
    for (condition, expected) in [
        ("payload contains \"password\"", FIRST),
        ("http.host == \"b.example\"", SECOND),
        ("http.status == 200", SECOND),
        ("end == fin and payload contains \"secret\"", FIRST),
        ("port == 50000", SECOND),
        ("tcp", &both),
        ("udp", &[10]),
        ("payload contains \"passwords\"", &[]),
    ] {
        check(&file, &["--where", condition], expected)?;
    }
    let errors = check(&file, &["--where", "port == 50000"], SECOND)?;
    assert!(errors.contains("2 conversations not taken"), "{errors}");
    let condition = "payload contains \"password\"";
    check(&file, &["--where", condition, "-c", "3"], &FIRST[..3])?;
    let output = capture(&file, &["--where", condition, "--count"])?;
    assert_eq!(String::from_utf8(output.stdout)?, "9 packets\n");
    let output = capture(&file, &["--where", condition])?;
    assert_eq!(String::from_utf8(output.stdout)?.lines().count(), 9);
    // A packet expression applies to the packets that conversations are made of.
    check(&file, &["--where", condition, "src port 40000"], &[1, 5, 7, 9, 12, 14])?;
    Ok(())
}

#[test]
fn without_memory_decided_packets_do_not_wait_and_the_policy_decides_the_rest() -> Result {
    let folder = Folder::new("capture-where-memory")?;
    let letters = [b'x'; 1400];
    // The first connection is undecided to its end.
    let packets = |segments: u32| {
        let mut packets = Packets::ethernet().handshake();
        for number in 0..segments {
            packets = packets.other(Client, ACK, number * 1400, 0, &letters);
        }
        packets.close(0, 0).write(&folder.0)
    };
    let file = packets(900)?;
    let of_first = [1, 2, 3, 904, 905, 906];
    let of_second: Vec<usize> = (4..904).collect();
    let condition = "port == 50000 or bytes > 1M";
    let errors = check(&file, &["--where", condition], &of_second)?;
    assert!(!errors.contains("memory"), "{errors}");
    // The packets of the second connection exceed the memory, but not the undecided ones.
    let small = ["--undecided-memory", "1M"];
    check(&file, &[&["--where", condition], &small[..]].concat(), &of_second)?;
    let condition = "port == 50000 or bytes == 0";
    let (written, errors) = write(&file, &[&["--where", condition], &small[..]].concat())?;
    assert!(errors.contains("3 packets taken after later ones"), "{errors}");
    let of = |numbers: &[usize]| {
        written.iter().copied().filter(|number| numbers.contains(number)).collect::<Vec<_>>()
    };
    assert_eq!((of(&of_first), of(&of_second)), (of_first.to_vec(), of_second));
    assert_eq!((written.len(), written[0]), (906, 4));

    let file = packets(60)?;
    let of_first = [1, 2, 3, 64, 65, 66];
    let condition = "port == 40000 and bytes == 0 or payload contains \"y\"";
    let all: Vec<usize> = (1..=66).collect();
    for (policy, expected, says) in [
        ("show", &all[..], "1 conversation taken although --where was undecided"),
        ("drop", &of_first, "1 conversation dropped although --where was undecided"),
    ] {
        let limits = ["--undecided-memory", "1M", "--undecided", policy];
        let errors = check(&file, &[&["--where", condition][..], &limits].concat(), expected)?;
        assert!(errors.contains(says), "{errors}");
    }
    Ok(())
}

#[test]
fn all_fragments_of_a_datagram_are_taken() -> Result {
    let folder = Folder::new("capture-where-fragments")?;
    let mut datagram = [40_000_u16, 8_080, 8 + 40, 0].map(u16::to_be_bytes).concat();
    datagram.extend(b"the word that is looked for is in here!!");
    let piece = |at: usize, more: bool| {
        let end = (at + 16).min(datagram.len());
        let mut packet = ipv4(Client, 17, &datagram[at..end]);
        let word = (at / 8) as u16 | u16::from(more) << 13;
        packet[4..8].copy_from_slice(&[[0, 9], word.to_be_bytes()].concat());
        packet[10..12].fill(0);
        let sum = packet[..20]
            .chunks(2)
            .fold(0_u32, |sum, word| sum + u32::from(u16::from_be_bytes([word[0], word[1]])));
        let sum = (sum & 0xffff) + (sum >> 16);
        packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
        packet
    };
    let file = Packets::ethernet()
        .frame(0x0800, &piece(32, false))
        .handshake()
        .frame(0x0800, &piece(16, true))
        .frame(0x0800, &piece(0, true))
        .udp(Client, b"whole")
        .close(0, 0)
        .write(&folder.0)?;
    check(&file, &["--where", "udp and payload contains \"looked for\""], &[1, 5, 6, 7])?;
    check(&file, &["--where", "tcp and bytes == 0"], &[2, 3, 4, 8, 9, 10])?;
    Ok(())
}

/// The frames of a capture file, each with its time in nanoseconds.
fn frames(file: &Path) -> Result<Vec<(u64, Vec<u8>)>> {
    let (mut source, mut frames) = (CaptureFile::open(file)?, Vec::new());
    while let Next::Batch(batch) = source.next_batch(Timeout::Never)? {
        let packets = batch.packets();
        frames.extend(packets.map(|one| (one.timestamp().as_nanos(), one.data().to_vec())));
    }
    Ok(frames)
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files: Vec<_> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    Ok(files)
}

#[test]
fn each_conversation_gets_a_file_with_its_packets() -> Result {
    let folder = Folder::new("per-conversation")?;
    let file = two().write(&folder.0)?;
    let all = frames(&file)?;
    let target = folder.0.join("all");
    let target_text = target.to_str().ok_or("path")?;
    let output = capture(&file, &["--per-conversation", target_text])?;
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let written = files(&target)?;
    let expected = [
        ("000000-1700000000.000000-tcp-192.0.2.10.40000-198.51.100.20.8080.pcapng", FIRST),
        ("000001-1700000000.001000-tcp-192.0.2.10.50000-198.51.100.20.8080.pcapng", SECOND),
        ("000002-1700000000.009000-udp-192.0.2.10.40000-198.51.100.20.8080.pcapng", &[10]),
    ];
    assert_eq!(written.len(), expected.len(), "{written:?}");
    for (path, (name, numbers)) in written.iter().zip(expected) {
        assert_eq!(path.file_name().and_then(|name| name.to_str()), Some(name));
        let expected: Vec<_> = numbers.iter().map(|number| all[number - 1].clone()).collect();
        assert_eq!(frames(path)?, expected, "{name}");
    }
    let text = fs::read(&written[0])?;
    let comment = b"conversation 0: tcp 192.0.2.10:40000 > 198.51.100.20:8080\ntaken because all";
    assert!(text.windows(comment.len()).any(|window| window == comment));
    // Files of an earlier run stay as they are.
    let again = capture(&file, &["--per-conversation", target_text])?;
    assert!(!again.status.success() && frames(&written[0])?.len() == FIRST.len());

    let target = folder.0.join("some");
    let target_text = target.to_str().ok_or("path")?;
    let condition = "http.status == 200";
    let arguments = ["--where", condition, "--per-conversation", target_text];
    assert!(capture(&file, &arguments)?.status.success());
    let written = files(&target)?;
    assert_eq!(written.len(), 1);
    assert_eq!(frames(&written[0])?.len(), SECOND.len());
    let text = fs::read(&written[0])?;
    let comment = b"taken because of --where http.status == 200";
    assert!(text.windows(comment.len()).any(|window| window == comment));
    Ok(())
}

#[test]
fn conversations_may_be_more_than_open_files() -> Result {
    let folder = Folder::new("per-conversation-many")?;
    let mut packets = Packets::ethernet();
    let conversations = 1_000_u16;
    for round in 0..3 {
        for port in 0..conversations {
            let mut segment = tcp(Client, ACK, round * 5, 0, b"round");
            segment[..2].copy_from_slice(&(20_000 + port).to_be_bytes());
            packets = packets.frame(0x0800, &ipv4(Client, 6, &segment));
        }
    }
    let file = packets.write(&folder.0)?;
    let target = folder.0.join("all");
    let script = "ulimit -n 100; exec \"$0\" capture --read \"$1\" --per-conversation \"$2\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_ringtap")]).arg(&file).arg(&target);
    let output = command.output()?;
    assert!(output.status.success(), "{output:?}");
    let written = files(&target)?;
    assert_eq!(written.len(), usize::from(conversations));
    for path in written {
        assert_eq!(frames(&path)?.len(), 3, "{}", path.display());
    }
    Ok(())
}

#[test]
fn the_first_bytes_of_each_conversation_are_taken_and_the_rest_is_counted() -> Result {
    let folder = Folder::new("first-bytes")?;
    let file = two().write(&folder.0)?;
    // Frames without payload have 54 bytes.
    let errors = check(&file, &["--first-bytes", "110"], &[1, 2, 3, 4, 5, 6, 10])?;
    assert!(errors.contains("10 packets with 637 bytes not taken"), "{errors}");
    let condition = "payload contains \"secret\"";
    check(&file, &["--where", condition, "--first-bytes", "1"], &[1])?;
    Ok(())
}
