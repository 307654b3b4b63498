//! The state that a sink keeps of one conversation.

use std::sync::Arc;

use flow::{Flow, FlowId, FlowSide};

use super::places::Places;
use crate::engine::delivery::Delivery;
use crate::queue::Entries;

#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Slot<R> {
    pub(super) id: FlowId,
    pub(super) route: R,
    /// Entries that were collected for it.
    pub(super) pending: Entries,
    /// It is about to make room.
    pub(super) evicted: bool,
    /// The batch that brought something last.
    pub(super) last_batch: u32,
    /// The length of the last run, up to 64 KiB: the next is likely to be like it.
    pub(super) usual_run: u16,
    /// State that few flows need, by side: of one that has datagrams their bytes so far; of one in
    /// causal order the offset up to which the other side's bytes wait for this side's.
    pub(super) offsets: Option<Box<[u64; 2]>>,
}

const _: () = assert!(size_of::<Option<Slot<Arc<()>>>>() == 64);
const _: () = assert!(size_of::<Option<Slot<FlowId>>>() == 64);
const _: () = assert!(size_of::<Option<Slot<()>>>() == 64);

/// The place of a flow, if it is a conversation.
#[inline]
pub(super) fn place<'p, K: Clone, D: Delivery<K>>(
    places: &'p mut Places<Slot<D::Route>>,
    flow: &Flow<'_, K>,
    batch: u32,
) -> Option<&'p mut Slot<D::Route>> {
    let index = flow.id.slot();
    if let Some(usual_run) = places.resting(index)
        && let Some(route) = D::route_of(flow.id)
    {
        places.insert(index, Slot { usual_run, ..Slot::new(flow.id, route, batch) });
    }
    places.get_mut(index)
}

impl<R> Slot<R> {
    pub(super) fn new(id: FlowId, route: R, batch: u32) -> Self {
        let pending = Entries::new();
        Self { id, route, pending, evicted: false, last_batch: batch, usual_run: 0, offsets: None }
    }

    /// The offset of a datagram of `len` bytes on the wire if all of a side's are laid end to end.
    pub(super) fn datagram_offset(&mut self, side: FlowSide, len: u64) -> u64 {
        let total = &mut self.offsets.get_or_insert_default()[side as usize];
        let offset = *total;
        *total += len;
        offset
    }

    /// Bytes of the other side wait for those of this one before an offset.
    pub(super) fn await_up_to(&mut self, side: FlowSide, offset: u64) {
        let awaited = &mut self.offsets.get_or_insert_default()[side as usize];
        *awaited = offset.max(*awaited);
    }

    /// Returns `true` if bytes of the other side may wait for those of this one that end where
    /// these begin. The table leaves out a last byte that may be a FIN.
    pub(super) fn is_awaited(&self, side: FlowSide, offset: u64) -> bool {
        self.offsets.as_ref().is_some_and(|awaited| offset <= awaited[side as usize] + 1)
    }
}

/// A run's length as a slot remembers it.
pub(super) fn usual(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}
