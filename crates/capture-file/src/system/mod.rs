//! The parts of the crate that depend on the operating system.
//!
//! `linux` and `pipe` are for Linux. `portable` stands in for both elsewhere and knows only `std`:
//! reads from a pipe block, and names of files cannot contain the time.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod pipe;
#[cfg(not(target_os = "linux"))]
mod portable;
mod standard;

#[cfg(target_os = "linux")]
pub(crate) use self::linux::{KNOWS_LOCAL_TIME, coarse_clock, format_local, wall_clock};
#[cfg(target_os = "linux")]
pub(crate) use self::pipe::PipeWait;
#[cfg(not(target_os = "linux"))]
pub(crate) use self::portable::{
    KNOWS_LOCAL_TIME, PipeWait, coarse_clock, format_local, wall_clock,
};
pub(crate) use self::standard::{Identity, standard_input, standard_output};

/// The result of waiting for a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "reads block there"))]
pub(crate) enum Waited {
    Readable,
    TimedOut,
    Interrupted,
}
