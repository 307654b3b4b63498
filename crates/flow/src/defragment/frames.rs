//! Joins fragments of link-layer frames.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use crate::{FrameFragment, Timestamp};

/// Joins the fragments of frames. [`MAX_FRAMES`] and [`MAX_BYTES`] bound the memory.
#[derive(Debug, Default)]
pub(super) struct Frames {
    waiting: HashMap<u64, Frame, ahash::RandomState>,
    /// Every incomplete frame once, and some that are gone, ordered by the arrival of the first
    /// fragment.
    by_age: VecDeque<(Timestamp, u64, u64)>,
    next_generation: u64,
    bytes: usize,
    /// Numbers of packets whose fragments were dropped.
    released: Vec<u64>,
}

/// An incomplete frame.
#[derive(Debug)]
struct Frame {
    generation: u64,
    /// By number or offset.
    pieces: BTreeMap<u32, Vec<u8>>,
    /// The number or offset of the last fragment.
    last: Option<u32>,
    /// Numbers of the packets that carried the fragments.
    carriers: Vec<u64>,
}

/// The result of adding a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// It had new bytes, and the frame is still incomplete.
    Kept,
    /// It had arrived before.
    Copy,
    /// It completed the frame.
    Whole,
}

/// The maximum number of incomplete frames. Beyond it, the oldest is evicted.
const MAX_FRAMES: usize = 1024;
/// The maximum memory for them, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// The maximum number of packets that are noted for a frame, copies included.
const MAX_CARRIERS: usize = 1024;
/// The maximum length of a frame.
const MAX_LEN: u32 = 65_535;
/// The time to wait for the rest of a frame. A sender gives up after half a second (IEEE 802.11,
/// `dot11MaxReceiveLifetime`), and sequence numbers repeat after 4,096 frames.
const TIMEOUT: Duration = Duration::from_secs(1);

impl Frames {
    /// Adds a fragment. If it completes the frame, writes the frame to `output`.
    pub(super) fn push(
        &mut self,
        fragment: &FrameFragment,
        bytes: &[u8],
        now: Timestamp,
        output: &mut Vec<u8>,
        carriers: &mut Vec<u64>,
        lost: &mut u64,
    ) -> Joined {
        let frame = self.waiting.get_mut(&fragment.key);
        let contradicts = |frame: &&mut Frame| {
            let other = frame.pieces.get(&fragment.place).is_some_and(|piece| piece != bytes);
            let behind =
                !fragment.more && frame.pieces.range(fragment.place + 1..).next().is_some();
            other || behind || frame.last.is_some_and(|last| fragment.place > last)
        };
        // The sequence number was reused, so the rest of the previous frame will never be complete.
        // Unlike IP there is no checksum to decide between two readings, but numbers repeat only
        // after 4,096 frames, so the older frame is certainly over.
        if frame.as_ref().is_some_and(contradicts) {
            *lost += self.forget(fragment.key);
        }
        let frame = self.waiting.entry(fragment.key).or_insert_with(|| {
            self.next_generation += 1;
            self.by_age.push_back((now, fragment.key, self.next_generation));
            let (pieces, carriers) = (BTreeMap::new(), Vec::new());
            Frame { generation: self.next_generation, pieces, last: None, carriers }
        });
        let free = MAX_CARRIERS.saturating_sub(frame.carriers.len()).min(carriers.len());
        self.bytes += free * size_of::<u64>();
        frame.carriers.extend(carriers.drain(..free));
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
            self.bytes -= frame.carriers.len() * size_of::<u64>();
            carriers.append(&mut frame.carriers);
            self.forget(fragment.key);
            return Joined::Whole;
        }
        while self.waiting.len() > MAX_FRAMES || self.bytes > MAX_BYTES {
            *lost += self.forget_oldest();
        }
        // The entries of joined frames are removed lazily.
        if self.by_age.len() > 2 * self.waiting.len() + 64 {
            let waiting = &self.waiting;
            self.by_age.retain(|(_, key, generation)| {
                waiting.get(key).is_some_and(|frame| frame.generation == *generation)
            });
        }
        Joined::Kept
    }

    /// Drops frames whose timeout has passed. Returns the number of their fragments.
    pub(super) fn advance(&mut self, now: Timestamp) -> u64 {
        let mut lost = 0;
        while let Some((began, ..)) = self.by_age.front()
            && now.saturating_duration_since(*began) >= TIMEOUT
        {
            lost += self.forget_oldest();
        }
        lost
    }

    /// Drops all frames. Returns the number of their fragments.
    pub(super) fn finish(&mut self) -> u64 {
        let mut lost = 0;
        while !self.by_age.is_empty() {
            lost += self.forget_oldest();
        }
        lost
    }

    /// Moves the numbers of packets whose fragments were dropped.
    pub(super) fn release_into(&mut self, released: &mut Vec<u64>) {
        released.append(&mut self.released);
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

    /// Drops a frame. Returns the number of its fragments.
    fn forget(&mut self, key: u64) -> u64 {
        let Some(mut frame) = self.waiting.remove(&key) else { return 0 };
        let bytes: usize = frame.pieces.values().map(|piece| piece.len() + PIECE).sum();
        self.bytes -= bytes + frame.carriers.len() * size_of::<u64>();
        self.released.append(&mut frame.carriers);
        frame.pieces.len() as u64
    }
}

/// The memory of a fragment besides its bytes.
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
