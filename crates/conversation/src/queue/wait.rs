//! A reader that waits for a chunk.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use flow::FlowSide;

use super::{Queue, Taken};
use crate::api::chunk::Chunk;
use crate::coop;

/// Waits for the next chunk of one side, or of both; takes itself off the list of those who wait
/// when it is dropped.
pub(crate) struct Wait<'a, K: Clone> {
    queue: &'a Queue<K>,
    whose: Whose<'a>,
    parked: bool,
}

/// The chunks that a reader waits for.
enum Whose<'a> {
    /// Those of both sides, with what the reader has taken already.
    Both(&'a mut Taken),
    One(FlowSide),
}

impl<'a, K: Clone> Wait<'a, K> {
    /// Waits for both sides. `taken` is what the reader has taken already.
    pub(crate) fn both(queue: &'a Queue<K>, taken: &'a mut Taken) -> Self {
        Self { queue, whose: Whose::Both(taken), parked: false }
    }

    /// Waits for one side.
    pub(crate) fn one(queue: &'a Queue<K>, side: FlowSide) -> Self {
        Self { queue, whose: Whose::One(side), parked: false }
    }
}

impl<K: Clone> Future for Wait<'_, K> {
    type Output = Option<Chunk<K>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { queue, whose, parked } = &mut *self;
        let chunk = coop::poll(cx, |cx| match whose {
            Whose::Both(taken) => queue.poll_both(taken, cx),
            Whose::One(side) => queue.poll_side(*side, cx),
        });
        // Only a future that waits has something to take back when it is dropped.
        *parked = chunk.is_pending();
        // The stream of conversations reports a failed engine.
        chunk.map(|chunk| chunk?.ok())
    }
}

impl<K: Clone> Drop for Wait<'_, K> {
    fn drop(&mut self) {
        if self.parked {
            self.queue.cancel_wait(match self.whose {
                Whose::Both(_) => FlowSide::Initiator,
                Whose::One(side) => side,
            });
        }
    }
}
