//! Captures written by other programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::libpcap::Libpcap;

/// A packet as captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its bytes.
    pub data: Vec<u8>,
    /// Its length on the wire.
    pub wire_len: u32,
}

impl Packet {
    /// Creates a packet that was captured whole.
    pub fn whole(data: Vec<u8>) -> Self {
        Self { wire_len: data.len() as u32, data }
    }

    /// Truncates the packet to a snap length.
    #[must_use]
    pub fn cut(&self, len: usize) -> Self {
        let len = len.min(self.data.len());
        Self { data: self.data[..len].to_vec(), wire_len: self.wire_len }
    }
}

/// Reads the packets of all captures in a folder, by link type in libpcap's numbering. A file that
/// libpcap cannot read to its end counts up to the error.
pub fn packets(libpcap: &Libpcap, folder: &Path) -> BTreeMap<i32, Vec<Packet>> {
    let mut by_link_type: BTreeMap<i32, Vec<Packet>> = BTreeMap::new();
    let mut files = Vec::new();
    find(folder, &mut files);
    files.sort();
    for file in files {
        let mut packets = Vec::new();
        if let Some(link_type) = libpcap.read(&file, &mut packets) {
            by_link_type.entry(link_type).or_default().append(&mut packets);
        }
    }
    by_link_type
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => find(&path, files),
            Some("tsv" | "md" | "py") => {}
            _ => files.push(path),
        }
    }
}
