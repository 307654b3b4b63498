//! Packets in batches.

use crate::prefetch::prefetch;
use crate::slot::{NONE, State};
use crate::{
    Checksum, Datagram, FlowExtractor, FlowHandler, FlowTable, Fragment, Headers, LinkType,
    Orientation, Packet, Parsed, TcpHeader, Timestamp, protocol,
};

use super::view;

/// Packets that are worked on together: enough for the memory system to fetch many flows at once, few enough that what is
/// known of them stays in the first-level cache.
const BATCH: usize = 32;

/// Tunnels within fragments within tunnels that are followed.
const NESTED_FRAGMENTS: usize = 4;

/// A packet whose flow is being looked for.
pub(super) struct Work<'p, K> {
    pub(super) packet: Packet<'p>,
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
}

/// The work of a batch.
type Batch<'p, K> = [Option<Work<'p, K>>; BATCH];

impl<E: FlowExtractor> FlowTable<E> {
    /// Feeds packets, in the order in which they were captured.
    ///
    /// The more packets come in one call, the better: they are worked on in batches, and for each batch all flows are
    /// fetched from memory at once.
    pub fn process<'p>(
        &mut self,
        packets: impl IntoIterator<Item = Packet<'p>>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let mut packets = packets.into_iter();
        let mut fetched: [Option<Packet<'p>>; BATCH] = [const { None }; BATCH];
        let mut batch: Batch<'p, E::Key> = [const { None }; BATCH];
        loop {
            let mut count = 0;
            for (place, packet) in fetched.iter_mut().zip(&mut packets) {
                if let Some(first) = packet.data.first() {
                    prefetch(first);
                }
                if let Some(behind_ip) = packet.data.get(53) {
                    prefetch(behind_ip);
                }
                *place = Some(packet);
                count += 1;
            }
            let mut prepared = 0;
            for packet in fetched.iter().take(count).flatten() {
                self.statistics.packets += 1;
                self.statistics.bytes += u64::from(packet.wire_len);
                if let Some(headers) = crate::Parser::plain(packet) {
                    if let Some(work) = self.prepare(packet, &headers) {
                        batch[prepared] = Some(work);
                        prepared += 1;
                    }
                } else {
                    prepared = self.prepare_any(packet, &mut batch, prepared, handler);
                }
            }
            self.work_off(&mut batch, prepared, handler);
            if count < BATCH {
                break;
            }
        }
    }

    /// Packets that are not of the plainest kind. A fragment may complete a packet, which then comes after those
    /// before it.
    #[inline(never)]
    fn prepare_any<'p>(
        &mut self,
        packet: &Packet<'p>,
        batch: &mut Batch<'p, E::Key>,
        mut prepared: usize,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> usize {
        match self.parser.parse(packet) {
            Ok(Parsed::Transport(headers)) => {
                if let Some(work) = self.prepare(packet, &headers) {
                    batch[prepared] = Some(work);
                    prepared += 1;
                }
                prepared
            }
            Ok(Parsed::Fragment(fragment)) => {
                self.work_off(batch, prepared, handler);
                self.fragment(packet, fragment, handler);
                0
            }
            Err(_) => {
                self.statistics.unparsed += 1;
                prepared
            }
        }
    }

    /// Takes out of a packet what its flow needs to know, and begins the search for the flow.
    #[inline(always)]
    fn prepare<'p>(&mut self, packet: &Packet<'p>, headers: &Headers) -> Option<Work<'p, E::Key>> {
        if self.config.verify_checksums
            && !packet.checksum_partial
            && headers.verify_checksum(packet.data) == Checksum::Invalid
        {
            self.statistics.bad_checksums += 1;
            return None;
        }
        let Some((key, orientation)) = self.extractor.extract(packet, headers) else {
            self.statistics.unparsed += 1;
            return None;
        };
        let hash = self.hash(&key);
        self.index.prefetch(hash);
        Some(Work {
            packet: *packet,
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
    #[inline]
    fn work_off(
        &mut self,
        batch: &mut Batch<'_, E::Key>,
        prepared: usize,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let Some(batch) = batch.get_mut(..prepared) else { return };
        if prepared > 1 {
            for work in batch.iter_mut().flatten() {
                if let Some(candidate) = self.index.candidate(work.hash) {
                    work.candidate = candidate;
                    let entry = &self.slots[candidate];
                    prefetch(&entry.key);
                    prefetch(&entry.directions);
                    prefetch(&entry.counters);
                }
            }
        }
        for work in batch.iter().flatten() {
            self.update(work, handler);
        }
    }

    /// Gives a packet to its flow.
    #[inline(always)]
    fn update(&mut self, work: &Work<'_, E::Key>, handler: &mut impl FlowHandler<E::Key>) {
        let timestamp = work.packet.timestamp.as_nanos();
        if timestamp < self.now {
            self.statistics.time_steps_back += 1;
        } else {
            self.now = timestamp;
            if timestamp >= self.next_timer {
                self.expire(handler);
            }
        }
        let candidate = work.candidate;
        let found = if candidate != NONE && self.holds(candidate, &work.key) {
            Some(candidate)
        } else {
            self.index.find(work.hash, |slot| self.holds(slot, &work.key))
        };
        if work.protocol == protocol::TCP {
            self.tcp_packet(found, work, handler);
        } else {
            self.datagram(found, work, handler);
        }
    }

    /// Whether the slot is in use for this key; what was found early in a batch may have changed since.
    #[inline(always)]
    fn holds(&self, slot: u32, key: &E::Key) -> bool {
        let entry = &self.slots[slot];
        entry.key == *key && entry.state != State::Free
    }

    /// A packet of a flow that is not TCP.
    fn datagram(
        &mut self,
        found: Option<u32>,
        work: &Work<'_, E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let slot = found.unwrap_or_else(|| {
            let slot = self.insert(&work.key, work.hash, handler);
            self.start(slot, work.protocol, work.orientation, State::Datagrams, handler);
            slot
        });
        let entry = &mut self.slots[slot];
        entry.last_seen = self.now;
        let side = entry.side(work.orientation);
        let counters = &mut entry.counters[side as usize];
        counters.packets += 1;
        counters.payload_bytes += u64::from(work.payload_wire_len);
        counters.wire_bytes += u64::from(work.packet.wire_len);
        let datagram = Datagram {
            bytes: work.payload(),
            wire_len: work.payload_wire_len,
            timestamp: work.packet.timestamp,
            packet_number: work.packet.number,
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
                    let packet = Packet {
                        data: &datagram,
                        link_type: LinkType::RAW,
                        vlan_tci: None,
                        ..*packet
                    };
                    if let Some(work) = self.prepare(&packet, &headers) {
                        self.update(&work, handler);
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

impl<'p, K> Work<'p, K> {
    /// The captured payload.
    #[inline(always)]
    pub(super) fn payload(&self) -> &'p [u8] {
        let start = self.payload_offset as usize;
        self.packet.data.get(start..start + self.payload_len as usize).unwrap_or_default()
    }
}
