//! Connections: how they begin, go on and end.

use crate::history::Letter;
use crate::slot::{Direction, DirectionFlags as F, Lengths, SlotFlags, State};
use crate::stream::{Payload, ahead, may_stray};
use crate::{
    EndReason, FirstPacket, FlowExtractor, FlowHandler, FlowSide, FlowTable, Orientation, Packet,
    TcpFlags, TcpHeader, Timestamp, UnplacedCause, protocol,
};

use super::lookup::Lookup;
use super::pending_syn::Syn;

/// The maximum distance from its SYN at which a client's first captured segment may be, if the ones
/// before it were lost.
const FIRST_FLIGHT: i64 = 1 << 16;

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub(super) orientation: Orientation,
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    pub(super) flags: TcpFlags,
    pub(super) window: u16,
    pub(super) window_scale: Option<u8>,
    pub(super) payload: &'a [u8],
    pub(super) payload_wire_len: u32,
    pub(super) wire_len: u32,
    pub(super) ip_len: u32,
    /// Nanoseconds, as the packet tells it.
    pub(super) timestamp: u64,
    pub(super) number: u64,
}

impl<'a> Segment<'a> {
    /// The segment in a packet.
    pub(super) fn of(packet: &Packet<'a>, lookup: &Lookup) -> Self {
        let TcpHeader { sequence, acknowledgement, flags, window, window_scale, .. } = lookup.tcp;
        Self {
            orientation: lookup.orientation,
            sequence,
            acknowledgement,
            flags,
            window,
            window_scale,
            payload: lookup.payload(packet),
            payload_wire_len: lookup.payload_wire_len,
            wire_len: packet.wire_len(),
            ip_len: lookup.ip_len(),
            timestamp: packet.timestamp().as_nanos(),
            number: packet.number(),
        }
    }

    /// The payload, with its first byte at this sequence number.
    #[inline]
    pub(super) fn payload(&self, sequence: u32, depends_on: u64) -> Payload<'a> {
        let acknowledges = self.flags.contains(TcpFlags::ACK);
        Payload {
            sequence,
            acknowledgement: acknowledges.then_some((self.acknowledgement, self.window)),
            packet_len: self.wire_len,
            ip_len: self.ip_len,
            bytes: self.payload,
            wire_len: self.payload_wire_len,
            pushed: self.flags.intersects(TcpFlags::PSH | TcpFlags::FIN),
            timestamp: self.timestamp,
            number: self.number,
            depends_on,
        }
    }
}

impl<E: FlowExtractor> FlowTable<E> {
    /// A TCP packet, of the flow that was found.
    pub(super) fn slow_path(
        &mut self,
        found: Option<u32>,
        packet: &Packet<'_>,
        lookup: &Lookup,
        key: Option<&E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let connection = match found {
            Some(slot) => self.slots[slot].is_tcp(),
            None => self.extractor.is_connection(),
        };
        if !connection {
            self.datagram(found, packet, lookup, key, handler);
            return;
        }
        match found {
            Some(slot) => self.segment(slot, &Segment::of(packet, lookup), handler),
            // A RST alone begins no flow: answers to scans and to forged addresses would fill the
            // table.
            None if lookup.tcp.flags.contains(TcpFlags::RST) => self.statistics.orphan_resets += 1,
            None => self.begin(packet, lookup, key, handler),
        }
    }

    /// A segment that begins a flow.
    #[inline(never)]
    pub(super) fn begin(
        &mut self,
        packet: &Packet<'_>,
        lookup: &Lookup,
        key: Option<&E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let Some(key) = self.key(lookup, key) else { return };
        let slot = self.insert(key, lookup, handler);
        let segment = Segment::of(packet, lookup);
        let by_sender = sender_is_initiator(segment.flags, lookup.ports(packet));
        // Of a flow that has only begun there is nothing that a SYN could contradict.
        let opens = self.open_as(slot, &segment, by_sender, handler);
        let usual = opens && self.handshake_path(slot, packet, lookup, handler);
        if opens && !usual {
            self.established(slot, &segment, handler);
        }
        self.note_opening(slot, lookup);
        if !(usual && segment.flags.contains(TcpFlags::SYN)) {
            self.note_greeting(slot, lookup);
        }
    }

    /// Begins a flow with its first segment, which is yet to be worked on. False if it is not
    /// admitted.
    pub(super) fn open_as(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        by_sender: bool,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> bool {
        let initiator =
            if by_sender { segment.orientation } else { segment.orientation.reversed() };
        let syn = segment.flags.contains(TcpFlags::SYN);
        let state = if syn && by_sender { State::HalfOpen } else { State::Established };
        let side = if by_sender { FlowSide::Initiator } else { FlowSide::Responder };
        let first = FirstPacket {
            side,
            payload: segment.payload,
            flags: segment.flags,
            timestamp: Timestamp::from_nanos(segment.timestamp),
            packet_number: segment.number,
        };
        let admitted = self.start(slot, protocol::TCP, initiator, state, &first, handler);
        if !admitted && syn {
            // So that it is known when it is repeated or answered.
            let directions = &mut self.slots[slot].directions;
            let own = &mut directions[side as usize];
            own.base = segment.sequence.wrapping_add(1);
            own.flags.set(F::SYN);
            if !by_sender {
                let peer = &mut directions[side.opposite() as usize];
                peer.base = segment.acknowledgement;
                peer.flags.set(F::SYN);
            }
        }
        admitted
    }

    /// Works on a segment of a flow.
    #[inline]
    pub(super) fn segment(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let special = TcpFlags::SYN | TcpFlags::RST;
        let entry = &self.slots[slot];
        if entry.state == State::Ended
            || segment.flags.intersects(special)
            || entry.flags.has(SlotFlags::PENDING_SYN.or(SlotFlags::DOUBTFUL_RESET))
        {
            self.syn_or_rst(slot, segment, handler);
        } else {
            self.established(slot, segment, handler);
        }
    }

    /// Segments that may begin or end a connection.
    #[inline(never)]
    fn syn_or_rst(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        if self.slots[slot].state == State::Ended {
            if self.begins_anew(slot, segment) {
                self.begin_again(slot, segment, handler);
            } else {
                self.after_end(slot, segment.payload.len());
            }
            return;
        }
        if self.slots[slot].flags.has(SlotFlags::PENDING_SYN) {
            if let Some(confirmed) = self.confirmed_syn(slot, segment) {
                self.replace_by_syn(slot, confirmed, handler);
                if self.slots[slot].state == State::Ended {
                    // The connection was not admitted.
                    self.after_end(slot, segment.payload.len());
                    return;
                }
            } else if self.answers_pending_syn(slot, segment) {
                self.remember_syn(slot, segment, handler);
                return;
            } else if self.is_of_pending_syn(slot, segment) {
                self.park(slot, segment, handler);
                return;
            } else {
                self.contradict_pending_syns(slot, segment);
            }
        }
        if segment.flags.contains(TcpFlags::RST) {
            let side = self.count_segment(slot, segment);
            self.reset(slot, segment);
            if !segment.payload.is_empty() {
                // A reason in words, if anything (RFC 9293, section 3.5.3): no data of the stream.
                let (sequence, cause) = (segment.sequence, UnplacedCause::Discarded);
                let (timestamp, number) = (segment.timestamp, segment.number);
                let mut wake = u64::MAX;
                let mut stream = self.stream(slot, side, handler, &mut wake);
                stream.unplaced(segment.payload, sequence, timestamp, number, cause);
            }
            self.arm(slot);
            return;
        }
        // The connection goes on, so the receiver did not take the RST (RFC 5961, section 3.2).
        self.slots[slot].flags.clear(SlotFlags::DOUBTFUL_RESET);
        if segment.flags.contains(TcpFlags::SYN) {
            match self.classify_syn(slot, segment) {
                Syn::Belongs => {}
                Syn::Late => {
                    self.late_syn(slot, segment, handler);
                    return;
                }
                Syn::Overtaken => {
                    let entry = &mut self.slots[slot];
                    let side = entry.side(segment.orientation);
                    entry.directions[side as usize].begin_at(segment.sequence.wrapping_add(1));
                }
                Syn::Pending => {
                    if matches!(self.slots[slot].state, State::Closing | State::Reset) {
                        // Nothing is left of the old connection that a forged SYN could harm.
                        self.end(slot, EndReason::Replaced, handler);
                        self.begin_again(slot, segment, handler);
                    } else {
                        // A host answers a SYN in an open connection with a challenge ACK and goes
                        // on (RFC 5961, section 4.2): a forged one must not end the flow.
                        self.remember_syn(slot, segment, handler);
                    }
                    return;
                }
            }
        }
        self.established(slot, segment, handler);
    }

    /// A segment begins another connection in the slot of one that has ended.
    fn begin_again(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let by_sender = if segment.flags.contains(TcpFlags::SYN) {
            !segment.flags.contains(TcpFlags::ACK)
        } else {
            // Nothing tells the sides apart better than the connection before.
            segment.orientation == self.slots[slot].initiator()
        };
        self.renew(slot);
        if self.open_as(slot, segment, by_sender, handler) {
            self.established(slot, segment, handler);
        }
    }

    /// A packet of a flow that is over.
    pub(super) fn after_end(&mut self, slot: u32, payload_bytes: usize) {
        self.statistics.after_end += 1;
        self.statistics.after_end_bytes += payload_bytes as u64;
        let entry = &mut self.slots[slot];
        if entry.flags.has(SlotFlags::REFUSED) {
            // It goes on: the handler must not be asked again in the middle of it.
            entry.last_seen = self.now;
        }
    }

    /// A segment whose place depends on evidence that is not there yet.
    pub(super) fn park(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let side = self.count_segment(slot, segment);
        let mut wake = u64::MAX;
        let mut stream = self.stream(slot, side, handler, &mut wake);
        let fin = segment.flags.contains(TcpFlags::FIN);
        stream.park(segment.payload(segment.sequence, 0), fin);
        if wake != u64::MAX {
            self.wake(slot, wake);
        }
        self.enforce_quarantine_limit(handler);
    }

    /// A SYN behind bytes that come after it: of its own there is no place for them any more.
    fn late_syn(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let side = self.count_segment(slot, segment);
        if segment.payload_wire_len > 0 {
            let mut wake = u64::MAX;
            let payload = segment.payload(segment.sequence.wrapping_add(1), 0);
            self.stream(slot, side, handler, &mut wake).payload(payload);
            if wake != u64::MAX {
                self.wake(slot, wake);
            }
        }
    }

    /// Segments of an open connection: acknowledgement, then payload, then FIN.
    #[inline]
    pub(super) fn established(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let now = self.now;
        let syn = segment.flags.contains(TcpFlags::SYN);
        if !syn
            && self.slots[slot].may_have_closed()
            && self.leaves_closed_connection(slot, segment)
        {
            self.end(slot, EndReason::Replaced, handler);
            self.begin_again(slot, segment, handler);
            return;
        }
        let side = self.count_segment(slot, segment);
        let refutes = !syn && self.refutes_syn_ack(slot, segment);
        self.leave_refuted_syn_ack(slot, segment);
        let entry = &mut self.slots[slot];
        let (own, peer) = both(&mut entry.directions, side);
        if syn {
            own.scale.announce(segment.window_scale);
        }
        // Without a SYN-ACK, it is the initiator's going on that shows that there was one, and
        // where the responder's stream begins. A straggler of the connection before has other
        // numbers.
        let first_after_syn = entry.state == State::HalfOpen
            && side == FlowSide::Initiator
            && (0..=FIRST_FLIGHT).contains(&own.offset(segment.sequence));
        if entry.state == State::HalfOpen
            && (side == FlowSide::Responder || (!syn && segment.flags.contains(TcpFlags::ACK)))
        {
            entry.state = State::Established;
        }
        // The window of a SYN is never scaled (RFC 7323, section 2.2).
        let edge = segment
            .acknowledgement
            .wrapping_add(u32::from(segment.window) << if syn { 0 } else { own.scale.shift() });
        let acknowledges = segment.flags.contains(TcpFlags::ACK);
        let fin = segment.flags.contains(TcpFlags::FIN);
        let plain = segment.payload_wire_len == 0 && !syn && !fin;
        if acknowledges
            && !entry.flags.has(SlotFlags::HANDSHAKE)
            && side == FlowSide::Initiator
            && !syn
            && own.flags.has(F::SYN)
            && peer.flags.has(F::SYN)
            && !refutes
        {
            entry.flags.set(SlotFlags::HANDSHAKE);
            self.cold[slot].complete_handshake(now);
            if let Some(reassembly) = self.reassemblies.get(peer.reassembly) {
                reassembly.beginning = None;
            }
        }
        let zero_window = segment.window == 0 && !syn;
        // While a stream has no beginning its first segments are held back, and what comes before
        // them was said before.
        let gapped = !own.flags.has(F::ANCHORED) || ahead(segment.sequence, own.expected());
        let hole = gapped || own.flags.has(F::PENDING);
        let (mut wake, mut depends_on) = (u64::MAX, 0);
        let early = own.flags.has(F::EARLY) && !syn;
        let mut strays = !syn && may_stray(own, segment.sequence);
        if early || strays {
            let mut stream = self.stream(slot, side, handler, &mut wake);
            if early {
                // The client sends the payload of its SYN again, or goes on behind it.
                let offset = segment.sequence.wrapping_sub(stream.direction.base);
                stream.settle_early(if offset.cast_signed() < 0 { 0 } else { offset });
            }
            // A segment outside the window acknowledges nothing (RFC 9293, section 3.10.7.4),
            // unless the other side is somewhere else as well.
            strays = !syn && stream.is_stray(segment.sequence);
        }
        let (_, peer) = both(&mut self.slots[slot].directions, side);
        if acknowledges
            && !strays
            && !refutes
            && peer.is_undisturbed()
            && !may_stray(peer, segment.acknowledgement)
            && peer.takes_acknowledgement(segment.acknowledgement, edge)
        {
            // Nothing hangs on it.
            if gapped {
                depends_on = peer.known(segment.acknowledgement);
            }
        } else if acknowledges {
            let mut stream = self.stream(slot, side.opposite(), handler, &mut wake);
            if syn && !stream.direction.flags.has(F::ANCHORED) {
                // A SYN-ACK tells where the stream of a SYN that was not seen begins.
                stream.anchor(segment.acknowledgement);
            }
            if first_after_syn && !syn {
                stream.note_beginning(segment.acknowledgement);
            }
            if refutes {
                // Of the stream that it is of nothing else is known.
                stream.note_other_beginning(segment.acknowledgement);
            } else if !strays || stream.is_stray(segment.acknowledgement) {
                let answers = segment.payload_wire_len > 0;
                depends_on = stream.acknowledged(segment.acknowledgement, edge, hole, answers);
                if depends_on == 0 && gapped {
                    depends_on = stream.direction.known(segment.acknowledgement);
                }
            }
        }
        let mut stream = self.stream(slot, side, handler, &mut wake);
        if plain {
            stream.note(Letter::Ack);
            stream.direction.hint(segment.sequence);
        } else {
            let mut sequence = segment.sequence;
            if syn {
                let letter = if acknowledges { Letter::SynAck } else { Letter::Syn };
                stream.note(letter);
                sequence = sequence.wrapping_add(1);
                stream.anchor(sequence);
                stream.direction.flags.set(F::SYN);
            }
            let payload = segment.payload(sequence, depends_on);
            if segment.payload_wire_len > 0 {
                if syn && !acknowledges && stream.direction.has_brought_nothing_but_early() {
                    stream.hold_early(payload);
                } else {
                    stream.payload(payload);
                }
            }
            if fin {
                stream.fin(payload);
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
        let [initiator, responder] = &self.slots[slot].directions;
        // One FIN alone closes only half of the connection (RFC 9293, section 3.6): the other side
        // may go on sending for any time.
        let closing = initiator.flags.has(F::FIN) && responder.flags.has(F::FIN);
        if closing {
            self.closing(slot, handler);
        } else if self.slots[slot].state == State::Closing {
            // A FIN turned out to be false.
            self.slots[slot].state = State::Established;
            self.arm(slot);
        }
        if self.slots[slot].directions.iter().any(|direction| direction.flags.has(F::QUARANTINE)) {
            self.follow_quarantine(slot, handler);
        }
        let entry = &mut self.slots[slot];
        if syn {
            entry.agree_on_scales();
        }
        entry.update_fast_path();
        if wake != u64::MAX {
            self.wake(slot, wake);
        }
        if self.reassemblies.bytes() > self.pending_limit() {
            self.enforce_table_limit(handler);
        }
        self.enforce_quarantine_limit(handler);
    }

    /// Both sides have sent a FIN.
    pub(super) fn closing(&mut self, slot: u32, handler: &mut impl FlowHandler<E::Key>) {
        if self.slots[slot].state == State::Established {
            self.slots[slot].state = State::Closing;
            self.arm(slot);
        }
        self.close_if_done(slot, handler);
    }

    /// Ends a flow in which both FINs were reached and acknowledged.
    pub(super) fn close_if_done(&mut self, slot: u32, handler: &mut impl FlowHandler<E::Key>) {
        let entry = &self.slots[slot];
        let done = |direction: &Direction| direction.flags.has(F::FIN_ACKED);
        if entry.state == State::Closing && entry.directions.iter().all(done) {
            self.end(slot, EndReason::Fin, handler);
            self.arm(slot);
        }
    }

    #[inline]
    pub(super) fn count_segment(&mut self, slot: u32, segment: &Segment<'_>) -> FlowSide {
        let side = self.slots[slot].side(segment.orientation);
        let lengths = Lengths {
            payload: segment.payload_wire_len,
            wire: segment.wire_len,
            ip: segment.ip_len,
        };
        self.count(slot, side, lengths);
        side
    }

    /// Too much is in quarantine: the oldest of it is reported.
    fn enforce_quarantine_limit(&mut self, handler: &mut impl FlowHandler<E::Key>) {
        while self.reassemblies.quarantine_bytes() > self.config.quarantine_table_bytes
            && let Some((slot, side)) = self.reassemblies.oldest_quarantine()
        {
            let side = if side == 0 { FlowSide::Initiator } else { FlowSide::Responder };
            let mut wake = u64::MAX;
            self.stream(slot, side, handler, &mut wake).shed_quarantine();
        }
    }

    /// Too much waits behind holes: the oldest of them become gaps.
    #[inline(never)]
    pub(super) fn enforce_table_limit(&mut self, handler: &mut impl FlowHandler<E::Key>) {
        while self.reassemblies.bytes() > self.pending_limit()
            && let Some((slot, side)) = self.reassemblies.oldest()
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

/// `true` if the sender of the first segment opened the connection. SYN and SYN-ACK show it;
/// otherwise the side with the lower port is the service, and with equal ports the first sender
/// opened it.
fn sender_is_initiator(flags: TcpFlags, (source, destination): (u16, u16)) -> bool {
    if flags.contains(TcpFlags::SYN) {
        return !flags.contains(TcpFlags::ACK);
    }
    source >= destination
}

/// The direction of this side, and that of the other.
#[inline(always)]
pub(super) const fn both(
    directions: &mut [Direction; 2],
    side: FlowSide,
) -> (&mut Direction, &mut Direction) {
    let [initiator, responder] = directions;
    match side {
        FlowSide::Initiator => (initiator, responder),
        FlowSide::Responder => (responder, initiator),
    }
}
