//! The progress of reading a long file, on a terminal.

use std::fs::{File, Metadata};
use std::io::{IsTerminal as _, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// Files shorter than this are read before anybody could look: 64 MiB.
const LONG: u64 = 64 << 20;

/// A bar on standard error for a long file; `None` where nobody would see it, or where its length
/// is not known.
pub(crate) fn bar(file: &File) -> Option<ProgressBar> {
    if !stderr().is_terminal() {
        return None;
    }
    let metadata = file.metadata().ok().filter(Metadata::is_file)?;
    if metadata.len() < LONG {
        return None;
    }
    let template = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).ok()?;
    Some(ProgressBar::new(metadata.len()).with_style(style))
}
