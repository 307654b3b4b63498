//! The number of files that the process may open.

use std::fs::File;
use std::io;

use crate::Error;

/// Descriptors that a command needs at most besides those that it was started with: a runtime,
/// rings, events, files.
const NEEDED: usize = 24;

/// Fails where the limit is too low. A limit that is reached later makes library code panic that
/// expects a descriptor, or is reported as something else.
pub(crate) fn check() -> Result<(), Error> {
    let opened: io::Result<Vec<File>> = (0..NEEDED).map(|_| File::open("/")).collect();
    match opened {
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EMFILE as i32) => {
            Err(Error::Descriptors)
        }
        _ => Ok(()),
    }
}
