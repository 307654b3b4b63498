//! Programs that tasks start.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    io::{BufRead as _, BufReader, IsTerminal as _},
    path::Path,
    process::{self, ExitStatus, Stdio},
};

use crate::{
    error::{Error, Result},
    tally::{self, Tally},
};

/// A program with its arguments, printed before it starts.
#[derive(Debug)]
pub(crate) struct Command {
    command: process::Command,
    shown: String,
}

impl Command {
    /// cargo, of the toolchain that runs this.
    pub(crate) fn cargo(arguments: &str) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Self::new(cargo, "cargo").words(arguments)
    }

    /// cargo of the nightly toolchain, through rustup.
    pub(crate) fn nightly(arguments: &str) -> Self {
        let mut nightly = Self::new("cargo", "cargo").words("+nightly").words(arguments);
        // What this process got from cargo would have rustup's stable one used below.
        for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTDOC"] {
            nightly.command.env_remove(variable);
        }
        nightly
    }

    /// Another program.
    pub(crate) fn program(name: &str) -> Self {
        Self::new(name, name)
    }

    /// Appends arguments, divided at blanks.
    pub(crate) fn words(self, arguments: &str) -> Self {
        arguments.split_whitespace().fold(self, Self::argument)
    }

    /// Appends one argument.
    pub(crate) fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        let _ = write!(self.shown, " {}", argument.as_ref().display());
        self.command.arg(argument);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.shown = format!("{name}={:?} {}", value.as_ref(), self.shown);
        self.command.env(name, value);
        self
    }

    /// Starts it in `folder`.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs it with this process's output.
    pub(crate) fn run(mut self) -> Result<()> {
        eprintln!("$ {}", self.shown);
        let status = self.command.status();
        let status = self.started(status)?;
        self.judge(status)
    }

    /// Runs it and shows its output only if it fails.
    pub(crate) fn run_quietly(mut self) -> Result<()> {
        eprintln!("$ {}", self.shown);
        let output = self.command.stdin(Stdio::null()).output();
        let output = self.started(output)?;
        if !output.status.success() {
            eprint!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        self.judge(output.status)
    }

    /// Runs it and returns what it writes to its standard output.
    pub(crate) fn output(mut self) -> Result<Vec<u8>> {
        let output = self.command.stderr(Stdio::inherit()).output();
        let output = self.started(output)?;
        self.judge(output.status)?;
        Ok(output.stdout)
    }

    /// Runs it in silence, and returns `true` if it ends well.
    pub(crate) fn succeeds(mut self) -> bool {
        self.command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Runs it with this process's output and adds up to `tally` what test programs report there.
    pub(crate) fn count_tests(mut self, tally: &mut Tally) -> Result<()> {
        eprintln!("$ {}", self.shown);
        if std::io::stderr().is_terminal() {
            self.command.env("CARGO_TERM_COLOR", "always");
        }
        let child = self.command.stdout(Stdio::piped()).spawn();
        let mut child = self.started(child)?;
        let mut output = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        let (mut line, mut failed) = (Vec::new(), Vec::new());
        while output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line);
            print!("{text}");
            *tally += Tally::read(&text).unwrap_or_default();
            failed.extend(tally::failed_test(&text).map(str::to_owned));
            line.clear();
        }
        let status = child.wait();
        let status = self.started(status)?;
        if failed.is_empty() {
            return self.judge(status);
        }
        let of = usize::try_from(tally.ran()).unwrap_or(usize::MAX);
        Err(Error::Some { count: failed.len(), of, names: failed.join(", ") })
    }

    fn new(program: impl AsRef<OsStr>, shown: &str) -> Self {
        Self { command: process::Command::new(program), shown: shown.to_owned() }
    }

    fn started<T>(&self, result: std::io::Result<T>) -> Result<T> {
        result.map_err(|source| Error::Start {
            program: self.command.get_program().to_string_lossy().into_owned(),
            source,
        })
    }

    fn judge(self, status: ExitStatus) -> Result<()> {
        if status.success() { Ok(()) } else { Err(Error::Failed { command: self.shown, status }) }
    }
}
