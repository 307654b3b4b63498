//! A buffer of whole records in front of a file or writer.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use crate::system::{Identity, coarse_clock, standard_output};
use crate::{Error, Unwritable};

/// A file or another writer behind a buffer of whole records. The data handed to the kernel always
/// ends with a whole record, except if the kernel accepted only part of a write.
pub(crate) struct Output {
    target: Target,
    buffer: Vec<u8>,
    /// The number of bytes at the start of the buffer that the kernel already accepted.
    handed: usize,
    capacity: usize,
    /// Bytes of this output so far, including the buffer.
    position: u64,
    /// The time at which the oldest buffered record is due, by [`coarse_clock`]. `None` while the
    /// buffer is empty.
    due: Option<u64>,
}

/// Maximum time that a record stays in the buffer. Without it, a slow capture has nothing on the
/// disk when its process is killed.
const DELAY: Duration = Duration::from_secs(1);

enum Target {
    /// The buffer keeps everything until the file is known.
    Nowhere,
    File(File),
    Other(Box<dyn Write + Send>),
}

/// Opens a file and truncates it, unless it is the input.
pub(crate) fn create(
    path: &Path,
    options: &OpenOptions,
    input: Option<Identity>,
) -> Result<File, Error> {
    let failed = |source| Error::Open { path: path.to_owned(), source };
    let file = options.open(path).map_err(failed)?;
    is_not(input, &file, path)?;
    if file.metadata().map_err(failed)?.is_file() {
        file.set_len(0).map_err(failed)?;
    }
    Ok(file)
}

fn is_not(input: Option<Identity>, file: &File, path: &Path) -> Result<(), Error> {
    let found = file.metadata().map_err(failed)?;
    if input.is_some_and(|input| input.is_of(&found)) {
        return Err(Unwritable::Input { path: path.to_owned() }.into());
    }
    Ok(())
}

impl Output {
    /// Creates a file, or truncates an existing one; `-` is standard output.
    pub(crate) fn create(
        path: &Path,
        capacity: usize,
        input: Option<Identity>,
    ) -> Result<Self, Error> {
        if path.as_os_str() == "-" {
            is_not(input, &standard_output().map_err(failed)?, path)?;
            return Ok(Self::to_writer(Box::new(io::stdout()), capacity));
        }
        let file = create(path, OpenOptions::new().write(true).create(true), input)?;
        Ok(Self::to_file(file, capacity))
    }

    pub(crate) fn to_file(file: File, capacity: usize) -> Self {
        Self::new(Target::File(file), capacity)
    }

    /// Buffers everything until [`direct_to`](Self::direct_to).
    pub(crate) fn nowhere_yet() -> Self {
        Self::new(Target::Nowhere, 0)
    }

    pub(crate) fn direct_to(&mut self, file: File, capacity: usize) {
        self.target = Target::File(file);
        self.capacity = capacity;
    }

    pub(crate) fn to_writer(writer: Box<dyn Write + Send>, capacity: usize) -> Self {
        Self::new(Target::Other(writer), capacity)
    }

    fn new(target: Target, capacity: usize) -> Self {
        let buffer = Vec::with_capacity(capacity);
        Self { target, buffer, handed: 0, capacity, position: 0, due: None }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Makes room in the buffer, then lets `record` append to it. A record is accepted whole or not
    /// at all: if `record` fails, its bytes are removed.
    pub(crate) fn append<T>(
        &mut self,
        record: impl FnOnce(&mut Vec<u8>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.buffer.len() >= self.capacity {
            self.hand_over()?;
        }
        let now = coarse_clock();
        if self.due.is_some_and(|due| now >= due) {
            self.hand_over()?;
        }
        let start = self.buffer.len();
        let appended = record(&mut self.buffer);
        if appended.is_err() {
            self.buffer.truncate(start);
        }
        self.position += (self.buffer.len() - start) as u64;
        if self.due.is_none() && self.buffer.len() > start {
            self.due = Some(now + DELAY.as_nanos() as u64);
        }
        appended
    }

    /// The time until the buffer is due. `None` if it is empty.
    pub(crate) fn flush_due(&self) -> Option<Duration> {
        self.due.map(|due| Duration::from_nanos(due.saturating_sub(coarse_clock())))
    }

    /// Hands all buffered data to the kernel.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.hand_over()?;
        self.target.writer().map_or(Ok(()), |writer| writer.flush().map_err(failed))
    }

    /// Hands as much to the kernel as it accepts. The rest stays in the buffer, and the next call
    /// that must write it returns the error.
    pub(crate) fn hand_over_early(&mut self) {
        let _ = self.flush();
    }

    /// Waits until all data is on the disk.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.flush()?;
        match &self.target {
            Target::File(file) => file.sync_data().map_err(failed),
            _ => Ok(()),
        }
    }

    /// After an error, the next try continues with the first byte that the kernel did not accept.
    fn hand_over(&mut self) -> Result<(), Error> {
        let Some(writer) = self.target.writer() else { return Ok(()) };
        while self.handed < self.buffer.len() {
            match writer.write(&self.buffer[self.handed..]) {
                Ok(0) => return Err(failed(io::ErrorKind::WriteZero.into())),
                Ok(written) => self.handed += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        self.buffer.clear();
        self.handed = 0;
        self.due = None;
        Ok(())
    }
}

impl Target {
    fn writer(&mut self) -> Option<&mut dyn Write> {
        match self {
            Self::Nowhere => None,
            Self::File(file) => Some(file),
            Self::Other(writer) => Some(writer),
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("position", &self.position).finish_non_exhaustive()
    }
}

fn failed(source: io::Error) -> Error {
    Error::System { operation: "write the capture file", source }
}
