//! Writing to a reader that may be slow, without being stuck there.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;
use ring_sys::event;

use crate::interrupt;
use crate::text::wrap::Width;

/// A write of this many bytes does not block on a pipe that poll(2) reports as writable: `PIPE_BUF`
/// of pipe(7).
const PIECE: usize = 4096;
/// Time between two looks whether a FIFO has got a reader: nothing can be polled for that.
const LOOK: Duration = Duration::from_millis(20);

/// A file, pipe, terminal or socket. Where it has to wait for a reader, it gives up with
/// [`TimedOut`](io::ErrorKind::TimedOut) when the time for handing over ends, see [`interrupt`]. A
/// reader that is slow gets no part of a line or record: its rest has a little more time.
#[derive(Debug)]
pub(crate) struct Patient {
    file: File,
    waiting: Waiting,
    unit: Unit,
    /// The output so far ends with a whole line or record.
    whole: bool,
}

/// The smallest part that the reader can do something with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Line,
    /// All that is to be written at once.
    Write,
}

#[derive(Clone, Copy, Debug)]
enum Waiting {
    /// A file on a disk: writes end soon.
    Never,
    /// Writes return early instead of blocking.
    NonBlocking,
    /// Writes block, but not those of a [`PIECE`] for which there is room. The descriptor is shared
    /// with other processes (a shell's terminal), which a change of its flags would confuse.
    Blocking,
}

impl Patient {
    /// Standard output.
    pub(crate) fn stdout(unit: Unit) -> io::Result<Self> {
        let whole = true;
        let shared = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let kind = shared.metadata()?.file_type();
        if !kind.is_fifo() && !kind.is_socket() && !shared.is_terminal() {
            return Ok(Self { file: shared, waiting: Waiting::Never, unit, whole });
        }
        // Opened again, the same pipe or terminal has flags of our own. Sockets cannot be opened,
        // nor what belongs to another user.
        Ok(match open("/proc/self/fd/1".as_ref()) {
            Ok(file) => Self { file, waiting: Waiting::NonBlocking, unit, whole },
            Err(_) => Self { file: shared, waiting: Waiting::Blocking, unit, whole },
        })
    }

    /// A FIFO, once somebody reads from it; `None` if the end was requested before anybody did.
    pub(crate) fn fifo(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let is_last = interrupt::is_requested();
            match open(path) {
                // Nobody reads from it.
                Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ENXIO as i32) => {
                    if is_last {
                        return Ok(None);
                    }
                    interrupt::sleep(LOOK)?;
                }
                file => {
                    let (waiting, unit) = (Waiting::NonBlocking, Unit::Write);
                    return file.map(|file| Some(Self { file, waiting, unit, whole: true }));
                }
            }
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// The width of the terminal's rows, which may change.
    pub(crate) fn width(&self) -> Width {
        if self.is_terminal() {
            Width::of_terminal(ring_sys::terminal::columns(self.file.as_fd()))
        } else {
            Width::default()
        }
    }

    /// `true` if it is this file.
    pub(crate) fn is(&self, file: &Metadata) -> io::Result<bool> {
        let own = self.file.metadata()?;
        Ok((own.dev(), own.ino()) == (file.dev(), file.ino()))
    }

    fn wait(&self) -> io::Result<()> {
        let wait = if self.whole { interrupt::wait_for } else { interrupt::wait_for_rest };
        if wait(self.file.as_fd(), event::WRITABLE)? {
            return Ok(());
        }
        Err(timed_out())
    }

    /// The part of `bytes` that is to be written now: all, or what completes a unit if there is no
    /// time for more.
    fn part<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let ends = |byte: &u8| *byte == b'\n';
        match bytes.iter().position(ends) {
            Some(at) if self.unit == Unit::Line && !self.whole && interrupt::is_over() => {
                &bytes[..=at]
            }
            _ => bytes,
        }
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self.waiting {
            Waiting::Never => self.file.write(bytes),
            Waiting::Blocking => {
                self.wait()?;
                let part = self.part(bytes);
                self.file.write(&part[..part.len().min(PIECE)])
            }
            Waiting::NonBlocking => loop {
                match self.file.write(self.part(bytes)) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                    written => break written,
                }
            },
        }?;
        self.whole = match self.unit {
            Unit::Line => bytes[..written].last().map_or(self.whole, |byte| *byte == b'\n'),
            Unit::Write => written == bytes.len(),
        };
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The error of a reader that is too slow.
pub(super) fn timed_out() -> io::Error {
    let what = "its reader did not take all of it within the time after the signal; what was left \
                is not written";
    io::Error::new(io::ErrorKind::TimedOut, what)
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    OpenOptions::new().write(true).custom_flags(flags.bits()).open(path)
}
