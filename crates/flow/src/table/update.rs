//! A packet whose flow was looked for: what is done with it.

use std::num::NonZeroU128;

use super::fast_path::differs;
use super::lookup::{Lookup, Sort};
use super::view;
use crate::slot::{NONE, Observed, State};
use crate::{
    Cause, Datagram, FirstPacket, FlowExtractor, FlowHandler, FlowSide, FlowTable, Packet,
    TcpFlags, protocol,
};

impl<E: FlowExtractor> FlowTable<E> {
    /// Gives a packet to its flow. The key is asked for if it has no number.
    #[inline(always)]
    pub(super) fn update<'k>(
        &mut self,
        packet: &Packet<'_>,
        lookup: &Lookup,
        key: impl Fn() -> Option<&'k E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) where
        E::Key: 'k,
    {
        let timestamp = packet.timestamp().as_nanos();
        let mut likely = lookup.candidate;
        if timestamp < self.now {
            self.statistics.time_steps_back += 1;
        } else {
            self.now = timestamp;
        }
        if self.now >= self.next_timer {
            self.expire_a_few(handler);
            if self.next_timer <= self.now {
                likely = NONE;
            }
        }
        if likely == NONE || !self.fast_path(likely, packet, lookup, &key, handler) {
            self.update_any(packet, lookup, key(), handler);
        }
        if handler.wants_packets() {
            self.report_packet(packet, lookup, key(), handler);
        }
    }

    /// Whatever is not the common case. (What the common cases do not need is in functions of its
    /// own, so that they do not pay for its registers.)
    #[inline(never)]
    fn update_any(
        &mut self,
        packet: &Packet<'_>,
        lookup: &Lookup,
        key: Option<&E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let mut sorted;
        let lookup = if lookup.sort == Sort::Unsorted {
            sorted = *lookup;
            sorted.look_closer(packet);
            &sorted
        } else {
            lookup
        };
        let likely = lookup.candidate;
        self.begun = NONE;
        let found = if likely != NONE && self.holds(likely, lookup, key) {
            Some(likely)
        } else {
            self.index.find(lookup.hash, |slot| self.holds(slot, lookup, key))
        };
        let found = if self.next_timer <= self.now {
            self.settled(found, lookup, key, handler)
        } else {
            found
        };
        // Before the packet is worked on, because it may be the last of its flow.
        if let Some(slot) = found {
            let counters = &self.slots[slot].counters;
            let first = counters[self.slots[slot].side(lookup.orientation) as usize].is_empty();
            self.observe(slot, first, packet, lookup);
        }
        self.update_found(found, packet, lookup, key, handler);
        // A flow that began with the packet has no place before.
        if self.begun != NONE {
            self.observe(self.begun, true, packet, lookup);
        }
    }

    /// Notes the header fields of which the flow's record tells. Most packets have nothing new, so
    /// what was observed before is not read for them.
    #[inline(always)]
    fn observe(&mut self, slot: u32, first: bool, packet: &Packet<'_>, lookup: &Lookup) {
        if !first && !Observed::are_notable(lookup.tcp.flags) {
            return;
        }
        let Some(sides) = self.observed.get_mut(slot) else { return };
        let observed = &mut sides[self.slots[slot].side(lookup.orientation) as usize];
        observed.note(lookup.tcp.flags);
        if first {
            let network_offset = lookup.payload_offset.saturating_sub(lookup.headers_len);
            let (network, transport) = (network_offset.into(), lookup.transport_offset.into());
            observed.take(packet, lookup.protocol, network, transport);
        }
    }

    /// Gives a packet to the flow that was found.
    #[inline(always)]
    fn update_found(
        &mut self,
        found: Option<u32>,
        packet: &Packet<'_>,
        lookup: &Lookup,
        key: Option<&E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        if self.next_timer <= self.now {
            self.update_with_care(found, packet, lookup, key, handler);
            return;
        }
        // Most of what is not in order begins or ends a connection.
        if !self.needs_care(lookup) {
            match found {
                Some(slot)
                    if lookup.payload_wire_len == 0
                        && self.handshake_path(slot, packet, lookup, handler) =>
                {
                    return;
                }
                None if self.opens_plainly(lookup) => {
                    self.begin(packet, lookup, key, handler);
                    return;
                }
                _ => {}
            }
        }
        self.update_with_care(found, packet, lookup, key, handler);
    }

    /// `true` if a segment of no flow begins a connection, and no flow in another scope may be the
    /// other half of it.
    #[inline(always)]
    fn opens_plainly(&self, lookup: &Lookup) -> bool {
        lookup.tcp.flags.contains(TcpFlags::SYN)
            && !lookup.tcp.flags.contains(TcpFlags::RST)
            && lookup.compact != 0
            && !self.has_scopes()
            && self.extractor.is_connection()
    }

    /// `true` if this packet cannot be given to its flow before it was examined, or the packets of
    /// other flows before it are a reason to examine it.
    #[inline(always)]
    fn needs_care(&self, lookup: &Lookup) -> bool {
        lookup.protocol != protocol::TCP
            || !matches!(lookup.sort, Sort::Plain | Sort::Sound)
            || self.screen.watches()
            || self.doubts.holds_any()
            || self.joins_scopes()
    }

    /// Whatever may be amiss with a packet, or with its flow.
    #[inline(never)]
    fn update_with_care(
        &mut self,
        found: Option<u32>,
        packet: &Packet<'_>,
        lookup: &Lookup,
        key: Option<&E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let found = self.across_scopes(found, lookup, key, handler);
        if lookup.candidate == NONE
            && let Some(slot) = found
            && self.fast_path(slot, packet, lookup, || key, handler)
        {
            // It began in the batch before, or this is a packet joined from fragments.
        } else if (!matches!(lookup.sort, Sort::Plain | Sort::Sound) || self.screen.watches())
            && self.screened(found, packet, lookup, key, handler)
        {
            // The receiver discards it.
        } else if lookup.protocol == protocol::TCP
            && (lookup.payload_wire_len > 0 || self.doubts.holds_any())
            && let Some(slot) = found
            && self.doubted(slot, packet, lookup, handler)
        {
            // The receiver may discard it.
        } else if lookup.protocol != protocol::TCP {
            self.datagram(found, packet, lookup, key, handler);
        } else if let Some(slot) = found
            && self.handshake_path(slot, packet, lookup, handler)
        {
            // Most of what is not in order begins or ends a connection.
        } else {
            self.slow_path(found, packet, lookup, key, handler);
        }
        if lookup.tcp.flags.contains(TcpFlags::SYN)
            && let Some(slot) = found
        {
            self.note_greeting(slot, lookup);
        }
    }

    /// More is due than was worked off: what is due for this flow comes before its packet.
    #[inline(never)]
    fn settled(
        &mut self,
        found: Option<u32>,
        lookup: &Lookup,
        key: Option<&E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> Option<u32> {
        let slot = found?;
        self.settle(slot, handler);
        self.holds(slot, lookup, key).then_some(slot)
    }

    /// `true` if the slot is in use for this key; what was found early in a batch may have changed
    /// since.
    #[inline(always)]
    pub(super) fn holds(&self, slot: u32, lookup: &Lookup, key: Option<&E::Key>) -> bool {
        let entry = &self.slots[slot];
        entry.compact == lookup.compact
            && (lookup.compact != 0 || !differs(&self.cold[slot].key, key))
            && entry.state != State::Free
    }

    /// The packet's key, for a flow that begins.
    pub(super) fn key(&mut self, lookup: &Lookup, key: Option<&E::Key>) -> Option<E::Key> {
        let expanded = NonZeroU128::new(lookup.compact).and_then(E::expand);
        let key = expanded.or_else(|| key.cloned());
        if key.is_none() {
            self.unparsed(Cause::NoKey);
        }
        key
    }

    /// A packet of a flow that is not a TCP connection.
    pub(super) fn datagram(
        &mut self,
        found: Option<u32>,
        packet: &Packet<'_>,
        lookup: &Lookup,
        key: Option<&E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let slot = if let Some(slot) = found {
            slot
        } else {
            let Some(key) = self.key(lookup, key) else { return };
            let slot = self.insert(key, lookup, handler);
            let first = FirstPacket {
                side: FlowSide::Initiator,
                payload: lookup.payload(packet),
                flags: TcpFlags::default(),
                timestamp: packet.timestamp(),
                packet_number: packet.number(),
            };
            let (protocol, initiator) = (lookup.protocol, lookup.orientation);
            self.start(slot, protocol, initiator, State::Datagrams, &first, handler);
            slot
        };
        self.protocols[usize::from(lookup.protocol)] += 1;
        if self.slots[slot].state == State::Ended {
            // It was not admitted; or its key leaves the protocol out, and a connection that has
            // ended keeps it.
            self.after_end(slot, lookup.payload_len as usize);
            return;
        }
        let side = self.slots[slot].side(lookup.orientation);
        self.count(slot, side, lookup.lengths(packet));
        let datagram = Datagram {
            bytes: lookup.payload(packet),
            wire_len: lookup.payload_wire_len,
            timestamp: packet.timestamp(),
            packet_number: packet.number(),
        };
        handler.on_datagram(&view(slot, &self.slots[slot], &self.cold[slot]), side, datagram);
    }
}
