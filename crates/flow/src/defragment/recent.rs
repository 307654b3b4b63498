//! Fragments of datagrams that were joined recently.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::Timestamp;

/// Remembers recently joined fragments to recognise copies.
///
/// Captures on two ports of a switch contain every packet twice. Without this, a late copy would
/// start a new datagram, which would then mix with the next one of the same identification.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// The time at which each fragment was joined, by seeded hash.
    joined: HashMap<u64, Timestamp, ahash::RandomState>,
    by_age: VecDeque<(Timestamp, u64)>,
}

/// The time in which copies are recognised.
const WINDOW: Duration = Duration::from_millis(100);
/// The maximum number of fragments that are remembered.
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
            // A fragment that was joined again later has a younger entry, which stays.
            if self.joined.get(&hash) == Some(&at) {
                self.joined.remove(&hash);
            }
        }
    }

    pub(super) fn contains(&self, hash: u64, now: Timestamp) -> bool {
        self.joined.get(&hash).is_some_and(|at| now.saturating_duration_since(*at) <= WINDOW)
    }
}
