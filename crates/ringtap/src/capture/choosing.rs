//! `--where`: only the packets of conversations that meet a condition, from the first one on.
//!
//! The flow table says which conversation a packet belongs to. Packets of undecided conversations
//! wait in a queue, and so do those behind them, so that the output has the order of the input.

mod picks;
mod queue;

use std::time::Duration;

use flow::{FiveTuple, FlowTable};
use ring_core::{Packet, Timestamp};

use self::picks::{Batch, Picks};
use crate::choice::Choice;
use crate::names::count;
use crate::report;
use crate::summary::totals::Selected;

/// Selects packets by their conversations.
pub(crate) struct Choosing {
    table: FlowTable<FiveTuple>,
    picks: Picks,
    /// Packets that the source had lost when its counter was read.
    drops: u64,
    /// The number of the next packet. The numbers of sources need not be unique.
    next: u64,
}

impl Choosing {
    /// `None` if all packets are to be taken.
    pub(crate) fn new(choice: &Choice) -> Option<Box<Self>> {
        let picks = Picks::new(choice)?;
        let table = FlowTable::builder(FiveTuple::bidirectional()).build();
        Some(Box::new(Self { table, picks, drops: 0, next: 1 }))
    }

    /// Takes packets, and passes on those that are to be written now, in the order of their
    /// arrival.
    pub(crate) fn take<E>(
        &mut self,
        packets: &[Packet<'_>],
        mut pass: impl FnMut(&Packet<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let first = self.next;
        self.next += packets.len() as u64;
        let numbered = (first..).zip(packets).map(|(number, packet)| {
            let mut packet = *packet;
            packet.meta_mut().number = number;
            packet
        });
        self.table.process(numbered, &mut Batch { picks: &mut self.picks, first });
        let last = packets.last().map(Packet::timestamp);
        if let Some(last) = last {
            self.table.advance(last, &mut Batch { picks: &mut self.picks, first });
        }
        self.picks.release(first, packets, &mut pass)
    }

    /// Time has passed without packets.
    pub(crate) fn advance<E>(
        &mut self,
        now: Timestamp,
        mut pass: impl FnMut(&Packet<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.table.advance(now, &mut Batch { picks: &mut self.picks, first: self.next });
        self.picks.release(self.next, &[], &mut pass)
    }

    /// Takes the total of packets that the source has lost.
    pub(crate) fn note_drops(&mut self, drops: u64, now: Timestamp) {
        self.table.note_drops(drops.saturating_sub(self.drops), now);
        self.drops = drops;
    }

    /// The capture has ended, so every conversation is decided.
    pub(crate) fn finish<E>(
        &mut self,
        mut pass: impl FnMut(&Packet<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.table.finish(&mut Batch { picks: &mut self.picks, first: self.next });
        self.picks.release(self.next, &[], &mut pass)
    }

    /// Prints a line for everything that is not in the output, or not as expected.
    pub(crate) fn print(&self) {
        let Picks { unselected, undecided_accepted, undecided_dropped, astray, .. } = self.picks;
        let conversations = |number| count(number, "conversation", "conversations");
        if unselected > 0 {
            let total = conversations(unselected);
            report::line(format_args!("{total} not taken, since --where rejects them"));
        }
        for (number, what) in [
            (undecided_accepted, "taken although --where was undecided"),
            (undecided_dropped, "dropped although --where was undecided"),
        ] {
            if number > 0 {
                let total = conversations(number);
                report::line(format_args!(
                    "{total} {what}: no memory was left (--undecided-memory)"
                ));
            }
        }
        for (number, what) in [
            (
                self.picks.disordered(),
                "taken after later ones: no memory was left (--undecided-memory)",
            ),
            (
                self.picks.undecided_packets,
                "of conversations not known yet decided by --undecided: no memory was left",
            ),
            (astray, "missing from conversations: they seemed to be of others when they came"),
        ] {
            if number > 0 {
                report::line(format_args!("{} {what}", report::packets(number)));
            }
        }
    }

    /// The counters for a program to read.
    pub(crate) fn totals(&self) -> Selected {
        let Picks { selected, unselected, undecided_accepted, undecided_dropped, astray, .. } =
            self.picks;
        Selected {
            selected,
            unselected,
            undecided_accepted,
            undecided_dropped,
            disordered: self.picks.disordered(),
            astray,
        }
    }
}

/// The time by which packets that wait in the kernel are older than now, at most.
pub(crate) fn certain(now: u64, held_back: Duration) -> Timestamp {
    let back = u64::try_from(held_back.as_nanos()).unwrap_or(u64::MAX);
    Timestamp::from_nanos(now.saturating_sub(back))
}
