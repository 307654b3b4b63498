//! The errors of sources and sinks: an interface's and a file's.

use std::error::Error;

use ring_core::{SelectedError, xdp};

/// An error of an interface or of a capture file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// Of an interface, or of a filter.
    #[error(transparent)]
    Ring(#[from] ring_core::Error),
    /// Of a capture file.
    #[error(transparent)]
    File(#[from] capture_file::Error),
}

/// The same, borrowed.
#[derive(Clone, Copy)]
pub(crate) enum CauseRef<'e> {
    Ring(&'e ring_core::Error),
    File(&'e capture_file::Error),
}

impl<E: Into<Self>> From<SelectedError<E>> for Cause {
    fn from(error: SelectedError<E>) -> Self {
        match error {
            SelectedError::Source(error) => error.into(),
            SelectedError::Decision(error) => error.into(),
        }
    }
}

impl From<xdp::Error> for Cause {
    fn from(error: xdp::Error) -> Self {
        Self::Ring(error.into())
    }
}

impl<'e> CauseRef<'e> {
    /// The cause in an error of a source, through what wraps it.
    pub(crate) fn of(error: &'e (dyn Error + 'static)) -> Option<Self> {
        let ring = error.downcast_ref().map(Self::Ring);
        ring.or_else(|| error.downcast_ref().map(Self::File))
            .or_else(|| Self::of_selected(error, Self::Ring))
            .or_else(|| Self::of_selected(error, Self::File))
    }

    fn of_selected<E: Error + 'static>(
        error: &'e (dyn Error + 'static),
        wrap: impl FnOnce(&'e E) -> Self,
    ) -> Option<Self> {
        error.downcast_ref().map(|error| match error {
            SelectedError::Source(error) => wrap(error),
            SelectedError::Decision(error) => Self::Ring(error),
        })
    }
}

impl<'e> From<&'e Cause> for CauseRef<'e> {
    fn from(cause: &'e Cause) -> Self {
        match cause {
            Cause::Ring(error) => Self::Ring(error),
            Cause::File(error) => Self::File(error),
        }
    }
}
