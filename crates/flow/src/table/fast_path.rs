//! The common case of a TCP packet.

use super::lookup::{Lookup, Sort};
use super::view;
use crate::history::Letter;
use crate::slot::{DirectionFlags as F, FAR_BEHIND};
use crate::stream::ahead;
use crate::{Data, FlowExtractor, FlowHandler, FlowTable, Packet, TcpOptions};

impl<E: FlowExtractor> FlowTable<E> {
    /// The common case, complete in itself: an open connection in which nothing is amiss, and a
    /// segment with what comes next or with an acknowledgement alone. False, with nothing done, in
    /// every other case, another flow's slot among them.
    #[inline(always)]
    pub(super) fn fast_path<'k>(
        &mut self,
        slot: u32,
        packet: &Packet<'_>,
        lookup: &Lookup,
        key: impl Fn() -> Option<&'k E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) -> bool
    where
        E::Key: 'k,
    {
        let tcp = &lookup.tcp;
        if lookup.sort != Sort::Plain {
            return false;
        }
        let entry = &mut self.slots[slot];
        if entry.compact != lookup.compact
            || (lookup.compact == 0 && differs(&self.cold[slot].key, key()))
        {
            return false;
        }
        let side = entry.side(lookup.orientation);
        if !entry.fast_path.of(side) {
            return false;
        }
        debug_assert!(entry.is_fast_path_ok(side), "{entry:?}");
        // Chosen by index: a branch on the side is one that the processor cannot predict.
        let own = &entry.directions[side as usize];
        let peer = &entry.directions[side.opposite() as usize];
        // The peer must not acknowledge what was not seen, nor what may be a way around the
        // sequence space.
        let seen = peer.expected().wrapping_sub(tcp.acknowledgement) <= FAR_BEHIND.cast_unsigned();
        if peer.flags.has(F::ANCHORED) && !seen {
            return false;
        }
        if lookup.payload_len > 0 {
            // What a receiver may discard is looked at elsewhere.
            if tcp.sequence != own.expected()
                || !own.flags.follows(lookup.path)
                || own.flags.has(F::ACKED)
                    && ahead(tcp.sequence.wrapping_add(lookup.payload_len), own.edge)
                || tcp.acknowledgement.wrapping_sub(peer.acked).cast_signed() < 0
            {
                return false;
            }
            if tcp.options.contains(TcpOptions::TIMESTAMP)
                && own.latest_timestamp_before_fin() != 0
                && peer.latest_timestamp_before_fin() != 0
            {
                // PAWS: the receiver discards a segment with an older timestamp (RFC 7323, section
                // 5.3).
                if ahead(own.latest_timestamp_before_fin(), tcp.timestamp) {
                    return false;
                }
                // The rule by which the receiver updates TS.Recent (RFC 7323, section 4.3).
                // Right even if the segment takes the long way after all.
                if !ahead(tcp.sequence, own.acked) {
                    entry.directions[side as usize].fin = tcp.timestamp;
                }
            }
        }
        let Some(counters) = entry.counters[side as usize].plus(lookup.lengths(packet)) else {
            return false;
        };
        // Nothing is left that could go wrong.
        entry.counters[side as usize] = counters;
        entry.last_seen = self.now;
        entry.fast_path.note(side, tcp.flags);
        let shift = entry.directions[side as usize].scale.shift();
        let edge = tcp.acknowledgement.wrapping_add(u32::from(tcp.window) << shift);
        let receives = &mut entry.directions[side.opposite() as usize];
        // Without branches, because a processor cannot predict what is new.
        receives.acked = latest(receives.acked, tcp.acknowledgement);
        receives.edge = latest(receives.edge, edge);
        let sends = &mut entry.directions[side as usize];
        if !sends.flags.has(F::ANCHORED) {
            sends.base = tcp.sequence;
            // Not stored again each time, since it is loaded together with its neighbours.
            if !sends.flags.has(F::HINT) {
                sends.flags.set(F::HINT);
            }
        }
        let letter = if lookup.payload_len == 0 { Letter::Ack } else { Letter::Data };
        if !sends.seen.has(letter) {
            let mut seen = sends.seen;
            let peer = entry.directions[side.opposite() as usize].seen;
            self.cold[slot].history.note(&mut seen, peer, side, letter);
            entry.directions[side as usize].seen = seen;
        }
        if lookup.payload_len > 0 {
            let len = u64::from(lookup.payload_len);
            let sends = &mut entry.directions[side as usize];
            let offset = sends.next;
            sends.next += len;
            self.statistics.delivered_bytes += len;
            let data = Data {
                bytes: lookup.payload(packet),
                offset,
                timestamp: packet.timestamp(),
                packet_number: packet.number(),
                depends_on: 0,
            };
            handler.on_data(&view(slot, entry, &self.cold[slot]), side, data);
        }
        true
    }
}

/// The one of two sequence numbers that comes after the other.
#[inline(always)]
const fn latest(this: u32, other: u32) -> u32 {
    if ahead(other, this) { other } else { this }
}

/// Compares keys without a number; not inlined, so that those with one have the registers.
#[inline(never)]
pub(super) fn differs<K: Eq>(kept: &K, key: Option<&K>) -> bool {
    key.is_none_or(|key| kept != key)
}
