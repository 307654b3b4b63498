//! Text for people: times, captured bytes and foreign names, written so that none of them can act
//! on a terminal or pass for a line of ringtap's own.
//!
//! Everything that comes from a wire, a file or another host's configuration goes through here
//! before it is shown. The fuzz target `printers` includes this module as it is, so it depends on
//! nothing else of the command.

pub(crate) mod clock;
pub(crate) mod escape;
pub(crate) mod payload;
pub(crate) mod wrap;

#[cfg(any(test, fuzzing))]
pub(crate) mod judge;
#[cfg(test)]
mod tests;
