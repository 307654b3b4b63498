//! Packets in batches.

use crate::prefetch::prefetch;
use crate::slot::{NONE, State};
use crate::{
    Checksum, Datagram, FlowExtractor, FlowHandler, FlowTable, Headers, Orientation, Packet,
    Parsed, protocol,
};

use super::view;

/// Packets that are worked on together: enough for the memory system to fetch many flows at once, few enough that what is
/// known of them stays in the first-level cache.
const BATCH: usize = 32;

/// A packet whose flow is being looked for.
struct Work<'p, K> {
    packet: Packet<'p>,
    headers: Headers,
    key: K,
    orientation: Orientation,
    hash: u32,
    /// Where the flow probably is, or [`NONE`].
    candidate: u32,
}

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
        let mut batch: [Option<Work<'p, E::Key>>; BATCH] = [const { None }; BATCH];
        loop {
            let mut count = 0;
            while count < BATCH {
                let Some(packet) = packets.next() else { break };
                self.statistics.packets += 1;
                self.statistics.bytes += u64::from(packet.wire_len);
                match self.parser.parse(&packet) {
                    Ok(Parsed::Transport(headers)) => {
                        if let Some(work) = self.prepare(packet, headers) {
                            batch[count] = Some(work);
                            count += 1;
                        }
                    }
                    Ok(Parsed::Fragment(_)) => self.statistics.fragments += 1,
                    Err(_) => self.statistics.unparsed += 1,
                }
            }
            let Some(work) = batch.get_mut(..count) else { break };
            if count > 1 {
                for work in work.iter_mut().flatten() {
                    if let Some(candidate) = self.index.candidate(work.hash) {
                        work.candidate = candidate;
                        self.prefetch_slot(candidate);
                    }
                }
            }
            for work in work.iter_mut() {
                if let Some(work) = work.take() {
                    self.update(work, handler);
                }
            }
            if count < BATCH {
                break;
            }
        }
    }

    #[inline]
    fn prepare<'p>(&self, packet: Packet<'p>, headers: Headers) -> Option<Work<'p, E::Key>> {
        let (key, orientation) = self.extractor.extract(&packet, &headers)?;
        let hash = self.hash(&key);
        self.index.prefetch(hash);
        Some(Work { packet, headers, key, orientation, hash, candidate: NONE })
    }

    #[inline]
    fn prefetch_slot(&self, slot: u32) {
        let entry = &self.slots[slot];
        prefetch(&entry.key);
        prefetch(&entry.directions);
        prefetch(&entry.counters);
    }

    /// Gives a packet to its flow.
    #[inline]
    fn update(&mut self, work: Work<'_, E::Key>, handler: &mut impl FlowHandler<E::Key>) {
        let timestamp = work.packet.timestamp.as_nanos();
        if timestamp >= self.now {
            self.now = timestamp;
            if timestamp >= self.next_timer {
                self.expire(handler);
            }
        } else {
            self.statistics.time_steps_back += 1;
        }
        let found = if work.candidate != NONE && self.holds(work.candidate, &work.key) {
            Some(work.candidate)
        } else {
            self.index.find(work.hash, |slot| self.holds(slot, &work.key))
        };
        if self.config.verify_checksums
            && !work.packet.checksum_partial
            && work.headers.verify_checksum(work.packet.data) == Checksum::Invalid
        {
            self.statistics.bad_checksums += 1;
            return;
        }
        if work.headers.protocol == protocol::TCP {
            self.tcp_packet(
                found,
                work.packet,
                &work.headers,
                work.key,
                work.orientation,
                work.hash,
                handler,
            );
        } else {
            self.datagram(found, work, handler);
        }
    }

    /// Whether the slot is in use for this key; what was found early in a batch may have changed since.
    #[inline]
    fn holds(&self, slot: u32, key: &E::Key) -> bool {
        let entry = &self.slots[slot];
        entry.key == *key && entry.state != State::Free
    }

    /// A packet of a flow that is not TCP.
    fn datagram(
        &mut self,
        found: Option<u32>,
        work: Work<'_, E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let Work { packet, headers, key, orientation, hash, .. } = work;
        let slot = found.unwrap_or_else(|| {
            let slot = self.insert(key, hash, handler);
            self.start(slot, headers.protocol, orientation, State::Datagrams, handler);
            slot
        });
        let entry = &mut self.slots[slot];
        entry.last_seen = self.now;
        let side = entry.side(orientation);
        let counters = &mut entry.counters[side as usize];
        counters.packets += 1;
        counters.payload_bytes += u64::from(headers.payload_wire_len);
        counters.wire_bytes += u64::from(packet.wire_len);
        let datagram = Datagram {
            bytes: payload(&packet, &headers),
            wire_len: headers.payload_wire_len,
            timestamp: packet.timestamp,
            packet_number: packet.number,
        };
        handler.on_datagram(&view(slot, &self.slots[slot]), side, datagram);
    }
}

/// The captured payload of a packet.
pub(super) fn payload<'p>(packet: &Packet<'p>, headers: &Headers) -> &'p [u8] {
    let start = headers.payload_offset as usize;
    packet.data.get(start..start + headers.payload_len as usize).unwrap_or_default()
}
