//! Counters of a source.

use std::ops::AddAssign;

/// Totals since a source was opened. They never decrease, except for `blocks_on_loan`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Statistics {
    /// Packets that passed the filter, delivered or dropped.
    pub packets: u64,
    /// Packets that the kernel dropped because there was no room.
    pub drops: u64,
    /// Number of times that the kernel found the whole ring in use.
    pub freezes: u64,
    /// Packets of which fewer bytes were captured than were on the wire.
    pub truncated: u64,
    /// Packets that the kernel marked as following a loss.
    pub losing: u64,
    /// Blocks or records that ended early because their own lengths or offsets are invalid.
    pub malformed: u64,
    /// Packets discarded because it is unknown if a new filter would have accepted them.
    pub discarded: u64,
    /// Packets that failed a filter in this process, for whatever reason.
    pub unmatched: u64,
    /// Packets that failed a filter in this process because it cannot be tested on their link type.
    pub untestable: u64,
    /// Fragments that failed a filter in this process because the first fragment of their datagram,
    /// which has the ports, was not captured or has not arrived yet.
    pub undecided_fragments: u64,
    /// Number of times that packets were requested while the next block was still on loan.
    pub ring_exhausted: u64,
    /// Blocks that are on loan now.
    pub blocks_on_loan: u64,
}

/// Adds each counter.
impl AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        // All fields are named, so that a new one cannot be forgotten.
        let Self {
            packets,
            drops,
            freezes,
            truncated,
            losing,
            malformed,
            discarded,
            untestable,
            undecided_fragments,
            unmatched,
            ring_exhausted,
            blocks_on_loan,
        } = other;
        self.packets += packets;
        self.drops += drops;
        self.freezes += freezes;
        self.truncated += truncated;
        self.losing += losing;
        self.malformed += malformed;
        self.discarded += discarded;
        self.untestable += untestable;
        self.undecided_fragments += undecided_fragments;
        self.unmatched += unmatched;
        self.ring_exhausted += ring_exhausted;
        self.blocks_on_loan += blocks_on_loan;
    }
}
