//! The cost of an idle flow, and of its expiry.

use flow::{FiveTuple, FiveTupleKey, FlowHandler, FlowTable, Timestamp};

use crate::measure::{Spread, time};
use crate::memory;
use crate::report::{Bar, Row};
use crate::tracking::table;
use crate::traffic::{Capture, Connection, acknowledgements, bits};

struct Nobody;
impl FlowHandler<FiveTupleKey> for Nobody {}

pub(crate) fn rows() -> Vec<Row> {
    let flows = 1 << 20;
    let (first, rest) = acknowledgements(flows, 1 << 20, 100_000);
    let before = memory::bytes();
    let mut idle = table(&first);
    let used = memory::bytes() - before;
    let each = used as f64 / f64::from(flows);

    let before = memory::allocations();
    idle.process(rest.packets(), &mut Nobody);
    let allocations = memory::allocations() - before;

    vec![
        Row {
            group: "memory",
            case: "bytes an idle flow, 1 M flows, everything included".into(),
            unit: "bytes",
            subject: Spread::single(each),
            peer: None,
            bar: Some(Bar::AtMost(256.0)),
        },
        Row {
            group: "memory",
            case: "allocations for a million packets, 1 M flows".into(),
            unit: "",
            subject: Spread::single(allocations as f64),
            peer: None,
            bar: Some(Bar::AtMost(0.0)),
        },
        open_holes(),
        longest_pause("1 M flows begun at 10 k a second expire", idle, false),
        longest_pause("1 M flows expire at once", at_once(), true),
    ]
}

/// The memory of a hole with one segment behind it, besides the flow.
fn open_holes() -> Row {
    const FLOWS: u32 = 100_000;
    let mut capture = Capture::with_pace(100);
    for number in 0..FLOWS {
        let mut connection = Connection::new(number);
        connection.send(&mut capture, 0, bits::SYN, 0);
        connection.skip(0, 100);
        connection.send(&mut capture, 0, bits::ACK, 100);
    }
    let before = memory::bytes();
    let table = table(&capture);
    let used = memory::bytes() - before;
    assert!(table.statistics().pending_bytes > 0);
    let flows = 248.0 * f64::from(FLOWS);
    Row {
        group: "memory",
        case: "bytes an open hole with 100 bytes behind it, besides its flow".into(),
        unit: "bytes",
        subject: Spread::single((used as f64 - flows) / f64::from(FLOWS)),
        peer: None,
        bar: None,
    }
}

/// A table of flows that all began within a tenth of a second.
fn at_once() -> FlowTable<FiveTuple> {
    table(&acknowledgements(1 << 20, 0, 100).0)
}

/// The longest call of `advance` until all flows have expired. `advance` is called whenever the
/// table requests it, with a clock that moves in steps of a millisecond. With `overdue`, it is
/// called long after all flows are due.
fn longest_pause(case: &str, mut table: FlowTable<FiveTuple>, overdue: bool) -> Row {
    let mut pauses = Vec::new();
    let end = Timestamp::from_nanos(u64::MAX / 2);
    while let Some(deadline) = table.next_deadline() {
        let now = Timestamp::from_nanos(deadline.as_nanos() + 1_000_000);
        let now = if overdue { end } else { now };
        pauses.push(time(|| table.advance(now, &mut Nobody)).as_secs_f64() * 1e3);
    }
    assert!(table.is_empty());
    let total: f64 = pauses.iter().sum();
    let longest = pauses.iter().fold(0.0_f64, |longest, pause| longest.max(*pause));
    Row {
        group: "memory",
        case: format!("longest pause of advance(), {case} (in all {total:.0} ms)"),
        unit: "ms",
        subject: Spread::single(longest),
        peer: None,
        bar: None,
    }
}
