//! Frames that the kernel has to receive into.
//!
//! The ring stands behind a lock, since all sockets of a queue give frames to the same one.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::cursor::Jumped;
use super::endpoint::jumped;
use super::error::XdpError;
use super::memory::{Holder, Lease, Memory};
use super::ring::Ring;

/// A portion is this part of what the kernel is to have, and no more than so many frames.
const PORTIONS: u32 = 32;
const PORTION: u32 = 64;

#[derive(Debug)]
pub(crate) struct Fill {
    inner: Mutex<Inner>,
    /// How many frames the kernel is to have, and how many it has: in the ring, or received and not read.
    target: AtomicU32,
    filled: AtomicU32,
    malformed: AtomicU64,
    /// Whether the kernel waited to be woken when it was last given frames.
    wakeup: AtomicBool,
}

#[derive(Debug)]
struct Inner {
    /// `None` once the queue is closed.
    ring: Option<Ring<u64>>,
    /// An index that could not be: nothing more is done with the ring.
    broken: Option<Jumped>,
}

impl Fill {
    pub(crate) fn new(ring: Ring<u64>) -> Self {
        let inner = Mutex::new(Inner { ring: Some(ring), broken: None });
        let (target, filled) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { inner, target, filled, malformed: AtomicU64::new(0), wakeup: AtomicBool::new(false) }
    }

    /// One more receives from the queue: so many more frames are to be with the kernel, as far as the ring has room.
    /// How many more it became.
    pub(crate) fn want(&self, frames: u32) -> u32 {
        let inner = self.lock();
        let target = self.target();
        let most = inner.ring.as_ref().map_or(0, Ring::size);
        let frames = frames.min(most.saturating_sub(target));
        self.target.store(target + frames, Ordering::Relaxed);
        frames
    }

    /// One less receives: the same number as it wanted.
    pub(crate) fn want_less(&self, frames: u32) {
        let _inner = self.lock();
        self.target.store(self.target().saturating_sub(frames), Ordering::Relaxed);
    }

    /// Gives the kernel frames, as long as it lacks some and there are any; how many.
    pub(crate) fn give(
        &self,
        memory: &Memory,
        holder: Holder,
        mut next: impl FnMut() -> Option<Lease>,
    ) -> Result<u32, XdpError> {
        let mut inner = self.lock();
        let Inner { ring: Some(ring), broken } = &mut *inner else { return Ok(0) };
        let wanted = self.target().saturating_sub(self.filled());
        let room = match (*broken, wanted) {
            (Some(before), _) => return Err(jumped("fill", ring.size(), before)),
            (None, 0) => return Ok(0),
            (None, _) => match ring.ready(wanted) {
                Ok(room) => room.min(wanted),
                Err(now) => {
                    *broken = Some(now);
                    self.malformed.fetch_add(1, Ordering::Relaxed);
                    return Err(jumped("fill", ring.size(), now));
                }
            },
        };
        let mut written = 0;
        while written < room
            && let Some(lease) = next()
        {
            ring.write(written, memory.lend(lease, holder));
            written += 1;
        }
        ring.advance(written);
        // First, since another socket of the queue may have the first of them back at once.
        self.filled.fetch_add(written, Ordering::Relaxed);
        ring.publish();
        if ring.needs_wakeup() {
            self.wakeup.store(true, Ordering::Relaxed);
        }
        Ok(written)
    }

    /// The kernel gave so many frames back.
    #[inline]
    pub(crate) fn took(&self, frames: u32) {
        self.filled.fetch_sub(frames, Ordering::Relaxed);
    }

    /// How many frames the kernel has.
    #[inline]
    pub(crate) fn filled(&self) -> u32 {
        self.filled.load(Ordering::Relaxed)
    }

    /// How many frames the kernel is to have.
    #[inline]
    pub(crate) fn target(&self) -> u32 {
        self.target.load(Ordering::Relaxed)
    }

    /// Indexes that could not be.
    pub(crate) fn malformed(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }

    /// How many frames it must lack before it is given any: the kernel's index of the ring is looked at once for all of
    /// them, and fetched from the processor that fills frames.
    #[inline]
    pub(crate) fn portion(&self) -> u32 {
        (self.target() / PORTIONS).clamp(1, PORTION)
    }

    /// Whether the kernel waited to be woken when it was last given frames; to be done by the caller.
    #[inline]
    pub(crate) fn takes_wakeup(&self) -> bool {
        self.wakeup.load(Ordering::Relaxed) && self.wakeup.swap(false, Ordering::Relaxed)
    }

    /// Whether the kernel waits to be woken.
    #[inline]
    pub(crate) fn needs_wakeup(&self) -> bool {
        self.lock().ring.as_ref().is_some_and(Ring::needs_wakeup)
    }

    /// Unmaps the ring, for good.
    pub(crate) fn close(&self) {
        self.lock().ring = None;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
