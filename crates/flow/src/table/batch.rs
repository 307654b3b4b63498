//! Packets in batches.

use std::hint::black_box;

use crate::prefetch::prefetch;
use crate::slot::{NONE, State};
use crate::{
    Checksum, Datagram, FlowExtractor, FlowHandler, FlowSide, FlowTable, Fragment, Headers,
    LinkType, Opening, Orientation, Packet, Parsed, TcpFlags, TcpHeader, Timestamp, protocol,
};

use super::view;

/// Packets that are worked on together: enough for the memory system to fetch many flows at once, few enough that what is
/// known of them stays in the first-level cache.
const BATCH: usize = 64;

/// Tunnels within fragments within tunnels that are followed.
const NESTED_FRAGMENTS: usize = 4;

/// A packet whose flow is being looked for.
pub(super) struct Work<K> {
    pub(super) key: K,
    pub(super) orientation: Orientation,
    pub(super) hash: u32,
    /// Where the flow probably is, or [`NONE`].
    candidate: u32,
    pub(super) tcp: TcpHeader,
    pub(super) payload_offset: u32,
    pub(super) payload_len: u32,
    pub(super) payload_wire_len: u32,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    protocol: u8,
    /// Where in the batch the packet is.
    packet: u8,
}

/// A batch on its way through the table.
struct Batch<'p, K> {
    packets: [Option<Packet<'p>>; BATCH],
    work: [Option<Work<K>>; BATCH],
    /// How many places of `work` are taken.
    prepared: usize,
}

impl<E: FlowExtractor> FlowTable<E> {
    /// Feeds packets, in the order in which they were captured.
    ///
    /// The more packets come in one call, the better: they are worked on in batches. While the flows of one batch are
    /// brought up to date, those of the next are fetched from memory.
    pub fn process<'p>(
        &mut self,
        packets: impl IntoIterator<Item = Packet<'p>>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let mut packets = packets.into_iter();
        let mut batch = Batch::new();
        loop {
            let count = batch.fetch(&mut packets);
            self.statistics.packets += count as u64;
            for at in 0..count {
                let Some(packet) = &batch.packets[at] else { break };
                self.statistics.bytes += u64::from(packet.wire_len);
                if let Some(headers) = crate::Parser::plain(packet) {
                    if let Some(work) = self.prepare(packet, at, &headers) {
                        batch.work[batch.prepared] = Some(work);
                        batch.prepared += 1;
                    }
                } else {
                    self.prepare_any(at, &mut batch, handler);
                }
            }
            self.work_off(&mut batch, handler);
            if count < BATCH {
                break;
            }
        }
    }

    /// Packets that are not of the plainest kind. A fragment may complete a packet, which then comes after those
    /// before it.
    #[inline(never)]
    fn prepare_any(
        &mut self,
        at: usize,
        batch: &mut Batch<'_, E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let Some(packet) = batch.packets[at] else { return };
        match self.parser.parse(&packet) {
            Ok(Parsed::Transport(headers)) => {
                if let Some(work) = self.prepare(&packet, at, &headers) {
                    batch.work[batch.prepared] = Some(work);
                    batch.prepared += 1;
                }
            }
            Ok(Parsed::Fragment(fragment)) => {
                self.work_off(batch, handler);
                self.fragment(&packet, fragment, handler);
            }
            Err(_) => self.statistics.unparsed += 1,
        }
    }

    /// Takes out of a packet what its flow needs to know, and begins the search for the flow.
    #[inline(always)]
    fn prepare(
        &mut self,
        packet: &Packet<'_>,
        at: usize,
        headers: &Headers,
    ) -> Option<Work<E::Key>> {
        if self.is_damaged(packet, headers) {
            return None;
        }
        let extracted = self.extractor.extract(packet, headers);
        self.work(extracted, at, headers)
    }

    /// Whether checksums are verified and this one is wrong.
    #[inline(always)]
    fn is_damaged(&mut self, packet: &Packet<'_>, headers: &Headers) -> bool {
        if self.config.verify_checksums && !packet.checksum_partial {
            // A copy, so that the headers need not be in memory where checksums are not verified.
            let headers = *headers;
            if headers.verify_checksum(packet.data) == Checksum::Invalid {
                self.statistics.bad_checksums += 1;
                return true;
            }
        }
        false
    }

    #[inline(always)]
    fn work(
        &mut self,
        extracted: Option<(E::Key, Orientation)>,
        at: usize,
        headers: &Headers,
    ) -> Option<Work<E::Key>> {
        let Some((key, orientation)) = extracted else {
            self.statistics.unparsed += 1;
            return None;
        };
        let hash = self.hash(&key);
        self.index.prefetch(hash);
        Some(Work {
            packet: at as u8,
            key,
            orientation,
            hash,
            candidate: NONE,
            tcp: headers.tcp,
            payload_offset: headers.payload_offset,
            payload_len: headers.payload_len,
            payload_wire_len: headers.payload_wire_len,
            source_port: headers.source_port,
            destination_port: headers.destination_port,
            protocol: headers.protocol,
        })
    }

    /// Finds the flows of all that was prepared, then gives them their packets.
    ///
    /// Each pass is a loop so short that the processor is several packets ahead of itself, and what misses its caches is
    /// waited for once, not once a packet. (One loop that looks the next batch up while it works this one off is slower
    /// by half with a million flows.)
    #[inline]
    fn work_off(&mut self, batch: &mut Batch<'_, E::Key>, handler: &mut impl FlowHandler<E::Key>) {
        let Some(prepared) = batch.work.get_mut(..batch.prepared) else { return };
        if prepared.len() > 1 {
            let mut touched = 0;
            for work in prepared.iter().flatten() {
                touched ^= self.index.touch(work.hash);
            }
            for work in prepared.iter_mut().flatten() {
                if let Some(candidate) = self.index.candidate(work.hash) {
                    work.candidate = candidate;
                    prefetch(&self.slots[candidate].key);
                    prefetch(&self.slots[candidate].directions);
                    prefetch(&self.slots[candidate].counters);
                }
            }
            black_box(touched);
        }
        for at in 0..batch.prepared {
            if let Some(work) = &batch.work[at]
                && let Some(Some(packet)) = batch.packets.get(usize::from(work.packet))
            {
                self.update(packet, work, handler);
            }
        }
        batch.prepared = 0;
    }

    /// Gives a packet to its flow.
    #[inline(always)]
    fn update(
        &mut self,
        packet: &Packet<'_>,
        work: &Work<E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let timestamp = packet.timestamp.as_nanos();
        if timestamp < self.now {
            self.statistics.time_steps_back += 1;
        } else {
            self.now = timestamp;
            if timestamp >= self.next_timer {
                self.expire_a_few(handler);
            }
        }
        let candidate = work.candidate;
        let found = if candidate != NONE && self.holds(candidate, &work.key) {
            Some(candidate)
        } else {
            self.index.find(work.hash, |slot| self.holds(slot, &work.key))
        };
        let found =
            if self.next_timer <= self.now { self.settled(found, work, handler) } else { found };
        if work.protocol == protocol::TCP {
            self.tcp_packet(found, packet, work, handler);
        } else {
            self.datagram(found, packet, work, handler);
        }
    }

    /// More is due than was worked off: what is due for this flow comes before its packet.
    #[inline(never)]
    fn settled(
        &mut self,
        found: Option<u32>,
        work: &Work<E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> Option<u32> {
        let slot = found?;
        self.settle(slot, handler);
        self.holds(slot, &work.key).then_some(slot)
    }

    /// Whether the slot is in use for this key; what was found early in a batch may have changed since.
    #[inline(always)]
    fn holds(&self, slot: u32, key: &E::Key) -> bool {
        let entry = &self.slots[slot];
        entry.key == *key && entry.state != State::Free
    }

    /// A packet of a flow that is not a TCP connection.
    pub(super) fn datagram(
        &mut self,
        found: Option<u32>,
        packet: &Packet<'_>,
        work: &Work<E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let slot = found.unwrap_or_else(|| {
            let slot = self.insert(&work.key, work.hash, handler);
            let opening = Opening {
                side: FlowSide::Initiator,
                payload: work.payload(packet),
                flags: TcpFlags::default(),
                timestamp: packet.timestamp,
                packet_number: packet.number,
            };
            let (protocol, initiator) = (work.protocol, work.orientation);
            self.start(slot, protocol, initiator, State::Datagrams, &opening, handler);
            slot
        });
        let entry = &mut self.slots[slot];
        if entry.state == State::Ended {
            // It was not admitted; or its key leaves the protocol out, and a connection that has ended keeps it.
            self.after_end(slot);
            return;
        }
        entry.last_seen = self.now;
        let side = entry.side(work.orientation);
        let counters = &mut entry.counters[side as usize];
        counters.packets += 1;
        counters.payload_bytes += u64::from(work.payload_wire_len);
        counters.wire_bytes += u64::from(packet.wire_len);
        let datagram = Datagram {
            bytes: work.payload(packet),
            wire_len: work.payload_wire_len,
            timestamp: packet.timestamp,
            packet_number: packet.number,
        };
        handler.on_datagram(&view(slot, entry), side, datagram);
    }

    /// A piece of a datagram; the last one missing makes it a packet.
    fn fragment(
        &mut self,
        packet: &Packet<'_>,
        mut fragment: Fragment,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let now = Timestamp::from_nanos(self.now.max(packet.timestamp.as_nanos()));
        let mut datagram = std::mem::take(&mut self.datagram);
        let mut inner = std::mem::take(&mut self.inner_datagram);
        for level in 0..NESTED_FRAGMENTS {
            let frame = if level == 0 { packet.data } else { &datagram };
            let Some(joined) = self.defragmenter.push(&fragment, frame, now) else { break };
            inner.clear();
            inner.extend_from_slice(joined);
            std::mem::swap(&mut datagram, &mut inner);
            match self.parser.parse_datagram(&datagram, fragment.scope, fragment.layers) {
                Ok(Parsed::Transport(headers)) => {
                    let joined = Packet {
                        data: &datagram,
                        link_type: LinkType::RAW,
                        vlan_tci: None,
                        ..*packet
                    };
                    if !self.is_damaged(&joined, &headers) {
                        let extracted = self.extractor.extract_joined(packet, &joined, &headers);
                        if let Some(work) = self.work(extracted, 0, &headers) {
                            self.update(&joined, &work, handler);
                        }
                    }
                    break;
                }
                Ok(Parsed::Fragment(nested)) => fragment = nested,
                Err(_) => {
                    self.statistics.unparsed += 1;
                    break;
                }
            }
        }
        self.datagram = datagram;
        self.inner_datagram = inner;
    }
}

impl<'p, K> Batch<'p, K> {
    const fn new() -> Self {
        Self { packets: [const { None }; BATCH], work: [const { None }; BATCH], prepared: 0 }
    }

    /// Takes packets in, and asks the processor for their headers.
    #[inline(always)]
    fn fetch(&mut self, packets: &mut impl Iterator<Item = Packet<'p>>) -> usize {
        for (count, place) in self.packets.iter_mut().enumerate() {
            let Some(packet) = packets.next() else { return count };
            if let Some(first) = packet.data.first() {
                prefetch(first);
            }
            if let Some(behind_ip) = packet.data.get(53) {
                prefetch(behind_ip);
            }
            *place = Some(packet);
        }
        BATCH
    }
}

impl<K> Work<K> {
    /// The captured payload.
    #[inline(always)]
    pub(super) fn payload<'p>(&self, packet: &Packet<'p>) -> &'p [u8] {
        let start = self.payload_offset as usize;
        packet.data.get(start..start + self.payload_len as usize).unwrap_or_default()
    }
}
