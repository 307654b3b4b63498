//! The interfaces of a source: files describe them, everything else has those of the host.

use capture_file::{CaptureFile, FileInterface};
use ring_core::{Capture, Filtered, PacketSource, xdp};

use crate::cause::Cause;

/// A source whose packets may be of interfaces that a file describes.
pub(crate) trait Described: PacketSource<Error: Into<Cause>> {
    /// The interfaces that were described before the end of a batch.
    fn before<'a>(_batch: &'a Self::Batch<'_>) -> &'a [FileInterface] {
        &[]
    }

    /// Those that were described so far.
    fn interfaces(&self) -> &[FileInterface] {
        &[]
    }
}

impl Described for Capture {}

impl Described for xdp::Group {}

impl Described for Filtered<xdp::Tap> {}

impl Described for Filtered<CaptureFile> {
    fn before<'a>(batch: &'a Self::Batch<'_>) -> &'a [FileInterface] {
        batch.get_ref().interfaces()
    }

    fn interfaces(&self) -> &[FileInterface] {
        self.get_ref().interfaces()
    }
}
