//! Packets in batches.

use std::hint::black_box;

use crate::delivered::comparing;
use crate::prefetch::prefetch;
use crate::slot::NONE;
use crate::{
    Cause, FlowExtractor, FlowHandler, FlowTable, Headers, Orientation, Packet, Parsed, TcpFlags,
    Unparsed, VerifyChecksums,
};

use super::lookup::{Lookup, sort};
use super::path::{common_path, path};

/// Packets that are worked on together: enough for the memory system to fetch many flows at once,
/// few enough that what is known of them stays in the first-level cache.
const BATCH: usize = 64;

/// The lookahead, in packets, with which a handler is notified of a flow.
const AHEAD: usize = 8;

/// The results of looking at the packets of a batch. Tables keep them from call to call, which
/// saves the allocation.
#[derive(Debug)]
pub(super) struct Scratch<K> {
    lookup: Vec<Lookup>,
    /// To each work its key, if that has no number.
    keys: Vec<Option<K>>,
}

/// A batch that the table is processing.
struct Batch<'b, 'p, K> {
    packets: &'b mut [Option<Packet<'p>>; BATCH],
    /// The number of packets.
    count: usize,
    /// Their bytes on the wire.
    bytes: u64,
    /// The captured bytes of the longest.
    longest: usize,
    scratch: Scratch<K>,
    /// The number of entries in `scratch` that are taken.
    prepared: usize,
}

impl<E: FlowExtractor> FlowTable<E> {
    /// Feeds packets, in the order in which they were captured.
    ///
    /// The more packets come in one call, the better: they are worked on in batches. While the
    /// flows of one batch are brought up to date, those of the next and the headers of the one
    /// after it are fetched from memory.
    pub fn process<'p>(
        &mut self,
        packets: impl IntoIterator<Item = Packet<'p>>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        comparing!(self, handler => self.process_all(packets.into_iter(), handler));
    }

    fn process_all<'p>(
        &mut self,
        mut packets: impl Iterator<Item = Packet<'p>>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let packets_before = self.statistics.packets;
        let [mut a, mut b, mut c] = [const { [const { None }; BATCH] }; 3];
        let scratches = std::mem::take(&mut self.scratches);
        let [mut a, mut b, mut c] = Batch::three([&mut a, &mut b, &mut c], scratches);
        let (mut before, mut these, mut after) = (&mut a, &mut b, &mut c);
        these.fetch(&mut packets);
        prefetch_headers(&these.packets[..these.count]);
        while these.count > 0 {
            self.prepare_all(before, these, handler);
            after.count = 0;
            if these.count == BATCH {
                after.fetch(&mut packets);
            }
            self.drain(before, these, &after.packets[..after.count], handler);
            (before, these, after) = (these, after, before);
        }
        // What is left in it has been looked up.
        self.drain(before, these, &[], handler);
        self.scratches = [a.scratch, b.scratch, c.scratch];
        self.enforce_memory_limit(self.statistics.packets - packets_before, handler);
    }

    /// Determines the kind of each packet of a batch. (A function of its own, so that its values
    /// have the registers.)
    #[inline(never)]
    fn prepare_all(
        &mut self,
        before: &mut Batch<'_, '_, E::Key>,
        batch: &mut Batch<'_, '_, E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        self.statistics.packets += batch.count as u64;
        self.statistics.bytes += batch.bytes;
        self.longest = self.longest.max(u32::try_from(batch.longest).unwrap_or(u32::MAX));
        // Checksums are verified elsewhere: what that needs would leave too few registers for the
        // rest.
        let verify = self.config.verify_checksums != VerifyChecksums::Never;
        for at in 0..batch.count.min(BATCH) {
            if verify || !self.prepare_plain(at, batch) {
                self.prepare_any(at, before, batch, handler);
            }
        }
    }

    /// A packet of the plainest kind; false, with nothing done, for any other.
    #[inline(always)]
    fn prepare_plain(&mut self, at: usize, batch: &mut Batch<'_, '_, E::Key>) -> bool {
        if let Some(packet) = &batch.packets[at]
            && let Some(lookup) = batch.scratch.lookup.get_mut(batch.prepared)
            && let Some(plain) = crate::Parser::plain(packet)
        {
            let extracted = self.extractor.extract(packet, &plain.headers());
            if let Some(key) = self.look_for(lookup, extracted) {
                lookup.take_plain(at, &plain, common_path(plain.head()));
                batch.push(key);
            }
            true
        } else {
            false
        }
    }

    /// Packets that are not of the plainest kind. A fragment may complete a packet, which then
    /// comes after those before it.
    #[inline(never)]
    fn prepare_any(
        &mut self,
        at: usize,
        before: &mut Batch<'_, '_, E::Key>,
        batch: &mut Batch<'_, '_, E::Key>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let Some(packet) = batch.packets[at] else { return };
        let (parsed, more) = self.parser.parse_subframe(&packet, 0);
        match parsed {
            Ok(Parsed::Transport(mut headers)) => {
                self.verify(&packet, &mut headers);
                let extracted = self.extractor.extract(&packet, &headers);
                if let Some(lookup) = batch.scratch.lookup.get_mut(batch.prepared)
                    && let Some(key) = self.lookup(lookup, extracted, at, &packet, &headers)
                {
                    batch.push(key);
                }
            }
            Ok(Parsed::Fragment(fragment)) => {
                self.drain(before, batch, &[], handler);
                self.drain(batch, before, &[], handler);
                self.fragment(&packet, fragment, handler);
            }
            Ok(Parsed::FrameFragment(fragment)) => {
                self.drain(before, batch, &[], handler);
                self.drain(batch, before, &[], handler);
                self.frame_fragment(&packet, fragment, handler);
            }
            Err(reason) => self.unparsed(Cause::Unparsed(reason)),
        }
        if more {
            self.drain(before, batch, &[], handler);
            self.drain(batch, before, &[], handler);
            self.subframes(&packet, handler);
        }
    }

    /// The packets of an aggregate behind the first one. No real one has as many as are looked at.
    #[cold]
    #[inline(never)]
    fn subframes(&mut self, packet: &Packet<'_>, handler: &mut impl FlowHandler<E::Key>) {
        for number in 1..u8::MAX {
            let (parsed, more) = self.parser.parse_subframe(packet, number);
            match parsed {
                Ok(Parsed::Transport(headers)) => {
                    let extracted = self.extractor.extract(packet, &headers);
                    self.at_once(packet, &headers, extracted, handler);
                }
                Ok(Parsed::Fragment(fragment)) => self.fragment(packet, fragment, handler),
                Ok(Parsed::FrameFragment(fragment)) => {
                    self.frame_fragment(packet, fragment, handler);
                }
                Err(reason) => self.unparsed(Cause::Unparsed(reason)),
            }
            if !more {
                return;
            }
        }
        self.unparsed(Cause::Unparsed(Unparsed::TooDeep));
    }

    /// Counts a packet, or a part of one, that belongs to no flow.
    #[cold]
    #[inline(never)]
    pub(super) fn unparsed(&mut self, cause: Cause) {
        self.statistics.unparsed += 1;
        self.statistics.not_followed.add(cause, 1);
    }

    /// A packet that is worked on outside its batch.
    pub(super) fn at_once(
        &mut self,
        packet: &Packet<'_>,
        headers: &Headers,
        extracted: Option<(E::Key, Orientation)>,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let mut headers = *headers;
        self.verify(packet, &mut headers);
        let mut lookup = Lookup::NONE;
        if let Some(key) = self.lookup(&mut lookup, extracted, 0, packet, &headers) {
            self.update(packet, &lookup, || Some(&key), handler);
        }
    }

    /// Notes a wrong checksum as a reason for the receiver to discard the packet, if checksums are
    /// verified.
    fn verify(&mut self, packet: &Packet<'_>, headers: &mut Headers) {
        let mode = self.config.verify_checksums;
        if let Some(defect) = self.checksums.defect(packet, headers, mode) {
            headers.defect = Some(defect);
        }
    }

    /// Takes out of a packet what its flow needs to know, and begins the search for the flow.
    fn lookup(
        &mut self,
        lookup: &mut Lookup,
        extracted: Option<(E::Key, Orientation)>,
        at: usize,
        packet: &Packet<'_>,
        headers: &Headers,
    ) -> Option<E::Key> {
        if lookup.take(at, headers, path(packet), sort(headers)) {
            self.look_for(lookup, extracted)
        } else {
            self.unparsed(Cause::Unparsed(Unparsed::TooDeep));
            None
        }
    }

    /// Begins the search for the flow of a key.
    #[inline(always)]
    fn look_for(
        &mut self,
        lookup: &mut Lookup,
        extracted: Option<(E::Key, Orientation)>,
    ) -> Option<E::Key> {
        let Some((key, orientation)) = extracted else {
            self.unparsed(Cause::NoKey);
            return None;
        };
        lookup.orientation = orientation;
        (lookup.hash, lookup.compact) = self.hash(&key);
        self.index.prefetch(lookup.hash);
        Some(key)
    }

    /// Finds the flows of the next batch, then gives the packets of this one to theirs; meanwhile
    /// the headers of those that come `after` are asked for.
    ///
    /// Each pass is a loop so short that the processor is several packets ahead of itself, and what
    /// misses its caches is waited for once, not once a packet. Slots are asked for, not loaded:
    /// loads that miss would fill the processor's window after seven packets. (One loop that finds
    /// a flow of the next batch with each packet of this one is slower by a quarter with a million
    /// flows.) Headers are asked for one with each packet that is worked on: asked for all at once,
    /// they fill the processor's queue of misses, and what is taken in meanwhile waits behind them.
    #[inline(never)]
    fn drain(
        &mut self,
        batch: &mut Batch<'_, '_, E::Key>,
        next: &mut Batch<'_, '_, E::Key>,
        after: &[Option<Packet<'_>>],
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let Batch { packets, scratch: Scratch { lookup, keys }, prepared, .. } = batch;
        let prepared = std::mem::take(prepared);
        let searches = &mut next.scratch.lookup[..next.prepared];
        let mut touched = 0;
        for lookup in &*searches {
            touched ^= self.index.load(lookup.hash);
        }
        black_box(touched);
        for lookup in searches {
            self.search(lookup);
        }
        let these = &lookup[..prepared];
        for (at, lookup) in these.iter().enumerate() {
            prefetch_headers(after.get(at));
            if let Some(soon) = these.get(at + AHEAD)
                && soon.payload_len > 0
                && soon.candidate != NONE
            {
                handler.prefetch_hint(soon.candidate as usize);
            }
            if let Some(Some(packet)) = packets.get(usize::from(lookup.packet)) {
                let key = || keys.get(at).and_then(Option::as_ref);
                self.update(packet, lookup, key, handler);
            }
        }
        prefetch_headers(after.iter().skip(prepared));
    }

    /// Finds the slot that probably is the flow's, and prefetches it.
    #[inline(always)]
    fn search(&self, lookup: &mut Lookup) {
        let Some(candidate) = self.index.candidate(lookup.hash) else { return };
        lookup.candidate = candidate;
        let slot = &self.slots[candidate];
        let changes = lookup.tcp.flags.intersects(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST);
        if lookup.compact == 0 || changes {
            let cold = &self.cold[candidate];
            prefetch(&cold.key);
            if changes {
                prefetch(&cold.history);
                self.wheel.prefetch(candidate);
            }
        }
        prefetch(&slot.directions);
        prefetch(&slot.compact);
    }
}

impl<K> Default for Scratch<K> {
    fn default() -> Self {
        Self { lookup: Vec::new(), keys: Vec::new() }
    }
}

impl<'b, 'p, K> Batch<'b, 'p, K> {
    fn three(
        [a, b, c]: [&'b mut [Option<Packet<'p>>; BATCH]; 3],
        [x, y, z]: [Scratch<K>; 3],
    ) -> [Self; 3] {
        [Self::new(a, x), Self::new(b, y), Self::new(c, z)]
    }

    fn new(packets: &'b mut [Option<Packet<'p>>; BATCH], mut scratch: Scratch<K>) -> Self {
        if scratch.lookup.len() < BATCH {
            scratch.lookup.resize(BATCH, Lookup::NONE);
            scratch.keys.resize_with(BATCH, || None);
        }
        Self { packets, count: 0, bytes: 0, longest: 0, scratch, prepared: 0 }
    }

    /// Takes packets in.
    #[inline(always)]
    fn fetch(&mut self, packets: &mut impl Iterator<Item = Packet<'p>>) {
        let (mut count, mut bytes, mut longest) = (0, 0, 0);
        for (place, packet) in self.packets.iter_mut().zip(packets) {
            let packet = place.insert(packet);
            packet.strip_fcs();
            bytes += u64::from(packet.wire_len());
            longest = longest.max(packet.data().len());
            count += 1;
        }
        (self.count, self.bytes, self.longest) = (count, bytes, longest);
    }

    /// The next work is complete.
    #[inline(always)]
    fn push(&mut self, key: K) {
        let at = self.prepared;
        if self.scratch.lookup[at].compact == 0
            && let Some(place) = self.scratch.keys.get_mut(at)
        {
            *place = Some(key);
        }
        self.prepared += 1;
    }
}

/// Asks the processor for the headers of packets.
#[inline(always)]
fn prefetch_headers<'p>(packets: impl IntoIterator<Item = &'p Option<Packet<'p>>>) {
    for packet in packets.into_iter().flatten() {
        // Shorter ones are rare.
        if let Some(head) = packet.data().first_chunk::<54>() {
            prefetch(&head[0]);
            prefetch(&head[53]);
        }
    }
}
