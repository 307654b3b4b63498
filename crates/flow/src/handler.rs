//! The callbacks of a flow table.

use crate::event::{Conflict, Data, Datagram, FirstPacket, FlowId, FlowPacket, Gap, Unplaced};
use crate::{FlowRecord, FlowSide, Orientation, Packet, Timestamp};

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

    /// Returns `true` if the handler takes the packets of flows. Without it the next three methods
    /// are never called, and the table does not look for what they need. [default: `false`]
    #[inline(always)]
    fn wants_packets(&self) -> bool {
        false
    }

    /// Called with each captured packet of a flow, after the events that it caused: also with
    /// those that bring nothing (acknowledgements, keep-alives, resets), and those that the
    /// receiving host discards. An ICMP error is not a packet of the flow that it is about.
    ///
    /// For a flow in a tunnel this is the outer packet. For a datagram that came in fragments it is
    /// called with each of them, copies included, once the datagram is complete. Each fragment was
    /// passed to [`on_packet_pending`](Self::on_packet_pending) when it came.
    ///
    /// Packets are distinguished by their [numbers](Packet::number), so these have to differ. The
    /// packet has no frame check sequence. A packet may belong to several flows: a frame can carry
    /// several, and a segment that waits for evidence is its flow's, and that of the connection to
    /// which it turns out to belong.
    ///
    /// Also called after `on_end`, with the ended flow, as long as the table knows that a packet
    /// cannot begin another flow: the last acknowledgement of a connection is an example. After the
    /// next `on_start` in the same slot it is not.
    fn on_packet(&mut self, flow: &Flow<'_, K>, packet: FlowPacket<'_>) {
        let _ = (flow, packet);
    }

    /// Called with a packet whose flow is not known yet: a fragment of a datagram that is not
    /// complete, or a SYN that may begin another connection on the ports of its flow. Its number
    /// follows in at least one `on_packet`, or in
    /// [`on_packet_unclaimed`](Self::on_packet_unclaimed).
    fn on_packet_pending(&mut self, packet: &Packet<'_>) {
        let _ = packet;
    }

    /// Called with the number of a pending packet that turned out to belong to no flow: the rest of
    /// its datagram was not captured, it is a copy of a fragment of a complete datagram, its flow
    /// was not admitted, or memory limits were reached.
    fn on_packet_unclaimed(&mut self, number: u64) {
        let _ = number;
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
