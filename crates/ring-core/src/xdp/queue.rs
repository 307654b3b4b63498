//! The fill ring and the completion ring of a queue. The kernel has one of each per queue, and all
//! sockets on the queue that use the same packet memory share them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use ring_sys::xdp;

use super::completions::Completions;
use super::fill::Fill;
use super::memory::Holder;
use super::program::Place;
use super::umem::Shared;

/// The rings of a queue. When its last socket is dropped, the rings are unmapped, the queue is
/// closed, and the kernel's frames are taken back.
#[derive(Debug)]
pub(crate) struct QueueRings {
    umem: Arc<Shared>,
    /// The queue's number within its packet memory, which frames store as their holder.
    number: u16,
    pub(crate) place: QueuePlace,
    pub(crate) fill: Fill,
    pub(crate) completions: Completions,
    /// The socket that the rings were created with. `None` only in tests that simulate the kernel.
    pub(crate) owner: Option<Arc<xdp::Socket>>,
    /// `true` if several sockets may receive at the same time, on threads of their own.
    pub(crate) many_receive: bool,
    receivers: AtomicU16,
    zero_copy: AtomicBool,
    next_ordinal: AtomicU16,
}

/// A queue of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuePlace {
    pub(crate) interface: Place,
    pub(crate) queue: u32,
}

impl QueueRings {
    pub(crate) fn new(
        umem: Arc<Shared>,
        number: u16,
        place: QueuePlace,
        (fill, completions): (Fill, Completions),
        owner: Option<Arc<xdp::Socket>>,
        many_receive: bool,
    ) -> Self {
        Self {
            umem,
            number,
            place,
            fill,
            completions,
            owner,
            many_receive,
            receivers: AtomicU16::new(0),
            zero_copy: AtomicBool::new(false),
            next_ordinal: AtomicU16::new(0),
        }
    }

    /// Registers a receiver. `false` if no more are allowed. Must be undone by
    /// [`receiver_left`](Self::receiver_left).
    pub(crate) fn receiver_came(&self) -> bool {
        // With one receiver a frame comes back through one ring, and claiming it needs no atomic
        // exchange. This count enforces that. Acquire pairs with the Release of the receiver that
        // left, whose claims must be finished.
        let next = |count: u16| (count == 0 || self.many_receive).then_some(count + 1);
        self.receivers.fetch_update(Ordering::Acquire, Ordering::Relaxed, next).is_ok()
    }

    /// Unregisters a receiver.
    pub(crate) fn receiver_left(&self) {
        self.receivers.fetch_sub(1, Ordering::Release);
    }

    /// Records that the device accesses the frames directly.
    pub(crate) fn set_zero_copy(&self) {
        self.zero_copy.store(true, Ordering::Relaxed);
    }

    /// Allocates a number for a socket of the queue.
    pub(crate) fn ordinal(&self) -> u16 {
        self.next_ordinal.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn fill_holder(&self) -> Holder {
        Holder::Fill(self.number)
    }

    pub(crate) fn send_holder(&self) -> Holder {
        Holder::Send(self.number)
    }
}

impl Drop for QueueRings {
    fn drop(&mut self) {
        // The kernel keeps a socket alive while one of its rings is mapped.
        self.fill.close();
        self.completions.close();
        let closed = match self.owner.take() {
            Some(owner) => Arc::into_inner(owner).is_some(),
            None => true,
        };
        // Closing waits until the kernel has finished copying. In zero-copy mode the device may
        // write to the frames for a while longer, so its frames are lost until the memory is
        // dropped.
        if closed && !self.zero_copy.load(Ordering::Relaxed) {
            self.umem.memory.reclaim(self.fill_holder());
            self.umem.memory.reclaim(self.send_holder());
        }
    }
}
