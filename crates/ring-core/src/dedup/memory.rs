//! A bounded store of recent packets, indexed by hash.

use crate::{LinkType, Packet, Timestamp, VlanTag};

/// Maximum number of packets to compare in one bucket. Limits the work if packets collide.
const LOOKED_AT: usize = 32;

/// A queue of packets in two ring buffers, one for bytes and one for entries, with hash chains
/// through the entries. Positions and entry numbers only ever increase. A link to an evicted entry
/// is recognised by its number, so no chain ever needs unlinking.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes: Box<[u8]>,
    entries: Box<[Entry]>,
    /// Per bucket, the number of its newest entry plus one, or 0 if it is empty.
    buckets: Box<[u64]>,
    /// The numbers of the oldest entry and of the next one to be added.
    oldest: u64,
    next: u64,
    /// The position of the next packet's bytes. Only ever increases.
    position: u64,
}

/// A recent packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) hash: u64,
    pub(crate) time: Timestamp,
    pub(crate) interface: u32,
    wire_len: u32,
    link_type: u16,
    vlan: Option<VlanTag>,
    /// The position of its bytes, not reduced to the buffer's size.
    position: u64,
    len: u32,
    /// The number of the previous entry in the bucket plus one, or 0 for none.
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

    /// `true` if everything but hash, time, interface and bytes is equal.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (self.wire_len, self.link_type, self.vlan) == (other.wire_len, other.link_type, other.vlan)
    }
}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        // Assumes packets of 640 bytes on average, each with one entry and two buckets.
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

    /// Returns `true` if `is_it` does for a packet with this hash. Tries the newest first.
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(&Entry, &[u8]) -> bool) -> bool {
        let mut link = self.buckets[self.bucket(hash)];
        for _ in 0..LOOKED_AT {
            // 0 is the end of the chain; numbers below the oldest belong to evicted entries.
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

    /// Adds a packet and passes each entry evicted for it to `gone`. Returns `false` if it is too
    /// long.
    pub(crate) fn keep(&mut self, entry: Entry, data: &[u8], mut gone: impl FnMut(&Entry)) -> bool {
        let (len, room) = (data.len() as u64, self.bytes.len() as u64);
        // At most half of the buffer, because a packet that does not fit before the buffer's end
        // starts again at the beginning.
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
        // The number of buckets is a power of two.
        hash as usize & (self.buckets.len() - 1)
    }

    fn slot(&self, number: u64) -> usize {
        number as usize & (self.entries.len() - 1)
    }

    fn place(&self, position: u64) -> usize {
        (position % self.bytes.len() as u64) as usize
    }
}
