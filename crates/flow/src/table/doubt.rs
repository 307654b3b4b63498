//! Segments that the receiver may not have taken, held back until it shows whether it did.

mod held;
mod outage;

use std::collections::HashMap;

use self::held::Held;
use super::lookup::{Lookup, Sort};
use super::tcp::Segment;
use crate::slot::{Direction, DirectionFlags as F, SlotFlags, State};
use crate::stream::ahead;
use crate::{
    Defect, FlowExtractor, FlowHandler, FlowSide, FlowTable, Packet, TcpFlags, TcpHeader,
    TcpOptions, UnplacedCause,
};

/// Segments in doubt, by slot. A segment leaves it
///
/// - into its stream, if the peer acknowledges bytes that no other segment brought;
/// - as a repetition, once another segment has brought its bytes;
/// - at the end of its flow: into the stream if nothing but the way that it took or the receiver's
///   window spoke against it, else as discarded.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    flows: HashMap<u32, Vec<Held>, ahash::RandomState>,
    bytes: usize,
}

/// The evidence that settles a segment in doubt.
enum Verdict {
    /// The receiver took it up to this sequence number.
    Taken(u32),
    /// Another segment has brought its bytes.
    Repeated,
}

/// Memory for all segments in doubt; beyond it they are taken as they come.
const TABLE_BYTES: usize = 4 << 20;
/// Segments in doubt of one flow. If this many took another path and the receiver answered none of
/// them, that path is believed from then on.
const SEGMENTS: usize = 16;
/// The cost of one besides its bytes: its place in a list that may be half empty, a flow's place in
/// the map likewise, and the allocator's share.
const OVERHEAD: usize = 2 * size_of::<Held>() + 2 * size_of::<(u32, Vec<Held>)>() + 48;
/// Segments of one flow beyond a window. There may be as many as a sender sends that does not keep
/// to it.
const BEYOND_WINDOW: usize = 128;
/// The maximum distance of a segment beyond the window: farther away it is in doubt for that.
const SLACK: i64 = 1 << 20;
/// The time for which a flow's other path is doubted, if nothing contradicts it. Nanoseconds.
const PATIENCE: u64 = 2_000_000_000;
/// The time for which timestamps hold (RFC 7323, section 5.5): 24 days. Nanoseconds.
const OUTDATED: u64 = 24 * 24 * 3600 * 1_000_000_000;
/// The maximum distance of a segment in doubt from the next expected byte: those farther away are
/// in doubt for that.
const NEAR: i64 = 1 << 24;
/// Pieces of the out-of-order queue that are searched for the same bytes from another segment.
const PIECES: usize = 64;

impl Doubts {
    #[inline(always)]
    pub(super) fn holds_any(&self) -> bool {
        self.bytes > 0
    }
}

impl<E: FlowExtractor> FlowTable<E> {
    /// Holds a segment back if the receiver may discard it. False, with nothing done to it, if it
    /// is to be worked on.
    #[inline(never)]
    pub(super) fn doubted(
        &mut self,
        slot: u32,
        packet: &Packet<'_>,
        lookup: &Lookup,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> bool {
        let entry = &self.slots[slot];
        if !entry.is_tcp() || entry.state == State::Ended {
            return false;
        }
        if self.doubts.holds_any() {
            self.settle_before_outage(slot, lookup, handler);
            self.settle_doubts(slot, lookup, handler);
            if self.slots[slot].state == State::Ended {
                // By what was settled: nothing more would settle this one.
                return false;
            }
        }
        let special = TcpFlags::SYN | TcpFlags::RST;
        if lookup.payload_wire_len == 0 || lookup.tcp.flags.intersects(special) {
            return false;
        }
        // What may be of another connection is not held against this one's numbers.
        let entry = &self.slots[slot];
        let pending = entry.flags.has(SlotFlags::PENDING_SYN);
        if pending || entry.may_have_closed() {
            let segment = Segment::of(packet, lookup);
            if pending
                && (self.is_of_pending_syn(slot, &segment)
                    || self.confirmed_syn(slot, &segment).is_some())
                || self.leaves_closed_connection(slot, &segment)
            {
                return false;
            }
        }
        let way = lookup.path.path();
        if let Some(defect) = self.doubt(slot, packet, lookup, way)
            && self.hold_back(slot, packet, lookup, way, defect, handler)
        {
            return true;
        }
        self.trust(slot, lookup, way);
        false
    }

    /// Notes what the first packets of a side show: what later ones are held against.
    pub(super) fn note_greeting(&mut self, slot: u32, lookup: &Lookup) {
        let entry = &mut self.slots[slot];
        if !entry.is_tcp() || entry.state == State::Ended {
            return;
        }
        let side = entry.side(lookup.orientation);
        let own = &mut entry.directions[side as usize];
        if own.flags.path() == 0 {
            own.flags.set_path(lookup.path.path());
        }
        let tcp = &lookup.tcp;
        let is_first = own.flags.has(F::SYN)
            && tcp.flags.contains(TcpFlags::SYN)
            && own.base == tcp.sequence.wrapping_add(1)
            && !own.flags.has(F::FIN)
            && own.latest_timestamp() == 0;
        if is_first && tcp.options.contains(TcpOptions::TIMESTAMP) {
            own.set_first_timestamp(tcp.timestamp);
        }
    }

    /// The reason for which the receiver may discard a segment with payload.
    fn doubt(&self, slot: u32, packet: &Packet<'_>, lookup: &Lookup, way: u8) -> Option<Defect> {
        let entry = &self.slots[slot];
        let side = entry.side(lookup.orientation);
        let own = &entry.directions[side as usize];
        let peer = &entry.directions[side.opposite() as usize];
        let tcp = &lookup.tcp;
        // Of a receiver of which nothing is seen it will not be known either what it takes.
        if !own.flags.has(F::ANCHORED) || !own.flags.has(F::ACKED) {
            return None;
        }
        let start = own.offset(tcp.sequence) - own.next.cast_signed();
        let end = start + i64::from(lookup.payload_wire_len);
        if end <= 0 || start.abs() > NEAR {
            return None;
        }
        // A tool may have cut the packet without saying so; then the receiver has it.
        if lookup.sort == Sort::Defective(Defect::TooLong)
            && packet.data().len() < self.longest as usize
            && !self.loses_tails(own)
        {
            return Some(Defect::TooLong);
        }
        // Or a length of 0 and a finished checksum are the work of another tool than the adapter.
        if lookup.sort == Sort::Defective(Defect::NoLength) {
            return Some(Defect::NoLength);
        }
        // PAWS: the receiver discards a segment with an older timestamp (RFC 7323, section 5.3).
        // Linux allows for one tick.
        let is_old = entry.is_stamped()
            && tcp.options.contains(TcpOptions::TIMESTAMP)
            && ahead(own.latest_timestamp(), tcp.timestamp.wrapping_add(1))
            && self.now.saturating_sub(entry.last_seen) < OUTDATED;
        if is_old {
            return Some(Defect::Timestamp);
        }
        // A receiver discards data whose acknowledgement is too old or too new (RFC 5961, section
        // 5.2): a blind attacker has to guess this number as well.
        if tcp.flags.contains(TcpFlags::ACK)
            && peer.flags.has(F::SYN)
            && peer.flags.has(F::ANCHORED)
            && peer.flags.has(F::ACKED)
        {
            let acknowledged = peer.offset(tcp.acknowledgement);
            // No window is larger than the field's largest value.
            let oldest = peer.offset(peer.acked) - (i64::from(u16::MAX) << own.scale.shift());
            // One more for a FIN.
            let newest = peer.offset(peer.edge).max(peer.next.cast_signed()) + 1;
            let is_whole = !peer.flags.has(F::PENDING.or(F::GRACE));
            if acknowledged < oldest.max(0) || (is_whole && acknowledged > newest) {
                return Some(Defect::Acknowledgement);
            }
        }
        // A segment on another path may never reach the receiver: an attacker shows it to the
        // capture alone, for example with a low time to live.
        let known = own.flags.path();
        if known != 0 && way != 0 && way != known {
            return Some(Defect::Path);
        }
        // A receiver discards what lies beyond its window, or takes a part of it (RFC 9293, section
        // 3.10.7.4). The windows are known if both SYNs were seen.
        let edge = own.offset(own.edge) - own.next.cast_signed();
        let beyond = end > edge && start <= edge.max(0) + SLACK;
        (entry.flags.has(SlotFlags::HANDSHAKE) && beyond).then_some(Defect::Window)
    }

    /// `true` if the capture is known to lose the ends of a direction's packets.
    fn loses_tails(&self, own: &Direction) -> bool {
        self.reassemblies.peek(own.reassembly).is_some_and(|reassembly| reassembly.loses_tails)
    }

    /// Keeps a segment in doubt; false if there is no room.
    fn hold_back(
        &mut self,
        slot: u32,
        packet: &Packet<'_>,
        lookup: &Lookup,
        way: u8,
        defect: Defect,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> bool {
        let side = self.slots[slot].side(lookup.orientation);
        if let Some(list) = self.doubts.flows.get(&slot) {
            let of_window = defect == Defect::Window;
            let alike = |held: &&Held| (held.defect == Defect::Window) == of_window;
            let alike = list.iter().filter(alike);
            // A receiver that is not seen to answer refuses nothing.
            let open = alike.clone().filter(|held| !(of_window && held.refused));
            let impatient = |held: &Held| self.now.saturating_sub(held.since) > PATIENCE;
            if open.clone().count() >= SEGMENTS || open.clone().next().is_some_and(impatient) {
                // The one that ends the patience is as good as those before it. Held back, it would
                // be missing when these show an outage.
                self.bear_out(slot, lookup, defect);
                if self.give_in(slot, side, way, defect, handler)
                    || self.doubt(slot, packet, lookup, way).is_none()
                {
                    return false;
                }
            } else if alike.count() >= BEYOND_WINDOW {
                return false;
            }
        }
        let Segment { sequence, acknowledgement, flags, window, payload, .. } =
            Segment::of(packet, lookup);
        let held = Held {
            side,
            defect,
            path: way,
            since: self.now,
            acknowledgement,
            sequence,
            flags,
            window,
            payload: payload.into(),
            payload_wire_len: lookup.payload_wire_len,
            wire_len: packet.wire_len(),
            ip_len: lookup.ip_len(),
            timestamp: packet.timestamp().as_nanos(),
            number: packet.number(),
            refused: false,
            is_rest: false,
        };
        if self.doubts.bytes + held.cost() > TABLE_BYTES {
            return false;
        }
        self.doubts.bytes += held.cost();
        let list = self.doubts.flows.entry(slot).or_default();
        if list.is_empty() {
            // Most have one.
            list.reserve_exact(1);
        }
        list.push(held);
        self.slots[slot].last_seen = self.now;
        true
    }

    /// A segment that was not in doubt: later ones are held against it.
    fn trust(&mut self, slot: u32, lookup: &Lookup, way: u8) {
        let entry = &mut self.slots[slot];
        let side = entry.side(lookup.orientation);
        let is_stamped = entry.is_stamped();
        let own = &mut entry.directions[side as usize];
        if own.flags.path() == 0 {
            own.flags.set_path(way);
        }
        // The rule by which the receiver updates TS.Recent (RFC 7323, section 4.3). Without it a
        // forged segment ahead of the stream would make true ones look old.
        if is_stamped
            && lookup.tcp.options.contains(TcpOptions::TIMESTAMP)
            && lookup.tcp.sequence == own.expected()
            && !ahead(lookup.tcp.sequence, own.acked)
            && ahead(lookup.tcp.timestamp, own.latest_timestamp())
        {
            own.set_latest_timestamp(lookup.tcp.timestamp);
        }
    }

    /// Looks at the segments in doubt of a flow in the light of another of its segments.
    fn settle_doubts(
        &mut self,
        slot: u32,
        lookup: &Lookup,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let generation = self.slots[slot].generation;
        let sender = self.slots[slot].side(lookup.orientation);
        if lookup.tcp.flags.contains(TcpFlags::ACK)
            && let Some(list) = self.doubts.flows.get_mut(&slot)
        {
            for held in list.iter_mut().filter(|held| held.side != sender) {
                held.refused |= !ahead(lookup.tcp.acknowledgement, held.sequence);
            }
        }
        loop {
            let Some(list) = self.doubts.flows.get(&slot) else { return };
            let verdict = |(at, held)| Some((at, self.verdict(slot, held, sender, &lookup.tcp)?));
            let Some((at, verdict)) = list.iter().enumerate().find_map(verdict) else { return };
            let Some(mut held) = self.take_held(slot, at) else { return };
            match verdict {
                Verdict::Repeated => self.statistics.discarded.add(held.defect),
                Verdict::Taken(end) => {
                    if held.defect == Defect::Path {
                        let own = &mut self.slots[slot].directions[held.side as usize];
                        own.flags.set_path(held.path);
                    }
                    if held.defect == Defect::TooLong {
                        // No host takes such a packet, so it was longer than what the capture has
                        // of it.
                        let mut wake = u64::MAX;
                        self.stream(slot, held.side, handler, &mut wake).loses_tails();
                    }
                    // A receiver acknowledges a segment piece by piece if the sender's adapter
                    // divided it, so the rest may be acknowledged later.
                    if let Some(rest) = held.cut_off(end) {
                        self.doubts.bytes += rest.cost();
                        self.doubts.flows.entry(slot).or_default().insert(at, rest);
                    }
                }
            }
            self.segment(slot, &held.segment(&self.slots[slot]), handler);
            if self.slots[slot].generation != generation {
                return;
            }
        }
    }

    /// The verdict of a segment on one in doubt; `None` if it shows nothing.
    fn verdict(
        &self,
        slot: u32,
        held: &Held,
        sender: FlowSide,
        tcp: &TcpHeader,
    ) -> Option<Verdict> {
        let entry = &self.slots[slot];
        let own = &entry.directions[held.side as usize];
        let expected = own.expected();
        if !ahead(held.end(), expected) {
            return Some(Verdict::Repeated);
        }
        if held.side == sender || !tcp.flags.contains(TcpFlags::ACK) {
            return None;
        }
        // The receiver has bytes that only this segment brought. Of a segment beyond its window it
        // may have taken a part.
        let of_fin = own.flags.has(F::FIN) && tcp.acknowledgement == own.fin.wrapping_add(1);
        let acknowledgement = tcp.acknowledgement.wrapping_sub(u32::from(of_fin));
        let end = if held.defect == Defect::Window && ahead(held.end(), acknowledgement) {
            acknowledgement
        } else {
            held.end()
        };
        let first = if ahead(expected, held.sequence) { expected } else { held.sequence };
        let acknowledged = !ahead(end, acknowledgement) && ahead(end, first);
        if acknowledged && !self.was_brought(own, first, end) {
            return Some(Verdict::Taken(end));
        }
        // What it acknowledged was sent after all, and not captured: the peer goes on behind it.
        let peer = &entry.directions[sender as usize];
        let was_sent = held.defect == Defect::Acknowledgement
            && peer.flags.has(F::ANCHORED)
            && ahead(held.acknowledgement, peer.expected())
            && !ahead(held.acknowledgement, tcp.sequence);
        was_sent.then_some(Verdict::Taken(held.end()))
    }

    /// `true` if segments that wait behind a hole have all bytes between two sequence numbers.
    fn was_brought(&self, own: &Direction, first: u32, end: u32) -> bool {
        let range = (own.offset(first), own.offset(end));
        let (Ok(first), Ok(end)) = (u64::try_from(range.0), u64::try_from(range.1)) else {
            return false;
        };
        let reassembly =
            self.reassemblies.peek(own.reassembly).filter(|_| own.flags.has(F::PENDING));
        reassembly.is_some_and(|reassembly| reassembly.pending.covers(first..end, PIECES))
    }

    /// Another segment acknowledges what those in doubt do, or more. So the capture has missed it,
    /// and what the other side said meanwhile may have been said before they arrived.
    fn bear_out(&mut self, slot: u32, lookup: &Lookup, defect: Defect) {
        let side = self.slots[slot].side(lookup.orientation);
        let Some(list) = self.doubts.flows.get_mut(&slot) else { return };
        for held in list.iter_mut().filter(|held| held.side == side) {
            let both = [defect, held.defect] == [Defect::Acknowledgement; 2];
            held.refused &= !both || ahead(held.acknowledgement, lookup.tcp.acknowledgement);
        }
    }

    /// Too many segments of a flow are in doubt, or for too long. Those that took another way are
    /// believed, and so is their way from now on. Those beyond the window are believed if the
    /// capture does not see what the receiver answers. Returns `true` if the last of them is
    /// believed.
    fn give_in(
        &mut self,
        slot: u32,
        side: FlowSide,
        way: u8,
        defect: Defect,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> bool {
        let own = &mut self.slots[slot].directions[side as usize];
        let of_window = defect == Defect::Window;
        if defect == Defect::Path {
            own.flags.set_path(way);
        } else if of_window && !ahead(own.acked, own.expected()) {
            // Until the receiver is seen again, nobody knows its window.
            own.flags.clear(F::ACKED);
        }
        self.take_open(slot, of_window, handler)
    }

    /// Takes the segments in doubt that nobody has refused: those beyond a window, or all others.
    /// Returns `true` if the last of them is believed.
    fn take_open(
        &mut self,
        slot: u32,
        of_window: bool,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> bool {
        let mut is_believed = false;
        let generation = self.slots[slot].generation;
        let mut at = 0;
        while self.slots[slot].generation == generation
            && let Some(held) = self.doubts.flows.get(&slot).and_then(|list| list.get(at))
        {
            let is_meant = (held.defect == Defect::Window) == of_window;
            if !is_meant || of_window && held.refused {
                at += 1;
            } else if let Some(held) = self.take_held(slot, at) {
                is_believed = held.is_believed_at_last();
                if is_believed {
                    self.segment(slot, &held.segment(&self.slots[slot]), handler);
                } else {
                    self.reject(slot, &held, handler);
                }
            }
        }
        is_believed
    }

    /// The flow ends.
    pub(super) fn end_doubts(&mut self, slot: u32, handler: &mut impl FlowHandler<E::Key>) {
        while let Some(held) = self.take_held(slot, 0) {
            self.conclude(slot, &held, handler);
        }
    }

    /// Decides about the segments of a direction before what waits behind them has waited too long:
    /// what was captured is not declared missing.
    pub(super) fn decide_doubts(
        &mut self,
        slot: u32,
        side: FlowSide,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let own = &self.slots[slot].directions[side as usize];
        let timeout = self.config.hole_timeout;
        let Some(reassembly) = self.reassemblies.peek(own.reassembly) else { return };
        let hole = own.flags.has(F::PENDING) && reassembly.hole_deadline(timeout) <= self.now;
        let since = reassembly.quarantine.as_ref().and_then(|quarantine| quarantine.since());
        let outage = since.is_some_and(|since| since.saturating_add(timeout) <= self.now);
        if !hole && !outage {
            return;
        }
        let mut at = 0;
        while let Some(held) = self.doubts.flows.get(&slot).and_then(|list| list.get(at)) {
            if held.side != side {
                at += 1;
            } else if let Some(held) = self.take_held(slot, at) {
                self.conclude(slot, &held, handler);
            }
        }
    }

    /// No more evidence comes.
    fn conclude(&mut self, slot: u32, held: &Held, handler: &mut impl FlowHandler<E::Key>) {
        let own = &self.slots[slot].directions[held.side as usize];
        let is_repeated = !ahead(held.end(), own.expected());
        if !is_repeated && !held.is_believed_at_last() {
            self.reject(slot, held, handler);
            return;
        }
        if is_repeated {
            self.statistics.discarded.add(held.defect);
        }
        self.count_held(slot, held);
        let mut wake = u64::MAX;
        let mut stream = self.stream(slot, held.side, handler, &mut wake);
        stream.payload(held.payload());
        if held.flags.contains(TcpFlags::FIN) {
            stream.fin(held.payload());
        }
    }

    fn reject(&mut self, slot: u32, held: &Held, handler: &mut impl FlowHandler<E::Key>) {
        self.statistics.discarded.add(held.defect);
        self.count_held(slot, held);
        if !held.payload.is_empty() {
            let mut wake = u64::MAX;
            let mut stream = self.stream(slot, held.side, handler, &mut wake);
            let (sequence, cause) = (held.sequence, UnplacedCause::Discarded);
            stream.unplaced(&held.payload, sequence, held.timestamp, held.number, cause);
        }
    }

    /// Counts a segment. The rest of one is not another packet.
    fn count_held(&mut self, slot: u32, held: &Held) {
        if held.is_rest {
            let totals = &mut self.totals.entry(slot).or_default()[held.side as usize];
            totals.payload_bytes += u64::from(held.payload_wire_len);
        } else {
            self.count(slot, held.side, held.lengths());
        }
    }

    fn take_held(&mut self, slot: u32, at: usize) -> Option<Held> {
        let held = self.doubts.flows.get_mut(&slot)?;
        let one = (at < held.len()).then(|| held.remove(at));
        if held.is_empty() {
            self.doubts.flows.remove(&slot);
        }
        self.doubts.bytes -= one.as_ref().map_or(0, Held::cost);
        one
    }
}
