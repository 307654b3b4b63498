//! The standard streams as files, and the identity of files.

use std::fs::{File, Metadata};
use std::io;
#[cfg(unix)]
use std::os::fd::AsFd as _;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt as _;
#[cfg(windows)]
use std::os::windows::io::AsHandle as _;

/// A duplicate of standard input, without the buffer of [`io::stdin`].
pub(crate) fn standard_input() -> io::Result<File> {
    #[cfg(unix)]
    return io::stdin().as_fd().try_clone_to_owned().map(File::from);
    #[cfg(windows)]
    return io::stdin().as_handle().try_clone_to_owned().map(File::from);
    #[cfg(not(any(unix, windows)))]
    Err(io::ErrorKind::Unsupported.into())
}

/// A duplicate of standard output, to ask which file it is.
pub(crate) fn standard_output() -> io::Result<File> {
    #[cfg(unix)]
    return io::stdout().as_fd().try_clone_to_owned().map(File::from);
    #[cfg(windows)]
    return io::stdout().as_handle().try_clone_to_owned().map(File::from);
    #[cfg(not(any(unix, windows)))]
    Err(io::ErrorKind::Unsupported.into())
}

/// Device and inode of a file, which are the same for all its names.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

#[cfg(unix)]
impl Identity {
    pub(crate) fn of(file: &Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }

    /// `true` if the metadata is that of the same file.
    pub(crate) fn is_of(&self, file: &Metadata) -> bool {
        *self == Self::of(file)
    }
}

/// `std` has no identity of files for other systems.
#[cfg(not(unix))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {}

#[cfg(not(unix))]
impl Identity {
    pub(crate) fn is_of(&self, _: &Metadata) -> bool {
        match *self {}
    }
}
