//! Who has which block of a ring.
//!
//! **Protocol.** A block is free, lent to the one who walks the ring, or on loan to anybody on any thread. Its status
//! word says "user" in the last two cases, so that the walk must ask here before it believes the status word. Whoever
//! gives a block back writes the status word first and frees it here after: a walk that finds it free then sees the
//! kernel's status, or a newer one, and never the old "user" a second time.
//!
//! A walk that has to wait for a block says so in `wanted` and looks again; whoever gives one back looks at `wanted`
//! after. Both orders are sequentially consistent, so that at least one of the two sees the other.

#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};

#[cfg(loom)]
use ::loom::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};

const FREE: u8 = 0;
const LENT: u8 = 1;
const ON_LOAN: u8 = 2;

#[derive(Debug)]
pub(crate) struct Loans {
    blocks: Box<[AtomicU8]>,
    on_loan: AtomicUsize,
    wanted: AtomicBool,
}

impl Loans {
    pub(crate) fn new(blocks: usize) -> Self {
        Self {
            blocks: (0..blocks).map(|_| AtomicU8::new(FREE)).collect(),
            on_loan: AtomicUsize::new(0),
            wanted: AtomicBool::new(false),
        }
    }

    /// Whether nobody has the block. What was done before it was given back is visible after.
    #[inline]
    pub(crate) fn is_free(&self, index: usize) -> bool {
        self.blocks[index].load(Ordering::Acquire) == FREE
    }

    /// The walk takes a block that is free.
    #[inline]
    pub(crate) fn lend(&self, index: usize) {
        self.blocks[index].store(LENT, Ordering::Relaxed);
    }

    /// A lent block goes on loan.
    pub(crate) fn extend(&self, index: usize) {
        self.blocks[index].store(ON_LOAN, Ordering::Relaxed);
        self.on_loan.fetch_add(1, Ordering::Relaxed);
    }

    /// A block comes back: `release` gives it to the kernel. Whether the walk waits for one and must be woken.
    #[inline]
    pub(crate) fn give_back(&self, index: usize, release: impl FnOnce()) -> bool {
        release();
        if self.blocks[index].load(Ordering::Relaxed) == LENT {
            // By the thread that walks, which therefore does not wait.
            self.blocks[index].store(FREE, Ordering::Release);
            return false;
        }
        self.on_loan.fetch_sub(1, Ordering::Relaxed);
        self.blocks[index].store(FREE, Ordering::Release);
        fence(Ordering::SeqCst);
        self.wanted.load(Ordering::Relaxed) && self.wanted.swap(false, Ordering::Relaxed)
    }

    /// The walk is about to wait for a block; whether it still has to.
    pub(crate) fn want(&self, index: usize) -> bool {
        self.wanted.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        !self.is_free(index)
    }

    /// How many blocks are on loan.
    pub(crate) fn count(&self) -> usize {
        self.on_loan.load(Ordering::Relaxed)
    }

    /// How many blocks in a row, from this one on, nobody has: what the kernel can fill before it has to stop.
    pub(crate) fn free_from(&self, index: usize) -> usize {
        if self.count() == 0 {
            return self.blocks.len();
        }
        let (before, after) = self.blocks.split_at(index);
        after.iter().chain(before).take_while(|block| block.load(Ordering::Relaxed) == FREE).count()
    }
}

#[cfg(all(test, loom))]
mod loom {
    use ::loom::sync::Arc;
    use ::loom::sync::atomic::AtomicU32;
    use ::loom::thread;

    use super::*;

    const KERNEL: u32 = 0;
    const USER: u32 = 1;

    /// A block is given back on another thread while the walk comes round to it: the walk either finds it on loan, or
    /// finds the kernel's status, never the old one.
    #[test]
    fn a_block_is_never_delivered_twice() {
        ::loom::model(|| {
            let (loans, status) = (Arc::new(Loans::new(1)), Arc::new(AtomicU32::new(USER)));
            loans.lend(0);
            loans.extend(0);
            let holder = {
                let (loans, status) = (loans.clone(), status.clone());
                thread::spawn(move || {
                    loans.give_back(0, || status.store(KERNEL, Ordering::Release))
                })
            };
            if loans.is_free(0) {
                assert_eq!(status.load(Ordering::Acquire), KERNEL);
            }
            holder.join().expect("the holder");
            assert_eq!(loans.count(), 0);
        });
    }

    /// The walk waits for a block that comes back at the same time: either it sees that it came back, or it is woken.
    #[test]
    fn no_wake_up_is_lost() {
        ::loom::model(|| {
            let loans = Arc::new(Loans::new(1));
            loans.lend(0);
            loans.extend(0);
            let holder = {
                let loans = loans.clone();
                thread::spawn(move || loans.give_back(0, || ()))
            };
            let waits = loans.want(0);
            let woken = holder.join().expect("the holder");
            assert!(!waits || woken, "the walk sleeps for ever");
        });
    }

    /// Two holders of two blocks: the count ends at none, and a waiting walk is woken by the one it waits for.
    #[test]
    fn two_holders() {
        ::loom::model(|| {
            let loans = Arc::new(Loans::new(2));
            for index in 0..2 {
                loans.lend(index);
                loans.extend(index);
            }
            let other = {
                let loans = loans.clone();
                thread::spawn(move || loans.give_back(1, || ()))
            };
            loans.give_back(0, || ());
            other.join().expect("the holder");
            assert_eq!((loans.count(), loans.free_from(1)), (0, 2));
        });
    }
}
