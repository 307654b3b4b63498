//! Packets in batches.

use std::hint::black_box;

use crate::delivered::comparing;
use crate::prefetch::prefetch;
use crate::slot::NONE;
use crate::{
    Cause, FlowExtractor, FlowHandler, FlowTable, Headers, Orientation, Packet, Parsed, TcpFlags,
    Unparsed, VerifyChecksums,
};

use super::path::{path, usual_path};
use super::work::{Work, sort};

/// Packets that are worked on together: enough for the memory system to fetch many flows at once,
/// few enough that what is known of them stays in the first-level cache.
const BATCH: usize = 64;

/// The lookahead, in packets, with which a handler is notified of a flow.
const AHEAD: usize = 8;

/// The results of looking at the packets of a batch. Tables keep them from call to call, which
/// saves the allocation.
#[derive(Debug)]
pub(super) struct Room<K> {
    work: Vec<Work>,
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
    room: Room<K>,
    /// The number of entries in `room` that are taken.
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
        let [mut a, mut b, mut c] = [const { [const { None }; BATCH] }; 3];
        let rooms = std::mem::take(&mut self.rooms);
        let [mut a, mut b, mut c] = Batch::three([&mut a, &mut b, &mut c], rooms);
        let (mut before, mut these, mut after) = (&mut a, &mut b, &mut c);
        these.fetch(&mut packets);
        ask_for(&these.packets[..these.count]);
        while these.count > 0 {
            self.prepare_all(before, these, handler);
            after.count = 0;
            if these.count == BATCH {
                after.fetch(&mut packets);
            }
            self.work_off(before, these, &after.packets[..after.count], handler);
            (before, these, after) = (these, after, before);
        }
        // What is left in it has been looked up.
        self.work_off(before, these, &[], handler);
        self.rooms = [a.room, b.room, c.room];
        self.enforce_memory_limit(handler);
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
            && let Some(work) = batch.room.work.get_mut(batch.prepared)
            && let Some(plain) = crate::Parser::plain(packet)
        {
            let extracted = self.extractor.extract(packet, &plain.headers());
            if let Some(key) = self.look_for(work, extracted) {
                work.take_plain(at, &plain, usual_path(plain.head()));
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
                if let Some(work) = batch.room.work.get_mut(batch.prepared)
                    && let Some(key) = self.work(work, extracted, at, &packet, &headers)
                {
                    batch.push(key);
                }
            }
            Ok(Parsed::Fragment(fragment)) => {
                self.work_off(before, batch, &[], handler);
                self.work_off(batch, before, &[], handler);
                self.fragment(&packet, fragment, handler);
            }
            Ok(Parsed::FrameFragment(fragment)) => {
                self.work_off(before, batch, &[], handler);
                self.work_off(batch, before, &[], handler);
                self.frame_fragment(&packet, fragment, handler);
            }
            Err(reason) => self.unparsed(Cause::Unparsed(reason)),
        }
        if more {
            self.work_off(before, batch, &[], handler);
            self.work_off(batch, before, &[], handler);
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
        let mut work = Work::NONE;
        if let Some(key) = self.work(&mut work, extracted, 0, packet, &headers) {
            self.update(packet, &work, || Some(&key), handler);
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
    fn work(
        &mut self,
        work: &mut Work,
        extracted: Option<(E::Key, Orientation)>,
        at: usize,
        packet: &Packet<'_>,
        headers: &Headers,
    ) -> Option<E::Key> {
        if work.take(at, headers, path(packet), sort(headers)) {
            self.look_for(work, extracted)
        } else {
            self.unparsed(Cause::Unparsed(Unparsed::TooDeep));
            None
        }
    }

    /// Begins the search for the flow of a key.
    #[inline(always)]
    fn look_for(
        &mut self,
        work: &mut Work,
        extracted: Option<(E::Key, Orientation)>,
    ) -> Option<E::Key> {
        let Some((key, orientation)) = extracted else {
            self.unparsed(Cause::NoKey);
            return None;
        };
        work.orientation = orientation;
        (work.hash, work.compact) = self.hash(&key);
        self.index.prefetch(work.hash);
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
    fn work_off(
        &mut self,
        batch: &mut Batch<'_, '_, E::Key>,
        next: &mut Batch<'_, '_, E::Key>,
        after: &[Option<Packet<'_>>],
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let Batch { packets, room: Room { work, keys }, prepared, .. } = batch;
        let prepared = std::mem::take(prepared);
        let searches = &mut next.room.work[..next.prepared];
        let mut touched = 0;
        for work in &*searches {
            touched ^= self.index.touch(work.hash);
        }
        black_box(touched);
        for work in searches {
            self.search(work);
        }
        let these = &work[..prepared];
        for (at, work) in these.iter().enumerate() {
            ask_for(after.get(at));
            if let Some(soon) = these.get(at + AHEAD)
                && soon.payload_len > 0
                && soon.candidate != NONE
            {
                handler.expects(soon.candidate as usize);
            }
            if let Some(Some(packet)) = packets.get(usize::from(work.packet)) {
                let key = || keys.get(at).and_then(Option::as_ref);
                self.update(packet, work, key, handler);
            }
        }
        ask_for(after.iter().skip(prepared));
    }

    /// Finds the slot that probably is the flow's, and prefetches it.
    #[inline(always)]
    fn search(&self, work: &mut Work) {
        let Some(candidate) = self.index.candidate(work.hash) else { return };
        work.candidate = candidate;
        let slot = &self.slots[candidate];
        let changes = work.tcp.flags.intersects(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST);
        if work.compact == 0 || changes {
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

impl<K> Default for Room<K> {
    fn default() -> Self {
        Self { work: Vec::new(), keys: Vec::new() }
    }
}

impl<'b, 'p, K> Batch<'b, 'p, K> {
    fn three(
        [a, b, c]: [&'b mut [Option<Packet<'p>>; BATCH]; 3],
        [x, y, z]: [Room<K>; 3],
    ) -> [Self; 3] {
        [Self::new(a, x), Self::new(b, y), Self::new(c, z)]
    }

    fn new(packets: &'b mut [Option<Packet<'p>>; BATCH], mut room: Room<K>) -> Self {
        if room.work.len() < BATCH {
            room.work.resize(BATCH, Work::NONE);
            room.keys.resize_with(BATCH, || None);
        }
        Self { packets, count: 0, bytes: 0, longest: 0, room, prepared: 0 }
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
        if self.room.work[at].compact == 0
            && let Some(place) = self.room.keys.get_mut(at)
        {
            *place = Some(key);
        }
        self.prepared += 1;
    }
}

/// Asks the processor for the headers of packets.
#[inline(always)]
fn ask_for<'p>(packets: impl IntoIterator<Item = &'p Option<Packet<'p>>>) {
    for packet in packets.into_iter().flatten() {
        // Shorter ones are rare.
        if let Some(head) = packet.data().first_chunk::<54>() {
            prefetch(&head[0]);
            prefetch(&head[53]);
        }
    }
}
