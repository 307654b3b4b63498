//! Where a command takes its packets from: the options that all commands share.

use std::path::PathBuf;

/// One of an interface and a file.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Input {
    /// Capture on this interface; `any` for all.
    #[arg(short, long, value_name = "INTERFACE")]
    pub(crate) interface: Option<String>,
    /// Read a pcap or pcapng file; `-` for standard input.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) read: Option<PathBuf>,
}

impl Input {
    /// What errors call it.
    pub(crate) fn name(&self) -> String {
        match (&self.interface, &self.read) {
            (Some(interface), _) => interface.clone(),
            (None, Some(file)) => file.display().to_string(),
            (None, None) => String::new(),
        }
    }
}
