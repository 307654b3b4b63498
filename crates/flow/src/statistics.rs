//! Counters of a flow table.

use std::ops::AddAssign;

use crate::{Discarded, NotFollowed};

/// Totals of a [`FlowTable`](crate::FlowTable) since it was built. Every captured byte is either
/// delivered or counted in one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableStatistics {
    /// Packets passed to the table.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Packets that belong to no flow: not IP, truncated within the headers, malformed, or without
    /// a key from the extractor.
    pub unparsed: u64,
    /// The same packets by cause, and the fragments of datagrams that were never complete. The
    /// parts of an aggregate (A-MSDU) count individually.
    pub not_followed: NotFollowed,
    /// Packets of flows of other protocols than TCP, by
    /// [`Cause::Protocol`](crate::Cause::Protocol). They are followed as datagrams. A program that
    /// shows only streams adds these to [`not_followed`](Self::not_followed).
    pub not_streams: NotFollowed,
    /// Fragments of IP datagrams and of link-layer frames.
    pub fragments: u64,
    /// Datagrams and frames joined from fragments.
    pub datagrams: u64,
    /// Fragments whose bytes differ from those of an earlier fragment at the same offset.
    pub fragment_conflicts: u64,
    /// Incomplete datagrams that were evicted to make room for others.
    pub datagrams_evicted: u64,
    /// Flows that began.
    pub flows_started: u64,
    /// Flows that the handler did not admit.
    pub flows_refused: u64,
    /// Flows that ended, by [`EndReason`](crate::EndReason): FIN on both sides.
    pub ended_fin: u64,
    /// Flows ended by a reset.
    pub ended_rst: u64,
    /// Flows that ended because they were idle.
    pub ended_idle: u64,
    /// Flows that ended because the table was full.
    pub ended_evicted: u64,
    /// Those of them that ended because of the
    /// [limit of the memory](crate::FlowTableBuilder::memory_limit).
    pub evicted_for_memory: u64,
    /// Flows that were still active when the capture ended.
    pub ended_capture: u64,
    /// Flows whose addresses and ports were taken over by a new connection.
    pub ended_replaced: u64,
    /// Packets of flows that had ended (retransmitted FINs, last acknowledgements) or were not
    /// admitted.
    pub after_end: u64,
    /// Segments and acknowledgements far outside the window, which were ignored.
    pub out_of_window: u64,
    /// Segments with payload beyond a FIN, which was ignored.
    pub after_fin: u64,
    /// FINs that turned out to be false, by the receiver's acknowledgements or by later data of the
    /// sender.
    pub refuted_fins: u64,
    /// Captured payload bytes of the packets counted in [`after_end`](Self::after_end).
    pub after_end_bytes: u64,
    /// Resets that belong to no flow.
    pub orphan_resets: u64,
    /// Resets within the window but not at the next expected sequence number (RFC 5961, section 3).
    pub doubtful_resets: u64,
    /// SYN segments on an open flow with a sequence number that does not belong to it.
    pub rivals: u64,
    /// Such SYN segments that no later segment confirmed.
    pub rivals_dropped: u64,
    /// TCP connections that are one flow although their directions were captured in different VLANs
    /// or tunnels.
    pub scopes_joined: u64,
    /// Scopes that were joined to a flow and later turned out to carry a connection of their own.
    pub scopes_parted: u64,
    /// Segments with control bits that no host sends (SYN and RST), which were ignored.
    pub invalid_flags: u64,
    /// Segments dropped because of a wrong checksum, if checksums are verified.
    pub bad_checksums: u64,
    /// Packets that the receiving host discards, by cause. If they belong to a connection, their
    /// payload is passed to [`on_unplaced`](crate::FlowHandler::on_unplaced).
    pub discarded: Discarded,
    /// Packets with an earlier time stamp than a packet before them.
    pub time_steps_back: u64,
    /// Bytes delivered.
    pub delivered_bytes: u64,
    /// Gaps declared.
    pub gaps: u64,
    /// Bytes in gaps.
    pub gap_bytes: u64,
    /// Bytes that arrived after their gap had been declared, or from before the first byte of a
    /// stream picked up midway.
    pub late_bytes: u64,
    /// Captured bytes that repeat bytes already delivered, or pending bytes with the same content.
    pub repeated_bytes: u64,
    /// Captured bytes passed to [`on_unplaced`](crate::FlowHandler::on_unplaced).
    pub unplaced_bytes: u64,
    /// Overlaps with different bytes.
    pub conflicts: u64,
    /// Repetitions of bytes that the table had remembered and dropped again, so that they could not
    /// be compared; see [`remember_delivered`](crate::FlowTableBuilder::remember_delivered).
    pub not_compared: u64,
    /// Memory in use for bytes that are pending behind a hole.
    pub pending_bytes: u64,
    /// The maximum of [`pending_bytes`](Self::pending_bytes).
    pub pending_bytes_peak: u64,
}

/// Adds the counters of another table. The peak of the sum is exact if both tables reached theirs
/// at the same time, otherwise an upper bound.
impl AddAssign for TableStatistics {
    fn add_assign(&mut self, other: Self) {
        let Self {
            packets,
            bytes,
            unparsed,
            not_followed,
            not_streams,
            fragments,
            datagrams,
            fragment_conflicts,
            datagrams_evicted,
            flows_started,
            flows_refused,
            ended_fin,
            ended_rst,
            ended_idle,
            ended_evicted,
            evicted_for_memory,
            ended_capture,
            ended_replaced,
            after_end,
            out_of_window,
            after_fin,
            refuted_fins,
            after_end_bytes,
            orphan_resets,
            doubtful_resets,
            rivals,
            rivals_dropped,
            scopes_joined,
            scopes_parted,
            invalid_flags,
            bad_checksums,
            discarded,
            time_steps_back,
            delivered_bytes,
            gaps,
            gap_bytes,
            late_bytes,
            repeated_bytes,
            unplaced_bytes,
            conflicts,
            not_compared,
            pending_bytes,
            pending_bytes_peak,
        } = self;
        *packets += other.packets;
        *bytes += other.bytes;
        *unparsed += other.unparsed;
        *not_followed += other.not_followed;
        *not_streams += other.not_streams;
        *fragments += other.fragments;
        *datagrams += other.datagrams;
        *fragment_conflicts += other.fragment_conflicts;
        *datagrams_evicted += other.datagrams_evicted;
        *flows_started += other.flows_started;
        *flows_refused += other.flows_refused;
        *ended_fin += other.ended_fin;
        *ended_rst += other.ended_rst;
        *ended_idle += other.ended_idle;
        *ended_evicted += other.ended_evicted;
        *evicted_for_memory += other.evicted_for_memory;
        *ended_capture += other.ended_capture;
        *ended_replaced += other.ended_replaced;
        *after_end += other.after_end;
        *out_of_window += other.out_of_window;
        *after_fin += other.after_fin;
        *refuted_fins += other.refuted_fins;
        *after_end_bytes += other.after_end_bytes;
        *orphan_resets += other.orphan_resets;
        *doubtful_resets += other.doubtful_resets;
        *rivals += other.rivals;
        *rivals_dropped += other.rivals_dropped;
        *scopes_joined += other.scopes_joined;
        *scopes_parted += other.scopes_parted;
        *invalid_flags += other.invalid_flags;
        *bad_checksums += other.bad_checksums;
        *discarded += other.discarded;
        *time_steps_back += other.time_steps_back;
        *delivered_bytes += other.delivered_bytes;
        *gaps += other.gaps;
        *gap_bytes += other.gap_bytes;
        *late_bytes += other.late_bytes;
        *repeated_bytes += other.repeated_bytes;
        *unplaced_bytes += other.unplaced_bytes;
        *conflicts += other.conflicts;
        *not_compared += other.not_compared;
        *pending_bytes += other.pending_bytes;
        *pending_bytes_peak += other.pending_bytes_peak;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_add_up() {
        let one = TableStatistics {
            packets: 3,
            rivals: 2,
            pending_bytes_peak: 5,
            ..TableStatistics::default()
        };
        let mut sum = TableStatistics { packets: 1, conflicts: 4, ..one };
        sum += one;
        assert_eq!((sum.packets, sum.rivals, sum.conflicts), (4, 4, 4));
        assert_eq!(sum.pending_bytes_peak, 10);
    }
}
