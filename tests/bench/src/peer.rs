//! Programs for comparison that are not part of this workspace. They are built on demand and run as
//! processes that print one line of JSON.
//!
//! A peer in C is one file, `peers/NAME.c`. A line `// cc: -lpcap` in it names the libraries to
//! link. A peer in Rust is a separate package in `peers/NAME`, with an empty `[workspace]` table,
//! so that nobody else builds its dependencies. Both are built into `target/peers`.
//!
//! If a peer cannot be built or run, its row is still shown: [`figure`] includes the reason.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use netns::Namespace;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use nix::unistd::Pid;
use serde::de::DeserializeOwned;

use crate::measure::Spread;

/// Longer than the run of any peer.
const LIMIT: Duration = Duration::from_secs(60);

/// The line that a peer prints once it is ready to receive packets.
const READY: &str = "ready";

/// A program that can be run.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<String>,
}

/// The namespace and processor of a program. Default: those of this process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place<'a> {
    pub(crate) namespace: Option<&'a Namespace>,
    pub(crate) cpu: Option<usize>,
}

/// A running program. Killed on drop.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    complaints: Option<JoinHandle<String>>,
    until: Instant,
}

/// The reason why a peer has no figure.
#[derive(Clone, Debug)]
pub(crate) struct Unavailable(String);

/// Builds `peers/NAME.c` with `cc -O3 -march=native`.
pub(crate) fn c(name: &str) -> Result<Program, Unavailable> {
    let source = folder().join(format!("{name}.c"));
    let text = fs::read_to_string(&source).map_err(|error| failed(name, "is not there", &error))?;
    let options = text.lines().find_map(|line| line.strip_prefix("// cc:")).unwrap_or_default();
    let binaries = binaries()?;
    fs::create_dir_all(&binaries).map_err(|error| failed(name, "cannot be built", &error))?;
    let path = binaries.join(format!("{name}-c"));
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O3", "-march=native", "-Wall", "-Wextra", "-Werror", "-std=gnu11", "-o"])
        .arg(&path)
        .arg(&source)
        .args(options.split_whitespace());
    build(name, &mut compiler)?;
    Ok(Program { path, arguments: Vec::new() })
}

/// Builds the package `peers/NAME`, ignoring its minimum Rust version.
pub(crate) fn rust(name: &str) -> Result<Program, Unavailable> {
    let target = target()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(cargo);
    cargo
        .args(["build", "--release", "--locked", "--ignore-rust-version", "--manifest-path"])
        .arg(folder().join(name).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target);
    build(name, &mut cargo)?;
    Ok(Program { path: target.join("release").join(name), arguments: Vec::new() })
}

/// Finds a program in the search path, such as `tcpflow`. `package` is the Debian package that
/// contains it.
pub(crate) fn installed(name: &str, package: &str) -> Result<Program, Unavailable> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .map(|path| Program { path, arguments: Vec::new() })
        .ok_or_else(|| Unavailable(format!("{name} is not installed (Debian: {package})")))
}

/// This program with a role in place of a group, so that ours are measured like peers: in separate
/// processes.
pub(crate) fn this(role: &str) -> Result<Program, Unavailable> {
    let path = std::env::current_exe().map_err(|error| failed("bench", "is not there", &error))?;
    Ok(Program { path, arguments: vec![role.to_owned()] })
}

/// Builds every peer. Returns the failures and their reasons.
pub(crate) fn build_all() -> Vec<Unavailable> {
    let entries = fs::read_dir(folder()).into_iter().flatten().flatten();
    let mut missing = Vec::new();
    for path in entries.map(|entry| entry.path()) {
        let Some(name) = path.file_stem().and_then(OsStr::to_str) else { continue };
        let built = match path.extension().and_then(OsStr::to_str) {
            Some("c") => c(name),
            None if path.join("Cargo.toml").is_file() => rust(name),
            _ => continue,
        };
        missing.extend(built.err());
    }
    missing
}

/// A peer's column of a row: its figure, or the reason for its absence.
pub(crate) fn figure(name: &str, figure: Result<Spread, Unavailable>) -> (String, Spread) {
    match figure {
        Ok(figure) => (name.to_owned(), figure),
        Err(reason) => (format!("{name} ({reason})"), Spread::unknown()),
    }
}

impl Program {
    /// Starts the program.
    pub(crate) fn start(
        &self,
        place: Place<'_>,
        arguments: &[impl AsRef<OsStr>],
    ) -> Result<Running, Unavailable> {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = place
            .start(&mut command)
            .map_err(|error| Unavailable(format!("{} cannot be started: {error}", self.name())))?;
        let (sender, lines) = channel();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let complaints = child.stderr.take().map(|mut errors| {
            thread::spawn(move || {
                let mut text = String::new();
                // Output that is not text ends the reading, so the reported reason is shorter.
                let _ = errors.read_to_string(&mut text);
                text
            })
        });
        Ok(Running { child, lines, complaints, until: Instant::now() + LIMIT })
    }

    /// Runs the program to its end and parses the line of JSON that it prints last.
    pub(crate) fn run<T: DeserializeOwned>(
        &self,
        place: Place<'_>,
        arguments: &[impl AsRef<OsStr>],
    ) -> Result<T, Unavailable> {
        self.start(place, arguments)?.result()
    }

    /// Runs the program to its end and ignores its output. Returns the processor time of the whole
    /// process.
    pub(crate) fn time(
        &self,
        place: Place<'_>,
        arguments: &[impl AsRef<OsStr>],
    ) -> Result<Duration, Unavailable> {
        let before = time_of_children();
        let mut running = self.start(place, arguments)?;
        while running.line().is_some() {}
        match running.child.wait() {
            Ok(status) if status.success() => Ok(time_of_children().saturating_sub(before)),
            _ => Err(running.complaint()),
        }
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Unavailable {
    pub(crate) fn because(what: &str, error: &dyn std::error::Error) -> Self {
        Self(format!("{what}: {error}"))
    }

    pub(crate) fn saying(what: &str) -> Self {
        Self(what.to_owned())
    }
}

impl Running {
    /// Waits until the program is ready.
    pub(crate) fn ready(&mut self) -> Result<(), Unavailable> {
        loop {
            match self.line() {
                Some(line) if line == READY => return Ok(()),
                Some(_) => {}
                None => return Err(self.complaint()),
            }
        }
    }

    /// Waits for the program's end and parses the line of JSON that it prints last.
    pub(crate) fn result<T: DeserializeOwned>(mut self) -> Result<T, Unavailable> {
        let mut last = None;
        while let Some(line) = self.line() {
            last = Some(line);
        }
        let Some(line) = last.filter(|line| line != READY) else { return Err(self.complaint()) };
        serde_json::from_str(&line).map_err(|error| Unavailable(format!("{error} in {line:?}")))
    }

    /// The next line of its output. `None` at the end, and after the time limit.
    fn line(&mut self) -> Option<String> {
        self.lines.recv_timeout(self.until.saturating_duration_since(Instant::now())).ok()
    }

    /// The last line of its standard error, as the reason of a failure.
    fn complaint(&mut self) -> Unavailable {
        if Instant::now() >= self.until {
            return Unavailable(format!("did not end within {LIMIT:?}"));
        }
        // The program has closed its output, so it is about to end or has ended.
        let _ = self.child.kill();
        let status = self.child.wait();
        let text = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        match (text.trim().lines().last(), status) {
            (Some(line), _) => Unavailable(line.to_owned()),
            (None, Ok(status)) => Unavailable(format!("ended without a result: {status}")),
            (None, Err(error)) => Unavailable(error.to_string()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if the program has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Place<'_> {
    /// Starts the program on a new thread, because a child inherits the namespace and the processor
    /// of the thread that starts it.
    fn start(self, command: &mut Command) -> std::io::Result<Child> {
        let pinned = || {
            if let Some(cpu) = self.cpu {
                pin(cpu)?;
            }
            command.spawn()
        };
        match self.namespace {
            Some(namespace) => namespace.run(pinned).map_err(std::io::Error::other)?,
            None => thread::scope(|scope| scope.spawn(pinned).join())
                .unwrap_or_else(|payload| std::panic::resume_unwind(payload)),
        }
    }
}

impl Unavailable {
    pub(crate) fn new(reason: String) -> Self {
        Self(reason)
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Vertical bars separate the cells of a table.
        f.write_str(&self.0.replace('|', "/"))
    }
}

impl std::error::Error for Unavailable {}

/// The processor time of the children that were waited for.
fn time_of_children() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return Duration::ZERO };
    let micros = [usage.user_time(), usage.system_time()].map(|time| time.num_microseconds());
    Duration::from_micros(micros.iter().sum::<i64>().unsigned_abs())
}

/// Pins this thread to one processor.
pub(crate) fn pin(cpu: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

fn build(name: &str, command: &mut Command) -> Result<(), Unavailable> {
    let output = command.output().map_err(|error| failed(name, "cannot be built", &error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Unavailable(format!("{name} cannot be built: {}", first_error(&output))))
}

/// The most informative line of a compiler's output.
fn first_error(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("error"));
    line.or_else(|| text.lines().last()).unwrap_or_default().trim().to_owned()
}

fn failed(name: &str, what: &str, error: &std::io::Error) -> Unavailable {
    Unavailable(format!("{name} {what}: {error}"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// The folder next to the one that this program was built into.
fn target() -> Result<PathBuf, Unavailable> {
    let program =
        std::env::current_exe().map_err(|error| failed("bench", "is not there", &error))?;
    let target = program.ancestors().nth(2).unwrap_or(Path::new("."));
    Ok(target.join("peers"))
}

fn binaries() -> Result<PathBuf, Unavailable> {
    Ok(target()?.join("release"))
}
