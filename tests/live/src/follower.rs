//! A listener in a separate process: the command `ringtap follow --digest`.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use live_harness::{Missing, Result, program};
use netns::{Namespace, Process};
use serde::Deserialize;

use crate::{Direction, Heard, PATIENCE, Stream};

/// Runs `ringtap follow` on a link until [`finish`](Follower::finish).
#[derive(Debug)]
pub struct Follower {
    process: Process,
    lines: Arc<Mutex<Vec<String>>>,
    output: JoinHandle<()>,
    errors: JoinHandle<String>,
}

/// Number of the signal that Ctrl-C sends; see signal(7).
const INTERRUPT: i32 = 2;

/// A line of `--digest`.
#[derive(Debug, Deserialize)]
struct Line {
    src: SocketAddr,
    dst: SocketAddr,
    len: u64,
    sha256: String,
    gaps: Vec<(u64, u64)>,
}

/// Finds the command: in `RINGTAP_COMMAND`, or next to this test's own folder.
///
/// # Errors
///
/// [`Missing::File`] if it was not built.
pub fn ringtap() -> Result<PathBuf> {
    let path = match env::var_os("RINGTAP_COMMAND") {
        Some(path) => PathBuf::from(path),
        None => env::current_exe()?.ancestors().nth(2).unwrap_or("".as_ref()).join("ringtap"),
    };
    if path.is_file() {
        return Ok(path);
    }
    let remedy = "cargo build --release -p ringtap, and RINGTAP_COMMAND=target/release/ringtap";
    Err(Missing::File { path: path.display().to_string(), remedy }.into())
}

impl Follower {
    /// Starts to listen. When it returns, every further packet is captured.
    ///
    /// # Errors
    ///
    /// If the command does not start to capture.
    pub fn start(host: &Namespace, link: &str) -> Result<Self> {
        Self::start_with(host, link, &[], captures)
    }

    /// Listens with AF_XDP. With the name of another link, packets are forwarded to that link and
    /// back.
    ///
    /// # Errors
    ///
    /// If the command does not start to capture.
    pub fn start_xdp(host: &Namespace, link: &str, forward: Option<&str>) -> Result<Self> {
        let mut options = vec!["--backend", "xdp"];
        options.extend(forward.iter().flat_map(|other| ["--forward", other]));
        // The second link is opened last.
        let last = forward.unwrap_or(link).to_owned();
        Self::start_with(host, link, &options, move |host, _| has_program(host, &last))
    }

    fn start_with(
        host: &Namespace,
        link: &str,
        options: &[&str],
        runs: impl Fn(&Namespace, &str) -> Result<bool>,
    ) -> Result<Self> {
        let mut command = Command::new(ringtap()?);
        command
            .args(["follow", "--digest", "--interface", link])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = host.spawn(&mut command)?;
        let output = process.child().stdout.take().ok_or("no output")?;
        let mut errors = process.child().stderr.take().ok_or("no error output")?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&lines);
        let output = thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let errors = thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let mut follower = Self { process, lines, output, errors };
        follower.wait_until(host, link, runs)?;
        Ok(follower)
    }

    /// Waits until the command has printed `directions` lines, interrupts it, and returns
    /// everything that it captured.
    ///
    /// # Errors
    ///
    /// If it does not end properly, or prints anything but digests.
    pub fn finish(mut self, directions: usize) -> Result<Heard> {
        let started = Instant::now();
        while self.told() < directions && !self.output.is_finished() && started.elapsed() < PATIENCE
        {
            thread::sleep(Duration::from_millis(5));
        }
        self.process.signal(INTERRUPT)?;
        let status = self.process.wait_for(PATIENCE)?;
        drop(self.process);
        let errors = self.errors.join().map_err(|_| "the reader of errors panicked")?;
        self.output.join().map_err(|_| "the reader of output panicked")?;
        if !status.is_some_and(|status| status.success()) {
            return Err(format!("ringtap follow ended with {status:?}: {errors}").into());
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let directions = lines.iter().map(|line| direction(line)).collect::<Result<_>>()?;
        let drops = errors
            .lines()
            .find_map(|line| {
                let (drops, _) = line.strip_suffix(" dropped by kernel")?.split_once(" packet")?;
                drops.trim().parse().ok()
            })
            .ok_or_else(|| format!("no word of drops: {errors}"))?;
        Ok(Heard { directions, ends: Vec::new(), drops })
    }

    fn told(&self) -> usize {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn wait_until(
        &mut self,
        host: &Namespace,
        link: &str,
        runs: impl Fn(&Namespace, &str) -> Result<bool>,
    ) -> Result {
        let started = Instant::now();
        while !runs(host, link)? {
            if self.process.wait_for(Duration::ZERO)?.is_some() || started.elapsed() > PATIENCE {
                return Err(format!("ringtap follow does not capture on {link}").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        // There are a few system calls between binding the socket and attaching the filter.
        thread::sleep(Duration::from_millis(100));
        Ok(())
    }
}

/// Returns `true` if the host's list of packet sockets contains a capture on the link; see
/// packet(7).
fn captures(host: &Namespace, link: &str) -> Result<bool> {
    let index = host.link(link)?.index().to_string();
    let sockets = host.run(|| fs::read_to_string("/proc/thread-self/net/packet"))??;
    Ok(sockets.lines().skip(1).any(|line| {
        let mut columns = line.split_whitespace().skip(4);
        columns.next() == Some(&index) && columns.next() == Some("1")
    }))
}

/// Returns `true` if ip(8) shows a program on the link.
fn has_program(host: &Namespace, link: &str) -> Result<bool> {
    let mut command = Command::new(program("ip", "iproute2")?);
    command.args(["link", "show", "dev", link]).stdout(Stdio::piped());
    let output = host.spawn(&mut command)?.output()?;
    Ok(String::from_utf8_lossy(&output.stdout).contains("prog/xdp"))
}

fn direction(line: &str) -> Result<Direction> {
    let line: Line = serde_json::from_str(line).map_err(|error| format!("{error} in {line}"))?;
    let mut sha256 = [0; 32];
    if line.sha256.len() != 64 {
        return Err(format!("no SHA-256: {}", line.sha256).into());
    }
    for (byte, digits) in sha256.iter_mut().zip(line.sha256.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits)?, 16)?;
    }
    let stream = Stream { length: line.len, sha256, gaps: line.gaps };
    Ok(Direction { from: line.src, to: line.dst, stream })
}
