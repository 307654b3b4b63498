//! Packets from memory.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::mem;

use bytes::Bytes;

use crate::{
    LinkType, Next, PacketMeta, PacketSource, Statistics, StoredBatch, StoredPacket, Timeout,
    Timestamp,
};

/// A source of packets from memory, for tests and for packets from elsewhere.
///
/// Packets are delivered in the order in which they were added. [`end_batch`](Self::end_batch) ends
/// a batch, and [`batch_size`](Self::batch_size) limits its size (default: 64). Each batch is one
/// piece of memory, so [`retain`](crate::PacketBatch::retain) works as for a ring.
///
/// ```
/// use packet::{LinkType, MemorySource, Next, Timeout, Timestamp};
/// use packet::{PacketBatch as _, PacketSource as _};
///
/// # fn main() -> Result<(), std::convert::Infallible> {
/// let mut source = MemorySource::new(LinkType::ETHERNET);
/// source.push(Timestamp::from_nanos(1), b"first");
/// source.push(Timestamp::from_nanos(2), b"second");
/// let Next::Batch(batch) = source.next_batch(Timeout::Now)? else { panic!("no batch") };
/// let numbers: Vec<u64> = batch.packets().map(|packet| packet.number()).collect();
/// assert_eq!(numbers, [1, 2]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MemorySource {
    link_type: LinkType,
    mixed: bool,
    batch_size: usize,
    next_number: u64,
    bytes: Vec<u8>,
    packets: Vec<StoredPacket>,
    waiting: VecDeque<(Bytes, Vec<StoredPacket>)>,
    lent: (Bytes, Vec<StoredPacket>),
    statistics: Statistics,
}

impl MemorySource {
    /// Creates an empty source.
    #[must_use]
    pub fn new(link_type: LinkType) -> Self {
        Self {
            link_type,
            mixed: false,
            batch_size: 64,
            next_number: 1,
            bytes: Vec::new(),
            packets: Vec::new(),
            waiting: VecDeque::new(),
            lent: (Bytes::new(), Vec::new()),
            statistics: Statistics::default(),
        }
    }

    /// Sets the maximum number of packets in a batch; 0 counts as 1.
    #[must_use]
    pub fn batch_size(mut self, packets: usize) -> Self {
        self.batch_size = packets.max(1);
        self
    }

    /// Adds a packet that was captured whole.
    pub fn push(&mut self, timestamp: Timestamp, data: &[u8]) {
        self.push_with(PacketMeta::new(self.next_number, timestamp, self.link_type), data);
    }

    /// Adds a packet with its metadata, including the number. Later packets are numbered from
    /// there. `meta.wire_len` is raised to `data.len()` if it is less.
    pub fn push_with(&mut self, meta: PacketMeta, data: &[u8]) {
        self.mixed |= meta.link_type != self.link_type;
        self.next_number = meta.number.saturating_add(1);
        self.packets.push(StoredPacket { start: self.bytes.len(), len: data.len(), meta });
        self.bytes.extend_from_slice(data);
        if self.packets.len() >= self.batch_size {
            self.end_batch();
        }
    }

    /// Ends the current batch; the next packet starts a new one.
    pub fn end_batch(&mut self) {
        if !self.packets.is_empty() {
            self.waiting
                .push_back((mem::take(&mut self.bytes).into(), mem::take(&mut self.packets)));
        }
    }
}

impl PacketSource for MemorySource {
    type Batch<'a> = StoredBatch<'a>;
    type Error = Infallible;

    fn next_batch(&mut self, _: Timeout) -> Result<Next<StoredBatch<'_>>, Infallible> {
        if self.waiting.is_empty() {
            self.end_batch();
        }
        let Some(batch) = self.waiting.pop_front() else { return Ok(Next::End) };
        self.lent = batch;
        let (memory, packets) = &self.lent;
        self.statistics.packets += packets.len() as u64;
        let truncated =
            packets.iter().filter(|packet| packet.meta.wire_len as usize > packet.len).count();
        self.statistics.truncated += truncated as u64;
        Ok(Next::Batch(StoredBatch::new(memory, packets)))
    }

    fn statistics(&mut self) -> Result<Statistics, Infallible> {
        Ok(self.statistics)
    }

    fn link_type(&self) -> Option<LinkType> {
        (!self.mixed).then_some(self.link_type)
    }

    fn is_live(&self) -> bool {
        false
    }

    fn never_waits(&self) -> bool {
        true
    }
}

/// Gives the packets timestamps one nanosecond apart, starting at zero.
impl<'a> FromIterator<&'a [u8]> for MemorySource {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(packets: I) -> Self {
        let mut source = Self::new(LinkType::ETHERNET);
        for (at, data) in packets.into_iter().enumerate() {
            source.push(Timestamp::from_nanos(at as u64), data);
        }
        source
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PacketBatch as _;

    #[test]
    fn batches_are_as_given_and_can_be_kept() {
        let mut source = MemorySource::new(LinkType::RAW).batch_size(2);
        for text in ["a", "bb", "ccc"] {
            source.push(Timestamp::from_nanos(7), text.as_bytes());
        }
        let Ok(Next::Batch(batch)) = source.next_batch(Timeout::Now) else { panic!("a batch") };
        assert_eq!(batch.len(), 2);
        let kept = batch.retain().expect("memory");
        let second = batch.packets().nth(1).expect("two");
        let slice = kept.slice_ref(second.data());
        let Ok(Next::Batch(batch)) = source.next_batch(Timeout::Now) else { panic!("a batch") };
        assert_eq!(
            batch.packets().map(|p| (p.number(), p.data())).collect::<Vec<_>>(),
            [(3, &b"ccc"[..])]
        );
        assert_eq!(&slice[..], b"bb");
        assert!(matches!(source.next_batch(Timeout::Never), Ok(Next::End)));
        assert_eq!(source.statistics().expect("always").packets, 3);
    }

    #[test]
    fn a_packet_with_its_own_link_type_keeps_it() {
        let mut source = MemorySource::new(LinkType::RAW);
        let mut meta = PacketMeta::new(9, Timestamp::default(), LinkType::ETHERNET);
        meta.wire_len = 100;
        source.push_with(meta, b"short");
        source.push(Timestamp::default(), b"x");
        let Ok(Next::Batch(batch)) = source.next_batch(Timeout::Now) else { panic!("a batch") };
        let packets: Vec<_> = batch.packets().collect();
        assert_eq!((packets[0].number(), packets[0].link_type()), (9, LinkType::ETHERNET));
        assert!(packets[0].is_truncated());
        assert_eq!((packets[1].number(), packets[1].link_type()), (10, LinkType::RAW));
        assert_eq!(source.statistics().expect("always").truncated, 1);
    }
}
