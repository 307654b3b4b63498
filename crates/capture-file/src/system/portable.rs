//! Stand-ins for systems other than Linux, made of `std` alone.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::Waited;
use crate::error::system;
use crate::{Error, Interrupter, Timeout};

/// `false`: `std` does not know the host's time zone, and calling the C library needs unsafe code.
pub(crate) const KNOWS_LOCAL_TIME: bool = false;

/// A wait for a pipe, which does not exist here: reads block instead.
#[derive(Debug)]
pub(crate) enum PipeWait {}

impl PipeWait {
    /// Returns no wait, and `true` if reading the file never blocks, as for a regular file.
    pub(crate) fn new(file: &File) -> Result<(Option<Self>, bool), Error> {
        let metadata = file.metadata().map_err(system("ask what kind of file it is"))?;
        Ok((None, metadata.is_file()))
    }

    pub(crate) fn wait(&self, _: Timeout) -> Result<Waited, Error> {
        match *self {}
    }

    pub(crate) fn take_interruption(&self) -> bool {
        match *self {}
    }

    pub(crate) fn interrupter(&self) -> Interrupter {
        match *self {}
    }
}

/// Nanoseconds of a monotonic clock, since the first call.
pub(crate) fn coarse_clock() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    // Overflows after 584 years.
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Nanoseconds since 1970, or 0 for a clock that is set to an earlier time.
pub(crate) fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Returns `None`: see [`KNOWS_LOCAL_TIME`].
pub(crate) fn format_local(_: i64, _: &OsStr) -> Option<OsString> {
    None
}
