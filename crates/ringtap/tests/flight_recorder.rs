//! `capture --keep-last`: the packets around a reason, and no others, in a file of their own.

mod folder;
mod packets;
mod process;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use capture_file::CaptureFile;
use nix::sys::signal::Signal;
use ring_core::{Next, PacketBatch as _, PacketSource as _, Timeout};

use folder::Folder;
use packets::Host::{Client, Server};
use packets::{ACK, Packets};
use process::{PATIENCE, Running};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const SECOND: u64 = 1_000_000_000;

/// A connection in which two bytes come each second, of which those at these seconds are `!!`.
/// Datagrams of other ports come a millisecond after theirs.
fn seconds(number: u32, hits: &[u32], datagrams: &[u32]) -> Packets {
    let mut packets = Packets::ethernet().handshake();
    for second in 0..number {
        packets.time = packets::START + u64::from(second) * SECOND;
        let bytes = if hits.contains(&second) { b"!!" } else { b".." };
        packets = packets.tcp(Client, ACK, 2 * second, 0, bytes);
        if datagrams.contains(&second) {
            let mut datagram = [50_000 + second as u16, 53, 9, 0].map(u16::to_be_bytes).concat();
            datagram.push(b'!');
            packets = packets.frame(0x0800, &packets::ipv4(Client, 17, &datagram));
        }
    }
    packets
}

fn recorder(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let target = folder.join("crash.pcapng");
    command.args(["capture", "--utc", "-w"]).arg(target).args(arguments);
    command
}

/// The files that were written, by name.
fn written(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("crash")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The time of each packet in milliseconds after the first one of the test.
fn times(file: &Path) -> Result<Vec<u64>> {
    let (mut source, mut times) = (CaptureFile::open(file)?, Vec::new());
    while let Next::Batch(batch) = source.next_batch(Timeout::Never)? {
        let after = |nanos: u64| (nanos - packets::START) / 1_000_000;
        times.extend(batch.packets().map(|packet| after(packet.timestamp().as_nanos())));
    }
    Ok(times)
}

/// The whole seconds from `first` to `last`, in milliseconds.
fn whole(first: u64, last: u64) -> Vec<u64> {
    (first..=last).map(|second| second * 1000).collect()
}

#[test]
fn a_trigger_writes_what_came_before_and_after_it() -> Result {
    let folder = Folder::new("flight-trigger")?;
    let run = |hits: &[u32], arguments: &[&str]| -> Result<(Vec<Vec<u64>>, String)> {
        for old in written(&folder.0)? {
            fs::remove_file(old)?;
        }
        let file = seconds(300, hits, &[]).write(&folder.0)?;
        let output = recorder(arguments, &folder.0).arg("-r").arg(file).output()?;
        let errors = String::from_utf8(output.stderr)?;
        assert!(output.status.success() && output.stdout.is_empty(), "{errors}");
        let found = written(&folder.0)?.iter().map(|file| times(file)).collect::<Result<_>>()?;
        Ok((found, errors))
    };
    let trigger = ["--trigger", "payload contains \"!\"", "--keep-after", "5s"];
    let (found, errors) = run(&[100], &[&["--keep-last", "10s"], &trigger[..]].concat())?;
    assert_eq!(found, [whole(90, 105)], "{errors}");
    for line in ["1 conversation met --trigger", "16 packets written to 1 file", "287 packets not"]
    {
        assert!(errors.contains(line), "{line}: {errors}");
    }
    let name = written(&folder.0)?[0].file_name().map(|name| name.to_string_lossy().into_owned());
    assert_eq!(name.as_deref(), Some("crash-20231114T221500.000000000.pcapng"));

    // Without a time after it, the packet that met the condition is the last one.
    let ended = ["--trigger", "bytes >= 598", "--keep-after", "0"];
    let (found, _) = run(&[], &[&["--keep-last", "3s"], &ended[..]].concat())?;
    assert_eq!(found, [whole(295, 298)]);

    // Nothing meets it.
    let never = ["--keep-last", "1h", "--trigger", "payload contains \"?\""];
    let (found, errors) = run(&[3], &never)?;
    assert!(found.is_empty());
    assert!(errors.contains("303 packets not written"), "{errors}");
    Ok(())
}

#[test]
fn windows_that_overlap_are_one_file_and_no_packet_is_written_twice() -> Result {
    let folder = Folder::new("flight-windows")?;
    // Three conversations more: one within the first window, one behind it, one far away.
    let file = seconds(100, &[50], &[55, 64, 90]).write(&folder.0)?;
    let all = times(&file)?;
    let trigger =
        ["--keep-last", "10s", "--trigger", "payload contains \"!\"", "--keep-after", "5s"];
    let output = recorder(&trigger, &folder.0).arg("-r").arg(file).output()?;
    let errors = String::from_utf8(output.stderr)?;
    assert!(errors.contains("4 conversations met --trigger"), "{errors}");
    let found = written(&folder.0)?.iter().map(|file| times(file)).collect::<Result<Vec<_>>>()?;
    let between = |from: u64, to: u64| {
        let within = |time: &&u64| (from..=to).contains(*time);
        all.iter().filter(within).copied().collect::<Vec<_>>()
    };
    // The first three reach from 40 to 60, from 45 to 60 and from 54 to 69.
    assert_eq!(found, [between(40_000, 69_001), between(80_001, 95_001)], "{errors}");
    Ok(())
}

#[test]
fn memory_has_a_bound_and_the_time_it_costs_is_named() -> Result {
    let folder = Folder::new("flight-memory")?;
    let mut packets = Packets::ethernet().handshake();
    for number in 0..4_000 {
        packets = packets.tcp(Server, ACK, number * 1_000, 0, &[b'x'; 1_000]);
    }
    let file = packets.tcp(Client, ACK, 0, 0, b"!").write(&folder.0)?;
    let all = times(&file)?;
    let trigger = ["--trigger", "initiator.payload contains \"!\""];
    let time = ["--keep-last", "1h", "--keep-memory", "1M"];
    for (span, is_time) in [(&time[..], true), (&["--keep-last", "1M"], false)] {
        for old in written(&folder.0)? {
            fs::remove_file(old)?;
        }
        let output =
            recorder(&[span, &trigger].concat(), &folder.0).arg("-r").arg(&file).output()?;
        let errors = String::from_utf8(output.stderr)?;
        assert_eq!(errors.contains("no memory was left (--keep-memory)"), is_time, "{errors}");
        let files = written(&folder.0)?;
        let found = times(&files[0])?;
        assert!((500..1_900).contains(&found.len()), "{}", found.len());
        assert_eq!(found, all[all.len() - found.len()..], "the latest, without holes");
        let lost = format!("{} packets not written", all.len() - found.len());
        assert!(errors.contains(&lost), "{errors}");
    }
    Ok(())
}

#[test]
fn a_signal_writes_what_is_kept_and_the_file_survives_what_comes_then() -> Result {
    let folder = Folder::new("flight-signal")?;
    let file = fs::read(seconds(20, &[], &[]).write(&folder.0)?)?;
    for end in [Signal::SIGKILL, Signal::SIGINT] {
        for old in written(&folder.0)? {
            fs::remove_file(old)?;
        }
        let mut command = recorder(&["--keep-last", "5s", "-r", "-"], &folder.0);
        let (input, mut writer) = std::io::pipe()?;
        let running = Running::start(command.stdin(Stdio::from(input)))?;
        writer.write_all(&file)?;
        running.blocks_soon()?;
        running.kill(Signal::SIGUSR1)?;
        let asked = Instant::now();
        let is_complete = || -> Result<bool> {
            let files = written(&folder.0)?;
            Ok(files.len() == 1 && times(&files[0]).is_ok_and(|times| times == whole(14, 19)))
        };
        while !is_complete()? {
            assert!(asked.elapsed() < PATIENCE, "{:?}", written(&folder.0)?);
            thread::sleep(Duration::from_millis(10));
        }
        let ended = running.end_by(end)?;
        assert!(is_complete()?);
        if end == Signal::SIGINT {
            let lines = ["6 packets written to 1 file", "17 packets not written"];
            assert!(lines.iter().all(|line| ended.errors.contains(line)), "{}", ended.errors);
            assert!(ended.status.success(), "{}", ended.errors);
        }
    }
    Ok(())
}

#[test]
fn options_that_contradict_each_other_are_errors() -> Result {
    let folder = Folder::new("flight-errors")?;
    let file = seconds(1, &[], &[]).write(&folder.0)?;
    for (arguments, expected) in [
        (&["--keep-last", "5", "-w", "x"][..], "a time with s, m or h"),
        (&["--keep-last", "5s"], "--write"),
        (&["--keep-last", "5s", "-w", "-"], "-w needs a name"),
        (&["--keep-last", "5s", "-w", "/nowhere/x"], "/nowhere"),
        (&["--trigger", "tcp", "-w", "x"], "--keep-last"),
        (&["--keep-last", "5s", "-w", "x", "-C", "1"], "--file-size"),
        (&["--keep-last", "5s", "-w", "x", "--where", "tcp"], "--where"),
        (&["--keep-last", "5s", "-w", "x", "--trigger", "tpc"], "tpc"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
        let command = command.current_dir(&folder.0).args(["capture", "-r"]).arg(&file);
        let output = command.args(arguments).output()?;
        let errors = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && errors.contains(expected), "{arguments:?}: {errors}");
    }
    Ok(())
}

#[test]
fn duplicates_are_omitted_and_counted() -> Result {
    let folder = Folder::new("capture-dedup")?;
    // Each packet is there twice, the copy after a millisecond; one again after a second.
    let mut packets = Packets::ethernet();
    for byte in b"abcd" {
        for _ in 0..2 {
            packets = packets.udp(Client, &[*byte]);
        }
    }
    packets.time += SECOND;
    let file = packets.udp(Client, b"a").write(&folder.0)?;
    for (arguments, expected) in [
        (&["--dedup"][..], "5 packets\n"),
        (&["--dedup=100us"], "9 packets\n"),
        (&["--dedup=2s"], "4 packets\n"),
        (&[], "9 packets\n"),
        (&["--dedup", "-c", "2"], "2 packets\n"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
        let command = command.args(["capture", "--count", "-r"]).arg(&file).args(arguments);
        let output = command.output()?;
        let errors = String::from_utf8(output.stderr)?;
        assert_eq!(String::from_utf8(output.stdout)?, expected, "{arguments:?}: {errors}");
    }
    let totals = folder.0.join("totals.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let command = command.args(["capture", "--dedup", "--count", "--totals"]).arg(&totals);
    let output = command.arg("-r").arg(&file).output()?;
    assert!(String::from_utf8(output.stderr)?.contains("4 packets omitted as duplicates"));
    let totals: serde_json::Value = serde_json::from_slice(&fs::read(totals)?)?;
    assert_eq!((&totals["packets"], &totals["duplicates"]), (&5.into(), &4.into()));
    Ok(())
}
