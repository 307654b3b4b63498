//! CRYPTO frames put in order.

/// The most bytes of a side. Hellos with post-quantum keys take about 2 KiB.
const MAX_BYTES: usize = 64 << 10;
/// The most ranges that wait. Chrome sends a hello in about ten pieces, shuffled.
const MAX_RANGES: usize = 64;

/// The bytes of one side's handshake.
#[derive(Debug, Default)]
pub(super) struct CryptoStream {
    bytes: Vec<u8>,
    /// The ranges of `bytes` that were received, in order and apart from each other.
    ranges: Vec<(usize, usize)>,
}

impl CryptoStream {
    /// Takes a frame. Bytes that were received before stay.
    pub(super) fn insert(&mut self, offset: u64, data: &[u8]) {
        let Ok(start) = usize::try_from(offset) else { return };
        let Some(end) = start.checked_add(data.len()).filter(|end| *end <= MAX_BYTES) else {
            return;
        };
        if data.is_empty() {
            return;
        }
        // The ranges that the new one touches become one.
        let from = self.ranges.partition_point(|range| range.1 < start);
        let to = self.ranges.partition_point(|range| range.0 <= end);
        if from == to && self.ranges.len() >= MAX_RANGES {
            return;
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let old = self.ranges[from..to].to_vec();
        let mut at = start;
        for (first, last) in old.iter().copied().chain([(end, end)]) {
            if at < first.min(end) {
                let until = first.min(end);
                self.bytes[at..until].copy_from_slice(&data[at - start..until - start]);
            }
            at = at.max(last);
        }
        let first = old.first().map_or(start, |range| range.0.min(start));
        let last = old.last().map_or(end, |range| range.1.max(end));
        self.ranges.splice(from..to, [(first, last)]);
    }

    /// The bytes from the beginning to the first hole.
    pub(super) fn in_order(&self) -> &[u8] {
        match self.ranges.first() {
            Some(&(0, end)) => &self.bytes[..end],
            _ => &[],
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() + self.ranges.capacity() * size_of::<(usize, usize)>()
    }
}
