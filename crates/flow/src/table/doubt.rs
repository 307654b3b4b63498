//! Segments that the receiver may not have taken, held back until it shows whether it did.

use std::collections::HashMap;

use super::batch::{Sort, Work};
use super::path::path;
use super::tcp::Segment;
use crate::slot::{DirectionFlags as F, Slot, State};
use crate::stream::{Payload, ahead};
use crate::{
    Defect, FlowExtractor, FlowHandler, FlowSide, FlowTable, Packet, TcpFlags, TcpOptions,
    UnplacedCause,
};

/// Segments in doubt, by slot. A segment leaves it
///
/// - into its stream, if the peer acknowledges bytes that no other segment brought;
/// - as a repetition, once another segment has brought its bytes;
/// - at the end of its flow: into the stream if it only took another way than the others, else as discarded.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    flows: HashMap<u32, Vec<Held>, ahash::RandomState>,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    side: FlowSide,
    defect: Defect,
    path: u8,
    /// Nanoseconds.
    since: u64,
    acknowledgement: u32,
    sequence: u32,
    flags: TcpFlags,
    window: u16,
    payload: Box<[u8]>,
    payload_wire_len: u32,
    wire_len: u32,
    timestamp: u64,
    number: u64,
}

/// Memory for all segments in doubt; beyond it they are taken as they come.
const TABLE_BYTES: usize = 4 << 20;
/// Segments in doubt of one flow. A path that so many took without a word from the receiver is another way of its packets.
const SEGMENTS: usize = 16;
/// What one costs besides its bytes.
const OVERHEAD: usize = 128;
/// How long a flow's other way is doubted, if nothing contradicts it. Nanoseconds.
const PATIENCE: u64 = 2_000_000_000;
/// How long time stamps hold (RFC 7323, section 5.5): 24 days. Nanoseconds.
const OUTDATED: u64 = 24 * 24 * 3600 * 1_000_000_000;
/// How far from the next expected byte a segment in doubt may be: those farther away are in doubt for that.
const NEAR: i64 = 1 << 24;

impl Held {
    const fn end(&self) -> u32 {
        self.sequence.wrapping_add(self.payload_wire_len)
    }

    const fn cost(&self) -> usize {
        OVERHEAD + self.payload.len()
    }

    fn segment(&self, entry: &Slot) -> Segment<'_> {
        let orientation = match self.side {
            FlowSide::Initiator => entry.initiator(),
            FlowSide::Responder => entry.initiator().reversed(),
        };
        Segment {
            orientation,
            sequence: self.sequence,
            acknowledgement: self.acknowledgement,
            flags: self.flags,
            window: self.window,
            window_scale: None,
            payload: &self.payload,
            payload_wire_len: self.payload_wire_len,
            wire_len: self.wire_len,
            timestamp: self.timestamp,
            number: self.number,
        }
    }

    fn payload(&self) -> Payload<'_> {
        Payload {
            sequence: self.sequence,
            bytes: &self.payload,
            wire_len: self.payload_wire_len,
            pushed: self.flags.intersects(TcpFlags::PSH | TcpFlags::FIN),
            acknowledgement: Some((self.acknowledgement, self.window)),
            packet_len: self.wire_len,
            timestamp: self.timestamp,
            number: self.number,
            awaits: 0,
        }
    }
}

impl<E: FlowExtractor> FlowTable<E> {
    /// Holds a segment back if the receiver may discard it. False, with nothing done to it, if it is to be worked on.
    pub(super) fn doubted(
        &mut self,
        slot: u32,
        packet: &Packet<'_>,
        work: &Work,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> bool {
        let entry = &self.slots[slot];
        if !entry.is_tcp() || entry.state == State::Ended {
            return false;
        }
        if !self.doubts.flows.is_empty() {
            self.settle_doubts(slot, work, handler);
        }
        let special = TcpFlags::SYN | TcpFlags::RST;
        if work.payload_wire_len == 0 || work.tcp.flags.intersects(special) {
            return false;
        }
        let way = path(packet);
        if let Some(defect) = self.doubt(slot, packet, work, way)
            && self.hold_back(slot, packet, work, way, defect, handler)
        {
            self.statistics.discarded.add(defect);
            return true;
        }
        self.trust(slot, work, way);
        false
    }

    /// Notes what the first packets of a side show: what later ones are held against.
    pub(super) fn note_greeting(&mut self, slot: u32, packet: &Packet<'_>, work: &Work) {
        let entry = &mut self.slots[slot];
        if !entry.is_tcp() || entry.state == State::Ended {
            return;
        }
        let side = entry.side(work.orientation);
        let own = &mut entry.directions[side as usize];
        if own.flags.path() == 0 {
            own.flags.set_path(path(packet));
        }
        let tcp = &work.tcp;
        let is_first = own.flags.has(F::SYN)
            && tcp.flags.contains(TcpFlags::SYN)
            && own.base == tcp.sequence.wrapping_add(1)
            && own.fin == 0;
        if is_first && tcp.options.contains(TcpOptions::TIMESTAMP) && !own.flags.has(F::FIN) {
            // 0 stands for none.
            own.fin = tcp.timestamp.max(1);
        }
    }

    /// The reason for which the receiver may discard a segment with payload.
    fn doubt(&self, slot: u32, packet: &Packet<'_>, work: &Work, way: u8) -> Option<Defect> {
        let entry = &self.slots[slot];
        let side = entry.side(work.orientation);
        let own = &entry.directions[side as usize];
        let peer = &entry.directions[side.opposite() as usize];
        let tcp = &work.tcp;
        // Of a receiver of which nothing is seen it will not be known either what it takes.
        if !own.flags.has(F::ANCHORED) || !own.flags.has(F::ACKED) {
            return None;
        }
        let start = own.offset(tcp.sequence) - own.next.cast_signed();
        let end = start + i64::from(work.payload_wire_len);
        if end <= 0 || start.abs() > NEAR {
            return None;
        }
        // A tool may have cut the packet without saying so; then the receiver has it.
        if work.sort == Sort::Defective(Defect::TooLong)
            && packet.data.len() < self.longest as usize
        {
            return Some(Defect::TooLong);
        }
        // Linux allows for one tick.
        let is_old = entry.is_stamped()
            && tcp.options.contains(TcpOptions::TIMESTAMP)
            && ahead(own.fin, tcp.timestamp.wrapping_add(1))
            && self.now.saturating_sub(entry.last_seen) < OUTDATED;
        if is_old {
            return Some(Defect::Timestamp);
        }
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
        let known = own.flags.path();
        (known != 0 && way != 0 && way != known).then_some(Defect::Path)
    }

    /// Keeps a segment in doubt; false if there is no room.
    fn hold_back(
        &mut self,
        slot: u32,
        packet: &Packet<'_>,
        work: &Work,
        way: u8,
        defect: Defect,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> bool {
        let entry = &self.slots[slot];
        let side = entry.side(work.orientation);
        if let Some(held) = self.doubts.flows.get(&slot) {
            let impatient = |held: &Held| self.now.saturating_sub(held.since) > PATIENCE;
            if held.len() >= SEGMENTS || held.first().is_some_and(impatient) {
                self.give_in(slot, side, way, handler);
                // Another way of the packets is believed from now on.
                if self.doubt(slot, packet, work, way).is_none() {
                    return false;
                }
            }
        }
        let Segment { sequence, acknowledgement, flags, window, payload, .. } =
            Segment::of(packet, work);
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
            payload_wire_len: work.payload_wire_len,
            wire_len: packet.wire_len,
            timestamp: packet.timestamp.as_nanos(),
            number: packet.number,
        };
        if self.doubts.bytes + held.cost() > TABLE_BYTES {
            return false;
        }
        self.doubts.bytes += held.cost();
        self.doubts.flows.entry(slot).or_default().push(held);
        self.slots[slot].last_seen = self.now;
        true
    }

    /// A segment that was not in doubt: later ones are held against it.
    fn trust(&mut self, slot: u32, work: &Work, way: u8) {
        let entry = &mut self.slots[slot];
        let side = entry.side(work.orientation);
        let is_stamped = entry.is_stamped();
        let own = &mut entry.directions[side as usize];
        if own.flags.path() == 0 {
            own.flags.set_path(way);
        }
        if is_stamped
            && work.tcp.options.contains(TcpOptions::TIMESTAMP)
            && work.tcp.sequence == own.expected()
            && !ahead(work.tcp.sequence, own.acked)
            && ahead(work.tcp.timestamp, own.fin)
        {
            own.fin = work.tcp.timestamp;
        }
    }

    /// Looks at the segments in doubt of a flow in the light of another of its segments.
    fn settle_doubts(&mut self, slot: u32, work: &Work, handler: &mut impl FlowHandler<E::Key>) {
        let acknowledgement =
            work.tcp.flags.contains(TcpFlags::ACK).then_some(work.tcp.acknowledgement);
        let generation = self.slots[slot].generation;
        loop {
            let Some(held) = self.doubts.flows.get(&slot) else { return };
            let entry = &self.slots[slot];
            let sender = entry.side(work.orientation);
            let is_due = |held: &Held| {
                let own = &entry.directions[held.side as usize];
                let expected = own.expected();
                let stale = !ahead(held.end(), expected);
                // The receiver has bytes that only this segment brought.
                let taken = held.side != sender
                    && !ahead(held.sequence, expected)
                    && acknowledgement.is_some_and(|acknowledgement| {
                        ahead(acknowledgement, expected) && !ahead(held.end(), acknowledgement)
                    });
                stale || taken
            };
            let Some(at) = held.iter().position(is_due) else { return };
            let Some(held) = self.take_held(slot, at) else { return };
            let own = &mut self.slots[slot].directions[held.side as usize];
            if held.defect == Defect::Path && ahead(held.end(), own.expected()) {
                own.flags.set_path(held.path);
            }
            self.segment(slot, &held.segment(&self.slots[slot]), handler);
            if self.slots[slot].generation != generation {
                return;
            }
        }
    }

    /// Too many segments of a flow are in doubt, or for too long: those that took another way are believed.
    fn give_in(
        &mut self,
        slot: u32,
        side: FlowSide,
        way: u8,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let generation = self.slots[slot].generation;
        self.slots[slot].directions[side as usize].flags.set_path(way);
        while self.slots[slot].generation == generation
            && let Some(held) = self.take_held(slot, 0)
        {
            if held.defect == Defect::Path {
                self.segment(slot, &held.segment(&self.slots[slot]), handler);
            } else {
                self.reject(slot, &held, handler);
            }
        }
    }

    /// The flow ends.
    pub(super) fn end_doubts(&mut self, slot: u32, handler: &mut impl FlowHandler<E::Key>) {
        while let Some(held) = self.take_held(slot, 0) {
            let own = &self.slots[slot].directions[held.side as usize];
            if held.defect == Defect::Path || !ahead(held.end(), own.expected()) {
                self.count(slot, held.side, held.payload_wire_len, held.wire_len);
                let mut wake = u64::MAX;
                self.stream(slot, held.side, handler, &mut wake).payload(held.payload());
            } else {
                self.reject(slot, &held, handler);
            }
        }
    }

    fn reject(&mut self, slot: u32, held: &Held, handler: &mut impl FlowHandler<E::Key>) {
        self.count(slot, held.side, held.payload_wire_len, held.wire_len);
        let mut wake = u64::MAX;
        let mut stream = self.stream(slot, held.side, handler, &mut wake);
        let (sequence, cause) = (held.sequence, UnplacedCause::Discarded);
        stream.unplaced(&held.payload, sequence, held.timestamp, held.number, cause);
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
