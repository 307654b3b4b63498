//! The flow table.

mod batch;
mod checksums;
mod doubt;
mod drops;
mod expiry;
mod fast_path;
mod fragments;
mod handshake_path;
mod lookup;
mod memory;
mod packets;
mod path;
mod pending_syn;
mod record;
mod reset;
mod scope_join;
mod screen;
mod tcp;
mod update;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};
use std::num::NonZeroU128;

pub(crate) use self::drops::Drops;
use crate::chunked::Chunked;
use crate::config::{Config, FlowTableBuilder};
use crate::delivered::{Delivered, comparing};
use crate::history::History;
use crate::index::Index;
use crate::reassembly::Reassemblies;
use crate::slot::{
    Cold, Counters, Direction, DirectionFlags, FastPath, Lengths, NONE, Observed, Slot, SlotFlags,
    State, Totals,
};
use crate::statistics::TableStatistics;
use crate::stream::Stream;
use crate::timer::Wheel;
use crate::{
    Cause, DefragmentStatistics, Defragmenter, EndReason, FirstPacket, Flow, FlowExtractor,
    FlowHandler, FlowId, FlowSide, NotFollowed, Orientation, Parser, Timestamp, protocol,
};

/// Follows flows through the packets that it is fed with: tells them apart, puts TCP streams back
/// into order, says what is missing, and ends flows.
///
/// It reads no clock: time is what packets and [`advance`](Self::advance) say. Time never goes
/// back; packets with an earlier time stamp count as simultaneous with the latest one.
///
/// # Examples
///
/// ```
/// use flow::{Data, Flow, FiveTuple, FiveTupleKey, FlowHandler, FlowSide, FlowTable};
///
/// struct Printer;
///
/// impl FlowHandler<FiveTupleKey> for Printer {
///     fn on_data(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
///         println!("{} {} {side:?} {}: {} bytes", flow.key.a, flow.key.b, data.offset, data.bytes.len());
///     }
/// }
///
/// let mut table = FlowTable::builder(FiveTuple::bidirectional()).max_flows(1 << 16).build();
/// table.process([/* packets */], &mut Printer);
/// table.finish(&mut Printer);
/// ```
#[derive(Debug)]
pub struct FlowTable<E: FlowExtractor> {
    extractor: E,
    config: Config,
    hasher: ahash::RandomState,
    parser: Parser,
    defragmenter: Defragmenter,
    /// A datagram that was joined from fragments, and one out of it.
    datagram: Vec<u8>,
    inner_datagram: Vec<u8>,
    /// The packets that carried the datagram that is processed, if it was joined from fragments.
    carriers: Vec<u64>,
    index: Index,
    slots: Chunked<Slot>,
    cold: Chunked<Cold<E::Key>>,
    /// By slot, by side. Empty without [`header_fields`](FlowTableBuilder::header_fields).
    observed: Chunked<[Observed; 2]>,
    free: Vec<u32>,
    /// The slot at which eviction continues.
    hand: u32,
    /// Slots before this one have been looked at by [`finish_some`](Self::finish_some).
    finished: u32,
    /// Flows that have not ended.
    live: usize,
    /// The slot of the last flow that began with the packet that is worked on, or [`NONE`].
    begun: u32,
    reassemblies: Reassemblies,
    /// By slot: SYNs that may begin another connection on the same addresses and ports.
    pending_syns: HashMap<u32, Vec<pending_syn::PendingSyn>, ahash::RandomState>,
    /// Their payload.
    pending_syn_bytes: usize,
    /// By slot: what was carried over from counters that were full.
    totals: HashMap<u32, [Totals; 2], ahash::RandomState>,
    /// Connections whose directions came in different scopes.
    scope_joins: scope_join::ScopeJoins<E::Key>,
    /// Scratch for the batches that are worked on, see [`batch`].
    scratches: [batch::Scratch<E::Key>; 3],
    wheel: Wheel,
    idle: expiry::IdleTimes,
    /// No timer fires before this. Nanoseconds.
    next_timer: u64,
    /// The latest time seen. Nanoseconds.
    now: u64,
    /// The time of the flow's previous packet, in nanoseconds.
    previous: u64,
    statistics: TableStatistics,
    screen: screen::Screen,
    checksums: checksums::Checksums,
    doubts: doubt::Doubts,
    drops: Drops,
    delivered: Option<Box<Delivered>>,
    memory: memory::Memory,
    /// The longest packet so far: captured bytes.
    longest: u32,
    /// Packets of other protocols than TCP, by IP protocol.
    protocols: Box<[u64; 256]>,
}

impl<E: FlowExtractor> FlowTable<E> {
    /// Begins to set up a table. The extractor says which packets belong together.
    pub fn builder(extractor: E) -> FlowTableBuilder<E> {
        FlowTableBuilder::new(extractor)
    }

    pub(crate) fn new(extractor: E, config: Config) -> Self {
        let delivered = config.remembered_bytes.map(|(direction_bytes, table_bytes)| {
            Box::new(Delivered::new(direction_bytes, table_bytes))
        });
        let idle = expiry::IdleTimes::new(&config.timeouts);
        Self {
            extractor,
            defragmenter: Defragmenter::new(config.fragments),
            parser: Parser::new(config.parse),
            config,
            hasher: ahash::RandomState::new(),
            datagram: Vec::new(),
            inner_datagram: Vec::new(),
            carriers: Vec::new(),
            index: Index::new(),
            slots: Chunked::new(),
            cold: Chunked::new(),
            observed: Chunked::new(),
            free: Vec::new(),
            hand: 0,
            finished: 0,
            live: 0,
            begun: NONE,
            reassemblies: Reassemblies::default(),
            pending_syns: HashMap::default(),
            pending_syn_bytes: 0,
            totals: HashMap::default(),
            scope_joins: scope_join::ScopeJoins::default(),
            scratches: Default::default(),
            wheel: Wheel::new(),
            idle,
            next_timer: u64::MAX,
            now: 0,
            previous: 0,
            statistics: TableStatistics::default(),
            screen: screen::Screen::default(),
            checksums: checksums::Checksums::default(),
            doubts: doubt::Doubts::default(),
            drops: Drops::default(),
            delivered,
            memory: memory::Memory::default(),
            longest: 0,
            protocols: Box::new([0; 256]),
        }
    }

    /// Flows that are going on.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.live
    }

    /// Returns `true` if no flow is going on.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// A flow that is going on; `None` once it has ended.
    #[must_use]
    pub fn flow(&self, id: FlowId) -> Option<Flow<'_, E::Key>> {
        if id.slot() >= self.slots.len() {
            return None;
        }
        let entry = &self.slots[id.slot];
        let live =
            entry.generation == id.generation && !matches!(entry.state, State::Free | State::Ended);
        live.then(|| view(id.slot, entry, &self.cold[id.slot]))
    }

    /// The extractor, which decides which packets belong together.
    #[must_use]
    pub const fn extractor(&self) -> &E {
        &self.extractor
    }

    /// Totals of the reassembly of IP fragments.
    #[must_use]
    pub fn defragmentation(&self) -> &DefragmentStatistics {
        self.defragmenter.statistics()
    }

    /// Totals since the table was built.
    #[must_use]
    pub fn statistics(&self) -> TableStatistics {
        let fragments = self.defragmenter.statistics();
        TableStatistics {
            pending_bytes: self.reassemblies.bytes() as u64,
            pending_bytes_peak: self.reassemblies.peak() as u64,
            fragments: fragments.fragments,
            datagrams: fragments.datagrams,
            fragment_conflicts: fragments.conflicts,
            datagrams_evicted: fragments.evicted,
            not_followed: self.not_followed(),
            not_streams: self.not_streams(),
            conflicts: self.statistics.conflicts
                + self.delivered.as_ref().map_or(0, |delivered| delivered.conflicts()),
            not_compared: self.delivered.as_ref().map_or(0, |delivered| delivered.not_compared()),
            ..self.statistics
        }
    }

    /// Packets that belong to no flow, by cause; fragments once their datagram was given up.
    ///
    /// Together with the packets of flows, the fragments that were joined, and the segments that
    /// the other [`statistics`](Self::statistics) name, these are all packets that the table was
    /// given.
    #[must_use]
    pub fn not_followed(&self) -> NotFollowed {
        let mut counts = self.statistics.not_followed;
        counts.add(Cause::IncompleteDatagram, self.defragmenter.statistics().abandoned);
        counts
    }

    /// Packets of flows of other protocols than TCP, see [`TableStatistics::not_streams`].
    fn not_streams(&self) -> NotFollowed {
        let mut counts = NotFollowed::default();
        for (protocol, packets) in (0..=u8::MAX).zip(&*self.protocols) {
            counts.add(Cause::Protocol(protocol), *packets);
        }
        counts
    }

    /// The capture has ended: ends every flow. Those that both sides closed end with
    /// [`EndReason::Fin`], those reset with [`EndReason::Rst`], the others with
    /// [`EndReason::CaptureEnded`]; what waits behind holes is delivered.
    ///
    /// The table is empty afterwards and can be used again.
    pub fn finish(&mut self, handler: &mut impl FlowHandler<E::Key>) {
        while self.finish_some(usize::MAX, handler) {}
    }

    /// The same in parts, for a handler that cannot take the ends of all flows at once: looks at
    /// `slots` slots, and returns `true` if there are more. No packets may come in between.
    pub fn finish_some(&mut self, slots: usize, handler: &mut impl FlowHandler<E::Key>) -> bool {
        comparing!(self, handler => self.finish_part(slots, handler))
    }

    fn finish_part(&mut self, slots: usize, handler: &mut impl FlowHandler<E::Key>) -> bool {
        self.defragmenter.finish();
        self.unclaim(handler);
        let all = self.slots.len();
        let begin = (self.finished as usize).min(all);
        let end = begin.saturating_add(slots.max(1)).min(all);
        for slot in begin as u32..end as u32 {
            self.settle(slot, handler);
            match self.slots[slot].state {
                State::Free => {}
                State::Ended => self.release(slot),
                _ => {
                    self.end_all(slot, EndReason::CaptureEnded, handler);
                    self.release(slot);
                }
            }
        }
        self.finished = if end < all { end as u32 } else { 0 };
        end < all
    }

    /// The hash of a key, and its number (0 for none).
    #[inline(always)]
    fn hash(&self, key: &E::Key) -> (u32, u128) {
        let compact = E::compact(key).map_or(0, NonZeroU128::get);
        let mut hasher = self.hasher.build_hasher();
        if compact == 0 {
            key.hash(&mut hasher);
        } else {
            hasher.write_u128(compact);
        }
        let hash = hasher.finish();
        ((hash >> 32) as u32 ^ hash as u32, compact)
    }

    /// Begins a flow in a fresh slot.
    fn insert(
        &mut self,
        key: E::Key,
        lookup: &lookup::Lookup,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> u32 {
        if self.free.is_empty() && !self.has_room() {
            self.evict(handler);
        }
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot].compact = lookup.compact;
            self.cold[slot].key = key;
            slot
        } else {
            let slot = self.slots.len() as u32;
            self.slots.push(Slot {
                compact: lookup.compact,
                last_seen: 0,
                directions: [Direction::NEW; 2],
                counters: [Counters::default(); 2],
                generation: 0,
                state: State::Free,
                protocol: 0,
                flags: SlotFlags::default(),
                fast_path: FastPath::NO,
            });
            self.cold.push(Cold {
                key,
                history: History::NONE,
                started: 0,
                handshake: 0,
                reported: 0,
            });
            if self.config.header_fields {
                self.observed.push(Default::default());
            }
            self.wheel.push();
            slot
        };
        self.index.insert(lookup.hash, slot);
        if lookup.compact == 0 && lookup.protocol == protocol::TCP {
            self.enter_scope(slot);
        }
        slot
    }

    /// Fills in a slot for a flow that begins now, and says so. False if it is not admitted: then
    /// the slot is as after the end of a flow.
    fn start(
        &mut self,
        slot: u32,
        protocol: u8,
        initiator: Orientation,
        state: State,
        first: &FirstPacket<'_>,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> bool {
        let now = self.now;
        let entry = &mut self.slots[slot];
        entry.last_seen = now;
        entry.directions = [Direction::NEW; 2];
        entry.fast_path = FastPath::NO;
        entry.counters = [Counters::default(); 2];
        entry.protocol = protocol;
        entry.state = state;
        entry.flags = match initiator {
            Orientation::Forward => SlotFlags::default(),
            Orientation::Reverse => SlotFlags::REVERSE,
        };
        let cold = &mut self.cold[slot];
        (cold.handshake, cold.reported) = (0, now);
        // A SYN that reuses the ports of another flow waits for its confirmation.
        cold.started = first.timestamp.as_nanos().min(now);
        if let Some(observed) = self.observed.get_mut(slot) {
            *observed = Default::default();
        }
        self.begun = slot;
        if !self.totals.is_empty() {
            self.totals.remove(&slot);
        }
        let admitted = handler.admits(&view(slot, &self.slots[slot], &self.cold[slot]), first);
        if admitted {
            self.live += 1;
            self.statistics.flows_started += 1;
            handler.on_start(&view(slot, &self.slots[slot], &self.cold[slot]));
        } else {
            self.statistics.flows_refused += 1;
            let entry = &mut self.slots[slot];
            entry.state = State::Ended;
            entry.flags.set(SlotFlags::REFUSED);
        }
        self.arm(slot);
        admitted
    }

    /// Counts a packet of a side.
    #[inline(always)]
    fn count(&mut self, slot: u32, side: FlowSide, lengths: Lengths) {
        let entry = &mut self.slots[slot];
        self.previous = entry.last_seen;
        entry.last_seen = self.now;
        let counters = &mut entry.counters[side as usize];
        if let Some(sum) = counters.plus(lengths) {
            *counters = sum;
        } else {
            self.totals.entry(slot).or_default()[side as usize].add(*counters);
            *counters = Counters::one(lengths);
        }
    }

    /// One direction of a TCP flow, ready to be worked on.
    fn stream<'t, H>(
        &'t mut self,
        slot: u32,
        side: FlowSide,
        handler: &'t mut H,
        wake: &'t mut u64,
    ) -> Stream<'t, E::Key, H> {
        let Slot { directions, generation, protocol, flags, fast_path, .. } = &mut self.slots[slot];
        fast_path.close();
        let other = &directions[side.opposite() as usize];
        let (peer, peer_closed) = (other.seen, other.flags.has(DirectionFlags::FIN));
        let Cold { key, history, started, .. } = &mut self.cold[slot];
        let initiator =
            if flags.has(SlotFlags::REVERSE) { Orientation::Reverse } else { Orientation::Forward };
        let sends = if side == FlowSide::Initiator { initiator } else { initiator.reversed() };
        let policy = self.config.overlap.of(|| E::receiver(key, sends));
        let urgent = self.screen.urgent(slot, side as u8, *generation);
        Stream {
            policy,
            urgent,
            flow: Flow {
                id: FlowId { slot, generation: *generation },
                key,
                protocol: *protocol,
                initiator,
                started: Timestamp::from_nanos(*started),
            },
            side,
            direction: &mut directions[side as usize],
            history,
            peer,
            reassemblies: &mut self.reassemblies,
            drops: &self.drops,
            longest: self.longest,
            config: &self.config,
            statistics: &mut self.statistics,
            handler,
            now: self.now,
            previous: self.previous,
            peer_closed,
            wake,
        }
    }

    /// Ends a flow, and the connection after it on the same addresses and ports, if there seems to
    /// be one.
    fn end_all(&mut self, slot: u32, reason: EndReason, handler: &mut impl FlowHandler<E::Key>) {
        if let Some(confirmed) = self.succeeding_syn(slot) {
            self.replace_by_syn(slot, confirmed, handler);
        }
        if self.slots[slot].state != State::Ended {
            self.end(slot, reason, handler);
        }
    }

    /// Ends a flow: what is pending is delivered, then the end is reported. A TCP flow's slot stays
    /// taken, with [`State::Ended`], until it is released.
    fn end(&mut self, slot: u32, reason: EndReason, handler: &mut impl FlowHandler<E::Key>) {
        if self.slots[slot].is_tcp() {
            if self.doubts.holds_any() {
                self.end_doubts(slot, handler);
            }
            let mut wake = u64::MAX;
            self.reject_pending_syns(slot, handler);
            for side in [FlowSide::Initiator, FlowSide::Responder] {
                let direction = &self.slots[slot].directions[side as usize];
                if !direction.is_complete() {
                    self.stream(slot, side, handler, &mut wake).finish();
                }
            }
        }
        let reason = self.true_reason(slot, reason);
        let record = self.record(slot, reason);
        match reason {
            EndReason::Fin => self.statistics.ended_fin += 1,
            EndReason::Rst => self.statistics.ended_rst += 1,
            EndReason::IdleTimeout => self.statistics.ended_idle += 1,
            EndReason::Evicted => self.statistics.ended_evicted += 1,
            EndReason::Replaced => self.statistics.ended_replaced += 1,
            _ => self.statistics.ended_capture += 1,
        }
        handler.on_end(&view(slot, &self.slots[slot], &self.cold[slot]), &record);
        let entry = &mut self.slots[slot];
        entry.state = State::Ended;
        entry.fast_path.close();
        for direction in &mut entry.directions {
            self.reassemblies.release(direction.reassembly);
            direction.reassembly = NONE;
        }
        self.screen.forget(slot);
        self.live -= 1;
    }

    /// Makes a slot whose flow has ended available.
    fn release(&mut self, slot: u32) {
        let (hash, _) = self.hash(&self.cold[slot].key);
        self.index.remove(hash, slot);
        self.leave_scope(slot);
        self.wheel.cancel(slot);
        let entry = &mut self.slots[slot];
        entry.state = State::Free;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
    }
}

/// A flow as its events show it.
fn view<'a, K>(slot: u32, entry: &Slot, cold: &'a Cold<K>) -> Flow<'a, K> {
    Flow {
        id: FlowId { slot, generation: entry.generation },
        key: &cold.key,
        protocol: entry.protocol,
        initiator: entry.initiator(),
        started: Timestamp::from_nanos(cold.started),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::{Endpoint, FiveTuple, FiveTupleKey, Scope};

    /// An attacker without the table's seed cannot choose addresses and ports that collide in it.
    #[test]
    fn each_table_hashes_in_its_own_way() {
        let end =
            |last, port| Endpoint { address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)), port };
        let hashes = |table: FlowTable<FiveTuple>| -> Vec<u32> {
            (0..100)
                .map(|port| FiveTupleKey {
                    a: end(1, port),
                    b: end(2, 80),
                    protocol: 6,
                    scope: Scope::NONE,
                })
                .map(|key| table.hash(&key).0)
                .collect()
        };
        let table = || FlowTable::builder(FiveTuple::bidirectional()).build();
        let (one, other) = (hashes(table()), hashes(table()));
        assert!(one.iter().zip(&other).filter(|(one, other)| one == other).count() < 3);
    }
}
