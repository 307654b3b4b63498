//! Conversations by the slots of their flows.

use flow::prefetch_bytes;

/// The state of the conversations that go on. A slot takes four bytes here if its flow has ended,
/// or if it rests: then only a number is kept of it.
#[derive(Debug)]
pub(super) struct Places<T> {
    /// By slot: the index into `kept`, or [`NONE`], or [`RESTS`] with a number.
    slots: Vec<u32>,
    kept: Vec<Option<T>>,
    free: Vec<u32>,
}

const NONE: u32 = u32::MAX;
/// Larger than any index.
const RESTS: u32 = 1 << 31;

impl<T> Places<T> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), kept: Vec::new(), free: Vec::new() }
    }

    /// Slots so far, taken or not.
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    pub(super) fn get(&self, slot: usize) -> Option<&T> {
        let at = *self.slots.get(slot)?;
        self.kept.get(at as usize)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        let at = *self.slots.get(slot)?;
        self.kept.get_mut(at as usize)?.as_mut()
    }

    /// Loads what a slot has into the processor's cache, without looking at it.
    #[inline]
    pub(super) fn prefetch(&self, slot: usize) {
        if let Some(kept) = self.slots.get(slot).and_then(|at| self.kept.get(*at as usize)) {
            prefetch_bytes(kept, size_of::<Option<T>>());
        }
    }

    /// Returns `true` if a slot is not empty.
    #[inline]
    pub(super) fn has(&self, slot: usize) -> bool {
        self.slots.get(slot).is_some_and(|at| *at != NONE)
    }

    /// The number that is kept of a slot that rests.
    #[inline]
    pub(super) fn resting(&self, slot: usize) -> Option<u16> {
        let at = *self.slots.get(slot)?;
        (at >= RESTS && at != NONE).then_some(at as u16)
    }

    /// Drops the state of a slot, except for a number.
    pub(super) fn rest(&mut self, slot: usize, number: u16) {
        if self.remove(slot).is_some() {
            self.slots[slot] = RESTS | u32::from(number);
        }
    }

    /// Fills a slot that is empty with no more than a number.
    pub(super) fn insert_resting(&mut self, slot: usize, number: u16) {
        self.reach(slot);
        self.slots[slot] = RESTS | u32::from(number);
    }

    fn reach(&mut self, slot: usize) {
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, NONE);
        }
    }

    /// Fills a slot that is empty or rests.
    pub(super) fn insert(&mut self, slot: usize, value: T) {
        self.reach(slot);
        let at = self.free.pop().unwrap_or_else(|| {
            self.kept.push(None);
            (self.kept.len() - 1) as u32
        });
        self.kept[at as usize] = Some(value);
        self.slots[slot] = at;
    }

    /// Empties a slot.
    pub(super) fn remove(&mut self, slot: usize) -> Option<T> {
        let at = std::mem::replace(self.slots.get_mut(slot)?, NONE);
        let value = self.kept.get_mut(at as usize)?.take()?;
        self.free.push(at);
        Some(value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.kept.iter().flatten()
    }

    /// Empties all slots.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.slots.clear();
        self.free.clear();
        self.kept.drain(..).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_slot_that_rests_only_a_number_is_kept() {
        let mut places = Places::new();
        places.insert_resting(3, 7);
        assert_eq!((places.has(3), places.has(2), places.get(3)), (true, false, None));
        assert_eq!((places.resting(3), places.resting(2)), (Some(7), None));
        places.insert(3, "awake");
        assert_eq!((places.resting(3), places.get(3)), (None, Some(&"awake")));
        places.rest(3, u16::MAX);
        assert_eq!((places.resting(3), places.iter().count()), (Some(u16::MAX), 0));
        assert_eq!((places.remove(3), places.has(3)), (None, false));
        places.rest(3, 1);
        assert!(!places.has(3), "an empty slot stays empty");
        assert_eq!(places.kept.len(), 1);
    }

    #[test]
    fn a_slot_has_what_was_put_into_it_last() {
        let mut places = Places::new();
        assert!(places.get(0).is_none() && places.remove(7).is_none());
        places.insert(9, "nine");
        places.insert(2, "two");
        assert_eq!(
            (places.get(9), places.get(2), places.get(3)),
            (Some(&"nine"), Some(&"two"), None)
        );
        assert_eq!((places.remove(9), places.remove(9), places.len()), (Some("nine"), None, 10));
        places.insert(4, "four");
        assert_eq!((places.get(9), places.get(4)), (None, Some(&"four")));
        assert_eq!(places.get_mut(4), Some(&mut "four"));
        // The room of the one that is gone was used again.
        assert_eq!((places.kept.len(), places.iter().count()), (2, 2));
        assert_eq!(places.drain().count(), 2);
        assert!(places.get(2).is_none() && places.len() == 0);
    }
}
