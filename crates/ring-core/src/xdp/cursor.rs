//! The indexes of a ring, from one of its two sides.
//!
//! **Protocol** (`net/xdp/xsk_queue.h`). A ring has two index words that only ever grow, modulo
//! 2³². The producer writes entries and then its index with Release; the consumer reads that index
//! with Acquire and then the entries. When the consumer is done with entries, it writes its own
//! index with Release; the producer reads that index with Acquire before it overwrites the entries.
//! So each side's word limits the other side. Both sides are symmetric except for one number: the
//! consumer may advance to the other's index, the producer to the other's index plus the ring's
//! size.
//!
//! The other side is not trusted: an index that moves back, or further than the ring allows, is
//! refused.

/// Access to the two index words.
pub(crate) trait Words {
    /// Reads the other side's index with Acquire.
    fn other(&self) -> u32;
    /// Writes this side's index with Release.
    fn publish(&self, own: u32);
}

/// One of the two sides of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RingSide {
    Producer,
    Consumer,
}

/// The error of an invalid index from the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Jumped {
    pub(crate) own: u32,
    pub(crate) other: u32,
}

/// One side's position in a ring.
#[derive(Debug)]
pub(crate) struct Cursor<W> {
    words: W,
    size: u32,
    /// The distance by which a producer may lead: the ring's size. 0 for a consumer.
    lead: u32,
    own: u32,
    /// The index up to which this side may advance, as far as it knows.
    limit: u32,
}

impl<W: Words> Cursor<W> {
    /// Creates a cursor for `size` entries, a power of two. `own` and `other` are the initial
    /// indexes.
    pub(crate) fn new(words: W, side: RingSide, size: u32, own: u32, other: u32) -> Self {
        assert!(size.is_power_of_two(), "rings have a power of two of entries");
        let lead = if side == RingSide::Producer { size } else { 0 };
        Self { words, size, lead, own, limit: other.wrapping_add(lead) }
    }

    /// The number of entries that this side may write (producer) or read (consumer). The other
    /// side's index is read only if fewer than `wanted` are known.
    #[inline]
    pub(crate) fn ready(&mut self, wanted: u32) -> Result<u32, Jumped> {
        let known = self.limit.wrapping_sub(self.own);
        // Each read of the other side's word fetches a cache line that another processor writes.
        // The old value is enough while it allows what is wanted, since the limit only grows.
        if known >= wanted {
            return Ok(known);
        }
        let other = self.words.other();
        let limit = other.wrapping_add(self.lead);
        let ready = limit.wrapping_sub(self.own);
        // The other side can only add to what is ready, so a smaller number means that its index
        // moved back. A larger number than the ring has entries would make this side read entries
        // that were never written, or overwrite entries that are still being read.
        if ready > self.size || ready < known {
            return Err(Jumped { own: self.own, other });
        }
        self.limit = limit;
        Ok(ready)
    }

    /// The slot of the entry `ahead` entries after the next one.
    #[inline]
    pub(crate) fn slot(&self, ahead: u32) -> u32 {
        self.own.wrapping_add(ahead) & (self.size - 1)
    }

    /// Advances past `count` processed entries, which must be ready. Not visible to the other side
    /// yet.
    #[inline]
    pub(crate) fn advance(&mut self, count: u32) {
        // An own index beyond the limit would be taken by the kernel as a request to send or fill
        // entries that nobody wrote.
        assert!(count <= self.limit.wrapping_sub(self.own), "more entries than are ready");
        self.own = self.own.wrapping_add(count);
    }

    /// Makes all advances visible to the other side.
    #[inline]
    pub(crate) fn publish(&self) {
        self.words.publish(self.own);
    }

    /// For a producer: the number of written entries that the other side has not consumed yet.
    pub(crate) fn outstanding(&mut self) -> Result<u32, Jumped> {
        let ready = self.ready(self.size)?;
        Ok(self.size - ready)
    }

    /// The number of entries in the ring.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::Cell;
    use std::collections::VecDeque;
    use std::rc::Rc;

    use proptest::prelude::*;

    use super::*;

    /// A ring's index words, for tests on one thread.
    #[derive(Clone, Default)]
    struct Shared {
        words: Rc<[Cell<u32>; 2]>,
        mine: usize,
    }

    impl Shared {
        fn pair(start: u32) -> (Self, Self) {
            let words = Rc::new([Cell::new(start), Cell::new(start)]);
            (Self { words: words.clone(), mine: 0 }, Self { words, mine: 1 })
        }
    }

    impl Words for Shared {
        fn other(&self) -> u32 {
            self.words[1 - self.mine].get()
        }

        fn publish(&self, own: u32) {
            self.words[self.mine].set(own);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Produce(u32),
        Consume(u32),
        PublishProduced,
        PublishConsumed,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..9_u32).prop_map(Step::Produce),
            (0..9_u32).prop_map(Step::Consume),
            Just(Step::PublishProduced),
            Just(Step::PublishConsumed),
        ]
    }

    proptest! {
        /// A ring is a bounded queue, at any initial index.
        #[test]
        fn a_ring_is_a_queue(
            start in prop_oneof![any::<u32>(), (0..20_u32).prop_map(|back| 0_u32.wrapping_sub(back))],
            log in 0..4_u32,
            steps in proptest::collection::vec(step(), 0..200),
        ) {
            let size = 1 << log;
            let (producing, consuming) = Shared::pair(start);
            let mut producer = Cursor::new(producing, RingSide::Producer, size, start, start);
            let mut consumer = Cursor::new(consuming, RingSide::Consumer, size, start, start);
            let mut slots = vec![0_u64; size as usize];
            // Entries that are not published, entries that are published, and the number of entries
            // that were read but not released.
            let (mut written, mut queue, mut taken) = (VecDeque::new(), VecDeque::new(), 0_u32);
            let mut next = 1_u64;
            for step in steps {
                match step {
                    Step::Produce(wanted) => {
                        let room = size - written.len() as u32 - queue.len() as u32 - taken;
                        let ready = producer.ready(wanted).expect("no jump");
                        prop_assert!(ready <= room && (ready == room || ready >= wanted));
                        let count = wanted.min(ready);
                        for ahead in 0..count {
                            slots[producer.slot(ahead) as usize] = next;
                            written.push_back(next);
                            next += 1;
                        }
                        producer.advance(count);
                    }
                    Step::PublishProduced => {
                        producer.publish();
                        queue.append(&mut written);
                    }
                    Step::Consume(wanted) => {
                        let ready = consumer.ready(wanted).expect("no jump");
                        prop_assert!(ready as usize <= queue.len());
                        prop_assert!(ready as usize == queue.len() || ready >= wanted);
                        let count = wanted.min(ready);
                        for ahead in 0..count {
                            let value = slots[consumer.slot(ahead) as usize];
                            prop_assert_eq!(Some(value), queue.pop_front());
                        }
                        consumer.advance(count);
                        taken += count;
                    }
                    Step::PublishConsumed => {
                        consumer.publish();
                        taken = 0;
                    }
                }
            }
        }

        /// For any index of the other side, the ready entries fit the ring.
        #[test]
        fn an_index_is_not_believed(start: u32, other: u32, log in 0..16_u32, consumer: bool) {
            let (mine, theirs) = Shared::pair(start);
            let side = if consumer { RingSide::Consumer } else { RingSide::Producer };
            let mut cursor = Cursor::new(mine, side, 1 << log, start, start);
            theirs.publish(other);
            let known = cursor.ready(0).expect("nothing is asked");
            match cursor.ready(u32::MAX) {
                Ok(ready) => prop_assert!(ready <= 1 << log && ready >= known),
                Err(jumped) => prop_assert_eq!(jumped, Jumped { own: start, other }),
            }
        }
    }

    #[test]
    fn an_index_that_jumps_is_refused() {
        let start = u32::MAX - 2;
        let (mine, theirs) = Shared::pair(start);
        let mut consumer = Cursor::new(mine, RingSide::Consumer, 8, start, start);
        theirs.publish(start.wrapping_add(9));
        assert!(consumer.ready(1).is_err(), "more than the ring holds");
        theirs.publish(start.wrapping_sub(1));
        assert!(consumer.ready(1).is_err(), "back");
        theirs.publish(start.wrapping_add(8));
        assert_eq!(consumer.ready(1), Ok(8));
        theirs.publish(start.wrapping_add(7));
        assert!(consumer.ready(9).is_err(), "back from where it was");
    }

    #[test]
    #[should_panic(expected = "more entries than are ready")]
    fn nobody_steps_too_far() {
        let (mine, _theirs) = Shared::pair(0);
        Cursor::new(mine, RingSide::Consumer, 8, 0, 0).advance(1);
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU32, Ordering};
    use loom::thread;

    use super::*;

    struct Memory {
        words: [AtomicU32; 2],
        slots: [UnsafeCell<u32>; 2],
    }

    // SAFETY: loom verifies that the two sides never access a slot at the same time.
    unsafe impl Sync for Memory {}

    struct End {
        memory: Arc<Memory>,
        mine: usize,
    }

    impl Words for End {
        fn other(&self) -> u32 {
            self.memory.words[1 - self.mine].load(Ordering::Acquire)
        }

        fn publish(&self, own: u32) {
            self.memory.words[self.mine].store(own, Ordering::Release);
        }
    }

    /// Producer and consumer run on two threads, across the wrap-around. Each value must arrive
    /// once, in order, and loom must see no concurrent accesses to a slot.
    #[test]
    fn loom_entries_are_handed_over() {
        loom::model(|| {
            let start = u32::MAX;
            let memory = Arc::new(Memory {
                words: [AtomicU32::new(start), AtomicU32::new(start)],
                slots: [UnsafeCell::new(0), UnsafeCell::new(0)],
            });
            let producing = End { memory: memory.clone(), mine: 0 };
            let producer = thread::spawn(move || {
                let memory = producing.memory.clone();
                let mut cursor = Cursor::new(producing, RingSide::Producer, 2, start, start);
                let mut next = 1;
                while next <= 3 {
                    if cursor.ready(1).expect("no jump") == 0 {
                        thread::yield_now();
                        continue;
                    }
                    memory.slots[cursor.slot(0) as usize].with_mut(|slot| {
                        // SAFETY: checked by loom.
                        unsafe { *slot = next }
                    });
                    cursor.advance(1);
                    cursor.publish();
                    next += 1;
                }
            });
            let consuming = End { memory: memory.clone(), mine: 1 };
            let mut cursor = Cursor::new(consuming, RingSide::Consumer, 2, start, start);
            let mut got = 0;
            while got < 3 {
                let ready = cursor.ready(1).expect("no jump");
                if ready == 0 {
                    thread::yield_now();
                    continue;
                }
                for ahead in 0..ready {
                    got += 1;
                    memory.slots[cursor.slot(ahead) as usize].with(|slot| {
                        // SAFETY: checked by loom.
                        assert_eq!(unsafe { *slot }, got);
                    });
                }
                cursor.advance(ready);
                cursor.publish();
            }
            producer.join().expect("the producer");
        });
    }
}
