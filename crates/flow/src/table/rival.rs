//! Connections on the same addresses and ports.

use super::tcp::Segment;
use crate::slot::{Calm, DirectionFlags as F, Rival, SlotFlags};
use crate::stream::ahead;
use crate::{EndReason, FlowExtractor, FlowHandler, FlowSide, FlowTable, TcpFlags};

/// What a segment with SYN means for a flow.
pub(super) enum Syn {
    /// It begins, or repeats the beginning of, this flow.
    Belongs,
    /// It may begin another.
    Rival,
    /// It came out of order, after the stream had been picked up midway.
    Late,
    /// It came after its answer, which acknowledges bytes that it carries, or that the one before it carried: the stream
    /// begins with them.
    Overtaken,
}

/// How far before the first byte of a stream picked up midway its SYN may turn up.
const LATE_SYN: u32 = 1 << 16;
/// How many bytes, at most, a SYN-ACK may acknowledge of a SYN that was seen without them (RFC 7413): it was sent again, and
/// the one with payload was not captured.
const FAST_OPEN: u32 = 1 << 14;
/// Payload that is kept for all rivals of a table. SYNs seldom have any; beyond this it is forgotten, and if one of them is
/// confirmed after all, its stream begins as if the capture had cut the segment short.
const RIVAL_BYTES: usize = 1 << 20;

impl<E: FlowExtractor> FlowTable<E> {
    /// Whether a segment begins another connection after the flow's end.
    pub(super) fn begins_anew(&self, slot: u32, segment: &Segment<'_>) -> bool {
        let entry = &self.slots[slot];
        let own = &entry.directions[entry.side(segment.orientation) as usize];
        let repeated = own.flags.has(F::SYN) && own.base == segment.sequence.wrapping_add(1);
        let peer = &entry.directions[entry.side(segment.orientation).opposite() as usize];
        let answers = entry.flags.has(SlotFlags::REFUSED)
            && segment.flags.contains(TcpFlags::ACK)
            && peer.flags.has(F::SYN)
            && peer.base == segment.acknowledgement;
        segment.flags.contains(TcpFlags::SYN) && !repeated && !answers
    }

    /// Whether a SYN fits the flow.
    pub(super) fn classify_syn(&self, slot: u32, segment: &Segment<'_>) -> Syn {
        let entry = &self.slots[slot];
        let side = entry.side(segment.orientation);
        let own = &entry.directions[side as usize];
        let peer = &entry.directions[side.opposite() as usize];
        let base = segment.sequence.wrapping_add(1);
        let answers = segment.flags.contains(TcpFlags::ACK) && peer.flags.has(F::SYN);
        if answers {
            let acknowledged = segment.acknowledgement.wrapping_sub(peer.base);
            let fin = u32::from(peer.flags.has(F::FIN));
            let sent =
                if peer.next == 0 { FAST_OPEN } else { (peer.next as u32).wrapping_add(fin) };
            if acknowledged > sent {
                return Syn::Rival;
            }
        }
        if own.flags.has(F::SYN) {
            return if own.base == base { Syn::Belongs } else { Syn::Rival };
        }
        if own.flags.has(F::ANCHORED) {
            let before = own.base.wrapping_sub(base);
            return match before {
                0 => Syn::Belongs,
                before if before <= FAST_OPEN && own.has_brought_nothing() => Syn::Overtaken,
                before if before < LATE_SYN => Syn::Late,
                _ => Syn::Rival,
            };
        }
        let first = if own.flags.has(F::HOLD) {
            Some(own.expected())
        } else if answers {
            // It fits the other side's SYN. What is known of this side may be from far ahead of it in the stream, where the
            // capture has the directions apart, or from the connection before.
            None
        } else if own.flags.has(F::ACKED) {
            Some(own.acked)
        } else if own.flags.has(F::HINT) {
            Some(own.base)
        } else {
            None
        };
        match first {
            // What is held back from before the beginning is another connection's, and left out.
            Some(first) if answers && ahead(base, first) => Syn::Belongs,
            // Nothing that a connection sends comes before its SYN.
            Some(first) if first.wrapping_sub(base) >= LATE_SYN => Syn::Rival,
            _ => Syn::Belongs,
        }
    }

    pub(super) fn remember_rival(&mut self, slot: u32, segment: &Segment<'_>) {
        self.statistics.rivals += 1;
        self.drop_rival(slot);
        let fits = self.rival_bytes + segment.payload.len() <= RIVAL_BYTES;
        let payload = if fits { segment.payload } else { &[] };
        self.rival_bytes += payload.len();
        let entry = &mut self.slots[slot];
        entry.flags.set(SlotFlags::RIVAL);
        entry.calm = Calm::NO;
        let rival = Rival {
            side: entry.side(segment.orientation),
            sequence: segment.sequence,
            acknowledgement: segment.acknowledgement,
            flags: segment.flags,
            window: segment.window,
            window_scale: segment.window_scale,
            payload: payload.to_vec(),
            payload_wire_len: segment.payload_wire_len,
            wire_len: segment.wire_len,
            timestamp: segment.timestamp,
            number: segment.number,
        };
        self.rivals.insert(slot, rival);
    }

    pub(super) fn drop_rival(&mut self, slot: u32) {
        if self.slots[slot].flags.has(SlotFlags::RIVAL) {
            self.slots[slot].flags.clear(SlotFlags::RIVAL);
            if let Some(rival) = self.rivals.remove(&slot) {
                self.rival_bytes -= rival.payload.len();
                self.statistics.rivals_dropped += 1;
            }
        }
    }

    /// Whether a segment shows that the rival is the connection that goes on.
    pub(super) fn confirms_rival(&self, slot: u32, segment: &Segment<'_>) -> bool {
        let Some(rival) = self.rivals.get(&slot) else { return false };
        let entry = &self.slots[slot];
        let side = entry.side(segment.orientation);
        let own = &entry.directions[side as usize];
        let base = rival.sequence.wrapping_add(1);
        let sent = rival.payload_wire_len;
        let acknowledges = segment.flags.contains(TcpFlags::ACK);
        let syn = segment.flags.contains(TcpFlags::SYN);
        if side != rival.side {
            // The other host answers it: with a SYN-ACK, a RST, or with the acknowledgement of a SYN-ACK.
            let answered = acknowledges && segment.acknowledgement.wrapping_sub(base) <= sent;
            return if rival.flags.contains(TcpFlags::ACK) {
                answered && !syn && segment.sequence == rival.acknowledgement
            } else {
                answered && segment.flags.intersects(TcpFlags::SYN | TcpFlags::RST)
            };
        }
        // Its sender goes on with it, and not with the old connection.
        !syn && !segment.flags.contains(TcpFlags::RST)
            && acknowledges
            && segment.sequence.wrapping_sub(base) <= sent
            && segment.sequence != own.expected()
    }

    pub(super) fn replace_by_rival(&mut self, slot: u32, handler: &mut impl FlowHandler<E::Key>) {
        let Some(rival) = self.rivals.remove(&slot) else { return };
        self.rival_bytes -= rival.payload.len();
        let entry = &mut self.slots[slot];
        entry.flags.clear(SlotFlags::RIVAL);
        let orientation = match rival.side {
            FlowSide::Initiator => entry.initiator(),
            FlowSide::Responder => entry.initiator().reversed(),
        };
        self.end(slot, EndReason::Replaced, handler);
        self.renew(slot);
        let segment = Segment {
            orientation,
            sequence: rival.sequence,
            acknowledgement: rival.acknowledgement,
            flags: rival.flags,
            window: rival.window,
            window_scale: rival.window_scale,
            payload: &rival.payload,
            payload_wire_len: rival.payload_wire_len,
            wire_len: rival.wire_len,
            timestamp: rival.timestamp,
            number: rival.number,
        };
        if self.open_as(slot, &segment, !rival.flags.contains(TcpFlags::ACK), handler) {
            self.ordinary(slot, &segment, handler);
        }
    }

    /// Another flow takes over the slot and the key of one that has ended.
    pub(super) fn renew(&mut self, slot: u32) {
        let entry = &mut self.slots[slot];
        entry.generation = entry.generation.wrapping_add(1);
    }
}
