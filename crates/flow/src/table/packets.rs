//! The packets of flows, for handlers that take them.

use std::num::NonZeroU128;

use super::lookup::Lookup;
use super::tcp::Segment;
use super::view;
use crate::slot::{NONE, SlotFlags};
use crate::{FlowExtractor, FlowHandler, FlowPacket, FlowSide, FlowTable, Packet, TcpFlags};

impl<E: FlowExtractor> FlowTable<E> {
    /// Reports the packet that was processed to the handler.
    ///
    /// The flow is looked up again by its key instead of being noted where packets are counted.
    /// Thus handlers that take no packets pay nothing, and packets that are not counted, since
    /// their host discards them or their connection has ended, are found as well.
    #[inline(never)]
    pub(super) fn report_packet(
        &mut self,
        packet: &Packet<'_>,
        lookup: &Lookup,
        key: Option<&E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let slot = self.slot_of(lookup, key);
        let slot = slot.filter(|slot| !self.slots[*slot].flags.has(SlotFlags::REFUSED));
        // Without a flow the fragments stay carriers, and the caller reports them.
        let Some(slot) = slot else { return };
        let side = self.slots[slot].side(lookup.orientation);
        let carriers = std::mem::take(&mut self.carriers);
        if carriers.is_empty() {
            if self.is_pending_syn(slot, packet, lookup) {
                handler.on_packet_pending(packet);
                return;
            }
            let packet = FlowPacket { side, number: packet.number(), packet: Some(packet) };
            handler.on_packet(&view(slot, &self.slots[slot], &self.cold[slot]), packet);
        }
        for number in carriers {
            self.report_number(slot, side, number, handler);
        }
    }

    /// Reports a packet that came earlier.
    pub(super) fn report_number(
        &self,
        slot: u32,
        side: FlowSide,
        number: u64,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        if handler.wants_packets() {
            let packet = FlowPacket { side, number, packet: None };
            handler.on_packet(&view(slot, &self.slots[slot], &self.cold[slot]), packet);
        }
    }

    /// Reports the packet of a segment that waited, and whose flow is now the one in this slot.
    pub(super) fn report_segment(
        &self,
        slot: u32,
        segment: &Segment<'_>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        if !handler.wants_packets() {
            return;
        }
        if self.slots[slot].flags.has(SlotFlags::REFUSED) {
            handler.on_packet_unclaimed(segment.number);
        } else {
            let side = self.slots[slot].side(segment.orientation);
            self.report_number(slot, side, segment.number, handler);
        }
    }

    /// Reports a fragment as pending, unless it is one within other fragments.
    pub(super) fn carry(&mut self, packet: &Packet<'_>, handler: &mut impl FlowHandler<E::Key>) {
        if handler.wants_packets() && self.carriers.is_empty() {
            handler.on_packet_pending(packet);
            self.carriers.push(packet.number());
        }
    }

    /// Reports the pending packets of which no flow came.
    pub(super) fn unclaim(&mut self, handler: &mut impl FlowHandler<E::Key>) {
        if handler.wants_packets() {
            let mut released = self.defragmenter.released();
            released.append(&mut self.carriers);
            released.into_iter().for_each(|number| handler.on_packet_unclaimed(number));
        }
    }

    fn slot_of(&self, lookup: &Lookup, key: Option<&E::Key>) -> Option<u32> {
        let likely = lookup.candidate;
        if likely != NONE && self.holds(likely, lookup, key) {
            return Some(likely);
        }
        let found = self.index.find(lookup.hash, |slot| self.holds(slot, lookup, key));
        if found.is_some() || !self.joins_scopes() {
            return found;
        }
        let expanded = NonZeroU128::new(lookup.compact).and_then(E::expand);
        self.joined_slot(expanded.as_ref().or(key)?)
    }

    /// Returns `true` if the packet is a SYN that awaits its confirmation.
    fn is_pending_syn(&self, slot: u32, packet: &Packet<'_>, lookup: &Lookup) -> bool {
        lookup.tcp.flags.contains(TcpFlags::SYN)
            && self.slots[slot].flags.has(SlotFlags::PENDING_SYN)
            && self
                .pending_syns
                .get(&slot)
                .is_some_and(|list| list.iter().any(|syn| syn.number == packet.number()))
    }
}
