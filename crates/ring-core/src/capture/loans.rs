//! Ownership of a ring's blocks.
//!
//! **Protocol.** A block is free, lent to the thread that walks the ring, or on loan to any thread.
//! In the last two cases its status word says "user", so the walk must check here before it trusts
//! the status word. To return a block, a thread first writes the status word and then marks the
//! block free here. A walk that finds the block free therefore sees the kernel's status, or a newer
//! one, and never the old "user" a second time.
//!
//! A walk that must wait for a block sets `wanted` and checks again. A thread that returns a block
//! checks `wanted` afterwards. Both orders are sequentially consistent, so at least one of the two
//! sees the other.

#[cfg(not(all(test, loom)))]
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};

#[cfg(all(test, loom))]
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

    /// `true` if the block is free. Everything done before its return is visible then.
    #[inline]
    pub(crate) fn is_free(&self, index: usize) -> bool {
        self.blocks[index].load(Ordering::Acquire) == FREE
    }

    /// Lends a free block to the walk.
    #[inline]
    pub(crate) fn lend(&self, index: usize) {
        // Relaxed, since only the walk's own thread reads the word until the block is returned or
        // passed to another thread, which orders it.
        self.blocks[index].store(LENT, Ordering::Relaxed);
    }

    /// Turns a lent block into one on loan.
    pub(crate) fn extend(&self, index: usize) {
        self.blocks[index].store(ON_LOAN, Ordering::Relaxed);
        self.on_loan.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns a block; `release` gives it to the kernel. `true` if the walk waits for a block and
    /// must be woken.
    #[inline]
    pub(crate) fn give_back(&self, index: usize, release: impl FnOnce()) -> bool {
        release();
        if self.blocks[index].load(Ordering::Relaxed) == LENT {
            // The walk's own thread returns it, so the walk is not waiting.
            self.blocks[index].store(FREE, Ordering::Release);
            return false;
        }
        self.on_loan.fetch_sub(1, Ordering::Relaxed);
        self.blocks[index].store(FREE, Ordering::Release);
        fence(Ordering::SeqCst);
        // Cleared by the first block that is returned, so that the walk is woken once.
        self.wanted.load(Ordering::Relaxed) && self.wanted.swap(false, Ordering::Relaxed)
    }

    /// Announces that the walk will wait for a block. `false` if the block is free already.
    pub(crate) fn want(&self, index: usize) -> bool {
        self.wanted.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        !self.is_free(index)
    }

    /// The number of blocks on loan.
    pub(crate) fn count(&self) -> usize {
        self.on_loan.load(Ordering::Relaxed)
    }

    /// The number of consecutive free blocks from this one on, which the kernel can fill before it
    /// stops.
    pub(crate) fn free_from(&self, index: usize) -> usize {
        // The common case: nothing is kept, and the whole ring need not be searched for each
        // retained packet.
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

    /// A block is returned on another thread while the walk reaches it. The walk must find it on
    /// loan, or with the kernel's status, but never with the old status.
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

    /// The walk waits for a block that is returned at the same time. It must see the return, or be
    /// woken.
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

    /// Two holders return two blocks. The count must end at 0, and a waiting walk must be woken by
    /// the block that it waits for.
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
