//! What can go wrong.

use std::io;

use flow::FlowSide;

use crate::GapCause;

/// An error that ends a stream of conversations or of flow events.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source could not go on. Everything that it gave before was delivered.
    #[error("the source of packets failed: {0}")]
    Source(#[from] ring_core::Error),
    /// The engine's thread could not be started.
    #[error("the engine's thread could not be started: {0}")]
    Spawn(#[source] io::Error),
    /// The engine's thread panicked: a fault of this crate.
    #[error("the engine's thread panicked")]
    EnginePanicked,
}

/// Bytes are missing at this place of a stream; the next read goes on behind them.
///
/// A half that is read as `AsyncRead` reports a gap as an [`io::Error`] of kind [`io::ErrorKind::InvalidData`] with
/// this inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes are missing at offset {offset} of the stream ({cause:?})")]
#[non_exhaustive]
pub struct GapError {
    /// Position of the first missing byte.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
    /// Why they are missing.
    pub cause: GapCause,
}

/// The reader was too slow and its conversation was given up; nothing follows.
///
/// A half that is read as `AsyncRead` reports it as an [`io::Error`] of kind [`io::ErrorKind::ConnectionAborted`] with
/// this inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader was too slow: the conversation was given up at offset {offset}")]
#[non_exhaustive]
pub struct OverrunError {
    /// Whose bytes found no room.
    pub side: FlowSide,
    /// Position of the first of them in the side's stream.
    pub offset: u64,
}

impl OverrunError {
    /// What an error from an `AsyncRead` stands for, if it stands for this.
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
