//! The packets seen last, found by their hashes.

use crate::{LinkType, Packet, Timestamp, VlanTag};

/// Packets of one bucket that are looked at: a bound for the work on packets that were made to collide.
const LOOKED_AT: usize = 32;

/// A queue of packets in two circles, one of bytes and one of entries, with chains through the entries by hash.
/// Everything is numbered for ever, so that a link to what is gone tells by its number, and nothing is ever unlinked.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes: Box<[u8]>,
    entries: Box<[Entry]>,
    /// One more than the number of the newest entry of the bucket, 0 for none.
    buckets: Box<[u64]>,
    /// Numbers of the oldest entry and of the next.
    oldest: u64,
    next: u64,
    /// Where the next packet's bytes go, counted for ever.
    position: u64,
}

/// A packet that was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) hash: u64,
    pub(crate) time: Timestamp,
    pub(crate) interface: u32,
    wire_len: u32,
    link_type: u16,
    vlan: Option<VlanTag>,
    /// Where its bytes are, counted for ever.
    position: u64,
    len: u32,
    /// One more than the number of the entry before in the bucket, 0 for none.
    before: u64,
}

impl Entry {
    pub(crate) fn of(packet: &Packet<'_>, hash: u64) -> Self {
        let LinkType(link_type) = packet.link_type();
        Self {
            hash,
            time: packet.timestamp(),
            interface: packet.meta().interface,
            wire_len: packet.wire_len(),
            link_type,
            vlan: packet.vlan(),
            ..Self::default()
        }
    }

    /// The same, but for the bytes.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (self.wire_len, self.link_type, self.vlan) == (other.wire_len, other.link_type, other.vlan)
    }
}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        // One packet of 640 bytes on average, with an entry and two buckets.
        let per_packet = size_of::<Entry>() + 2 * size_of::<u64>() + 640;
        let entries = (bytes / per_packet).next_power_of_two() / 2;
        let buckets = entries * 2;
        let rest = bytes - entries * size_of::<Entry>() - buckets * size_of::<u64>();
        Self {
            bytes: vec![0; rest].into(),
            entries: vec![Entry::default(); entries].into(),
            buckets: vec![0; buckets].into(),
            oldest: 0,
            next: 0,
            position: 0,
        }
    }

    /// Whether `is_it` says so of one of the packets with this hash, the newest first.
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(&Entry, &[u8]) -> bool) -> bool {
        let mut link = self.buckets[self.bucket(hash)];
        for _ in 0..LOOKED_AT {
            // 0 stands for none, and what is gone has a lower number than the oldest.
            if link <= self.oldest {
                return false;
            }
            let entry = &self.entries[self.slot(link - 1)];
            if entry.hash == hash {
                let start = self.place(entry.position);
                if is_it(entry, &self.bytes[start..start + entry.len as usize]) {
                    return true;
                }
            }
            link = entry.before;
        }
        false
    }

    /// Keeps a packet, showing what has to go for it; false if it is too long.
    pub(crate) fn keep(&mut self, entry: Entry, data: &[u8], mut gone: impl FnMut(&Entry)) -> bool {
        let (len, room) = (data.len() as u64, self.bytes.len() as u64);
        // Half, since what is left before the end of the circle may be too short and is skipped.
        if len > room / 2 || data.len() > u32::MAX as usize {
            return false;
        }
        let left = room - self.position % room;
        let position = if left < len { self.position + left } else { self.position };
        while self.oldest < self.next {
            let oldest = &self.entries[self.slot(self.oldest)];
            let full = self.next - self.oldest == self.entries.len() as u64;
            if !full && position + len - oldest.position <= room {
                break;
            }
            gone(oldest);
            self.oldest += 1;
        }
        let start = self.place(position);
        self.bytes[start..start + data.len()].copy_from_slice(data);
        let bucket = self.bucket(entry.hash);
        let (slot, before) = (self.slot(self.next), self.buckets[bucket]);
        self.entries[slot] = Entry { position, len: len as u32, before, ..entry };
        self.next += 1;
        self.buckets[bucket] = self.next;
        self.position = position + len;
        true
    }

    fn bucket(&self, hash: u64) -> usize {
        // A power of two.
        hash as usize & (self.buckets.len() - 1)
    }

    fn slot(&self, number: u64) -> usize {
        number as usize & (self.entries.len() - 1)
    }

    fn place(&self, position: u64) -> usize {
        (position % self.bytes.len() as u64) as usize
    }
}
