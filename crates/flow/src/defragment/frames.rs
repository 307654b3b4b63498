//! Frames of the link layer that were sent in pieces.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use crate::{FrameFragment, Timestamp};

/// Joins the pieces of frames. Memory is bounded by [`MAX_FRAMES`] and [`MAX_BYTES`].
#[derive(Debug, Default)]
pub(super) struct Frames {
    waiting: HashMap<u64, Frame, ahash::RandomState>,
    /// Every frame of the map once, and some that are gone, by the time of the first piece.
    by_age: VecDeque<(Timestamp, u64, u64)>,
    next_generation: u64,
    bytes: usize,
}

/// A frame in the making.
#[derive(Debug)]
struct Frame {
    generation: u64,
    /// By number or position.
    pieces: BTreeMap<u32, Vec<u8>>,
    /// The number or position of the last one.
    last: Option<u32>,
}

/// What came of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// It was needed, and is not the last one missing.
    Kept,
    /// It was there before.
    Copy,
    /// With it, the frame is whole.
    Whole,
}

/// Frames waited for at a time; the oldest gives way.
const MAX_FRAMES: usize = 1024;
/// Bytes held for them.
const MAX_BYTES: usize = 4 << 20;
/// The longest frame.
const MAX_LEN: u32 = 65_535;
/// How long the rest of a frame is waited for. A sender gives up after half a second (IEEE 802.11, `dot11MaxReceiveLifetime`),
/// and sequence numbers come again after 4,096 frames.
const TIMEOUT: Duration = Duration::from_secs(1);

impl Frames {
    /// Takes a piece. If the frame is whole, it is in `output`.
    pub(super) fn push(
        &mut self,
        fragment: &FrameFragment,
        bytes: &[u8],
        now: Timestamp,
        output: &mut Vec<u8>,
        lost: &mut u64,
    ) -> Joined {
        let frame = self.waiting.get_mut(&fragment.key);
        let contradicts = |frame: &&mut Frame| {
            let other = frame.pieces.get(&fragment.place).is_some_and(|piece| piece != bytes);
            let behind =
                !fragment.more && frame.pieces.range(fragment.place + 1..).next().is_some();
            other || behind || frame.last.is_some_and(|last| fragment.place > last)
        };
        // The sequence number is used again: what is left of the frame before will not become one.
        if frame.as_ref().is_some_and(contradicts) {
            *lost += self.forget(fragment.key);
        }
        let frame = self.waiting.entry(fragment.key).or_insert_with(|| {
            self.next_generation += 1;
            self.by_age.push_back((now, fragment.key, self.next_generation));
            Frame { generation: self.next_generation, pieces: BTreeMap::new(), last: None }
        });
        if frame.pieces.contains_key(&fragment.place) {
            return Joined::Copy;
        }
        self.bytes += bytes.len() + PIECE;
        frame.pieces.insert(fragment.place, bytes.to_vec());
        if !fragment.more {
            frame.last = Some(fragment.place);
        }
        if frame.is_whole(fragment.in_bytes) {
            output.clear();
            frame.pieces.values().for_each(|piece| output.extend_from_slice(piece));
            self.forget(fragment.key);
            return Joined::Whole;
        }
        while self.waiting.len() > MAX_FRAMES || self.bytes > MAX_BYTES {
            *lost += self.forget_oldest();
        }
        // Frames that were joined leave their entries behind.
        if self.by_age.len() > 2 * self.waiting.len() + 64 {
            let waiting = &self.waiting;
            self.by_age.retain(|(_, key, generation)| {
                waiting.get(key).is_some_and(|frame| frame.generation == *generation)
            });
        }
        Joined::Kept
    }

    /// Gives up frames whose time is over. Returns how many pieces they had.
    pub(super) fn advance(&mut self, now: Timestamp) -> u64 {
        let mut lost = 0;
        while let Some((began, ..)) = self.by_age.front()
            && now.saturating_duration_since(*began) >= TIMEOUT
        {
            lost += self.forget_oldest();
        }
        lost
    }

    /// Gives up all frames. Returns how many pieces they had.
    pub(super) fn finish(&mut self) -> u64 {
        let mut lost = 0;
        while !self.by_age.is_empty() {
            lost += self.forget_oldest();
        }
        lost
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn forget_oldest(&mut self) -> u64 {
        match self.by_age.pop_front() {
            Some((_, key, generation))
                if self.waiting.get(&key).is_some_and(|frame| frame.generation == generation) =>
            {
                self.forget(key)
            }
            _ => 0,
        }
    }

    /// Returns how many pieces the frame had.
    fn forget(&mut self, key: u64) -> u64 {
        let Some(frame) = self.waiting.remove(&key) else { return 0 };
        let bytes: usize = frame.pieces.values().map(|piece| piece.len() + PIECE).sum();
        self.bytes -= bytes;
        frame.pieces.len() as u64
    }
}

/// What a piece costs besides its bytes.
const PIECE: usize = 64;

impl Frame {
    fn is_whole(&self, in_bytes: bool) -> bool {
        let Some(last) = self.last else { return false };
        let mut next = 0;
        for (place, piece) in &self.pieces {
            if *place != next || *place > MAX_LEN {
                return false;
            }
            next += if in_bytes { piece.len() as u32 } else { 1 };
        }
        self.pieces.last_key_value().is_some_and(|(place, _)| *place == last)
    }
}
