//! Signals and readers that go away: how a command ends before its input does.

mod folder;
mod process;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use capture_file::CaptureFile;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use ring_core::{Next, PacketBatch as _, PacketSource as _, Timeout};
use traffic::{Profile, Random, Traffic};

use folder::Folder;
use process::{Ended, PATIENCE, Running};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A command ends within two seconds of the signal; on a busy machine it may take a moment longer.
const LIMIT: Duration = Duration::from_millis(3500);

/// A capture of several megabytes: a line for each packet is more than pipes and buffers hold.
fn long(folder: &Folder) -> Result<PathBuf> {
    bulk(folder, 16)
}

fn bulk(folder: &Folder, connections: u32) -> Result<PathBuf> {
    let path = folder.0.join("long.pcap");
    let traffic = Traffic::new(Profile::BULK).connections(connections);
    traffic.capture().write_pcap(File::create(&path)?)?;
    Ok(path)
}

/// The bytes of each packet of a file, up to its end or the record that is cut off.
fn packets(file: &Path) -> Result<Vec<Vec<u8>>> {
    let (mut source, mut packets) = (CaptureFile::open(file)?, Vec::new());
    while let Next::Batch(batch) = source.next_batch(Timeout::Never)? {
        packets.extend(batch.packets().map(|packet| packet.data().to_vec()));
    }
    Ok(packets)
}

fn ringtap(words: &[&str], file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    command.args(words).arg("-r").arg(file);
    command
}

/// Every way in which a command writes to standard output.
const OUTPUTS: [&[&str]; 6] = [
    &["capture"],
    &["capture", "-w", "-"],
    &["follow"],
    &["follow", "-o", "json"],
    &["follow", "-o", "raw"],
    &["flows"],
];

#[test]
fn a_signal_ends_a_command_whose_reader_stands_still() -> Result {
    let folder = Folder::new("stands-still")?;
    let file = long(&folder)?;
    for (words, signal) in
        OUTPUTS.iter().zip([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().cycle())
    {
        // Flows of these few connections fit into the pipe: a lowered size makes it full.
        let (_reader, writer) = std::io::pipe()?;
        let size = nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096);
        nix::fcntl::fcntl(writer.as_fd(), size)?;
        (&writer).write_all(&[b'x'; 4096])?;
        let running = Running::start(ringtap(words, &file).stdout(writer))?;
        running.blocks_soon()?;
        let ended = running.end_by(signal)?;
        assert!(ended.after < LIMIT, "{words:?}: {:?}", ended.after);
        assert_eq!(ended.status.code(), Some(1), "{words:?}: {}", ended.errors);
        assert!(ended.errors.contains(" captured\n"), "{words:?}: no summary: {}", ended.errors);
        assert!(
            ended.errors.contains("its reader did not take all"),
            "{words:?}: {}",
            ended.errors
        );
    }
    Ok(())
}

/// The length of a pcapng file's blocks, as far as they are complete.
fn blocks(file: &[u8]) -> usize {
    let mut end = 0;
    while let Some(length) = file.get(end + 4..end + 8) {
        let length = u32::from_le_bytes(length.try_into().unwrap_or_default()) as usize;
        if length < 12 || file.len() < end + length {
            break;
        }
        end += length;
    }
    end
}

#[test]
fn a_slow_reader_gets_whole_lines_and_records() -> Result {
    let folder = Folder::new("slow-reader")?;
    let file = bulk(&folder, 200)?;
    for words in [&["follow", "-o", "json"][..], &["follow"], &["capture"], &["capture", "-w", "-"]]
    {
        let mut command = ringtap(words, &file);
        let mut running = Running::start(command.stdout(Stdio::piped()))?;
        drop(command);
        // The file takes longer than a command has after the signal.
        let output = running.reads(if words == ["capture"] { 1_000_000 } else { 100_000 })?;
        thread::sleep(Duration::from_millis(600));
        let ended = running.end_by(Signal::SIGINT)?;
        let output = output.join().map_err(|_| "the reader failed")??;
        assert!(ended.after < LIMIT, "{words:?}: {:?}", ended.after);
        // `capture` has taken no more than it can still write.
        let is_cut = words.contains(&"follow");
        assert_eq!(ended.status.code(), Some(is_cut.into()), "{words:?}: {}", ended.errors);
        let cut = ended.errors.contains("what was left is not written");
        assert_eq!(cut, is_cut, "{words:?}: {}", ended.errors);
        if words.contains(&"-w") {
            assert!(blocks(&output) == output.len() && output.len() > 100_000, "{words:?}");
        } else {
            assert_eq!(output.last(), Some(&b'\n'), "{words:?}");
        }
        for line in output.split(|byte| *byte == b'\n').filter(|_| words.contains(&"json")) {
            let is_object = |line| serde_json::from_slice::<serde_json::Value>(line).is_ok();
            assert!(line.is_empty() || is_object(line), "{words:?}");
        }
    }
    Ok(())
}

#[test]
fn a_second_signal_ends_it_at_once() -> Result {
    let folder = Folder::new("second")?;
    let file = long(&folder)?;
    let (_reader, writer) = std::io::pipe()?;
    let running = Running::start(ringtap(&["follow", "-o", "raw"], &file).stdout(writer))?;
    running.blocks_soon()?;
    running.kill(Signal::SIGINT)?;
    thread::sleep(Duration::from_millis(300));
    let ended = running.end_by(Signal::SIGINT)?;
    assert!(ended.after < Duration::from_millis(800), "{:?}", ended.after);
    assert!(!ended.errors.contains(" captured\n"), "a summary anyway: {}", ended.errors);
    Ok(())
}

/// timeout(1) signals its child and then the group that both are in.
#[test]
fn a_signal_that_comes_twice_is_one() -> Result {
    let folder = Folder::new("twice")?;
    let file = long(&folder)?;
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (_reader, writer) = std::io::pipe()?;
        let running = Running::start(ringtap(&["follow", "-o", "raw"], &file).stdout(writer))?;
        running.blocks_soon()?;
        running.kill(signal)?;
        // Apart, so that the kernel does not make one of them.
        thread::sleep(Duration::from_millis(20));
        let ended = running.end_by(signal)?;
        assert_eq!(ended.status.code(), Some(1), "{signal}: {}", ended.errors);
        assert!(ended.errors.contains(" captured\n"), "{signal}: no summary: {}", ended.errors);
    }
    Ok(())
}

#[test]
fn two_different_signals_are_two() -> Result {
    let folder = Folder::new("different")?;
    let file = long(&folder)?;
    let (_reader, writer) = std::io::pipe()?;
    let running = Running::start(ringtap(&["follow", "-o", "raw"], &file).stdout(writer))?;
    running.blocks_soon()?;
    running.kill(Signal::SIGINT)?;
    thread::sleep(Duration::from_millis(20));
    let ended = running.end_by(Signal::SIGTERM)?;
    assert!(ended.after < Duration::from_millis(1000), "{:?}", ended.after);
    assert!(ended.status.code().is_none(), "{:?}", ended.status);
    Ok(())
}

#[test]
fn counts_come_while_the_output_is_blocked() -> Result {
    let folder = Folder::new("blocked-counts")?;
    let file = long(&folder)?;
    for words in [&["capture"][..], &["capture", "-w", "-"], &["follow", "-o", "raw"]] {
        let (_reader, writer) = std::io::pipe()?;
        let running = Running::start(ringtap(words, &file).stdout(writer))?;
        running.blocks_soon()?;
        running.kill(Signal::SIGUSR1)?;
        thread::sleep(Duration::from_millis(1500));
        // At once and with what has been captured by now: the summary comes later.
        running.kill(Signal::SIGKILL)?;
        let ended = running.wait()?;
        let count = ended.errors.strip_prefix("ringtap: ").and_then(|text| text.split(' ').next());
        let count = count.and_then(|count| count.parse::<u64>().ok());
        assert!(count.is_some_and(|count| count > 0), "{words:?}: {}", ended.errors);
        assert!(ended.errors.contains(" packets captured"), "{words:?}: {}", ended.errors);
    }
    Ok(())
}

#[test]
fn a_fifo_that_nobody_opens_holds_nobody() -> Result {
    let folder = Folder::new("fifo")?;
    let (file, fifo) = (long(&folder)?, folder.0.join("fifo"));
    mkfifo(&fifo, Mode::S_IRWXU)?;
    let mut write = ringtap(&["capture"], &file);
    write.arg("-w").arg(&fifo);
    for mut command in [write, ringtap(&["capture", "--count"], &fifo), ringtap(&["flows"], &fifo)]
    {
        let running = Running::start(command.stdout(Stdio::null()))?;
        running.blocks_soon()?;
        let ended = running.end_by(Signal::SIGINT)?;
        assert!(ended.after < LIMIT, "{command:?}: {:?}", ended.after);
        assert!(ended.status.success(), "{command:?}: {}", ended.errors);
    }
    Ok(())
}

#[test]
fn a_fifo_carries_everything() -> Result {
    let folder = Folder::new("fifo-all")?;
    let (file, fifo) = (long(&folder)?, folder.0.join("fifo"));
    mkfifo(&fifo, Mode::S_IRWXU)?;
    let to = folder.0.join("to.pcapng");
    let mut read = Command::new(env!("CARGO_BIN_EXE_ringtap"));
    let running =
        Running::start(ringtap(&["capture"], &file).arg("-w").arg(&fifo).stdout(Stdio::null()))?;
    let output = read.args(["capture", "-r"]).arg(&fifo).arg("-w").arg(&to).output()?;
    assert!(output.status.success(), "{output:?}");
    assert!(running.wait()?.status.success());
    assert!(packets(&to)? == packets(&file)?, "other packets");
    Ok(())
}

#[test]
fn a_reader_that_has_enough_is_no_failure() -> Result {
    let folder = Folder::new("enough")?;
    let file = long(&folder)?;
    for words in OUTPUTS {
        let mut command = ringtap(words, &file);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut few = [0; 10];
        child.stdout.take().ok_or("no pipe")?.read_exact(&mut few)?;
        let output = child.wait_with_output()?;
        let errors = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(0), "{words:?}: {errors}");
        // The flows of this file fit into the pipe: they were all written before the reader left.
        if words[0] != "flows" {
            assert!(errors.contains(" captured\n"), "{words:?}: no summary: {errors}");
        }
        assert!(!errors.contains("roken pipe"), "{words:?}: {errors}");
    }
    Ok(())
}

/// Runs `capture -r -` at the end of a pipe that has brought the file and stays open, then
/// `change`s something; what it printed by its end, and the packets that it wrote.
fn through_a_pipe(
    name: &str,
    shell: &str,
    change: impl FnOnce(&Running, &Path) -> Result,
) -> Result<(Ended, usize)> {
    let folder = Folder::new(name)?;
    let (from, to) = (folder.0.join("from.pcap"), folder.0.join("to.pcap"));
    let profile = Profile { reorder_one_of: 0, repeat_one_of: 0, ..Profile::MIXED };
    Traffic::new(profile).connections(1).capture().write_pcap(File::create(&from)?)?;
    let (reader, mut writer) = std::io::pipe()?;
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_ringtap");
    let line = format!("{shell} exec {program} capture -r - -w {}", to.display());
    let running = Running::start(command.args(["-c", &line]).stdin(reader).stdout(Stdio::null()))?;
    writer.write_all(&fs::read(&from)?)?;
    // Not flushed by a full buffer, but within a second since the first packet came.
    let asked = Instant::now();
    while packets(&to).map_or(0, |packets| packets.len()) < packets(&from)?.len() {
        assert!(asked.elapsed() < PATIENCE, "packets are buffered for ever");
        thread::sleep(Duration::from_millis(20));
    }
    change(&running, &to)?;
    drop(writer);
    let ended = running.wait()?;
    Ok((ended, packets(&to)?.len()))
}

#[test]
fn what_a_hangup_ends_survives_it_under_nohup() -> Result {
    let hangup = |running: &Running, _: &Path| {
        running.kill(Signal::SIGHUP)?;
        thread::sleep(Duration::from_millis(300));
        Ok(())
    };
    let (ended, _) = through_a_pipe("nohup", "trap '' HUP;", hangup)?;
    assert!(ended.status.success() && ended.errors.is_empty(), "{}", ended.errors);
    let (ended, _) = through_a_pipe("hangup", "", hangup)?;
    assert!(ended.errors.contains(" captured\n"), "{}", ended.errors);
    Ok(())
}

#[test]
fn counts_and_flushes_are_for_the_asking() -> Result {
    let (ended, count) = through_a_pipe("user-signals", "", |running, _| {
        for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGUSR1] {
            running.kill(signal)?;
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    })?;
    assert!(ended.status.success(), "{}", ended.errors);
    let line = format!("ringtap: {count} packets captured\n");
    assert_eq!(ended.errors, line.repeat(2));
    Ok(())
}

#[test]
fn few_descriptors_are_an_error_that_says_so() -> Result {
    let folder = Folder::new("descriptors")?;
    let file = long(&folder)?;
    for limit in [5, 6, 9, 12, 20] {
        let program = env!("CARGO_BIN_EXE_ringtap");
        let line = format!("ulimit -n {limit}; exec {program} follow -q -r {}", file.display());
        let output = Command::new("sh").args(["-c", &line]).output()?;
        let errors = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{limit}: {errors}");
        assert!(errors.contains("ulimit -n"), "{limit}: {errors}");
    }
    Ok(())
}

/// Writes a capture in small pieces, so that a signal finds the command at work, and keeps the pipe
/// open. Counts the bytes.
fn feed(mut pipe: std::io::PipeWriter, bytes: &[u8], fed: &AtomicUsize) -> std::io::PipeWriter {
    for piece in bytes.chunks(bytes.len() / 200) {
        // The command ended.
        if pipe.write_all(piece).is_err() {
            break;
        }
        fed.fetch_add(piece.len(), Ordering::SeqCst);
        thread::sleep(Duration::from_millis(2));
    }
    pipe
}

/// The number of packets that are complete in the first bytes of a pcap file.
fn complete(all: &[Vec<u8>], bytes: usize) -> usize {
    let mut end = 24;
    let ends = all.iter().map(|packet| {
        end += 16 + packet.len();
        end
    });
    ends.take_while(|end| *end <= bytes).count()
}

/// The number of packets that a command had taken when a signal ended it.
fn captured(errors: &str) -> Option<usize> {
    let mut lines = errors.lines().filter_map(|line| line.strip_suffix(" captured"));
    lines.find_map(|line| line.split_once(" packet")?.0.parse().ok())
}

/// Whatever the moment: the command ends in time, and its file holds the first packets of its
/// input, none missing of those that it reports as captured.
#[test]
fn at_any_moment() -> Result {
    let moments = std::env::var("RINGTAP_MOMENTS").map_or(Ok(4), |text| text.parse())?;
    let folder = Folder::new("moments")?;
    let file = long(&folder)?;
    let (all, bytes) = (packets(&file)?, Arc::new(fs::read(&file)?));
    let mut random = Random::new(u64::from(std::process::id()));
    let to = folder.0.join("to.pcap");
    for number in 0..moments {
        for mode in ["file", "pipe", "fifo", "rotated", "lines", "json", "streams"] {
            let _ = fs::remove_file(&to);
            let fifo = folder.0.join(format!("fifo{number}"));
            let streams = folder.0.join(format!("streams{number}"));
            let input = Path::new("-");
            let mut command = match mode {
                "json" => ringtap(&["follow", "-o", "json"], input),
                "streams" => ringtap(&["follow", "-q"], input),
                _ => ringtap(&["capture"], input),
            };
            match mode {
                "file" => drop(command.arg("-w").arg(&to)),
                "rotated" => drop(command.args(["-C", "1", "-w"]).arg(&to)),
                "fifo" => {
                    mkfifo(&fifo, Mode::S_IRWXU)?;
                    command.arg("-w").arg(&fifo);
                }
                "pipe" => drop(command.args(["-w", "-"])),
                "streams" => drop(command.arg("--write-dir").arg(&streams)),
                _ => {}
            }
            let (reader, writer) = std::io::pipe()?;
            let mut running = Running::start(command.stdin(reader).stdout(Stdio::piped()))?;
            drop(command);
            let fed = Arc::new(AtomicUsize::new(0));
            let feeder = thread::spawn({
                let (bytes, fed) = (bytes.clone(), fed.clone());
                move || feed(writer, &bytes, &fed)
            });
            let mut output = running.reads(random.below(200))?;
            if mode == "fifo" {
                let (fifo, pause) = (fifo.clone(), random.below(200));
                output = thread::spawn(move || process::read(File::open(fifo)?, pause));
            }
            thread::sleep(Duration::from_micros(random.below(300_000)));
            let before = complete(&all, fed.load(Ordering::SeqCst));
            if number % 2 == 1 {
                // As timeout(1) does, which signals its child and then the group that both are in.
                running.kill(Signal::SIGINT)?;
            }
            let ended = running.end_by(Signal::SIGINT)?;
            if mode == "fifo" {
                // The reader waits for a writer, and a signal may have come before there was one.
                let flags = OFlag::O_NONBLOCK.bits();
                let _ = File::options().write(true).custom_flags(flags).open(&fifo);
            }
            let output = output.join().map_err(|_| "the reader failed")??;
            drop(feeder.join().map_err(|_| "the feeder failed")?);
            assert!(ended.after < LIMIT, "{mode}: {:?}", ended.after);
            // A signal that comes before it is taken over ends the process.
            if !ended.status.success() {
                assert_eq!(ended.status.code(), None, "{mode}: {}", ended.errors);
                continue;
            }
            let taken = captured(&ended.errors).ok_or("no summary")?;
            assert!(taken >= before, "{mode}: {taken} packets, {before} came before the signal");
            let first = &all[..taken];
            match mode {
                // The signal came before there was anything to write to.
                _ if taken == 0 => {}
                "file" => same(mode, &packets(&to)?, first),
                "pipe" | "fifo" => {
                    fs::write(&to, &output)?;
                    same(mode, &packets(&to)?, first);
                }
                "rotated" => {
                    let mut found = Vec::new();
                    for count in 0.. {
                        let name = if count == 0 { String::new() } else { count.to_string() };
                        let path = folder.0.join(format!("to.pcap{name}"));
                        if !path.exists() {
                            break;
                        }
                        found.extend(packets(&path)?);
                        fs::remove_file(&path)?;
                    }
                    same(mode, &found, first);
                }
                "json" => {
                    let (mut starts, mut ends) = (0, 0);
                    for line in output.split_inclusive(|byte| *byte == b'\n') {
                        let object: serde_json::Value = serde_json::from_slice(line)?;
                        starts += usize::from(object["event"] == "start");
                        ends += usize::from(object["event"] == "end");
                    }
                    assert_eq!(starts, ends, "{}", ended.errors);
                }
                "lines" => {
                    assert!(output.is_empty() || output.ends_with(b"\n"));
                    let lines = output.iter().filter(|byte| **byte == b'\n').count();
                    assert_eq!(lines, first.len(), "{}", ended.errors);
                }
                _ => {
                    let _ = fs::remove_dir_all(&streams);
                }
            }
        }
    }
    Ok(())
}

fn same(mode: &str, found: &[Vec<u8>], first: &[Vec<u8>]) {
    assert!(found == first, "{mode}: {} packets, not the {} first", found.len(), first.len());
}
