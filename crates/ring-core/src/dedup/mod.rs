//! Detection of packets that were captured more than once.

mod hash;
mod memory;
mod source;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::hash::ContentHash;
use self::memory::{Entry, Memory};
pub use self::source::Deduplicated;
use crate::{Packet, Timestamp};

/// Detects packets that were captured more than once. Such duplicates come from taps and mirror
/// ports that copy a packet when it arrives and when it leaves, from two members of a bond, or from
/// two interfaces of a bridge.
///
/// A packet is a duplicate if an original with the same bytes, wire length, link type and VLAN tag
/// was seen within the window. Duplicates do not extend the window: a third copy is a duplicate as
/// well, but of a packet that is sent again and again, one copy per window passes. Contents are
/// found by a hash and then compared byte by byte.
///
/// Memory is allocated once. If packets arrive faster than it can keep them for the window, the
/// oldest are evicted and [counted](DedupStatistics::forgotten). Bytes that were not captured
/// cannot be compared: two long packets that differ only there count as duplicates.
///
/// ```
/// use std::time::Duration;
/// use ring_core::{Dedup, LinkType, Packet, PacketMeta, Timestamp};
///
/// let mut dedup = Dedup::new(Duration::from_millis(10));
/// let seen_at = |nanos| PacketMeta::new(1, Timestamp::from_nanos(nanos), LinkType::ETHERNET);
/// assert!(!dedup.is_duplicate(&Packet::with_meta(b"frame", seen_at(0))));
/// assert!(dedup.is_duplicate(&Packet::with_meta(b"frame", seen_at(1_000))));
/// assert!(!dedup.is_duplicate(&Packet::with_meta(b"frame", seen_at(20_000_000))));
/// ```
#[derive(Debug)]
pub struct Dedup {
    window: Duration,
    between_interfaces: bool,
    hash: ContentHash,
    memory: Memory,
    statistics: DedupStatistics,
}

/// Totals of a [`Dedup`]. They never decrease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DedupStatistics {
    /// Packets that were checked.
    pub packets: u64,
    /// Packets that were duplicates.
    pub duplicates: u64,
    /// Packets that were evicted before the window ended, or that were too long to be kept. Their
    /// copies pass. A larger memory or a shorter window avoids this.
    pub forgotten: u64,
    /// Different packets with equal hashes.
    pub collisions: u64,
}

impl Dedup {
    /// The default memory size, enough for about 10,000 packets of average length.
    const MEMORY: usize = 8 << 20;

    /// Creates a detector that remembers packets for `window`, in 8 MiB of memory.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self::with_memory(window, Self::MEMORY)
    }

    /// Creates a detector with about `bytes` of memory, at least 64 KiB.
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

    /// Restricts duplicates to copies from another interface. Use this for bonds and bridges, where
    /// two equal packets on one interface were sent twice. A tap needs `false`, the default.
    #[must_use]
    pub fn between_interfaces(mut self, only: bool) -> Self {
        self.between_interfaces = only;
        self
    }

    /// Returns `true` if this packet was seen within the window. Otherwise remembers it.
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

    /// Returns the totals.
    #[must_use]
    pub fn statistics(&self) -> DedupStatistics {
        self.statistics
    }
}

/// The absolute difference. The copy may have the earlier time, since clocks of interfaces differ a
/// little.
fn distance(a: Timestamp, b: Timestamp) -> Duration {
    Duration::from_nanos(a.as_nanos().abs_diff(b.as_nanos()))
}
