//! Fragments of datagrams that were joined a moment ago.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::Timestamp;

/// Remembers them, so that a copy of one (captures on two ports of a switch hold every packet twice) starts no datagram
/// that would lie in wait for the next one with the same identification.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// When each was joined, by seeded hash.
    joined: HashMap<u64, Timestamp, ahash::RandomState>,
    by_age: VecDeque<(Timestamp, u64)>,
}

/// How long copies are expected.
const WINDOW: Duration = Duration::from_millis(100);
/// How many fragments are remembered.
const CAPACITY: usize = 8192;

impl Recent {
    pub(super) fn add(&mut self, hashes: impl IntoIterator<Item = u64>, now: Timestamp) {
        for hash in hashes {
            self.joined.insert(hash, now);
            self.by_age.push_back((now, hash));
        }
        while let Some(&(at, hash)) = self.by_age.front() {
            if self.by_age.len() <= CAPACITY && now.saturating_duration_since(at) <= WINDOW {
                break;
            }
            self.by_age.pop_front();
            if self.joined.get(&hash) == Some(&at) {
                self.joined.remove(&hash);
            }
        }
    }

    pub(super) fn contains(&self, hash: u64, now: Timestamp) -> bool {
        self.joined.get(&hash).is_some_and(|at| now.saturating_duration_since(*at) <= WINDOW)
    }
}
