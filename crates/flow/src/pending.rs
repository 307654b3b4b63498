//! Segments that came before their turn.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::OverlapPolicy;

/// The segments that wait behind a hole, by stream offset; they never overlap.
///
/// An ordered map, so that a peer who sends nothing but one-byte segments out of order costs a logarithm of their
/// number each.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    segments: BTreeMap<u64, Held>,
    bytes: usize,
}

/// A segment, or what is left of it.
#[derive(Debug)]
pub(crate) struct Held {
    content: Content,
    /// Nanoseconds.
    pub(crate) timestamp: u64,
    pub(crate) number: u64,
    /// See [`Data::awaits`](crate::Data::awaits).
    pub(crate) awaits: u64,
}

const _: () = assert!(size_of::<Held>() == 40);

/// Two words: a node of the map has room for eleven, taken or not.
#[derive(Debug)]
enum Content {
    Bytes(Box<[u8]>),
    Rare(Box<Rare>),
}

#[derive(Debug)]
enum Rare {
    /// The bytes after the first `skip`.
    Rest { buffer: Box<[u8]>, skip: usize },
    /// Bytes that were sent but not captured: the segment was cut short.
    Cut(u64),
}

/// A segment to be held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) start: u64,
    pub(crate) bytes: &'a [u8],
    /// At least as many as `bytes`; more if the capture cut the segment short.
    pub(crate) wire_len: u64,
    pub(crate) timestamp: u64,
    pub(crate) number: u64,
    pub(crate) awaits: u64,
}

/// A version of bytes that two segments have, and the packet that brought it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) timestamp: u64,
    pub(crate) number: u64,
}

/// What a segment costs besides its bytes: its share of the map and of the allocator, rounded up.
pub(crate) const OVERHEAD: usize = 128;
/// What one costs besides that has memory for what is rare.
const RARE: usize = 64;
/// What the first segment costs besides: a node of the map has room for eleven.
pub(crate) const NODE: usize = 600;

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.segments.len()
    }

    /// Memory held, [`OVERHEAD`] and [`NODE`] counted.
    pub(crate) fn bytes(&self) -> usize {
        if self.segments.is_empty() { 0 } else { NODE + self.bytes }
    }

    /// Where the first segment begins.
    pub(crate) fn first(&self) -> Option<u64> {
        self.segments.first_key_value().map(|(&start, _)| start)
    }

    /// Where the first segment ends.
    pub(crate) fn first_end(&self) -> Option<u64> {
        self.segments.first_key_value().map(|(&start, held)| start + held.len())
    }

    /// `false` if the first segment is one that the capture cut off.
    pub(crate) fn first_is_captured(&self) -> bool {
        self.segments.first_key_value().is_none_or(|(_, held)| held.bytes().is_some())
    }

    /// `true` if segments cover a range without a hole. No more than so many are looked at: a longer row is taken to go on.
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

    /// Where the last segment ends.
    pub(crate) fn end(&self) -> Option<u64> {
        self.segments.last_key_value().map(|(&start, held)| start + held.len())
    }

    pub(crate) fn pop_first(&mut self) -> Option<(u64, Held)> {
        let (start, held) = self.segments.pop_first()?;
        self.bytes -= held.cost();
        Some((start, held))
    }

    /// Moves every segment towards 0.
    pub(crate) fn shift(&mut self, by: u64) {
        let segments = std::mem::take(&mut self.segments);
        self.segments = segments.into_iter().map(|(start, held)| (start - by, held)).collect();
    }

    /// Takes out the first segment, or the part of it, that lies before an offset.
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

    /// Adds a segment. Where it overlaps others the policy chooses; `overlap` is called with both versions, the one that
    /// stays first. They may be equal.
    pub(crate) fn insert(
        &mut self,
        arrival: Arrival<'_>,
        policy: OverlapPolicy,
        mut overlap: impl FnMut(u64, Version<'_>, Version<'_>),
    ) {
        let range = arrival.start..arrival.start + arrival.bytes.len() as u64;
        // Of the arrival, everything before `from` is in the map or has given way.
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

    /// Marks what nothing else covers as cut off.
    fn insert_cut(&mut self, mut range: Range<u64>, arrival: &Arrival<'_>) {
        while range.start < range.end {
            let held = self.overlapping(&range).unwrap_or(range.end..range.end);
            if range.start < held.start {
                let content = Content::cut(held.start - range.start);
                let Arrival { timestamp, number, awaits, .. } = *arrival;
                self.put(range.start, Held { content, timestamp, number, awaits });
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
            let Arrival { timestamp, number, awaits, .. } = *arrival;
            self.put(range.start, Held { content, timestamp, number, awaits });
        }
    }

    fn put(&mut self, start: u64, held: Held) {
        self.bytes += held.cost();
        self.segments.insert(start, held);
    }
}

impl Held {
    /// The bytes, unless they were cut off.
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

    /// Without the first bytes; `None` if nothing is left.
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

    /// Only the first bytes.
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

/// The part of `bytes`, which begin at offset `start`, that a range of offsets covers.
fn slice<'a>(bytes: &'a [u8], start: u64, range: &Range<u64>) -> &'a [u8] {
    &bytes[(range.start - start) as usize..(range.end - start) as usize]
}
