//! Live commands while connections begin and end all the time: their resident memory has a limit,
//! and is flat once the table holds all that it remembers.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use netns::{Namespace, Process};
use ring_core::Injector;
use traffic::{Profile, Traffic};

use crate::Result;
use crate::report::Report;

/// One request and one response: about 7 packets.
const PROFILE: Profile = Profile {
    exchanges: 1,
    request: 60,
    response: 200,
    segment: 1200,
    acknowledge_every: 1,
    reorder_one_of: 0,
    repeat_one_of: 0,
};
/// The number of connections with the same first two bytes of the client's address.
const ROUND: u32 = 20_000;
/// The default of `--memory`, and the memory that a process takes besides.
const LIMIT: u64 = (256 + 100) << 20;
/// The growth from the second to the last third of the time: allocators differ from minute to
/// minute.
const GROWTH: u64 = 16 << 20;
/// The name of the link on which the commands capture.
const LINK: &str = "sensor0";
/// The number of the signal that Ctrl-C sends; see signal(7).
const INTERRUPT: i32 = 2;

/// Runs each of the commands for this time, `rate` packets a second.
pub(crate) fn run(command: &Path, rate: u64, time: Duration, report: &mut Report) -> Result {
    let folder = std::env::temp_dir().join(format!("ringtap-soak-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let file = folder.join("capture.pcap");
    let result = (|| {
        for words in [&["follow", "-q"][..], &["flows"], &["capture", "-C", "100", "-W", "3"]] {
            let mut words: Vec<_> = words.iter().map(PathBuf::from).collect();
            if words[0].as_os_str() == "capture" {
                words.extend(["-w".into(), file.clone()]);
            }
            measure(command, &words, rate, time, report)?;
        }
        Ok(())
    })();
    fs::remove_dir_all(&folder)?;
    result
}

fn measure(
    command: &Path,
    words: &[PathBuf],
    rate: u64,
    time: Duration,
    report: &mut Report,
) -> Result {
    let (sensor, sender) = (Namespace::new()?, Namespace::new()?);
    let (left, right) = sensor.veth_to(&sender, LINK, "sender0")?;
    left.up()?;
    right.up()?;
    left.wait_until_running(Duration::from_secs(5))?;
    let mut command = Command::new(command);
    command.args(words).args(["-i", LINK]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = sensor.spawn(&mut command)?;
    let mut errors = process.child().stderr.take().ok_or("no errors")?;
    // It captures once it has printed its first line.
    errors.read_exact(&mut [0])?;
    let said = thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).map(|_| text)
    });
    let injector = sender.run(|| Injector::open("sender0"))??;
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let name = words[0].display().to_string();
    let samples = thread::scope(|scope| {
        let sending = scope.spawn(|| send(injector, rate, &stop, &sent));
        let samples = sample(&mut process, &name, time, &sent);
        stop.store(true, Relaxed);
        sending.join().map_err(|_| "the sender panicked")??;
        samples
    })?;
    process.signal(INTERRUPT)?;
    let status = process.wait_for(Duration::from_secs(30))?;
    let said = said.join().map_err(|_| "the reader of errors panicked")??;
    println!("{name:<10} {} packets sent in {} s", sent.load(Relaxed), time.as_secs());
    for line in said.lines().filter(|line| !line.starts_with("ringtap: ")).take(6) {
        println!("{name:<10} {line}");
    }
    report.judge(
        status.is_some_and(|status| status.success()),
        format!("{name}: ended with {status:?}"),
    );
    let third = samples.len() / 3;
    let most = |samples: &[u64]| samples.iter().copied().max().unwrap_or(0);
    let (peak, second, last) =
        (most(&samples), most(&samples[third..2 * third]), most(&samples[2 * third..]));
    report.judge(peak < LIMIT, format!("{name}: at most {} MiB resident", peak >> 20));
    report.judge(
        last <= second + GROWTH,
        format!(
            "{name}: {} MiB in the last third of the time, {} MiB in the second",
            last >> 20,
            second >> 20
        ),
    );
    Ok(())
}

/// The resident memory of a command in bytes, once a second.
fn sample(process: &mut Process, name: &str, time: Duration, sent: &AtomicU64) -> Result<Vec<u64>> {
    let started = Instant::now();
    let mut samples = Vec::new();
    while started.elapsed() < time {
        thread::sleep(Duration::from_secs(1));
        if let Some(status) = process.wait_for(Duration::ZERO)? {
            return Err(format!("{name} ended early: {status}").into());
        }
        let status = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        samples.push(kibibytes.ok_or("no VmRSS")? << 10);
        if samples.len() % 60 == 0 {
            let resident = samples.last().copied().unwrap_or(0) >> 20;
            let (minutes, sent) = (samples.len() / 60, sent.load(Relaxed));
            println!("{name:<10} {minutes:>3} min {resident:>6} MiB resident, {sent} packets sent");
        }
    }
    Ok(samples)
}

/// Sends connections with new addresses, in steps of two milliseconds.
fn send(mut injector: Injector, rate: u64, stop: &AtomicBool, sent: &AtomicU64) -> Result {
    const STEP: Duration = Duration::from_millis(2);
    let capture = Traffic::new(PROFILE).connections(ROUND).at_once(500).capture();
    let (mut frame, mut round) = (Vec::new(), 0_u32);
    let mut packets = capture.packets();
    let mut due = Instant::now();
    while !stop.load(Relaxed) {
        for _ in 0..rate * STEP.as_millis() as u64 / 1000 {
            let Some((_, next)) = packets.next() else {
                packets = capture.packets();
                round += 1;
                continue;
            };
            frame.clear();
            frame.extend_from_slice(next);
            // The client's address is in 10.0.0.0/16, as its source or its destination.
            let client = if frame[26] == 10 { 26 } else { 30 };
            frame[client] = 10 + (round % 90) as u8;
            frame[client + 1] = (round / 90) as u8;
            injector.send_frame(&frame)?;
            sent.fetch_add(1, Relaxed);
        }
        injector.flush()?;
        due += STEP;
        match due.checked_duration_since(Instant::now()) {
            Some(left) => thread::sleep(left),
            // Too slow for the rate: what was missed is not made up for.
            None => due = Instant::now(),
        }
    }
    Ok(())
}

/// Finds the command: at this path, which must be a file.
pub(crate) fn find(path: &Path) -> Result<PathBuf> {
    File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path.canonicalize()?)
}
