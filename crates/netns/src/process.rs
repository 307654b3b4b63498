//! Programs that run inside a namespace.

use std::{
    io,
    process::{Child, ExitStatus, Output},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use crate::error::{Error, Result};

/// A program started by [`Namespace::spawn`](crate::Namespace::spawn). Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    program: String,
    child: Option<Child>,
}

impl Process {
    pub(crate) fn new(program: String, child: Child) -> Self {
        Self { program, child: Some(child) }
    }

    /// The process ID.
    pub fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Standard streams that were redirected to pipes, and the rest of std's [`Child`].
    pub fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("only `output` takes the child, and it takes the process, too")
    }

    /// Waits for the process to end.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the kernel refuses to wait.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child().wait();
        self.named("wait for", status)
    }

    /// Waits at most `limit` for the process to end. `None` if it is still running then.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the kernel refuses to wait.
    pub fn wait_for(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let started = Instant::now();
        loop {
            let status = self.child().try_wait();
            let status = self.named("wait for", status)?;
            if status.is_some() || started.elapsed() >= limit {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for the process to end while reading its output from the pipes that it was given.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if reading or waiting fails.
    pub fn output(mut self) -> Result<Output> {
        let child = self.child.take().expect("only this method takes the child");
        let output = child.wait_with_output();
        self.named("read the output of", output)
    }

    /// Sends the signal `number` of signal(7) to the process, such as 2 for an interrupt.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if there is no such signal.
    pub fn signal(&mut self, number: i32) -> Result<()> {
        // A process that ended keeps its ID until it is waited for, so this cannot reach another
        // process.
        let pid = Pid::from_raw(self.child().id().cast_signed());
        let sent = Signal::try_from(number).and_then(|signal| signal::kill(pid, signal));
        self.named("signal", sent.map_err(Into::into))
    }

    fn named<T>(&self, operation: &'static str, result: io::Result<T>) -> Result<T> {
        result.map_err(|source| Error::system(operation, &self.program, source))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Both calls fail only if the process has ended and was waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
