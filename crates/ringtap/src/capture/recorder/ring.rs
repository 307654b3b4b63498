//! The latest packets, in memory.

use std::collections::VecDeque;

use ring_core::{Packet, PacketMeta, Timestamp};

/// The largest part of the memory that is freed at a time.
const CHUNK: usize = 1 << 20;

/// Packets in the order of their arrival. The oldest are freed in chunks.
#[derive(Debug)]
pub(super) struct Ring {
    chunks: VecDeque<Chunk>,
    /// The size at which a chunk is full.
    chunk: usize,
    memory: usize,
    /// The number of the first packet in the first chunk, counted from the start of the capture.
    first: u64,
    /// The number of the first packet that was neither written nor passed over.
    next: u64,
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    packets: Vec<(PacketMeta, usize)>,
    newest: Timestamp,
}

impl Chunk {
    fn used(&self) -> usize {
        self.bytes.len() + self.packets.len() * size_of::<(PacketMeta, usize)>()
    }

    fn memory(&self) -> usize {
        self.bytes.capacity() + self.packets.capacity() * size_of::<(PacketMeta, usize)>()
    }

    fn packet(&self, at: usize) -> Option<Packet<'_>> {
        let (meta, end) = self.packets.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.packets[before].1);
        Some(Packet::with_meta(self.bytes.get(start..*end)?, *meta))
    }
}

impl Ring {
    /// Creates a ring for about this much memory.
    pub(super) fn new(limit: usize) -> Self {
        let chunk = (limit / 16).min(CHUNK);
        Self { chunks: VecDeque::new(), chunk, memory: 0, first: 0, next: 0 }
    }

    /// The memory in bytes.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }

    pub(super) fn push(&mut self, packet: &Packet<'_>) {
        let full = self.chunk.saturating_sub(packet.data().len());
        if self.chunks.back().is_none_or(|chunk| chunk.used() > full && chunk.used() > 0) {
            if let Some(complete) = self.chunks.back_mut() {
                self.memory -= complete.memory();
                complete.bytes.shrink_to_fit();
                complete.packets.shrink_to_fit();
                self.memory += complete.memory();
            }
            self.chunks.push_back(Chunk::default());
        }
        let Some(chunk) = self.chunks.back_mut() else { return };
        let before = chunk.memory();
        chunk.bytes.extend_from_slice(packet.data());
        chunk.packets.push((*packet.meta(), chunk.bytes.len()));
        chunk.newest = chunk.newest.max(packet.timestamp());
        self.memory += chunk.memory() - before;
    }

    /// The time of the latest packet in the chunk that would be freed next.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.chunks.front().map(|chunk| chunk.newest)
    }

    /// Frees the oldest chunk. Returns the number of its packets that were never written.
    pub(super) fn free(&mut self) -> u64 {
        let Some(chunk) = self.chunks.pop_front() else { return 0 };
        self.memory -= chunk.memory();
        let end = self.first + chunk.packets.len() as u64;
        let lost = end.saturating_sub(self.next);
        self.first = end;
        self.next = self.next.max(end);
        lost
    }

    /// Hands over the packets that were not handed over before, until `take` returns `false` for
    /// one: that is the first of the next time. Returns `true` if there was such a packet.
    pub(super) fn pass<E>(
        &mut self,
        mut take: impl FnMut(&Packet<'_>) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let mut first = self.first;
        for chunk in &self.chunks {
            let end = first + chunk.packets.len() as u64;
            while self.next < end {
                let Some(packet) = chunk.packet((self.next - first) as usize) else { break };
                if !take(&packet)? {
                    return Ok(true);
                }
                self.next += 1;
            }
            first = end;
        }
        Ok(false)
    }

    /// The packets that were neither handed over nor freed.
    pub(super) fn held(&self) -> u64 {
        let packets: usize = self.chunks.iter().map(|chunk| chunk.packets.len()).sum();
        (self.first + packets as u64).saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use ring_core::LinkType;

    use super::*;

    fn packet(number: u64, bytes: &[u8]) -> Packet<'_> {
        let time = Timestamp::from_nanos(number);
        Packet::with_meta(bytes, PacketMeta::new(number, time, LinkType::ETHERNET))
    }

    #[test]
    fn packets_come_out_once_and_in_order_and_what_is_freed_is_counted() {
        let mut ring = Ring::new(64 << 10);
        for number in 0..1000 {
            ring.push(&packet(number, &vec![number as u8; (number % 90) as usize]));
        }
        let mut seen = Vec::new();
        let stopped = ring.pass(|packet| {
            let number = packet.number();
            if number < 300 {
                assert_eq!(packet.data(), vec![number as u8; (number % 90) as usize]);
                seen.push(number);
            }
            Ok::<_, ()>(number < 300)
        });
        assert_eq!(stopped, Ok(true));
        assert_eq!(seen, (0..300).collect::<Vec<_>>());
        assert_eq!(ring.held(), 700);
        let (mut lost, mut freed) = (0, 0);
        while ring.oldest().is_some_and(|oldest| oldest < Timestamp::from_nanos(700)) {
            let before = ring.memory();
            lost += ring.free();
            freed += 1;
            assert!(ring.memory() < before);
        }
        assert!(freed > 3 && lost > 0, "{freed} chunks, {lost} packets");
        assert_eq!(ring.held(), 700 - lost);
        let mut left = Vec::new();
        let stopped = ring.pass(|packet| {
            left.push(packet.number());
            Ok::<_, ()>(true)
        });
        assert_eq!(stopped, Ok(false));
        assert_eq!(left, (300 + lost..1000).collect::<Vec<_>>());
        while ring.oldest().is_some() {
            assert_eq!(ring.free(), 0);
        }
        assert_eq!(ring.memory(), 0);
    }

    #[test]
    fn a_packet_larger_than_a_chunk_is_kept_whole() {
        let mut ring = Ring::new(64 << 10);
        let bytes = vec![7; 60_000];
        ring.push(&packet(0, b"before"));
        ring.push(&packet(1, &bytes));
        ring.push(&packet(2, b"after"));
        let mut lens = Vec::new();
        let passed = ring.pass(|packet| {
            lens.push(packet.data().len());
            Ok::<_, ()>(true)
        });
        assert_eq!((passed, lens), (Ok(false), vec![6, 60_000, 5]));
        let memory: usize = ring.chunks.iter().map(Chunk::memory).sum();
        assert_eq!(ring.memory(), memory);
    }
}
