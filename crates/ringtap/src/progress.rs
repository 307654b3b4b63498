//! How far a long file was read, on a terminal.

use std::fs::File;
use std::io::{IsTerminal as _, Read, stderr};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};

/// Files shorter than this are read before anybody could look: 64 MiB.
const LONG: u64 = 64 << 20;

/// A long file that shows on standard error how far it was read; `None` where nobody would see it, or where it is not
/// known how much there is.
pub(crate) fn reader(path: &Path) -> Option<impl Read + Send + 'static> {
    if !stderr().is_terminal() || path.as_os_str() == "-" {
        return None;
    }
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    if metadata.len() < LONG {
        return None;
    }
    let template = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).ok()?;
    let bar = ProgressBar::new(metadata.len()).with_style(style);
    Some(bar.wrap_read(file))
}
