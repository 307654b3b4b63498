//! Totals of engines.

use flow::TableStatistics;

/// Totals of an engine so far. They never decrease; `flows`, `queued_bytes`, `held_bytes`,
/// `waiting`, the source's `blocks_on_loan` and the table's `pending_bytes` are of this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Counters of the source, kernel drops among them; read at least every half second.
    pub source: ring_core::Statistics,
    /// Counters of the flow table, by what became of packets, flows and bytes; read as often, and
    /// once more when all flows have ended.
    pub table: TableStatistics,
    /// Packets that went through the flow table.
    pub packets: u64,
    /// Flows in the table now.
    pub flows: u64,
    /// Conversations announced.
    pub conversations: u64,
    /// Flows that are not TCP, and therefore no conversations unless
    /// [`datagrams`](crate::FlowStreamBuilder::datagrams) are enabled.
    pub datagram_flows: u64,
    /// Conversations that the program's own predicate did not admit.
    pub rejected: u64,
    /// Conversations that the [selection](crate::FlowStreamBuilder::select) rejected.
    pub unselected: u64,
    /// Conversations that were delivered undecided, since a limit of the selection was reached.
    pub undecided_accepted: u64,
    /// Conversations that were dropped undecided, since a limit of the selection was reached.
    pub undecided_dropped: u64,
    /// Bytes that wait for the selection now, with what their events cost.
    pub held_bytes: u64,
    /// Conversations that were not announced because too many waited to be taken, or went on.
    pub refused: u64,
    /// Conversations that were ended to make room for others.
    pub evicted: u64,
    /// Conversations that were given up because their reader was too slow.
    pub overruns: u64,
    /// Bytes of streams that were reassembled.
    pub bytes: u64,
    /// Bytes of streams that were not captured, and of the datagrams of conversations.
    pub gap_bytes: u64,
    /// The same by cause, with how many gaps there were.
    pub gaps: Gaps,
    /// Bytes of streams that came when their place had been declared a gap.
    pub late_bytes: u64,
    /// Bytes of streams that were captured and have no place in them.
    pub unplaced_bytes: u64,
    /// Ranges of bytes about which two packets disagreed.
    pub conflicts: u64,
    /// Bytes that were dropped because their reader was too slow.
    pub dropped_bytes: u64,
    /// Events of flows and messages that some reader missed because it was too slow.
    pub missed_events: u64,
    /// Messages that parsers made of streams and datagrams.
    pub messages: u64,
    /// Parsers that gave up on what they were fed.
    pub poisoned_parsers: u64,
    /// Bytes that wait for readers now, with what their entries cost.
    pub queued_bytes: u64,
    /// Conversations or events that wait to be taken now.
    pub waiting: u64,
}

/// Gaps in streams, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gaps {
    /// The receiver acknowledged bytes that were not captured.
    pub acknowledged: GapTotals,
    /// Too many bytes waited for a hole to be filled.
    pub limit: GapTotals,
    /// The hole was not filled in time.
    pub timeout: GapTotals,
    /// The flow ended before the hole was filled.
    pub end: GapTotals,
    /// The capture missed a stretch of the connection, the acknowledgements as well.
    pub outage: GapTotals,
    /// The capture cut the packets short.
    pub truncated: GapTotals,
    /// Urgent bytes, which the receiving hosts took out of band.
    pub out_of_band: GapTotals,
    /// A cause that this version of the crate has no name for.
    pub other: GapTotals,
}

/// The number of gaps and their total length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GapTotals {
    /// Gaps.
    pub count: u64,
    /// Bytes that are missing.
    pub bytes: u64,
}

impl Statistics {
    /// Adds what another engine of the same stream did.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.source += other.source;
        self.table += other.table;
        self.packets += other.packets;
        self.flows += other.flows;
        self.conversations += other.conversations;
        self.datagram_flows += other.datagram_flows;
        self.rejected += other.rejected;
        self.unselected += other.unselected;
        self.undecided_accepted += other.undecided_accepted;
        self.undecided_dropped += other.undecided_dropped;
        self.held_bytes += other.held_bytes;
        self.refused += other.refused;
        self.evicted += other.evicted;
        self.overruns += other.overruns;
        self.bytes += other.bytes;
        self.gap_bytes += other.gap_bytes;
        self.gaps.merge(&other.gaps);
        self.late_bytes += other.late_bytes;
        self.unplaced_bytes += other.unplaced_bytes;
        self.conflicts += other.conflicts;
        self.dropped_bytes += other.dropped_bytes;
        self.missed_events += other.missed_events;
        self.messages += other.messages;
        self.poisoned_parsers += other.poisoned_parsers;
        self.queued_bytes += other.queued_bytes;
        self.waiting += other.waiting;
    }
}

impl Gaps {
    fn merge(&mut self, other: &Self) {
        let Self {
            acknowledged,
            limit,
            timeout,
            end,
            outage,
            truncated,
            out_of_band,
            other: unnamed,
        } = self;
        for (sum, more) in [
            (acknowledged, other.acknowledged),
            (limit, other.limit),
            (timeout, other.timeout),
            (end, other.end),
            (truncated, other.truncated),
            (outage, other.outage),
            (out_of_band, other.out_of_band),
            (unnamed, other.other),
        ] {
            sum.count += more.count;
            sum.bytes += more.bytes;
        }
    }
}
