//! Memory of queues that were read empty, for others: most conversations say a little at a time.

use std::collections::VecDeque;
use std::mem;
use std::sync::Mutex;

use super::item::Entry;

/// Entries in the order in which they came.
pub(crate) type Entries = VecDeque<Entry>;

/// Memory that readers have finished with, until an engine takes it back.
#[derive(Debug, Default)]
pub(crate) struct Spares(Mutex<Vec<Entries>>);

impl Spares {
    /// The largest number of them.
    const MOST: usize = 1024;
    /// Entries that each has room for at most: more than that is given back to the allocator.
    const ROOM: usize = 16;
    /// The number that an engine keeps although it needs none.
    const LEAST: usize = 64;

    /// Takes the memory of a queue that is empty.
    pub(super) fn give(&self, mut entries: Entries) {
        // No reader waits for this lock: memory that finds it taken goes back to the allocator.
        if Self::is_one(&entries)
            && let Ok(mut spares) = self.0.try_lock()
            && spares.len() < Self::MOST
        {
            // From the start again, which is in a cache.
            entries.clear();
            spares.push(entries);
        }
    }

    /// The same for an engine's own spares. Nothing is left in `entries`.
    #[inline]
    pub(crate) fn keep(spares: &mut Vec<Entries>, entries: &mut Entries) {
        if entries.capacity() > 0 {
            let entries = mem::take(entries);
            if Self::is_one(&entries) && spares.len() < Self::MOST {
                spares.push(entries);
            }
        }
    }

    /// Hands all there are to an engine, which takes the newest first: they are still in a cache.
    pub(crate) fn refill(&self, engines: &mut Vec<Entries>) {
        if engines.len() < Self::MOST
            && let Ok(mut spares) = self.0.try_lock()
        {
            engines.append(&mut spares);
        }
    }

    /// Gives some back where there are more than twice as many as were needed last, the oldest
    /// first: a busy moment's are gone some batches later.
    pub(crate) fn trim(engines: &mut Vec<Entries>, needed: usize) {
        let excess = engines.len().saturating_sub(2 * needed + Self::LEAST);
        engines.drain(..excess.div_ceil(16));
    }

    fn is_one(entries: &Entries) -> bool {
        entries.is_empty() && (1..=Self::ROOM).contains(&entries.capacity())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_a_busy_moment_needed_goes_back() {
        let mut spares: Vec<_> = (0..1000).map(|_| Entries::with_capacity(8)).collect();
        spares.push(Entries::with_capacity(9));
        for _ in 0..200 {
            Spares::trim(&mut spares, 500);
        }
        assert_eq!(spares.len(), 1001, "as many are needed");
        Spares::trim(&mut spares, 100);
        assert!(spares.len() > 900, "not all at once: {}", spares.len());
        for _ in 0..200 {
            Spares::trim(&mut spares, 100);
        }
        assert_eq!(spares.len(), 2 * 100 + Spares::LEAST);
        assert!(spares.last().unwrap().capacity() >= 9, "the newest stay");
    }
}
