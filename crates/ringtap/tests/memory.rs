//! Memory of commands whose output is slow, or whose input holds more flows than there may be.

mod folder;

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use folder::Folder;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const SYN: u8 = 2;
const ACK: u8 = 16;

/// A capture that is written as it is made, a microsecond between packets.
struct Writer {
    file: BufWriter<File>,
    path: PathBuf,
    micros: u64,
}

impl Writer {
    fn new(folder: &Folder) -> io::Result<Self> {
        let path = folder.0.join("capture.pcap");
        let mut file = BufWriter::new(File::create(&path)?);
        // Raw IP.
        for word in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 262_144, 101] {
            file.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { file, path, micros: 1_700_000_000_000_000 })
    }

    /// A segment from a client, which its address names, to a server, or back.
    fn segment(
        &mut self,
        client: u32,
        back: bool,
        flags: u8,
        numbers: [u32; 2],
        payload: &[u8],
    ) -> io::Result<()> {
        let (client, server) = ((10 << 24 | client).to_be_bytes(), [192, 0, 2, 1]);
        let (ports, ends) = match back {
            false => ([3000_u16, 80], [client, server]),
            true => ([80, 3000], [server, client]),
        };
        let len = 40 + payload.len() as u16;
        let mut packet = vec![0x45, 0];
        packet.extend(len.to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 6, 0, 0]);
        packet.extend(ends.concat());
        packet.extend(ports.map(u16::to_be_bytes).concat());
        packet.extend(numbers.map(u32::to_be_bytes).concat());
        packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        self.micros += 1;
        for word in [self.micros / 1_000_000, self.micros % 1_000_000, len.into(), len.into()] {
            self.file.write_all(&(word as u32).to_le_bytes())?;
        }
        self.file.write_all(&packet)?;
        self.file.write_all(payload)
    }

    fn finish(mut self) -> io::Result<PathBuf> {
        self.file.flush()?;
        Ok(self.path)
    }
}

/// Bulk transfers of four clients at the same time: `segments` segments of 1,400 bytes each.
fn bulk(folder: &Folder, segments: u32) -> io::Result<PathBuf> {
    let mut capture = Writer::new(folder)?;
    for client in 0..4 {
        capture.segment(client, false, SYN, [999, 0], &[])?;
        capture.segment(client, true, SYN | ACK, [4999, 1000], &[])?;
    }
    for number in 0..segments {
        for client in 0..4 {
            capture.segment(client, false, ACK, [1000 + 1400 * number, 5000], &[b'x'; 1400])?;
        }
    }
    capture.finish()
}

fn ringtap(words: &[&str], file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    command.args(words).arg("-r").arg(file).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The most memory that a process has had, in megabytes.
fn most(child: &Child) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

#[test]
fn a_file_waits_for_whoever_reads_what_is_printed() -> Result {
    const SEGMENTS: u32 = 20_000;
    let folder = Folder::new("memory-stalled")?;
    let file = bulk(&folder, SEGMENTS)?;
    for words in [&["follow", "-o", "raw"][..], &["follow", "-o", "raw", "--memory", "4M"]] {
        let mut child = ringtap(words, &file).spawn()?;
        // Nobody reads for a while. The file has 115 MB.
        thread::sleep(Duration::from_secs(3));
        let stalled = most(&child)?;
        let mut bytes = Vec::new();
        child.stdout.take().ok_or("no pipe")?.read_to_end(&mut bytes)?;
        assert!(child.wait()?.success());
        assert_eq!(bytes.len(), 4 * 1400 * SEGMENTS as usize);
        assert!(stalled < 64, "{words:?}: {stalled} MB");
    }
    Ok(())
}

#[test]
fn more_connections_than_there_may_be_make_room_for_each_other_and_are_counted() -> Result {
    const FLOOD: u32 = 50_000;
    let folder = Folder::new("memory-flood")?;
    let mut capture = Writer::new(&folder)?;
    // One is established before the flood, and says something after it.
    capture.segment(0, false, SYN, [999, 0], &[])?;
    capture.segment(0, true, SYN | ACK, [4999, 1000], &[])?;
    capture.segment(0, false, ACK, [1000, 5000], b"before")?;
    for client in 1..FLOOD {
        capture.segment(client, false, SYN, [1, 0], &[])?;
    }
    capture.segment(0, false, ACK, [1006, 5000], b" and after")?;
    let file = capture.finish()?;
    for (words, lines) in [
        (&["follow", "-o", "raw"][..], 0),
        (&["follow", "-q"], 2 * FLOOD as usize),
        (&["flows"], FLOOD as usize),
    ] {
        let mut child = ringtap(&[words, &["--max-flows", "1000"]].concat(), &file).spawn()?;
        let mut text = String::new();
        child.stdout.take().ok_or("no pipe")?.read_to_string(&mut text)?;
        let output = child.wait_with_output()?;
        let errors = String::from_utf8(output.stderr)?;
        assert!(output.status.success(), "{errors}");
        assert_eq!(text.lines().count(), lines.max(usize::from(words.contains(&"raw"))));
        if words.contains(&"raw") {
            assert_eq!(text, "before and after");
        }
        let evicted = FLOOD - 1000;
        assert!(errors.contains(&format!("{evicted} flows")), "{words:?}: {errors}");
        assert!(errors.contains("--max-flows 1000"), "{words:?}: {errors}");
    }
    Ok(())
}

/// The content of a capture of many connections that are all open at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A handshake, a request and a response.
    Whole,
    /// A request and a response, without the handshake.
    Midway,
    /// A handshake, and a request of which the first bytes are missing.
    Holes,
}

fn open_at_once(folder: &Folder, kind: Kind, connections: u32) -> io::Result<PathBuf> {
    let mut capture = Writer::new(folder)?;
    if kind != Kind::Midway {
        for client in 0..connections {
            capture.segment(client, false, SYN, [999, 0], &[])?;
            capture.segment(client, true, SYN | ACK, [4999, 1000], &[])?;
        }
    }
    for client in 0..connections {
        if kind == Kind::Holes {
            capture.segment(client, false, ACK, [1500, 5000], b"behind")?;
        } else {
            capture.segment(client, false, ACK, [1000, 5000], b"hello")?;
            capture.segment(client, true, ACK, [5000, 1005], b"yes")?;
        }
    }
    capture.finish()
}

#[test]
fn many_open_conversations_stay_within_the_memory_that_was_given() -> Result {
    const CONNECTIONS: u32 = 60_000;
    const LIMIT: u64 = 6;
    let folder = Folder::new("memory-open")?;
    for kind in [Kind::Whole, Kind::Midway, Kind::Holes] {
        let file = open_at_once(&folder, kind, CONNECTIONS)?;
        for words in
            [&["follow", "-q"][..], &["follow", "--digest"], &["follow", "-o", "json"], &["flows"]]
        {
            let mut child = ringtap(&[words, &["--memory", "6M"]].concat(), &file).spawn()?;
            let mut peak = 0;
            let mut stdout = child.stdout.take().ok_or("no pipe")?;
            let mut buffer = vec![0; 1 << 16];
            while stdout.read(&mut buffer)? > 0 {
                peak = peak.max(most(&child).unwrap_or(0));
            }
            let output = child.wait_with_output()?;
            let errors = String::from_utf8(output.stderr)?;
            assert!(output.status.success(), "{errors}");
            assert!(errors.contains("(--memory 6M"), "{kind:?} {words:?}: {errors}");
            // The program itself takes about 20 MB, and twice that without optimizations.
            assert!(peak < LIMIT + 40, "{kind:?} {words:?}: {peak} MB");
        }
    }
    Ok(())
}

/// The views of most conversations are dropped and made again many times.
#[test]
fn conversations_that_fit_are_whole_however_many_there_are() -> Result {
    const CONNECTIONS: u32 = 5000;
    const ROUNDS: u32 = 3;
    let folder = Folder::new("memory-whole")?;
    let mut capture = Writer::new(&folder)?;
    for client in 0..CONNECTIONS {
        capture.segment(client, false, SYN, [999, 0], &[])?;
        capture.segment(client, true, SYN | ACK, [4999, 1000], &[])?;
    }
    for round in 0..ROUNDS {
        for client in 0..CONNECTIONS {
            capture.segment(client, false, ACK, [1000 + 9 * round, 5000], b"request\xc3\n")?;
        }
    }
    let file = capture.finish()?;
    for (words, one) in [
        (&["follow"][..], "9 bytes at 18"),
        (&["follow", "-q"], "closed: 27 bytes sent"),
        (&["follow", "-o", "json"], "\"offset\":18"),
        (&["follow", "--digest"], "\"len\":27"),
    ] {
        let output = ringtap(words, &file).output()?;
        let text = String::from_utf8(output.stdout)?;
        let end = if words.contains(&"-q") { "27 bytes sent" } else { one };
        assert_eq!(text.matches(end).count(), CONNECTIONS as usize, "{words:?}");
        assert_eq!(String::from_utf8(output.stderr)?, "", "{words:?}");
    }
    Ok(())
}
