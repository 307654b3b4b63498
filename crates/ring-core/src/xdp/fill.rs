//! The fill ring: frames for the kernel to receive into.
//!
//! The ring is behind a lock, since all sockets of a queue share it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::cursor::Jumped;
use super::endpoint::jumped;
use super::error::Error;
use super::memory::{Holder, Lease, Memory};
use super::ring::Ring;

/// A portion is this fraction of the target, up to a maximum number of frames.
const PORTIONS: u32 = 32;
const PORTION: u32 = 64;

#[derive(Debug)]
pub(crate) struct Fill {
    inner: Mutex<Inner>,
    /// The target for the kernel's number of frames, and the number that it has. These frames are
    /// in the ring, or filled but not read yet.
    target: AtomicU32,
    filled: AtomicU32,
    malformed: AtomicU64,
    /// `true` if the kernel needed to be woken when it last got frames.
    wakeup: AtomicBool,
}

#[derive(Debug)]
struct Inner {
    /// `None` once the queue is closed.
    ring: Option<Ring<u64>>,
    /// An invalid index of the kernel's. The ring is no longer used then.
    broken: Option<Jumped>,
}

impl Fill {
    pub(crate) fn new(ring: Ring<u64>) -> Self {
        let inner = Mutex::new(Inner { ring: Some(ring), broken: None });
        let (target, filled) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { inner, target, filled, malformed: AtomicU64::new(0), wakeup: AtomicBool::new(false) }
    }

    /// Raises the target for another receiver by `frames`, limited by the ring's size. Returns by
    /// how much it was raised.
    pub(crate) fn want(&self, frames: u32) -> u32 {
        let inner = self.lock();
        // Under the lock, so that two receivers that are opened at once do not together exceed the
        // ring.
        let target = self.target();
        let most = inner.ring.as_ref().map_or(0, Ring::size);
        let frames = frames.min(most.saturating_sub(target));
        self.target.store(target + frames, Ordering::Relaxed);
        frames
    }

    /// Lowers the target when a receiver ends, by the number that [`want`](Self::want) returned.
    pub(crate) fn want_less(&self, frames: u32) {
        let _inner = self.lock();
        self.target.store(self.target().saturating_sub(frames), Ordering::Relaxed);
    }

    /// Passes frames to the kernel until the target is reached or `next` has no more. Returns their
    /// number.
    pub(crate) fn give(
        &self,
        memory: &Memory,
        holder: Holder,
        mut next: impl FnMut() -> Option<Lease>,
    ) -> Result<u32, Error> {
        let mut inner = self.lock();
        let Inner { ring: Some(ring), broken } = &mut *inner else { return Ok(0) };
        let wanted = self.target().saturating_sub(self.filled());
        let room = match (*broken, wanted) {
            (Some(before), _) => return Err(jumped("fill", ring.size(), before)),
            (None, 0) => return Ok(0),
            (None, _) => match ring.ready(wanted) {
                Ok(room) => room.min(wanted),
                Err(now) => {
                    // Kept for good. An index that was wrong once says nothing about which frames
                    // the kernel has, so no frame can safely be passed through this ring again.
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
        // Counted before they are published, since another socket of the queue may get the first
        // frame back immediately.
        self.filled.fetch_add(written, Ordering::Relaxed);
        ring.publish();
        if ring.needs_wakeup() {
            // Only noted here. A receiver returns frames while a batch is dropped, where an error
            // of the system call could not be reported; its next call wakes the kernel.
            self.wakeup.store(true, Ordering::Relaxed);
        }
        Ok(written)
    }

    /// Counts frames that the kernel returned.
    #[inline]
    pub(crate) fn took(&self, frames: u32) {
        self.filled.fetch_sub(frames, Ordering::Relaxed);
    }

    /// The number of frames that the kernel has.
    #[inline]
    pub(crate) fn filled(&self) -> u32 {
        self.filled.load(Ordering::Relaxed)
    }

    /// The target for the kernel's number of frames.
    #[inline]
    pub(crate) fn target(&self) -> u32 {
        self.target.load(Ordering::Relaxed)
    }

    /// The number of invalid indexes.
    pub(crate) fn malformed(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }

    /// The number of missing frames at which to pass more to the kernel. Batching them reads the
    /// kernel's index, which another processor writes, only once per portion.
    #[inline]
    pub(crate) fn portion(&self) -> u32 {
        (self.target() / PORTIONS).clamp(1, PORTION)
    }

    /// Returns `true` once if the kernel needed to be woken when it last got frames. The caller
    /// must wake it.
    #[inline]
    pub(crate) fn takes_wakeup(&self) -> bool {
        // The load keeps the common case free of a locked instruction.
        self.wakeup.load(Ordering::Relaxed) && self.wakeup.swap(false, Ordering::Relaxed)
    }

    /// `true` if the kernel needs to be woken.
    #[inline]
    pub(crate) fn needs_wakeup(&self) -> bool {
        self.lock().ring.as_ref().is_some_and(Ring::needs_wakeup)
    }

    /// Unmaps the ring for good.
    pub(crate) fn close(&self) {
        self.lock().ring = None;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
