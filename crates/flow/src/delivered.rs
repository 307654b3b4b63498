//! Delivered bytes, which are kept for a while so that repeated bytes can be compared with them.

use std::collections::{HashMap, VecDeque};

use crate::{
    Conflict, Data, Datagram, FirstPacket, Flow, FlowHandler, FlowPacket, FlowRecord, FlowSide,
    Gap, Packet, Unplaced,
};

/// The latest bytes of each direction, within a limit.
#[derive(Debug)]
pub(crate) struct Delivered {
    direction_bytes: usize,
    table_bytes: usize,
    /// The limit at this moment. Less than `table_bytes` if memory is needed for other purposes.
    allowed_bytes: usize,
    directions: HashMap<(usize, FlowSide), Recent, ahash::RandomState>,
    /// Every direction of the map once, and some that are gone, the oldest first.
    by_age: VecDeque<((usize, FlowSide), u64)>,
    next_generation: u64,
    /// Memory in use.
    bytes: usize,
    conflicts: u64,
    not_compared: u64,
}

/// The latest bytes of a direction.
#[derive(Debug)]
struct Recent {
    generation: u64,
    /// Stream offset of the first byte.
    start: u64,
    bytes: VecDeque<u8>,
    /// The number of the packet that carried the bytes from each offset on.
    packets: VecDeque<(u64, u64)>,
}

/// The maximum number of packets that are remembered for a direction. Beyond it, only the latest
/// bytes are kept.
const PACKETS: usize = 1024;
/// The memory of a direction besides its bytes.
const OVERHEAD: usize = 256;

impl Delivered {
    pub(crate) fn new(direction_bytes: usize, table_bytes: usize) -> Self {
        Self {
            direction_bytes,
            table_bytes,
            allowed_bytes: table_bytes,
            directions: HashMap::default(),
            by_age: VecDeque::new(),
            next_generation: 0,
            bytes: 0,
            conflicts: 0,
            not_compared: 0,
        }
    }

    /// The number of repetitions that differed.
    pub(crate) const fn conflicts(&self) -> u64 {
        self.conflicts
    }

    /// The number of repetitions that begin before the remembered bytes.
    pub(crate) const fn not_compared(&self) -> u64 {
        self.not_compared
    }

    #[inline(never)]
    fn record(&mut self, place: (usize, FlowSide), data: &Data<'_>) {
        let recent = self.directions.entry(place).or_insert_with(|| {
            let generation = self.next_generation;
            self.next_generation += 1;
            self.by_age.push_back((place, generation));
            let (bytes, packets) = (VecDeque::new(), VecDeque::new());
            self.bytes += OVERHEAD;
            Recent { generation, start: data.offset, bytes, packets }
        });
        let before = recent.cost();
        recent.append(data, self.direction_bytes);
        self.bytes = self.bytes + recent.cost() - before;
        self.shrink();
    }

    /// Sets the memory to keep to, up to the configured limit.
    pub(crate) fn keep_to(&mut self, bytes: usize) {
        self.allowed_bytes = bytes.min(self.table_bytes);
        self.shrink();
    }

    /// Memory in use.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn shrink(&mut self) {
        while self.bytes > self.allowed_bytes
            && let Some((oldest, generation)) = self.by_age.pop_front()
        {
            if self.directions.get(&oldest).is_some_and(|recent| recent.generation == generation) {
                self.remove(oldest);
            }
        }
    }

    fn remove(&mut self, place: (usize, FlowSide)) {
        if let Some(recent) = self.directions.remove(&place) {
            self.bytes -= recent.cost() + OVERHEAD;
        }
    }

    fn forget(&mut self, slot: usize) {
        self.remove((slot, FlowSide::Initiator));
        self.remove((slot, FlowSide::Responder));
        // Remove stale entries once they are the majority.
        if self.by_age.len() > 2 * self.directions.len() + 64 {
            let directions = &self.directions;
            self.by_age.retain(|(place, generation)| {
                directions.get(place).is_some_and(|recent| recent.generation == *generation)
            });
        }
    }

    /// The range, as offsets, from the first to the last repeated byte that differs from the
    /// delivered ones.
    fn difference(&self, place: (usize, FlowSide), data: &Data<'_>) -> Option<(u64, u64)> {
        let recent = self.directions.get(&place)?;
        let end = data.offset.saturating_add(data.bytes.len() as u64);
        let (from, to) = (data.offset.max(recent.start), end.min(recent.end()));
        let differs =
            |at: &u64| recent.byte(*at) != data.bytes.get((*at - data.offset) as usize).copied();
        let first = (from..to).find(differs)?;
        let last = (first..to).rev().find(differs)?;
        Some((first, last + 1))
    }
}

impl Recent {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn cost(&self) -> usize {
        self.bytes.capacity() + self.packets.capacity() * size_of::<(u64, u64)>()
    }

    fn byte(&self, offset: u64) -> Option<u8> {
        self.bytes.get(usize::try_from(offset.checked_sub(self.start)?).ok()?).copied()
    }

    fn append(&mut self, data: &Data<'_>, limit: usize) {
        if data.offset != self.end() {
            // There is a gap before it.
            self.bytes.clear();
            self.packets.clear();
            self.start = data.offset;
        }
        let skip = data.bytes.len().saturating_sub(limit);
        if skip > 0 {
            self.bytes.clear();
            self.packets.clear();
            self.start = data.offset + skip as u64;
        }
        self.packets.push_back((data.offset + skip as u64, data.packet_number));
        self.bytes.extend(&data.bytes[skip..]);
        let mut excess = self.bytes.len().saturating_sub(limit);
        if self.packets.len() > PACKETS {
            self.packets.pop_front();
            let next = self.packets.front().map_or(self.start, |(offset, _)| *offset);
            excess = excess.max((next - self.start) as usize);
        }
        self.bytes.drain(..excess);
        self.start += excess as u64;
        while let Some((next, _)) = self.packets.get(1)
            && *next <= self.start
        {
            self.packets.pop_front();
        }
    }

    /// The number of the packet that carried the byte at an offset.
    fn packet(&self, offset: u64) -> u64 {
        let after = self.packets.partition_point(|(start, _)| *start <= offset);
        self.packets.get(after.saturating_sub(1)).map_or(0, |(_, number)| *number)
    }
}

/// A handler that stores the bytes it passes on and compares repetitions with them.
pub(crate) struct Comparing<'a, K> {
    memory: &'a mut Delivered,
    /// A trait object, so that the table's code is not compiled twice for each type of handler.
    handler: &'a mut dyn FlowHandler<K>,
    wants_packets: bool,
}

impl<'a, K> Comparing<'a, K> {
    pub(crate) fn new(memory: &'a mut Delivered, handler: &'a mut dyn FlowHandler<K>) -> Self {
        Self { memory, wants_packets: handler.wants_packets(), handler }
    }
}

/// Calls a method of a table with its handler, wrapped in [`Comparing`] if the table remembers
/// delivered bytes. Other tables pay nothing for it.
macro_rules! comparing {
    ($table:ident, $handler:ident => $call:expr) => {
        if let Some(mut memory) = $table.delivered.take() {
            if let Some(bytes) = $table.remembered_limit() {
                memory.keep_to(bytes);
            }
            let $handler = &mut $crate::delivered::Comparing::new(&mut memory, $handler);
            let result = $call;
            $table.delivered = Some(memory);
            result
        } else {
            $call
        }
    };
}
pub(crate) use comparing;

impl<K> FlowHandler<K> for Comparing<'_, K> {
    fn admits(&mut self, flow: &Flow<'_, K>, first: &FirstPacket<'_>) -> bool {
        self.handler.admits(flow, first)
    }

    fn on_start(&mut self, flow: &Flow<'_, K>) {
        self.handler.on_start(flow);
    }

    #[inline(always)]
    fn on_data(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        self.memory.record((flow.id.slot(), side), &data);
        self.handler.on_data(flow, side, data);
    }

    fn on_gap(&mut self, flow: &Flow<'_, K>, side: FlowSide, gap: Gap) {
        self.handler.on_gap(flow, side, gap);
    }

    fn on_ack_ahead(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        self.handler.on_ack_ahead(flow, side, offset);
    }

    fn on_late(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        self.handler.on_late(flow, side, data);
    }

    fn on_repeat(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        let place = (flow.id.slot(), side);
        let recent = self.memory.directions.get(&place);
        let is_forgotten = recent.is_some_and(|recent| data.offset < recent.start);
        self.memory.not_compared += u64::from(is_forgotten);
        let Some((from, to)) = self.memory.difference(place, &data) else {
            self.handler.on_repeat(flow, side, data);
            return;
        };
        let part = |from: u64, to: u64| Data {
            bytes: &data.bytes[(from - data.offset) as usize..(to - data.offset) as usize],
            offset: from,
            ..data
        };
        let end = data.offset + data.bytes.len() as u64;
        if data.offset < from {
            self.handler.on_repeat(flow, side, part(data.offset, from));
        }
        if let Some(recent) = self.memory.directions.get_mut(&place) {
            self.memory.conflicts += 1;
            let (kept_packet_number, start) = (recent.packet(from), recent.start);
            let kept = recent.bytes.make_contiguous();
            let conflict = Conflict {
                offset: from,
                kept: &kept[(from - start) as usize..(to - start) as usize],
                discarded: part(from, to).bytes,
                kept_packet_number,
                discarded_packet_number: data.packet_number,
                timestamp: data.timestamp,
                packet_number: data.packet_number,
            };
            self.handler.on_conflict(flow, side, conflict);
        }
        if to < end {
            self.handler.on_repeat(flow, side, part(to, end));
        }
    }

    /// Its byte may have any value (RFC 9293, section 3.8.4), so it is not compared.
    fn on_keep_alive(&mut self, flow: &Flow<'_, K>, side: FlowSide, data: Data<'_>) {
        self.handler.on_keep_alive(flow, side, data);
    }

    fn on_conflict(&mut self, flow: &Flow<'_, K>, side: FlowSide, conflict: Conflict<'_>) {
        self.handler.on_conflict(flow, side, conflict);
    }

    fn on_unplaced(&mut self, flow: &Flow<'_, K>, side: FlowSide, unplaced: Unplaced<'_>) {
        self.handler.on_unplaced(flow, side, unplaced);
    }

    fn on_fin(&mut self, flow: &Flow<'_, K>, side: FlowSide, offset: u64) {
        self.handler.on_fin(flow, side, offset);
    }

    fn on_datagram(&mut self, flow: &Flow<'_, K>, side: FlowSide, datagram: Datagram<'_>) {
        self.handler.on_datagram(flow, side, datagram);
    }

    fn wants_packets(&self) -> bool {
        self.wants_packets
    }

    fn on_packet(&mut self, flow: &Flow<'_, K>, packet: FlowPacket<'_>) {
        self.handler.on_packet(flow, packet);
    }

    fn on_packet_pending(&mut self, packet: &Packet<'_>) {
        self.handler.on_packet_pending(packet);
    }

    fn on_packet_unclaimed(&mut self, number: u64) {
        self.handler.on_packet_unclaimed(number);
    }

    fn on_record(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        self.handler.on_record(flow, record);
    }

    #[inline(always)]
    fn prefetch_hint(&mut self, slot: usize) {
        self.handler.prefetch_hint(slot);
    }

    fn on_end(&mut self, flow: &Flow<'_, K>, record: &FlowRecord<K>) {
        self.memory.forget(flow.id.slot());
        self.handler.on_end(flow, record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn data(offset: u64, bytes: &[u8], packet_number: u64) -> Data<'_> {
        Data { bytes, offset, timestamp: Timestamp::default(), packet_number, depends_on: 0 }
    }

    #[test]
    fn memory_stays_within_its_limits() {
        let mut memory = Delivered::new(1 << 10, 64 << 10);
        let bytes = vec![7; 700];
        for round in 0..20 {
            for slot in 0..100 {
                let place = (slot, FlowSide::Initiator);
                memory.record(place, &data(round * 700, &bytes, round));
                assert!(memory.bytes <= 64 << 10);
                assert!(memory.directions[&place].bytes.len() <= 1 << 10);
            }
        }
        (0..100).for_each(|slot| memory.forget(slot));
        assert_eq!((memory.bytes, memory.directions.len()), (0, 0));
        assert!(memory.by_age.len() <= 64);
    }

    #[test]
    fn many_small_segments_cost_no_more() {
        let mut memory = Delivered::new(64 << 10, 1 << 20);
        let place = (0, FlowSide::Responder);
        for at in 0..10_000 {
            memory.record(place, &data(at, &[at as u8], at));
        }
        let recent = &memory.directions[&place];
        assert_eq!((recent.packets.len(), recent.bytes.len()), (PACKETS, PACKETS));
        assert_eq!(recent.packet(9_999), 9_999);
        assert_eq!(recent.byte(9_998), Some(9_998_u64 as u8));
    }
}
