//! Segments that the receiving host discards, and bytes that it takes out of the stream.

use std::collections::HashMap;

use super::lookup::{Lookup, Sort};
use super::tcp::Segment;
use crate::slot::{DirectionFlags as F, Slot, State};
use crate::stream::ahead;
use crate::{
    Defect, FlowExtractor, FlowHandler, FlowTable, Headers, OverlapPolicy, Packet, Parsed,
    TcpFlags, TcpOptions, UnplacedCause, protocol,
};

/// The state that the screen keeps of flows, by slot; each entry with the generation of its flow,
/// so that none outlives it.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// Flows whose first packet had a source route, so that it is no surprise later.
    routed: HashMap<u32, u32, ahash::RandomState>,
    /// Flows that use signatures.
    signed: HashMap<u32, u32, ahash::RandomState>,
    /// Sequence numbers of urgent bytes that have not come yet.
    urgent: HashMap<(u32, u8), (u32, u32), ahash::RandomState>,
}

/// Entries of each kind. A flow beyond is treated as one that uses none of them.
const CAPACITY: usize = 1 << 14;

impl Screen {
    /// The sequence number of the urgent byte of a direction.
    #[inline]
    pub(super) fn urgent(&self, slot: u32, side: u8, generation: u32) -> Option<u32> {
        if self.urgent.is_empty() {
            return None;
        }
        let (known, sequence) = *self.urgent.get(&(slot, side))?;
        (known == generation).then_some(sequence)
    }

    /// Returns `true` if plain segments have to be looked at as well.
    #[inline]
    pub(super) fn watches(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// Forgets a slot whose flow has ended.
    pub(super) fn forget(&mut self, slot: u32) {
        if !self.routed.is_empty() {
            self.routed.remove(&slot);
        }
        if !self.signed.is_empty() {
            self.signed.remove(&slot);
        }
        if !self.urgent.is_empty() {
            self.urgent.remove(&(slot, 0));
            self.urgent.remove(&(slot, 1));
        }
    }
}

impl<E: FlowExtractor> FlowTable<E> {
    /// Takes a packet that its receiver discards out of the way, and segments of which the receiver
    /// takes out a byte. False, with nothing done, for every other packet.
    #[inline(never)]
    pub(super) fn screened(
        &mut self,
        found: Option<u32>,
        packet: &Packet<'_>,
        lookup: &Lookup,
        key: Option<&E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> bool {
        let receiver = || {
            let key = found.map(|slot| &self.cold[slot].key).or(key)?;
            E::receiver(key, lookup.orientation)
        };
        let policy = self.config.overlap.of(receiver);
        if let Some(defect) = self.defect(found, packet, lookup, policy) {
            self.discard(found, packet, lookup, defect, handler);
            return true;
        }
        if lookup.protocol == protocol::TCP
            && lookup.payload_len > 0
            && let Some(slot) = found
            && self.slots[slot].is_tcp()
            && self.slots[slot].state != State::Ended
        {
            return self.takes_urgent(slot, packet, lookup, policy, handler);
        }
        false
    }

    /// Notes what is unusual about the packet with which a flow begins: it is not unexpected later.
    #[inline]
    pub(super) fn note_opening(&mut self, slot: u32, lookup: &Lookup) {
        let Screen { routed, signed, .. } = &mut self.screen;
        if lookup.sort == Sort::Defective(Defect::SourceRoute) && routed.len() < CAPACITY {
            routed.insert(slot, self.slots[slot].generation);
        }
        if lookup.tcp.options.contains(TcpOptions::SIGNATURE) && signed.len() < CAPACITY {
            signed.insert(slot, self.slots[slot].generation);
        }
    }

    /// The reason for which the receiver discards a packet.
    fn defect(
        &self,
        found: Option<u32>,
        packet: &Packet<'_>,
        lookup: &Lookup,
        policy: OverlapPolicy,
    ) -> Option<Defect> {
        let generation = |slot| self.slots[slot].generation;
        if let Sort::Defective(defect) = lookup.sort {
            let discards = match defect {
                // Where the capture cuts packets and loses their length, none is longer than the
                // cut. Of a connection, what its receiver acknowledges shows whether it was as long
                // as it claims.
                Defect::TooLong if lookup.protocol == protocol::TCP => false,
                // The same, unless nothing is known of the receiver.
                Defect::NoLength if lookup.protocol == protocol::TCP => {
                    !found.is_some_and(|slot| self.is_answered(slot, lookup))
                }
                Defect::TooLong => packet.data().len() < self.longest as usize,
                // Routers drop source routes by default (RFC 7126, section 4.3). A connection that
                // gets through with them begins with one.
                Defect::SourceRoute => found.is_some_and(|slot| {
                    self.screen.routed.get(&slot).copied() != Some(generation(slot))
                }),
                Defect::Padding => policy == OverlapPolicy::Linux,
                _ => true,
            };
            if discards {
                return Some(defect);
            }
        }
        if lookup.protocol != protocol::TCP {
            return None;
        }
        let tcp = &lookup.tcp;
        // Without a policy nobody knows what the hosts of a connection that is not known make of
        // it.
        let is_unknown = matches!(policy, OverlapPolicy::First | OverlapPolicy::Last)
            && found.is_none()
            && !tcp.flags.contains(TcpFlags(TcpFlags::SYN.0 | TcpFlags::RST.0));
        if has_odd_flags(tcp.flags) && !is_unknown {
            return Some(Defect::Flags);
        }
        // A SYN may bring all that a side has to say (RFC 1644), but common hosts take none with a
        // FIN.
        if tcp.flags.contains(TcpFlags::SYN | TcpFlags::FIN) {
            let greeted = |slot| {
                let entry: &Slot = &self.slots[slot];
                entry.directions[entry.side(lookup.orientation) as usize].flags.has(F::SYN)
            };
            if !matches!(policy, OverlapPolicy::First | OverlapPolicy::Last)
                || found.is_some_and(greeted)
            {
                return Some(Defect::Flags);
            }
        }
        if tcp.options.contains(TcpOptions::MALFORMED) && policy == OverlapPolicy::Linux {
            return Some(Defect::TcpOptions);
        }
        // The SYN says whether a connection uses signatures; they cannot be added later (RFC 2385,
        // section 4.3).
        if tcp.options.contains(TcpOptions::SIGNATURE)
            && let Some(slot) = found
            && self.slots[slot].directions.iter().any(|direction| direction.flags.has(F::SYN))
            && !tcp.flags.contains(TcpFlags::SYN)
            && self.screen.signed.get(&slot).copied() != Some(generation(slot))
        {
            return Some(Defect::Signature);
        }
        None
    }

    /// `true` if the receiver of a segment is known to acknowledge what it takes.
    fn is_answered(&self, slot: u32, lookup: &Lookup) -> bool {
        let entry = &self.slots[slot];
        let own = &entry.directions[entry.side(lookup.orientation) as usize];
        entry.is_tcp()
            && entry.state != State::Ended
            && own.flags.has(F::ANCHORED)
            && own.flags.has(F::ACKED)
    }

    /// Counts a packet that its receiver discards, and passes on what it carries.
    fn discard(
        &mut self,
        found: Option<u32>,
        packet: &Packet<'_>,
        lookup: &Lookup,
        defect: Defect,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        self.statistics.discarded.add(defect);
        if defect == Defect::Checksum {
            self.statistics.bad_checksums += 1;
        }
        if defect == Defect::Flags {
            self.statistics.invalid_flags += 1;
        }
        let Some(slot) = found else { return };
        if self.slots[slot].state == State::Ended {
            self.after_end(slot, lookup.payload_len as usize);
            return;
        }
        let side = self.slots[slot].side(lookup.orientation);
        self.count(slot, side, lookup.lengths(packet));
        let bytes = lookup.payload(packet);
        if !self.slots[slot].is_tcp() || bytes.is_empty() {
            return;
        }
        let syn = u32::from(lookup.tcp.flags.contains(TcpFlags::SYN));
        let sequence = lookup.tcp.sequence.wrapping_add(syn);
        let (timestamp, number) = (packet.timestamp().as_nanos(), packet.number());
        let mut wake = u64::MAX;
        let mut stream = self.stream(slot, side, handler, &mut wake);
        stream.unplaced(bytes, sequence, timestamp, number, UnplacedCause::Discarded);
        self.slots[slot].update_fast_path();
    }

    /// Takes a segment of a direction with an urgent byte that was not delivered yet. Hosts hand
    /// that byte to the application out of band (RFC 6093, section 3.1), so it is no part of the
    /// bytes that are read.
    fn takes_urgent(
        &mut self,
        slot: u32,
        packet: &Packet<'_>,
        lookup: &Lookup,
        policy: OverlapPolicy,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> bool {
        if matches!(policy, OverlapPolicy::First | OverlapPolicy::Last) {
            return false;
        }
        let side = self.slots[slot].side(lookup.orientation);
        let generation = self.slots[slot].generation;
        let place = (slot, side as u8);
        let first = lookup.tcp.sequence;
        if lookup.tcp.flags.contains(TcpFlags::URG)
            && let Some(headers) = self.reparsed(packet, lookup)
            && let Some(urgent) = urgent_offset(packet, &headers)
            && (self.screen.urgent.len() < CAPACITY || self.screen.urgent.contains_key(&place))
        {
            self.screen.urgent.insert(place, (generation, first.wrapping_add(urgent)));
        }
        let Some(urgent) = self.screen.urgent(slot, side as u8, generation) else { return false };
        self.segment(slot, &Segment::of(packet, lookup), handler);
        let entry = &mut self.slots[slot];
        if entry.generation == generation
            && !ahead(entry.directions[side as usize].expected(), urgent)
        {
            // The fast path knows nothing of urgent bytes.
            entry.fast_path.close();
        }
        true
    }

    /// The headers of a packet once more: what is seldom needed of them is not carried along.
    fn reparsed(&self, packet: &Packet<'_>, lookup: &Lookup) -> Option<Headers> {
        match self.parser.parse(packet) {
            Ok(Parsed::Transport(headers))
                if headers.payload_offset == u32::from(lookup.payload_offset) =>
            {
                Some(headers)
            }
            _ => None,
        }
    }
}

/// `true` for control bits that no open connection sends: receivers drop a segment without ACK (RFC
/// 9293, section 3.10.7.4), and one with both SYN and RST.
const fn has_odd_flags(flags: TcpFlags) -> bool {
    let starts = TcpFlags(TcpFlags::ACK.0 | TcpFlags::SYN.0 | TcpFlags::RST.0);
    flags.contains(TcpFlags(TcpFlags::SYN.0 | TcpFlags::RST.0)) || !flags.intersects(starts)
}

/// Position of the urgent byte after the segment's first.
fn urgent_offset(packet: &Packet<'_>, headers: &Headers) -> Option<u32> {
    let header = packet.data().get(headers.transport_offset as usize..)?;
    let pointer = u16::from_be_bytes([*header.get(18)?, *header.get(19)?]);
    // Hosts take the pointer for that of the byte behind the urgent one (RFC 6093, section 3.2).
    Some(u32::from(pointer.saturating_sub(1)))
}
