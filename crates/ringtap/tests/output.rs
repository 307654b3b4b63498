//! The output of `ringtap follow` and `ringtap flows`, for people and for programs.

mod folder;
mod packets;
mod shown;

use std::process::Command;

use serde_json::Value;

use folder::Folder;
use packets::Host::{Client, Server};
use packets::{ACK, CLIENT, Packets, SERVER, START, SYN};
use shown::{objects, shown};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The lines of standard output that are not bytes.
fn headings(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with(['>', '<', '\t'])).collect()
}

#[test]
fn a_conversation_reads_like_one() -> Result {
    let packets = Packets::ethernet().exchange(b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n");
    let (text, errors) = shown("reads", &packets, &["follow"])?;
    let expected = format!(
        "[1] 2023-11-15 03:43:20.000000+05:30 {CLIENT} > {SERVER} started\n\
         [1] 03:43:20.003000 {CLIENT} > {SERVER} 18 bytes at 0\n\
         > GET / HTTP/1.1\n\
         >\n\
         [1] 03:43:20.004000 {SERVER} > {CLIENT} 17 bytes at 0\n\
         < HTTP/1.1 200 OK\n\
         [1] 03:43:20.008000 {CLIENT} > {SERVER} closed: 18 bytes sent, 17 bytes received\n"
    );
    assert_eq!(text, expected);
    assert_eq!(errors, "", "there is nothing to complain of");
    Ok(())
}

#[test]
fn dates_are_shown_when_they_change() -> Result {
    let hour = 3_600_000_000_000;
    let packets = Packets::ethernet()
        .handshake()
        .tcp(Client, ACK, 0, 0, b"one")
        .after(hour)
        .tcp(Server, ACK, 0, 3, b"two")
        .after(hour)
        .tcp(Client, ACK, 3, 3, b"three");
    let (text, _) = shown("dates", &packets, &["follow", "--utc"])?;
    let starts: Vec<_> = headings(&text).iter().map(|line| line[4..24].to_owned()).collect();
    assert_eq!(
        starts,
        [
            "2023-11-14 22:13:20.",
            "22:13:20.003000 192.",
            "23:13:20.004000 198.",
            "2023-11-15 00:13:20.",
            "00:13:20.005000 192.",
        ]
    );
    assert!(text.contains("00:13:20.005000Z "), "the zone is marked: {text}");
    Ok(())
}

#[test]
fn programs_get_every_nanosecond() -> Result {
    let mut packets = Packets::ethernet();
    packets.time += 123_456_789;
    let packets = packets.exchange(b"a", b"b");
    let (text, _) = shown("nanoseconds", &packets, &["follow", "-o", "json"])?;
    let times: Vec<_> = objects(&text)?
        .iter()
        .filter(|object| object["event"] == "data")
        .filter_map(|object| object["time"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(times, ["1700000000.126456789", "1700000000.127456789"]);
    let (text, _) = shown("nanoseconds", &packets, &["flows", "--json"])?;
    assert_eq!(objects(&text)?[0]["start"], "1700000000.123456789");
    assert_eq!(START % 1_000_000_000, 0);
    Ok(())
}

#[test]
fn flows_count_bytes_as_follow_does() -> Result {
    // Neither a retransmission nor a hole adds to the bytes.
    let packets = Packets::ethernet()
        .handshake()
        .tcp(Client, ACK, 0, 0, &[b'a'; 100])
        .tcp(Client, ACK, 0, 0, &[b'a'; 100])
        .tcp(Client, ACK, 300, 0, &[b'c'; 50])
        .tcp(Server, ACK, 0, 350, b"ok")
        .close(350, 2);
    let (text, _) = shown("bytes", &packets, &["follow", "-q"])?;
    assert!(text.contains("200 bytes missing at 100: not captured (the receiver"), "{text}");
    assert!(text.ends_with("closed: 150 of 350 bytes sent, 2 bytes received\n"), "{text}");
    let (text, _) = shown("bytes", &packets, &["flows", "--json"])?;
    let flow = &objects(&text)?[0];
    assert_eq!(flow["initiator_bytes"], 150);
    assert_eq!(flow["responder_bytes"], 2);
    assert_eq!(flow["missing_bytes"], 200);
    let (text, _) = shown("bytes", &packets, &["flows", "--utc"])?;
    let start =
        format!("2023-11-14T22:13:20.000000Z 0.009000 tcp {CLIENT} > {SERVER} 7/150 3/2 200 fin ");
    assert!(text.starts_with(&start), "{text}");
    Ok(())
}

#[test]
fn raw_output_leaves_nothing_out_in_silence() -> Result {
    let packets = Packets::ethernet()
        .handshake()
        .tcp(Client, ACK, 0, 0, &[b'a'; 100])
        .tcp(Client, ACK, 400, 0, &[b'c'; 50])
        .tcp(Server, ACK, 0, 450, b"")
        .close(450, 0);
    let (text, errors) = shown("raw", &packets, &["follow", "-o", "raw"])?;
    assert_eq!(text.len(), 150);
    let expected = format!(
        "ringtap: conversation 1, {CLIENT} > {SERVER}: 300 bytes missing at 100: \
         not captured (the receiver acknowledged them)\n"
    );
    assert_eq!(errors, expected);
    Ok(())
}

#[test]
fn late_bytes_are_one_line_a_run() -> Result {
    let mut packets = Packets::ethernet().tcp(Client, ACK, 5_000, 0, b"first captured");
    // Longer than a beginning is waited for.
    for _ in 0..100 {
        packets = packets.tcp(Server, ACK, 0, 5_014, b"").after(3_000_000_000);
    }
    for at in 0..40 {
        packets = packets.tcp(Client, ACK, at * 100, 0, &[b'x'; 100]);
    }
    for output in [&["follow", "-q"][..], &["follow"], &["follow", "-o", "hex"]] {
        let (text, _) = shown("late", &packets, output)?;
        let late: Vec<_> = text.lines().filter(|line| line.contains(" late")).collect();
        assert_eq!(late.len(), 1, "{text}");
        assert!(late[0].contains(" 4000 bytes at -5000 came late, before the first"), "{late:?}");
        assert!(late[0].ends_with(" (40 segments)"), "{late:?}");
    }
    let (_, errors) = shown("late", &packets, &["follow", "-o", "raw"])?;
    assert_eq!(errors.matches("came late").count(), 1, "{errors}");
    Ok(())
}

#[test]
fn no_payload_passes_for_a_line_of_ours() -> Result {
    let forged = "\n[2] 22:13:20.000000 192.0.2.1:1 > 192.0.2.2:2 started\n\u{1b}[2J\u{9b}31m\u{202e}\
        \u{2028}[3] a\x08\x7f\r[4] b\u{85}c\n\t0x000000:  4141\nringtap: x\n";
    for bytes in [forged.as_bytes(), b"\xff\xfe\x00\x1b\x9b[\n[5]", "naïve ✓\n".as_bytes()] {
        let packets = Packets::ethernet().exchange(bytes, bytes);
        for output in [&["follow"][..], &["follow", "-o", "hex"], &["follow", "-q"], &["flows"]] {
            let (text, errors) = shown("forged", &packets, output)?;
            for line in headings(&text) {
                assert!(line.starts_with("[1] ") || output == ["flows"], "{line:?}");
            }
            assert!(!errors.contains("[2]"), "{errors}");
            let bad =
                |c: char| c.is_control() && !"\n\t".contains(c) || "\u{202e}\u{2028}".contains(c);
            assert!(!text.contains(bad), "{text:?}");
        }
    }
    let packets = Packets::ethernet().exchange("naïve ✓\n".as_bytes(), b"");
    assert!(shown("forged", &packets, &["follow"])?.0.contains("\n> naïve ✓\n"));
    Ok(())
}

#[test]
fn a_file_name_cannot_forge_a_line_either() -> Result {
    let folder = Folder::new("name")?;
    let path = folder.0.join("a\u{1b}[31m\n[1] b");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let output = command.arg("flows").arg("--read").arg(path).output()?;
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr)?;
    assert_eq!(errors.lines().count(), 1, "{errors:?}");
    assert!(errors.contains("a\\x1b[31m\\n[1] b"), "{errors:?}");
    Ok(())
}

#[test]
fn one_is_singular() -> Result {
    let packets = Packets::ethernet().exchange(b"x", b"yz");
    let (text, _) = shown("singular", &packets, &["follow", "-q"])?;
    assert!(text.ends_with("closed: 1 byte sent, 2 bytes received\n"), "{text}");
    let half = Packets::ethernet().tcp(Client, SYN, u32::MAX, 0, b"");
    let (text, _) = shown("singular", &half, &["follow", "-q"])?;
    assert!(text.ends_with(" still open when the capture ended: 0 bytes sent, 0 bytes received\n"));
    Ok(())
}

/// Bytes 5 to 8 come in two versions while those before them are not there yet.
fn contradiction() -> Packets {
    Packets::ethernet()
        .handshake()
        .tcp(Client, ACK, 4, 0, b"good")
        .tcp(Client, ACK, 4, 0, b"E\"\x1b\n")
        .tcp(Client, ACK, 0, 0, b"all ")
        .tcp(Server, ACK, 0, 8, b"")
        .close(8, 0)
}

#[test]
fn both_versions_of_a_conflict_are_shown() -> Result {
    let packets = contradiction();
    let kept = r#"conflict: 4 bytes at 4 are "good" in packet 4 (kept) and "E\"\x1b\n" in packet 5 (discarded)"#;
    for output in [&["follow"][..], &["follow", "-o", "hex"], &["follow", "-q"]] {
        let (text, errors) = shown("conflict", &packets, output)?;
        assert!(text.contains(&format!("{CLIENT} > {SERVER} {kept}\n")), "{text}");
        assert!(errors.starts_with("1 conflict: two packets"), "{errors}");
    }
    let (text, errors) = shown("conflict", &packets, &["follow", "-o", "raw"])?;
    assert_eq!(text, "all good");
    assert!(errors.contains(kept), "{errors}");
    let (text, _) = shown("conflict", &packets, &["follow", "--policy", "last"])?;
    let other = r#"are "E\"\x1b\n" in packet 5 (kept) and "good" in packet 4 (discarded)"#;
    assert!(text.contains(other), "{text}");
    Ok(())
}

#[test]
fn programs_get_both_versions_of_a_conflict() -> Result {
    let packets = contradiction();
    let (text, _) = shown("versions", &packets, &["follow", "-o", "json"])?;
    let events = objects(&text)?;
    let conflict = events.iter().find(|event| event["event"] == "conflict").ok_or("no conflict")?;
    assert_eq!((&conflict["offset"], &conflict["len"]), (&4.into(), &4.into()));
    assert_eq!((&conflict["kept_packet"], &conflict["kept"]), (&4.into(), &"Z29vZA==".into()));
    assert_eq!(conflict["discarded_packet"], 5);
    assert_eq!(conflict["discarded"], "RSIbCg==");
    assert_eq!(events.last().ok_or("no end")?["conflicts"], 1);
    let (text, _) = shown("versions", &packets, &["follow", "--digest"])?;
    let line = &objects(&text)?[0];
    assert_eq!((&line["len"], &line["conflicts"]), (&8.into(), &1.into()));
    let (text, _) = shown("versions", &packets, &["flows", "--json"])?;
    assert_eq!(objects(&text)?[0]["conflicts"], 1);
    let (text, _) = shown("versions", &packets, &["flows"])?;
    assert!(text.ends_with(" conflicts=1\n"), "{text}");
    // Where nothing is wrong, readers of digests and of lines find what they know.
    let packets = Packets::ethernet().exchange(b"a", b"b");
    let (text, _) = shown("versions", &packets, &["follow", "--digest"])?;
    let fields: Vec<_> = objects(&text)?[0].as_object().ok_or("")?.keys().cloned().collect();
    assert_eq!(fields, ["dst", "gaps", "len", "sha256", "src"]);
    let (text, _) = shown("versions", &packets, &["flows"])?;
    assert_eq!(text.split_whitespace().count(), 11, "{text}");
    Ok(())
}

#[test]
fn what_is_not_followed_is_named_by_its_cause() -> Result {
    let packets = Packets::ethernet()
        .frame(0x0806, &[0; 28])
        .exchange(b"a", b"b")
        .frame(0x0806, &[0; 28])
        .frame(0x88cc, &[0; 28]);
    for command in
        [&["follow", "-q"][..], &["follow", "--digest"], &["flows"], &["flows", "--json"]]
    {
        let (_, errors) = shown("causes", &packets, command)?;
        assert_eq!(errors, "3 packets not followed: 2 ARP, 1 EtherType 0x88cc (LLDP)\n");
    }
    let unknown = Packets::new(147).packet(b"anything").packet(b"anything else");
    for command in [&["follow"][..], &["flows"]] {
        let (text, errors) = shown("causes", &unknown, command)?;
        assert_eq!(text, "");
        assert!(errors.starts_with("2 packets not followed: 2 link type 147"), "{errors}");
    }
    Ok(())
}

#[test]
fn flows_that_follow_does_not_show_are_counted() -> Result {
    let packets = Packets::ethernet().udp(Client, b"question").udp(Server, b"answer");
    for output in [&["follow"][..], &["follow", "--digest"], &["follow", "-o", "json"]] {
        let (text, errors) = shown("udp", &packets, output)?;
        assert_eq!(text, "");
        let expected =
            "2 packets in 1 UDP flow not shown, since follow shows TCP (see ringtap flows)\n";
        assert_eq!(errors, expected);
    }
    let (text, errors) = shown("udp", &packets, &["flows"])?;
    assert!(text.contains(&format!(" udp {CLIENT} > {SERVER} 1/8 1/6 0 ")), "{text}");
    assert_eq!(errors, "");
    Ok(())
}

/// A hole has no packet of its own: its time is that of the packet before it.
#[test]
fn a_hole_has_a_time_in_every_form() -> Result {
    let packets = Packets::ethernet()
        .handshake()
        .tcp(Client, ACK, 100, 0, &[b'a'; 50])
        .tcp(Server, ACK, 0, 150, b"")
        .tcp(Client, ACK, 250, 0, &[b'b'; 50])
        .tcp(Server, ACK, 0, 300, b"")
        .close(300, 0);
    let (text, _) = shown("hole", &packets, &["follow", "-o", "json"])?;
    let gaps: Vec<_> =
        objects(&text)?.into_iter().filter(|object| object["event"] == "gap").collect();
    let times: Vec<_> = gaps.iter().map(|gap| (&gap["offset"], &gap["time"])).collect();
    let [first, second] = ["1700000000.000000000", "1700000000.003000000"].map(Value::from);
    assert_eq!(times, [(&0.into(), &first), (&150.into(), &second)]);
    let (text, _) = shown("hole", &packets, &["follow", "-q", "--utc"])?;
    let holes: Vec<_> = text.lines().filter(|line| line.contains(" missing at ")).collect();
    assert!(holes[0].starts_with("[1] 22:13:20.000000 "), "{text}");
    assert!(holes[1].starts_with("[1] 22:13:20.003000 "), "{text}");
    Ok(())
}

#[test]
fn an_interface_that_is_not_there_is_named_once() -> Result {
    for subcommand in ["follow", "flows", "capture"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
        let output = command.args([subcommand, "-i", "nosuch0"]).output()?;
        let errors = String::from_utf8(output.stderr)?;
        // Without the right to capture, that is the error.
        assert!(
            errors.matches("nosuch0").count() == 1 || errors.contains("CAP_NET_RAW"),
            "{errors}"
        );
    }
    Ok(())
}

#[test]
fn a_limit_that_acts_says_so() -> Result {
    let packets = Packets::ethernet().udp(Client, b"one").exchange(b"a", b"b").tcp(
        Client,
        SYN,
        u32::MAX - 70_000,
        0,
        b"",
    );
    let (_, errors) = shown("limits", &packets, &["flows", "--max-flows", "1"])?;
    assert!(errors.contains("given up to make room for others (--max-flows 1)\n"), "{errors}");
    let (_, errors) = shown("limits", &packets, &["flows"])?;
    assert_eq!(errors, "");
    // Two segments behind a hole that wait for more than the limit of a direction in memory.
    let mut packets = Packets::ethernet().handshake();
    for at in 0..200 {
        packets = packets.tcp(Client, ACK, 10 + at * 60_000, 0, &[b'x'; 60_000]);
    }
    for command in [&["follow", "-q", "--memory", "4M"][..], &["flows", "--memory", "4M"]] {
        let (_, errors) = shown("limits", &packets, command)?;
        assert!(errors.contains("10 bytes in 1 gap not waited for"), "{errors}");
        assert!(errors.contains("(--memory 4M"), "{errors}");
    }
    Ok(())
}

#[test]
fn packets_that_receivers_discard_are_counted_by_what_is_wrong_with_them() -> Result {
    let packets = Packets::ethernet()
        .handshake()
        .damaged_tcp(Client, ACK, 0, 0, b"EVIL")
        .tcp(Client, ACK, 0, 0, b"good")
        .tcp(Server, ACK, 0, 4, b"")
        .close(4, 0);
    for command in [&["follow", "--verify-checksums"][..], &["flows", "--verify-checksums"]] {
        let (_, errors) = shown("discarded", &packets, command)?;
        let expected = "1 packet discarded, as their receivers do: 1 wrong checksum\n";
        assert!(errors.contains(expected), "{errors}");
    }
    Ok(())
}

#[test]
fn bytes_without_a_place_are_in_every_output() -> Result {
    let packets = Packets::ethernet()
        .handshake()
        .damaged_tcp(Client, ACK, 0, 0, b"EV\x1b\n")
        .damaged_tcp(Client, ACK, 4, 0, b"IL")
        .tcp(Client, ACK, 0, 0, b"good")
        .tcp(Server, ACK, 0, 4, b"")
        .close(4, 0);
    let what = r#"6 bytes seen but not placed: in a segment that the receiving host discards (2 segments from packet 4 on, sequence number 1000): "EV\x1b\n""#;
    let verified = |arguments: &[&'static str]| [arguments, &["--verify-checksums"]].concat();
    for output in [&["follow"][..], &["follow", "-q"], &["follow", "-o", "hex"]] {
        let (text, errors) = shown("unplaced", &packets, &verified(output))?;
        assert!(text.contains(&format!("{CLIENT} > {SERVER} {what}\n")), "{text}");
        assert!(errors.contains("6 bytes seen but not placed in a stream\n"), "{errors}");
    }
    let (text, errors) = shown("unplaced", &packets, &verified(&["follow", "-o", "raw"]))?;
    assert_eq!(text, "good");
    assert!(errors.contains(&format!("{CLIENT} > {SERVER}: {what}\n")), "{errors}");

    let (text, _) = shown("unplaced", &packets, &verified(&["follow", "-o", "json"]))?;
    let events = objects(&text)?;
    let unplaced: Vec<_> = events.iter().filter(|event| event["event"] == "unplaced").collect();
    assert_eq!(unplaced.len(), 2);
    assert_eq!((&unplaced[0]["data"], &unplaced[0]["len"]), (&"RVYbCg==".into(), &4.into()));
    assert_eq!((&unplaced[1]["packet"], &unplaced[1]["sequence"]), (&5.into(), &1004.into()));
    assert_eq!(unplaced[1]["cause"], "discarded");
    assert_eq!(unplaced[1]["from"], "initiator");
    assert_eq!(events.last().ok_or("no end")?["unplaced_bytes"], 6);
    let (text, _) = shown("unplaced", &packets, &verified(&["follow", "--digest"]))?;
    assert_eq!(
        (&objects(&text)?[0]["len"], &objects(&text)?[0]["unplaced"]),
        (&4.into(), &6.into())
    );
    let (text, _) = shown("unplaced", &packets, &verified(&["flows", "--json"]))?;
    assert_eq!(objects(&text)?[0]["unplaced_bytes"], 6);
    let (text, _) = shown("unplaced", &packets, &verified(&["flows"]))?;
    assert!(text.ends_with(" unplaced=6\n"), "{text}");
    Ok(())
}

/// Segments of any content at any place, so that there are gaps, conflicts, late bytes and
/// retransmissions.
fn noise(seed: u64) -> Packets {
    let mut state = seed | 1;
    let mut next = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let pieces: [&[u8]; 10] = [
        b"\n[1] 22:13:20.000000 192.0.2.1:1 > 192.0.2.2:2 started\n",
        b"ringtap: listening\r\n",
        b"\x1b[2J\x1b]0;title\x07",
        b"\xc2\x9b31m",
        b"\xe2\x80\xae",
        b"\xf0\x9f\x92",
        "é✓".as_bytes(),
        b"\x00\x7f\r\x08",
        b"> < \t",
        b"plain",
    ];
    let mut packets = Packets::ethernet().handshake();
    for _ in 0..120 {
        let from = if next(2) == 0 { Client } else { Server };
        let mut payload = Vec::new();
        for _ in 0..next(5) {
            match next(4) {
                0 => payload.push(next(256) as u8),
                _ => payload.extend(pieces[next(10) as usize]),
            }
        }
        packets = match next(12) {
            0 => packets.udp(from, &payload),
            1 => packets.frame(next(1 << 16) as u16, &payload),
            2 => packets.damaged_tcp(from, ACK, next(400) as u32, next(400) as u32, &payload),
            3 => packets.after(next(90_000_000_000_000)),
            _ => packets.tcp(from, ACK, next(400) as u32, next(400) as u32, &payload),
        };
    }
    packets
}

#[test]
fn nothing_that_people_read_is_dangerous_whatever_was_captured() -> Result {
    for seed in 1_u64..=12 {
        let packets = noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for arguments in [
            &["follow"][..],
            &["follow", "-o", "hex", "--verify-checksums"],
            &["follow", "-q", "--policy", "last"],
            &["flows"],
            &["capture"],
        ] {
            let (text, errors) = shown("noise", &packets, arguments)?;
            for line in text.lines().chain(errors.lines()) {
                let bad = |c: char| {
                    c.is_control() && c != '\t'
                        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
                        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
                };
                assert!(!line.contains(bad), "{line:?}");
            }
            assert!(text.ends_with('\n'), "{text:?}");
            if arguments[0] == "follow" {
                for line in headings(&text) {
                    let (number, rest) = line.split_once(' ').ok_or("a heading of one word")?;
                    assert!(number.starts_with('[') && number.ends_with(']'), "{line:?}");
                    assert!(rest.starts_with(|c: char| c.is_ascii_digit()), "{line:?}");
                    assert!(!rest.ends_with(" started") || rest.contains(CLIENT), "{line:?}");
                }
            }
        }
    }
    Ok(())
}

/// The place of a conversation in the flow table is used again long before its end is printed, if
/// all are in one batch.
#[test]
fn conversations_that_follow_each_other_are_all_whole() -> Result {
    let mut packets = Packets::ethernet();
    for number in 0..5 {
        packets = packets
            .shifted(number * 1_000_000)
            .exchange(format!("question {number}").as_bytes(), b"an answer")
            .after(300_000_000_000);
    }
    let (text, _) = shown("follow-each-other", &packets, &["follow", "--output", "json"])?;
    let events = objects(&text)?;
    let of = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((of("start"), of("data"), of("end")), (5, 10, 5));
    let (text, _) = shown("follow-each-other-digest", &packets, &["follow", "--digest"])?;
    let lines: Vec<_> = objects(&text)?.iter().map(|line| line["len"].as_u64()).collect();
    assert_eq!(lines, [10, 9, 10, 9, 10, 9, 10, 9, 10, 9].map(Some));
    Ok(())
}

#[test]
fn packets_that_are_not_ip_are_named() -> Result {
    let packets = Packets::ethernet().frame(0x0806, &[0; 28]).frame(0x88cc, &[0; 28]);
    let (text, _) = shown("named", &packets, &["capture", "--utc"])?;
    let expected = "22:13:20.000000 ARP, length 42\n\
                    22:13:20.001000 EtherType 0x88cc (LLDP), length 42\n";
    assert_eq!(text, expected);
    Ok(())
}
