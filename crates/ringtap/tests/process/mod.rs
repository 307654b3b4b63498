//! A command that runs while a test does something to it.

use std::fs;
use std::io::{self, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The limit for everything that should happen soon.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A process, killed with the test.
pub(crate) struct Running {
    child: Option<Child>,
    errors: Option<JoinHandle<io::Result<String>>>,
}

/// The end of a process.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) errors: String,
    /// Since the signal, or since the wait began.
    #[allow(dead_code)]
    pub(crate) after: Duration,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let mut pipe = child.stderr.take().expect("standard error is a pipe");
        let errors = thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).map(|_| text)
        });
        Ok(Self { child: Some(child), errors: Some(errors) })
    }

    fn pid(&self) -> i32 {
        self.child.as_ref().map_or(0, Child::id).cast_signed()
    }

    /// Waits until signals are taken over and no thread of the process has used the processor for a
    /// while.
    pub(crate) fn blocks_soon(&self) -> io::Result<()> {
        let used = || -> io::Result<String> {
            let text = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
            Ok(text.split(' ').skip(13).take(2).collect())
        };
        let threads = format!("/proc/{}/task", self.pid());
        let (asked, mut before, mut calm) = (Instant::now(), used()?, 0);
        while calm < 10 {
            assert!(asked.elapsed() < PATIENCE, "it does not block");
            thread::sleep(Duration::from_millis(20));
            let now = used()?;
            let listens = fs::read_dir(&threads)?.count() > 1;
            calm = if now == before && listens { calm + 1 } else { 0 };
            before = now;
        }
        Ok(())
    }

    pub(crate) fn kill(&self, signal: Signal) -> io::Result<()> {
        match kill(Pid::from_raw(self.pid()), signal) {
            // It has ended.
            Err(nix::errno::Errno::ESRCH) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads its standard output, waiting for `pause` microseconds between two reads.
    #[allow(dead_code)]
    pub(crate) fn reads(&mut self, pause: u64) -> io::Result<JoinHandle<io::Result<Vec<u8>>>> {
        let stdout = self.child.as_mut().and_then(|child| child.stdout.take());
        let stdout = stdout.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(thread::spawn(move || read(stdout, pause)))
    }

    pub(crate) fn end_by(self, signal: Signal) -> io::Result<Ended> {
        self.kill(signal)?;
        self.wait()
    }

    pub(crate) fn wait(mut self) -> io::Result<Ended> {
        let since = Instant::now();
        let mut child = self.child.take().expect("it was not waited for");
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if since.elapsed() > PATIENCE {
                child.kill()?;
            }
            thread::sleep(Duration::from_millis(2));
        };
        let after = since.elapsed();
        let errors = self.errors.take().expect("it was not waited for").join();
        let errors = errors.expect("the reader does not panic")?;
        Ok(Ended { status, errors, after })
    }
}

/// Reads to the end, waiting for `pause` microseconds between two reads.
pub(crate) fn read(mut from: impl io::Read, pause: u64) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(all),
            got => all.extend_from_slice(&buffer[..got]),
        }
        thread::sleep(Duration::from_micros(pause));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
