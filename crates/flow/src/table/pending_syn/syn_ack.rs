//! A SYN-ACK that the client does not acknowledge.
//!
//! It is forged, or of the other side of a middlebox, and the true one was not captured. If it were
//! believed, all that the server sends would be out of its stream.

use super::is_foreign;
use crate::slot::{DirectionFlags as F, SlotFlags};
use crate::stream::{FIRST_FLIGHT, is_beyond_first_flight};
use crate::table::tcp::Segment;
use crate::{FlowExtractor, FlowSide, FlowTable, TcpFlags};

impl<E: FlowExtractor> FlowTable<E> {
    /// `true` if the first segment behind a client's SYN acknowledges less than the SYN-ACK that
    /// was captured, or more beyond it than a server sends in the time since the SYN. A client does
    /// neither (RFC 9293, section 3.10.7.3).
    #[inline]
    pub(in crate::table) fn refutes_syn_ack(&self, slot: u32, segment: &Segment<'_>) -> bool {
        let entry = &self.slots[slot];
        if entry.flags.has(SlotFlags::HANDSHAKE) {
            return false;
        }
        let [client, server] = &entry.directions;
        entry.side(segment.orientation) == FlowSide::Initiator
            && segment.flags.contains(TcpFlags::ACK)
            && client.flags.has(F::SYN)
            && segment.sequence == client.base
            && server.flags.has(F::SYN)
            && self.has_brought_nothing(server)
            && (server.strays(segment.acknowledgement)
                || is_beyond_first_flight(
                    server.base,
                    segment.acknowledgement,
                    self.now.saturating_sub(self.cold[slot].started),
                ))
    }

    /// If the server sends what the client has acknowledged, and not what the SYN-ACK announced,
    /// its stream is picked up there: two segments that agree outweigh one that does not.
    #[inline]
    pub(in crate::table) fn leave_refuted_syn_ack(&mut self, slot: u32, segment: &Segment<'_>) {
        let entry = &self.slots[slot];
        if entry.flags.has(SlotFlags::HANDSHAKE)
            || entry.side(segment.orientation) == FlowSide::Initiator
        {
            return;
        }
        let [client, server] = &entry.directions;
        let brings = segment.payload_wire_len > 0 || segment.flags.contains(TcpFlags::FIN);
        if brings
            && !segment.flags.contains(TcpFlags::SYN)
            && server.flags.has(F::SYN)
            && self.has_brought_nothing(server)
            && segment.sequence != server.base
            && let Some(reassembly) = self.reassemblies.peek(server.reassembly)
            && let Some(beginning) = reassembly.beginning
            && segment.sequence.wrapping_sub(beginning) <= FIRST_FLIGHT
            && !is_foreign(client, segment)
        {
            self.slots[slot].directions[FlowSide::Responder as usize].forget();
        }
    }
}
