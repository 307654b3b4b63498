//! Connections on the same addresses and ports.
//!
//! A SYN with another sequence number may be a new connection, the other side of a middlebox that
//! rewrites numbers, or forged. Nothing about the flow changes before the evidence is there: a
//! forged SYN must not blind the watcher.

mod evidence;
mod parked;
mod syn_ack;

pub(super) use evidence::Confirmed;

use super::tcp::Segment;
use crate::history::Seen;
use crate::quarantine::Parked;
use crate::slot::{Direction, DirectionFlags as F, SlotFlags, State};
use crate::stream::ahead;
use crate::{EndReason, FlowExtractor, FlowHandler, FlowSide, FlowTable, TcpFlags, UnplacedCause};

/// A SYN segment whose sequence number does not belong to the flow. Kept until a later segment
/// confirms it.
#[derive(Debug)]
pub(super) struct PendingSyn {
    pub(super) side: FlowSide,
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    pub(super) flags: TcpFlags,
    pub(super) window: u16,
    pub(super) window_scale: Option<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) payload_wire_len: u32,
    pub(super) wire_len: u32,
    pub(super) ip_len: u32,
    pub(super) timestamp: u64,
    pub(super) number: u64,
    /// `true` if the flow went on afterwards.
    pub(super) contradicted: bool,
    /// `true` if a side had sent a FIN before, which may be all that was captured of a close.
    pub(super) after_fin: bool,
}

/// The meaning of a segment with SYN for a flow.
pub(super) enum Syn {
    /// It begins, or repeats the beginning of, this flow.
    Belongs,
    /// It may begin another.
    Pending,
    /// It came out of order, after the stream had been picked up midway.
    Late,
    /// It came after its answer, which acknowledges bytes that it carries, or that the one before
    /// it carried: the stream begins with them.
    Overtaken,
}

/// The maximum distance of a late SYN before the first byte of a stream that was picked up midway.
const LATE_SYN: u32 = 1 << 16;
/// The maximum number of bytes that a SYN-ACK may acknowledge of a SYN that was seen without them
/// (RFC 7413): it was sent again, and the one with payload was not captured.
const FAST_OPEN: u32 = 1 << 14;
/// Payload that is kept for all pending SYNs of a table. SYNs seldom have any; beyond this it is
/// reported as not placed, and if one of them is confirmed after all, its stream begins as if the
/// capture had cut the segment short.
const PAYLOAD: usize = 1 << 20;
/// Flows that have any. What one SYN costs, an attacker could have for each flow of a full table.
const FLOWS: usize = 1 << 16;
/// Pending SYNs of a flow. An attacker may send any number; the right one is among the latest.
const PER_FLOW: usize = 4;
/// The maximum distance ahead of what was seen at which a connection that is about to end goes on.
const AHEAD: i64 = 1 << 21;
/// The maximum distance of a retransmission back from a stream's end (RFC 7323, section 2.3: the
/// largest window).
const REACH: i64 = 1 << 30;
/// A silence after which a SYN is no copy of one that was sent before it (RFC 9293, section 3.4.1:
/// no segment lives for longer than two minutes), with as much again for clocks. Nanoseconds.
const OUTLIVED: u64 = 240 * 1_000_000_000;

impl PendingSyn {
    fn answers(&self) -> bool {
        self.flags.contains(TcpFlags::ACK)
    }

    /// The sequence number after the SYN.
    const fn base(&self) -> u32 {
        self.sequence.wrapping_add(1)
    }

    /// The segment again, in a flow whose initiator sends in this orientation.
    fn segment(&self, initiator: crate::Orientation) -> Segment<'_> {
        let orientation =
            if self.side == FlowSide::Initiator { initiator } else { initiator.reversed() };
        Segment {
            orientation,
            sequence: self.sequence,
            acknowledgement: self.acknowledgement,
            flags: self.flags,
            window: self.window,
            window_scale: self.window_scale,
            payload: &self.payload,
            payload_wire_len: self.payload_wire_len,
            wire_len: self.wire_len,
            ip_len: self.ip_len,
            timestamp: self.timestamp,
            number: self.number,
        }
    }
}

impl<E: FlowExtractor> FlowTable<E> {
    /// `true` if a segment begins another connection after the flow's end.
    ///
    /// A SYN does, unless it is a copy of the flow's own. With the same initial number it is
    /// another connection if it came after everything else: some stacks, and most programs that
    /// make up headers, use one number again and again. Data does if it cannot be a retransmission:
    /// the handshake was not captured, or the end was forged.
    pub(super) fn begins_anew(&self, slot: u32, segment: &Segment<'_>) -> bool {
        let entry = &self.slots[slot];
        let side = entry.side(segment.orientation);
        let own = &entry.directions[side as usize];
        let peer = &entry.directions[side.opposite() as usize];
        let acknowledges = segment.flags.contains(TcpFlags::ACK);
        if !segment.flags.contains(TcpFlags::SYN) {
            return !entry.flags.has(SlotFlags::REFUSED)
                && !segment.flags.contains(TcpFlags::RST)
                && segment.payload_wire_len > 0
                && (!is_straggler(own, segment) || is_foreign(peer, segment));
        }
        let known = own.flags.has(F::SYN.or(F::ANCHORED));
        let same = known && own.base == segment.sequence.wrapping_add(1);
        let later = segment.timestamp > entry.last_seen;
        let again = own.flags.has(F::SYN) && !acknowledges && later;
        let repeated = same && (entry.flags.has(SlotFlags::REFUSED) || !again);
        let answers = entry.flags.has(SlotFlags::REFUSED)
            && acknowledges
            && peer.flags.has(F::SYN)
            && peer.base == segment.acknowledgement;
        !repeated && !answers
    }

    /// `true` if a segment with payload cannot be of the flow, which both sides closed, or which
    /// was reset. If only one side was captured, its FIN closes the flow, and what the segment
    /// acknowledges has to speak against it as well.
    pub(super) fn leaves_closed_connection(&self, slot: u32, segment: &Segment<'_>) -> bool {
        let entry = &self.slots[slot];
        let side = entry.side(segment.orientation);
        let own = &entry.directions[side as usize];
        let peer = &entry.directions[side.opposite() as usize];
        let alone = entry.state == State::Established
            && own.flags.has(F::FIN_REACHED)
            && peer.seen == Seen::NONE;
        let closed = matches!(entry.state, State::Closing | State::Reset);
        if segment.payload_wire_len == 0 || !(closed || alone) || !own.flags.has(F::ANCHORED) {
            return false;
        }
        // After a reset nobody acknowledges more than was sent, and behind its FIN a side sends
        // nothing. A hole in one direction may be a loss; another moment in both is another
        // connection.
        let elsewhere = self.is_of_other_moment(peer, segment);
        let over = alone || entry.state == State::Reset;
        if over && elsewhere && self.is_beyond(own, segment.sequence) {
            return true;
        }
        let offset = own.offset(segment.sequence) - own.next.cast_signed();
        let fits = (first_offset(own)..AHEAD).contains(&offset);
        match (fits, is_foreign(peer, segment)) {
            (false, foreign) => closed || foreign || elsewhere,
            (true, foreign) => foreign && offset < 0,
        }
    }

    /// `true` if what a segment acknowledges is not of the moment in which the flow was last seen.
    /// If the peer is not captured, only the acknowledgement of its FIN may follow.
    fn is_of_other_moment(&self, peer: &Direction, segment: &Segment<'_>) -> bool {
        if !segment.flags.contains(TcpFlags::ACK) {
            return false;
        }
        if peer.seen == Seen::NONE && peer.flags.has(F::ACKED) {
            return segment.acknowledgement.wrapping_sub(peer.acked) > 1;
        }
        is_foreign(peer, segment) || self.is_beyond(peer, segment.acknowledgement)
    }

    /// `true` for a sequence number ahead of all that was captured or acknowledged of a direction,
    /// its FIN included.
    fn is_beyond(&self, direction: &Direction, sequence: u32) -> bool {
        let reassembly = self
            .reassemblies
            .peek(direction.reassembly)
            .filter(|_| direction.flags.has(F::PENDING));
        let pending = reassembly.and_then(|reassembly| reassembly.pending.end()).unwrap_or(0);
        let acked =
            if direction.flags.has(F::ACKED) { direction.offset(direction.acked) } else { 0 };
        let end = direction.next.max(pending).cast_signed().max(acked);
        direction.flags.has(F::ANCHORED) && direction.offset(sequence) > end + 1
    }

    /// Determines the meaning of a SYN for the flow.
    pub(super) fn classify_syn(&self, slot: u32, segment: &Segment<'_>) -> Syn {
        let entry = &self.slots[slot];
        let side = entry.side(segment.orientation);
        let own = &entry.directions[side as usize];
        let peer = &entry.directions[side.opposite() as usize];
        let base = segment.sequence.wrapping_add(1);
        let acknowledges = segment.flags.contains(TcpFlags::ACK);
        let answers = acknowledges && peer.flags.has(F::SYN);
        if answers {
            let acknowledged = segment.acknowledgement.wrapping_sub(peer.base);
            let fin = u32::from(peer.flags.has(F::FIN));
            let sent =
                if peer.next == 0 { FAST_OPEN } else { (peer.next as u32).wrapping_add(fin) };
            // A host in SYN-SENT ignores what does not acknowledge its SYN (RFC 9293, section
            // 3.10.7.3).
            if acknowledged > sent {
                return Syn::Pending;
            }
        }
        if own.flags.has(F::SYN) {
            let silence = segment.timestamp.saturating_sub(entry.last_seen);
            // One FIN may be all that was captured of a close.
            let over = matches!(entry.state, State::Closing | State::Reset)
                || own.flags.or(peer.flags).has(F::FIN);
            // A host that has sent data sends no SYN again, nor an answer to one. Where both sides
            // are captured, another SYN shows which connection the answer is of.
            let answer = acknowledges && peer.seen != Seen::NONE;
            let again = !answer && own.next > 0 && silence > if over { 0 } else { OUTLIVED };
            return if own.base == base && !again { Syn::Belongs } else { Syn::Pending };
        }
        if own.flags.has(F::ANCHORED) {
            let before = own.base.wrapping_sub(base);
            return match before {
                0 => Syn::Belongs,
                before if before <= FAST_OPEN && self.has_brought_nothing(own) => Syn::Overtaken,
                before if before < LATE_SYN => Syn::Late,
                _ => Syn::Pending,
            };
        }
        let first = if own.flags.has(F::HOLD) {
            Some(own.expected())
        } else if answers {
            // It fits the other side's SYN. What is known of this side may be from far ahead of it
            // in the stream, where the capture has the directions apart, or from the connection
            // before.
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
            // Nor does the payload of a forged one become the stream's beginning.
            Some(first)
                if own.flags.has(F::HOLD)
                    && segment.payload_wire_len > 0
                    && base.wrapping_add(segment.payload_wire_len) != first =>
            {
                Syn::Pending
            }
            // Nothing that a connection sends comes before its SYN.
            Some(first) if first.wrapping_sub(base) >= LATE_SYN => Syn::Pending,
            _ => Syn::Belongs,
        }
    }

    pub(super) fn remember_syn(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        self.statistics.rivals += 1;
        let side = self.slots[slot].side(segment.orientation);
        if self.pending_syns.len() >= FLOWS && !self.pending_syns.contains_key(&slot) {
            self.statistics.rivals_dropped += 1;
            let (sequence, cause) = (segment.sequence.wrapping_add(1), UnplacedCause::Limit);
            let (timestamp, number) = (segment.timestamp, segment.number);
            let mut wake = u64::MAX;
            let mut stream = self.stream(slot, side, handler, &mut wake);
            stream.unplaced(segment.payload, sequence, timestamp, number, cause);
            return;
        }
        let entry = &mut self.slots[slot];
        let after_fin = entry.directions.iter().any(|direction| direction.flags.has(F::FIN));
        entry.flags.set(SlotFlags::PENDING_SYN);
        entry.fast_path.close();
        let fits = self.pending_syn_bytes + segment.payload.len() <= PAYLOAD;
        let payload = if fits { segment.payload } else { &[] };
        self.pending_syn_bytes += payload.len();
        let syn = PendingSyn {
            side,
            sequence: segment.sequence,
            acknowledgement: segment.acknowledgement,
            flags: segment.flags,
            window: segment.window,
            window_scale: segment.window_scale,
            payload: payload.to_vec(),
            payload_wire_len: segment.payload_wire_len,
            wire_len: segment.wire_len,
            ip_len: segment.ip_len,
            timestamp: segment.timestamp,
            number: segment.number,
            contradicted: false,
            after_fin,
        };
        let list = self.pending_syns.entry(slot).or_default();
        let copy = list.iter().position(|known| {
            known.side == side && known.sequence == syn.sequence && known.answers() == syn.answers()
        });
        let out = match copy {
            Some(index) => Some(list.remove(index)),
            None if list.len() == PER_FLOW => Some(list.remove(0)),
            None => None,
        };
        list.push(syn);
        if let Some(out) = out {
            self.reject_syn(slot, out, handler);
        }
        let mut wake = u64::MAX;
        let mut stream = self.stream(slot, side, handler, &mut wake);
        let base = segment.sequence.wrapping_add(1);
        // One with the flow's own number announces no other sequence space.
        if stream.direction.base != base {
            stream.know_space(base.wrapping_add(segment.payload_wire_len));
        }
        if !fits {
            let (sequence, cause) = (segment.sequence.wrapping_add(1), UnplacedCause::Limit);
            let (timestamp, number) = (segment.timestamp, segment.number);
            stream.unplaced(segment.payload, sequence, timestamp, number, cause);
        }
        if segment.flags.contains(TcpFlags::ACK) {
            // The SYN that it answers may not have been captured.
            let mut stream = self.stream(slot, side.opposite(), handler, &mut wake);
            let direction = &stream.direction;
            let offset = segment.acknowledgement.wrapping_sub(direction.base);
            if direction.flags.has(F::SYN) && u64::from(offset) > direction.next {
                stream.know_space(segment.acknowledgement);
            }
        }
    }

    fn reject_syn(&mut self, slot: u32, syn: PendingSyn, handler: &mut impl FlowHandler<E::Key>) {
        self.report_number(slot, syn.side, syn.number, handler);
        self.pending_syn_bytes -= syn.payload.len();
        self.statistics.rivals_dropped += 1;
        let cause = UnplacedCause::SynNotConfirmed;
        let mut wake = u64::MAX;
        self.stream(slot, syn.side, handler, &mut wake).unplaced(
            &syn.payload,
            syn.base(),
            syn.timestamp,
            syn.number,
            cause,
        );
    }

    /// The flow ends: nothing confirmed these.
    pub(super) fn reject_pending_syns(
        &mut self,
        slot: u32,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        if self.slots[slot].flags.has(SlotFlags::PENDING_SYN) {
            self.slots[slot].flags.clear(SlotFlags::PENDING_SYN);
            for syn in self.pending_syns.remove(&slot).unwrap_or_default() {
                self.reject_syn(slot, syn, handler);
            }
        }
    }

    /// The connection of a pending SYN takes the flow's place.
    pub(super) fn replace_by_syn(
        &mut self,
        slot: u32,
        confirmed: Confirmed,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let mut list = self.pending_syns.remove(&slot).unwrap_or_default();
        self.slots[slot].flags.clear(SlotFlags::PENDING_SYN);
        let Confirmed { syn, answer } = confirmed;
        let after = answer.filter(|&answer| answer > syn).map(|answer| list.remove(answer));
        let syn_at = syn - usize::from(answer.is_some_and(|answer| answer < syn));
        let before = answer.filter(|&answer| answer < syn).map(|answer| list.remove(answer));
        let syn = list.remove(syn_at);
        let answer = before.or(after);
        for taken in [Some(&syn), answer.as_ref()].into_iter().flatten() {
            self.pending_syn_bytes -= taken.payload.len();
        }
        let rejected: Vec<_> = list.iter().map(|syn| (syn.side, syn.base())).collect();
        for syn in list {
            self.reject_syn(slot, syn, handler);
        }
        let directions = &self.slots[slot].directions;
        let nothing = directions.iter().all(|direction| self.has_brought_nothing(direction));
        let entry = &mut self.slots[slot];
        let initiator = entry.initiator();
        let segment = syn.segment(initiator);
        let answer = answer.as_ref().map(|answer| answer.segment(initiator));
        let mut spaces = rejected;
        // A host that begins with the same number again may be answered with the same number.
        let same = entry.directions[syn.side as usize].base == syn.base();
        for side in [FlowSide::Initiator, FlowSide::Responder] {
            let direction = &entry.directions[side as usize];
            let stays = if syn.answers() {
                let base = if side == syn.side { syn.base() } else { syn.acknowledgement };
                direction.base == base
            } else {
                same
            };
            if direction.flags.has(F::ANCHORED) && !stays {
                spaces.push((side, direction.expected()));
            }
        }
        if nothing {
            // Of several handshakes the one that is answered is the connection's (RFC 9293, section
            // 3.10.7.3).
            let own = &mut entry.directions[syn.side as usize];
            own.forget();
            let peer = &mut entry.directions[syn.side.opposite() as usize];
            if !syn.answers() || peer.base != syn.acknowledgement {
                peer.forget();
            } else {
                // What the other answer acknowledged was said by nobody.
                peer.flags.clear(F::ACKED.or(F::GRACE));
                if let Some(reassembly) = self.reassemblies.get(peer.reassembly) {
                    reassembly.grace = None;
                }
            }
            entry.flags.clear(SlotFlags::HANDSHAKE);
            self.established(slot, &segment, handler);
            self.report_segment(slot, &segment, handler);
            if let Some(answer) = answer {
                self.segment(slot, &answer, handler);
                self.report_segment(slot, &answer, handler);
            }
        } else {
            let parked = self.take_parked(slot);
            self.end(slot, EndReason::Replaced, handler);
            self.renew(slot);
            if !self.open_as(slot, &segment, !syn.answers(), handler) {
                self.report_segment(slot, &segment, handler);
                if let Some(answer) = answer {
                    self.report_segment(slot, &answer, handler);
                }
                return;
            }
            self.established(slot, &segment, handler);
            self.report_segment(slot, &segment, handler);
            if let Some(answer) = answer {
                self.segment(slot, &answer, handler);
                self.report_segment(slot, &answer, handler);
            }
            // The sides of the new flow may be the other way round.
            let swapped = self.slots[slot].initiator() != initiator;
            if swapped {
                spaces.iter_mut().for_each(|(side, _)| *side = side.opposite());
            }
            for (side, end) in spaces.drain(..) {
                let mut wake = u64::MAX;
                self.stream(slot, side, handler, &mut wake).know_space(end);
            }
            self.replay(slot, parked, initiator, handler);
        }
        for side in [FlowSide::Initiator, FlowSide::Responder] {
            let mut wake = u64::MAX;
            self.stream(slot, side, handler, &mut wake).forget_own_space();
        }
        for (side, end) in spaces {
            let near_own = {
                let direction = &self.slots[slot].directions[side as usize];
                direction.flags.has(F::ANCHORED) && direction.expected() == end
            };
            if !near_own {
                let mut wake = u64::MAX;
                self.stream(slot, side, handler, &mut wake).know_space(end);
            }
        }
    }

    /// `true` if only the start of a stream is known, and none of its bytes was captured.
    pub(super) fn has_brought_nothing(&self, direction: &Direction) -> bool {
        let quarantine = || self.reassemblies.peek(direction.reassembly)?.quarantine.as_ref();
        direction.has_placed_nothing()
            && (!direction.flags.has(F::QUARANTINE)
                || quarantine().is_none_or(|quarantine| quarantine.groups.is_empty()))
    }

    /// Takes all that is in quarantine, in the order in which it came.
    fn take_parked(&mut self, slot: u32) -> Vec<(FlowSide, Parked)> {
        let mut all = Vec::new();
        for side in [FlowSide::Initiator, FlowSide::Responder] {
            let index = self.slots[slot].directions[side as usize].reassembly;
            if let Some(reassembly) = self.reassemblies.get(index)
                && let Some(quarantine) = &mut reassembly.quarantine
            {
                let groups = std::mem::take(&mut quarantine.groups).into_iter();
                all.extend(groups.flat_map(|group| group.segments).map(|parked| (side, parked)));
            }
            self.reassemblies.account_quarantine(index);
        }
        all.sort_by_key(|(_, parked)| parked.number);
        all
    }

    /// Gives segments that were in quarantine to the flow that took the place of theirs.
    fn replay(
        &mut self,
        slot: u32,
        parked: Vec<(FlowSide, Parked)>,
        initiator: crate::Orientation,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        for (side, parked) in parked {
            let orientation =
                if side == FlowSide::Initiator { initiator } else { initiator.reversed() };
            let segment = parked.segment(orientation);
            self.segment(slot, &segment, handler);
            self.report_segment(slot, &segment, handler);
        }
    }

    /// Data beyond a confirmed FIN that the other side acknowledges is another connection's, or the
    /// FIN and its acknowledgement were forged: either way it goes on in a flow of its own.
    pub(super) fn follow_quarantine(&mut self, slot: u32, handler: &mut impl FlowHandler<E::Key>) {
        let goes_on = |direction: &Direction| {
            let quarantine = self.reassemblies.peek(direction.reassembly)?.quarantine.as_ref()?;
            let mut groups = quarantine.groups.iter();
            groups.find(|group| group.acknowledged.is_some() && !group.announced)
        };
        let [initiator, responder] = &self.slots[slot].directions;
        let confirmed = |direction: &Direction| {
            direction.flags.has(F::FIN_ACKED) && goes_on(direction).is_some()
        };
        if !confirmed(initiator) && !confirmed(responder) {
            return;
        }
        let initiator = self.slots[slot].initiator();
        let parked = self.take_parked(slot);
        let Some((side, first)) = parked.first() else { return };
        let by_sender = *side == FlowSide::Initiator;
        let orientation = if by_sender { initiator } else { initiator.reversed() };
        self.end(slot, EndReason::Replaced, handler);
        self.renew(slot);
        if self.open_as(slot, &first.segment(orientation), by_sender, handler) {
            self.replay(slot, parked, initiator, handler);
        }
    }

    /// Another flow takes over the slot and the key of one that has ended.
    pub(super) fn renew(&mut self, slot: u32) {
        let entry = &mut self.slots[slot];
        entry.generation = entry.generation.wrapping_add(1);
    }
}

/// The lowest offset, from the next expected byte, at which a segment of a stream may begin: back
/// as far as a window spans, or as the stream has come since its SYN, with one byte more for a
/// keep-alive.
fn first_offset(own: &Direction) -> i64 {
    let begun = if own.flags.has(F::SYN) { -1 - own.next.cast_signed() } else { -REACH };
    begun.max(-REACH)
}

/// `true` if a segment acknowledges what this direction never had: numbers from before its SYN, or
/// far ahead.
fn is_foreign(peer: &Direction, segment: &Segment<'_>) -> bool {
    let known = peer.flags.has(F::ANCHORED.or(F::ACKED));
    if !known || !segment.flags.contains(TcpFlags::ACK) {
        return false;
    }
    let last = if peer.flags.has(F::ANCHORED) { peer.expected() } else { peer.acked };
    let offset = i64::from(segment.acknowledgement.wrapping_sub(last).cast_signed());
    !(first_offset(peer)..AHEAD).contains(&offset)
}

/// `true` for what a connection that has ended may still bring: bytes of the stream again, or a
/// keep-alive's.
fn is_straggler(own: &Direction, segment: &Segment<'_>) -> bool {
    if !own.flags.has(F::ANCHORED) {
        return false;
    }
    let start = own.offset(segment.sequence) - own.next.cast_signed();
    let end = start + i64::from(segment.payload_wire_len);
    let pushed = segment.flags.intersects(TcpFlags::PSH | TcpFlags::FIN);
    let keep_alive = segment.payload_wire_len == 1 && start == 0 && !pushed;
    start >= first_offset(own) && (end <= 0 || keep_alive)
}
