//! Packets that were captured more than once.

mod hash;
mod memory;
mod source;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::hash::ContentHash;
use self::memory::{Entry, Memory};
pub use self::source::{Deduplicated, DeduplicatedBatch};
use crate::{Packet, Timestamp};

/// Tells packets that were captured before: a tap or a mirror port that copies a packet on its way in and on its way
/// out, two members of a bond, two interfaces of a bridge.
///
/// A packet is a duplicate if one with the same bytes, the same length on the wire, link type and VLAN tag was seen
/// within the window, and was none itself. So the third copy is one as well, but a packet that is sent again and again
/// is let through once a window. Contents are found by a hash and then compared byte by byte.
///
/// Memory is allocated once and bounded: where packets come faster than it can keep them for the window, the oldest are
/// forgotten, which [counts](DedupStatistics::forgotten). What of a packet was not captured cannot be compared: two
/// long packets that differ only there are taken for one.
///
/// ```
/// use std::time::Duration;
/// use ring_core::{Dedup, LinkType, Packet, PacketMeta, Timestamp};
///
/// let mut dedup = Dedup::new(Duration::from_millis(10));
/// let seen_at = |nanos| PacketMeta::new(1, Timestamp::from_nanos(nanos), LinkType::ETHERNET);
/// assert!(!dedup.is_duplicate(&Packet::new(b"frame", seen_at(0))));
/// assert!(dedup.is_duplicate(&Packet::new(b"frame", seen_at(1_000))));
/// assert!(!dedup.is_duplicate(&Packet::new(b"frame", seen_at(20_000_000))));
/// ```
#[derive(Debug)]
pub struct Dedup {
    window: Duration,
    between_interfaces: bool,
    hash: ContentHash,
    memory: Memory,
    statistics: DedupStatistics,
}

/// Totals of a [`Dedup`]; none of them ever decreases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DedupStatistics {
    /// Packets that were looked at.
    pub packets: u64,
    /// Those of them that were duplicates.
    pub duplicates: u64,
    /// Packets that were forgotten before the window was over, or that were too long to be kept: copies of them were
    /// let through. Give it more memory, or a shorter window.
    pub forgotten: u64,
    /// Different packets whose hashes were the same.
    pub collisions: u64,
}

impl Dedup {
    /// Memory unless said otherwise: some 10,000 packets of ordinary length.
    const MEMORY: usize = 8 << 20;

    /// Remembers packets for so long, in 8 MiB.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self::with_memory(window, Self::MEMORY)
    }

    /// Remembers packets for so long, in about so many bytes; less than 64 KiB counts as that.
    #[must_use]
    pub fn with_memory(window: Duration, bytes: usize) -> Self {
        Self {
            window,
            between_interfaces: false,
            hash: ContentHash::new(),
            memory: Memory::new(bytes.max(64 << 10)),
            statistics: DedupStatistics::default(),
        }
    }

    /// Whether only a copy from another interface is a duplicate: for bonds and bridges, where the same packet twice on
    /// one interface was sent twice. A tap needs `false`, as it is at first.
    #[must_use]
    pub fn between_interfaces(mut self, only: bool) -> Self {
        self.between_interfaces = only;
        self
    }

    /// Whether this packet was seen within the window; if not, it is remembered.
    pub fn is_duplicate(&mut self, packet: &Packet<'_>) -> bool {
        self.statistics.packets += 1;
        let entry = Entry::of(packet, self.hash.of(packet.data()));
        let (window, between_interfaces) = (self.window, self.between_interfaces);
        let within = |time: Timestamp| distance(time, packet.timestamp()) <= window;
        let mut collisions = 0;
        let duplicate = self.memory.find(entry.hash, |old, data| {
            if !old.is_like(&entry) || data != packet.data() {
                collisions += 1;
                return false;
            }
            within(old.time) && !(between_interfaces && old.interface == entry.interface)
        });
        self.statistics.collisions += collisions;
        if duplicate {
            self.statistics.duplicates += 1;
            return true;
        }
        let statistics = &mut self.statistics;
        let kept = self.memory.keep(entry, packet.data(), |gone| {
            statistics.forgotten += u64::from(within(gone.time));
        });
        statistics.forgotten += u64::from(!kept);
        false
    }

    /// What was counted.
    #[must_use]
    pub fn statistics(&self) -> DedupStatistics {
        self.statistics
    }
}

/// Clocks of interfaces differ a little, so that the copy may have the earlier time.
fn distance(a: Timestamp, b: Timestamp) -> Duration {
    Duration::from_nanos(a.as_nanos().abs_diff(b.as_nanos()))
}
