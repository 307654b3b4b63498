//! The counters through the facade crate `metrics`.

use std::sync::Arc;

use metrics::{Label, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::api::statistics::{GapTotals, Gaps, Statistics};

/// A metric: its name, its help text, and the number that it shows.
type Row = (&'static str, &'static str, fn(&Statistics) -> u64);

const TOTALS: [Row; 16] = [
    ("ringtap_packets_total", "Packets that went through the flow table", |s| s.packets),
    (
        "ringtap_kernel_drops_total",
        "Packets that the kernel dropped because the ring had no room",
        |s| s.source.drops,
    ),
    (
        "ringtap_ring_exhausted_total",
        "Times that the next block of the ring was still on loan to a reader",
        |s| s.source.ring_exhausted,
    ),
    ("ringtap_conversations_total", "Conversations announced to readers", |s| s.conversations),
    ("ringtap_rejected_total", "Conversations that the program did not admit", |s| s.rejected),
    ("ringtap_refused_total", "Conversations refused because too many were waiting or open", |s| {
        s.refused
    }),
    ("ringtap_evicted_total", "Conversations ended to make room for others", |s| s.evicted),
    ("ringtap_overruns_total", "Conversations given up because their reader was too slow", |s| {
        s.overruns
    }),
    ("ringtap_bytes_total", "Reassembled bytes of streams", |s| s.bytes),
    ("ringtap_late_bytes_total", "Bytes that arrived after their place was declared a gap", |s| {
        s.late_bytes
    }),
    ("ringtap_unplaced_bytes_total", "Captured bytes that have no place in their stream", |s| {
        s.unplaced_bytes
    }),
    ("ringtap_conflicts_total", "Ranges of bytes on which two packets disagree", |s| s.conflicts),
    ("ringtap_dropped_bytes_total", "Bytes dropped because their reader was too slow", |s| {
        s.dropped_bytes
    }),
    ("ringtap_missed_events_total", "Events that a reader missed because it was too slow", |s| {
        s.missed_events
    }),
    ("ringtap_messages_total", "Messages that parsers found", |s| s.messages),
    ("ringtap_poisoned_parsers_total", "Parsers that gave up on a flow", |s| s.poisoned_parsers),
];

const LEVELS: [Row; 4] = [
    ("ringtap_flows", "Flows in the table", |s| s.flows),
    ("ringtap_blocks_on_loan", "Blocks of the ring that readers keep", |s| s.source.blocks_on_loan),
    ("ringtap_queued_bytes", "Bytes that wait for readers", |s| s.queued_bytes),
    ("ringtap_waiting", "Conversations or events that no reader has taken", |s| s.waiting),
];

const GAPS: (&str, &str) = ("ringtap_gaps_total", "Gaps in streams, by cause");
const GAP_BYTES: (&str, &str) = ("ringtap_gap_bytes_total", "Bytes missing from streams, by cause");

/// Registers the help texts and units. Called for each engine, since the program may install its
/// recorder at any time before.
pub(crate) fn describe() {
    for (name, help, _) in TOTALS {
        describe_counter!(name, unit(name), help);
    }
    for (name, help) in [GAPS, GAP_BYTES] {
        describe_counter!(name, unit(name), help);
    }
    for (name, help, _) in LEVELS {
        describe_gauge!(name, unit(name), help);
    }
}

/// Adds the difference to `last`. Gauges are moved, not set, so that the engines of a program add
/// up.
pub(crate) fn publish(source: Option<&Arc<str>>, last: &Statistics, now: &Statistics) {
    let labels = || source.map(|name| Label::new("source", Arc::clone(name))).into_iter();
    for (name, _, value) in TOTALS {
        counter!(name, labels().collect::<Vec<_>>())
            .increment(value(now).saturating_sub(value(last)));
    }
    for ((cause, last), (_, now)) in causes(&last.gaps).into_iter().zip(causes(&now.gaps)) {
        let labels: Vec<_> = labels().chain([Label::new("cause", cause)]).collect();
        counter!(GAPS.0, labels.clone()).increment(now.count - last.count);
        counter!(GAP_BYTES.0, labels).increment(now.bytes - last.bytes);
    }
    for (name, _, value) in LEVELS {
        gauge!(name, labels().collect::<Vec<_>>())
            .increment(value(now) as f64 - value(last) as f64);
    }
}

fn unit(name: &str) -> Unit {
    if name.contains("bytes") { Unit::Bytes } else { Unit::Count }
}

fn causes(gaps: &Gaps) -> [(&'static str, GapTotals); 8] {
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
