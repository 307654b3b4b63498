//! The result of handing frames to the kernel.

use std::io;

/// The result of handing frames to the kernel.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Frames that the kernel accepted and then refused without reporting which.
    pub(crate) skipped: u64,
    /// The reason why it did not accept more, which concerns the oldest frame left.
    pub(crate) error: Option<io::Error>,
}

impl Handed {
    pub(crate) fn count(&mut self, lens: &[u32]) {
        self.packets += lens.len() as u64;
        self.bytes += lens.iter().map(|&len| u64::from(len)).sum::<u64>();
    }
}
