//! A live command whose output is not read for a while, on a link that loses packets as well.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use live::{Folder, PATIENCE, SERVER, Wire, ringtap};
use live_harness::Result;
use netns::Namespace;
use serde::Deserialize;

/// Numbers of signals; see signal(7).
const INTERRUPT: i32 = 2;
const CONTINUE: i32 = 18;
const STOP: i32 = 19;

const CLIENTS: usize = 4;
/// The bytes that each client sends, in three parts and a last byte.
const PART: u64 = 8_000_000;
const SENT: u64 = 3 * PART + 1;
/// The pause after each piece, so that a ring that is read late is not full at once.
const PAUSE: Duration = Duration::from_millis(1);
const PIECE: usize = 64 << 10;

/// An event of `follow -o json`, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Event {
    event: String,
    conversation: u64,
    #[serde(default)]
    from: String,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    len: u64,
    #[serde(default)]
    dropped: u64,
    #[serde(default)]
    initiator_bytes: u64,
    #[serde(default)]
    missing_bytes: u64,
}

/// The output of `--totals`, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Totals {
    source: Source,
    bytes: u64,
    missing_bytes: u64,
    dropped_bytes: u64,
    late_bytes: u64,
    gaps: BTreeMap<String, Gaps>,
}

#[derive(Debug, Deserialize)]
struct Source {
    dropped: u64,
}

#[derive(Debug, Deserialize)]
struct Gaps {
    bytes: u64,
}

/// The sums of what was printed about the clients' bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    data: u64,
    /// Captured, but the output was too slow.
    dropped: u64,
    /// Not captured.
    missing: u64,
    /// The offset that comes next.
    next: u64,
    ended: bool,
}

/// Checks that each byte that was sent is printed, or part of one gap, and that the command's
/// counts say the same: whether the kernel dropped it, or the command because nobody read on.
pub(crate) fn every_byte_is_printed_or_missing_once() -> Result {
    let (wire, folder) = (Wire::new()?, Folder::new()?);
    let totals = folder.join("totals.json");
    let mut command = Command::new(ringtap()?);
    command.args(["follow", "-o", "json", "-B", "4096", "--memory", "4M", "-i", SERVER]);
    command.arg("--totals").arg(&totals).arg("tcp port 7");
    let mut process = wire.server.spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let mut output = process.child().stdout.take().ok_or("no output")?;
    let mut errors = process.child().stderr.take().ok_or("no errors")?;
    let mut said = Vec::new();
    while !said.ends_with(b"Ctrl-C ends\n") {
        let mut byte = [0];
        assert_eq!(errors.read(&mut byte)?, 1, "{}", String::from_utf8_lossy(&said));
        said.extend(byte);
    }
    let errors = thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).map(|_| text)
    });
    let (slow, read) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let reader = thread::spawn({
        let (slow, read) = (slow.clone(), read.clone());
        move || {
            let (mut all, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
            while slow.load(Relaxed) {
                thread::sleep(Duration::from_millis(5));
            }
            loop {
                match output.read(&mut buffer)? {
                    0 => return std::io::Result::Ok(all),
                    length => all.extend_from_slice(&buffer[..length]),
                }
                read.store(all.len() as u64, Relaxed);
            }
        }
    });

    let mut clients = connect(&wire.server, &wire.client)?;
    // Most of it is captured, and several times what the command may hold.
    send(&mut clients, PART, Some(PAUSE))?;
    // The kernel has nobody to give packets to: the ring is full after some of them.
    process.signal(STOP)?;
    send(&mut clients, PART, None)?;
    process.signal(CONTINUE)?;
    send(&mut clients, PART, Some(PAUSE))?;
    slow.store(false, Relaxed);
    idle(&read)?;
    // All of these are captured, so that the end of each stream is known.
    for client in &mut clients {
        client.write_all(b"x")?;
        client.shutdown(Shutdown::Write)?;
        assert_eq!(client.read(&mut [0])?, 0);
    }
    idle(&read)?;
    process.signal(INTERRUPT)?;
    let status = process.wait_for(PATIENCE)?;
    let said = errors.join().map_err(|_| "the reader of errors panicked")??;
    assert!(status.is_some_and(|status| status.success()), "{status:?}: {said}");
    let printed = reader.join().map_err(|_| "the reader panicked")??;
    let totals: Totals = serde_json::from_str(&fs::read_to_string(&totals)?)?;
    let streams = streams(&String::from_utf8(printed)?)?;
    println!("{totals:?}\n{streams:?}");

    assert_eq!(streams.len(), CLIENTS, "{streams:?}");
    let mut all = Sums::default();
    for (conversation, sums) in &streams {
        let Sums { data, dropped, missing, next, ended } = *sums;
        assert_eq!(data + dropped + missing, SENT, "{conversation}: {sums:?}");
        assert!(next == SENT && ended, "{conversation}: {sums:?}");
        all.data += data;
        all.dropped += dropped;
        all.missing += missing;
    }
    assert!(totals.source.dropped > 0 && totals.dropped_bytes > 0, "{totals:?}");
    assert_eq!(all.missing, totals.missing_bytes, "{totals:?}");
    assert_eq!(totals.gaps.values().map(|gaps| gaps.bytes).sum::<u64>(), totals.missing_bytes);
    assert_eq!(all.data + all.dropped, totals.bytes, "{totals:?}");
    // Bytes that came late are no part of a stream, but are dropped like others.
    let late = totals.dropped_bytes.checked_sub(all.dropped).ok_or("more was told than dropped")?;
    assert!(late <= totals.late_bytes, "{all:?}, {totals:?}");
    for line in [
        format!("{} packets dropped by kernel", totals.source.dropped),
        format!("{} bytes of streams, {} missing", totals.bytes, totals.missing_bytes),
        format!("{} bytes dropped because the output is too slow", totals.dropped_bytes),
    ] {
        assert_eq!(said.lines().filter(|other| **other == line).count(), 1, "{line} in {said}");
    }
    for word in ["warning: the kernel dropped", "too slow", " missing"] {
        let lines = said.lines().filter(|line| line.contains(word));
        assert_eq!(lines.count(), 1, "{word} in {said}");
    }
    Ok(())
}

/// Connects clients to a server that reads everything.
fn connect(server: &Namespace, client: &Namespace) -> Result<Vec<TcpStream>> {
    let listener = server.run(|| TcpListener::bind("10.7.0.1:7"))??;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(client.run(|| TcpStream::connect("10.7.0.1:7"))??);
        let (mut accepted, _) = listener.accept()?;
        thread::spawn(move || std::io::copy(&mut accepted, &mut std::io::sink()));
    }
    Ok(clients)
}

/// Sends bytes from all clients at the same time, in pieces.
fn send(clients: &mut [TcpStream], length: u64, pause: Option<Duration>) -> Result {
    let bytes = vec![b'x'; length as usize];
    let write = |client: &mut TcpStream| {
        for piece in bytes.chunks(PIECE) {
            client.write_all(piece)?;
            pause.into_iter().for_each(thread::sleep);
        }
        std::io::Result::Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            clients.iter_mut().map(|client| scope.spawn(move || write(client))).collect();
        for thread in threads {
            thread.join().map_err(|_| "a client panicked")??;
        }
        Ok(())
    })
}

/// Waits until nothing is read for a while.
fn idle(read: &AtomicU64) -> Result {
    let (since, mut before, mut quiet) = (Instant::now(), u64::MAX, 0);
    while quiet < 10 {
        if since.elapsed() > PATIENCE {
            return Err("the output does not end".into());
        }
        thread::sleep(Duration::from_millis(50));
        let now = read.load(Relaxed);
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
    }
    Ok(())
}

/// The printed part of the clients' bytes, by conversation. Nothing is doubled or left out between.
fn streams(printed: &str) -> Result<BTreeMap<u64, Sums>> {
    let mut streams = BTreeMap::<u64, Sums>::new();
    for line in printed.lines() {
        let event: Event =
            serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
        let sums = streams.entry(event.conversation).or_default();
        match &*event.event {
            "data" | "gap" if event.from == "initiator" => {
                assert_eq!(event.offset, sums.next, "{line}");
                sums.next += event.len;
                if event.event == "data" {
                    sums.data += event.len;
                } else {
                    sums.dropped += event.dropped;
                    sums.missing += event.len - event.dropped;
                }
            }
            "end" => {
                sums.ended = true;
                let counted = (event.initiator_bytes, event.missing_bytes);
                assert_eq!(counted, (sums.data + sums.dropped, sums.missing), "{line}");
            }
            "start" | "finished" | "late" => {}
            other => return Err(format!("{other}: {line}").into()),
        }
    }
    Ok(streams)
}
