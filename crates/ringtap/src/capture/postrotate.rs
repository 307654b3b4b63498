//! The command that is run for each complete file.

use std::ffi::OsStr;
use std::fmt::Display;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use ring_sys::processor;

use crate::report;
use crate::text::escape::Escaped;

/// Starts `command FILE`, and returns once it runs. It goes on beside the capture, and after it. A
/// command that fails is reported, and the capture continues.
pub(super) fn run(command: &OsStr, file: &Path) {
    let what = format!("{} {}", command.display(), file.display());
    let mut process = Command::new(command);
    // The packets may come from standard input.
    process.arg(file).stdin(Stdio::null());
    let (started, start) = channel();
    let (name, run) = ("postrotate".to_owned(), move || watch(process, &started, &what));
    match thread::Builder::new().name(name).spawn(run) {
        // Without the wait, the end of the capture could come before the start of the command.
        Ok(_) => _ = start.recv(),
        Err(error) => failed(&format!("{} {}", command.display(), file.display()), &error),
    }
}

/// Starts a command from this thread, whose priority it inherits, and waits for its end.
fn watch(mut process: Command, started: &Sender<()>, what: &str) {
    let child = processor::lower_priority().and_then(|()| process.spawn());
    if let Err(error) = &child {
        failed(what, error);
    }
    let _ = started.send(());
    let Ok(mut child) = child else { return };
    match child.wait() {
        Ok(status) if status.success() => {}
        Ok(status) => failed(what, &status),
        Err(error) => failed(what, &error),
    }
}

fn failed(what: &str, why: &dyn Display) {
    report::say(format_args!("-z {}: {why}", Escaped(what)));
}
