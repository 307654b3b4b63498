//! The completion ring: frames that the kernel has sent or is sending.
//!
//! The ring is behind a lock, so that a receiver that runs out of frames can take back those that
//! another socket of the same memory has sent. It must not depend on that socket's next call. All
//! sockets of a queue share the ring.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::cursor::Jumped;
use super::memory::{Holder, Lease, Memory};
use super::ring::Ring;

/// The time at which a packet was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendTimestamp {
    /// The packet's number, as returned by [`Sender::send_with`](super::Sender::send_with).
    pub number: u64,
    /// Nanoseconds by the adapter's clock, or by the kernel's TAI clock if the kernel does the
    /// sending.
    pub nanoseconds: u64,
}

/// Maximum number of timestamps kept until they are taken; older ones are dropped.
const STAMPS: usize = 4096;

#[derive(Debug)]
pub(crate) struct Completions {
    holder: Holder,
    /// `None` once the socket is closed.
    inner: Mutex<Option<Inner>>,
    in_flight: AtomicU32,
    completed: AtomicU64,
    malformed: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    ring: Ring<u64>,
    /// Each with the socket's number on the queue.
    stamps: VecDeque<(u16, SendTimestamp)>,
}

/// Packs a packet's number and its socket's number on the queue into one word, to report its send
/// time.
pub(crate) fn tag(socket: u16, number: u64) -> u64 {
    // All sockets of a queue share its completion ring, and any of them may take back the frame.
    // The socket's number says who asked.
    u64::from(socket) << NUMBER_BITS | number & NUMBERS
}

const NUMBER_BITS: u32 = 48;
const NUMBERS: u64 = (1 << NUMBER_BITS) - 1;

impl Completions {
    pub(crate) fn new(ring: Ring<u64>, holder: Holder) -> Self {
        let inner = Mutex::new(Some(Inner { ring, stamps: VecDeque::new() }));
        let (completed, malformed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { holder, inner, in_flight: AtomicU32::new(0), completed, malformed }
    }

    /// Takes back sent frames. Returns their number.
    pub(crate) fn reap(
        &self,
        memory: &Memory,
        mut to: impl FnMut(Lease),
    ) -> Result<u32, (Jumped, u32)> {
        // Checked before the lock, because every flush and every wait of other sockets comes here.
        if self.in_flight() == 0 {
            return Ok(0);
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Inner { ring, stamps }) = &mut *inner else { return Ok(0) };
        let ready = ring.ready(u32::MAX).map_err(|jumped| (jumped, ring.size()))?;
        let mut count = 0;
        for ahead in 0..ready {
            let Ok((lease, start)) = memory.claim(ring.read(ahead), 0, self.holder) else {
                // The entry is passed over and not retried, since a full completion ring would stop
                // the kernel from sending at all (`__xsk_generic_xmit` reserves an entry for each
                // frame first).
                self.malformed.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            if let Some((tag, nanoseconds)) = memory.stamp(&lease, start) {
                // A program that requests times but never takes them must not grow the queue
                // without bound.
                if stamps.len() == STAMPS {
                    stamps.pop_front();
                }
                let stamp = SendTimestamp { number: tag & NUMBERS, nanoseconds };
                stamps.push_back(((tag >> NUMBER_BITS) as u16, stamp));
            }
            to(lease);
            count += 1;
        }
        ring.advance(ready);
        ring.publish();
        self.completed.fetch_add(count.into(), Ordering::Relaxed);
        // Saturates, so that a kernel that returns frames not counted yet cannot make it wrap
        // around.
        let left = |flying: u32| Some(flying.saturating_sub(count));
        let _ = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        Ok(count)
    }

    /// Takes the oldest timestamp of a socket.
    pub(crate) fn stamp(&self, socket: u16) -> Option<SendTimestamp> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = &mut inner.as_mut()?.stamps;
        let at = stamps.iter().position(|(of, _)| *of == socket)?;
        stamps.remove(at).map(|(_, stamp)| stamp)
    }

    /// Counts frames passed to the kernel.
    #[inline]
    pub(crate) fn sent(&self, count: u32) {
        self.in_flight.fetch_add(count, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Number of frames that the kernel returned.
    pub(crate) fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }

    /// Number of invalid entries.
    pub(crate) fn malformed(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }

    /// Unmaps the ring for good.
    pub(crate) fn close(&self) {
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
