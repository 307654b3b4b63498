//! Packets in memory, and as a pcap file.

use std::io::{self, Write};

/// The time between two packets in nanoseconds: a million packets a second.
const STEP: u64 = 1000;
/// Time stamp of the first packet in nanoseconds since the Unix epoch.
const START: u64 = 1_700_000_000_000_000_000;

/// Ethernet frames in one buffer.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    payload: u64,
}

impl Capture {
    pub(crate) fn push(&mut self, parts: [&[u8]; 2], payload: u64) {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.ends.push(self.bytes.len());
        self.payload += payload;
    }

    /// Swaps the last two packets.
    pub(crate) fn swap_last(&mut self) {
        let [.., before, middle, end] = self.ends[..] else { return };
        self.bytes[before..end].rotate_left(middle - before);
        let len = self.ends.len();
        self.ends[len - 2] = before + (end - middle);
    }

    /// Appends a copy of the last packet.
    pub(crate) fn repeat_last(&mut self) {
        if let [.., start, end] = self.ends[..] {
            self.bytes.extend_from_within(start..end);
            self.ends.push(self.bytes.len());
        }
    }

    /// The frames with their time stamps in nanoseconds since the Unix epoch.
    pub fn packets(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .enumerate()
            .map(|(i, (start, end))| (START + i as u64 * STEP, &self.bytes[start..*end]))
    }

    /// The number of frames.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns `true` if there are no frames.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The number of bytes in all frames.
    #[must_use]
    pub fn wire_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The number of bytes in all streams, without retransmissions.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        self.payload
    }

    /// Writes a pcap file with microseconds, which every program can read.
    ///
    /// # Errors
    /// Those of `writer`.
    pub fn write_pcap(&self, mut writer: impl Write) -> io::Result<()> {
        let header: [u32; 6] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 262_144, 1];
        for word in header {
            writer.write_all(&word.to_le_bytes())?;
        }
        for (time, packet) in self.packets() {
            let len = packet.len() as u32;
            for word in
                [(time / 1_000_000_000) as u32, (time % 1_000_000_000 / 1000) as u32, len, len]
            {
                writer.write_all(&word.to_le_bytes())?;
            }
            writer.write_all(packet)?;
        }
        writer.flush()
    }
}
