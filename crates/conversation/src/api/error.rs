//! Errors.

use std::io;

use flow::{FlowSide, GapCause};

/// An error that ends a stream of conversations or of flow events.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source could not go on. Everything that it gave before was delivered. The message is the
    /// source's own; [`downcast_ref`](std::error::Error#method.downcast_ref) returns its type.
    // Not `{0}` with a text of ours: a program that prints a chain of causes would print the same
    // cause twice.
    #[error(transparent)]
    Source(Box<dyn std::error::Error + Send + Sync>),
    /// The engine's thread could not be started.
    #[error("the engine's thread could not be started")]
    Spawn(#[source] io::Error),
    /// The engine's thread panicked: a fault of this crate, or of code of the program's own that
    /// runs there, such as a source, an extractor, a predicate or a parser.
    #[error("the engine's thread panicked")]
    EnginePanicked,
}

impl Error {
    pub(crate) fn of_source(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Source(Box::new(error))
    }
}

/// Bytes are missing at this place of a stream.
///
/// A half that is read as `AsyncRead` reports a gap as an [`io::Error`] of kind
/// [`io::ErrorKind::InvalidData`] with this inside, and again with each further read until
/// [`Half::skip_gap`](crate::Half::skip_gap).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes are missing at offset {offset} of the stream ({cause:?})")]
#[non_exhaustive]
pub struct GapError {
    /// Position of the first missing byte.
    pub offset: u64,
    /// The number of bytes.
    pub len: u64,
    /// The reason that they are missing.
    pub cause: GapCause,
    /// `true` if `len` is an estimate, see [`flow::Gap::estimated`].
    pub estimated: bool,
    /// Those of the bytes that were captured, and dropped because the reader was too slow.
    pub dropped: u64,
}

/// The reader was too slow and its conversation was given up; nothing follows.
///
/// A half that is read as `AsyncRead` reports it as an [`io::Error`] of kind
/// [`io::ErrorKind::ConnectionAborted`] with this inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader was too slow: the conversation was given up at offset {offset}")]
#[non_exhaustive]
pub struct OverrunError {
    /// The side whose bytes found no room.
    pub side: FlowSide,
    /// Position of the first of them in the side's stream.
    pub offset: u64,
}

impl OverrunError {
    /// The overrun that an error from an `AsyncRead` stands for, if it stands for one.
    #[must_use]
    pub fn from_io(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }
}

impl GapError {
    /// The gap that an error from an `AsyncRead` stands for, if it stands for one.
    #[must_use]
    pub fn from_io(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::Error;

    #[test]
    fn no_cause_is_printed_twice() {
        for error in [
            Error::of_source(ring_core::Error::NoRuntime),
            Error::Spawn(std::io::Error::other("too many threads")),
            Error::EnginePanicked,
        ] {
            let text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                assert!(!text.contains(&error.to_string()), "{text}: {error}");
                cause = error.source();
            }
        }
        let spawn = Error::Spawn(std::io::Error::other("limit"));
        assert_eq!(spawn.source().map(ToString::to_string).as_deref(), Some("limit"));
    }
}
