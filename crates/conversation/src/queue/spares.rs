//! Memory of queues that were read empty, for others: most conversations say a little at a time.

use std::collections::VecDeque;
use std::mem;
use std::sync::Mutex;

use super::item::Entry;

/// Entries in the order in which they came.
pub(crate) type Entries = VecDeque<Entry>;

/// Where readers leave memory that they are done with, until an engine comes for it.
#[derive(Debug, Default)]
pub(crate) struct Spares(Mutex<Vec<Entries>>);

impl Spares {
    /// How many there are at most.
    const MOST: usize = 1024;
    /// Entries that each has room for at most: more than that is given back to the allocator.
    const ROOM: usize = 16;

    /// Takes the memory of a queue that is empty.
    pub(super) fn give(&self, mut entries: Entries) {
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

    fn is_one(entries: &Entries) -> bool {
        entries.is_empty() && (1..=Self::ROOM).contains(&entries.capacity())
    }
}
