//! The callbacks of a flow table.

use crate::event::{Conflict, Data, Datagram, FirstPacket, FlowId, Gap, Unplaced};
use crate::{FlowRecord, FlowSide, Orientation, Timestamp};

/// Receives the events of a [`FlowTable`](crate::FlowTable), in the order in which the packets
/// cause them.
///
/// Each flow has one `on_start`, then any number of other events, then one `on_end`. Within a
/// direction, the ranges of `on_data` and `on_gap` follow each other without holes or overlaps. All
/// bytes are borrowed for the duration of the call.
pub trait FlowHandler<K> {
    /// Returns `true` if a flow that is about to begin should be tracked. Otherwise the flow is
    /// counted as refused and no events are reported for it. Its packets are ignored until it has
    /// been idle for [`Timeouts::time_wait`](crate::Timeouts::time_wait).
    fn admits(&mut self, flow: &Flow<'_, K>, first: &FirstPacket<'_>) -> bool {
        let _ = (flow, first);
        true
    }

    /// Called when a flow begins.
    fn on_start(&mut self, flow: &Flow<'_, K>) {
        let _ = flow;
    }

    /// Called with the next bytes of a direction's stream.
    fn on_data(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        let _ = (flow, side, data);
    }

    /// Called when the next bytes of a direction's stream are missing.
    fn on_gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        let _ = (flow, side, gap);
    }

    /// Called when the other side has acknowledged this side's stream up to `offset`, and part of
    /// that has not been captured yet. Everything that the other side sends from now on may depend
    /// on those bytes. The bytes, or a gap in their place, follow at the latest when the [grace
    /// period](crate::FlowTableBuilder::grace) is over.
    ///
    /// Not called while the acknowledging side's own stream has a hole, because the bytes behind
    /// that hole were sent earlier; [`Data::depends_on`] carries the information then. Not called
    /// for a direction without any captured packet. An acknowledgement of exactly one byte past the
    /// captured ones may be for a FIN, so that byte is never counted, alone or as the last of
    /// several.
    fn on_ack_ahead(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        let _ = (flow, side, offset);
    }

    /// Called when bytes arrive after their gap was declared, or from before the first byte of a
    /// stream picked up midway. In the second case their offset counts backwards from that first
    /// byte, modulo 2⁶⁴.
    fn on_late(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        let _ = (flow, side, data);
    }

    /// Called when bytes arrive that were delivered before: a retransmission, or the byte of a
    /// [keep-alive](Self::on_keep_alive), which may have any value (RFC 9293, section 3.8.4).
    ///
    /// By default the table keeps no delivered bytes and cannot compare. If it is set to
    /// [remember](crate::FlowTableBuilder::remember_delivered) them, bytes that differ are passed
    /// to `on_conflict` instead, as far back as the memory reaches.
    fn on_repeat(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        let _ = (flow, side, data);
    }

    /// Called when a segment of one byte arrives that may be a keep-alive: without a PSH, and for
    /// the place of the last byte before the next one. By default it is a repetition.
    fn on_keep_alive(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        self.on_repeat(flow, side, data);
    }

    /// Called when two packets disagree about bytes of a stream. This covers bytes that are pending
    /// behind a hole, and delivered bytes if they are
    /// [remembered](crate::FlowTableBuilder::remember_delivered).
    fn on_conflict(&mut self, flow: &Flow<'_, K>, side: FlowSide, conflict: Conflict<'_>) {
        let _ = (flow, side, conflict);
    }

    /// Called when captured bytes will not become part of the stream. Each captured payload byte of
    /// a flow is passed to exactly one of `on_data`, `on_late`, `on_repeat`, `on_conflict` (as
    /// `discarded`) and this method.
    fn on_unplaced(&mut self, flow: &Flow<'_, K>, side: FlowSide, unplaced: Unplaced<'_>) {
        let _ = (flow, side, unplaced);
    }

    /// Called when a direction's stream is complete: its FIN was reached, at this offset.
    fn on_fin(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        let _ = (flow, side, offset);
    }

    /// Called with a packet of a flow that is not TCP.
    fn on_datagram(&mut self, flow: &Flow<'_, K>, side: FlowSide, datagram: Datagram<'_>) {
        let _ = (flow, side, datagram);
    }

    /// Called for an active flow when an interim record is due; see
    /// [`active_timeout`](crate::FlowTableBuilder::active_timeout).
    fn on_record(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        let _ = (flow, record);
    }

    /// Called when payload of the flow in this slot is likely to follow within a few packets, so
    /// that the handler can [prefetch](crate::prefetch_bytes) its state. The hint may be wrong: use
    /// it only for performance.
    #[inline(always)]
    fn prefetch_hint(&mut self, slot: usize) {
        let _ = slot;
    }

    /// Called when a flow ends. The next `on_start` may reuse its slot.
    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        let _ = (flow, record);
    }
}

/// The flow of an event.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Flow<'a, K> {
    /// Its identifier in the table.
    pub id: FlowId,
    /// Its key.
    pub key: &'a K,
    /// The IANA number of the protocol above IP.
    pub protocol: u8,
    /// The direction of the initiator's packets relative to the key: `Forward` if the key's `a` is
    /// the initiator.
    pub initiator: Orientation,
    /// Time stamp of its first packet.
    pub started: Timestamp,
}
