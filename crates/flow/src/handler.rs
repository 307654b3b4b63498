//! What a program hears from the flow table.

use crate::event::{Conflict, Data, Datagram, FlowId, Gap, Opening, Unplaced};
use crate::{FlowRecord, FlowSide, Orientation, Timestamp};

/// Receives the events of a [`FlowTable`](crate::FlowTable), in the order in which they follow from the packets.
///
/// For each flow: one `on_start`, then any number of the others, then one `on_end`. Within a direction the offsets of
/// `on_data` and `on_gap` follow each other without a hole and without an overlap. All bytes are borrowed for the
/// call only.
pub trait FlowHandler<K> {
    /// Whether a flow that is about to begin is worth tracking. If not, none of its packets is looked at any more until it
    /// has been silent for the time [`Timeouts::time_wait`](crate::Timeouts::time_wait); nothing is told of it, and it is
    /// counted as refused.
    fn admits(&mut self, flow: &Flow<'_, K>, opening: &Opening<'_>) -> bool {
        let _ = (flow, opening);
        true
    }

    /// A flow began.
    fn on_start(&mut self, flow: &Flow<'_, K>) {
        let _ = flow;
    }

    /// The next bytes of a direction's stream.
    fn on_data(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        let _ = (flow, side, data);
    }

    /// The next bytes of a direction's stream are missing.
    fn on_gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        let _ = (flow, side, gap);
    }

    /// The other side has acknowledged this side's bytes up to `offset`, which have not all been seen yet: what it says
    /// from now on, it says knowing them. They will come, or a gap in their place: at the latest when the
    /// [grace](crate::FlowTableBuilder::grace) is over.
    ///
    /// Not told where this side's peer has a hole in its own stream, since what lies behind that was said before: then
    /// [`Data::awaits`] tells of bytes to which it applies. Not told of a direction of which nothing was seen. What may as
    /// well be a FIN that was not seen is no byte: neither one that is missing alone, nor the last of several.
    fn on_awaited(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        let _ = (flow, side, offset);
    }

    /// Bytes came after their gap had been declared, or lie before the first byte of a stream picked up midway (their
    /// offset is then counted from that first byte backwards, modulo 2⁶⁴).
    fn on_late(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        let _ = (flow, side, data);
    }

    /// Bytes came that had been handed out before: a retransmission, or a keep-alive's byte, which may be anything. The table
    /// keeps nothing that was handed out unless it is set to
    /// [remember](crate::FlowTableBuilder::remember_delivered): then these bytes do not differ from the first version, as far as
    /// that is remembered.
    fn on_repeat(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        let _ = (flow, side, data);
    }

    /// Called when two packets disagree about bytes of a stream: bytes that wait behind a hole, or that were delivered, if those
    /// are [remembered](crate::FlowTableBuilder::remember_delivered).
    fn on_conflict(&mut self, flow: &Flow<'_, K>, side: FlowSide, conflict: Conflict<'_>) {
        let _ = (flow, side, conflict);
    }

    /// Called when captured bytes will not be placed in the stream. Each captured payload byte of a flow is passed to exactly
    /// one of `on_data`, `on_late`, `on_repeat`, `on_conflict` (as `discarded`) and this.
    fn on_unplaced(&mut self, flow: &Flow<'_, K>, side: FlowSide, unplaced: Unplaced<'_>) {
        let _ = (flow, side, unplaced);
    }

    /// A direction's stream is complete: its FIN was reached, at this offset.
    fn on_fin(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        let _ = (flow, side, offset);
    }

    /// A packet of a flow that is not TCP.
    fn on_datagram(&mut self, flow: &Flow<'_, K>, side: FlowSide, datagram: Datagram<'_>) {
        let _ = (flow, side, datagram);
    }

    /// A flow goes on, and it is time for a record of it: see
    /// [`active_timeout`](crate::FlowTableBuilder::active_timeout).
    fn on_record(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        let _ = (flow, record);
    }

    /// Payload of the flow in this slot is likely to come a few packets later: time to [ask](crate::prefetch_bytes) for
    /// memory that is kept for it. A guess, so that nothing but time may depend on it.
    #[inline(always)]
    fn expects(&mut self, slot: usize) {
        let _ = slot;
    }

    /// A flow ended; its slot may be used again by the next `on_start`.
    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        let _ = (flow, record);
    }
}

/// A flow, as its events show it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Flow<'a, K> {
    /// Its number in the table.
    pub id: FlowId,
    /// Its key.
    pub key: &'a K,
    /// The protocol above IP, as IANA numbers it.
    pub protocol: u8,
    /// Which way packets of the initiator go, relative to the key: `Forward` if the key's `a` is the initiator.
    pub initiator: Orientation,
    /// Time stamp of its first packet.
    pub started: Timestamp,
}
