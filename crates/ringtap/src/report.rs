//! What a live command tells at its end, on standard error, in tcpdump's words.

use conversation::Statistics;
use ring_core::{Side, XdpTapCounters};

pub(crate) fn print(statistics: &Statistics) {
    let source = statistics.source;
    eprintln!("{} packets captured", statistics.packets);
    eprintln!("{} packets received by filter", source.packets);
    eprintln!("{} packets dropped by kernel", source.drops);
    eprintln!("{} conversations", statistics.conversations);
    eprintln!("{} bytes of streams, {} missing", statistics.bytes, statistics.gap_bytes);
    if statistics.dropped_bytes > 0 {
        eprintln!("{} bytes dropped because they were not read in time", statistics.dropped_bytes);
    }
    if statistics.refused > 0 {
        eprintln!(
            "{} announcements dropped because they were not read in time",
            statistics.refused
        );
    }
}

/// What of the packets that were to be passed on was not.
pub(crate) fn print_forwarded(counters: Option<&XdpTapCounters>) {
    let Some(counters) = counters else { return };
    let [left, right] = [Side::Left, Side::Right].map(|side| counters.forwarded(side));
    eprintln!("{} packets passed on", left.forwarded + right.forwarded);
    let lost = [left.full, left.refused, right.full, right.refused];
    if lost.iter().any(|&count| count > 0) {
        eprintln!(
            "{} packets not passed on for want of room, {} because they are too long",
            left.full + right.full,
            left.refused + right.refused
        );
    }
}
