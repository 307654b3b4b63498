//! The counters through the facade crate `metrics`.

use metrics::{counter, gauge};

use crate::api::statistics::{GapTotals, Statistics};

/// Adds what came since `last`. Gauges are moved, not set, so that the engines of a program add up.
pub(crate) fn publish(last: &Statistics, now: &Statistics) {
    let totals = [
        ("ringtap_packets_total", last.packets, now.packets),
        ("ringtap_kernel_drops_total", last.source.drops, now.source.drops),
        ("ringtap_ring_exhausted_total", last.source.ring_exhausted, now.source.ring_exhausted),
        ("ringtap_conversations_total", last.conversations, now.conversations),
        ("ringtap_rejected_total", last.rejected, now.rejected),
        ("ringtap_refused_total", last.refused, now.refused),
        ("ringtap_evicted_total", last.evicted, now.evicted),
        ("ringtap_overruns_total", last.overruns, now.overruns),
        ("ringtap_bytes_total", last.bytes, now.bytes),
        ("ringtap_late_bytes_total", last.late_bytes, now.late_bytes),
        ("ringtap_unplaced_bytes_total", last.unplaced_bytes, now.unplaced_bytes),
        ("ringtap_conflicts_total", last.conflicts, now.conflicts),
        ("ringtap_dropped_bytes_total", last.dropped_bytes, now.dropped_bytes),
        ("ringtap_missed_events_total", last.missed_events, now.missed_events),
        ("ringtap_messages_total", last.messages, now.messages),
        ("ringtap_poisoned_parsers_total", last.poisoned_parsers, now.poisoned_parsers),
    ];
    for (name, last, now) in totals {
        counter!(name).increment(now.saturating_sub(last));
    }
    for ((cause, last), (_, now)) in causes(&last.gaps).into_iter().zip(causes(&now.gaps)) {
        counter!("ringtap_gaps_total", "cause" => cause).increment(now.count - last.count);
        counter!("ringtap_gap_bytes_total", "cause" => cause).increment(now.bytes - last.bytes);
    }
    let levels = [
        ("ringtap_flows", last.flows, now.flows),
        ("ringtap_blocks_on_loan", last.source.blocks_on_loan, now.source.blocks_on_loan),
        ("ringtap_queued_bytes", last.queued_bytes, now.queued_bytes),
        ("ringtap_waiting", last.waiting, now.waiting),
    ];
    for (name, last, now) in levels {
        gauge!(name).increment(now as f64 - last as f64);
    }
}

fn causes(gaps: &crate::api::statistics::Gaps) -> [(&'static str, GapTotals); 8] {
    [
        ("acknowledged", gaps.acknowledged),
        ("limit", gaps.limit),
        ("timeout", gaps.timeout),
        ("end", gaps.end),
        ("truncated", gaps.truncated),
        ("outage", gaps.outage),
        ("out_of_band", gaps.out_of_band),
        ("other", gaps.other),
    ]
}
