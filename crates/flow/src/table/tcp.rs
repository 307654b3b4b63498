//! Connections: how they begin, end and give way to each other.

use crate::history::{Letter, note};
use crate::slot::{Direction, DirectionFlags as F, Rival, SlotFlags, State};
use crate::stream::{Payload, ahead};
use crate::{
    Data, EndReason, FlowExtractor, FlowHandler, FlowSide, FlowTable, Orientation, Packet,
    TcpFlags, TcpHeader, protocol,
};

use super::batch::Work;
use super::view;

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
struct Segment<'a> {
    orientation: Orientation,
    sequence: u32,
    acknowledgement: u32,
    flags: TcpFlags,
    window: u16,
    window_scale: Option<u8>,
    payload: &'a [u8],
    payload_wire_len: u32,
    wire_len: u32,
    /// Nanoseconds, as the packet tells it.
    timestamp: u64,
    number: u64,
}

/// What a segment with SYN means for a flow.
enum Syn {
    /// It begins, or repeats the beginning of, this flow.
    Belongs,
    /// It may begin another.
    Rival,
    /// It came out of order, after the stream had been picked up midway.
    Late,
}

/// How far before the first byte of a stream picked up midway its SYN may turn up.
const LATE_SYN: u32 = 1 << 16;
/// Shift of the windows of a side whose SYN was not seen: an estimate, large rather than small.
const UNKNOWN_SCALE: u8 = 8;
/// The largest shift (RFC 7323, section 2.3).
const MAX_SCALE: u8 = 14;

impl<E: FlowExtractor> FlowTable<E> {
    /// A TCP packet, of the flow that was found.
    #[inline(always)]
    pub(super) fn tcp_packet(
        &mut self,
        found: Option<u32>,
        packet: &Packet<'_>,
        work: &Work<E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        if let Some(slot) = found
            && self.in_order(slot, packet, work, handler)
        {
            return;
        }
        self.any_order(found, packet, work, handler);
    }

    /// The common case, complete in itself: an open connection in which nothing is amiss, and a segment with what comes
    /// next or with an acknowledgement alone. False, with nothing done, in every other case.
    #[inline(always)]
    fn in_order(
        &mut self,
        slot: u32,
        packet: &Packet<'_>,
        work: &Work<E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> bool {
        let unusual = TcpFlags::SYN | TcpFlags::RST | TcpFlags::FIN;
        let tcp = &work.tcp;
        let entry = &mut self.slots[slot];
        let unsettled = SlotFlags::RIVAL.or(SlotFlags::DOUBTFUL_RESET);
        let side = entry.side(work.orientation);
        let [initiator, responder] = &mut entry.directions;
        let (own, peer) = match side {
            FlowSide::Initiator => (initiator, responder),
            FlowSide::Responder => (responder, initiator),
        };
        let amiss = F::GRACE.or(F::HOLD).or(F::PENDING).or(F::FIN);
        let either = own.flags.or(peer.flags);
        if tcp.flags.intersects(unusual)
            || !tcp.flags.contains(TcpFlags::ACK)
            || entry.state != State::Established
            || entry.flags.has(unsettled)
            || either.has(amiss)
            || !peer.flags.has(F::ACKED)
            || tcp.window == 0
            || work.payload_len != work.payload_wire_len
        {
            return false;
        }
        if !entry.flags.has(SlotFlags::HANDSHAKE) && own.flags.has(F::SYN) && peer.flags.has(F::SYN)
        {
            return false;
        }
        // The peer must not acknowledge what was not seen.
        if peer.flags.has(F::ANCHORED) && ahead(tcp.acknowledgement, peer.expected()) {
            return false;
        }
        let letter = if work.payload_len == 0 {
            if !own.flags.has(F::ANCHORED) {
                own.base = tcp.sequence;
                own.flags.set(F::HINT);
            }
            Letter::Ack
        } else {
            if !own.flags.has(F::ANCHORED) || tcp.sequence != own.expected() {
                return false;
            }
            Letter::Data
        };
        note(&mut self.cold[slot].history, &mut own.history, side, letter);
        if ahead(tcp.acknowledgement, peer.acked) {
            peer.acked = tcp.acknowledgement;
        }
        let edge = tcp.acknowledgement.wrapping_add(u32::from(tcp.window) << shift(own, peer));
        if ahead(edge, peer.edge) {
            peer.edge = edge;
        }
        entry.last_seen = self.now;
        let counters = &mut entry.counters[side as usize];
        counters.packets += 1;
        counters.wire_bytes += u64::from(packet.wire_len);
        if work.payload_len > 0 {
            counters.payload_bytes += u64::from(work.payload_len);
            let offset = own.next;
            own.next += u64::from(work.payload_len);
            self.statistics.delivered_bytes += u64::from(work.payload_len);
            let data = Data {
                bytes: work.payload(packet),
                offset,
                timestamp: packet.timestamp,
                packet_number: packet.number,
            };
            handler.on_data(&view(slot, entry), side, data);
        }
        true
    }

    #[inline(never)]
    fn any_order(
        &mut self,
        found: Option<u32>,
        packet: &Packet<'_>,
        work: &Work<E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let TcpHeader { sequence, acknowledgement, flags, window, window_scale } = work.tcp;
        let segment = Segment {
            orientation: work.orientation,
            sequence,
            acknowledgement,
            flags,
            window,
            window_scale,
            payload: work.payload(packet),
            payload_wire_len: work.payload_wire_len,
            wire_len: packet.wire_len,
            timestamp: packet.timestamp.as_nanos(),
            number: packet.number,
        };
        if flags.contains(TcpFlags::SYN | TcpFlags::RST) {
            self.statistics.invalid_flags += 1;
            return;
        }
        let slot = match found {
            Some(slot) => slot,
            None if flags.contains(TcpFlags::RST) => {
                self.statistics.orphan_resets += 1;
                return;
            }
            None => {
                let slot = self.insert(&work.key, work.hash, handler);
                let ports = (work.source_port, work.destination_port);
                self.open_as(slot, &segment, sender_is_initiator(flags, ports), handler);
                slot
            }
        };
        self.segment(slot, &segment, handler);
    }

    /// Begins a flow with its first segment, which is yet to be worked on.
    fn open_as(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        by_sender: bool,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let initiator = if by_sender { segment.orientation } else { opposite(segment.orientation) };
        let half_open = segment.flags.contains(TcpFlags::SYN) && by_sender;
        let state = if half_open { State::HalfOpen } else { State::Established };
        self.start(slot, protocol::TCP, initiator, state, handler);
    }

    /// Works on a segment of a flow.
    #[inline]
    fn segment(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let special = TcpFlags::SYN | TcpFlags::RST;
        let entry = &self.slots[slot];
        if entry.state == State::Ended
            || segment.flags.intersects(special)
            || entry.flags.has(SlotFlags::RIVAL.or(SlotFlags::DOUBTFUL_RESET))
        {
            self.special(slot, segment, handler);
        } else {
            self.ordinary(slot, segment, handler);
        }
    }

    /// Segments that may begin or end a connection.
    #[inline(never)]
    fn special(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        if self.slots[slot].state == State::Ended {
            if self.begins_anew(slot, segment) {
                self.renew(slot);
                let by_sender = !segment.flags.contains(TcpFlags::ACK);
                self.open_as(slot, segment, by_sender, handler);
                self.ordinary(slot, segment, handler);
            } else {
                self.statistics.after_end += 1;
            }
            return;
        }
        if self.slots[slot].flags.has(SlotFlags::RIVAL) && self.confirms_rival(slot, segment) {
            self.replace_by_rival(slot, handler);
        }
        if segment.flags.contains(TcpFlags::RST) {
            self.count(slot, segment);
            self.reset(slot, segment);
            self.arm(slot);
            return;
        }
        self.slots[slot].flags.clear(SlotFlags::DOUBTFUL_RESET);
        if segment.flags.contains(TcpFlags::SYN) {
            match self.classify_syn(slot, segment) {
                Syn::Belongs => {}
                Syn::Late => {
                    self.count(slot, segment);
                    return;
                }
                Syn::Rival => {
                    if matches!(self.slots[slot].state, State::Closing | State::Reset) {
                        // Nothing is left of the old connection that a forged SYN could harm.
                        self.end(slot, EndReason::Replaced, handler);
                        self.renew(slot);
                        let by_sender = !segment.flags.contains(TcpFlags::ACK);
                        self.open_as(slot, segment, by_sender, handler);
                    } else {
                        self.remember_rival(slot, segment);
                        return;
                    }
                }
            }
        }
        self.ordinary(slot, segment, handler);
    }

    /// Segments of an open connection: acknowledgement, then payload, then FIN.
    #[inline]
    fn ordinary(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let now = self.now;
        let syn = segment.flags.contains(TcpFlags::SYN);
        let side = self.count(slot, segment);
        let entry = &mut self.slots[slot];
        let [initiator, responder] = &mut entry.directions;
        let (own, peer) = match side {
            FlowSide::Initiator => (initiator, responder),
            FlowSide::Responder => (responder, initiator),
        };
        if syn {
            own.scale =
                segment.window_scale.map_or(Direction::UNSCALED, |scale| scale.min(MAX_SCALE));
        }
        // Without a SYN-ACK, it is the initiator's going on that shows that there was one.
        if entry.state == State::HalfOpen
            && (side == FlowSide::Responder || (!syn && segment.flags.contains(TcpFlags::ACK)))
        {
            entry.state = State::Established;
        }
        let edge = segment
            .acknowledgement
            .wrapping_add(u32::from(segment.window) << if syn { 0 } else { shift(own, peer) });
        let acknowledges = segment.flags.contains(TcpFlags::ACK);
        let fin = segment.flags.contains(TcpFlags::FIN);
        let plain = segment.payload_wire_len == 0 && !syn && !fin;
        if acknowledges
            && !entry.flags.has(SlotFlags::HANDSHAKE)
            && side == FlowSide::Initiator
            && !syn
            && own.flags.has(F::SYN)
            && peer.flags.has(F::SYN)
        {
            entry.flags.set(SlotFlags::HANDSHAKE);
            let cold = &mut self.cold[slot];
            cold.handshake = now.saturating_sub(cold.handshake);
        }
        let zero_window = segment.window == 0 && !syn;
        let mut wake = u64::MAX;
        if acknowledges {
            let mut stream = self.stream(slot, side.opposite(), handler, &mut wake);
            if syn && !stream.direction.flags.has(F::ANCHORED) {
                // A SYN-ACK tells where the stream of a SYN that was not seen begins.
                stream.anchor(segment.acknowledgement);
            }
            stream.acknowledged(segment.acknowledgement, edge);
        }
        let mut stream = self.stream(slot, side, handler, &mut wake);
        if plain {
            note(stream.history, &mut stream.direction.history, side, Letter::Ack);
            stream.hint(segment.sequence);
        } else {
            let mut sequence = segment.sequence;
            if syn {
                let letter = if acknowledges { Letter::SynAck } else { Letter::Syn };
                note(stream.history, &mut stream.direction.history, side, letter);
                sequence = sequence.wrapping_add(1);
                stream.anchor(sequence);
                stream.direction.flags.set(F::SYN);
            }
            if segment.payload_wire_len > 0 {
                stream.payload(Payload {
                    sequence,
                    bytes: segment.payload,
                    wire_len: segment.payload_wire_len,
                    timestamp: segment.timestamp,
                    number: segment.number,
                });
            }
            if fin {
                stream.fin(sequence.wrapping_add(segment.payload_wire_len));
            }
        }
        if zero_window {
            stream.zero_window();
        }
        let waiting = F::GRACE.or(F::HOLD);
        for side in [FlowSide::Initiator, FlowSide::Responder] {
            if self.slots[slot].directions[side as usize].flags.has(waiting) {
                self.stream(slot, side, handler, &mut wake).count_packet();
            }
        }
        if syn && side == FlowSide::Initiator && !self.slots[slot].directions[1].flags.has(F::SYN) {
            self.cold[slot].handshake = now;
        }
        let closing = F::FIN;
        let [initiator, responder] = &self.slots[slot].directions;
        if initiator.flags.has(closing) && responder.flags.has(closing) {
            self.closing(slot, handler);
        }
        if wake != u64::MAX {
            self.wake(slot, wake);
        }
        if self.backlogs.bytes() > self.config.table_bytes {
            self.enforce_table_limit(handler);
        }
    }

    /// Both sides have sent a FIN.
    fn closing(&mut self, slot: u32, handler: &mut impl FlowHandler<E::Key>) {
        if self.slots[slot].state == State::Established {
            self.slots[slot].state = State::Closing;
            self.arm(slot);
        }
        self.close_if_done(slot, handler);
    }

    /// Ends a flow in which both FINs were reached and acknowledged.
    pub(super) fn close_if_done(&mut self, slot: u32, handler: &mut impl FlowHandler<E::Key>) {
        let entry = &self.slots[slot];
        let done = |direction: &Direction| {
            direction.flags.has(F::FIN_REACHED) && direction.flags.has(F::FIN_ACKED)
        };
        if entry.state == State::Closing && entry.directions.iter().all(done) {
            self.end(slot, EndReason::Fin, handler);
            self.arm(slot);
        }
    }

    #[inline]
    fn count(&mut self, slot: u32, segment: &Segment<'_>) -> FlowSide {
        let entry = &mut self.slots[slot];
        entry.last_seen = self.now;
        let side = entry.side(segment.orientation);
        let counters = &mut entry.counters[side as usize];
        counters.packets += 1;
        counters.payload_bytes += u64::from(segment.payload_wire_len);
        counters.wire_bytes += u64::from(segment.wire_len);
        side
    }

    // --- resets ---

    /// A RST: believed at the next expected sequence number, doubted elsewhere in the window, ignored outside
    /// (RFC 5961, section 3).
    fn reset(&mut self, slot: u32, segment: &Segment<'_>) {
        let entry = &mut self.slots[slot];
        let side = entry.side(segment.orientation);
        let own = entry.directions[side as usize];
        let peer = entry.directions[side.opposite() as usize];
        let acknowledges = segment.flags.contains(TcpFlags::ACK);
        let refused = entry.state == State::HalfOpen
            && side == FlowSide::Responder
            && acknowledges
            && segment.acknowledgement.wrapping_sub(peer.base) <= peer.next as u32;
        let known = own.flags.has(F::ANCHORED.or(F::HINT));
        let expected = (known && segment.sequence == own.expected())
            || (own.flags.has(F::ACKED) && segment.sequence == own.acked)
            || (own.flags.has(F::FIN)
                && (segment.sequence == own.fin || segment.sequence == own.fin.wrapping_add(1)))
            || (own.flags.has(F::PENDING)
                && self
                    .backlogs
                    .peek(own.backlog)
                    .and_then(|backlog| backlog.pending.end())
                    .is_some_and(|end| segment.sequence == own.base.wrapping_add(end as u32)));
        let in_window =
            !known || own.offset(segment.sequence).abs_diff(own.next.cast_signed()) < 1 << 20;
        let seen = &mut entry.directions[side as usize].history;
        note(&mut self.cold[slot].history, seen, side, Letter::Reset);
        if refused || expected {
            if entry.state != State::Closing {
                entry.state = State::Reset;
                entry.flags.set(SlotFlags::WAS_RESET);
            }
        } else if in_window {
            self.statistics.doubtful_resets += 1;
            entry.flags.set(SlotFlags::DOUBTFUL_RESET);
        } else {
            self.statistics.out_of_window += 1;
        }
    }

    // --- connections on the same addresses and ports ---

    /// Whether a segment begins another connection after the flow's end.
    fn begins_anew(&self, slot: u32, segment: &Segment<'_>) -> bool {
        let entry = &self.slots[slot];
        let own = &entry.directions[entry.side(segment.orientation) as usize];
        let repeated = own.flags.has(F::SYN) && own.base == segment.sequence.wrapping_add(1);
        segment.flags.contains(TcpFlags::SYN) && !repeated
    }

    /// Whether a SYN fits the flow.
    fn classify_syn(&self, slot: u32, segment: &Segment<'_>) -> Syn {
        let entry = &self.slots[slot];
        let side = entry.side(segment.orientation);
        let own = &entry.directions[side as usize];
        let peer = &entry.directions[side.opposite() as usize];
        let base = segment.sequence.wrapping_add(1);
        if segment.flags.contains(TcpFlags::ACK) && peer.flags.has(F::SYN) {
            let acknowledged = segment.acknowledgement.wrapping_sub(peer.base);
            if acknowledged > peer.next as u32 {
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
                before if before < LATE_SYN => Syn::Late,
                _ => Syn::Rival,
            };
        }
        let first = if own.flags.has(F::HOLD) {
            Some(own.expected())
        } else if own.flags.has(F::ACKED) {
            Some(own.acked)
        } else if own.flags.has(F::HINT) {
            Some(own.base)
        } else {
            None
        };
        match first {
            Some(first) if first.wrapping_sub(base).wrapping_add(LATE_SYN) > 2 * LATE_SYN => {
                Syn::Rival
            }
            _ => Syn::Belongs,
        }
    }

    fn remember_rival(&mut self, slot: u32, segment: &Segment<'_>) {
        self.statistics.rivals += 1;
        self.drop_rival(slot);
        let entry = &mut self.slots[slot];
        entry.flags.set(SlotFlags::RIVAL);
        let rival = Rival {
            side: entry.side(segment.orientation),
            sequence: segment.sequence,
            acknowledgement: segment.acknowledgement,
            flags: segment.flags,
            window: segment.window,
            window_scale: segment.window_scale,
            payload: segment.payload.to_vec(),
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
            if self.rivals.remove(&slot).is_some() {
                self.statistics.rivals_dropped += 1;
            }
        }
    }

    /// Whether a segment shows that the rival is the connection that goes on.
    fn confirms_rival(&self, slot: u32, segment: &Segment<'_>) -> bool {
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

    fn replace_by_rival(&mut self, slot: u32, handler: &mut impl FlowHandler<E::Key>) {
        let Some(rival) = self.rivals.remove(&slot) else { return };
        let entry = &mut self.slots[slot];
        entry.flags.clear(SlotFlags::RIVAL);
        let orientation = match rival.side {
            FlowSide::Initiator => entry.initiator(),
            FlowSide::Responder => opposite(entry.initiator()),
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
        self.open_as(slot, &segment, !rival.flags.contains(TcpFlags::ACK), handler);
        self.ordinary(slot, &segment, handler);
    }

    /// Another flow takes over the slot and the key of one that has ended.
    fn renew(&mut self, slot: u32) {
        let entry = &mut self.slots[slot];
        entry.generation = entry.generation.wrapping_add(1);
    }

    /// Too much waits behind holes: the oldest of them become gaps.
    #[inline(never)]
    fn enforce_table_limit(&mut self, handler: &mut impl FlowHandler<E::Key>) {
        while self.backlogs.bytes() > self.config.table_bytes
            && let Some((slot, side)) = self.backlogs.oldest()
        {
            let side = if side == 0 { FlowSide::Initiator } else { FlowSide::Responder };
            let mut wake = u64::MAX;
            self.stream(slot, side, handler, &mut wake).give_way();
            if wake != u64::MAX {
                self.wake(slot, wake);
            }
        }
    }
}

/// Who opened the connection, judged by its first segment: SYN and SYN-ACK tell, then the ports, of which services have
/// the lower one; then who is seen first.
fn sender_is_initiator(flags: TcpFlags, (source, destination): (u16, u16)) -> bool {
    if flags.contains(TcpFlags::SYN) {
        return !flags.contains(TcpFlags::ACK);
    }
    source >= destination
}

const fn opposite(orientation: Orientation) -> Orientation {
    match orientation {
        Orientation::Forward => Orientation::Reverse,
        Orientation::Reverse => Orientation::Forward,
    }
}

/// The shift of the windows that a side announces (RFC 7323, section 2.2): it applies if both SYNs had the option.
const fn shift(own: &Direction, peer: &Direction) -> u8 {
    if own.flags.has(F::SYN) && peer.flags.has(F::SYN) {
        if own.scale == Direction::UNSCALED || peer.scale == Direction::UNSCALED {
            0
        } else {
            own.scale
        }
    } else {
        UNKNOWN_SCALE
    }
}
