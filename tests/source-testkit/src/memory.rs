//! Packets in memory, as a file would hold them.

use packet::{LinkType, MemorySource, Timestamp};

use crate::Connection;

/// The connections' packets, taken in turn, as a file would hold them.
pub fn interleave(connections: &mut [Connection]) -> MemorySource {
    let mut packets = Vec::new();
    while connections.iter().any(|connection| !connection.packets.is_empty()) {
        packets
            .extend(connections.iter_mut().filter_map(|connection| connection.packets.pop_front()));
    }
    source(packets)
}

/// A millisecond between any two packets.
pub fn source(packets: Vec<Vec<u8>>) -> MemorySource {
    let mut source = MemorySource::new(LinkType::ETHERNET).batch_size(16);
    for (i, packet) in packets.iter().enumerate() {
        source.push(Timestamp::from_nanos(1_000_000_000_000 + i as u64 * 1_000_000), packet);
    }
    source
}
