//! Standard output, shared by the tasks of a command.

pub(crate) mod patient;

use std::cell::RefCell;
use std::io::{self, BufWriter, Write};
use std::rc::Rc;

use self::patient::{Patient, Unit};
use crate::text::wrap::Width;

/// Buffered standard output; the first error sticks, so that tasks need not carry it.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    inner: Rc<RefCell<Inner>>,
}

#[derive(Debug)]
struct Inner {
    writer: BufWriter<Patient>,
    /// Nothing stays in the buffer.
    lines: bool,
    error: Option<io::Error>,
}

impl Output {
    /// Standard output, on which what is written at once is shown at once if `lines`.
    ///
    /// # Errors
    /// The error if no descriptor is left.
    pub(crate) fn stdout(lines: bool) -> io::Result<Self> {
        let writer = BufWriter::with_capacity(64 << 10, Patient::stdout(Unit::Line)?);
        Ok(Self { inner: Rc::new(RefCell::new(Inner { writer, lines, error: None })) })
    }

    /// Writes something whole: nothing of another task comes between.
    pub(crate) fn write(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        let mut inner = self.inner.borrow_mut();
        let Inner { writer, lines, error } = &mut *inner;
        if error.is_none() {
            let written = write(writer);
            *error = if *lines { written.and_then(|()| writer.flush()) } else { written }.err();
        }
    }

    /// Shows what was written so far.
    pub(crate) fn flush(&self) {
        self.write(|writer| writer.flush());
    }

    /// Returns `true` if the output is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.inner.borrow().writer.get_ref().is_terminal()
    }

    /// The width of rows, if the output is a terminal.
    pub(crate) fn width(&self) -> Width {
        self.inner.borrow().writer.get_ref().width()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.inner.borrow().error.is_some()
    }

    /// Writes nothing more than what is buffered, since the time for handing over has passed. That
    /// something is left is an error.
    pub(crate) fn give_up(&self) {
        self.flush();
        self.inner.borrow_mut().error.get_or_insert_with(patient::timed_out);
    }

    /// Flushes, and tells the first error.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.flush();
        self.inner.borrow_mut().error.take().map_or(Ok(()), Err)
    }
}
