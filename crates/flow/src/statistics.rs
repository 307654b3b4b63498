//! What a table has seen.

/// Totals of a [`FlowTable`](crate::FlowTable) since it was built. Nothing that a packet brought is left out in
/// silence: where it is not delivered, one of these counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableStatistics {
    /// Packets given to the table.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Packets that belong to no flow: not IP, cut within the headers, malformed, or refused by the extractor.
    pub unparsed: u64,
    /// IP fragments.
    pub fragments: u64,
    /// Datagrams joined from fragments.
    pub datagrams: u64,
    /// Flows begun.
    pub flows_started: u64,
    /// Flows that the handler did not admit.
    pub flows_refused: u64,
    /// Flows ended, by [`EndReason`](crate::EndReason): FIN on both sides.
    pub ended_fin: u64,
    /// Flows ended by a reset.
    pub ended_rst: u64,
    /// Flows ended because nothing was seen of them.
    pub ended_idle: u64,
    /// Flows ended because the table was full.
    pub ended_evicted: u64,
    /// Flows that were going on when the capture ended.
    pub ended_capture: u64,
    /// Flows whose addresses and ports a new connection took over.
    pub ended_replaced: u64,
    /// Packets of flows that had ended (retransmitted FINs, last acknowledgements) or were not admitted.
    pub after_end: u64,
    /// Segments and acknowledgements far outside the window, ignored.
    pub out_of_window: u64,
    /// Payload beyond a FIN, ignored: segments.
    pub after_fin: u64,
    /// Resets that belong to no flow.
    pub orphan_resets: u64,
    /// Resets within the window but not at the next expected sequence number (RFC 5961, section 3).
    pub doubtful_resets: u64,
    /// SYN segments on an open flow with a sequence number of another connection.
    pub rivals: u64,
    /// Rivals that nothing confirmed.
    pub rivals_dropped: u64,
    /// Combinations of control bits that no host sends (SYN and RST), ignored.
    pub invalid_flags: u64,
    /// Segments dropped because their checksum is wrong, where checksums are verified.
    pub bad_checksums: u64,
    /// Packets whose time stamp lies before that of an earlier packet.
    pub time_steps_back: u64,
    /// Bytes delivered.
    pub delivered_bytes: u64,
    /// Gaps declared.
    pub gaps: u64,
    /// Bytes in gaps.
    pub gap_bytes: u64,
    /// Bytes that came after their gap had been declared, or before the first byte of a stream picked up midway.
    pub late_bytes: u64,
    /// Overlaps whose bytes differ.
    pub conflicts: u64,
    /// Memory in use for bytes that wait behind a hole.
    pub pending_bytes: u64,
    /// The most memory that was ever in use for them.
    pub pending_bytes_peak: u64,
}
