//! The out-of-order queue.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::OverlapPolicy;

/// The segments that are pending behind a hole, by stream offset, without overlaps.
///
/// An ordered map, so that a peer that sends only one-byte segments out of order costs logarithmic
/// time for each.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    segments: BTreeMap<u64, Held>,
    bytes: usize,
}

/// A segment, or the rest of one.
#[derive(Debug)]
pub(crate) struct Held {
    content: Content,
    /// In nanoseconds.
    pub(crate) timestamp: u64,
    pub(crate) number: u64,
    /// See [`Data::depends_on`](crate::Data::depends_on).
    pub(crate) depends_on: u64,
}

const _: () = assert!(size_of::<Held>() == 40);

/// Only two words, because a node of the map has space for eleven entries, used or not.
#[derive(Debug)]
enum Content {
    Bytes(Box<[u8]>),
    Rare(Box<Rare>),
}

#[derive(Debug)]
enum Rare {
    /// The bytes after the first `skip`.
    Rest { buffer: Box<[u8]>, skip: usize },
    /// Bytes that were sent but not captured, because the segment was truncated.
    Cut(u64),
}

/// A segment to be held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) start: u64,
    pub(crate) bytes: &'a [u8],
    /// The length on the wire. Greater than that of `bytes` if the capture truncated the segment.
    pub(crate) wire_len: u64,
    pub(crate) timestamp: u64,
    pub(crate) number: u64,
    pub(crate) depends_on: u64,
}

/// One of two versions of the same bytes, and the packet that carried it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) timestamp: u64,
    pub(crate) number: u64,
}

/// The overhead of a segment: its share of the map and of the allocator, rounded up.
pub(crate) const OVERHEAD: usize = 128;
/// The additional overhead of a segment with [`Rare`] content.
const RARE: usize = 64;
/// The additional overhead of the first segment, because a node of the map has space for eleven.
pub(crate) const NODE: usize = 600;

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.segments.len()
    }

    /// The memory in use, including [`OVERHEAD`] and [`NODE`].
    pub(crate) fn bytes(&self) -> usize {
        if self.segments.is_empty() { 0 } else { NODE + self.bytes }
    }

    /// The start of the first segment.
    pub(crate) fn first(&self) -> Option<u64> {
        self.segments.first_key_value().map(|(&start, _)| start)
    }

    /// The end of the first segment.
    pub(crate) fn first_end(&self) -> Option<u64> {
        self.segments.first_key_value().map(|(&start, held)| start + held.len())
    }

    /// `false` if the first segment was sent but not captured.
    pub(crate) fn first_is_captured(&self) -> bool {
        self.segments.first_key_value().is_none_or(|(_, held)| held.bytes().is_some())
    }

    /// Returns `true` if segments cover a range without a hole. Examines at most `segments`: a
    /// longer row is assumed to continue.
    pub(crate) fn covers(&self, mut range: Range<u64>, segments: usize) -> bool {
        for _ in 0..segments {
            if range.start >= range.end {
                return true;
            }
            match self.overlapping(&range) {
                Some(held) if held.start <= range.start => range.start = held.end,
                _ => return false,
            }
        }
        true
    }

    /// The start of the first segment at an offset or behind it.
    pub(crate) fn first_from(&self, offset: u64) -> Option<u64> {
        self.segments.range(offset..).next().map(|(&start, _)| start)
    }

    /// The end of the last segment.
    pub(crate) fn end(&self) -> Option<u64> {
        self.segments.last_key_value().map(|(&start, held)| start + held.len())
    }

    pub(crate) fn pop_first(&mut self) -> Option<(u64, Held)> {
        let (start, held) = self.segments.pop_first()?;
        self.bytes -= held.cost();
        if self.segments.is_empty() {
            // A map that became empty keeps a node, 550 bytes that no limit counts.
            self.segments = BTreeMap::new();
        }
        Some((start, held))
    }

    /// Subtracts `by` from every offset.
    pub(crate) fn shift(&mut self, by: u64) {
        let segments = std::mem::take(&mut self.segments);
        self.segments = segments.into_iter().map(|(start, held)| (start - by, held)).collect();
    }

    /// Removes the first segment, or the part of it that is before an offset.
    pub(crate) fn pop_before(&mut self, offset: u64) -> Option<(u64, Held)> {
        let start = self.first().filter(|&start| start < offset)?;
        let (_, mut held) = self.pop_first()?;
        if held.len() > offset - start {
            let rest = held.copy_from(offset - start);
            held.truncate(offset - start);
            self.put(offset, rest);
        }
        Some((start, held))
    }

    /// Adds a segment. The policy decides overlaps: `overlap` is called with both versions, which
    /// may be equal, the one that stays first.
    pub(crate) fn insert(
        &mut self,
        arrival: Arrival<'_>,
        policy: OverlapPolicy,
        mut overlap: impl FnMut(u64, Version<'_>, Version<'_>),
    ) {
        let range = arrival.start..arrival.start + arrival.bytes.len() as u64;
        // Every byte of the arrival before `from` is stored or was discarded.
        let (mut from, mut at) = (range.start, range.start);
        while at < range.end {
            let Some(held_range) = self.overlapping(&(at..range.end)) else { break };
            at = at.max(held_range.start);
            let both = at..held_range.end.min(range.end);
            let Some(held) = self.segments.get(&held_range.start) else { break };
            let new = slice(arrival.bytes, range.start, &both);
            let old = held.bytes().map(|bytes| slice(bytes, held_range.start, &both));
            let replace = old.is_none() || policy.prefers_new(&range, &held_range);
            if let Some(old) = old {
                let Arrival { timestamp, number, .. } = arrival;
                let new = Version { bytes: new, timestamp, number };
                let Held { timestamp, number, .. } = *held;
                let old = Version { bytes: old, timestamp, number };
                let (kept, given) = if replace { (new, old) } else { (old, new) };
                overlap(both.start, kept, given);
            }
            if replace {
                self.take_out(&held_range, &both);
            } else {
                self.put_piece(&arrival, from..both.start);
                from = both.end;
            }
            at = both.end;
        }
        self.put_piece(&arrival, from..range.end);
        self.insert_cut(range.end..arrival.start + arrival.wire_len, &arrival);
    }

    /// Marks the rest of a truncated segment as not captured, unless other segments cover it.
    fn insert_cut(&mut self, mut range: Range<u64>, arrival: &Arrival<'_>) {
        while range.start < range.end {
            let held = self.overlapping(&range).unwrap_or(range.end..range.end);
            if range.start < held.start {
                let content = Content::cut(held.start - range.start);
                let Arrival { timestamp, number, depends_on, .. } = *arrival;
                self.put(range.start, Held { content, timestamp, number, depends_on });
            }
            range.start = held.end;
        }
    }

    /// The first held segment that overlaps a range.
    fn overlapping(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let before = self.segments.range(..=range.start).next_back();
        before
            .map(|(&start, held)| start..start + held.len())
            .filter(|held| held.end > range.start)
            .or_else(|| {
                let (&start, held) = self.segments.range(range.clone()).next()?;
                Some(start..start + held.len())
            })
    }

    /// Removes a part of a held segment.
    fn take_out(&mut self, held_range: &Range<u64>, part: &Range<u64>) {
        let Some(mut held) = self.segments.remove(&held_range.start) else { return };
        self.bytes -= held.cost();
        let (before, after) = (part.start - held_range.start, part.end - held_range.start);
        if before > 0 {
            let right = (part.end < held_range.end).then(|| held.copy_from(after));
            held.truncate(before);
            self.put(held_range.start, held);
            if let Some(right) = right {
                self.put(part.end, right);
            }
        } else if let Some(right) = held.from(after) {
            self.put(part.end, right);
        }
    }

    fn put_piece(&mut self, arrival: &Arrival<'_>, range: Range<u64>) {
        if range.start < range.end {
            let content = Content::Bytes(slice(arrival.bytes, arrival.start, &range).into());
            let Arrival { timestamp, number, depends_on, .. } = *arrival;
            self.put(range.start, Held { content, timestamp, number, depends_on });
        }
    }

    fn put(&mut self, start: u64, held: Held) {
        self.bytes += held.cost();
        self.segments.insert(start, held);
    }
}

impl Held {
    /// The bytes. `None` if they were not captured.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Bytes(bytes) => Some(bytes),
            Content::Rare(rare) => match &**rare {
                Rare::Rest { buffer, skip } => buffer.get(*skip..),
                Rare::Cut(_) => None,
            },
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Rare(rare) => match &**rare {
                Rare::Rest { buffer, skip } => (buffer.len() - skip) as u64,
                Rare::Cut(len) => *len,
            },
        }
    }

    fn cost(&self) -> usize {
        OVERHEAD
            + match &self.content {
                Content::Bytes(bytes) => bytes.len(),
                Content::Rare(rare) => match &**rare {
                    Rare::Rest { buffer, .. } => RARE + buffer.len(),
                    Rare::Cut(_) => RARE,
                },
            }
    }

    /// Removes the first bytes. `None` if nothing is left.
    fn from(self, count: u64) -> Option<Self> {
        if count >= self.len() {
            return None;
        }
        let skipped = count as usize;
        let rare = match self.content {
            Content::Bytes(buffer) => Box::new(Rare::Rest { buffer, skip: skipped }),
            Content::Rare(mut rare) => {
                match &mut *rare {
                    Rare::Rest { skip, .. } => *skip += skipped,
                    Rare::Cut(len) => *len -= count,
                }
                rare
            }
        };
        Some(Self { content: Content::Rare(rare), ..self })
    }

    fn copy_from(&self, count: u64) -> Self {
        let content = match self.bytes() {
            Some(bytes) => Content::Bytes(bytes[count as usize..].into()),
            None => Content::cut(self.len() - count),
        };
        Self { content, ..*self }
    }

    /// Keeps only the first bytes.
    fn truncate(&mut self, count: u64) {
        self.content = match self.bytes() {
            Some(bytes) => Content::Bytes(bytes[..count as usize].into()),
            None => Content::cut(count),
        };
    }
}

impl Content {
    fn cut(len: u64) -> Self {
        Self::Rare(Box::new(Rare::Cut(len)))
    }
}

/// The part of `bytes`, which begin at offset `start`, that is in a range of offsets.
fn slice<'a>(bytes: &'a [u8], start: u64, range: &Range<u64>) -> &'a [u8] {
    &bytes[(range.start - start) as usize..(range.end - start) as usize]
}
