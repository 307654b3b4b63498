//! Packets in the order of their arrival, some of which wait for the verdict about their flow.

use std::collections::VecDeque;
use std::rc::Rc;

use ring_core::{Packet, PacketMeta};

use super::split::Conversation;

/// The packets that are neither written nor dropped, ordered by number.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    /// The memory of the entries and of their bytes.
    bytes: usize,
    /// The highest number of a packet that was written.
    written: u64,
    /// Packets that were written after a later one.
    disordered: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    /// Undecided flows that the packet belongs to, and fragments in it whose flow is not known.
    open: u32,
    /// The part of `open` that are fragments or SYNs whose flow is not known.
    pending: u32,
    /// `true` if a flow that the packet belongs to was accepted.
    accepted: bool,
    /// The slot of the undecided flow that the packet was noted for last.
    owner: usize,
    /// With a file for each conversation: the accepted ones that the packet belongs to.
    conversations: Vec<Rc<Conversation>>,
    /// The bytes; `None` while they are in the batch that is worked on.
    kept: Option<(PacketMeta, Box<[u8]>)>,
}

/// The memory of a packet that waits, besides its bytes: its entry, and its number in the list of
/// its flow, both of which grow by doubling.
pub(super) const OVERHEAD: usize = 2 * (size_of::<Entry>() + size_of::<u64>());

impl Queue {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) const fn disordered(&self) -> u64 {
        self.disordered
    }

    /// The captured bytes of a packet that waits, if it is not of the batch that is worked on.
    pub(super) fn len_of(&mut self, number: u64) -> usize {
        self.get(number).and_then(|entry| entry.kept.as_ref()).map_or(0, |(_, bytes)| bytes.len())
    }

    /// Notes that a packet belongs to an accepted flow. Returns `false` if it is gone.
    pub(super) fn accept(&mut self, number: u64, of: Option<&Rc<Conversation>>) -> bool {
        let entry = self.get(number);
        let is_there = entry.is_some();
        if let Some(entry) = entry {
            entry.accept(of);
        }
        is_there
    }

    /// Notes that an undecided flow has the packet.
    pub(super) fn open(&mut self, number: u64, slot: usize) -> bool {
        let entry = self.get(number);
        let is_there = entry.is_some();
        if let Some(entry) = entry {
            entry.open += 1;
            entry.owner = slot;
        }
        is_there
    }

    /// Notes that the flow of a packet, or of a part of it, is not known yet.
    pub(super) fn pend(&mut self, number: u64) {
        if let Some(entry) = self.get(number) {
            entry.open += 1;
            entry.pending += 1;
        }
    }

    /// The flow is known, or the packet belongs to no flow.
    pub(super) fn unpend(&mut self, number: u64) {
        if let Some(entry) = self.get(number)
            && entry.pending > 0
        {
            entry.pending -= 1;
            entry.open -= 1;
        }
    }

    /// A flow that the packet belongs to is decided.
    pub(super) fn decide(&mut self, number: u64, accepted: bool, of: Option<&Rc<Conversation>>) {
        if let Some(entry) = self.get(number) {
            entry.open = entry.open.saturating_sub(1);
            if accepted {
                entry.accept(of);
            }
            if entry.is_dropped()
                && let Some((_, bytes)) = entry.kept.take()
            {
                self.bytes -= bytes.len();
            }
        }
    }

    /// The number of the oldest packet that waits for a verdict, and the slot of its flow if the
    /// flow is known.
    pub(super) fn blocking(&self) -> Option<(u64, Option<usize>)> {
        let entry = self.entries.iter().find(|entry| entry.open > 0)?;
        Some((entry.number, (entry.open > entry.pending).then_some(entry.owner)))
    }

    /// Decides about a packet alone.
    pub(super) fn settle(&mut self, number: u64, accepted: bool) {
        if let Some(entry) = self.get(number) {
            (entry.open, entry.pending) = (1, 0);
        }
        self.decide(number, accepted, None);
    }

    /// Adds a packet of the batch that is worked on. Nothing happens if it is there.
    pub(super) fn enter(&mut self, number: u64) {
        let at = self.entries.partition_point(|entry| entry.number < number);
        if self.entries.get(at).is_none_or(|entry| entry.number != number) {
            let (accepted, kept) = (false, None);
            let conversations = Vec::new();
            let (open, pending, owner) = (0, 0, 0);
            let entry = Entry { number, open, pending, accepted, owner, conversations, kept };
            self.entries.insert(at, entry);
            self.bytes += OVERHEAD;
        }
    }

    /// Takes the packets that are decided and behind no undecided one; or all that are decided.
    ///
    /// Passes on those that are accepted, with their metadata and bytes, or `None` for those of the
    /// batch that is worked on, and with their conversations. Stops if that fails.
    pub(super) fn release<E>(
        &mut self,
        all: bool,
        mut pass: impl FnMut(u64, Option<Packet<'_>>, &[Rc<Conversation>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut stay = VecDeque::new();
        while let Some(entry) = self.entries.pop_front() {
            if entry.open > 0 {
                stay.push_back(entry);
                if all {
                    continue;
                }
                break;
            }
            let Entry { number, accepted, kept, conversations, .. } = entry;
            self.bytes -= OVERHEAD + kept.as_ref().map_or(0, |(_, bytes)| bytes.len());
            if accepted {
                self.disordered += u64::from(number < self.written);
                self.written = self.written.max(number);
                let packet = kept.as_ref().map(|(meta, bytes)| Packet::with_meta(bytes, *meta));
                pass(number, packet, &conversations)?;
            }
        }
        if all {
            self.entries = stay;
        } else if let Some(blocking) = stay.pop_front() {
            self.entries.push_front(blocking);
        }
        Ok(())
    }

    /// Copies the packets of the batch, which began with the number `first`, that have to wait.
    pub(super) fn keep(&mut self, first: u64, batch: &[Packet<'_>]) {
        for entry in self.entries.iter_mut().rev().take_while(|entry| entry.number >= first) {
            let packet = usize::try_from(entry.number - first).ok().and_then(|at| batch.get(at));
            if let Some(packet) = packet
                && !entry.is_dropped()
            {
                self.bytes += packet.data().len();
                entry.kept = Some((*packet.meta(), packet.data().into()));
            }
        }
    }

    fn get(&mut self, number: u64) -> Option<&mut Entry> {
        let at = self.entries.binary_search_by_key(&number, |entry| entry.number).ok()?;
        self.entries.get_mut(at)
    }
}

impl Entry {
    fn accept(&mut self, of: Option<&Rc<Conversation>>) {
        self.accepted = true;
        if let Some(of) = of
            && !self.conversations.iter().any(|known| Rc::ptr_eq(known, of))
        {
            self.conversations.push(Rc::clone(of));
        }
    }

    const fn is_dropped(&self) -> bool {
        self.open == 0 && !self.accepted
    }
}
