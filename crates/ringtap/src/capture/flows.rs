//! The flow table behind `--where`, `--trigger` and the like.

use flow::{FiveTuple, FiveTupleKey, FlowHandler, FlowTable};
use ring_core::{Packet, Timestamp};

/// A flow table that numbers packets, since those of sources need not be unique.
pub(super) struct Flows {
    pub(super) table: FlowTable<FiveTuple>,
    /// Packets that the source had lost when its counter was read.
    drops: u64,
    /// The number of the next packet.
    next: u64,
}

impl Flows {
    pub(super) fn new() -> Self {
        let table = FlowTable::builder(FiveTuple::bidirectional()).build();
        Self { table, drops: 0, next: 1 }
    }

    /// The number of the next packet.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Processes packets. Their time passes for all flows.
    pub(super) fn process(
        &mut self,
        packets: &[Packet<'_>],
        handler: &mut impl FlowHandler<FiveTupleKey>,
    ) {
        let numbered = (self.next..).zip(packets).map(|(number, packet)| {
            let mut packet = *packet;
            packet.meta_mut().number = number;
            packet
        });
        self.table.process(numbered, handler);
        self.next += packets.len() as u64;
        if let Some(last) = packets.last() {
            self.table.advance(last.timestamp(), handler);
        }
    }

    /// Takes the total of packets that the source has lost.
    pub(super) fn note_drops(&mut self, drops: u64, now: Timestamp) {
        self.table.note_drops(drops.saturating_sub(self.drops), now);
        self.drops = drops;
    }
}
