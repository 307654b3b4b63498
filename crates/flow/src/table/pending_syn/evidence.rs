//! Evidence for and against another connection on the same addresses and ports.

use super::{OUTLIVED, PendingSyn, is_foreign};
use crate::history::Seen;
use crate::quarantine::{Group, is_near};
use crate::slot::{Direction, DirectionFlags as F, SlotFlags, State};
use crate::stream::FIRST_FLIGHT;
use crate::table::tcp::Segment;
use crate::{FlowExtractor, FlowTable, TcpFlags};

/// Positions, among the pending SYNs of a flow, of one that is confirmed and of its answer.
#[derive(Clone, Copy, Debug)]
pub(in crate::table) struct Confirmed {
    pub(super) syn: usize,
    pub(super) answer: Option<usize>,
}

impl<E: FlowExtractor> FlowTable<E> {
    /// The pending SYN that a segment shows to be of the connection that goes on.
    pub(in crate::table) fn confirmed_syn(
        &self,
        slot: u32,
        segment: &Segment<'_>,
    ) -> Option<Confirmed> {
        let list = self.pending_syns.get(&slot)?;
        // What continues the flow is no evidence for another connection, though the numbers of a
        // forged SYN may be so near those of the flow that it fits both.
        if self.continues_flow(slot, segment) {
            return None;
        }
        for (syn, pending) in list.iter().enumerate().filter(|(_, pending)| !pending.answers()) {
            let completes = |answer: &PendingSyn| self.completes(slot, segment, pending, answer);
            if let Some(answer) = list.iter().position(completes) {
                return Some(Confirmed { syn, answer: Some(answer) });
            }
        }
        let syn = list.iter().position(|syn| self.confirms_syn(slot, segment, syn))?;
        Some(Confirmed { syn, answer: None })
    }

    fn confirms_syn(&self, slot: u32, segment: &Segment<'_>, pending: &PendingSyn) -> bool {
        let entry = &self.slots[slot];
        let side = entry.side(segment.orientation);
        let acknowledges = segment.flags.contains(TcpFlags::ACK);
        let syn = segment.flags.contains(TcpFlags::SYN);
        if !pending.flags.contains(TcpFlags::SYN) {
            return false;
        }
        if side == pending.side {
            // Its sender goes on with it. A third party can send that as well as the SYN, so it
            // counts only where the other side is not seen at all.
            let other_unseen = entry.directions[side.opposite() as usize].seen == Seen::NONE;
            return other_unseen && self.is_behind_syn(slot, segment, pending);
        }
        if !acknowledges {
            return false;
        }
        // The other host answers it: with a SYN-ACK, a RST, or with the acknowledgement of a
        // SYN-ACK or of data.
        let acknowledged = segment.acknowledgement.wrapping_sub(pending.base());
        if acknowledged > self.sent_behind(slot, pending) {
            return false;
        }
        if pending.answers() {
            // One that was confirmed stays, whatever other answers there are, unless a side had
            // closed before.
            return !syn
                && segment.sequence == pending.acknowledgement
                && (!entry.flags.has(SlotFlags::HANDSHAKE) || pending.after_fin);
        }
        if segment.flags.intersects(TcpFlags::SYN | TcpFlags::RST) {
            return !self.is_open(slot);
        }
        // A middlebox that rewrites one side's numbers leaves those of the other as they are.
        let own = &entry.directions[side as usize];
        let goes_on = (own.flags.has(F::ANCHORED) && own.offset(segment.sequence) >= 0)
            && own.offset(segment.sequence) - own.next.cast_signed() <= i64::from(FIRST_FLIGHT);
        // Nor does one that rewrites both, but both of its sides go on.
        acknowledged > pending.payload_wire_len
            && !goes_on
            && !self.is_of_other_space(own, segment.sequence)
    }

    /// `true` for a sequence number of a space that is known to continue beside the flow's.
    fn is_of_other_space(&self, direction: &Direction, sequence: u32) -> bool {
        let reassembly = self.reassemblies.peek(direction.reassembly);
        let quarantine = reassembly.and_then(|reassembly| reassembly.quarantine.as_ref());
        quarantine.is_some_and(|quarantine| quarantine.continues_beside(sequence))
    }

    /// `true` for a connection that a forged SYN and a forged answer would harm: it goes on, as far
    /// as is known.
    fn is_open(&self, slot: u32) -> bool {
        let entry = &self.slots[slot];
        entry.state == State::Established
            && (entry.flags.has(SlotFlags::HANDSHAKE)
                || !entry.directions.iter().all(|direction| self.has_brought_nothing(direction)))
    }

    /// `true` for a SYN-ACK or a RST that answers a pending SYN. An attacker who can forge the SYN
    /// can forge that, too, so it takes a third segment to end a connection that is open.
    pub(in crate::table) fn answers_pending_syn(&self, slot: u32, segment: &Segment<'_>) -> bool {
        let side = self.slots[slot].side(segment.orientation);
        let list = self.pending_syns.get(&slot).map_or(&[][..], Vec::as_slice);
        segment.flags.contains(TcpFlags::ACK)
            && segment.flags.intersects(TcpFlags::SYN | TcpFlags::RST)
            && self.is_open(slot)
            && !self.continues_flow(slot, segment)
            && list.iter().any(|pending| {
                let acknowledged = segment.acknowledgement.wrapping_sub(pending.base());
                !pending.answers()
                    && pending.side != side
                    && acknowledged <= self.sent_behind(slot, pending)
            })
    }

    /// `true` if a pending segment answers a pending SYN. With the number of the flow's own SYN-ACK
    /// it is a copy of that, from the other side of a middlebox that rewrites the client's numbers,
    /// unless the flow is older than such a copy can be, or a side had closed.
    fn is_answer(&self, slot: u32, syn: &PendingSyn, answer: &PendingSyn) -> bool {
        let entry = &self.slots[slot];
        let own = &entry.directions[answer.side as usize];
        let is_copy = own.flags.has(F::SYN)
            && own.base == answer.base()
            && !syn.after_fin
            && syn.timestamp.saturating_sub(self.cold[slot].started) < OUTLIVED;
        answer.answers()
            && !is_copy
            && answer.side != syn.side
            && answer.acknowledgement.wrapping_sub(syn.base()) <= self.sent_behind(slot, syn)
    }

    /// `true` if a segment comes behind a pending SYN and its answer.
    fn completes(
        &self,
        slot: u32,
        segment: &Segment<'_>,
        syn: &PendingSyn,
        answer: &PendingSyn,
    ) -> bool {
        if !self.is_answer(slot, syn, answer) || segment.flags.contains(TcpFlags::SYN) {
            return false;
        }
        let by_sender = self.slots[slot].side(segment.orientation) == syn.side;
        let (own, peer) = if by_sender { (syn, answer) } else { (answer, syn) };
        let sent = segment.sequence.wrapping_sub(own.base());
        let acknowledged = segment.acknowledgement.wrapping_sub(peer.base());
        if segment.flags.contains(TcpFlags::ACK) {
            answer.flags.contains(TcpFlags::SYN)
                && sent <= FIRST_FLIGHT
                && acknowledged <= FIRST_FLIGHT
        } else {
            segment.flags.contains(TcpFlags::RST) && sent == 0
        }
    }

    /// The number of bytes that were seen behind a pending SYN.
    fn sent_behind(&self, slot: u32, pending: &PendingSyn) -> u32 {
        let base = pending.base();
        let own = &self.slots[slot].directions[pending.side as usize];
        let quarantine = self
            .reassemblies
            .peek(own.reassembly)
            .and_then(|reassembly| reassembly.quarantine.as_ref());
        let ends = quarantine.into_iter().flat_map(|quarantine| &quarantine.groups).map(Group::end);
        let behind = ends.filter(|&end| is_near(end, base)).map(|end| end.wrapping_sub(base));
        let behind = behind.filter(|&behind| behind.cast_signed() > 0).max().unwrap_or(0);
        behind.max(pending.payload_wire_len)
    }

    /// `true` if a segment is exactly the next one of the flow, and acknowledges nothing that the
    /// flow does not have.
    fn continues_flow(&self, slot: u32, segment: &Segment<'_>) -> bool {
        let entry = &self.slots[slot];
        let side = entry.side(segment.orientation);
        let own = &entry.directions[side as usize];
        let peer = &entry.directions[side.opposite() as usize];
        let has = |flag| own.flags.has(flag);
        let pending = || self.reassemblies.peek(own.reassembly)?.pending.end();
        let next = [
            has(F::ANCHORED.or(F::HINT)).then(|| own.expected()),
            has(F::ACKED).then_some(own.acked),
            pending().filter(|_| has(F::PENDING)).map(|end| own.base.wrapping_add(end as u32)),
        ];
        !segment.flags.contains(TcpFlags::SYN)
            && next.contains(&Some(segment.sequence))
            && !is_foreign(peer, segment)
    }

    /// `true` if a segment continues a pending SYN of its own side, and not the flow.
    fn is_behind_syn(&self, slot: u32, segment: &Segment<'_>, pending: &PendingSyn) -> bool {
        let side = self.slots[slot].side(segment.orientation);
        side == pending.side
            && !segment.flags.intersects(TcpFlags::SYN | TcpFlags::RST)
            && segment.flags.contains(TcpFlags::ACK)
            && segment.sequence.wrapping_sub(pending.base()) <= self.sent_behind(slot, pending)
            && !self.continues_flow(slot, segment)
    }

    /// `true` if a segment brings payload behind a pending SYN of its own side.
    pub(in crate::table) fn is_of_pending_syn(&self, slot: u32, segment: &Segment<'_>) -> bool {
        let list = self.pending_syns.get(&slot).map_or(&[][..], Vec::as_slice);
        segment.payload_wire_len > 0
            && list.iter().any(|syn| !syn.answers() && self.is_behind_syn(slot, segment, syn))
    }

    /// The flow goes on beside its pending SYNs.
    pub(in crate::table) fn contradict_pending_syns(&mut self, slot: u32, segment: &Segment<'_>) {
        if segment.payload_wire_len > 0 && self.continues_flow(slot, segment) {
            let list = self.pending_syns.get_mut(&slot).map_or(&mut [][..], Vec::as_mut_slice);
            list.iter_mut().for_each(|syn| syn.contradicted = true);
        }
    }

    /// A pending SYN with an answer, or with data behind it, which nothing contradicts and nothing
    /// confirmed, when the flow ends: the data is that of another connection.
    pub(in crate::table) fn succeeding_syn(&self, slot: u32) -> Option<Confirmed> {
        if !self.slots[slot].flags.has(SlotFlags::PENDING_SYN) {
            return None;
        }
        let list = self.pending_syns.get(&slot)?;
        for (syn, pending) in list.iter().enumerate() {
            let answers = |answer: &PendingSyn| self.is_answer(slot, pending, answer);
            let answer = list.iter().position(answers).filter(|_| !pending.answers());
            if answer.is_some() && !pending.contradicted {
                return Some(Confirmed { syn, answer });
            }
            let own = &self.slots[slot].directions[pending.side as usize];
            let quarantine = self
                .reassemblies
                .peek(own.reassembly)
                .and_then(|reassembly| reassembly.quarantine.as_ref());
            let mut groups = quarantine.into_iter().flat_map(|quarantine| &quarantine.groups);
            if groups.any(|group| {
                is_near(group.first(), pending.base()) && !group.progressed && !group.old_acks
            }) {
                return Some(Confirmed { syn, answer });
            }
        }
        None
    }
}
