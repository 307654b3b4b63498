//! Flows as lines for people.

use std::io::{self, Write};

use flow::{FiveTupleKey, FlowRecord, Orientation, SideCounters, protocol};

use crate::names;
use crate::text::clock::Clock;

/// Prints a flow.
pub(super) fn print(
    w: &mut dyn Write,
    clock: &Clock,
    record: &FlowRecord<FiveTupleKey>,
    conflicts: u64,
) -> io::Result<()> {
    let (initiator, responder) = endpoints(record);
    let duration = record.ended.saturating_duration_since(record.started).as_secs_f64();
    let side =
        |counters: &SideCounters| format!("{}/{}", counters.packets, bytes(record, counters));
    write!(
        w,
        "{} {duration:.6} {} {initiator} > {responder}{} {} {} {} {} {}",
        clock.at(record.started).word(),
        names::protocol(record.key.protocol),
        names::Within(record.key.scope),
        side(&record.initiator),
        side(&record.responder),
        missing(record),
        names::end(record.reason),
        if record.history.is_empty() { "-" } else { &record.history },
    )?;
    if is_midway(record) {
        write!(w, " midway")?;
    }
    for (count, what) in [(unplaced(record), "unplaced"), (conflicts, "conflicts")] {
        if count > 0 {
            write!(w, " {what}={count}")?;
        }
    }
    writeln!(w)
}

fn endpoints(record: &FlowRecord<FiveTupleKey>) -> (String, String) {
    let (a, b) = (record.key.a.to_string(), record.key.b.to_string());
    if record.initiator_orientation == Orientation::Forward { (a, b) } else { (b, a) }
}

/// Bytes of a side's stream that were captured, each counted once, as `ringtap follow` counts them;
/// of a flow that is not TCP, the payload of all its packets.
fn bytes(record: &FlowRecord<FiveTupleKey>, side: &SideCounters) -> u64 {
    if record.key.protocol == protocol::TCP { side.delivered_bytes } else { side.payload_bytes }
}

/// `true` if neither the SYN of a connection nor the answer to it was captured.
fn is_midway(record: &FlowRecord<FiveTupleKey>) -> bool {
    record.key.protocol == protocol::TCP && !record.history.contains(['S', 's', 'H', 'h'])
}

fn unplaced(record: &FlowRecord<FiveTupleKey>) -> u64 {
    record.initiator.unplaced_bytes + record.responder.unplaced_bytes
}

fn missing(record: &FlowRecord<FiveTupleKey>) -> u64 {
    record.initiator.gap_bytes + record.responder.gap_bytes
}
