//! What a source counted.

/// Totals since a source was opened; none of them ever decreases, but for `blocks_on_loan`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Packets that passed the filter, delivered or dropped.
    pub packets: u64,
    /// Packets that the kernel had no room for.
    pub drops: u64,
    /// How often the kernel found the whole ring in use.
    pub freezes: u64,
    /// Packets of which fewer bytes were captured than were on the wire.
    pub truncated: u64,
    /// Packets before which others were lost, as the kernel marked them.
    pub losing: u64,
    /// Blocks or records that broke off because what they said of themselves could not be.
    pub malformed: u64,
    /// Packets that were thrown away because what a new filter would have said of them could not be known.
    pub discarded: u64,
    /// Packets that did not pass a filter in this process because it cannot be tested on their link type.
    pub untestable: u64,
    /// Fragments that did not pass a filter in this process because the first fragment of their datagram, which has the
    /// ports, was not captured; or has not come yet.
    pub undecided_fragments: u64,
    /// How often the next block was still on loan when packets were asked for.
    pub ring_exhausted: u64,
    /// Blocks that users hold at this moment.
    pub blocks_on_loan: u64,
}
