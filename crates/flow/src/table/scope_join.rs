//! Connections whose directions were captured in different VLANs or tunnels.
//!
//! A mirror port tags what it receives and what it sends differently, a router between VLANs is
//! mirrored in one direction alone, ERSPAN has a session for each direction, a tunnel has a VNI for
//! each, or only one direction is tunnelled. Then the two directions have different keys, and each
//! would be half a connection with everything acknowledged missing from it.
//!
//! Addresses and ports are no reason to join two scopes: overlapping address plans are what VLANs
//! and tunnels are for. The evidence is in the numbers. A flow of which one direction was seen says
//! by its acknowledgements where the other direction is, and by its own sequence numbers what the
//! other direction can acknowledge (RFC 9293, section 3.4). A segment of another scope that fits
//! both is the other direction. It is looked for when a segment would begin a flow, so that
//! whichever direction comes second joins the first: then nothing of it was handed out under
//! another flow.
//!
//! The join holds as long as each scope brings one direction. Once the flow's own scope repeats
//! what the other one brought, or the other scope brings the first direction, both scopes see a
//! whole connection each: a router between VLANs, mirrored on both sides, or two connections that
//! happen to count alike. From then on they are two flows.

use std::collections::HashMap;
use std::num::NonZeroU128;

use super::lookup::Lookup;
use crate::slot::{Direction, DirectionFlags as F, NONE, SlotFlags, State};
use crate::stream::ahead;
use crate::{
    FlowExtractor, FlowHandler, FlowSide, FlowTable, Orientation, TcpFlags, TcpHeader, protocol,
};

/// Flows with the same addresses and ports that are looked at, apart from one outside all scopes. A
/// sender of the same segment in thousands of VLANs makes a lookup no longer than this.
const NEIGHBOURS: usize = 4;
/// Scopes that are joined to a flow at most. More than one or two come from somebody who makes them
/// up.
const JOINS: usize = 4;
/// The maximum distance of a number in a capture that begins in the middle of the connection, or
/// has lost packets: a window without much of a scale. Two unrelated numbers are as close once in
/// 4,096 times.
const REACH: u32 = 1 << 20;
/// The maximum distance before the latest acknowledgement at which a direction begins that was
/// captured apart and appended.
const FAR_REACH: u32 = 1 << 30;
/// Payload of a SYN (RFC 7413) that a SYN-ACK acknowledges, at most.
const FAST_OPEN: u32 = 1 << 14;

/// The flows of a table that are in VLANs or tunnels, and the scopes that belong together.
#[derive(Debug)]
pub(super) struct ScopeJoins<K> {
    /// By the hash of a key outside all scopes: slots of flows that have this key in one, the
    /// newest first.
    neighbours: HashMap<u32, [u32; NEIGHBOURS], ahash::RandomState>,
    /// By the key of a scope that has no flow for it: the flow that its packets belong to.
    joined: HashMap<K, Joined, ahash::RandomState>,
    /// By slot: the keys that are joined to it.
    keys: HashMap<u32, Vec<K>, ahash::RandomState>,
}

#[derive(Clone, Copy, Debug)]
struct Joined {
    slot: u32,
    /// By orientation: the scope brings this direction.
    brings: [bool; 2],
    /// The flow's own scope brings the same direction: its packets take two ways.
    shared: bool,
}

/// The strength of the evidence that a segment continues a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Evidence {
    /// Its numbers lie within reach.
    Plausible,
    /// A number of 32 bits is the one that comes next, and nothing contradicts it.
    Exact,
}

/// The range that a direction has sent, as sequence numbers.
#[derive(Clone, Copy, Debug)]
struct Sent {
    first: u32,
    /// Behind the last byte, or behind the FIN.
    end: u32,
}

impl Sent {
    /// `true` if this acknowledgement number lies in the range.
    const fn reaches(self, acknowledgement: u32) -> bool {
        acknowledgement.wrapping_sub(self.first) <= self.end.wrapping_sub(self.first)
    }
}

impl<K> ScopeJoins<K> {
    /// The memory in use, or about that.
    pub(super) fn bytes(&self) -> usize {
        // A map has a control byte for each entry.
        let neighbours = self.neighbours.capacity() * (size_of::<(u32, [u32; NEIGHBOURS])>() + 1);
        let joined = self.joined.capacity() * (size_of::<(K, Joined)>() + 1);
        // The list of a flow begins with space for four keys.
        let keys = self.keys.capacity() * (size_of::<(u32, Vec<K>)>() + 1)
            + self.keys.len() * 4 * size_of::<K>();
        neighbours + joined + keys
    }
}

impl<E: FlowExtractor> FlowTable<E> {
    /// The flow that a packet belongs to, given the one with its key: perhaps one in another scope.
    ///
    /// Costs a table without VLANs and tunnels two comparisons for each flow that begins.
    #[inline(always)]
    pub(super) fn across_scopes(
        &mut self,
        found: Option<u32>,
        lookup: &Lookup,
        key: Option<&E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> Option<u32> {
        if let Some(slot) = found {
            if self.joins_scopes() {
                self.compare_with_joined(slot, lookup);
            }
            return found;
        }
        let plain = lookup.compact != 0 && !self.has_scopes();
        if plain || lookup.protocol != protocol::TCP || !self.extractor.is_connection() {
            return None;
        }
        self.find_in_other_scope(lookup, key, handler)
    }

    /// `true` if a flow is in a VLAN or a tunnel.
    #[inline(always)]
    pub(super) fn has_scopes(&self) -> bool {
        !self.scope_joins.neighbours.is_empty()
    }

    /// The flow that the packets of a key in another scope belong to.
    pub(super) fn joined_slot(&self, key: &E::Key) -> Option<u32> {
        let slot = self.scope_joins.joined.get(key)?.slot;
        (self.slots[slot].state != State::Free).then_some(slot)
    }

    /// `true` if a flow has packets in another scope than its own.
    #[inline(always)]
    pub(super) fn joins_scopes(&self) -> bool {
        !self.scope_joins.keys.is_empty()
    }

    #[inline(never)]
    fn find_in_other_scope(
        &mut self,
        lookup: &Lookup,
        key: Option<&E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> Option<u32> {
        let expanded = NonZeroU128::new(lookup.compact).and_then(E::expand);
        let key = expanded.as_ref().or(key)?;
        let outside = self.extractor.without_scope(key);
        if outside.is_none() && self.scope_joins.neighbours.is_empty() {
            return None;
        }
        if let Some(joined) = self.scope_joins.joined.get(key) {
            self.settle_if_due(joined.slot, handler);
        }
        if let Some(joined) = self.scope_joins.joined.get(key).copied() {
            if self.stays_joined(key, joined, lookup) {
                self.mark(joined, lookup.orientation);
                return Some(joined.slot);
            }
            self.part(key);
        }
        let slot = self.continued_by(lookup, key, outside.as_ref(), handler)?;
        let keys = self.scope_joins.keys.entry(slot).or_default();
        if keys.len() >= JOINS {
            return None;
        }
        keys.push(key.clone());
        let shared = self.only_side(slot) == Some(self.slots[slot].side(lookup.orientation));
        let mut brings = [false; 2];
        brings[lookup.orientation as usize] = true;
        let joined = Joined { slot, brings, shared };
        self.scope_joins.joined.insert(key.clone(), joined);
        self.statistics.scopes_joined += 1;
        self.mark(joined, lookup.orientation);
        Some(slot)
    }

    /// Keeps packets of a direction that another scope brings off the fast path, so that the first
    /// one in the flow's own scope is noticed. Done for each packet, since the next connection in
    /// the slot begins without marks.
    fn mark(&mut self, joined: Joined, orientation: Orientation) {
        if !joined.shared {
            let entry = &mut self.slots[joined.slot];
            entry.flags.set(elsewhere(entry.side(orientation)));
            entry.fast_path.close();
        }
    }

    /// The one flow with the same addresses and ports, in another scope or in none, that a segment
    /// continues.
    fn continued_by(
        &mut self,
        lookup: &Lookup,
        key: &E::Key,
        outside: Option<&E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> Option<u32> {
        let (hash, compact) = outside.map_or((lookup.hash, lookup.compact), |key| self.hash(key));
        let plain = outside.and_then(|key| {
            self.index.find(hash, |slot| {
                let entry = &self.slots[slot];
                entry.compact == compact
                    && (compact != 0 || self.cold[slot].key == *key)
                    && entry.state != State::Free
            })
        });
        let scoped = self.scope_joins.neighbours.get(&hash).copied().unwrap_or([NONE; NEIGHBOURS]);
        let mut best = None;
        let mut ambiguous = false;
        for slot in plain.into_iter().chain(scoped).filter(|slot| *slot != NONE) {
            self.settle_if_due(slot, handler);
            let other = &self.cold[slot].key;
            let other_outside = self.extractor.without_scope(other);
            if other_outside.as_ref().unwrap_or(other) != outside.unwrap_or(key) {
                continue;
            }
            let Some(evidence) = self.evidence(slot, lookup) else { continue };
            match best {
                Some((before, _)) if before > evidence => {}
                Some((before, _)) if before == evidence => ambiguous = true,
                _ => (best, ambiguous) = (Some((evidence, slot)), false),
            }
        }
        // Connections that count alike, as programs make them that begin all of them at 0: to guess
        // is to mix.
        best.filter(|_| !ambiguous).map(|(_, slot)| slot)
    }

    fn settle_if_due(&mut self, slot: u32, handler: &mut impl FlowHandler<E::Key>) {
        if self.next_timer <= self.now {
            self.settle(slot, handler);
        }
    }

    /// The evidence that a segment continues the flow of a slot; `None` if there is no evidence.
    fn evidence(&self, slot: u32, lookup: &Lookup) -> Option<Evidence> {
        let entry = &self.slots[slot];
        let refused = entry.flags.has(SlotFlags::REFUSED);
        if !entry.is_tcp() || entry.state == State::Ended && !refused {
            return None;
        }
        let seen = self.only_side(slot)?;
        let side = entry.side(lookup.orientation);
        let sender = &entry.directions[seen as usize];
        let sent = self.sent(sender)?;
        let answer = &entry.directions[seen.opposite() as usize];
        let flags = lookup.tcp.flags;
        let acknowledges = flags.contains(TcpFlags::ACK);
        if side == seen {
            return same_direction(sender, sent, answer, lookup);
        }
        let greeted = sender.flags.has(F::SYN);
        if flags.contains(TcpFlags::SYN) {
            if acknowledges {
                syn_ack(greeted, sent, answer, &lookup.tcp)
            } else {
                syn(answer, lookup)
            }
        } else if flags.contains(TcpFlags::RST) {
            let TcpHeader { sequence, acknowledgement, .. } = lookup.tcp;
            // A refused connection (RFC 9293, section 3.10.7.1), else RFC 5961, section 3.
            let refuses = acknowledges && greeted && entry.state == State::HalfOpen;
            let fits = refuses && sent.reaches(acknowledgement)
                || answer.flags.has(F::ACKED) && sequence == answer.acked;
            fits.then_some(Evidence::Exact)
        } else if acknowledges {
            answers(greeted, sent, answer, &lookup.tcp)
        } else {
            None
        }
    }

    /// The side that has brought everything so far.
    fn only_side(&self, slot: u32) -> Option<FlowSide> {
        let entry = &self.slots[slot];
        let brought = if entry.flags.has(SlotFlags::REFUSED) {
            // Its packets were not counted, but a SYN or SYN-ACK was noted.
            let [initiator, responder] = entry.directions.map(|side| side.flags.has(F::SYN));
            [initiator && !responder, responder]
        } else {
            [0, 1].map(|side| self.side_counters(slot, side).packets > 0)
        };
        match brought {
            [true, false] => Some(FlowSide::Initiator),
            [false, true] => Some(FlowSide::Responder),
            _ => None,
        }
    }

    /// The range that a direction has sent, bytes behind a hole included.
    fn sent(&self, direction: &Direction) -> Option<Sent> {
        let pending =
            self.reassemblies.peek(direction.reassembly).map(|reassembly| &reassembly.pending);
        let at = |offset: u64| direction.base.wrapping_add(offset as u32);
        let waits_to = pending.and_then(|pending| pending.end()).map(at);
        let next = direction.expected();
        let (first, end) = if direction.flags.has(F::HOLD) {
            let first = pending.and_then(|pending| pending.first()).map_or(next, at);
            (first, waits_to.unwrap_or(first))
        } else if direction.flags.has(F::ANCHORED.or(F::SYN)) {
            (direction.base, waits_to.filter(|end| ahead(*end, next)).unwrap_or(next))
        } else if direction.flags.has(F::HINT) {
            (direction.base, direction.base)
        } else {
            return None;
        };
        let fin = direction.flags.has(F::FIN) && !ahead(end, direction.fin);
        Some(Sent { first, end: if fin { direction.fin.wrapping_add(1) } else { end } })
    }

    /// `true` if a segment of a scope that was joined still belongs to the flow.
    fn stays_joined(&mut self, key: &E::Key, joined: Joined, lookup: &Lookup) -> bool {
        if joined.brings[lookup.orientation as usize] {
            // Where both scopes bring the same direction, each could begin another connection.
            return !(joined.shared && lookup.tcp.flags.contains(TcpFlags::SYN));
        }
        let continues = joined.shared && self.evidence(joined.slot, lookup).is_some();
        if continues && let Some(joined) = self.scope_joins.joined.get_mut(key) {
            joined.brings[lookup.orientation as usize] = true;
        }
        continues
    }

    /// A flow's own scope brings a segment. If it is of the direction that another scope was joined
    /// for, its own counts; unless it is the next one of a stream under way, whose packets take
    /// both ways then.
    #[inline(never)]
    fn compare_with_joined(&mut self, slot: u32, lookup: &Lookup) {
        let Some(keys) = self.scope_joins.keys.get(&slot) else { return };
        let entry = &self.slots[slot];
        let own = &entry.directions[entry.side(lookup.orientation) as usize];
        let TcpHeader { sequence, flags, .. } = lookup.tcp;
        let next = own.flags.has(F::ANCHORED)
            && !self.has_brought_nothing(own)
            && !flags.contains(TcpFlags::SYN)
            && sequence == own.expected();
        if next {
            return;
        }
        let brings_it = |key: &&E::Key| {
            let joined = self.scope_joins.joined.get(*key);
            joined
                .is_some_and(|joined| !joined.shared && joined.brings[lookup.orientation as usize])
        };
        let key = keys.iter().find(brings_it).cloned();
        if let Some(key) = key {
            self.part(&key);
        }
    }

    /// Separates a scope that was joined: its packets no longer belong to the flow.
    fn part(&mut self, key: &E::Key) {
        let Some(joined) = self.scope_joins.joined.remove(key) else { return };
        self.statistics.scopes_parted += 1;
        let slot = joined.slot;
        if let Some(keys) = self.scope_joins.keys.get_mut(&slot) {
            keys.retain(|other| other != key);
            if keys.is_empty() {
                self.scope_joins.keys.remove(&slot);
            }
        }
        let orientation =
            if joined.brings[0] { Orientation::Forward } else { Orientation::Reverse };
        let entry = &mut self.slots[slot];
        entry.fast_path.close();
        let side = entry.side(orientation);
        if !joined.shared {
            entry.flags.clear(elsewhere(side));
        }
        let entry = &self.slots[slot];
        let [initiator, _] = &entry.directions;
        let only_syn = side == FlowSide::Responder && self.has_brought_nothing(initiator);
        let own = &entry.directions[side as usize];
        // Nothing but a SYN-ACK came from there, and the client did not say that it got that one:
        // then it was the SYN-ACK of another connection, and this one's is still to come.
        let unconfirmed = own.flags.has(F::SYN)
            && self.has_brought_nothing(own)
            && !own.flags.has(F::GRACE)
            && !(own.flags.has(F::ACKED) && own.acked == own.base);
        if joined.shared || !unconfirmed || entry.state != State::Established {
            return;
        }
        let entry = &mut self.slots[slot];
        let own = &mut entry.directions[side as usize];
        own.flags.clear(F::ANCHORED.or(F::SYN));
        own.scale = Direction::NEW.scale;
        if only_syn && !own.flags.has(F::ACKED) {
            entry.state = State::HalfOpen;
            self.arm(slot);
        }
    }

    /// A flow begins in this slot: others with the same addresses and ports may turn out to be its
    /// other direction.
    pub(super) fn enter_scope(&mut self, slot: u32) {
        let Some(outside) = self.extractor.without_scope(&self.cold[slot].key) else { return };
        let (hash, _) = self.hash(&outside);
        let neighbours = &self.scope_joins.neighbours;
        let mut list = neighbours.get(&hash).copied().unwrap_or([NONE; NEIGHBOURS]);
        let free = list.iter().position(|slot| *slot == NONE);
        // A flow of which both directions are known gives way first, since nothing is joined to it;
        // then the oldest does.
        let place = free
            .or_else(|| list.iter().rposition(|slot| self.only_side(*slot).is_none()))
            .unwrap_or(NEIGHBOURS - 1);
        list.copy_within(..place, 1);
        list[0] = slot;
        self.scope_joins.neighbours.insert(hash, list);
    }

    /// A slot is released.
    #[inline]
    pub(super) fn leave_scope(&mut self, slot: u32) {
        let joins = &self.scope_joins;
        if !joins.neighbours.is_empty() || !joins.keys.is_empty() {
            self.forget_scope(slot);
        }
    }

    #[inline(never)]
    fn forget_scope(&mut self, slot: u32) {
        for key in self.scope_joins.keys.remove(&slot).unwrap_or_default() {
            self.scope_joins.joined.remove(&key);
        }
        let Some(outside) = self.extractor.without_scope(&self.cold[slot].key) else { return };
        let (hash, _) = self.hash(&outside);
        let Some(list) = self.scope_joins.neighbours.get_mut(&hash) else { return };
        if let Some(place) = list.iter().position(|other| *other == slot) {
            list.copy_within(place + 1.., place);
            list[NEIGHBOURS - 1] = NONE;
        }
        if list[0] == NONE {
            self.scope_joins.neighbours.remove(&hash);
        }
    }

    /// The side of a flow that came in another scope, and its key there.
    pub(super) fn joined(&self, slot: u32) -> Option<(FlowSide, E::Key)> {
        let key = self.scope_joins.keys.get(&slot)?.first()?;
        let joined = self.scope_joins.joined.get(key)?;
        let orientation =
            if joined.brings[0] { Orientation::Forward } else { Orientation::Reverse };
        Some((self.slots[slot].side(orientation), key.clone()))
    }
}

const fn elsewhere(side: FlowSide) -> SlotFlags {
    match side {
        FlowSide::Initiator => SlotFlags::INITIATOR_ELSEWHERE,
        FlowSide::Responder => SlotFlags::RESPONDER_ELSEWHERE,
    }
}

/// A SYN-ACK of the side that has not been seen.
fn syn_ack(greeted: bool, sent: Sent, answer: &Direction, tcp: &TcpHeader) -> Option<Evidence> {
    // The client went on with another SYN-ACK than this one.
    let before = answer.acked.wrapping_sub(tcp.sequence.wrapping_add(1));
    if answer.flags.has(F::ACKED) && before >= FAR_REACH {
        return None;
    }
    if greeted {
        let acknowledged = tcp.acknowledgement.wrapping_sub(sent.first);
        let all = tcp.acknowledgement == sent.end;
        let some = sent.reaches(tcp.acknowledgement) && acknowledged <= FAST_OPEN;
        return match acknowledged {
            0 => Some(Evidence::Exact),
            _ if all && some => Some(Evidence::Exact),
            _ => some.then_some(Evidence::Plausible),
        };
    }
    // The SYN was not captured, and perhaps what followed it was not.
    let missing = sent.first.wrapping_sub(tcp.acknowledgement);
    let fits = answer.flags.has(F::ACKED) && before < REACH && missing < REACH;
    fits.then_some(if missing == 0 { Evidence::Exact } else { Evidence::Plausible })
}

/// A SYN of the side that has not been seen: it comes after its answer.
fn syn(answer: &Direction, lookup: &Lookup) -> Option<Evidence> {
    let first = lookup.tcp.sequence.wrapping_add(1);
    if answer.flags.has(F::ANCHORED) {
        // The SYN-ACK said where the stream begins.
        return (answer.base == first).then_some(Evidence::Exact);
    }
    let before = answer.acked.wrapping_sub(first);
    match before {
        _ if !answer.flags.has(F::ACKED) => None,
        0 => Some(Evidence::Exact),
        _ => (before < REACH).then_some(Evidence::Plausible),
    }
}

/// Any other segment of the side that has not been seen.
fn answers(greeted: bool, sent: Sent, answer: &Direction, tcp: &TcpHeader) -> Option<Evidence> {
    let TcpHeader { sequence, acknowledgement, .. } = *tcp;
    if !answer.flags.has(F::ACKED) {
        // Of the client there is a SYN alone, and this is what followed the SYN-ACK.
        let exact = acknowledgement == sent.first || acknowledgement == sent.end;
        return (greeted && exact).then_some(Evidence::Exact);
    }
    // One more than was seen is a FIN.
    let within = sent.reaches(acknowledgement) || acknowledgement == sent.end.wrapping_add(1);
    // What it acknowledges may have been sent before the capture began; but nothing comes before a
    // SYN.
    let before = !greeted && sent.first.wrapping_sub(acknowledgement) < REACH;
    if sequence == answer.acked {
        // What comes next, to the byte. What it acknowledges may also be lost.
        let near = before || acknowledgement.wrapping_sub(sent.end) < REACH;
        return match (within, near) {
            (true, _) => Some(Evidence::Exact),
            (_, near) => near.then_some(Evidence::Plausible),
        };
    }
    // Up to where the window goes, and as far back as what the other direction has acknowledged
    // meanwhile.
    let window = answer.edge.wrapping_sub(answer.acked).min(FAR_REACH);
    let ahead = sequence.wrapping_sub(answer.acked) <= window.max(REACH);
    let behind = answer.acked.wrapping_sub(sequence);
    let exact = acknowledgement == sent.end || acknowledgement == sent.first;
    let near = within || before;
    let fits = exact && (ahead || behind < FAR_REACH) || near && (ahead || behind < REACH);
    fits.then_some(Evidence::Plausible)
}

/// A segment of the side that was seen: its packets take two ways, such as through a tunnel and
/// past it. A copy of what was seen is no reason to join, since then both scopes may bring
/// everything.
fn same_direction(
    sender: &Direction,
    sent: Sent,
    answer: &Direction,
    lookup: &Lookup,
) -> Option<Evidence> {
    let TcpHeader { sequence, acknowledgement, flags, .. } = lookup.tcp;
    let next = lookup.payload_wire_len > 0
        && !flags.intersects(TcpFlags::SYN | TcpFlags::RST)
        && flags.contains(TcpFlags::ACK)
        && !sender.flags.has(F::FIN)
        && sent.first != sent.end
        && sequence == sent.end;
    let agrees = answer.flags.has(F::ACKED) && acknowledgement == answer.acked;
    (next && agrees).then_some(Evidence::Exact)
}

impl<K> Default for ScopeJoins<K> {
    fn default() -> Self {
        Self {
            neighbours: HashMap::default(),
            joined: HashMap::default(),
            keys: HashMap::default(),
        }
    }
}
