//! What a live command tells at its end, on standard error, in tcpdump's words.

use conversation::Statistics;

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
